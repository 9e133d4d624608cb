//! What a run of the gate found, as data: every format is written from it.
//!
//! The schema is versioned: [`Report::FORMAT`] goes up when a field changes its meaning, and a new
//! field alone does not raise it.
//!
//! [`text`] is what a terminal shows, [`json`] what machines and [`diff`] read,
//! [`junit`] and [`markdown`] what a CI server shows, [`html`] a page to keep.

pub mod annotations;
pub mod badge;
pub mod diff;
mod hold;
pub mod html;
pub mod json;
#[cfg(feature = "harness")]
pub mod junit;
pub mod markdown;
mod reach;
pub mod text;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

pub use hold::{Expectation, State, apply, missing};
pub use reach::{Reach, TOGETHER, told};

use crate::check::flaw::Fault;
use crate::num::spelled::{every_number, numbers};

use crate::check::call::{Claims, Dir, Identity, SPEC, Served};
use crate::check::judge::Graded;
use crate::check::tensor::Dtype;

/// A finished run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// The version of this schema.
    pub format: u32,
    /// The version of Plummet.
    pub plummet: String,
    /// The edition of the operators' specification.
    pub spec: String,
    /// Who was judged.
    pub target: Identity,
    /// How it was started.
    pub command: Vec<String>,
    /// What it promises.
    pub claims: Claims,
    /// What it declares, by operator.
    #[serde(default)]
    pub served: BTreeMap<String, Served>,
    /// The seed of the cases.
    pub seed: u64,
    /// Wall time.
    #[serde(with = "every_number")]
    pub seconds: f64,
    /// What the run ended with.
    pub exit_code: u8,
    /// The stages in order.
    pub stages: Vec<Stage>,
    /// Every operator, pass and pair of dtypes that was tried.
    pub rows: Vec<Row>,
    /// What is wrong, one entry per operator, pass, dtypes and tensor.
    pub findings: Vec<Finding>,
    /// How promises were probed.
    #[serde(default)]
    pub promises: Vec<Promise>,
    /// How often questions were asked again.
    #[serde(default)]
    pub repeated: Vec<Repeated>,
    /// What is remarkable and not wrong.
    pub notes: Vec<String>,
    /// What the tests of random numbers find with a probability of 99 %.
    #[serde(default)]
    pub statistics: Vec<Reach>,
    /// What the specification has and the target does not declare, as `op:dir:dtype`.
    pub uncovered: Vec<String>,
    /// What was left out because the manifest says so: names of rows and cases.
    #[serde(default)]
    pub skipped: Vec<String>,
    /// What was tried in part or not at all, and why: time was up, a target that died.
    #[serde(default)]
    pub cut_short: Vec<Cut>,
    /// Why nothing can be said of what was to be judged; green is only where there is none.
    #[serde(default)]
    pub inconclusive: Vec<String>,
    /// What is required and was not tested.
    #[serde(default)]
    pub missing: Vec<String>,
    /// What the manifest expects, and what came of it.
    #[serde(default)]
    pub expectations: Vec<Expectation>,
}

impl Report {
    /// The version of the schema.
    pub const FORMAT: u32 = 1;

    /// A report of nothing yet.
    pub fn begin(target: Identity, command: Vec<String>, claims: Claims, seed: u64) -> Report {
        Report {
            format: Report::FORMAT,
            plummet: env!("CARGO_PKG_VERSION").to_string(),
            spec: SPEC.to_string(),
            target,
            command,
            claims,
            served: BTreeMap::new(),
            seed,
            seconds: 0.0,
            exit_code: 0,
            stages: Vec::new(),
            rows: Vec::new(),
            findings: Vec::new(),
            promises: Vec::new(),
            repeated: Vec::new(),
            notes: Vec::new(),
            statistics: Vec::new(),
            uncovered: Vec::new(),
            skipped: Vec::new(),
            cut_short: Vec::new(),
            inconclusive: Vec::new(),
            missing: Vec::new(),
            expectations: Vec::new(),
        }
    }

    /// The expectation of the manifest that covers a finding, which then does not count.
    pub fn expected(&self, finding: usize) -> Option<&Expectation> {
        self.expectations.iter().find(|expectation| expectation.findings.contains(&finding))
    }

    /// The findings that count.
    pub fn counted(&self) -> impl Iterator<Item = &Finding> {
        let counts = |(i, _): &(usize, &Finding)| self.expected(*i).is_none();
        self.findings.iter().enumerate().filter(counts).map(|(_, finding)| finding)
    }

