//! `gate check`: a target through all stages, and what is wrong with it, explained.

mod budget;
mod causes;
mod filter;
mod hello;
mod opening;
mod outcome;
mod proposal;
mod sizes;
mod steadiness;
mod subjects;
mod untested;

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use super::manifest::Manifest;
use super::report::{Finding, Repeated, Report, Stage, exit_code};
use super::stages::repeat;
use crate::check::call::{Broken, Candidate};
use crate::check::flaw::Flaw;
use crate::check::spec::case::Case;
use crate::gate::stages::sizes::Asked;
use crate::gate::stages::statistics::Effort;
use proposal::proposals;

use budget::Budget;
use causes::Causes;
pub use filter::Filter;
pub(super) use outcome::{Outcome, note};
pub(super) use subjects::Subject;

/// Cases of every operator, pass and pair of dtypes, unless something else is said.
pub const CASES: usize = 40;

/// Why a row behind the first failure is not tried, where that ends the run.
const ENDED: &str = "the first failure ended the run";

/// The stages by number.
pub const STAGES: [&str; 8] =
    ["smoke", "pinned", "cases", "arguments", "gradients", "determinism", "statistics", "sizes"];

/// What to check, and how much.
#[derive(Debug, Clone)]
pub struct Options {
    /// What to look at; everything where empty.
    pub filters: Vec<Filter>,
    /// The seed of the cases.
    pub seed: u64,
    /// Generated cases of every operator, pass and pair of dtypes.
    pub cases: usize,
    /// How long the run may take, shared out over all rows.
    pub time: Option<Duration>,
    /// To end with the first failure that is explained.
    pub fail_fast: bool,
    /// Workers that run side by side.
    pub jobs: usize,
    /// The stages to go through.
    pub stages: Vec<u8>,
    /// How many random numbers stage 6 looks at.
    pub statistics: Effort,
    /// Elements of the largest tensor that a slow target is asked with, where it declares no fewer.
    pub largest: Option<usize>,
    /// Shapes that stage 7 tries beside its own.
    pub sizes: Vec<Asked>,
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
            fail_fast: false,
            jobs: 1,
            stages: (0..STAGES.len() as u8).collect(),
            statistics: Effort::FULL,
            largest: None,
            sizes: Vec::new(),
            pinned: Vec::new(),
            command: Vec::new(),
            manifest: Manifest::default(),
        }
    }
}

/// Something that happened, for whoever shows progress.
#[derive(Debug, Clone, Copy)]
pub enum Event<'a> {
    /// A row, `op:dir:dtype`, is done: how many of them are, of how many.
    Done {
        /// Its name.
        row: &'a str,
        /// How many are done.
        done: usize,
        /// Of how many.
        of: usize,
    },
    /// An answer showed a failure of a new kind; why it fails is not known yet.
    Failure {
        /// Its row.
        row: &'a str,
        /// What is wrong.
        flaw: &'a Flaw,
    },
    /// A failure is explained.
    Explained(&'a Finding),
}

/// Hears of what happens in a run.
pub type Told<'a> = &'a (dyn Fn(Event) + Sync);

/// What all rows of a run share.
struct Run<'a> {
    options: &'a Options,
    told: Told<'a>,
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

