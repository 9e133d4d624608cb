//! What models of losses share that are a mean over all targets, and the ways in which a mean goes wrong.

use super::Mutation;
use super::norm::{form, sum};
use crate::check::call::Dir;
use crate::check::spec::operator::{Named, Problem};
use crate::num::Num;

/// The mutants of the mean that `$op` is, each named by what stands before it: `mse` and `mseb`.
macro_rules! of_the_mean {
    ($op:literal, $id:literal) => {
        [
            Mutant::new($op, concat!($id, "_sum"), "loss", "the sum where the mean is declared"),
            Mutant::new($op, concat!($id, "_rows"), "loss", "the mean is over rows only"),
            Mutant::new(
                $op,
                concat!($id, "_tail"),
                "tile",
                "what follows the last multiple of 8 is left out of the sum",
            ),
            Mutant::new($op, concat!($id, "_sum16"), "precision", "the sum in 16 bits"),
            Mutant::new(
                $op,
                concat!($id, "_stale"),
                "determinism",
                "from the second call on losses add to the last ones",
            ),
            Mutant::new($op, concat!($id, "b_no_dloss"), "backward", "dloss is taken to be 1"),
            Mutant::new($op, concat!($id, "b_no_mean"), "backward", "not divided by the number"),
            Mutant::new($op, concat!($id, "b_sign"), "backward", "the gradient of the target"),
        ]
    };
}
pub(super) use of_the_mean;

/// The controls of the mean.
macro_rules! other_sums {
    ($op:literal, $id:literal) => {
        [
            Control { op: $op, id: concat!($id, "_pairwise"), about: "sums in pairs of pairs" },
            Control { op: $op, id: concat!($id, "_reversed"), about: "sums from the last element" },
            Control { op: $op, id: concat!($id, "_lanes8"), about: "sums in 8 lanes" },
            Control { op: $op, id: concat!($id, "_wide"), about: "sums in f64" },
        ]
    };
}
pub(super) use other_sums;

/// Two lists one behind the other.
pub(super) const fn joined<T: Copy, const A: usize, const B: usize, const N: usize>(
    first: [T; A],
    second: [T; B],
) -> [T; N] {
    assert!(A + B == N);
    let mut all = [first[0]; N];
    let mut i = 0;
    while i < N {
        all[i] = if i < A { first[i] } else { second[i - A] };
        i += 1;
    }
    all
}

/// The answer of a model that says what a target costs, and the slopes of the numbers that predict it.
pub(super) fn answer<R: Num, const N: usize>(
    p: &Problem<R>,
    t: Mutation,
    prediction: &str,
    cost: impl Fn([R; N], R) -> R,
    slopes: impl Fn([R; N], R) -> [R; N],
) -> Vec<Named<R>> {
    let (numbers, target) = (p.get(prediction), p.get("target"));
    let (chunks, _) = numbers.data.as_chunks::<N>();
    let places = chunks.iter().copied().zip(target.data.iter().copied());
    let fault = t.id.split_once('_').map_or("", |(_, fault)| fault);
    let all = target.data.len();
    if p.call.dir == Dir::Fwd {
        let count = match fault {
            "sum" => 1,
            "rows" => target.shape[0],
            _ => all,
        };
        let mut costs: Vec<R> = places.map(|(numbers, y)| cost(numbers, y)).collect();
        if fault == "tail" && costs.len() > 8 {
            costs.truncate(costs.len() / 8 * 8);
        }
        let loss = sum(&costs, form(t.id)) / R::count(count);
        let loss = if fault == "stale" && t.calls > 0 { loss + loss } else { loss };
        return vec![Named::new("loss", &[], vec![loss])];
    }
    let dloss = if fault == "no_dloss" { R::one() } else { p.get("dloss").data[0] };
    let share = dloss / R::count(if fault == "no_mean" { 1 } else { all });
    let share = if fault == "sign" { -share } else { share };
    let gradient = places.flat_map(|(numbers, y)| slopes(numbers, y)).map(|slope| share * slope);
    vec![Named::new(format!("d{prediction}"), &numbers.shape, gradient.collect())]
}
