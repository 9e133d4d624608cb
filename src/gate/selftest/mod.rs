//! The gate proves itself: every mutant of the catalogue must die, no control may fail, and an error of k
//! bounds is a failure from some k on and none below another.

pub mod planted;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};

use rayon::prelude::*;
use serde::Serialize;

use super::mutants::{self, ModelCandidate};
use super::report::Report;
use super::run::{self, Filter, Options};
use super::stages::{sizes, statistics};
use crate::check::call::{Candidate, Reply, Served};
use crate::check::flaw::Fault;
use crate::check::judge::Grade;
use crate::check::oracle::{self, Expected};
use crate::check::plan::Plan;
use crate::check::reading::Reading;
use crate::check::spec;
use crate::check::spec::case::Case;
use crate::check::tensor::{Dtype, Tensor, Tensors};
use crate::check::trial::{self, Question};
use crate::rng::Rng;

/// Within how many cases a mutant must die.
pub const WITHIN: usize = 64;
/// Elements of the problems that controls mostly meet; every [`LARGE`]th may be of any size.
const SMALL: usize = 2_000;
/// How often a control meets a problem of any size.
const LARGE: usize = 100;

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
pub fn cases(served: &Served, op: &str, seed: u64) -> impl Iterator<Item = Case> + use<> {
    let operator = spec::find(op).expect("the catalogue is of operators");
    let mut plans: Vec<Plan> = Vec::new();
    for dir in served.dirs() {
        for dtypes in served.dtypes() {
            plans.push(Plan::new(operator, served, dir, dtypes, seed));
        }
    }
    (0..).map(move |i: usize| {
        let turn = i % plans.len();
        plans[turn].next().expect("a plan has no end")
    })
}

fn served(candidate: &mut dyn Candidate, op: &str) -> Served {
    candidate.hello().expect("a candidate of the catalogue says hello").ops[op].clone()
}

/// The first case that a candidate fails, within some number of cases.
///
/// Where the answers are random numbers, the last of these cases is stage 6 as a whole; large problems
/// come after all, and count as one more.
pub fn first_kill(
    candidate: &mut dyn Candidate,
    op: &str,
    seed: u64,
    limit: usize,
) -> Option<Killed> {
    let served = served(candidate, op);
    let mut candidates = [Suspect::new(candidate)];
    let random = spec::find(op).is_some_and(|operator| operator.random());
    let cases = cases(&served, op, seed).take(limit.saturating_sub(usize::from(random)));
    hold(&mut candidates, &served, cases);
    let [Suspect { candidate, killed }] = candidates;
    let full = statistics::Effort::FULL;
    let killed = killed.or_else(|| {
        random.then(|| by_statistics(candidate, op, &served, seed, (full, limit))).flatten()
    });
    killed.or_else(|| {
        let mut suspects = [Suspect::new(candidate)];
        hold(&mut suspects, &served, large(&served, op, seed).into_iter());
        let [Suspect { killed, .. }] = suspects;
        killed.map(|killed| Killed { after: limit, ..killed })
    })
}

/// The cases of stage 7: those of `f32`, which other dtypes share.
fn large(served: &Served, op: &str, seed: u64) -> Vec<Case> {
    let operator = spec::find(op).expect("the catalogue is of operators");
    let single = served.dtypes().into_iter().filter(|&dtypes| dtypes == (Dtype::F32, Dtype::F32));
    let of = |dir| {
        single
            .clone()
            .flat_map(move |dtypes| sizes::cases(operator, served, dir, dtypes, seed, &[]))
    };
    served.dirs().into_iter().flat_map(of).collect()
}

/// A candidate and the first case that it failed.
struct Suspect<'a> {
    candidate: &'a mut dyn Candidate,
    killed: Option<Killed>,
}

impl<'a> Suspect<'a> {
    fn new(candidate: &'a mut dyn Candidate) -> Self {
        Suspect { candidate, killed: None }
    }
}