/// Goes through the stages and reports; `told` hears of each thing as it happens. A target that cannot
/// even be greeted is a report as well.
pub fn check(start: Start, options: &Options, told: Told) -> Report {
    let began = Instant::now();
    let greeted = start().and_then(|mut target| target.hello().map(|hello| (target, hello)));
    let (mut first, mut hello) = match greeted {
        Ok(both) => both,
        Err(broken) => return refused(options, &broken, began),
    };
    if let Err(message) = hello::understood(&hello) {
        return refused(options, &Broken::Protocol(message), began);
    }
    // As if the target had declared it: no stage knows of another limit.
    for limits in hello.ops.values_mut().map(|served| &mut served.limits) {
        limits.max_elements = limits.max_elements.into_iter().chain(options.largest).min();
    }
    for (op, served) in &mut hello.ops {
        if let Some(arithmetic) = options.manifest.arithmetic(op) {
            served.arithmetic = arithmetic;
        }
    }
    let mut report = Report::begin(
        hello.identity.clone(),
        options.command.clone(),
        hello.claims.clone(),
        options.seed,
    );
    report.served = hello.ops.clone();
    if options.sizes_of(&report.served).is_err() {
        return report;
    }
    let (skipped, subjects) = subjects::subjects(&hello, options);
    report.skipped = skipped;
    report.uncovered = subjects::uncovered(&hello, options);
    let budget = Budget::new(began, options.time, subjects.len(), options.jobs);
    let run = Run { options, told };
    let openings = opening::openings(&mut *first, &subjects, &run);
    let openings: Vec<_> = openings.into_iter().map(Mutex::new).collect();
    let (next, done, stop) = (AtomicUsize::new(0), AtomicUsize::new(0), AtomicBool::new(false));
    let rows: Mutex<BTreeMap<usize, Outcome>> = Mutex::new(BTreeMap::new());
    let settled: Mutex<Settled> = Mutex::default();
    // Rows are settled in their order, whoever finishes which, so that findings do not depend on jobs.
    let settle = |target: &mut dyn Candidate, settled: &mut Settled| {
        loop {
            let outcome = rows.lock().expect("no worker panics").remove(&settled.outcomes.len());
            let Some(mut outcome) = outcome else { return };
            let explained = |finding: &Finding| {
                stop.fetch_or(options.fail_fast, Ordering::SeqCst);
                told(Event::Explained(finding));
            };
            settled.causes.settle(target, &hello, &budget, &mut outcome, &explained);
            settled.outcomes.push(outcome);
        }
    };
    let work = |target: &mut dyn Candidate| {
        let mut deaths: BTreeMap<&str, usize> = BTreeMap::new();
        loop {
            let i = next.fetch_add(1, Ordering::SeqCst);
            let Some(subject) = subjects.get(i) else { return };
            let deaths = deaths.entry(subject.operator.name()).or_default();
            let mut outcome = Outcome::begin(subject);
            let opening = std::mem::take(&mut *openings[i].lock().expect("no worker panics"));
            let until = budget.row();
            if stop.load(Ordering::SeqCst) {
                outcome.cut_short("everything", ENDED);
            } else if budget.over() && opening.is_empty() {
                outcome.cut_short("everything", "time was up");
            } else {
                outcome.run(target, subject, &hello, &run, (opening, until), deaths);
            }
            let name = outcome.row.name();
            rows.lock().expect("no worker panics").insert(i, outcome);
            if let Ok(mut settled) = settled.try_lock() {
                settle(target, &mut settled);
            }
            let done = done.fetch_add(1, Ordering::SeqCst) + 1;
            told(Event::Done { row: &name, done, of: subjects.len() });
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
    let mut settled = settled.into_inner().expect("no worker panics");
    settle(&mut *first, &mut settled);
    let Settled { causes, outcomes } = settled;
    report.inconclusive = untested::reasons(&hello, options, &outcomes);
    let asked = outcomes.iter().filter(|outcome| outcome.row.cases > 0);
    let broken = asked.clone().count() > 0 && asked.clone().all(Outcome::mute);
    report.findings = causes.finish(broken, &|finding| told(Event::Explained(finding)));
    let mut stages: BTreeMap<u8, Stage> = BTreeMap::new();
    for outcome in outcomes {
        for (number, stage) in outcome.stages {
            let total = stages.entry(number).or_insert_with(|| empty(number));
            total.checks += stage.checks;
            total.failed += stage.failed;
            total.seconds += stage.seconds;
        }
        if outcome.memory.asked > 0 {
            let answers = outcome.row.cases + outcome.memory.asked;
            report.repeated.push(Repeated {
                subject: outcome.row.name(),
                answers,
                again: outcome.memory.asked,
                one_in: repeat::found(answers),
            });
        }
        report.promises.extend(outcome.promises);
        report.rows.push(outcome.row);
        report.notes.extend(outcome.notes);
        report.statistics.extend(outcome.reach);
        report.cut_short.extend(outcome.cut);
    }
    report.stages = stages.into_values().collect();
    // What decides the exit code first, then what is explained.
    report.findings.sort_by_key(|finding| (finding.fault, finding.shrunk.is_none()));
    let inconclusive = if report.inconclusive.is_empty() { 0 } else { 5 };
    let found = report.findings.iter().map(|finding| finding.fault.exit_code());
    report.exit_code = exit_code(found.chain([inconclusive]));
    if options.time.is_none() && !options.fail_fast {
        report.notes.extend(proposals(start, &report, options));
    }
    report.seconds = began.elapsed().as_secs_f64();
    report
}

/// The rows that are done, in their order, and what is wrong in them.
#[derive(Default)]
struct Settled {
    causes: Causes,
    outcomes: Vec<Outcome>,
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
        affects: Vec::new(),
        pattern: None,
        repeats: None,
    });
    report.seconds = began.elapsed().as_secs_f64();
    report
}
