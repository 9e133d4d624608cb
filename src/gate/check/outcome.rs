//! One row through all stages: what was counted, what failed, and the evidence.

use std::collections::BTreeMap;
use std::time::Instant;

use super::subjects::Subject;
use super::{Options, empty};
use crate::gate::call::{Candidate, Hello, Served};
use crate::gate::case::Case;
use crate::gate::explain::plainly;
use crate::gate::judge::Grade;
use crate::gate::plan::Plan;
use crate::gate::report::{Fault, Finding, Row, Stage};
use crate::gate::trial::{self, Flaw, Trial};
use crate::gate::{determinism, gradients, liveness, statistics, vacuity};

/// Elements of the largest problem that is kept as evidence for a diagnosis.
const KEPT: usize = 20_000;
/// Deaths in a row on one operator after which it is left alone.
const DEATHS: usize = 3;

/// What came of one subject.
pub(in crate::gate) struct Outcome {
    pub(in crate::gate) row: Row,
    pub(super) stages: BTreeMap<u8, Stage>,
    pub(in crate::gate) findings: Vec<Finding>,
    pub(super) notes: Vec<String>,
    pub(in crate::gate) failures: Vec<Failures>,
    pub(in crate::gate) evidence: Vec<Trial>,
}

/// The failures of one kind: the first and the plainest, and how many.
pub(in crate::gate) struct Failures {
    pub(in crate::gate) stage: u8,
    pub(in crate::gate) first: Trial,
    pub(in crate::gate) plainest: Trial,
    pub(in crate::gate) flaw: Flaw,
    pub(in crate::gate) times: usize,
}

impl Outcome {
    pub(super) fn begin(subject: &Subject) -> Outcome {
        let row = Row {
            op: subject.operator.name().to_string(),
            dir: subject.dir,
            dtype: subject.dtypes.0,
            params_dtype: subject.dtypes.1,
            cases: 0,
            grade_a: 0,
            grade_b: 0,
            failed: 0,
            ill_conditioned: 0,
            vacuous: 0,
            q: BTreeMap::new(),
            q_statistical: BTreeMap::new(),
        };
        Outcome {
            row,
            stages: BTreeMap::new(),
            findings: Vec::new(),
            notes: Vec::new(),
            failures: Vec::new(),
            evidence: Vec::new(),
        }
    }

    pub(super) fn run(
        &mut self,
        target: &mut dyn Candidate,
        subject: &Subject,
        hello: &Hello,
        options: &Options,
        deadline: Option<Instant>,
        deaths: &mut usize,
    ) {
        let Subject { operator, served, dir, dtypes, first } = subject;
        let plain = Case::simplest(*operator, *dir, dtypes.0, dtypes.1);
        let asked = |stage: u8| options.stages.contains(&stage);
        let pinned = options.pinned.iter().filter(|case| {
            (case.op, case.dir, (case.dtype, case.params_dtype)) == (operator.name(), *dir, *dtypes)
        });
        let generated = Plan::new(*operator, served, *dir, *dtypes, options.seed);
        let cases = std::iter::once((0, plain.clone()))
            .chain(pinned.map(|case| (1, case.clone())))
            .chain(generated.take(options.cases).map(|case| (2, case)))
            .filter(|(stage, _)| asked(*stage));
        for (stage, case) in cases {
            if stage == 2 && deadline.is_some_and(|deadline| Instant::now() > deadline) {
                self.notes.push(format!("{}: time is up, fewer cases were tried", self.row.name()));
                break;
            }
            if *deaths >= DEATHS {
                let name = operator.name();
                self.notes.push(format!("{name}: {DEATHS} deaths in a row, the rest is left out"));
                break;
            }
            let began = Instant::now();
            let trial = trial::put(target, served, &case);
            let dead = trial.flaw.as_ref().is_some_and(|flaw| flaw.fault != Fault::Wrong);
            *deaths = if dead { *deaths + 1 } else { 0 };
            self.count(&trial);
            self.tally(stage, 1, usize::from(trial.flaw.is_some()), began);
            note(&mut self.failures, stage, &trial);
            let size: usize = trial.call.tensors.values().map(|t| t.values.len()).sum();
            if size <= KEPT {
                self.evidence.push(trial);
            }
        }
        if *deaths < DEATHS {
            if asked(3) {
                self.arguments(target, served, &plain);
            }
            if asked(4) && *first {
                self.gradients(target, served, &plain);
            }
            if asked(5) && !operator.random() {
                self.determinism(target, hello);
            }
            if asked(6) && *first && operator.random() {
                self.statistics(target, subject, options.seed);
            }
        }
    }

    fn tally(&mut self, number: u8, checks: usize, failed: usize, began: Instant) {
        let stage = self.stages.entry(number).or_insert_with(|| empty(number));
        stage.checks += checks;
        stage.failed += failed;
        stage.seconds += began.elapsed().as_secs_f64();
    }

    fn count(&mut self, trial: &Trial) {
        let row = &mut self.row;
        row.cases += 1;
        match trial.grade() {
            Grade::A => row.grade_a += 1,
            Grade::B => row.grade_b += 1,
            Grade::Fail => row.failed += 1,
        }
        // Random numbers are judged by their law; nothing bounds the single one.
        if !trial.case.operator().random() {
            row.ill_conditioned += usize::from(trial.graded.iter().any(|g| g.unbounded > 0.0));
            row.vacuous += usize::from(vacuity::vacuous(&trial.call, &trial.expected));
        }
        for graded in &trial.graded {
            let most = |map: &mut BTreeMap<String, f64>, q: f64| {
                let worst = map.entry(graded.tensor.clone()).or_insert(0.0);
                *worst = worst.max(q);
            };
            most(&mut row.q, graded.q);
            most(&mut row.q_statistical, graded.q_statistical);
        }
    }

