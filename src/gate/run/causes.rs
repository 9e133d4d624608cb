//! What is wrong, one finding per cause.
//!
//! A fault shows in many rows: in every dtype, in the backward of a wrong forward, in every operator
//! of an adapter that cannot load its library. A failure is laid to a cause that is known where that
//! is shown and not merely likely: the smallest counterexample fails in the other dtype by as much, the same
//! model explains both, forward fails wherever backward does and no model tells them apart, or the
//! target says the same words. What is shown by none of these is explained on its own.

use std::time::Instant;

use super::budget::{Budget, Hurried};
use super::outcome::Outcome;
use crate::check::call::{Candidate, Dir, Hello, Served};
use crate::check::flaw::Fault;
use crate::check::judge::Graded;
use crate::check::spec::case::{Case, Upstream};
use crate::check::trial::{self, Trial};
use crate::gate::explain::Failures;
use crate::gate::explain::diagnose::diagnose;
use crate::gate::explain::{explain, plainly};
use crate::gate::report::{Affected, Cut, Finding, Likeness};

/// Stages that say what is wrong in words: no counterexample of theirs can be put to another dtype.
const IN_WORDS: std::ops::RangeInclusive<u8> = 4..=6;
/// Right answers of a forward that the explanation of its backward is held against.
const FORWARD: usize = 8;
/// Failing backward cases whose forward is looked at.
const LOOKED_AT: usize = 4;

/// The causes that are known.
#[derive(Default)]
pub(super) struct Causes {
    /// One finding for each.
    pub(super) findings: Vec<Finding>,
    /// What the gradients say, which is news only where nothing else is wrong with the operator.
    gradients: Vec<Finding>,
    /// What was answered rightly forward.
    forward: Vec<Trial>,
}

impl Causes {
    /// Finds the causes of what failed in a row; `told` hears of each that is new.
    pub(super) fn settle(
        &mut self,
        target: &mut dyn Candidate,
        hello: &Hello,
        budget: &Budget,
        outcome: &mut Outcome,
        told: &dyn Fn(&Finding),
    ) {
        let served = &hello.ops[&outcome.row.op];
        let mut failures = std::mem::take(&mut outcome.failures);
        // A wrong number says most, and what it explains need not be explained again.
        failures.sort_by_key(|failure| failure.flaw.graded.is_none());
        for failure in failures {
            if outcome.mute() {
                let mut finding =
                    plainly(failure.stage, &outcome.row, &failure.first.case, &failure.flaw);
                finding.times = failure.times;
                self.add_said(finding, true, told);
                continue;
            }
            let outcome = &mut *outcome;
            let finding = budget.explaining(|until| {
                let mut target = Hurried::new(target, Some(until));
                if let Some(known) = self.known(&mut target, served, &failure, outcome) {
                    known.affects.push(affected(&failure, outcome));
                    return None;
                }
                let row = &outcome.row;
                let same = |trial: &&Trial| {
                    let (op, dtype) = (trial.case.op, trial.case.dtype);
                    row.dir == Dir::Bwd && (op, dtype) == (row.op.as_str(), row.dtype)
                };
                let forward: Vec<&Trial> = self.forward.iter().filter(same).collect();
                let evidence = (&outcome.evidence[..], &forward[..]);
                let mut finding = explain(&mut target, served, &failure, evidence, row, until);
                if Instant::now() >= until {
                    // A rule that was read off a part of the sizes need not hold.
                    finding.when.clear();
                    let what = "a part of the explanation".to_string();
                    let (subject, why) = (row.name(), "time was up".to_string());
                    outcome.cut.push(Cut { subject, what, why });
                }
                Some(finding)
            });
            if let Some(finding) = finding {
                told(&finding);
                self.findings.push(finding);
            }
        }
        for finding in std::mem::take(&mut outcome.findings) {
            match finding.stage {
                4 => self.gradients.push(finding),
                _ => self.add_said(finding, false, told),
            }
        }
        let right = outcome.evidence.drain(..).filter(|trial| trial.flaw.is_none());
        if outcome.row.dir == Dir::Fwd {
            self.forward.extend(right.take(FORWARD));
        }
    }

