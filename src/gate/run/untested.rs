//! Why a run says nothing of what it was to judge. Green is what was tested, and nothing else.

use std::collections::BTreeSet;

use super::{ENDED, Options, Outcome};
use crate::check::call::Hello;

/// The most rows that are named.
const NAMED: usize = 8;

/// A line for everything that was to be judged and was not.
///
/// That is every part asked for by name, every row that is declared and not left out by the
/// manifest, and, where no stage of the run judges single rows, every operator.
pub(super) fn reasons(hello: &Hello, options: &Options, outcomes: &[Outcome]) -> Vec<String> {
    let mut reasons = Vec::new();
    for filter in &options.filters {
        if !outcomes.iter().any(|outcome| filter.names_row(&outcome.row)) {
            let why = match hello.ops.get(filter.op()) {
                None => "the target does not serve it",
                Some(served) if filter.declared(served) => "the manifest leaves it out",
                Some(_) => "the target does not declare it",
            };
            reasons.push(format!("nothing of {filter} was tested: {why}"));
        }
    }
    let judged: BTreeSet<&str> =
        outcomes.iter().filter(|o| o.judged()).map(|o| o.row.op.as_str()).collect();
    let by_row = options.stages.iter().any(|stage| [0, 2].contains(stage));
    let silent = outcomes.iter().filter(|outcome| {
        let ended = outcome.cut.iter().any(|cut| cut.why == ENDED);
        !outcome.judged() && !ended && (by_row || !judged.contains(outcome.row.op.as_str()))
    });
    let silent: Vec<&Outcome> = silent.collect();
    for outcome in silent.iter().take(NAMED) {
        reasons.push(format!("nothing of {} was tested: {}", outcome.row.name(), why(outcome)));
    }
    if silent.len() > NAMED {
        reasons.push(format!("nothing of {} more rows was tested", silent.len() - NAMED));
    }
    let ended = || outcomes.iter().any(|outcome| outcome.cut.iter().any(|cut| cut.why == ENDED));
    if judged.is_empty() && reasons.is_empty() && !ended() {
        reasons.push("nothing was tested: the manifest leaves out all that was to be".to_string());
    }
    reasons
}

fn why(outcome: &Outcome) -> String {
    if let Some(cut) = outcome.cut.first() {
        return cut.why.clone();
    }
    match (outcome.row.cases, outcome.row.vacuous) {
        (0, _) => "the stages of this run have no problem for it".to_string(),
        (cases, _) => format!("none of {cases} cases tells a right answer from a wrong one"),
    }
}
