//! What failed, explained: the smallest counterexample, when it fails, and what the target behaves
//! like.

pub mod diagnose;
pub mod pattern;
mod properties;
mod scan;

use std::time::Instant;

use super::report::{Finding, Repeats, Row, Shrunk};
use super::stages::repeat;
use crate::check::call::{Candidate, Served};
use crate::check::flaw::{Fault, Flaw};
use crate::check::scope::Scope;
use crate::check::shrink;
use crate::check::spec::case::Case;
use crate::check::trial::{self, Trial};

/// The failures of one kind: the first and the plainest, and how many.
pub(in crate::gate) struct Failures {
    pub(in crate::gate) stage: u8,
    pub(in crate::gate) first: Trial,
    pub(in crate::gate) plainest: Trial,
    pub(in crate::gate) flaw: Flaw,
    pub(in crate::gate) times: usize,
}

/// A finding that says no more than what was seen.
pub(super) fn plainly(stage: u8, row: &Row, case: &Case, flaw: &Flaw) -> Finding {
    Finding {
        stage,
        fault: flaw.fault,
        subject: row.name(),
        tensor: flaw.tensor.clone(),
        case: case.to_string(),
        times: 1,
        message: flaw.message.clone(),
        worst: flaw.graded.clone(),
        shrunk: None,
        when: Vec::new(),
        breaks: Vec::new(),
        behaves_like: None,
        affects: Vec::new(),
        pattern: None,
        repeats: None,
    }
}

/// A finding with its smallest counterexample, when it fails, and what the target behaves like, as far
/// as there is time.
pub(super) fn explain(
    target: &mut dyn Candidate,
    served: &Served,
    failure: &Failures,
    (evidence, forward): (&[Trial], &[&Trial]),
    row: &Row,
    until: Instant,
) -> Finding {
    let over = || Instant::now() >= until;
    let Failures { stage, first, plainest, flaw, times } = failure;
    let mut finding = plainly(*stage, row, &first.case, flaw);
    finding.times = *times;
    // A target that says nothing readable, or nothing at all, costs seconds a call.
    if over() || flaw.fault != Fault::Wrong && flaw.message.contains("no answer") {
        return finding;
    }
    if flaw.fault == Fault::Wrong {
        // Something of another shape to ask in between. Its own answer may be wrong: where old values
        // stay in a buffer, the right ones are those that hide it.
        let shape =
            |trial: &&Trial| trial.case.sizes != plainest.case.sizes && trial.answer.is_some();
        // The larger, the more of a kept buffer is another one's.
        let size = |trial: &&Trial| -> usize {
            trial.call.tensors.values().map(|tensor| tensor.values.len()).sum()
        };
        let other = evidence.iter().filter(shape).max_by_key(size);
        let asked = other.map(|trial| &trial.case);
        let examined = repeat::examine(target, served, plainest, flaw, asked);
        // What was not asked any more did not answer rightly.
        if over() {
            return finding;
        }
        if let Some(repeats) = examined.repeats {
            let seen =
                if examined.failed.is_empty() { vec![plainest.clone()] } else { examined.failed };
            return unsteady(finding, repeats, (&seen, examined.right.as_ref()), served, other);
        }
    }
    let mut smallest: Option<Trial> = None;
    let mut fails = |case: &Case| {
        if over() {
            return false;
        }
        let trial = trial::put(target, served, case);
        let fails = trial.flaw.as_ref().is_some_and(|own| own.resembles(flaw));
        if fails {
            smallest = Some(trial);
        }
        fails
    };
    let scope = Scope::new(plainest.case.operator(), served);
    let (case, calls) = shrink::shrink(&plainest.case, &scope, &mut fails);
    // The last failing trial is that of the case that was kept, unless nothing was.
    let smallest = smallest.filter(|trial| trial.case == case).unwrap_or_else(|| plainest.clone());
    if flaw.fault == Fault::Wrong {
        let mut fails = |case: &Case| {
            if over() {
                return false;
            }
            let trial = trial::put(target, served, case);
            trial.flaw.as_ref().is_some_and(|own| own.resembles(flaw))
        };
        let mut loose = case.clone();
        (loose.kind, loose.upstream) = (plainest.case.kind, plainest.case.upstream);
        finding.when = scan::scan(&loose, &scope, &mut fails);
        finding.breaks = properties::broken(&smallest);
        let mut all: Vec<&Trial> = evidence.iter().collect();
        all.push(&smallest);
        all.extend(forward);
        finding.behaves_like = if over() { None } else { diagnose::diagnose(&all, served) };
        if finding.behaves_like.is_none() {
            let same = |t: &&&Trial| t.flaw.as_ref().is_some_and(|own| own.resembles(flaw));
            let failing: Vec<&Trial> = all.iter().filter(same).copied().collect();
            finding.pattern = pattern::describe(&failing, None);
        }
    }
    let own = smallest.flaw.clone().unwrap_or_else(|| flaw.clone());
    finding.message = own.message;
    finding.worst = own.graded;
    finding.shrunk = Some(shown(&smallest, &plainest.case, calls));
    finding
}

/// A finding that comes and goes: no smaller problem would show it, but its rate can be told.
fn unsteady(
    mut finding: Finding,
    repeats: Repeats,
    (failed, right): (&[Trial], Option<&Trial>),
    served: &Served,
    earlier: Option<&Trial>,
) -> Finding {
    // The right answer excludes what would always be wrong.
    let failed: Vec<&Trial> = failed.iter().collect();
    let all: Vec<&Trial> = failed.iter().copied().chain(right).collect();
    finding.behaves_like = diagnose::diagnose(&all, served);
    if finding.behaves_like.is_none() {
        finding.pattern = pattern::describe(&failed, earlier);
    }
    let (low, high) = repeats.rate;
    finding.message = format!(
        "fails in {} of {} askings, the same question answered rightly otherwise (a rate of {:.1} to \
         {:.1} %)",
        repeats.failed,
        repeats.asked,
        100.0 * low,
        100.0 * high
    );
    if let Some(when) = &repeats.when {
        finding.message += &format!(": {when}");
    }
    finding.repeats = Some(repeats);
    finding
}

fn shown(trial: &Trial, from: &Case, calls: usize) -> Shrunk {
    const MOST: usize = 64;
    let few = |values: &[f64]| values[..values.len().min(MOST)].to_vec();
    let inputs = trial.call.tensors.iter();
    let tensor = trial.flaw.as_ref().and_then(|flaw| flaw.tensor.clone());
    let got = tensor.as_ref().and_then(|name| trial.answer.as_ref()?.get(name));
    let want = trial.expected.iter().find(|expected| Some(&expected.name) == tensor.as_ref());
    Shrunk {
        case: trial.case.to_string(),
        calls,
        inputs: inputs.map(|(n, t)| (n.clone(), t.shape.clone(), few(&t.values))).collect(),
        got: got.map_or(Vec::new(), |tensor| few(&tensor.values)),
        want: want.map_or(Vec::new(), |expected| few(&expected.truth)),
        from: shrink::measure(from),
        to: shrink::measure(&trial.case),
    }
}