    /// Settles what waited for everything else, `broken` where no call at all was answered.
    pub(super) fn finish(mut self, broken: bool, told: &dyn Fn(&Finding)) -> Vec<Finding> {
        for finding in std::mem::take(&mut self.gradients) {
            let op = op(&finding.subject);
            let wrong =
                |own: &&mut Finding| own.fault == Fault::Wrong && self::op(&own.subject) == op;
            match self.findings.iter_mut().find(wrong) {
                Some(cause) => cause.affects.push(of(&finding)),
                None => {
                    told(&finding);
                    self.findings.push(finding);
                }
            }
        }
        if broken {
            self.unite();
        }
        self.findings
    }

    /// A finding in words: one of the same words is the same cause. What a target that never answers
    /// says is no matter of its operators.
    fn add_said(&mut self, finding: Finding, mute: bool, told: &dyn Fn(&Finding)) {
        let same = |own: &&mut Finding| {
            let near = mute || op(&own.subject) == op(&finding.subject);
            let kind = (own.fault, own.stage > 3) == (finding.fault, finding.stage > 3);
            near && kind
                && own.tensor == finding.tensor
                && gist(&own.message) == gist(&finding.message)
        };
        match self.findings.iter_mut().find(same) {
            Some(known) => known.affects.push(of(&finding)),
            None => {
                told(&finding);
                self.findings.push(finding);
            }
        }
    }

    /// The cause of a failure among those that are known.
    fn known(
        &mut self,
        target: &mut dyn Candidate,
        served: &Served,
        failure: &Failures,
        outcome: &Outcome,
    ) -> Option<&mut Finding> {
        let op = &outcome.row.op;
        let causes = self.findings.iter_mut().filter(|cause| self::op(&cause.subject) == op);
        let mut like: Option<Vec<String>> = None;
        for cause in causes
            .filter(|cause| cause.fault == failure.flaw.fault && !IN_WORDS.contains(&cause.stage))
        {
            let numbers = (cause.worst.is_some(), failure.flaw.graded.is_some());
            let same = match numbers {
                (false, false) => gist(&cause.message) == gist(&failure.flaw.message),
                (true, true) => {
                    let mut models = || {
                        like.get_or_insert_with(|| {
                            let all: Vec<&Trial> = outcome.evidence.iter().collect();
                            diagnose(&all, served).as_ref().map_or(Vec::new(), names)
                        })
                        .clone()
                    };
                    same_numbers(target, served, cause, failure, outcome, &mut models)
                }
                _ => false,
            };
            if same {
                return Some(cause);
            }
        }
        None
    }

    /// All that a target says which never answers, as the one finding that it is.
    fn unite(&mut self) {
        let mut all = std::mem::take(&mut self.findings).into_iter();
        let Some(mut first) = all.next() else { return };
        for finding in all {
            first.affects.push(of(&finding));
            first.affects.extend(finding.affects);
        }
        if let Some(said) = first.message.strip_prefix("answered error: ") {
            // Nothing is known of its results: it is the adapter that is at fault.
            first.fault = Fault::Protocol;
            first.message = format!("the adapter answers every call with an error: {said}");
        } else if let Some(said) = first.message.strip_prefix("answered unsupported") {
            first.message = format!("the adapter answers every call with unsupported{said}");
        }
        self.findings = vec![first];
    }
}