/// Puts cases to candidates that serve the same, until each has failed one: one oracle does for all.
fn hold(suspects: &mut [Suspect], served: &Served, cases: impl Iterator<Item = Case>) {
    for (i, case) in cases.enumerate() {
        let mut living = suspects.iter_mut().filter(|suspect| suspect.killed.is_none()).peekable();
        if living.peek().is_none() {
            return;
        }
        let question = Question::new(case, served);
        for suspect in living {
            suspect.killed = question.ask(suspect.candidate).map(|flaw| Killed {
                after: i + 1,
                case: question.case.clone(),
                why: flaw.message,
            });
        }
    }
}

/// The first statistic of a random operator that shows a candidate wrong.
fn by_statistics(
    candidate: &mut dyn Candidate,
    op: &str,
    served: &Served,
    seed: u64,
    (effort, after): (statistics::Effort, usize),
) -> Option<Killed> {
    let evidence = statistics::evidence(candidate, op, served, seed, effort);
    let evidence = evidence.expect("a candidate of the catalogue answers");
    let finding = evidence.findings.into_iter().next()?;
    let statistics::Finding { case, message, got, want, bound } = finding;
    let why = format!("{message} is {got:e}, not {want:e} ± {bound:e}");
    Some(Killed { after, case, why })
}

/// Many cases for right candidates of one operator: small problems mostly, every now and then one of
/// any size. Of a random operator, stage 6 once for every thousand cases as well.
pub fn accused(
    candidates: &mut [ModelCandidate],
    op: &str,
    seed: u64,
    count: usize,
) -> Vec<Option<Killed>> {
    let Some(first) = candidates.first_mut() else { return Vec::new() };
    let any = served(first, op);
    let mut small = any.clone();
    small.limits.max_elements = Some(any.limits.max_elements.unwrap_or(SMALL).min(SMALL));
    let (mut large, mut little) = (cases(&any, op, seed ^ 1), cases(&small, op, seed));
    let mixed = (0..count).map(|i| {
        let case = if i % LARGE == LARGE - 1 { large.next() } else { little.next() };
        case.expect("a plan has no end")
    });
    let mut suspects: Vec<Suspect> = candidates.iter_mut().map(|c| Suspect::new(c)).collect();
    hold(&mut suspects, &any, mixed);
    let random = spec::find(op).is_some_and(|operator| operator.random());
    for suspect in suspects.iter_mut().filter(|suspect| random && suspect.killed.is_none()) {
        let mut runs = (0..count.div_ceil(1000) as u64).map(|run| seed.wrapping_add(run));
        let quick = (statistics::Effort::QUICK, count);
        suspect.killed =
            runs.find_map(|seed| by_statistics(suspect.candidate, op, &any, seed, quick));
    }
    suspects.into_iter().map(|suspect| suspect.killed).collect()
}

/// What became of one mutant.
#[derive(Debug, Clone, Serialize)]
pub struct Death {
    /// The operator.
    pub op: String,
    /// The mutant.
    pub id: String,
    /// Its class.
    pub class: String,
    /// What is wrong with it.
    pub about: String,
    /// After how many cases it died, for every seed; nothing where it lived.
    pub after: Vec<Option<usize>>,
    /// The operator, pass and dtype of the case that it died of first.
    pub row: Option<String>,
    /// The shrunken counterexample's sizes, where it was explained.
    pub shrunk: Option<String>,
    /// True where that has at most two rows and four columns.
    pub small: bool,
    /// What the gate said that it behaves like.
    pub named: Option<String>,
    /// True where that is the mutant, or another of its class.
    pub right: bool,
}

impl Death {
    /// True where it was named, and not as one of its class.
    pub fn misnamed(&self) -> bool {
        self.named.is_some() && !self.right
    }
}

/// What became of one control.
#[derive(Debug, Clone, Serialize)]
pub struct Acquittal {
    /// The operator.
    pub op: String,
    /// The control.
    pub id: String,
    /// How it differs from the plain form.
    pub about: String,
    /// Cases that it met.
    pub cases: usize,
    /// What it was wrongly accused of.
    pub accused: Option<String>,
}

