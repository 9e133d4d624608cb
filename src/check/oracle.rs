//! What a right answer is: the truth of every element, and how far off it may be.

use super::call::{Call, Dir};
use super::reading::Reading;
use super::spec::operator::{Named, Problem, Times};
use super::spec::truth::{answer, operator};
use super::tensor::Dtype;
use crate::num::Dd;
use crate::num::Num;
use crate::num::bound::{self, Bound, DEVIATIONS};

/// One tensor of a right answer.
#[derive(Debug, Clone)]
pub struct Expected {
    /// Its name.
    pub name: String,
    /// What it must be stored as.
    pub dtype: Dtype,
    /// Its sizes.
    pub shape: Vec<usize>,
    /// The truth.
    pub truth: Vec<f64>,
    /// What `truth` leaves of it, below a unit in the last place of `f64`.
    pub rest: Vec<f64>,
    /// The statistical bound: grade A.
    pub statistical: Vec<f64>,
    /// The worst-case bound: grade B.
    pub worst: Vec<f64>,
    /// Whether it is of a composition that writes every step: which bits those leave is not foretold.
    pub composed: bool,
}

/// The tensors of a full answer to a call, with their bounds.
pub fn expect(call: &Call, reading: &Reading) -> Vec<Expected> {
    expect_repeated(call, &Times::new(), reading)
}

/// The same of a problem whose places stand for several equal ones each.
pub fn expect_repeated(call: &Call, times: &Times, reading: &Reading) -> Vec<Expected> {
    let own = reading.read(call);
    let (call, operator) = (own.as_ref().unwrap_or(call), operator(call));
    let variant = reading.variant;
    let read = || match call.dtype {
        Dtype::F64 => {
            let problem = Problem::<Bound<Dd>>::exact(call, variant).repeated(times);
            bounded(call, operator.longest_sum(call), answer(operator, call.dir, &problem), |v| {
                v.lo
            })
        }
        _ => {
            let problem = Problem::<Bound>::exact(call, variant).repeated(times);
            bounded(call, operator.longest_sum(call), answer(operator, call.dir, &problem), |_| 0.0)
        }
    };
    let coarse = reading.coarse(call.dtype);
    let mut expected = bound::at_unit(reading.accumulate.unit(), || bound::coarsely(coarse, read));
    expected.iter_mut().for_each(|expected| expected.composed = coarse.stored.is_some());
    expected
}

/// What an output is stored as: a gradient and an updated tensor as that tensor, all else as x.
pub fn dtype_of(call: &Call, output: &str) -> Dtype {
    let own = call.tensors.get(output);
    let primal = output.strip_prefix('d').and_then(|name| call.tensors.get(name));
    match (call.dir, own, primal) {
        (Dir::Bwd, _, Some(tensor)) | (Dir::Fwd, Some(tensor), _) => tensor.dtype,
        _ => call.dtype,
    }
}

/// What was read at numbers with bounds, as expectations.
pub fn bounded<V: Num>(
    call: &Call,
    longest_sum: Option<usize>,
    answer: Vec<Named<Bound<V>>>,
    rest: impl Fn(V) -> f64,
) -> Vec<Expected> {
    let tensors = answer.into_iter().map(|named| {
        let dtype = dtype_of(call, &named.name);
        // One more rounding for the output, and what is subnormal may be flushed to 0.
        let stored = |bound: &Bound<V>, error: f64| {
            error + dtype.unit() * (bound.v.value().abs() + error) + dtype.smallest_normal()
        };
        let worst = |bound: &Bound<V>| match longest_sum {
            // n coherent roundings are √n times as much as n independent ones.
            Some(n) => bound.worst.min(DEVIATIONS * (n as f64).sqrt() * bound.spread),
            None => bound.worst,
        };
        let statistical =
            |bound: &Bound<V>| stored(bound, worst(bound).min(DEVIATIONS * bound.spread));
        Expected {
            dtype,
            composed: false,
            truth: named.data.iter().map(|bound| bound.v.value()).collect(),
            rest: named.data.iter().map(|bound| rest(bound.v)).collect(),
            statistical: named.data.iter().map(statistical).collect(),
            worst: named.data.iter().map(|bound| stored(bound, worst(bound))).collect(),
            name: named.name,
            shape: named.shape,
        }
    });
    tensors.collect()
}
