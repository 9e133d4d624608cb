//! Argument liveness: every attribute and every optional tensor, moved off its default, changes the
//! answer as the oracle says, which may be not at all.

use super::call::{Candidate, Served};
use super::case::{Case, Kind, Upstream};
use super::report::Fault;
use super::trial::{self, Trial};

/// A trial of this stage and, where it failed, what argument was moved.
pub struct Moved {
    /// The trial with the argument moved.
    pub trial: Trial,
    /// What was moved, `eps = 0.1`.
    pub what: String,
    /// True where the answer is what it was before although the truth has changed.
    pub dead: bool,
}

/// Moves every argument of a plain case, one at a time.
pub fn check(candidate: &mut dyn Candidate, served: &Served, plain: &Case) -> Vec<Moved> {
    let operator = plain.operator();
    let mut base = plain.clone();
    base.kind = Kind::TinyVariance;
    base.upstream = Upstream::Normal;
    for axis in operator.axes() {
        // Some rows and columns, none of them large.
        let modest = axis.sizes.iter().copied().filter(|&size| size <= 8).max();
        base.sizes.insert(axis.name, modest.unwrap_or(base.sizes[axis.name]));
    }
    let columns = served.limits.max_columns.unwrap_or(usize::MAX);
    for size in base.sizes.values_mut() {
        *size = (*size).min(columns);
    }
    let mut moves: Vec<(String, Case)> = Vec::new();
    for attr in operator.attrs() {
        for value in attr.values.iter().map(|value| value.json()) {
            let allowed = served.attrs.get(attr.name).is_none_or(|s| s.contains(&value));
            if allowed && base.attrs[attr.name] != value {
                let mut moved = base.clone();
                moved.attrs.insert(attr.name.to_string(), value.clone());
                moves.push((format!("{} = {}", attr.name, super::shrink::plain(&value)), moved));
            }
        }
    }
    for slot in operator.slots(&base).into_iter().filter(|slot| slot.optional) {
        if served.optional.as_ref().is_none_or(|known| known.contains(&slot.name)) {
            let mut moved = base.clone();
            moved.absent.insert(slot.name.clone());
            moves.push((format!("{} absent", slot.name), moved));
        }
    }
    let before = trial::put(candidate, served, &base);
    let moved = moves.into_iter().map(|(what, case)| {
        let trial = trial::put(candidate, served, &case);
        let dead = trial.flaw.is_some() && same(&before, &trial);
        Moved { trial, what, dead }
    });
    moved.collect()
}

/// True where two answers are the same although two truths are not.
fn same(before: &Trial, after: &Trial) -> bool {
    let (Some(a), Some(b)) = (&before.answer, &after.answer) else { return false };
    let wrong = after.flaw.as_ref().is_some_and(|flaw| flaw.fault == Fault::Wrong);
    wrong && b.iter().all(|(name, b)| a.get(name).is_some_and(|a| a.same_bits(b)))
}
