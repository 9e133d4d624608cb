//! −ln p of a target y under a normal distribution of location μ and log scale s = ln σ, in nats,
//! with z = (y − μ)·e^(−s):
//!
//! loss = s + ½z² + ½ln 2π; dμ = −z·e^(−s), ds = 1 − z², dy = z·e^(−s) (Nix & Weigend 1994).

use super::{mean, places, sort_gradients};
use crate::num::Num;
use crate::op::device::Kernels;
use crate::op::elementary::exp;
use crate::op::{Arg, Fast, Grad, Op, Reference, Shape, View, simd};

/// ½ln 2π in two parts, as a double-double has it.
const HALF_LN_TAU: [f64; 2] = [0.918_938_533_204_672_8, -3.878_294_158_067_241e-17];

/// The negative log-likelihood of normal distributions, in the mean over all targets.
///
/// The prediction has two numbers of every target in turn: location and log scale.
#[derive(Debug, Clone, Copy)]
pub struct GaussianNll;

impl GaussianNll {
    /// Numbers that predict one target.
    pub const NUMBERS: usize = 2;
}

impl Op for GaussianNll {
    fn id(&self) -> &'static str {
        "gaussian_nll"
    }
    fn args(&self) -> &'static [Arg] {
        const ARGS: &[Arg] = &[Arg::real("prediction").in_exponent(), Arg::real("target")];
        ARGS
    }
    fn outputs(&self, args: &[Shape]) -> Vec<Shape> {
        super::scalar(args, Self::NUMBERS)
    }
    fn example(&self, rows: usize, cols: usize) -> Vec<Shape> {
        [Self::NUMBERS * cols, cols].map(|cols| Shape::new(&[rows, cols])).to_vec()
    }
    fn kernels(&self) -> Option<&dyn Kernels> {
        Some(self)
    }
}

impl<T: Num> Reference<T> for GaussianNll {
    fn forward(&self, args: &[View<T>], outs: &mut [&mut [T]]) {
        let mut sum = T::zero();
        for ([location, log_scale], y) in places(args) {
            let z = (y - location) * (-log_scale).exp();
            let [high, low] = HALF_LN_TAU.map(T::num);
            sum += log_scale + T::num(0.5) * z * z + (high + low);
        }
        outs[0][0] = sum / T::count(args[1].data.len());
    }

    fn vjp(&self, args: &[View<T>], dy: &[T], dargs: &mut [&mut [T]]) {
        let share = dy[0] / T::count(args[1].data.len());
        for (i, ([location, log_scale], y)) in places(args).enumerate() {
            let z = (y - location) * (-log_scale).exp();
            let slope = z * (-log_scale).exp();
            let slopes = [-slope, T::one() - z * z];
            for (j, slope) in slopes.into_iter().enumerate() {
                if let Some(dprediction) = dargs[0].get_mut(2 * i + j) {
                    *dprediction += share * slope;
                }
            }
            if let Some(dtarget) = dargs[1].get_mut(i) {
                *dtarget += share * slope;
            }
        }
    }
}

impl Fast for GaussianNll {
    fn forward(
        &self,
        args: &[View<f32>],
        outs: &mut [&mut [f32]],
        _saved: &mut [f32],
        _scratch: &mut [f32],
    ) {
        let cost = |([location, log_scale], y): ([f32; 2], f32)| {
            let z = (y - location) * exp(-log_scale);
            f64::from(log_scale) + f64::from(0.5 * z * z)
        };
        outs[0][0] = simd::dispatch!(|| mean(places(args).map(cost), HALF_LN_TAU[0]));
    }

    fn vjp(
        &self,
        args: &[View<f32>],
        dy: &[f32],
        _saved: &[f32],
        dargs: &mut [Grad],
        _scratch: &mut [f32],
    ) {
        let share = dy[0] / args[1].data.len() as f32;
        let slopes = |([location, log_scale], y): ([f32; 2], f32)| {
            let rate = exp(-log_scale);
            let z = (y - location) * rate;
            // 1 − z² where z is near 1.
            ([-share * z * rate, share * (1.0 - z) * (1.0 + z)], share * z * rate)
        };
        simd::dispatch!(|| sort_gradients(dargs, args, slopes));
    }
}
