//! Stage 5 of a row: questions asked again between its cases, and promises probed after them.

use std::time::{Duration, Instant};

use crate::check::call::{Broken, Candidate, Hello, Served};
use crate::check::flaw::Flaw;
use crate::check::spec::case::Case;
use crate::check::trial::{self, Trial};
use crate::gate::explain::plainly;
use crate::gate::report::Promise;
use crate::gate::run::{Outcome, Subject, note};
use crate::gate::stages::determinism;

/// Questions of before that are asked again after every case.
const AGAIN: usize = 3;
/// Problems on which a promise is probed that nobody gave.
const UNCLAIMED: usize = 4;

impl Outcome {
    /// Questions of before once more, and now and then another one of the same shape.
    pub(super) fn again(
        &mut self,
        target: &mut dyn Candidate,
        served: &Served,
        next: Option<Case>,
    ) {
        let began = Instant::now();
        let before = (self.memory.asked, self.memory.failed.len());
        let twin = if self.row.cases.is_multiple_of(4) { next } else { None };
        let twin = twin.and_then(|case| self.memory.twin(&self.evidence, case, served));
        let twin = twin.map(|case| trial::put(target, served, &case));
        for _ in 0..AGAIN {
            self.memory.again(target, &self.evidence);
        }
        // What was not asked any more did not fail.
        let twin = twin.filter(|trial| !trial.late());
        let mut failed = self.memory.failed.split_off(before.1);
        failed.retain(|trial| !trial.late());
        let wrong = failed.len() + usize::from(twin.as_ref().is_some_and(|t| t.flaw.is_some()));
        self.tally(5, self.memory.asked - before.0 + usize::from(twin.is_some()), wrong, began);
        for trial in failed.iter().chain(&twin) {
            note(&mut self.failures, 5, trial);
        }
    }

    /// Whether promises are kept: on all of the plan's problems where they are claimed, else on a few.
    pub(super) fn determinism(
        &mut self,
        target: &mut dyn Candidate,
        subject: &Subject,
        hello: &Hello,
        seed: u64,
        (spent, deadline): (Duration, Option<Instant>),
    ) {
        let began = Instant::now();
        let Subject { operator, served, dir, dtypes, .. } = subject;
        let size = |t: &Trial| t.call.tensors.values().map(|t| t.values.len()).sum::<usize>();
        let mut right: Vec<&Trial> = self.evidence.iter().filter(|t| t.flaw.is_none()).collect();
        if right.is_empty() {
            return;
        }
        right.sort_by_key(|trial| std::cmp::Reverse(size(trial)));
        // What gives wrong results sees its rows change with the batch for that reason.
        let wide = match self.failures.is_empty() {
            true => determinism::wide(*operator, served, *dir, *dtypes, seed),
            false => Vec::new(),
        };
        // In turn, since time may be up before all of them were met.
        let mut cases: Vec<Case> = Vec::new();
        for i in 0..right.len().max(wide.len()) {
            cases.extend(wide.get(i).cloned());
            cases.extend(right.get(i).map(|trial| trial.case.clone()));
        }
        let claims = &hello.claims;
        let (most, time) = match claims.deterministic || claims.batch_invariant {
            true => (cases.len(), (spent / 2).max(Duration::from_secs(2))),
            false => (UNCLAIMED, (spent / 10).max(Duration::from_millis(200))),
        };
        let until = began + time;
        let until = deadline.map_or(until, |deadline| until.min(deadline));
        let seen = match determinism::observe(target, &cases, &subject.served.limits, most, until) {
            Ok(seen) => seen,
            Err(broken) => {
                let (case, broken) = *broken;
                if broken == Broken::Late {
                    return;
                }
                self.findings.push(plainly(5, &self.row, &case, &Flaw::from(&broken)));
                return self.tally(5, 1, 1, began);
            }
        };
        let (mut checks, mut failed) = (0, 0);
        for (kept, promise, claimed) in [
            (seen.deterministic, "deterministic", claims.deterministic),
            (seen.batch_invariant, "batch_invariant", claims.batch_invariant),
        ] {
            checks += kept.checks;
            let name = self.row.name();
            self.promises.push(Promise {
                subject: name.clone(),
                promise: promise.to_string(),
                claimed,
                problems: kept.problems,
                checks: kept.checks,
                kept: kept.broken.is_none(),
            });
            match kept.broken {
                Some((case, words)) if claimed => {
                    failed += 1;
                    let flaw = Flaw::wrong(format!("claims {promise}, but {words}"));
                    self.findings.push(plainly(5, &self.row, &case, &flaw));
                }
                Some((_, words)) => self.notes.push(format!("{name}: not {promise}: {words}")),
                None => {}
            }
        }
        self.tally(5, checks, failed, began);
    }
}
