//! Stage 5: the same call gives the same bits, and a row has the same bits alone and in a batch.

use super::call::{Broken, Call, Candidate, Reply};
use super::case::Case;
use super::tensor::{Tensor, Tensors};

/// What was observed of one case, in words where something differed.
#[derive(Debug, Clone, Default)]
pub struct Observed {
    /// Comparisons made.
    pub checks: usize,
    /// The same call did not give the same bits.
    pub unstable: Option<String>,
    /// A row did not have the same bits alone and in its batch.
    pub depends_on_batch: Option<String>,
}

/// The same call thrice, after another shape, and in a fresh process; rows alone.
pub fn observe(
    candidate: &mut dyn Candidate,
    case: &Case,
    other: &Case,
) -> Result<Observed, Broken> {
    let mut seen = Observed::default();
    let call = case.call();
    let Some(first) = answer(candidate.run(&call)?) else { return Ok(seen) };
    for when in ["again", "a third time", "after another shape", "in a fresh process"] {
        match when {
            "after another shape" => _ = candidate.run(&other.call())?,
            "in a fresh process" => candidate.restart()?,
            _ => {}
        }
        let Some(now) = answer(candidate.run(&call)?) else { return Ok(seen) };
        seen.checks += 1;
        if let Some(name) = differing(&first, &now) {
            seen.unstable = Some(format!("{name} has other bits {when}"));
            return Ok(seen);
        }
    }
    let Some(batched) = case.operator().batched(&call) else { return Ok(seen) };
    let rows = batched.first().and_then(|name| call.tensors.get(name)).map_or(0, |t| t.shape[0]);
    if rows < 2 {
        return Ok(seen);
    }
    for row in [0, rows / 2, rows - 1] {
        let alone = alone(&call, &batched, row);
        let Some(one) = answer(candidate.run(&alone)?) else { continue };
        for (name, one) in &one {
            let whole = &first[name];
            // What has no row of its own, as a weight's gradient, sees the whole batch.
            let own = whole.shape.first() == Some(&rows) && one.shape.first() == Some(&1);
            if own && whole.shape[1..] == one.shape[1..] && in_batch(name, &batched) {
                seen.checks += 1;
                if !slice(whole, row).same_bits(one) {
                    seen.depends_on_batch =
                        Some(format!("row {row} of {name} has other bits alone than among {rows}"));
                    return Ok(seen);
                }
            }
        }
    }
    Ok(seen)
}

/// True for an output, and for the gradient of an input that has rows.
fn in_batch(output: &str, batched: &[String]) -> bool {
    match output.strip_prefix('d') {
        Some(input) => batched.iter().any(|name| name == input),
        None => true,
    }
}

fn answer(reply: Reply) -> Option<Tensors> {
    match reply {
        Reply::Ok(answer) => Some(answer),
        _ => None,
    }
}

fn differing(a: &Tensors, b: &Tensors) -> Option<String> {
    a.iter().find(|(name, a)| b.get(*name).is_none_or(|b| !a.same_bits(b))).map(|(n, _)| n.clone())
}

fn slice(tensor: &Tensor, row: usize) -> Tensor {
    let size: usize = tensor.shape[1..].iter().product();
    let values = tensor.values[row * size..(row + 1) * size].to_vec();
    Tensor { dtype: tensor.dtype, shape: [&[1], &tensor.shape[1..]].concat(), values }
}

/// The same call with one row of every batched tensor.
fn alone(call: &Call, batched: &[String], row: usize) -> Call {
    let mut call = call.clone();
    for name in batched {
        if let Some(tensor) = call.tensors.get_mut(name) {
            *tensor = slice(tensor, row);
        }
    }
    call.id += &format!(",row={row}");
    call
}
