//! What holds for every element of a large answer, those that the oracle was not asked of included.

use crate::check::call::{Dir, Served};
use crate::check::flaw::Flaw;
use crate::check::spec::operator::number;
use crate::check::spec::repeated::{Large, NOWHERE};
use crate::check::tensor::Tensor;

/// Elements of a block whose share of dropped ones is looked at.
const BLOCK: usize = 4096;

/// The property that an answer breaks.
pub fn broken(
    large: &Large,
    served: &Served,
    name: &str,
    got: &Tensor,
    places: &[u32],
) -> Option<Flaw> {
    let unknown = || (0..got.values.len()).filter(|&i| places[i] == NOWHERE);
    let wrong = |message: String| Flaw { tensor: Some(name.to_string()), ..Flaw::wrong(message) };
    let nan = served.variant.get("attention.empty_row").is_some_and(|side| side == "nan");
    if !nan && let Some(i) = unknown().find(|&i| !got.values[i].is_finite()) {
        return Some(wrong(format!("{name}[{i}] is {}, not a finite number", got.values[i])));
    }
    let biased = large.call.tensors.contains_key("bias");
    match large.case.op {
        // Where every open key has the least finite bias, nothing is left of the scores, nor of their
        // shares where those are taken from the logarithm of a sum.
        "attention" if name == "y" && biased => None,
        "attention" if name == "y" => outside(large, got, places).map(wrong),
        "dropout" => share_of_blocks(large, got).map(wrong),
        _ => None,
    }
}

/// An answer of attention is a mean of values: between the least and the largest of its head.
fn outside(large: &Large, y: &Tensor, places: &[u32]) -> Option<String> {
    let v = &large.call.tensors["v"];
    let [_, heads, queries, width] = y.shape[..] else { return None };
    let (kv_heads, keys) = (v.shape[1], v.shape[2]);
    let unit = large.call.dtype.accumulator().unit();
    for head in 0..v.shape[0] * heads {
        let (b, h) = (head / heads, head % heads * kv_heads / heads);
        let own = &v.values[(b * kv_heads + h) * keys * width..][..keys * width];
        // A row without an open key is 0.
        let mut range = vec![(0.0f64, 0.0f64); width];
        for row in own.chunks_exact(width) {
            let each = range.iter_mut().zip(row);
            each.for_each(|(r, &v)| *r = (r.0.min(v), r.1.max(v)));
        }
        for n in head * queries * width..(head + 1) * queries * width {
            let ((least, most), value) = (range[n % width], y.values[n]);
            let size = least.abs().max(most.abs());
            // Each score of hundreds errs by as many units, and each sum by one a term.
            let room = size * ((2 * keys + 2000) as f64 * unit + 2.0 * y.dtype.unit());
            if places[n] == NOWHERE
                && !(least - room..=most + room).contains(&value)
                && !value.is_nan()
            {
                return Some(format!(
                    "y[{n}] is {value}: no mean of values from {least} to {most}"
                ));
            }
        }
    }
    None
}

/// In every block of elements about a share p is dropped; the odds against a right one being found
/// wrong are 10⁹ to 1 a problem.
fn share_of_blocks(large: &Large, left: &Tensor) -> Option<String> {
    let rate = number(&large.call.attrs, "p");
    if large.call.attrs["training"] != true || rate == 0.0 || rate == 1.0 {
        return None;
    }
    let given = if large.call.dir == Dir::Fwd { "x" } else { "dy" };
    let given = &large.call.tensors[given].values;
    let blocks = left.values.chunks_exact(BLOCK).zip(given.chunks_exact(BLOCK));
    for (n, (left, given)) in blocks.enumerate() {
        let there = given.iter().filter(|x| **x != 0.0).count() as f64;
        let gone = given.iter().zip(left).filter(|(x, y)| **x != 0.0 && **y == 0.0).count() as f64;
        let apart = 8.0 * (there * rate * (1.0 - rate)).sqrt() + 8.0;
        if (gone - there * rate).abs() > apart {
            let first = n * BLOCK;
            return Some(format!(
                "of the {there} elements from [{first}] {gone} are dropped, not {:.0} ± {apart:.0}",
                there * rate
            ));
        }
    }
    None
}