/// How often an error of k bounds was called a failure.
#[derive(Debug, Clone, Serialize)]
pub struct Calibration {
    /// The error of one element, in worst-case bounds.
    pub k: f64,
    /// Answers with such an error.
    pub tried: usize,
    /// Those that failed.
    pub failed: usize,
}

/// What the self-test found.
#[derive(Debug, Clone, Serialize)]
pub struct Power {
    /// Every mutant.
    pub deaths: Vec<Death>,
    /// Every control.
    pub acquittals: Vec<Acquittal>,
    /// Errors by size.
    pub calibration: Vec<Calibration>,
    /// Faults of random numbers of the stated size.
    pub planted: Vec<planted::Trial>,
}

/// The share of mutants that may be named as another class than their own.
pub const MISNAMED: f64 = 0.02;

impl Power {
    /// The share of mutants that are named as another class than their own.
    pub fn misnamed(&self) -> f64 {
        let wrong = self.deaths.iter().filter(|death| death.misnamed()).count();
        wrong as f64 / self.deaths.len().max(1) as f64
    }
    /// True where few are; of a part of the catalogue, one may be.
    fn well_named(&self) -> bool {
        let part = self.deaths.len() as f64 * MISNAMED < 1.0;
        let wrong = self.deaths.iter().filter(|death| death.misnamed()).count();
        self.misnamed() < MISNAMED || (part && wrong <= 1)
    }
    /// True where every mutant died for every seed, no control was accused, few were misnamed, and
    /// bounds shows.
    pub fn holds(&self) -> bool {
        self.deaths.iter().all(|death| death.after.iter().all(Option::is_some))
            && self.acquittals.iter().all(|control| control.accused.is_none())
            && self.well_named()
            && self.calibration.iter().all(|level| match level.k {
                k if k >= 4.0 => level.failed == level.tried,
                k if k <= 0.25 => level.failed == 0,
                _ => true,
            })
            && self.planted.iter().all(planted::Trial::holds)
    }
}

/// How much to do.
#[derive(Debug, Clone)]
pub struct Effort {
    /// Seeds of the cases of mutants.
    pub seeds: Vec<u64>,
    /// Cases of every control.
    pub cases: usize,
    /// Seeds under which a fault of random numbers is planted.
    pub plantings: usize,
    /// Whether failures are also explained.
    pub explain: bool,
    /// One operator only.
    pub op: Option<String>,
}

/// Runs the catalogue; `told` hears how much is done of how much.
pub fn run(effort: &Effort, told: &(dyn Fn(usize, usize) + Sync)) -> Power {
    let catalogues = || {
        let chosen = |catalogue: &&mutants::Catalogue| {
            effort.op.as_ref().is_none_or(|op| op == catalogue.op)
        };
        mutants::CATALOGUES.iter().filter(chosen)
    };
    let all: usize = catalogues().map(|catalogue| 2 + catalogue.mutants.len()).sum();
    let done = AtomicUsize::new(0);
    let tell = |count| told(done.fetch_add(count, Ordering::SeqCst) + count, all);
    let catalogues: Vec<&mutants::Catalogue> = catalogues().collect();
    let deaths = catalogues.par_iter().flat_map(|catalogue| {
        let deaths = deaths(catalogue, effort);
        tell(1);
        deaths.into_par_iter().zip(catalogue.mutants).map(|(mut death, mutant)| {
            if effort.explain {
                explain(mutant, &mut death);
            }
            tell(1);
            death
        })
    });
    let deaths = deaths.collect();
    let acquittals = catalogues.par_iter().flat_map_iter(|catalogue| {
        let acquittals = acquittals(catalogue, effort);
        tell(1);
        acquittals
    });
    let acquittals = acquittals.collect();
    let planted = planted::table(effort.op.as_deref(), effort.plantings);
    Power { deaths, acquittals, calibration: calibration(effort), planted }
}

