//! `binary_cross_entropy`: mean over all elements of max(x, 0) − x·t + ln(1 + e^(−|x|)), which is
//! −t·ln σ(x) − (1 − t)·ln(1 − σ(x)), of logits x and targets t from 0 to 1; dx = g·(σ(x) − t)/n.

use super::activation::sigmoid;
use super::case::Case;
use super::mean_loss::{self, AXES, UPSTREAM};
use super::operator::{Axis, Fill, Formula, Named, Operator, Problem, Slot};
use crate::num::Num;

pub struct BinaryCrossEntropy;

impl Operator for BinaryCrossEntropy {
    fn name(&self) -> &'static str {
        "binary_cross_entropy"
    }
    fn axes(&self) -> &'static [Axis] {
        AXES
    }
    fn slots(&self, case: &Case) -> Vec<Slot> {
        mean_loss::slots(case, ("logits", 1, Fill::Rows), Fill::Share)
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
            "target" => None,
            "logits" => Some(90),
            _ => Some(60),
        }
    }
}

/// ln(1 + e^x), whose max(x, 0) has the derivative ½ at 0, as the whole has it.
pub(super) fn softplus<R: Num>(x: R) -> R {
    R::num(0.5) * (x + x.abs()) + (R::one() + (-x.abs()).exp()).ln()
}

impl<R: Num> Formula<R> for BinaryCrossEntropy {
    fn forward(&self, p: &Problem<R>) -> Vec<Named<R>> {
        mean_loss::forward(p, "logits", |[x]: [R; 1], t| {
            // As right is (1 − t)·x − ln σ(x), whose logarithm min(x, 0) − ln(1 + e^(−|x|)) rounds at |x|.
            (softplus(x) - x * t).loosened(x.value().abs())
        })
    }
    fn backward(&self, p: &Problem<R>) -> Vec<Named<R>> {
        // A sigmoid by tanh is good to units of 1.
        mean_loss::backward(p, "logits", |[x]: [R; 1], t| [sigmoid(x).loosened(1.0) - t])
    }
}
