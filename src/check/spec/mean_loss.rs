//! What losses have in common that are a mean over all targets, each predicted by some numbers that
//! stand side by side.

use super::case::Case;
use super::operator::{Axis, Beside, Fill, Named, Problem, Role, Slot};
use crate::num::Num;

pub(super) const AXES: &[Axis] = &[
    Axis { name: "rows", sizes: &[1, 2, 3, 5, 7, 8, 13, 33, 65, 257] },
    Axis { name: "cols", sizes: &[1, 2, 3, 7, 8, 31, 32, 33, 50, 127, 128, 129, 257] },
];

/// What predicts a target, the first of so many numbers, or the targets themselves, of one number each:
/// now and then beside each other and far from 0, where a difference must be formed before its square.
pub(super) fn beside(case: &Case, every: usize, within: f64) -> Fill {
    Fill::Beside(Beside { seed: case.seed, every, within })
}

/// What predicts, by name, and the targets.
pub(super) fn slots(case: &Case, prediction: (&str, usize, Fill), target: Fill) -> Vec<Slot> {
    let (rows, cols) = (case.size("rows"), case.size("cols"));
    let (name, numbers, fill) = prediction;
    vec![
        Slot::new(name, &[rows, numbers * cols], Role::Data, fill),
        // A target is no prediction: it has no gradient.
        Slot::new("target", &[rows, cols], Role::State, target),
    ]
}

/// The upstream gradient of a mean.
pub(super) const UPSTREAM: (&str, Vec<usize>) = ("dloss", Vec::new());

/// Every target with the numbers that predict it.
fn places<'a, R: Num, const N: usize>(
    p: &'a Problem<R>,
    prediction: &str,
) -> impl Iterator<Item = ([R; N], R)> + 'a {
    let (numbers, _) = p.get(prediction).data.as_chunks::<N>();
    numbers.iter().copied().zip(p.get("target").data.iter().copied())
}

/// The mean of what targets cost.
pub(super) fn forward<R: Num, const N: usize>(
    p: &Problem<R>,
    prediction: &str,
    cost: impl Fn([R; N], R) -> R,
) -> Vec<Named<R>> {
    let costs: Vec<R> = places(p, prediction).map(|(numbers, y)| cost(numbers, y)).collect();
    let count = R::count(costs.len());
    vec![Named::new("loss", &[], vec![R::sum(costs) / count])]
}

/// The gradient of what predicts.
pub(super) fn backward<R: Num, const N: usize>(
    p: &Problem<R>,
    prediction: &str,
    slopes: impl Fn([R; N], R) -> [R; N],
) -> Vec<Named<R>> {
    let share = p.get("dloss").data[0] / R::count(p.get("target").data.len());
    let each = places(p, prediction).flat_map(|(numbers, y)| slopes(numbers, y));
    let gradient = each.map(|slope| share * slope).collect();
    vec![Named::new(format!("d{prediction}"), &p.get(prediction).shape, gradient)]
}
