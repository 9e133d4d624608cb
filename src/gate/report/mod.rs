//! What a run of the gate found, as data: every format is written from it.
//!
//! The schema is versioned: [`Report::FORMAT`] goes up when a field changes its meaning.

use serde::{Deserialize, Serialize};

use super::call::{Claims, Dir, Identity, SPEC};
use super::judge::Graded;
use super::tensor::Dtype;

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
    /// The seed of the cases.
    pub seed: u64,
    /// Wall time.
    pub seconds: f64,
    /// What the run ended with.
    pub exit_code: u8,
    /// The stages in order.
    pub stages: Vec<Stage>,
    /// Every operator, pass and pair of dtypes that was tried.
    pub rows: Vec<Row>,
    /// What is wrong, one entry per operator, pass, dtypes and tensor.
    pub findings: Vec<Finding>,
    /// What is remarkable and not wrong.
    pub notes: Vec<String>,
    /// What the specification has and the target does not declare, as `op:dir:dtype`.
    pub uncovered: Vec<String>,
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
            seed,
            seconds: 0.0,
            exit_code: 0,
            stages: Vec::new(),
            rows: Vec::new(),
            findings: Vec::new(),
            notes: Vec::new(),
            uncovered: Vec::new(),
        }
    }
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
    /// Cases judged.
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
    pub q: std::collections::BTreeMap<String, f64>,
    /// The same of the statistical bound: the metric of accuracy regressions.
    pub q_statistical: std::collections::BTreeMap<String, f64>,
}

impl Row {
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

/// What kind of failure a finding is, in the order of precedence of its exit code.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Fault {
    /// The adapter broke the protocol: 6.
    Protocol,
    /// A wrong result: 1.
    Wrong,
    /// A crash or no answer in time: 7.
    Crash,
}

impl Fault {
    /// The exit code that it leads to.
    pub fn exit_code(self) -> u8 {
        match self {
            Fault::Protocol => 6,
            Fault::Wrong => 1,
            Fault::Crash => 7,
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
}

/// A shrunken counterexample.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Shrunk {
    /// The case.
    pub case: String,
    /// How many calls it took.
    pub calls: usize,
    /// Every input with its elements: at most the first 64 of each.
    pub inputs: Vec<(String, Vec<usize>, Vec<f64>)>,
    /// The tensor that is wrong, as it came and as it should be.
    pub got: Vec<f64>,
    /// The truth.
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
}
