//! `softmax` over the last axis: yⱼ = e^(xⱼ − m)/Σₖ e^(xₖ − m), with m the largest of the row.
//!
//! dx = y·(dy − Σ y·dy). A row of −∞ holds no mass: zeros, or NaN where that is declared.

use super::case::Case;
use super::operator::{Axis, Fill, Formula, Named, Operator, Problem, Role, Slot};
use crate::check::call::Attrs;
use crate::check::tensor::Dtype;
use crate::num::Num;

pub struct Softmax;

impl Operator for Softmax {
    fn name(&self) -> &'static str {
        "softmax"
    }
    fn dtypes(&self) -> &'static [Dtype] {
        &Dtype::REAL
    }
    fn axes(&self) -> &'static [Axis] {
        &[
            Axis { name: "batch", sizes: &[1, 2, 3] },
            Axis { name: "rows", sizes: &[1, 2, 3, 7, 8, 13, 33, 257, 65539] },
            Axis {
                name: "cols",
                sizes: &[
                    1, 2, 3, 7, 8, 31, 32, 33, 50, 127, 128, 129, 255, 256, 257, 768, 1000, 1023,
                    1024, 1025, 2048, 3001, 65537,
                ],
            },
        ]
    }
    fn variants(&self) -> &'static [(&'static str, [&'static str; 2])] {
        &[("softmax.empty_row", ["zero", "nan"])]
    }
    fn slots(&self, case: &Case) -> Vec<Slot> {
        let shape = leading(case, &[case.size("rows"), case.size("cols")]);
        vec![Slot::new("x", &shape, Role::Data, Fill::Closed)]
    }
    fn work(&self, case: &Case) -> usize {
        // An exponential of a double-double is worth some products.
        4 * case.size("batch") * case.size("rows") * case.size("cols")
    }
    fn reach(&self, _: &Case, tensor: &str) -> Option<i32> {
        if tensor == "x" { Some(100) } else { Some(60) }
    }
    fn batched(&self, _: &Attrs) -> Option<Vec<String>> {
        Some(vec!["x".into(), "dy".into()])
    }
}

/// A shape, below an axis of its own where the case has several of it.
pub(super) fn leading(case: &Case, shape: &[usize]) -> Vec<usize> {
    match case.size("batch") {
        1 => shape.to_vec(),
        batch => [&[batch], shape].concat(),
    }
}

/// The largest of some scores, −∞ where there is none.
pub(super) fn largest<R: Num>(scores: &[R]) -> f64 {
    scores.iter().map(|score| score.value()).fold(f64::NEG_INFINITY, f64::max)
}

/// e^(s − m) of every score s, with m the largest of them, nothing where every score is −∞.
///
/// A softmax sees differences of scores only, so that the largest is exactly 1 here and each other
/// has the errors of both. A shift by another number c rounds s − c and m − c at their magnitude,
/// the `slack`. Where the largest stands for several, each of them errs on its own.
pub(super) fn exponentials<R: Num>(
    scores: &[R],
    slack: f64,
    times: impl Fn(usize) -> usize,
) -> Option<Vec<R>> {
    let above = |top: usize, j: usize| if scores[j] > scores[top] { j } else { top };
    let top = (0..scores.len()).reduce(above)?;
    if scores[top].value() == f64::NEG_INFINITY {
        return None;
    }
    let each = scores.iter().enumerate().map(|(j, &score)| match j == top && times(j) == 1 {
        true => R::one(),
        false => (score - scores[top]).loosened(2.0 * slack).exp(),
    });
    Some(each.collect())
}

/// Each score's share e^(s − m)/Σ e^(s − m), nothing where every score is −∞; `times` says how many
/// equal scores each stands for.
pub(super) fn shares<R: Num>(
    scores: &[R],
    slack: f64,
    times: impl Fn(usize) -> usize,
) -> Option<Vec<R>> {
    let each = exponentials(scores, slack, &times)?;
    let sum = R::sum_of(each.iter().enumerate().map(|(j, &mass)| (mass, times(j))));
    Some(each.into_iter().map(|share| share / sum).collect())
}

/// How far below the largest a score may lie and its exponential still be a number.
fn depth(dtype: Dtype) -> f64 {
    if dtype == Dtype::F64 { 745.0 } else { 104.0 }
}

impl Softmax {
    fn row<R: Num>(&self, row: &[R], p: &Problem<R>) -> Vec<R> {
        let top = largest(row);
        // Any shift within the range of what counts is as right as the largest.
        let below = row.iter().map(|x| top - x.value()).filter(|&d| d < depth(p.call.dtype));
        let range = below.fold(0.0, f64::max);
        let empty = if p.declares("softmax.empty_row", "nan") { f64::NAN } else { 0.0 };
        shares(row, range, |_| 1).unwrap_or_else(|| vec![R::num(empty); row.len()])
    }
}

impl<R: Num> Formula<R> for Softmax {
    fn forward(&self, p: &Problem<R>) -> Vec<Named<R>> {
        let x = p.get("x");
        let y = x.rows().flat_map(|row| self.row(row, p)).collect();
        vec![Named::new("y", &x.shape, y)]
    }

    fn backward(&self, p: &Problem<R>) -> Vec<Named<R>> {
        let (x, dy) = (p.get("x"), p.get("dy"));
        let rows = x.rows().zip(dy.rows()).flat_map(|(x, dy)| {
            // The forward pass may have saved its answer as it was stored.
            let y: Vec<R> = self.row(x, p).into_iter().map(|y| y.kept(p.call.dtype)).collect();
            let mean = R::dot(&y, dy);
            let slope = |(&y, &dy): (&R, &R)| (y * (dy - mean)).or(y * dy - y * mean);
            y.iter().zip(dy).map(slope).collect::<Vec<R>>()
        });
        vec![Named::new("dx", &x.shape, rows.collect())]
    }
}
