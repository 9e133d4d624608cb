//! Small arms for the tests of rules.

use crate::setting::Invalid;
use crate::statistics::{Decision, Figure, Verdict};

/// One value a seed, all at one place.
pub fn arm(values: &[f64]) -> Vec<Figure> {
    let figure = |(seed, &value): (usize, &f64)| Figure { seed: seed as u64, at: 1.0, value };
    values.iter().enumerate().map(figure).collect()
}

/// A row a seed over places.
pub fn over(at: &[f64], rows: &[Vec<f64>]) -> Vec<Figure> {
    let of = |(seed, row): (usize, &Vec<f64>)| -> Vec<Figure> {
        at.iter().zip(row).map(|(&at, &value)| Figure { seed: seed as u64, at, value }).collect()
    };
    rows.iter().enumerate().flat_map(of).collect()
}

/// The verdict of a decision that was not refused.
pub fn verdict(decision: Result<Decision, Invalid>) -> Verdict {
    decision.expect("figures that a rule takes").verdict
}
