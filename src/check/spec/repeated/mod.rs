//! Problems of production sizes, whose right answer costs little.
//!
//! A problem of thousands of rows and columns is made of few distinct rows (columns, output features,
//! keys), each of which is repeated many times over, in an order that is drawn. The oracle answers
//! the few, and each place that is summed over counts as often as it is repeated, so that every
//! element of the answer has its truth and its bound. Where a causal mask or a mask makes every
//! query of attention another one, the truth is that of the queries and keys sampled, and properties
//! hold for the rest.

mod attention;
mod layout;
mod places;

use std::collections::BTreeMap;

pub use layout::{NOWHERE, repeated};
pub use places::edges;

use super::case::{Case, Rows};
use super::operator::Times;
use crate::check::call::Call;
use crate::check::tensor::{Dtype, Tensor};
use crate::rng::Rng;
use layout::Found;
use places::Places;

/// A large problem, and the small one that says what is right.
pub struct Large {
    /// Its case.
    pub case: Case,
    /// What is asked.
    pub call: Call,
    /// What the oracle answers.
    pub small: Call,
    /// How many equal places each of its places stands for.
    pub times: Times,
    /// Where the places of an output are in an answer to the small problem.
    found: Found,
}

impl Large {
    /// The problem of a case whose kind is [`Rows::Repeated`].
    pub fn new(case: &Case) -> Large {
        let mut rng = dice(case);
        let (mut small, places) = few(case, &mut rng);
        for &(tensor, axis) in layout::raised(case.op) {
            raise(case, &mut small, tensor, axis, &places[axis]);
        }
        if case.op == "attention" {
            return attention::large(case, small, &places, &mut rng);
        }
        let found: Found = (places.iter())
            .map(|(&axis, places)| (axis, places.of.iter().map(|&kind| Some(kind)).collect()))
            .collect();
        let times = places.into_iter().map(|(axis, places)| (axis, places.times)).collect();
        let call = widened(case, &small, &found);
        Large { case: case.clone(), call, small, times, found }
    }

    /// Where each element of a tensor of the answer is in the small one; [`NOWHERE`] where it is not.
    pub fn places(&self, tensor: &str, long: &[usize], short: &[usize]) -> Vec<u32> {
        layout::places(long, short, &axes(&self.case, tensor), &self.found)
    }

    /// The shape of a tensor of the answer, given that of the small one.
    pub fn long_shape(&self, tensor: &str, short: &[usize]) -> Vec<usize> {
        long_shape(&self.case, tensor, short, &self.found)
    }
}

fn axes(case: &Case, tensor: &str) -> Vec<&'static str> {
    let batched = case.sizes.get("batch").is_some_and(|&batch| batch > 1);
    layout::axes(case.op, tensor, batched)
}

/// The shape of a tensor of the large problem.
fn long_shape(case: &Case, tensor: &str, short: &[usize], found: &Found) -> Vec<usize> {
    let axes = axes(case, tensor);
    let long = |(dim, &len): (usize, &usize)| {
        axes.get(dim).and_then(|axis| found.get(axis)).map_or(len, Vec::len)
    };
    short.iter().enumerate().map(long).collect()
}

/// The large problem of a small one.
fn widened(case: &Case, small: &Call, found: &Found) -> Call {
    let tensors = small.tensors.iter().map(|(name, tensor)| {
        let shape = long_shape(case, name, &tensor.shape, found);
        let places = layout::places(&shape, &tensor.shape, &axes(case, name), found);
        let values = places.into_iter().map(|place| tensor.values[place as usize]).collect();
        (name.clone(), Tensor { dtype: tensor.dtype, shape, values })
    });
    let tensors = tensors.collect();
    Call { tensors, attrs: case.operator().attributes(case), ..small.clone() }
}

/// Multiplies a tensor at the lone places of an axis, by as much as n roundings of n numbers hide.
fn raise(case: &Case, small: &mut Call, tensor: &str, axis: &str, places: &Places) {
    let axes = axes(case, tensor);
    let Some(dim) = axes.iter().position(|own| *own == axis) else { return };
    let Some(tensor) = small.tensors.get_mut(tensor).filter(|t| t.shape.len() > dim) else {
        return;
    };
    let n = places.of.len() as f64;
    let hidden = 16.0 * case.dtype.accumulator().unit() * n * n;
    // Products of two of them must stay numbers of 16 bits.
    let most: f64 = match case.dtype {
        Dtype::F16 => 8.0,
        Dtype::Bf16 => 64.0,
        _ => 4096.0,
    };
    let factor = hidden.max(16.0).log2().ceil().exp2().min(most);
    let (len, inner) = (tensor.shape[dim], tensor.shape[dim + 1..].iter().product::<usize>());
    for (i, value) in tensor.values.iter_mut().enumerate() {
        if places.lone.contains(&(i / inner % len)) {
            *value = tensor.dtype.round(*value * factor);
        }
    }
}

/// True for a case whose few places are repeated.
pub fn holds(case: &Case) -> bool {
    case.kind == Rows::Repeated
}

/// The few places of a case as a problem of their own, and how its places repeat them.
fn few(case: &Case, rng: &mut Rng) -> (Call, BTreeMap<&'static str, Places>) {
    let mut few = case.clone();
    let mut places = BTreeMap::new();
    for &(axis, kinds) in layout::repeated(case.op) {
        let kinds = if case.dtype == Dtype::F64 { kinds.div_ceil(2) } else { kinds };
        let drawn = Places::draw(case.size(axis), kinds, rng);
        few.sizes.insert(axis, drawn.times.len());
        places.insert(axis, drawn);
    }
    let mut small = few.drawn();
    small.id = case.to_string();
    (small, places)
}

fn dice(case: &Case) -> Rng {
    Rng::new(case.seed).named(case.op).named("places")
}

/// True for a case that says nothing of sizes: every target must refuse it, or no row of it counts.
pub fn mute(case: &Case) -> bool {
    let (small, _) = few(case, &mut dice(case));
    let ignored = small.attrs.get("ignore_index").and_then(|label| label.as_f64());
    let counts = |target: &Tensor| target.values.iter().any(|&label| Some(label) != ignored);
    let target = small.tensors.get("target").or(small.tensors.get("targets"));
    case.operator().must_refuse(&small) || !target.is_none_or(counts)
}
