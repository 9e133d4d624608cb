//! One row through all stages: what was counted, what failed, and the evidence.

use crate::gate::explain::Failures;
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use super::budget::Hurried;
use super::opening::questions;
use super::subjects::Subject;
use super::{Event, Options, Run, STAGES, empty};
use crate::check::call::{Broken, Candidate, Hello};
use crate::check::flaw::{Fault, Flaw};
use crate::check::judge::Grade;
use crate::check::plan::{self, Plan};
use crate::check::scope::Scope;
use crate::check::spec::case::Case;
use crate::check::trial::{self, Trial};
use crate::check::vacuous;
use crate::gate::explain::plainly;
use crate::gate::report::{Cut, Finding, Promise, Row, Stage};
use crate::gate::stages::repeat::Memory;
use crate::gate::stages::{gradients, sensitivity, statistics};

/// Elements of the largest problem that is kept as evidence for a diagnosis.
const KEPT: usize = 20_000;
/// Deaths in a row on one operator after which it is left alone.
const DEATHS: usize = 3;
/// Calls without an answer, and none with one, after which a row is left alone.
const REFUSALS: usize = 8;
/// How long evidence is gathered where the first failure ends the run: what passes helps to say why.
const GATHERING: Duration = Duration::from_secs(2);

/// What came of one subject.
pub(in crate::gate) struct Outcome {
    pub(in crate::gate) row: Row,
    pub(super) stages: BTreeMap<u8, Stage>,
    pub(in crate::gate) findings: Vec<Finding>,
    pub(in crate::gate) notes: Vec<String>,
    pub(in crate::gate) memory: Memory,
    pub(in crate::gate) promises: Vec<Promise>,
    pub(super) reach: Vec<crate::gate::report::Reach>,
    pub(super) cut: Vec<Cut>,
    /// Calls that were answered with tensors, and refusals, crashes and the like.
    pub(super) answered: usize,
    unanswered: usize,
    pub(in crate::gate) failures: Vec<Failures>,
    pub(in crate::gate) evidence: Vec<Trial>,
}

impl Outcome {
    pub(super) fn begin(subject: &Subject) -> Outcome {
        Outcome {
            row: subject.row(),
            stages: BTreeMap::new(),
            findings: Vec::new(),
            notes: Vec::new(),
            memory: Memory::new(1),
            promises: Vec::new(),
            reach: Vec::new(),
            cut: Vec::new(),
            answered: 0,
            unanswered: 0,
            failures: Vec::new(),
            evidence: Vec::new(),
        }
    }