    /// The findings that the manifest expects, each with its expectation.
    pub fn excused(&self) -> impl Iterator<Item = (&Finding, &Expectation)> {
        let findings = self.findings.iter().enumerate();
        findings.filter_map(|(i, finding)| Some((finding, self.expected(i)?)))
    }
}

/// A promise of the target, as it was probed on one row.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Promise {
    /// `op:dir:dtype`.
    pub subject: String,
    /// `deterministic` or `batch_invariant`.
    pub promise: String,
    /// True where the target gives it, so that breaking it fails.
    pub claimed: bool,
    /// Problems that it was probed on.
    pub problems: usize,
    /// Comparisons of bits.
    pub checks: usize,
    /// True where no bit differed.
    pub kept: bool,
}

/// Answers to one row that were asked for more than once.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Repeated {
    /// `op:dir:dtype`.
    pub subject: String,
    /// Answers that were judged, first ones and others.
    pub answers: usize,
    /// Those to a question of before.
    pub again: usize,
    /// A fault that hits one answer of so many by chance is found with 99 %.
    #[serde(with = "every_number")]
    pub one_in: f64,
}

/// Exit codes in the order in which one hides another: a fault of the gate, an adapter that cannot
/// be read, a wrong result, a crash, a broken expectation, an accuracy regression, a speed
/// regression, inconclusive.
pub const PRECEDENCE: [u8; 8] = [9, 6, 1, 7, 8, 3, 4, 5];

/// What a run ends with, of everything that happened in it; 0 where nothing did.
///
/// A code that no run can have, such as that of usage, is a fault of the gate.
pub fn exit_code(codes: impl IntoIterator<Item = u8>) -> u8 {
    let rank = |code: u8| PRECEDENCE.iter().position(|&known| known == code).unwrap_or(0);
    let first = codes.into_iter().filter(|&code| code != 0).map(rank).min();
    first.map_or(0, |rank| PRECEDENCE[rank])
}

/// One stage of a run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Stage {
    /// Its number in the specification.
    pub number: u8,
    /// Its name.
    pub name: String,
    /// How many checks it made.
    pub checks: usize,
    /// How many of them failed.
    pub failed: usize,
    /// Wall time.
    #[serde(with = "every_number")]
    pub seconds: f64,
}

/// One operator, pass and pair of dtypes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Row {
    /// The operator.
    pub op: String,
    /// Which pass.
    pub dir: Dir,
    /// The dtype of activations.
    pub dtype: Dtype,
    /// The dtype of parameters.
    pub params_dtype: Dtype,
    /// Cases judged, the vacuous ones among them.
    pub cases: usize,
    /// Cases of grade A.
    pub grade_a: usize,
    /// Cases of grade B.
    pub grade_b: usize,
    /// Cases that failed.
    pub failed: usize,
    /// Cases with elements too ill-conditioned to bound.
    pub ill_conditioned: usize,
    /// Cases that tell no wrong answer from the right one, and do not count.
    pub vacuous: usize,
    /// The largest |got − truth| / worst-case bound, by tensor.
    #[serde(with = "json::numbers_by_name")]
    pub q: BTreeMap<String, f64>,
    /// The same of the statistical bound: the metric of accuracy regressions.
    #[serde(with = "json::numbers_by_name")]
    pub q_statistical: BTreeMap<String, f64>,
}

impl Row {
    /// True where at least one case told right from wrong.
    pub fn tested(&self) -> bool {
        self.cases > self.vacuous
    }

    /// The largest quotient of the worst-case bound.
    pub fn largest_q(&self) -> f64 {
        self.q.values().copied().fold(0.0, f64::max)
    }

    /// The largest quotient of the statistical bound, and its tensor.
    pub fn largest_q_statistical(&self) -> Option<(&str, f64)> {
        let all = self.q_statistical.iter().map(|(tensor, &q)| (tensor.as_str(), q));
        all.max_by(|a, b| a.1.total_cmp(&b.1))
    }

    /// `op:dir:dtype` or `op:dir:dtype+params`.
    pub fn name(&self) -> String {
        let Row { op, dir, dtype, params_dtype, .. } = self;
        if dtype == params_dtype {
            format!("{op}:{dir}:{dtype}")
        } else {
            format!("{op}:{dir}:{dtype}+{params_dtype}")
        }
    }
}

