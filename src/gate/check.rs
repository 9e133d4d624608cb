//! `gate check`: a target through all stages, and what is wrong with it, explained.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use super::call::{Broken, Candidate, Dir, Hello, Served};
use super::case::Case;
use super::judge::Grade;
use super::manifest::Manifest;
use super::operator::Operator;
use super::plan::Plan;
use super::report::{Fault, Finding, Report, Row, Shrunk, Stage, exit_code};
use super::scope::{self, Scope};
use super::tensor::Dtype;
use super::trial::{self, Flaw, Trial};
use super::{
    determinism, diagnose, gradients, laws, liveness, op, scan, shrink, statistics, vacuity,
};
use crate::config::Invalid;

/// Cases of every operator, pass and pair of dtypes, unless something else is said.
pub const CASES: usize = 40;
/// Elements of the largest problem that is kept as evidence for a diagnosis.
const KEPT: usize = 20_000;
/// Deaths in a row on one operator after which it is left alone.
const DEATHS: usize = 3;

/// The stages by number.
pub const STAGES: [&str; 7] =
    ["smoke", "pinned", "cases", "arguments", "gradients", "determinism", "statistics"];

/// `layer_norm`, `layer_norm:bwd` or `layer_norm:bwd:f32`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Filter {
    op: String,
    dir: Option<Dir>,
    dtype: Option<Dtype>,
}

impl std::str::FromStr for Filter {
    type Err = Invalid;
    fn from_str(text: &str) -> Result<Filter, Invalid> {
        let parts: Vec<&str> = text.split(':').collect();
        let op = parts[0];
        if op::find(op).is_none() {
            return Err(Invalid::new("ops", op, op::names().join(", ")));
        }
        let dir = match parts.get(1) {
            None => None,
            Some(&"fwd") => Some(Dir::Fwd),
            Some(&"bwd") => Some(Dir::Bwd),
            Some(other) => return Err(Invalid::new("ops", *other, "fwd, bwd")),
        };
        let dtype = match parts.get(2) {
            None => None,
            Some(name) => {
                let real = Dtype::REAL.into_iter().find(|dtype| dtype.name() == *name);
                Some(real.ok_or_else(|| Invalid::new("ops", *name, "f64, f32, f16, bf16"))?)
            }
        };
        if parts.len() > 3 {
            return Err(Invalid::new("ops", text, "OPERATOR[:fwd|bwd[:DTYPE]]"));
        }
        Ok(Filter { op: op.to_string(), dir, dtype })
    }
}

impl Filter {
    /// True for a row of this name, `op:dir:dtype`.
    pub fn names(&self, row: &str) -> bool {
        row.parse::<Filter>().is_ok_and(|row| {
            row.dir.zip(row.dtype).is_some_and(|(dir, dtype)| self.takes(&row.op, dir, dtype))
        })
    }
    fn takes(&self, op: &str, dir: Dir, dtype: Dtype) -> bool {
        self.op == op
            && self.dir.is_none_or(|own| own == dir)
            && self.dtype.is_none_or(|own| own == dtype)
    }
}

/// What to check, and how much.
#[derive(Debug, Clone)]
pub struct Options {
    /// What to look at; everything where empty.
    pub filters: Vec<Filter>,
    /// The seed of the cases.
    pub seed: u64,
    /// Generated cases of every operator, pass and pair of dtypes.
    pub cases: usize,
    /// When to stop generating cases.
    pub time: Option<Duration>,
    /// Workers that run side by side.
    pub jobs: usize,
    /// The stages to go through.
    pub stages: Vec<u8>,
    /// Counterexamples of earlier failures.
    pub pinned: Vec<Case>,
    /// How the target is started, for the report.
    pub command: Vec<String>,
    /// What the project expects; what it says to skip is not tried.
    pub manifest: Manifest,
}

impl Default for Options {
    fn default() -> Self {
        Options {
            filters: Vec::new(),
            seed: 1,
            cases: CASES,
            time: None,
            jobs: 1,
            stages: (0..STAGES.len() as u8).collect(),
            pinned: Vec::new(),
            command: Vec::new(),
            manifest: Manifest::default(),
        }
    }
}

/// Something that happened, for whoever shows progress.
#[derive(Debug, Clone)]
pub struct Progress<'a> {
    /// `op:dir:dtype` that is done.
    pub subject: &'a str,
    /// How many of them are.
    pub done: usize,
    /// Of how many.
    pub of: usize,
}