/// What becomes of the mutants of one operator.
fn deaths(catalogue: &mutants::Catalogue, effort: &Effort) -> Vec<Death> {
    let mut deaths: Vec<Death> = (catalogue.mutants.iter())
        .map(|mutant| Death {
            op: mutant.op.to_string(),
            id: mutant.id.to_string(),
            class: mutant.class.to_string(),
            about: mutant.about.to_string(),
            after: Vec::new(),
            row: None,
            shrunk: None,
            small: false,
            named: None,
            right: false,
        })
        .collect();
    for &seed in &effort.seeds {
        // Those that serve 16 bit or one pass only meet other cases.
        let single = |m: &&mutants::Mutant| !mutants::unsteady::by_run(m);
        let mut kinds: Vec<_> =
            catalogue.mutants.iter().filter(single).map(|m| (m.native, m.only)).collect();
        kinds.sort();
        kinds.dedup();
        for kind in kinds {
            let own = || {
                let all = catalogue.mutants.iter().enumerate();
                all.filter(move |(_, m)| single(m) && (m.native, m.only) == kind)
            };
            let mut candidates: Vec<ModelCandidate> =
                own().map(|(_, mutant)| ModelCandidate::new(catalogue.op, mutant.id)).collect();
            let Some(first) = candidates.first_mut() else { continue };
            let served = served(first, catalogue.op);
            let random = spec::find(catalogue.op).is_some_and(|operator| operator.random());
            let limit = WITHIN - usize::from(random);
            let mut suspects: Vec<Suspect> =
                candidates.iter_mut().map(|c| Suspect::new(c)).collect();
            hold(&mut suspects, &served, cases(&served, catalogue.op, seed).take(limit));
            for ((i, _), suspect) in own().zip(suspects) {
                let Suspect { candidate, killed } = suspect;
                let full = (statistics::Effort::FULL, WITHIN);
                let by_statistics = || by_statistics(candidate, catalogue.op, &served, seed, full);
                let killed = killed.or_else(|| random.then(by_statistics).flatten());
                let killed = killed.or_else(|| {
                    let mut late = ModelCandidate::new(catalogue.op, catalogue.mutants[i].id);
                    let mut suspects = [Suspect::new(&mut late)];
                    hold(&mut suspects, &served, large(&served, catalogue.op, seed).into_iter());
                    let [Suspect { killed, .. }] = suspects;
                    killed.map(|killed| Killed { after: WITHIN, ..killed })
                });
                let row = |Killed { case, .. }: &Killed| {
                    format!("{}:{}:{}", case.op, case.dir, case.dtype)
                };
                let death = &mut deaths[i];
                death.row = death.row.take().or_else(|| killed.as_ref().map(row));
                death.after.push(killed.map(|killed| killed.after));
            }
        }
        for (i, mutant) in catalogue.mutants.iter().enumerate().filter(|(_, m)| !single(m)) {
            let (row, asked) = by_run(mutant, seed);
            deaths[i].row = deaths[i].row.take().or(row);
            deaths[i].after.push(asked);
        }
    }
    deaths
}

/// What a whole run says of a mutant that no single answer is sure to show: the row that fails, and
/// how many cases it had.
fn by_run(mutant: &mutants::Mutant, seed: u64) -> (Option<String>, Option<usize>) {
    let filters = vec![format!("{}:fwd:f32", mutant.op).parse().expect("a row of the catalogue")];
    let report = checked(mutant, Options { filters, seed, ..Options::default() });
    let broken = report.findings.iter().find(|finding| match mutant.class {
        mutants::unsteady::PROMISE => finding.message.starts_with("claims "),
        _ => finding.repeats.is_some() || finding.fault == Fault::Wrong,
    });
    let cases = report.rows.iter().map(|row| row.cases).sum();
    (broken.map(|finding| finding.subject.clone()), broken.map(|_| cases))
}

