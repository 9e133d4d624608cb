//! Argument liveness: every attribute and every optional tensor, moved off its default, changes the
//! answer as the oracle says, which may be not at all.

use crate::check::call::{Candidate, Dir};
use crate::check::flaw::Fault;
use crate::check::scope::Scope;
use crate::check::spec::case::{Rows, Upstream};
use crate::check::tensor::Dtype;
use crate::check::trial::{self, Trial};

/// A trial of this stage and, where it failed, what argument was moved.
pub struct Moved {
    /// The trial with the argument moved.
    pub trial: Trial,
    /// What was moved, `eps = 0.1`.
    pub what: String,
    /// True where the answer is what it was before although the truth has changed.
    pub dead: bool,
}

/// Moves every argument of a plain case, one at a time, to whatever else is served.
pub fn check(
    candidate: &mut dyn Candidate,
    scope: &Scope,
    dir: Dir,
    dtypes: (Dtype, Dtype),
) -> Vec<Moved> {
    let served = &scope.served;
    let mut base = scope.modest(dir, dtypes);
    (base.kind, base.upstream) = (Rows::TinyVariance, Upstream::Normal);
    let moves = scope.moves(&base);
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
