//! vjp against derivatives that are found another way.

use super::{Budget, Case, Path, Subject, Verdict, forward};
use crate::num::Dual;
use crate::op::Op;
use crate::rng::Rng;

/// Up to this many coordinates each is a direction of its own.
pub const EVERY_COORDINATE: usize = 48;
/// Random directions for problems with more.
pub const DIRECTIONS: usize = 3;
/// The unit of rounding of `f64`.
const UNIT: f64 = f64::EPSILON / 2.0;

/// The reference's vjp against exact directional derivatives of its forward pass at [`Dual`].
///
/// Both are `f64` computations of one number, ⟨dy, J·v⟩ = ⟨Jᵀ·dy, v⟩. The budget of the gradient,
/// carried over to 53 bits, is the rounding error of one side. The other side does up to three
/// products and sums where the formula has one operation, and so is allowed three budgets; and its
/// last sum errs by a unit per addition, of the magnitudes added.
pub fn agrees_with_dual(op: &dyn Op, case: &Case) -> Verdict {
    let budget = Budget::measure(op, case);
    for (place, v) in directions(case) {
        let slope = |a: usize, i: usize| v[a].get(i).copied().unwrap_or(0.0);
        let y = forward(op, case, |a, i, value| Dual::new(value, slope(a, i)));
        let terms = || y[0].iter().zip(&case.dy).map(|(y, dy)| y.d * dy);
        let derivative: f64 = terms().sum();
        let magnitude: f64 = terms().map(f64::abs).sum();
        let stated = inner(&budget.truth.grads, &v);
        let error: f64 = pairs(&budget.allowed.grads, &v).map(|(b, v)| b * v.abs()).sum();
        let count = (case.dy.len() + case.len()) as f64;
        let carried: f64 = pairs(&budget.truth.grads, &v).map(|(g, v)| (g * v).abs()).sum();
        let allowed = 4.0 * Path::Reference.unit() * error + count * UNIT * (magnitude + carried);
        let subject =
            Subject { op, case, check: "vjp against dual numbers", path: Path::Reference };
        subject.compare(&place, 1, |_| (stated, derivative, allowed))?;
    }
    Ok(())
}

/// The reference's vjp against central differences of its forward pass along random directions.
///
/// Differences at h and h/2, both good to h², are extrapolated to order h⁴; their distance bounds
/// what the extrapolation misses. Rounding of y adds its budget at 53 bits over h. A coordinate
/// within ten steps of 0 is held, for there relu has its kink: an exact difference across a kink
/// would be no derivative.
pub fn agrees_with_differences(op: &dyn Op, case: &Case) -> Verdict {
    const STEP: f64 = 1.0 / 1024.0;
    let budget = Budget::measure(op, case);
    for (place, mut v) in directions(case).into_iter().take(DIRECTIONS) {
        for (v, x) in v.iter_mut().flatten().zip(wanted(case).flatten()) {
            *v = if x.abs() < 10.0 * STEP * v.abs() { 0.0 } else { *v };
        }
        let along = |t: f64| {
            let moved = |a: usize, i: usize| v[a].get(i).map_or(0.0, |v| t * v);
            let y = forward(op, case, |a, i, value| value + moved(a, i));
            y[0].iter().zip(&case.dy).map(|(y, dy)| y * dy).sum::<f64>()
        };
        let slope = |h: f64| (along(h) - along(-h)) / (2.0 * h);
        let (wide, narrow) = (slope(STEP), slope(STEP / 2.0));
        let extrapolated = narrow + (narrow - wide) / 3.0;
        let rounding: f64 =
            budget.allowed.outs[0].iter().zip(&case.dy).map(|(b, dy)| b * dy.abs()).sum();
        let summed: f64 =
            budget.truth.outs[0].iter().zip(&case.dy).map(|(y, d)| (y * d).abs()).sum();
        let rounding = (Path::Reference.unit() * rounding + case.dy.len() as f64 * UNIT * summed)
            / (STEP / 2.0);
        let allowed = (narrow - wide).abs() + 2.0 * rounding;
        let stated = inner(&budget.truth.grads, &v);
        let check = "vjp against differences";
        let subject = Subject { op, case, check, path: Path::Reference };
        subject.compare(&place, 1, |_| (stated, extrapolated, allowed))?;
    }
    Ok(())
}

/// Names and directions over the wanted gradients: coordinates where they are few, else random.
fn directions(case: &Case) -> Vec<(String, Vec<Vec<f64>>)> {
    let zero: Vec<Vec<f64>> = wanted(case).map(|v| vec![0.0; v.len()]).collect();
    let count: usize = zero.iter().map(Vec::len).sum();
    let mut rng = Rng::new(count as u64).named("directions");
    let random = |name: usize, rng: &mut Rng| {
        let mut v = zero.clone();
        v.iter_mut().flatten().for_each(|v| *v = rng.normal());
        (format!("random direction {name}, slope"), v)
    };
    let mut all: Vec<_> = (0..DIRECTIONS).map(|name| random(name, &mut rng)).collect();
    if count <= EVERY_COORDINATE {
        for (a, values) in zero.iter().enumerate() {
            for i in 0..values.len() {
                let mut v = zero.clone();
                v[a][i] = 1.0;
                all.push((format!("argument {a}, coordinate {i}, slope"), v));
            }
        }
    }
    all
}

/// The values whose gradient somebody wants, nothing for the others.
fn wanted(case: &Case) -> impl Iterator<Item = &[f64]> {
    let values = case.values.iter().zip(&case.wanted);
    values.map(|(values, &wanted)| if wanted { values.as_slice() } else { &[] })
}

fn pairs<'a>(a: &'a [Vec<f64>], b: &'a [Vec<f64>]) -> impl Iterator<Item = (f64, f64)> {
    a.iter().flatten().copied().zip(b.iter().flatten().copied())
}

fn inner(a: &[Vec<f64>], b: &[Vec<f64>]) -> f64 {
    pairs(a, b).map(|(a, b)| a * b).sum()
}