/// True where a cause that is known explains numbers that are wrong.
fn same_numbers(
    target: &mut dyn Candidate,
    served: &Served,
    cause: &Finding,
    failure: &Failures,
    outcome: &Outcome,
    models: &mut dyn FnMut() -> Vec<String>,
) -> bool {
    let Ok(mut known) = smallest(cause).parse::<Case>() else { return false };
    let row = &outcome.row;
    let flaw = &failure.flaw;
    if known.dir == row.dir && cause.tensor == flaw.tensor {
        // The same fault in another dtype: its smallest counterexample fails there as well.
        (known.dtype, known.params_dtype) = (row.dtype, row.params_dtype);
        let trial = trial::put(target, served, &known);
        let own = trial.flaw.filter(|own| own.resembles(flaw)).and_then(|own| own.graded);
        if own.zip(cause.worst.as_ref()).is_some_and(|(own, first)| alike(&own, first)) {
            return true;
        }
    }
    let models = models();
    if let Some(like) = &cause.behaves_like
        && !models.is_empty()
    {
        return names(like).iter().any(|name| models.contains(name));
    }
    if (known.dir, row.dir) != (Dir::Fwd, Dir::Bwd) || !models.is_empty() {
        return false;
    }
    let mut forward = |trial: &Trial| {
        let case = Case {
            dir: Dir::Fwd,
            upstream: Upstream::Whole,
            given: Default::default(),
            ..trial.case.clone()
        };
        let trial = trial::put(target, served, &case);
        trial.flaw.is_some_and(|own| own.tensor == cause.tensor)
    };
    // No model tells: a backward that is wrong only where its forward is has no cause of its own.
    let (wrong, right): (Vec<&Trial>, Vec<&Trial>) =
        outcome.evidence.iter().partition(|trial| trial.flaw.is_some());
    let wrong = [&failure.plainest, &failure.first].into_iter().chain(wrong);
    if !served.dirs().contains(&Dir::Fwd) || !wrong.take(LOOKED_AT).all(&mut forward) {
        return false;
    }
    // Where the forward has a name of its own, and backward none, it must also be right with it.
    cause.behaves_like.is_none() || right.into_iter().take(LOOKED_AT).any(|trial| !forward(trial))
}

/// The models that explain a failure.
fn names(like: &Likeness) -> Vec<String> {
    std::iter::once(&like.id).chain(&like.rivals).cloned().collect()
}

/// True where two answers are off by about the same: what is right to twelve digits has another fault
/// than what is off by a tenth, though both fail.
fn alike(a: &Graded, b: &Graded) -> bool {
    let error = |graded: &Graded| (graded.got - graded.want).abs();
    let within = |a: &Graded, b: &Graded| error(a) <= 4.0 * (error(b) + a.bound);
    match (error(a).is_finite(), error(b).is_finite()) {
        (true, true) => within(a, b) && within(b, a),
        (a, b) => a == b,
    }
}

fn smallest(finding: &Finding) -> &str {
    finding.shrunk.as_ref().map_or(&finding.case, |shrunk| &shrunk.case)
}

fn op(subject: &str) -> &str {
    subject.split(':').next().unwrap_or_default()
}

/// What a message says, without the numbers that differ from call to call: its first line, and its
/// last, where a trace ends with the cause.
fn gist(message: &str) -> String {
    let mut lines = message.lines().map(str::trim).filter(|line| !line.is_empty());
    let first = lines.next().unwrap_or_default();
    let first = first.split(", after ").next().unwrap_or_default().trim_end_matches(':');
    let last = lines.next_back().unwrap_or_default();
    let mut gist = String::new();
    for c in first.chars().chain(['\n']).chain(last.chars()) {
        match c {
            c if !c.is_ascii_digit() => gist.push(c),
            _ if gist.ends_with('#') => {}
            _ => gist.push('#'),
        }
    }
    gist
}

fn affected(failure: &Failures, outcome: &Outcome) -> Affected {
    Affected {
        subject: outcome.row.name(),
        tensor: failure.flaw.tensor.clone(),
        stage: failure.stage,
        case: failure.first.case.to_string(),
        times: failure.times,
        worst: failure.flaw.graded.clone(),
    }
}

fn of(finding: &Finding) -> Affected {
    Affected {
        subject: finding.subject.clone(),
        tensor: finding.tensor.clone(),
        stage: finding.stage,
        case: finding.case.clone(),
        times: finding.times,
        worst: finding.worst.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_gist_of_a_message_has_no_numbers_and_its_last_line() {
        let one =
            "crash: exited with code 1; standard error ends:\nTraceback\n line 7\nKeyError: 'a'";
        let other = "crash: exited with code 1; standard error ends, after 12 lines more:\n\
                     Traceback\n line 19\nKeyError: 'a'";
        assert_eq!(gist(one), gist(other));
        assert_ne!(gist(one), gist(&one.replace("KeyError", "ValueError")));
        assert_eq!(
            gist("y has shape [7, 3], not [12, 2]"),
            gist("y has shape [1, 30], not [2, 2]")
        );
        assert_ne!(gist("y has shape [7], not [2]"), gist("y has dtype f64, not f32"));
    }
}
