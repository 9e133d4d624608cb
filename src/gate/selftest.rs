//! The gate proves itself: every mutant of the bank must die, no control may fail.

use super::call::{Candidate, Served};
use super::case::Case;
use super::plan::Plan;
use super::{op, statistics, trial};

/// Why a candidate failed a case.
#[derive(Debug, Clone)]
pub struct Killed {
    /// How many cases it took, this one included.
    pub after: usize,
    /// The case.
    pub case: Case,
    /// What was wrong.
    pub why: String,
}

/// The cases that a candidate for one operator meets: every pass and pair of dtypes in turn.
pub fn cases(
    candidate: &mut dyn Candidate,
    op: &str,
    seed: u64,
) -> impl Iterator<Item = Case> + use<> {
    let served = candidate.hello().expect("a candidate of the bank says hello").ops;
    let served = served[op].clone();
    let operator = op::find(op).expect("the bank is of operators");
    let mut plans: Vec<Plan> = Vec::new();
    for dir in served.dirs() {
        for dtypes in served.dtypes() {
            plans.push(Plan::new(operator, &served, dir, dtypes, seed));
        }
    }
    (0..).map(move |i: usize| {
        let turn = i % plans.len();
        plans[turn].next().expect("a plan has no end")
    })
}

/// Judges one case; in words where it fails.
pub fn fails(candidate: &mut dyn Candidate, served: &Served, case: &Case) -> Option<String> {
    trial::put(candidate, served, case).flaw.map(|flaw| flaw.message)
}

/// The first case that a candidate fails, within some number of cases.
///
/// Where the answers are random numbers, the last of these cases is stage 6 as a whole.
pub fn first_kill(
    candidate: &mut dyn Candidate,
    op: &str,
    seed: u64,
    limit: usize,
) -> Option<Killed> {
    let served = candidate.hello().expect("a candidate of the bank says hello").ops;
    let served = &served[op];
    let random = op::find(op).is_some_and(|operator| operator.random());
    let cases = cases(candidate, op, seed).take(limit - usize::from(random));
    for (i, case) in cases.enumerate() {
        if let Some(why) = fails(candidate, served, &case) {
            return Some(Killed { after: i + 1, case, why });
        }
    }
    if !random {
        return None;
    }
    let findings = statistics::check(candidate, op, served, seed);
    let finding = findings.expect("a candidate of the bank answers").into_iter().next()?;
    let statistics::Finding { case, message, got, want, bound } = finding;
    let why = format!("{message} is {got:e}, not {want:e} ± {bound:e}");
    Some(Killed { after: limit, case, why })
}
