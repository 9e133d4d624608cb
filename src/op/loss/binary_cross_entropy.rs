//! −ln p of targets t from 0 to 1 under logits x, of any number of classes that do not exclude each
//! other, in nats: with p = σ(x),
//!
//! loss = −t·ln p − (1 − t)·ln(1 − p) = max(x, 0) − x·t + ln(1 + e^(−|x|));
//! dx = σ(x) − t, dt = −x.

use super::mean;
use crate::num::Num;
use crate::op::device::Kernels;
use crate::op::elementary::exp_nonpositive;
use crate::op::{Arg, Fast, Grad, Op, Reference, Shape, View, simd};
use std::hint::select_unpredictable as select;

/// The binary cross-entropy of logits, in the mean over all elements.
#[derive(Debug, Clone, Copy)]
pub struct BinaryCrossEntropy;

impl Op for BinaryCrossEntropy {
    fn id(&self) -> &'static str {
        "binary_cross_entropy"
    }
    fn args(&self) -> &'static [Arg] {
        const ARGS: &[Arg] = &[Arg::real("logits"), Arg::real("target")];
        ARGS
    }
    fn outputs(&self, args: &[Shape]) -> Vec<Shape> {
        super::scalar(args, 1)
    }
    fn example(&self, rows: usize, cols: usize) -> Vec<Shape> {
        vec![Shape::new(&[rows, cols]); 2]
    }
    fn kernels(&self) -> Option<&dyn Kernels> {
        Some(self)
    }
}

impl<T: Num> Reference<T> for BinaryCrossEntropy {
    fn forward(&self, args: &[View<T>], outs: &mut [&mut [T]]) {
        let [logits, target] = [args[0].data, args[1].data];
        let mut sum = T::zero();
        for (&x, &t) in logits.iter().zip(target) {
            // max(x, 0) with the derivative ½ at 0, as the whole has it.
            let positive = T::num(0.5) * (x + x.abs());
            sum += positive - x * t + (T::one() + (-x.abs()).exp()).ln();
        }
        outs[0][0] = sum / T::count(logits.len());
    }

    fn vjp(&self, args: &[View<T>], dy: &[T], dargs: &mut [&mut [T]]) {
        let [logits, target] = [args[0].data, args[1].data];
        let share = dy[0] / T::count(logits.len());
        for (i, (&x, &t)) in logits.iter().zip(target).enumerate() {
            if let Some(dlogits) = dargs[0].get_mut(i) {
                *dlogits += share * (T::one() / (T::one() + (-x).exp()) - t);
            }
            if let Some(dtarget) = dargs[1].get_mut(i) {
                *dtarget += -(share * x);
            }
        }
    }
}

/// ln(1 + e) for e from 0 to 1, within 2 ulp: 2·artanh w = 2(w + w³/3 + …) with w = e/(2 + e) ≤ ⅓,
/// whose terms from w¹⁷/17 on are below a rounding. A call of the library's would keep the loop
/// from being vectorised.
#[inline(always)]
fn ln_1p(e: f32) -> f32 {
    let w = e / (2.0 + e);
    let square = w * w;
    let odd = [15.0, 13.0, 11.0, 9.0, 7.0, 5.0, 3.0];
    let series = odd.into_iter().fold(0.0f32, |sum, n| (sum + 1.0 / n) * square);
    2.0 * w.mul_add(series, w)
}

impl Fast for BinaryCrossEntropy {
    fn forward(
        &self,
        args: &[View<f32>],
        outs: &mut [&mut [f32]],
        _saved: &mut [f32],
        _scratch: &mut [f32],
    ) {
        let pairs = args[0].data.iter().zip(args[1].data);
        // |x| times what the target lacks: nothing cancels where it is 0 or 1.
        let cost = |(&x, &t): (&f32, &f32)| {
            let lacking = select(x > 0.0, 1.0 - t, t);
            f64::from(x.abs().mul_add(lacking, ln_1p(exp_nonpositive(-x.abs()))))
        };
        outs[0][0] = simd::dispatch!(|| mean(pairs.clone().map(cost), 0.0));
    }

    fn vjp(
        &self,
        args: &[View<f32>],
        dy: &[f32],
        _saved: &[f32],
        dargs: &mut [Grad],
        _scratch: &mut [f32],
    ) {
        let [logits, target] = [args[0].data, args[1].data];
        let share = dy[0] / logits.len() as f32;
        let [dlogits, dtarget] = dargs else { unreachable!("two arguments") };
        // σ(x) − t over the common denominator, where nothing cancels either.
        let slope = |(&x, &t): (&f32, &f32)| {
            let e = exp_nonpositive(-x.abs());
            let above = select(x > 0.0, (1.0 - t) - t * e, (1.0 - t) * e - t);
            share * above / (1.0 + e)
        };
        let all = 0..logits.len();
        simd::dispatch!(|| {
            dlogits.put(all.clone(), logits.iter().zip(target).map(slope));
            dtarget.put(all.clone(), logits.iter().map(|x| -share * x));
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every 64th number of those that there are from 0 to 1.
    #[test]
    fn the_logarithm_is_good_to_two_units() {
        for bits in (0..=1f32.to_bits()).step_by(64) {
            let e = f32::from_bits(bits);
            let truth = f64::from(e).ln_1p();
            let unit = f64::from((truth as f32).next_up() - truth as f32);
            let error = (f64::from(ln_1p(e)) - truth).abs() / unit;
            assert!(error <= 2.0, "{e:e}: {error} ulp");
        }
    }
}