/// Judges a Rust implementation in a test of its own.
///
/// # Panics
/// With the report where the candidate is wrong, crashes or cannot be understood.
pub fn assert_conforms<C: Candidate + Clone + Sync + 'static>(candidate: &C) {
    let start = || {
        let candidate: Box<dyn Candidate> = Box::new(candidate.clone());
        Ok(candidate)
    };
    let report = check(&start, &Options::default(), &|_| ());
    let style = super::report::text::Style::default();
    assert!(report.exit_code == 0, "{}", super::report::text::write(&report, style));
}

/// Starts a target; called once for every worker.
pub type Start<'a> = &'a (dyn Fn() -> Result<Box<dyn Candidate>, Broken> + Sync);

/// Goes through the stages and reports. A target that cannot even be greeted is a report as well.
pub fn check(start: Start, options: &Options, progress: &(dyn Fn(Progress) + Sync)) -> Report {
    let began = Instant::now();
    let greeted = start().and_then(|mut target| target.hello().map(|hello| (target, hello)));
    let (mut first, hello) = match greeted {
        Ok(both) => both,
        Err(broken) => return refused(options, &broken, began),
    };
    if let Err(message) = understood(&hello) {
        return refused(options, &Broken::Protocol(message), began);
    }
    let mut report = Report::begin(
        hello.identity.clone(),
        options.command.clone(),
        hello.claims.clone(),
        options.seed,
    );
    report.served = hello.ops.clone();
    let (skipped, subjects) = subjects(&hello, options);
    report.skipped = skipped;
    report.uncovered = uncovered(&hello, options);
    let (next, done) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let outcomes: Mutex<BTreeMap<usize, Outcome>> = Mutex::new(BTreeMap::new());
    let work = |target: &mut dyn Candidate| {
        let mut deaths: BTreeMap<&str, usize> = BTreeMap::new();
        loop {
            let i = next.fetch_add(1, Ordering::SeqCst);
            let Some(subject) = subjects.get(i) else { return };
            let deaths = deaths.entry(subject.operator.name()).or_default();
            let deadline = options.time.map(|time| began + time);
            let mut outcome = Outcome::begin(subject);
            outcome.run(target, subject, &hello, options, deadline, deaths);
            let name = outcome.row.name();
            outcomes.lock().expect("no worker panics").insert(i, outcome);
            let done = done.fetch_add(1, Ordering::SeqCst) + 1;
            progress(Progress { subject: &name, done, of: subjects.len() });
        }
    };
    let lost = std::thread::scope(|scope| {
        let others: Vec<_> = (1..options.jobs.min(subjects.len()))
            .map(|_| scope.spawn(|| start().map(|mut target| work(&mut *target)).err()))
            .collect();
        work(&mut *first);
        others.into_iter().find_map(|other| other.join().expect("a worker does not panic"))
    });
    if let Some(broken) = lost {
        report.notes.push(format!("a further worker did not start: {broken}"));
    }
    let mut outcomes: Vec<Outcome> =
        outcomes.into_inner().expect("no worker panics").into_values().collect();
    explain_all(&mut *first, &hello, &mut outcomes);
    let mut stages: BTreeMap<u8, Stage> = BTreeMap::new();
    for outcome in outcomes {
        for (number, stage) in outcome.stages {
            let total = stages.entry(number).or_insert_with(|| empty(number));
            total.checks += stage.checks;
            total.failed += stage.failed;
            total.seconds += stage.seconds;
        }
        report.rows.push(outcome.row);
        report.findings.extend(outcome.findings);
        report.notes.extend(outcome.notes);
    }
    report.stages = stages.into_values().collect();
    // What decides the exit code first, then what is explained.
    report.findings.sort_by_key(|finding| (finding.fault, finding.shrunk.is_none()));
    report.exit_code = exit_code(report.findings.iter().map(|finding| finding.fault.exit_code()));
    report.seconds = began.elapsed().as_secs_f64();
    report
}

fn empty(number: u8) -> Stage {
    let name = STAGES[usize::from(number)].to_string();
    Stage { number, name, checks: 0, failed: 0, seconds: 0.0 }
}

fn refused(options: &Options, broken: &Broken, began: Instant) -> Report {
    let mut report = Report::begin(
        Default::default(),
        options.command.clone(),
        Default::default(),
        options.seed,
    );
    let flaw = Flaw::from(broken);
    report.exit_code = flaw.fault.exit_code();
    report.stages.push(Stage { checks: 1, failed: 1, ..empty(0) });
    report.findings.push(Finding {
        stage: 0,
        fault: flaw.fault,
        subject: "hello".to_string(),
        tensor: None,
        case: String::new(),
        times: 1,
        message: flaw.message,
        worst: None,
        shrunk: None,
        when: Vec::new(),
        breaks: Vec::new(),
        behaves_like: None,
    });
    report.seconds = began.elapsed().as_secs_f64();
    report
}