    pub(super) fn run(
        &mut self,
        target: &mut dyn Candidate,
        subject: &Subject,
        hello: &Hello,
        run: &Run,
        (opening, until): (Vec<Trial>, Option<Instant>),
        deaths: &mut usize,
    ) {
        let mut opening = opening.into_iter();
        let options = run.options;
        let mut target = Hurried::row(target, until);
        let target = &mut target;
        let Subject { operator, served, dir, dtypes, first } = subject;
        let scope = Scope::new(*operator, served);
        let plain = scope.simplest(*dir, *dtypes);
        if !scope.allows(&plain) {
            self.cut_short("everything", "no problem lies within what is declared");
            return;
        }
        let asked = |stage: u8| options.stages.contains(&stage);
        self.memory = Memory::new(options.seed);
        let mut twins = Plan::new(*operator, served, *dir, *dtypes, options.seed ^ 0x7717);
        let mut spent = (Duration::ZERO, Duration::ZERO);
        let cases = questions(subject, &scope, options);
        // What comes behind the cases has its part of the time as well.
        let part = if options.stages.iter().any(|&stage| stage > 2) { 0.7 } else { 1.0 };
        let enough = until.map(|until| {
            let now = Instant::now();
            now + until.saturating_duration_since(now).mul_f64(part)
        });
        let (mut tried, mut failing): (usize, Option<Instant>) = (0, None);
        let all = cases.clone().count();
        for (stage, case) in cases {
            let silent = self.answered == 0 && self.unanswered >= REFUSALS;
            let opened = opening.next();
            let why = if tried > 0
                && opened.is_none()
                && enough.is_some_and(|enough| Instant::now() >= enough)
            {
                "time was up"
            } else if *deaths >= DEATHS {
                "the target broke three times in a row"
            } else if silent {
                "no call was answered"
            } else if options.fail_fast && failing.is_some_and(|at| at.elapsed() > GATHERING) {
                "it fails already"
            } else {
                ""
            };
            if !why.is_empty() {
                let what = format!("{} of {all} cases", all - tried);
                self.cut_short(if tried == 0 { "everything".into() } else { what }, why);
                break;
            }
            let began = Instant::now();
            let told = opened.as_ref().is_some_and(|trial| trial.flaw.is_some());
            let trial = opened.unwrap_or_else(|| trial::put(target, served, &case));
            if trial.late() {
                self.cut_short(format!("{} of {all} cases", all - tried), "time was up");
                break;
            }
            tried += 1;
            let dead = trial.flaw.as_ref().is_some_and(|flaw| flaw.fault != Fault::Wrong);
            *deaths = if dead { *deaths + 1 } else { 0 };
            self.count(&trial);
            self.tally(stage, 1, usize::from(trial.flaw.is_some()), began);
            if let Some(flaw) =
                trial.flaw.as_ref().filter(|_| note(&mut self.failures, stage, &trial))
            {
                failing = failing.or(Some(Instant::now()));
                if !told {
                    (run.told)(Event::Failure { row: &self.row.name(), flaw });
                }
            }
            let size: usize = trial.call.tensors.values().map(|t| t.values.len()).sum();
            if size <= KEPT {
                self.evidence.push(trial);
            }
            spent.0 += began.elapsed();
            // Half as much time goes to what was asked before.
            if stage == 2 && asked(5) && !operator.random() && spent.1 <= spent.0 / 2 && !dead {
                let began = Instant::now();
                self.again(target, served, twins.next());
                spent.1 += began.elapsed();
            }
        }
        if *deaths >= DEATHS || self.mute() || (options.fail_fast && failing.is_some()) {
            return;
        }
        let random = operator.random();
        let checks = [(3, true), (4, *first), (5, !random), (6, *first && random), (7, true)];
        for (stage, _) in checks.into_iter().filter(|(stage, due)| *due && asked(*stage)) {
            if stage == 7 && failing.is_some() && options.sizes.is_empty() {
                // Large problems take seconds, and what is wrong with small ones is wrong with them.
                self.cut_short("stage 7 (sizes)", "it fails at small sizes");
                break;
            }
            match stage {
                3 => self.arguments(target, &scope, &plain, run),
                4 => self.gradients(target, &scope, &plain),
                5 => self.determinism(target, subject, hello, options.seed, (spent.0, until)),
                6 => self.statistics(target, subject, options, until),
                _ => self.sizes(target, subject, run),
            }
            if target.late() {
                let name = STAGES[usize::from(stage)];
                let what = format!("a part of stage {stage} ({name}) and what comes behind it");
                self.cut_short(what, "time was up");
                break;
            }
        }
    }

    /// Notes that something was left out.
    pub(super) fn cut_short(&mut self, what: impl Into<String>, why: &str) {
        let (subject, why) = (self.row.name(), why.to_string());
        self.cut.push(Cut { subject, what: what.into(), why });
    }

    /// True where the target was asked and never answered with tensors.
    pub(super) fn mute(&self) -> bool {
        self.answered == 0 && self.unanswered > 1
    }

    /// True where something was judged.
    pub(super) fn judged(&self) -> bool {
        let checked = self.stages.values().any(|stage| stage.number > 2 && stage.checks > 0);
        let failed = self.stages.values().any(|stage| stage.failed > 0);
        self.row.tested() || checked || failed
    }

    pub(in crate::gate) fn tally(
        &mut self,
        number: u8,
        checks: usize,
        failed: usize,
        began: Instant,
    ) {
        let stage = self.stages.entry(number).or_insert_with(|| empty(number));
        stage.checks += checks;
        stage.failed += failed;
        stage.seconds += began.elapsed().as_secs_f64();
    }

