//! What failed, explained: the smallest counterexample, when it fails, and what the target behaves
//! like.

use super::call::{Candidate, Dir, Hello, Served};
use super::case::Case;
use super::check::{Failures, Outcome};
use super::report::{Fault, Finding, Repeats, Row, Shrunk};
use super::tensor::Dtype;
use super::trial::{self, Flaw, Trial};
use super::{diagnose, laws, pattern, repeat, scan, shrink};

/// Right answers of the forward that a backward's explanation is held against.
const FORWARD: usize = 8;

/// Explains every failure; one of several dtypes that fail alike is enough.
pub(super) fn explain_all(target: &mut dyn Candidate, hello: &Hello, outcomes: &mut [Outcome]) {
    // `f32` tells most readers most, and a wrong forward is why its backward is wrong.
    let mut order: Vec<usize> = (0..outcomes.len()).collect();
    order.sort_by_key(|&i| (outcomes[i].row.dir, outcomes[i].row.dtype != Dtype::F32));
    // What was answered rightly forward is known of a backward as well.
    let forward: Vec<Trial> = outcomes
        .iter()
        .filter(|outcome| outcome.row.dir == Dir::Fwd)
        .flat_map(|outcome| outcome.evidence.iter().filter(|t| t.flaw.is_none()).take(FORWARD))
        .cloned()
        .collect();
    let mut explained: Vec<(String, Dir, Option<String>, Fault)> = Vec::new();
    for i in order {
        let outcome = &mut outcomes[i];
        let served = &hello.ops[&outcome.row.op];
        for failure in std::mem::take(&mut outcome.failures) {
            let Row { op, dir, .. } = &outcome.row;
            let Flaw { tensor, fault, .. } = &failure.flaw;
            let key = (op.clone(), *dir, tensor.clone(), *fault);
            let finding = if explained.contains(&key) {
                let mut finding =
                    plainly(failure.stage, &outcome.row, &failure.first.case, &failure.flaw);
                finding.times = failure.times;
                finding
            } else {
                explained.push(key);
                let same = |trial: &&Trial| {
                    outcome.row.dir == Dir::Bwd
                        && (trial.case.op, trial.case.dtype)
                            == (outcome.row.op.as_str(), outcome.row.dtype)
                };
                let forward: Vec<&Trial> = forward.iter().filter(same).collect();
                explain(target, served, &failure, (&outcome.evidence, &forward), &outcome.row)
            };
            outcome.findings.push(finding);
        }
        outcome.evidence.clear();
    }
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
        pattern: None,
        repeats: None,
    }
}

/// A finding with its smallest counterexample, when it fails, and what the target behaves like.
fn explain(
    target: &mut dyn Candidate,
    served: &Served,
    failure: &Failures,
    (evidence, forward): (&[Trial], &[&Trial]),
    row: &Row,
) -> Finding {
    let Failures { stage, first, plainest, flaw, times } = failure;
    let mut finding = plainly(*stage, row, &first.case, flaw);
    finding.times = *times;
    // A target that says nothing readable, or nothing at all, costs seconds a call.
    if flaw.fault != Fault::Wrong && flaw.message.contains("no answer") {
        return finding;
    }
    if flaw.fault == Fault::Wrong {
        // Something of another shape to ask in between.
        let shape =
            |trial: &&Trial| trial.case.sizes != plainest.case.sizes && trial.flaw.is_none();
        let other = evidence.iter().find(shape);
        let asked = other.map(|trial| &trial.case);
        let examined = repeat::examine(target, served, plainest, flaw, asked);
        if let Some(repeats) = examined.repeats {
            let seen =
                if examined.failed.is_empty() { vec![plainest.clone()] } else { examined.failed };
            return unsteady(finding, repeats, &seen, served, other);
        }
    }
    let mut smallest: Option<Trial> = None;
    let mut fails = |case: &Case| {
        let trial = trial::put(target, served, case);
        let fails = trial.flaw.as_ref().is_some_and(|own| own.resembles(flaw));
        if fails {
            smallest = Some(trial);
        }
        fails
    };
    let (case, calls) = shrink::shrink(&plainest.case, served, &mut fails);
    // The last failing trial is that of the case that was kept, unless nothing was.
    let smallest = smallest.filter(|trial| trial.case == case).unwrap_or_else(|| plainest.clone());
    if flaw.fault == Fault::Wrong {
        let mut fails = |case: &Case| {
            let trial = trial::put(target, served, case);
            trial.flaw.as_ref().is_some_and(|own| own.resembles(flaw))
        };
        let mut loose = case.clone();
        (loose.kind, loose.upstream) = (plainest.case.kind, plainest.case.upstream);
        finding.when = scan::scan(&loose, served, &mut fails);
        finding.breaks = laws::broken(&smallest);
        let mut all: Vec<&Trial> = evidence.iter().collect();
        all.push(&smallest);
        all.extend(forward);
        finding.behaves_like = diagnose::diagnose(&all, served);
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
    failed: &[Trial],
    served: &Served,
    earlier: Option<&Trial>,
) -> Finding {
    let all: Vec<&Trial> = failed.iter().collect();
    finding.behaves_like = diagnose::diagnose(&all, served);
    if finding.behaves_like.is_none() {
        finding.pattern = pattern::describe(&all, earlier);
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