/// A default run of the gate over a mutant.
fn checked(mutant: &mutants::Mutant, options: Options) -> Report {
    let start = || {
        let candidate: Box<dyn Candidate> = Box::new(ModelCandidate::new(mutant.op, mutant.id));
        Ok(candidate)
    };
    run::check(&start, &options, &|_| ())
}

/// What becomes of the right implementations of one operator.
fn acquittals(catalogue: &mutants::Catalogue, effort: &Effort) -> Vec<Acquittal> {
    const PARTS: usize = 8;
    let forms: Vec<(&'static str, &str)> = std::iter::once(("", "the plain form"))
        .chain(catalogue.controls.iter().map(|control| (control.id, control.about)))
        .collect();
    let parts = (0..PARTS).into_par_iter().map(|part| {
        let fresh = forms.iter().map(|(id, _)| ModelCandidate::new(catalogue.op, id));
        let mut candidates: Vec<ModelCandidate> = fresh.collect();
        let seed = (effort.seeds[0] ^ 0xacc) + 1000 * part as u64;
        let count = effort.cases / PARTS + usize::from(part < effort.cases % PARTS);
        accused(&mut candidates, catalogue.op, seed, count)
    });
    let mut parts: Vec<Vec<Option<Killed>>> = parts.collect();
    parts.push(accused_of_sizes(&forms, catalogue.op, effort.seeds[0]));
    let of = |i: usize| parts.iter().find_map(|part| part[i].as_ref());
    let forms = forms.iter().enumerate().map(|(i, (id, about))| Acquittal {
        op: catalogue.op.to_string(),
        id: if id.is_empty() { "plain".to_string() } else { id.to_string() },
        about: about.to_string(),
        cases: effort.cases,
        accused: of(i).map(|killed| format!("{} ({})", killed.why, killed.case)),
    });
    forms.collect()
}

/// Large problems for right candidates of one operator: those that a model answers within a second.
fn accused_of_sizes(
    forms: &[(&'static str, &str)],
    op: &'static str,
    seed: u64,
) -> Vec<Option<Killed>> {
    const WORK: usize = 1 << 25;
    let fresh = || forms.iter().map(|(id, _)| ModelCandidate::new(op, id));
    let served = served(&mut fresh().next().expect("a plain form"), op);
    let cases = large(&served, op, seed).into_par_iter();
    let cases = cases.filter(|case| case.operator().work(case) <= WORK);
    let killed = cases.map(|case| {
        let mut candidates: Vec<ModelCandidate> = fresh().collect();
        let mut suspects: Vec<Suspect> = candidates.iter_mut().map(|c| Suspect::new(c)).collect();
        hold(&mut suspects, &served, std::iter::once(case));
        suspects.into_iter().map(|suspect| suspect.killed).collect::<Vec<_>>()
    });
    let killed: Vec<_> = killed.collect();
    (0..forms.len()).map(|i| killed.iter().find_map(|case| case[i].clone())).collect()
}

/// What `gate check` says of a mutant, of the row that it died in first.
fn explain(mutant: &mutants::Mutant, death: &mut Death) {
    let filters: Vec<Filter> = death.row.iter().filter_map(|row| row.parse().ok()).collect();
    let report = checked(mutant, Options { filters, ..Options::default() });
    let told = report.findings.iter().filter_map(|finding| finding.shrunk.as_ref());
    let smallest = told.min_by_key(|shrunk| {
        let sizes = shrunk.inputs.iter().map(|(_, shape, _)| shape.iter().product::<usize>());
        sizes.max().unwrap_or(0)
    });
    if let Some(shrunk) = smallest {
        let last = |shape: &[usize]| shape.last().copied().unwrap_or(1);
        death.shrunk = Some(shrunk.to.clone());
        death.small = shrunk.inputs.iter().all(|(_, shape, _)| {
            let elements: usize = shape.iter().product();
            last(shape) <= 4 && elements <= 2 * last(shape)
        });
    }
    let named = report.findings.iter().filter_map(|finding| finding.behaves_like.as_ref());
    for likeness in named {
        let ids = std::iter::once(&likeness.id).chain(&likeness.rivals);
        let alike = ids.into_iter().any(|id| class(mutant.op, id) == Some(mutant.class));
        if death.named.is_none() || (alike && !death.right) {
            let rivals = likeness.rivals.iter().map(|id| format!(" or {id}"));
            death.named = Some(format!("{}{}", likeness.id, rivals.collect::<String>()));
        }
        death.right |= alike;
    }
}

/// The class of bug that a name of an explanation stands for.
fn class(op: &str, id: &str) -> Option<&'static str> {
    match id.split_once('=') {
        Some((key, _)) => Some(mutants::class_of_variant(key)),
        None if id == "native" => Some("precision"),
        None => mutants::mutants(op).iter().find(|other| other.id == id).map(|other| other.class),
    }
}

/// Answers that are right but for one element, which is off by k of its bounds.
fn calibration(effort: &Effort) -> Vec<Calibration> {
    const KS: [f64; 9] = [0.0625, 0.125, 0.25, 0.5, 1.0, 2.0, 4.0, 8.0, 16.0];
    const CASES: usize = 12;
    let mut count: BTreeMap<usize, (usize, usize)> = BTreeMap::new();
    for operator in spec::all().filter(|operator| !operator.random()) {
        if effort.op.as_ref().is_some_and(|op| op != operator.name()) {
            continue;
        }
        let dtypes = operator.dtypes().to_vec();
        let mut served = Served { dir: Some(operator.dirs().to_vec()), ..Served::default() };
        served.dtype = Some(dtypes);
        served.limits.max_elements = Some(SMALL);
        let each = served.dirs().len() * served.dtypes().len();
        for case in cases(&served, operator.name(), effort.seeds[0]).take(each * CASES) {
            let call = case.call();
            if operator.must_refuse(&call) {
                continue;
            }
            let expected = oracle::expect(&call, &Reading::of(&served, case.dtype));
            let mut rng = Rng::new(case.seed).named("bite");
            for (i, k) in KS.into_iter().enumerate() {
                let Some(answer) = off_by(&expected, k, &mut rng) else { continue };
                let reply = Ok(Reply::Ok(answer));
                let trial = trial::assess(&case, call.clone(), expected.clone(), reply);
                // What holds beyond bounds (exact rows, say) is another matter than the bounds.
                let graded = trial.graded.iter().any(|graded| graded.grade == Grade::Fail);
                let (tried, failed) = count.entry(i).or_default();
                *tried += 1;
                *failed += usize::from(graded);
            }
        }
    }
    let calibration = count.into_iter();
    calibration.map(|(i, (tried, failed))| Calibration { k: KS[i], tried, failed }).collect()
}

/// The right answer, one element of it off by k bounds, as far as its dtype can say that.
fn off_by(expected: &[Expected], k: f64, rng: &mut Rng) -> Option<Tensors> {
    let mut answer: Tensors = (expected.iter())
        .map(|e| (e.name.clone(), Tensor::new(e.dtype, &e.shape, e.truth.clone())))
        .collect();
    for _ in 0..32 {
        let expected = &expected[rng.below(expected.len())];
        if expected.truth.is_empty() {
            continue;
        }
        let i = rng.below(expected.truth.len());
        let (truth, bound) = (expected.truth[i], expected.worst[i]);
        let moved = truth + k * bound * if rng.below(2) == 0 { 1.0 } else { -1.0 };
        let stored = expected.dtype.round(moved);
        // The dtype's own steps must be fine enough for the error to be what it says.
        let off = (stored - truth).abs() / bound;
        let representable = bound.is_finite()
            && stored.abs() < expected.dtype.largest()
            && (off - k).abs() <= 0.25 * k
            && expected.dtype != Dtype::I64;
        if representable {
            answer.get_mut(&expected.name)?.values[i] = stored;
            return Some(answer);
        }
    }
    None
}

/// The tables of `reports/gate.md`.
pub fn markdown(power: &Power, command: &str) -> String {
    let mut out = String::new();
    let died = power.deaths.iter().filter(|d| d.after.iter().all(Option::is_some)).count();
    let latest = power.deaths.iter().flat_map(|d| d.after.iter().flatten()).max().unwrap_or(&0);
    let alarms = power.acquittals.iter().filter(|a| a.accused.is_some()).count();
    let met: usize = power.acquittals.iter().map(|a| a.cases).sum();
    let (mutants, controls) = (power.deaths.len(), power.acquittals.len());
    out += &format!(
        "# What the gate can tell\n\nMade by `{command}`.\n\n\
         **{died} of {mutants} mutants die**, the last after {latest} cases; **{alarms} false \
         alarms** in {met} cases of {controls} right implementations.\n\n"
    );
    let explained = power.deaths.iter().filter(|d| d.shrunk.is_some()).count();
    if explained > 0 {
        let small = power.deaths.iter().filter(|d| d.small).count();
        let right = power.deaths.iter().filter(|d| d.right).count();
        let wrong = power.deaths.iter().filter(|d| d.misnamed());
        let which: Vec<String> = wrong.map(|d| format!("`{}`", d.id)).collect();
        let misnamed = which.len();
        let which = if misnamed == 0 { String::new() } else { format!(" ({})", which.join(", ")) };
        out += &format!(
            "Explained: {right} of {mutants} are named as what they are or as another of their \
             class, and **{misnamed} ({:.1} %) as one of another class**{which}; the rest is described \
             by which part of the answer is off. {small} counterexamples have at most 2 rows and 4 \
             columns.\n\n",
            100.0 * power.misnamed()
        );
    }
    out += "## Errors of k bounds\n\nOne element of a right answer is moved by k of its worst-case \
            bounds. At 1 the bound ends, and what the answer's own rounding adds decides.\n\n\
            | k | answers | failed |\n|---:|---:|---:|\n";
    for Calibration { k, tried, failed } in &power.calibration {
        let share = 100.0 * *failed as f64 / (*tried).max(1) as f64;
        out += &format!("| {k} | {tried} | {failed} ({share:.1} %) |\n");
    }
    if !power.planted.is_empty() {
        out += "\n## Random numbers\n\nA fault of the size that a run of so many numbers states to find with a \
                probability of 99 %, planted under many seeds; half of it may be missed. A check \
                looks at more numbers, and states by the same formula what it finds.\n\n\
                | operator | fault | numbers | size | found | half of it | right ones accused |\n\
                |---|---|---:|---:|---:|---:|---:|\n";
    }
    for planted::Trial { op, fault, numbers, size, tried, found, half, accused } in &power.planted {
        out += &format!(
            "| {op} | {fault} | {numbers} | {size:.2e} | {found} of {tried} | {half} of {tried} \
             | {accused} of {tried} |\n"
        );
    }
    out += "\n## Right implementations\n\n| operator | form | cases | accused of |\n|---|---|---:|---|\n";
    for Acquittal { op, about, cases, accused, .. } in &power.acquittals {
        let accused = accused.as_deref().unwrap_or("nothing");
        out += &format!("| {op} | {about} | {cases} | {accused} |\n");
    }
    out += "\n## Wrong implementations\n\n\
            | operator | mutant | what is wrong | dies after | shrunk to | behaves like |\n\
            |---|---|---|---:|---|---|\n";
    for death in &power.deaths {
        let after: Vec<String> =
            death.after.iter().map(|a| a.map_or("lives".to_string(), |n| n.to_string())).collect();
        let Death { op, id, about, .. } = death;
        let shrunk = death.shrunk.as_deref().unwrap_or("");
        let named = death.named.as_deref().unwrap_or("");
        let after = after.join(", ");
        out += &format!("| {op} | `{id}` | {about} | {after} | {shrunk} | {named} |\n");
    }
    out
}