    fn arguments(&mut self, target: &mut dyn Candidate, served: &Served, plain: &Case) {
        let began = Instant::now();
        let moved = liveness::check(target, served, plain);
        let failed = moved.iter().filter(|moved| moved.trial.flaw.is_some()).count();
        for moved in &moved {
            if moved.dead {
                self.notes.push(format!("{}: {} changes nothing", self.row.name(), moved.what));
            }
            note(&mut self.failures, 3, &moved.trial);
        }
        self.tally(3, moved.len(), failed, began);
    }

    fn gradients(&mut self, target: &mut dyn Candidate, served: &Served, plain: &Case) {
        let began = Instant::now();
        let (case, flaw) = match gradients::check(target, served, plain) {
            Ok(None) => return,
            Ok(Some((case, flaw))) => (case, flaw),
            Err(broken) => (plain.clone(), Some(Flaw::from(&broken))),
        };
        self.tally(4, 1, usize::from(flaw.is_some()), began);
        // It is the backward that is wrong, at the dtype that was differenced.
        let (dir, dtype, params_dtype) = (case.dir, case.dtype, case.params_dtype);
        let row = Row { dir, dtype, params_dtype, ..self.row.clone() };
        self.findings.extend(flaw.map(|flaw| plainly(4, &row, &case, &flaw)));
    }

    fn determinism(&mut self, target: &mut dyn Candidate, hello: &Hello) {
        let began = Instant::now();
        let evidence = std::mem::take(&mut self.evidence);
        // A large and a small problem that were answered rightly.
        let mut right: Vec<&Trial> = evidence.iter().filter(|t| t.flaw.is_none()).collect();
        right.sort_by_key(|t| t.call.tensors.values().map(|t| t.values.len()).sum::<usize>());
        let (Some(small), Some(large)) = (right.first(), right.last()) else {
            self.evidence = evidence;
            return;
        };
        let (mut checks, mut failed) = (0, 0);
        for (case, other) in
            [(&large.case, &small.case), (&right[right.len() / 2].case, &large.case)]
        {
            let seen = match determinism::observe(target, case, other) {
                Ok(seen) => seen,
                Err(broken) => {
                    failed += 1;
                    self.findings.push(plainly(5, &self.row, case, &Flaw::from(&broken)));
                    break;
                }
            };
            checks += seen.checks;
            let claims = &hello.claims;
            for (words, claim, claimed) in [
                (seen.unstable, "deterministic", claims.deterministic),
                (seen.depends_on_batch, "batch_invariant", claims.batch_invariant),
            ] {
                let Some(words) = words else { continue };
                if claimed {
                    failed += 1;
                    let flaw = Flaw::wrong(format!("claims {claim}, but {words}"));
                    self.findings.push(plainly(5, &self.row, case, &flaw));
                } else {
                    self.notes.push(format!("{}: not {claim}: {words}", self.row.name()));
                }
            }
            if failed > 0 {
                break;
            }
        }
        self.evidence = evidence;
        self.tally(5, checks, failed, began);
    }

    fn statistics(&mut self, target: &mut dyn Candidate, subject: &Subject, seed: u64) {
        let began = Instant::now();
        let (name, served) = (subject.operator.name(), &subject.served);
        let evidence = match statistics::evidence(target, name, served, seed, statistics::ELEMENTS)
        {
            Ok(evidence) => evidence,
            Err(broken) => {
                let plain = Case::simplest(
                    subject.operator,
                    subject.dir,
                    subject.dtypes.0,
                    subject.dtypes.1,
                );
                self.findings.push(plainly(6, &self.row, &plain, &Flaw::from(&broken)));
                return self.tally(6, 1, 1, began);
            }
        };
        for found in &evidence.findings {
            let statistics::Finding { case, message, got, want, bound } = found;
            let flaw = Flaw::wrong(format!("{message} is {got:e}, not {want:e} ± {bound:.1e}"));
            self.findings.push(plainly(6, &self.row, case, &flaw));
        }
        self.tally(6, evidence.tests, evidence.findings.len(), began);
    }
}

/// Adds a trial's flaw to those of its kind.
fn note(failures: &mut Vec<Failures>, stage: u8, trial: &Trial) {
    let Some(flaw) = &trial.flaw else { return };
    match failures.iter_mut().find(|known| known.flaw.resembles(flaw)) {
        Some(known) => {
            known.times += 1;
            if plainness(trial) > plainness(&known.plainest) {
                known.plainest = trial.clone();
            }
        }
        None => failures.push(Failures {
            stage,
            first: trial.clone(),
            plainest: trial.clone(),
            flaw: flaw.clone(),
            times: 1,
        }),
    }
}

/// How far a failing trial is beyond its bounds; of two equally far ones the smaller problem.
fn plainness(trial: &Trial) -> (f64, std::cmp::Reverse<usize>) {
    let q = trial.flaw.as_ref().and_then(|flaw| flaw.graded.as_ref()).map_or(0.0, |g| g.q);
    let size = trial.call.tensors.values().map(|tensor| tensor.values.len()).sum();
    // Beyond a thousand bounds nobody asks how far.
    (q.min(1e3), std::cmp::Reverse(size))
}