/// Refuses a greeting that names what the specification does not have.
fn understood(hello: &Hello) -> Result<(), String> {
    if hello.ops.is_empty() {
        return Err("hello.ops is empty: nothing to judge".to_string());
    }
    for (name, served) in &hello.ops {
        let Some(operator) = op::find(name) else {
            return Err(format!("hello.ops.{name}: no such operator; {}", op::names().join(", ")));
        };
        let dtypes = served.dtypes();
        if dtypes.is_empty() || served.dirs().is_empty() {
            return Err(format!("hello.ops.{name}: an empty list of dir or dtype"));
        }
        if let Some(dir) = served.dirs().iter().find(|dir| !operator.dirs().contains(dir)) {
            return Err(format!("hello.ops.{name}.dir: {name} has no {dir}"));
        }
        for (data, params) in dtypes {
            let known = operator.dtypes();
            if let Some(other) = [data, params].into_iter().find(|dtype| !known.contains(dtype)) {
                let known: Vec<&str> = known.iter().map(|dtype| dtype.name()).collect();
                let known = known.join(", ");
                return Err(format!("hello.ops.{name}.dtype: {other} is none of {known}"));
            }
        }
        for (attr, values) in &served.attrs {
            scope::attribute(operator, attr, values)
                .map_err(|why| format!("hello.ops.{name}.attrs.{attr}{why}"))?;
        }
        for (list, names) in [
            ("optional", served.optional.as_deref().unwrap_or_default()),
            ("required", &served.required),
        ] {
            if let Some(other) = names.iter().find(|own| !scope::is_tensor(operator, own)) {
                let known = scope::tensors(operator).join(", ");
                return Err(format!("hello.ops.{name}.{list} = {other}: allowed {known}"));
            }
        }
        for (key, side) in &served.variant {
            let sides = operator.variants().iter().find(|(own, _)| own == key).map(|(_, s)| s);
            if sides.is_none_or(|sides| !sides.contains(&side.as_str())) {
                let allowed: Vec<String> = operator
                    .variants()
                    .iter()
                    .map(|(k, s)| format!("{k}: {}", s.join(" or ")))
                    .collect();
                let allowed = if allowed.is_empty() { "none".into() } else { allowed.join("; ") };
                return Err(format!("hello.ops.{name}.variant.{key} = {side}: allowed {allowed}"));
            }
        }
    }
    Ok(())
}

/// One operator, pass and pair of dtypes to look at.
struct Subject {
    operator: &'static dyn Operator,
    served: Served,
    dir: Dir,
    dtypes: (Dtype, Dtype),
    /// True for the first of its operator, which the checks of whole operators ride on.
    first: bool,
}

fn subjects(hello: &Hello, options: &Options) -> (Vec<String>, Vec<Subject>) {
    let (mut skipped, mut subjects) = (Vec::new(), Vec::new());
    for operator in op::ALL {
        let Some(served) = hello.ops.get(operator.name()) else { continue };
        let mut first = true;
        for dir in served.dirs() {
            for dtypes in served.dtypes() {
                if !wanted(options, operator.name(), dir, dtypes.0) {
                    continue;
                }
                let (operator, served) = (*operator, served.clone());
                let subject = Subject { operator, served, dir, dtypes, first };
                let name = Outcome::begin(&subject).row.name();
                if options.manifest.skip(&name).is_some() {
                    skipped.push(name);
                } else {
                    subjects.push(subject);
                    first = false;
                }
            }
        }
    }
    (skipped, subjects)
}

fn wanted(options: &Options, op: &str, dir: Dir, dtype: Dtype) -> bool {
    options.filters.is_empty() || options.filters.iter().any(|f| f.takes(op, dir, dtype))
}

/// What the specification has and the target does not declare.
fn uncovered(hello: &Hello, options: &Options) -> Vec<String> {
    let mut missing = Vec::new();
    for operator in op::ALL {
        let name = operator.name();
        let served = hello.ops.get(name);
        for &dir in operator.dirs() {
            for &dtype in operator.dtypes() {
                let covered = served.is_some_and(|served| {
                    served.dirs().contains(&dir) && served.dtypes().iter().any(|d| d.0 == dtype)
                });
                if !covered && wanted(options, name, dir, dtype) {
                    missing.push(format!("{name}:{dir}:{dtype}"));
                }
            }
        }
    }
    missing
}

/// What came of one subject.
struct Outcome {
    row: Row,
    stages: BTreeMap<u8, Stage>,
    findings: Vec<Finding>,
    notes: Vec<String>,
    failures: Vec<Failures>,
    evidence: Vec<Trial>,
}

