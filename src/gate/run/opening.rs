//! The first few cases of every row, put before the rest of any: what is wrong with the last row is
//! told as soon as what is wrong with the first.

use std::time::{Duration, Instant};

use super::subjects::Subject;
use super::{Event, Options, Run};
use crate::check::call::Candidate;
use crate::check::plan::{self, Plan};
use crate::check::scope::Scope;
use crate::check::spec::case::Case;
use crate::check::trial::{self, Trial};

/// How long the openings of all rows may take together, of a run that has an end at most a part.
const TIME: (Duration, u32) = (Duration::from_millis(800), 8);
/// Cases of an opening, the smoke test included.
const CASES: usize = 4;
/// Elements of all that is kept until its row begins.
const ELEMENTS: usize = 1 << 20;

/// What a row is asked in turn, by stage: the plain problem, those that are pinned, generated ones.
pub(super) fn questions<'a>(
    subject: &Subject,
    scope: &'a Scope,
    options: &'a Options,
) -> impl Iterator<Item = (u8, Case)> + Clone + 'a {
    let (dir, dtypes) = (subject.dir, subject.dtypes);
    let row = (subject.operator.name(), dir, dtypes);
    let pinned = options.pinned.iter().filter(move |case| {
        (case.op, case.dir, (case.dtype, case.params_dtype)) == row && scope.allows(case)
    });
    let generated = Plan::new(subject.operator, &subject.served, dir, dtypes, options.seed);
    std::iter::once((0, scope.simplest(dir, dtypes)))
        .chain(pinned.map(|case| (1, case.clone())))
        .chain(generated.take(options.cases).map(|case| (2, case)))
        .filter(|(stage, _)| options.stages.contains(stage))
}

/// The openings of the rows, as far as there is time, and every failure in them told.
pub(super) fn openings(
    target: &mut dyn Candidate,
    subjects: &[Subject],
    run: &Run,
) -> Vec<Vec<Trial>> {
    let until = Instant::now() + run.options.time.map_or(TIME.0, |all| TIME.0.min(all / TIME.1));
    let mut left = ELEMENTS;
    let mut openings: Vec<Vec<Trial>> = subjects.iter().map(|_| Vec::new()).collect();
    for (subject, opening) in subjects.iter().zip(&mut openings) {
        let scope = Scope::new(subject.operator, &subject.served);
        if !scope.allows(&scope.simplest(subject.dir, subject.dtypes)) {
            continue;
        }
        for (_, case) in questions(subject, &scope, run.options).take(CASES) {
            let size = plan::elements(&case);
            if Instant::now() >= until || size > left {
                return openings;
            }
            left -= size;
            let trial = trial::put(target, &subject.served, &case);
            let flaw = trial.flaw.clone();
            opening.push(trial);
            if let Some(flaw) = flaw {
                let row = subject.row().name();
                (run.told)(Event::Failure { row: &row, flaw: &flaw });
                if run.options.fail_fast {
                    return openings;
                }
                break;
            }
        }
    }
    openings
}
