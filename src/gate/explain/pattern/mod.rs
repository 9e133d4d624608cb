//! Which part of an answer is off, and how: what came and what should have, laid side by side.
//!
//! A failure that no model explains is at least described: `change` says what was done to the
//! numbers (half of what they should be, 0, a copy of x, transposed), `place` says where (columns
//! from 64 on, the last row, where the mask is 0). What is said is true of every wrong element.

mod change;
mod place;

use crate::check::judge::quotient;
use crate::check::trial::Trial;

/// The failures of one kind that a description is looked for in.
const FAILURES: usize = 6;

/// What came and what should have of one tensor, in rows of its last axis.
struct Sides<'a> {
    got: &'a [f64],
    want: &'a [f64],
    bound: &'a [f64],
    shape: &'a [usize],
    /// True for an element that is wrong.
    wrong: Vec<bool>,
}

impl Sides<'_> {
    /// The wrong elements.
    fn places(&self) -> impl Iterator<Item = usize> + '_ {
        (0..self.wrong.len()).filter(|&i| self.wrong[i])
    }
    fn cols(&self) -> usize {
        self.shape.last().copied().unwrap_or(1).max(1)
    }
    /// True where every wrong element is what `said` makes of it, within its bounds.
    fn all(&self, said: impl Fn(usize) -> f64) -> bool {
        self.places().all(|i| self.close(i, said(i)))
    }
    /// True where what came is this value, as far as bounds tell.
    fn close(&self, i: usize, value: f64) -> bool {
        let (got, room) = (self.got[i], self.bound[i]);
        if !got.is_finite() || !value.is_finite() {
            return got == value || (got.is_nan() && value.is_nan());
        }
        // A bound scales with what it bounds.
        let scale = if self.want[i] == 0.0 { 1.0 } else { (value / self.want[i]).abs().max(1.0) };
        (got - value).abs() <= if room.is_finite() { room * scale } else { 0.0 }
    }
}

/// Says in a sentence which part of the answers is off, the same for all failures given; the first is
/// described where they have nothing in common.
pub fn describe(failures: &[&Trial], earlier: Option<&Trial>) -> Option<String> {
    let mut largest: Vec<&Trial> =
        failures.iter().copied().filter(|t| sides(t).is_some()).collect();
    // A large problem tells more of where, and one wrong element tells nothing of what.
    let wrong = |t: &&Trial| sides(t).map_or(0, |sides| sides.places().count());
    largest.sort_by_key(|t| std::cmp::Reverse(wrong(t)));
    largest.truncate(FAILURES);
    let first = *largest.first()?;
    let told = |trial: &Trial| {
        let sides = sides(trial)?;
        change::of(&sides, trial, earlier)
    };
    let what = told(first).filter(|what| {
        // A constant of one problem is a chance of another.
        largest[1..].iter().all(|t| told(t).is_none_or(|other| other.kind == what.kind))
    });
    let places: Vec<Option<String>> =
        largest.iter().map(|t| sides(t).and_then(|sides| place::of(&sides, t))).collect();
    // The place that most failures name, of those the largest names first.
    let count = |place: &Option<String>| places.iter().filter(|other| *other == place).count();
    let named = places.iter().filter(|place| place.is_some());
    let place = named.rev().max_by_key(|place| count(place)).cloned().flatten();
    match (what, place) {
        (Some(what), Some(place)) => Some(format!("{} {place}", what.words)),
        (Some(what), None) => Some(what.words),
        (None, Some(place)) => Some(format!("wrong {place}")),
        (None, None) => None,
    }
}

/// The tensor that is wrong.
fn sides(trial: &Trial) -> Option<Sides<'_>> {
    let name = trial.flaw.as_ref()?.tensor.as_ref()?;
    let got = trial.answer.as_ref()?.get(name)?;
    let expected = trial.expected.iter().find(|expected| expected.name == *name)?;
    if got.values.len() != expected.truth.len() {
        return None;
    }
    let wrong = |(i, &value): (usize, &f64)| quotient(expected, i, value, expected.worst[i]) > 1.0;
    Some(Sides {
        got: &got.values,
        want: &expected.truth,
        bound: &expected.worst,
        shape: &expected.shape,
        wrong: got.values.iter().enumerate().map(wrong).collect(),
    })
}
