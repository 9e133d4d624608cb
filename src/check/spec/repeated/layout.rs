//! Which axes of an operator's tensors are made of few distinct places.

use std::collections::BTreeMap;

use crate::check::spec::norm_of_rows;

/// An axis that is repeated, and of how many kinds its places are.
pub type Repeated = (&'static str, usize);

/// The axes of an operator that are repeated; none where the whole problem is put to the oracle.
pub fn repeated(op: &str) -> &'static [Repeated] {
    match op {
        norm if norm_of_rows(norm) => &[("rows", 8)],
        "softmax" | "activation" | "weight_standardize" | "adamw" | "clip_grad_norm" => {
            &[("rows", 8)]
        }
        "cross_entropy" => &[("rows", 4)],
        "batch_norm" => &[("cols", 6)],
        "linear" => &[("rows", 6), ("out", 10)],
        "feed_forward" => &[("rows", 4), ("hidden", 10)],
        "attention" => &[("queries", 6), ("keys", 20)],
        _ => &[],
    }
}

/// The axis that each dimension of a tensor lies along, as far as it is one that is repeated: `""`
/// for another. A gradient lies as its tensor does.
fn along(op: &str, tensor: &str) -> Option<&'static [&'static str]> {
    Some(match (op, tensor) {
        ("batch_norm", "x" | "y") => &["", "cols"],
        ("batch_norm", _) => &["cols"],
        ("weight_standardize", "weight" | "gain" | "y") => &["rows"],
        ("cross_entropy", "logits" | "target" | "loss") => &["rows"],
        ("linear", "weight" | "bias") => &["out"],
        ("linear", "y") => &["rows", "out"],
        ("feed_forward", "up" | "gate") => &["hidden"],
        ("feed_forward", "down") => &["", "hidden"],
        ("attention", "q" | "y") => &["", "", "queries"],
        ("attention", "k" | "v") => &["", "", "keys"],
        ("attention", "bias" | "mask") => &["", "", "queries", "keys"],
        ("adamw", "p" | "g" | "m" | "v") => &["rows"],
        ("clip_grad_norm", "g0" | "g2") => &["rows"],
        (_, "x" | "y") => &["rows"],
        _ => return None,
    })
}

/// The same of any tensor of a call, inputs and outputs; `batched` where a leading axis is there
/// that the operator has for several batches only.
pub fn axes(op: &str, tensor: &str, batched: bool) -> Vec<&'static str> {
    let known = |name: &str| (!repeated(op).is_empty()).then(|| along(op, name)).flatten();
    let gradient = tensor.strip_prefix('d').and_then(known);
    let axes = gradient.or_else(|| known(tensor)).unwrap_or(&[]);
    let leading = batched && op != "attention" && axes.first() == Some(&"rows");
    [if leading { &[""][..] } else { &[] }, axes].concat()
}

/// Tensors that are made large at the edges of an axis, so that a sum along it that leaves an edge
/// out is wrong by more than its roundings.
pub fn raised(op: &str) -> &'static [(&'static str, &'static str)] {
    match op {
        norm if norm_of_rows(norm) => &[("dy", "rows")],
        "linear" => &[("dy", "rows"), ("dy", "out")],
        "feed_forward" => &[("dy", "rows"), ("down", "hidden")],
        "attention" => &[("dy", "queries")],
        "clip_grad_norm" => &[("g0", "rows")],
        _ => &[],
    }
}

/// For each axis, where each of its places is found in a smaller tensor; `None` where nowhere.
pub type Found = BTreeMap<&'static str, Vec<Option<usize>>>;

/// No place.
pub const NOWHERE: u32 = u32::MAX;

/// For every element of a tensor of shape `long`, in order, the element of the one of shape `short`
/// that it is equal to.
pub fn places(long: &[usize], short: &[usize], axes: &[&str], found: &Found) -> Vec<u32> {
    let mut places = vec![0u32];
    for (dim, (&len, &kinds)) in long.iter().zip(short).enumerate() {
        let map = axes.get(dim).and_then(|axis| found.get(axis));
        let mut next = Vec::with_capacity(places.len() * len);
        for place in places {
            let first = place.checked_mul(kinds as u32).filter(|_| place != NOWHERE);
            next.extend((0..len).map(|i| {
                let own = map.map_or(Some(i), |map| map[i]);
                first.zip(own).map_or(NOWHERE, |(first, own)| first + own as u32)
            }));
        }
        places = next;
    }
    places
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_element_is_found_where_its_places_are() {
        let found = Found::from([("rows", vec![Some(0), Some(1), Some(0), None])]);
        assert_eq!(
            places(&[4, 2], &[2, 2], &["rows"], &found),
            [0, 1, 2, 3, 0, 1, NOWHERE, NOWHERE]
        );
        assert_eq!(places(&[], &[], &[], &found), [0]);
    }

    #[test]
    fn gradients_lie_as_their_tensors() {
        assert_eq!(axes("feed_forward", "down", false), ["", "hidden"]);
        assert_eq!(axes("feed_forward", "ddown", false), ["", "hidden"]);
        assert_eq!(axes("feed_forward", "dup", false), ["hidden"]);
        assert_eq!(axes("linear", "dy", true), ["", "rows", "out"]);
        assert_eq!(axes("batch_norm", "dx", false), ["", "cols"]);
        assert_eq!(axes("batch_norm", "dbias", false), ["cols"]);
        assert!(axes("layer_norm", "dweight", false).is_empty());
    }
}