/// The failures of one kind: the first and the plainest, and how many.
struct Failures {
    stage: u8,
    first: Trial,
    plainest: Trial,
    flaw: Flaw,
    times: usize,
}

impl Outcome {
    fn begin(subject: &Subject) -> Outcome {
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

    fn run(
        &mut self,
        target: &mut dyn Candidate,
        subject: &Subject,
        hello: &Hello,
        options: &Options,
        deadline: Option<Instant>,
        deaths: &mut usize,
    ) {
        let Subject { operator, served, dir, dtypes, first } = subject;
        let scope = Scope::new(*operator, served);
        let plain = scope.simplest(*dir, *dtypes);
        if !scope.allows(&plain) {
            let name = self.row.name();
            self.notes.push(format!("{name}: no problem lies within what is declared"));
            return;
        }
        let asked = |stage: u8| options.stages.contains(&stage);
        let pinned = options.pinned.iter().filter(|case| {
            (case.op, case.dir, (case.dtype, case.params_dtype)) == (operator.name(), *dir, *dtypes)
                && scope.allows(case)
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
                self.arguments(target, &scope, &plain);
            }
            if asked(4) && *first {
                self.gradients(target, &scope, &plain);
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

    fn arguments(&mut self, target: &mut dyn Candidate, scope: &Scope, plain: &Case) {
        let began = Instant::now();
        let dtypes = (plain.dtype, plain.params_dtype);
        let moved = liveness::check(target, scope, plain.dir, dtypes);
        let failed = moved.iter().filter(|moved| moved.trial.flaw.is_some()).count();
        for moved in &moved {
            if moved.dead {
                self.notes.push(format!("{}: {} changes nothing", self.row.name(), moved.what));
            }
            note(&mut self.failures, 3, &moved.trial);
        }
        self.tally(3, moved.len(), failed, began);
    }

    fn gradients(&mut self, target: &mut dyn Candidate, scope: &Scope, plain: &Case) {
        let began = Instant::now();
        let (case, flaw) = match gradients::check(target, scope) {
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

/// Explains every failure; one of several dtypes that fail alike is enough.
fn explain_all(target: &mut dyn Candidate, hello: &Hello, outcomes: &mut [Outcome]) {
    // `f32` tells most readers most, and a wrong forward is why its backward is wrong.
    let mut order: Vec<usize> = (0..outcomes.len()).collect();
    order.sort_by_key(|&i| (outcomes[i].row.dir, outcomes[i].row.dtype != Dtype::F32));
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
                explain(target, served, &failure, &outcome.evidence, &outcome.row)
            };
            outcome.findings.push(finding);
        }
        outcome.evidence.clear();
    }
}

/// A finding that says no more than what was seen.
fn plainly(stage: u8, row: &Row, case: &Case, flaw: &Flaw) -> Finding {
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
    }
}

/// A finding with its smallest counterexample, when it fails, and what the target behaves like.
fn explain(
    target: &mut dyn Candidate,
    served: &Served,
    failure: &Failures,
    evidence: &[Trial],
    row: &Row,
) -> Finding {
    let Failures { stage, first, plainest, flaw, times } = failure;
    let mut finding = plainly(*stage, row, &first.case, flaw);
    finding.times = *times;
    // A target that says nothing readable, or nothing at all, costs seconds a call.
    if flaw.fault != Fault::Wrong && flaw.message.contains("no answer") {
        return finding;
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
    let scope = Scope::new(plainest.case.operator(), served);
    let (case, calls) = shrink::shrink(&plainest.case, &scope, &mut fails);
    // The last failing trial is that of the case that was kept, unless nothing was.
    let smallest = smallest.filter(|trial| trial.case == case).unwrap_or_else(|| plainest.clone());
    if flaw.fault == Fault::Wrong {
        let mut fails = |case: &Case| {
            let trial = trial::put(target, served, case);
            trial.flaw.as_ref().is_some_and(|own| own.resembles(flaw))
        };
        let mut loose = case.clone();
        (loose.kind, loose.upstream) = (plainest.case.kind, plainest.case.upstream);
        finding.when = scan::scan(&loose, &scope, &mut fails);
        finding.breaks = laws::broken(&smallest);
        let mut all: Vec<&Trial> = evidence.iter().collect();
        all.push(&smallest);
        finding.behaves_like = diagnose::diagnose(&all, served);
    }
    let own = smallest.flaw.clone().unwrap_or_else(|| flaw.clone());
    finding.message = own.message;
    finding.worst = own.graded;
    finding.shrunk = Some(shown(&smallest, &plainest.case, calls));
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
