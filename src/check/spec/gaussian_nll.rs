//! `gaussian_nll`: mean over all targets y of s + ½z² + ½ln 2π with z = (y − μ)·e^(−s), of which μ and
//! s = ln σ stand side by side; dμ = −g·z·e^(−s)/n, ds = g·(1 − z²)/n.

use super::case::Case;
use super::mean_loss::{self, AXES, UPSTREAM};
use super::operator::{Axis, Formula, Named, Operator, Problem, Slot};
use crate::num::Num;

pub struct GaussianNll;

/// The largest location and log scale: e^(−s) is squared.
pub(super) const WITHIN: f64 = 4.0;

impl Operator for GaussianNll {
    fn name(&self) -> &'static str {
        "gaussian_nll"
    }
    fn axes(&self) -> &'static [Axis] {
        AXES
    }
    fn slots(&self, case: &Case) -> Vec<Slot> {
        let targets = mean_loss::beside(case, 1, f64::INFINITY);
        mean_loss::slots(case, ("prediction", 2, mean_loss::beside(case, 2, WITHIN)), targets)
    }
    fn work(&self, case: &Case) -> usize {
        // An exponential of a double-double is worth some products.
        8 * case.size("rows") * case.size("cols")
    }
    fn upstream(&self, _: &Case) -> (&'static str, Vec<usize>) {
        UPSTREAM
    }
    fn reach(&self, _: &Case, tensor: &str) -> Option<i32> {
        match tensor {
            // What is large is within the limit already.
            "prediction" => None,
            // Squares, times e^(2·4), and the sum of them all are still numbers.
            "target" => Some(40),
            _ => Some(60),
        }
    }
}

/// e^(−s) and z.
pub(super) fn standard<R: Num>(location: R, log_scale: R, y: R) -> (R, R) {
    let rate = (-log_scale).exp();
    (rate, (y - location) * rate)
}

impl<R: Num> Formula<R> for GaussianNll {
    fn forward(&self, p: &Problem<R>) -> Vec<Named<R>> {
        mean_loss::forward(p, "prediction", |[location, log_scale]: [R; 2], y| {
            let (_, z) = standard(location, log_scale, y);
            // ½ln 2π in two parts, as a double-double has it. As right is ½ln 2πσ², whose logarithm
            // rounds at its own size.
            let constant = R::num(0.918_938_533_204_672_8) + R::num(-3.878_294_158_067_241e-17);
            let size = 1.0 + log_scale.value().abs();
            R::sum([log_scale.loosened(size), R::num(0.5) * z * z, constant])
        })
    }
    fn backward(&self, p: &Problem<R>) -> Vec<Named<R>> {
        mean_loss::backward(p, "prediction", |[location, log_scale]: [R; 2], y| {
            let (rate, z) = standard(location, log_scale, y);
            [-(z * rate), R::one() - z * z]
        })
    }
}
