//! Problems of production sizes, whose right answer costs little.
//!
//! A problem of thousands of rows and columns is made of few distinct rows (columns, output features,
//! keys), each of which is repeated many times over, in an order that is drawn. The oracle answers
//! the few, and each place that is summed over counts as often as it is repeated, so that every
//! element of the answer has its truth and its bound. Where a causal mask or a mask makes every
//! query of attention another one, the truth is that of the queries and keys sampled, and laws hold
//! for the rest.

pub mod asked;
mod attention;
mod laws;
mod layout;
mod places;
pub mod shapes;

pub use asked::Asked;
pub use places::edges;
pub use shapes::cases;

use layout::{Found, NOWHERE};
use places::Places;

use std::collections::BTreeMap;

use super::call::{Broken, Call, Candidate, Reply, Served};
use super::case::{Case, Kind};
use super::judge::{self, Grade, Graded};
use super::operator::Times;
use super::oracle::{self, Expected};
use super::tensor::{Dtype, Tensor, Tensors};
use super::trial::{self, Flaw, Trial};
use crate::rng::Rng;

/// Elements beyond which a trial keeps no tensors: what is kept is for readers and for models.
const KEPT: usize = 300_000;

/// A large problem, and the small one that says what is right.
pub struct Large {
    case: Case,
    /// What is asked.
    pub call: Call,
    /// What the oracle answers.
    small: Call,
    times: Times,
    /// Where the places of an output are in an answer to the small problem.
    found: Found,
}

impl Large {
    /// The problem of a case whose kind is [`Kind::Repeated`].
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

    /// The right answer to the few.
    pub fn expect(&self, served: &Served) -> Vec<Expected> {
        match self.case.operator().must_refuse(&self.call) {
            true => Vec::new(),
            false => oracle::expect_repeated(
                &self.small,
                &self.times,
                served.accumulator(self.case.dtype),
                &served.variant,
            ),
        }
    }

    /// Every tensor of an answer graded, and what is wrong with it.
    pub fn verdict(
        &self,
        served: &Served,
        expected: &[Expected],
        reply: &Result<Reply, Broken>,
    ) -> (Vec<Graded>, Option<Flaw>) {
        let reply = match reply {
            Ok(reply) => reply,
            Err(broken) => return (Vec::new(), Some(Flaw::from(broken))),
        };
        let wide: Vec<judge::Wanted> = expected
            .iter()
            .map(|e| {
                (e.name.as_str(), long_shape(&self.case, &e.name, &e.shape, &self.found), e.dtype)
            })
            .collect();
        let answer = match judge::answered(&self.call, &wide, reply) {
            Ok(Some(answer)) => answer,
            Ok(None) => return (Vec::new(), None),
            Err(why) => return (Vec::new(), Some(Flaw::wrong(why))),
        };
        let mut graded = Vec::new();
        let mut few = Tensors::new();
        let mut lawless = None;
        for expected in expected.iter().filter(|e| self.call.want.contains(&e.name)) {
            let got = &answer[&expected.name];
            let places = self.places(&expected.name, &got.shape, &expected.shape);
            let place = |i: usize| (places[i] != NOWHERE).then_some(places[i] as usize);
            graded.push(judge::grade_at(expected, got, place));
            lawless = lawless.or_else(|| laws::broken(self, served, &expected.name, got, &places));
            // One of the places that are equal stands for all of them.
            let mut values = expected.truth.clone();
            let each = got.values.iter().zip(&places).filter(|(_, place)| **place != NOWHERE);
            each.for_each(|(&value, &place)| values[place as usize] = value);
            let shape = expected.shape.clone();
            few.insert(expected.name.clone(), Tensor { dtype: got.dtype, shape, values });
        }
        let failed = graded.iter().filter(|g| g.grade == Grade::Fail);
        let first = failed.clone().next().map(|g| Flaw {
            tensor: Some(g.tensor.clone()),
            graded: Some(g.clone()),
            ..Flaw::wrong(trial::describe(g, failed.count()))
        });
        let beyond = || self.case.operator().beyond(&self.small, &few).into_iter().next();
        let flaw = first.or(lawless).or_else(|| beyond().map(Flaw::wrong));
        (graded, flaw)
    }

    fn places(&self, tensor: &str, long: &[usize], short: &[usize]) -> Vec<u32> {
        layout::places(long, short, &axes(&self.case, tensor), &self.found)
    }

    /// The right answer to all, where it is small enough to be looked at.
    fn spread(&self, expected: &[Expected]) -> Vec<Expected> {
        let all = expected.iter().map(|e| {
            let shape = long_shape(&self.case, &e.name, &e.shape, &self.found);
            let places = self.places(&e.name, &shape, &e.shape);
            let of = |values: &[f64], none: f64| -> Vec<f64> {
                let at =
                    |&place: &u32| if place == NOWHERE { none } else { values[place as usize] };
                places.iter().map(at).collect()
            };
            Expected {
                truth: of(&e.truth, 0.0),
                rest: of(&e.rest, 0.0),
                statistical: of(&e.statistical, f64::INFINITY),
                worst: of(&e.worst, f64::INFINITY),
                shape,
                ..e.clone()
            }
        });
        all.collect()
    }
}

/// Puts a large case to a target; the right answer is worked out meanwhile.
pub fn put(candidate: &mut dyn Candidate, served: &Served, case: &Case) -> Trial {
    let large = Large::new(case);
    let (expected, reply) = std::thread::scope(|scope| {
        let expected = scope.spawn(|| large.expect(served));
        let reply = candidate.run(&large.call);
        (expected.join().expect("the oracle answers every case"), reply)
    });
    let (graded, flaw) = large.verdict(served, &expected, &reply);
    let answer = match reply {
        Ok(Reply::Ok(answer)) => Some(answer),
        _ => None,
    };
    let count = |tensors: &Tensors| tensors.values().map(|t| t.values.len()).sum::<usize>();
    let small = count(&large.call.tensors) + answer.as_ref().map_or(0, count) <= KEPT;
    let expected = if small { large.spread(&expected) } else { Vec::new() };
    let mut call = large.call;
    if !small {
        call.tensors.clear();
    }
    // That there was an answer is kept, and no more.
    let answer = answer.map(|answer| if small { answer } else { Tensors::new() });
    Trial { case: case.clone(), call, expected, answer, graded, flaw }
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

/// True for a case that this module asks and judges.
pub fn holds(case: &Case) -> bool {
    case.kind == Kind::Repeated
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
fn mute(case: &Case) -> bool {
    let (small, _) = few(case, &mut dice(case));
    let ignored = small.attrs.get("ignore_index").and_then(|label| label.as_f64());
    let counts = |target: &Tensor| target.values.iter().any(|&label| Some(label) != ignored);
    let target = small.tensors.get("target").or(small.tensors.get("targets"));
    case.operator().must_refuse(&small) || !target.is_none_or(counts)
}
