//! `mean_squared_error`: mean (p − t)² over all elements; dp = g·2(p − t)/n.

use super::case::Case;
use super::mean_loss::{self, AXES, UPSTREAM};
use super::operator::{Axis, Formula, Named, Operator, Problem, Slot};
use crate::num::Num;

pub struct MeanSquaredError;

impl Operator for MeanSquaredError {
    fn name(&self) -> &'static str {
        "mean_squared_error"
    }
    fn axes(&self) -> &'static [Axis] {
        AXES
    }
    fn slots(&self, case: &Case) -> Vec<Slot> {
        let numbers = mean_loss::beside(case, 1, f64::INFINITY);
        mean_loss::slots(case, ("prediction", 1, numbers), numbers)
    }
    fn upstream(&self, _: &Case) -> (&'static str, Vec<usize>) {
        UPSTREAM
    }
    fn reach(&self, _: &Case, _: &str) -> Option<i32> {
        // Squares of two such numbers, and the sum of them all, are still numbers.
        Some(50)
    }
}

impl<R: Num> Formula<R> for MeanSquaredError {
    fn forward(&self, p: &Problem<R>) -> Vec<Named<R>> {
        mean_loss::forward(p, "prediction", |[own]: [R; 1], y| (own - y).square())
    }
    fn backward(&self, p: &Problem<R>) -> Vec<Named<R>> {
        mean_loss::backward(p, "prediction", |[own]: [R; 1], y| [R::num(2.0) * (own - y)])
    }
}
