//! The right answer to a problem of production size, and an answer judged by it.

mod properties;

use super::call::{Broken, Reply, Served};
use super::flaw::{Flaw, describe};
use super::judge::{self, Grade, Graded};
use super::oracle::{self, Expected};
use super::reading::Reading;
use super::spec::repeated::{Large, NOWHERE};
use super::tensor::{Tensor, Tensors};

impl Large {
    /// The right answer to the few.
    pub fn expect(&self, served: &Served) -> Vec<Expected> {
        match self.case.operator().must_refuse(&self.call) {
            true => Vec::new(),
            false => oracle::expect_repeated(
                &self.small,
                &self.times,
                &Reading::of(served, self.case.dtype),
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
            .map(|e| (e.name.as_str(), self.long_shape(&e.name, &e.shape), e.dtype))
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
            lawless =
                lawless.or_else(|| properties::broken(self, served, &expected.name, got, &places));
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
            ..Flaw::wrong(describe(g, failed.count()))
        });
        let composed = expected.iter().any(|expected| expected.composed);
        let beyond = || {
            let beyond = self.case.operator().beyond(&self.small, &few).into_iter().next();
            beyond.filter(|_| !composed)
        };
        let flaw = first.or(lawless).or_else(|| beyond().map(Flaw::wrong));
        (graded, flaw)
    }

    /// The right answer to all, where it is small enough to be looked at.
    pub fn spread(&self, expected: &[Expected]) -> Vec<Expected> {
        let all = expected.iter().map(|e| {
            let shape = self.long_shape(&e.name, &e.shape);
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
