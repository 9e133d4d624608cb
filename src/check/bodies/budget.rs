//! How far an honest `f32` computation may be off, element by element.
//!
//! The reference is read some times at [`Stochastic`], which rounds at random after every operation.
//! The largest distance of a reading from the truth, the spread, is the size of rounding errors at
//! that element: where a formula cancels it widens its own budget and no other.
//!
//! An argument that is not representable in `f32` is rounded at random as well, as whoever computes
//! in `f32` has to round it.
//!
//! The budget is [`SPREADS`] spreads and a floor. Another order of summation gives another draw
//! from about the same distribution; the largest of 16 readings is below half a standard
//! deviation once in 10⁷ elements, so that six spreads are at least three standard deviations,
//! and mostly more than ten. Half of the readings move what is exact as well, so that a rounding
//! which the formula as written happens not to need is in the spread with certainty. The floor is [`FLOOR`] units of the truth, for up to three operations
//! good to one unit in the last place that a fast path has after the last rounding that the
//! reference sees, and the smallest normal number times the largest argument, since what is
//! subnormal may be flushed to zero before it is multiplied. A gradient that is added to what is there
//! may be formed apart, and is then rounded at its own size: the units are of that, where it is larger
//! than the sum.
//!
//! Where the fast path stores less than `f32` ([`Op::output_dtype`]), the number v that it has found is
//! rounded once more, to nearest, which moves it by at most u·max(|v|, m): u is the unit roundoff of
//! what is stored, m the smallest normal number. Of v it is known that |v| ≤ |truth| + the budget, which
//! therefore grows by u·max(|truth| + budget, m). A gradient that is added to is no exception: the sum of
//! what was there and what is added is rounded once, and the truth is that sum. (Who adds k times in a
//! row pays k times.)

use super::{Case, Fault, Path, Results, Subject, Verdict, forward, vjp};
use crate::num::{Dtype, Num, Stochastic};
use crate::op::Op;

/// Readings at random rounding; half of them round what is exact as well.
pub const READINGS: u64 = 16;
/// Spreads that are allowed.
pub const SPREADS: f64 = 6.0;
/// Units of rounding (2⁻²⁴ of the truth) that are allowed in any case.
pub const FLOOR: f64 = 6.0;

/// The truth and how far off each of its elements may be at `f32`.
#[derive(Debug, Clone)]
pub struct Budget {
    /// The results of the reference at `f64`.
    pub truth: Results,
    /// The allowed distance from the truth of every element, in the shape of [`Budget::truth`].
    pub allowed: Results,
}

impl Budget {
    /// Reads the reference often enough to know its rounding errors.
    pub fn measure(op: &dyn Op, case: &Case) -> Budget {
        let truth = Path::Reference.run(op, case);
        let mut spread = truth.clone();
        spread.outs.iter_mut().chain(&mut spread.grads).for_each(|v| v.fill(0.0));
        for reading in 0..READINGS {
            if reading % 2 == 0 {
                Stochastic::seed(reading)
            } else {
                Stochastic::seed_every(reading)
            }
            let outs = forward(op, case, |_, _, v| Stochastic::read(v));
            let grads = vjp(op, case, &case.values, Stochastic::read);
            widen(&mut spread.outs, &outs, &truth.outs);
            widen(&mut spread.grads, &grads, &truth.grads);
        }
        let smallest = f64::from(f32::MIN_POSITIVE) * case.largest().powi(2);
        let allow = |spread: &mut Vec<Vec<f64>>, truth: &[Vec<f64>], start: f64| {
            for (spread, truth) in spread.iter_mut().flatten().zip(truth.iter().flatten()) {
                let size = truth.abs().max((truth - start).abs());
                *spread = SPREADS * *spread + FLOOR * 2f64.powi(-24) * size + smallest;
            }
        };
        allow(&mut spread.outs, &truth.outs, 0.0);
        allow(&mut spread.grads, &truth.grads, case.start);
        for (i, (allowed, truth)) in spread.outs.iter_mut().zip(&truth.outs).enumerate() {
            store(allowed, truth, op.output_dtype(i));
        }
        for (i, (allowed, truth)) in spread.grads.iter_mut().zip(&truth.grads).enumerate() {
            store(allowed, truth, op.argument_dtype(i));
        }
        Budget { truth, allowed: spread }
    }
}

/// Adds to what is allowed what rounding to `dtype` may add.
fn store(allowed: &mut [f64], truth: &[f64], dtype: Dtype) {
    if dtype == Dtype::F32 {
        // The last rounding of the reference is this one.
        return;
    }
    for (allowed, truth) in allowed.iter_mut().zip(truth) {
        let largest = truth.abs() + *allowed;
        *allowed += dtype.unit() * largest.max(dtype.smallest_normal());
        if largest > dtype.largest() {
            *allowed = f64::INFINITY;
        }
    }
}

fn widen(spread: &mut [Vec<f64>], reading: &[Vec<Stochastic>], truth: &[Vec<f64>]) {
    let pairs = reading.iter().flatten().zip(truth.iter().flatten());
    for (spread, (reading, truth)) in spread.iter_mut().flatten().zip(pairs) {
        // Infinite where the truth is: no distance.
        if reading.value() != *truth {
            *spread = spread.max((reading.value() - truth).abs());
        }
    }
}

/// The fast path against the reference, forward and back.
pub fn fast_agrees(op: &dyn Op, case: &Case) -> Verdict {
    share_of_budget(op, case).map(|_| ())
}

/// The largest share of its budget that an element of the fast path takes: q, at most 1.
///
/// # Errors
/// As [`fast_agrees`].
pub fn share_of_budget(op: &dyn Op, case: &Case) -> Result<f64, Fault> {
    let budget = Budget::measure(op, case);
    let got = Path::Fast.run(op, case);
    let subject = Subject { op, case, check: "fast against reference", path: Path::Fast };
    let bounds = budget.truth.named().zip(budget.allowed.named());
    let mut largest = 0.0f64;
    for ((name, got), ((_, truth), (_, allowed))) in got.named().zip(bounds) {
        let q = subject.share(&name, truth.len(), |i| (got[i], truth[i], allowed[i]))?;
        largest = largest.max(q);
    }
    Ok(largest)
}