    pub(super) fn count(&mut self, trial: &Trial) {
        let silent = trial.answer.is_none() && trial.flaw.is_some();
        self.unanswered += usize::from(silent);
        self.answered += usize::from(trial.answer.is_some());
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
            let unbounded =
                !trial.graded.is_empty() && trial.graded.iter().all(|g| g.unbounded >= 1.0);
            // Of a large problem nothing is kept that could be compared.
            let kept = !trial.call.tensors.is_empty();
            let vacuous = unbounded || kept && vacuous::vacuous(&trial.call, &trial.expected);
            row.vacuous += usize::from(vacuous && trial.flaw.is_none());
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

    fn arguments(&mut self, target: &mut dyn Candidate, scope: &Scope, plain: &Case, run: &Run) {
        let began = Instant::now();
        let dtypes = (plain.dtype, plain.params_dtype);
        let mut moved = sensitivity::check(target, scope, plain.dir, dtypes);
        moved.retain(|moved| !moved.trial.late());
        let failed = moved.iter().filter(|moved| moved.trial.flaw.is_some()).count();
        for moved in &moved {
            if moved.dead {
                self.notes.push(format!("{}: {} changes nothing", self.row.name(), moved.what));
            }
            if let Some(flaw) = &moved.trial.flaw
                && note(&mut self.failures, 3, &moved.trial)
            {
                (run.told)(Event::Failure { row: &self.row.name(), flaw });
            }
        }
        self.tally(3, moved.len(), failed, began);
    }

    fn gradients(&mut self, target: &mut dyn Candidate, scope: &Scope, plain: &Case) {
        let began = Instant::now();
        let (case, flaw) = match gradients::check(target, scope) {
            Ok(None) => return,
            Ok(Some((case, flaw))) => (case, flaw),
            Err(Broken::Late) => return,
            Err(broken) => (plain.clone(), Some(Flaw::from(&broken))),
        };
        self.tally(4, 1, usize::from(flaw.is_some()), began);
        // It is the backward that is wrong, at the dtype that was differenced.
        let (dir, dtype, params_dtype) = (case.dir, case.dtype, case.params_dtype);
        let row = Row { dir, dtype, params_dtype, ..self.row.clone() };
        self.findings.extend(flaw.map(|flaw| plainly(4, &row, &case, &flaw)));
    }

    fn statistics(
        &mut self,
        target: &mut dyn Candidate,
        subject: &Subject,
        options: &Options,
        until: Option<Instant>,
    ) {
        let began = Instant::now();
        let (name, served) = (subject.operator.name(), &subject.served);
        let effort = statistics::Effort { until, ..options.statistics };
        let evidence = match statistics::evidence(target, name, served, options.seed, effort) {
            Ok(evidence) => evidence,
            Err(Broken::Late) => return,
            Err(broken) => {
                let plain =
                    Scope::new(subject.operator, served).simplest(subject.dir, subject.dtypes);
                self.findings.push(plainly(6, &self.row, &plain, &Flaw::from(&broken)));
                return self.tally(6, 1, 1, began);
            }
        };
        for found in &evidence.findings {
            let statistics::Finding { case, message, got, want, bound } = found;
            let flaw = Flaw::wrong(format!("{message} is {got:e}, not {want:e} ± {bound:.1e}"));
            self.findings.push(plainly(6, &self.row, case, &flaw));
        }
        let subject = self.row.name();
        self.notes.extend(evidence.notes.iter().map(|note| format!("{subject}: {note}")));
        self.reach.extend(evidence.reach);
        self.tally(6, evidence.tests, evidence.findings.len(), began);
    }
}

/// Adds a trial's flaw to those of its kind; true where it is the first of it.
pub(in crate::gate) fn note(failures: &mut Vec<Failures>, stage: u8, trial: &Trial) -> bool {
    let Some(flaw) = &trial.flaw else { return false };
    match failures.iter_mut().find(|known| known.flaw.resembles(flaw)) {
        Some(known) => {
            known.times += 1;
            if plainness(trial) > plainness(&known.plainest) {
                known.plainest = trial.clone();
            }
            false
        }
        None => {
            failures.push(Failures {
                stage,
                first: trial.clone(),
                plainest: trial.clone(),
                flaw: flaw.clone(),
                times: 1,
            });
            true
        }
    }
}

/// How far a failing trial is beyond its bounds; of two equally far ones the smaller problem.
fn plainness(trial: &Trial) -> (f64, std::cmp::Reverse<usize>) {
    let q = trial.flaw.as_ref().and_then(|flaw| flaw.graded.as_ref()).map_or(0.0, |g| g.q);
    let size = plan::elements(&trial.case);
    // Beyond a thousand bounds nobody asks how far.
    (q.min(1e3), std::cmp::Reverse(size))
}
