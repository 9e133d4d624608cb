//! Properties that an answer breaks, as words for a failure: a reader knows at once which term is
//! wrong.

use crate::check::call::Dir;
use crate::check::trial::Trial;
use crate::op::{Property, named};

/// The properties of the answer's operator that the truth has within its bounds and the answer has not.
pub fn broken(trial: &Trial) -> Vec<String> {
    let stated = named(trial.case.op).map_or(&[][..], |op| op.properties());
    let follows = |law: &Property| match (law, trial.call.dir) {
        (Property::ShiftInvariant, Dir::Bwd) => Some(("dx", "dx sums to 0", Row::SumsTo(0.0))),
        (Property::ScaleInvariant, Dir::Bwd) => {
            Some(("dx", "dx is at right angles to x", Row::Orthogonal))
        }
        (Property::RowsSumToOne, Dir::Fwd) => Some(("y", "rows of y sum to 1", Row::SumsTo(1.0))),
        _ => None,
    };
    let followed = stated.iter().filter_map(follows);
    followed.filter(|row| breaks(trial, row.0, row.2)).map(|row| row.1.to_string()).collect()
}

/// What every row of a tensor is known to do.
#[derive(Clone, Copy)]
enum Row {
    /// Every row of the tensor sums to a constant.
    SumsTo(f64),
    /// Every row is orthogonal to the row of x.
    Orthogonal,
}

fn breaks(trial: &Trial, tensor: &str, known: Row) -> bool {
    let (Some(answer), Some(x)) = (&trial.answer, trial.call.tensors.get("x")) else {
        return false;
    };
    let expected = trial.expected.iter().find(|e| e.name == tensor);
    let (Some(got), Some(expected)) = (answer.get(tensor), expected) else { return false };
    let own = trial.call.attrs.get("normalized_dims").and_then(|n| n.as_u64()).unwrap_or(1);
    let cols: usize = x.shape[x.shape.len().saturating_sub(own as usize)..].iter().product();
    if got.values.len() != x.values.len() || cols == 0 {
        return false;
    }
    (0..got.values.len() / cols).any(|row| {
        let row = row * cols..(row + 1) * cols;
        let weight = |i: usize| match known {
            Row::SumsTo(_) => 1.0,
            Row::Orthogonal => x.values[i],
        };
        let total = |of: &[f64]| row.clone().map(|i| weight(i) * of[i]).sum::<f64>();
        let room: f64 = row.clone().map(|i| weight(i).abs() * expected.worst[i]).sum();
        let aim = match known {
            Row::SumsTo(aim) => aim,
            Row::Orthogonal => 0.0,
        };
        // eps bends the second law, and a row of −inf the first: only what the truth obeys counts.
        let obeyed = (total(&expected.truth) - aim).abs() <= room;
        obeyed && (total(&got.values) - aim).abs() > 2.0 * room
    })
}
