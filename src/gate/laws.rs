//! Laws that an answer breaks, as words for a failure: a reader knows at once which term is wrong.

use super::call::Dir;
use super::trial::Trial;

/// The laws of the answer's operator that the truth obeys within its bounds and the answer does not.
pub fn broken(trial: &Trial) -> Vec<String> {
    let laws: &[(&str, &str, Law)] = match (trial.case.op, trial.call.dir) {
        ("layer_norm", Dir::Bwd) => &[
            ("dx", "dx sums to 0", Law::SumsTo(0.0)),
            ("dx", "dx is at right angles to x", Law::Orthogonal),
        ],
        ("rms_norm" | "scale_norm", Dir::Bwd) => {
            &[("dx", "dx is at right angles to x", Law::Orthogonal)]
        }
        ("softmax", Dir::Fwd) => &[("y", "rows of y sum to 1", Law::SumsTo(1.0))],
        ("softmax", Dir::Bwd) => &[("dx", "dx sums to 0", Law::SumsTo(0.0))],
        _ => &[],
    };
    laws.iter().filter(|law| breaks(trial, law.0, law.2)).map(|law| law.1.to_string()).collect()
}

#[derive(Clone, Copy)]
enum Law {
    /// Every row of the tensor sums to a constant.
    SumsTo(f64),
    /// Every row is orthogonal to the row of x.
    Orthogonal,
}

fn breaks(trial: &Trial, tensor: &str, law: Law) -> bool {
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
        let weight = |i: usize| match law {
            Law::SumsTo(_) => 1.0,
            Law::Orthogonal => x.values[i],
        };
        let total = |of: &[f64]| row.clone().map(|i| weight(i) * of[i]).sum::<f64>();
        let room: f64 = row.clone().map(|i| weight(i).abs() * expected.worst[i]).sum();
        let aim = match law {
            Law::SumsTo(aim) => aim,
            Law::Orthogonal => 0.0,
        };
        // eps bends the second law, and a row of −inf the first: only what the truth obeys counts.
        let obeyed = (total(&expected.truth) - aim).abs() <= room;
        obeyed && (total(&got.values) - aim).abs() > 2.0 * room
    })
}