/// One thing that is wrong.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Finding {
    /// The stage that found it.
    pub stage: u8,
    /// What kind of failure it is.
    pub fault: Fault,
    /// `op:dir:dtype`, as [`Row::name`].
    pub subject: String,
    /// The tensor, where it is one.
    pub tensor: Option<String>,
    /// The case that showed it first.
    pub case: String,
    /// How many cases of the subject failed in this way.
    pub times: usize,
    /// What is wrong, in words.
    pub message: String,
    /// The element that is furthest off, of the shrunken case.
    pub worst: Option<Graded>,
    /// The smallest case that shows it.
    pub shrunk: Option<Shrunk>,
    /// When it fails: `every cols ≥ 1`, `iff cols % 8 ≠ 0`.
    pub when: Vec<String>,
    /// The law that is broken, where one is: `dx sums to 0`.
    pub breaks: Vec<String>,
    /// What the target behaves like.
    pub behaves_like: Option<Likeness>,
    /// What else fails for the same reason, and is not explained again.
    #[serde(default)]
    pub affects: Vec<Affected>,
    /// Which part of the answer is off, where no model explains it: `half of what it should be in
    /// columns from 64 on`.
    #[serde(default)]
    pub pattern: Option<String>,
    /// How often it failed, where the same question was also answered rightly.
    #[serde(default)]
    pub repeats: Option<Repeats>,
}

/// A failure that comes and goes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Repeats {
    /// How often the same question was asked.
    pub asked: usize,
    /// How often the answer was wrong.
    pub failed: usize,
    /// The rate of wrong answers, an interval of 95 %.
    pub rate: (f64, f64),
    /// When it fails, where that was seen: `on every 7th call`.
    pub when: Option<String>,
}

impl Finding {
    /// The subject, and the tensor where it is one.
    pub fn name(&self) -> String {
        match &self.tensor {
            Some(tensor) => format!("{} {tensor}", self.subject),
            None => self.subject.clone(),
        }
    }

    /// Its row and every other that it is about.
    pub fn rows(&self) -> impl Iterator<Item = &str> {
        std::iter::once(self.subject.as_str())
            .chain(self.affects.iter().map(|affected| affected.subject.as_str()))
    }
}

/// A row that fails for the reason of a finding.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Affected {
    /// `op:dir:dtype`, as [`Row::name`].
    pub subject: String,
    /// The tensor, where it is one.
    pub tensor: Option<String>,
    /// The stage that found it.
    pub stage: u8,
    /// The case that showed it first.
    pub case: String,
    /// How many cases failed in this way.
    pub times: usize,
    /// The element that is furthest off, of the first case.
    pub worst: Option<Graded>,
}

impl Affected {
    /// The subject, and the tensor where it is one.
    pub fn name(&self) -> String {
        match &self.tensor {
            Some(tensor) => format!("{} {tensor}", self.subject),
            None => self.subject.clone(),
        }
    }
}

/// A row that was not tried to the end.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Cut {
    /// `op:dir:dtype`, as [`Row::name`].
    pub subject: String,
    /// What was left out: `28 of 40 cases`, `stage 5`, `everything`.
    pub what: String,
    /// Why.
    pub why: String,
}

impl std::fmt::Display for Cut {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {} left out, {}", self.subject, self.what, self.why)
    }
}

/// A shrunken counterexample.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Shrunk {
    /// The case.
    pub case: String,
    /// How many calls it took.
    pub calls: usize,
    /// Every input with its elements: at most the first 64 of each.
    #[serde(with = "json::inputs")]
    pub inputs: Vec<(String, Vec<usize>, Vec<f64>)>,
    /// The tensor that is wrong, as it came and as it should be.
    #[serde(with = "numbers")]
    pub got: Vec<f64>,
    /// The truth.
    #[serde(with = "numbers")]
    pub want: Vec<f64>,
    /// The original problem in words: `33×769 bf16`.
    pub from: String,
    /// The shrunken one: `1×2 f32`.
    pub to: String,
}

/// A model that answers like the target where the oracle does not.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Likeness {
    /// The mutant or variant.
    pub id: String,
    /// What it does.
    pub about: String,
    /// On how many cases it agrees.
    pub agrees: usize,
    /// Of how many.
    pub cases: usize,
    /// Models of other classes that agree as well.
    #[serde(default)]
    pub rivals: Vec<String>,
}
