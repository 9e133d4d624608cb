//! Attention of production sizes: keys and queries of a few kinds.
//!
//! Without causality and mask every query of a kind sees as many keys of each kind as any other, so
//! that the few say everything. Otherwise each query has counts of its own: those of some queries
//! are the mask of the small problem, whose entries say how many equal keys a query may attend to.

use std::collections::{BTreeMap, BTreeSet};

use super::layout::Found;
use super::places::{Places, edges};
use super::{Large, widened};
use crate::check::call::{Call, Dir};
use crate::check::spec::case::Case;
use crate::check::spec::operator::Times;
use crate::check::tensor::{Dtype, Tensor};
use crate::rng::Rng;

/// Queries up to which all of them are put to the oracle, heads counted.
const ALL: usize = 600;
/// How many are sampled otherwise, beside those at edges.
const SAMPLED: usize = 24;

/// The problem of a case from its few queries and keys.
pub fn large(
    case: &Case,
    mut small: Call,
    places: &BTreeMap<&'static str, Places>,
    rng: &mut Rng,
) -> Large {
    let (queries, keys) = (&places["queries"], &places["keys"]);
    lift(case, &mut small, keys);
    let drawn = small.tensors.remove("mask");
    let every =
        |places: &Places| -> Vec<Option<usize>> { places.of.iter().copied().map(Some).collect() };
    let all: Found = [("queries", every(queries)), ("keys", every(keys))].into();
    let mut call = widened(case, &small, &all);
    let (batch, long, wide) = (case.size("batch"), queries.of.len(), keys.of.len());
    if drawn.is_some() {
        let values = mask(batch * long, wide, rng);
        let shape = vec![batch, 1, long, wide];
        call.tensors.insert("mask".into(), Tensor { dtype: Dtype::U8, shape, values });
    }
    let causal = call.attrs["causal"] == true;
    if !causal && drawn.is_none() {
        let times: Times =
            [("queries", queries.times.clone()), ("keys", keys.times.clone())].into();
        return Large { case: case.clone(), call, small, times, found: all };
    }
    let heads = batch * case.size("kv_heads") * case.size("group");
    let whole = long * heads <= if case.dir == Dir::Bwd { ALL / 2 } else { ALL };
    let sampled: Vec<usize> = if whole { (0..long).collect() } else { sample(long, rng) };
    // How many keys of each kind a sampled query may attend to.
    let mut counts = Vec::with_capacity(batch * sampled.len() * keys.times.len());
    for b in 0..batch {
        for &i in &sampled {
            let mut count = vec![0.0; keys.times.len()];
            for (j, &kind) in keys.of.iter().enumerate() {
                let past = !causal || j + long <= i + wide;
                let open = |mask: &Tensor| mask.values[(b * long + i) * wide + j] != 0.0;
                count[kind] += f64::from(past && call.tensors.get("mask").is_none_or(open));
            }
            counts.extend(count);
        }
    }
    let kinds: Found = [("queries", sampled.iter().map(|&i| Some(queries.of[i])).collect())].into();
    let tensors = small.tensors.iter().map(|(name, tensor)| {
        let axes = super::layout::axes("attention", name, false);
        let mut shape = tensor.shape.clone();
        if let Some(dim) = axes.iter().position(|axis| *axis == "queries") {
            shape[dim] = sampled.len();
        }
        let places = super::layout::places(&shape, &tensor.shape, &axes, &kinds);
        let values = places.into_iter().map(|place| tensor.values[place as usize]).collect();
        (name.clone(), Tensor { dtype: tensor.dtype, shape, values })
    });
    small.tensors = tensors.collect();
    let shape = vec![batch, 1, sampled.len(), keys.times.len()];
    small.tensors.insert("mask".into(), Tensor { dtype: Dtype::U8, shape, values: counts });
    small.attrs.insert("causal".into(), false.into());
    // A key that is alone of its kind has a gradient of its own, where every query is there.
    let lone = |&kind: &usize| (whole && keys.lone.contains(&kind)).then_some(kind);
    let mut asked = vec![None; long];
    sampled.iter().enumerate().for_each(|(n, &i)| asked[i] = Some(n));
    let found: Found = [("queries", asked), ("keys", keys.of.iter().map(lone).collect())].into();
    Large { case: case.clone(), call, small, times: Times::new(), found }
}

/// The queries at edges and some others, in order.
fn sample(long: usize, rng: &mut Rng) -> Vec<usize> {
    let mut sampled: BTreeSet<usize> = edges(long, rng);
    sampled.insert(0);
    // One of every stretch, so that no block of them is missed.
    let stretch = long.div_ceil(SAMPLED);
    sampled
        .extend((0..long).step_by(stretch).map(|first| (first + rng.below(stretch)).min(long - 1)));
    sampled.into_iter().collect()
}

/// Gives the keys at edges a score of about ln(keys) with the first query of each head: among
/// thousands of keys it is half of the answer, and missed where it is left out.
fn lift(case: &Case, small: &mut Call, keys: &Places) {
    let [kv_heads, group, width] = ["kv_heads", "group", "width"].map(|axis| case.size(axis));
    let scale = small.attrs["scale"].as_f64().unwrap_or((width as f64).powf(-0.5));
    let q = small.tensors["q"].clone();
    let k = small.tensors.get_mut("k").expect("attention has keys");
    let (kinds, queries) = (k.shape[2], q.shape[2]);
    for head in 0..case.size("batch") * kv_heads {
        let (b, h) = (head / kv_heads, head % kv_heads * group);
        let first = (b * kv_heads * group + h) * queries * width;
        let query = &q.values[first..first + width];
        let size: f64 = query.iter().map(|q| q * q).sum();
        let factor = (keys.of.len() as f64).ln() / (scale * size);
        let largest = query.iter().fold(0.0f64, |most, q| most.max(q.abs()));
        if !factor.is_finite() || factor.abs() * largest > 8.0 {
            continue;
        }
        for &kind in &keys.lone {
            let at = (head * kinds + kind) * width;
            for (k, q) in k.values[at..at + width].iter_mut().zip(query) {
                *k = case.dtype.round(factor * q);
            }
        }
    }
}

/// Rows that are open, closed at their first or last keys, closed here and there or, rarely,
/// altogether.
fn mask(rows: usize, keys: usize, rng: &mut Rng) -> Vec<f64> {
    let mut mask = Vec::with_capacity(rows * keys);
    for _ in 0..rows {
        let (kind, at) = (rng.below(16), rng.below(keys + 1));
        let mut stride = rng.bits();
        mask.extend((0..keys).map(|j| {
            stride = stride.rotate_left(7) ^ 0x9e37_79b9_7f4a_7c15;
            f64::from(match kind {
                0 => false,
                1..=4 => true,
                5..=8 => j >= at,
                9..=12 => j < at,
                _ => stride & 3 > 0,
            })
        }));
    }
    mask
}
