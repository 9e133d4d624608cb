//! What the gate asks and what a target answers, whatever lies between them.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::arithmetic::Arithmetic;
use super::tensor::{Dtype, Tensors};

/// The protocol that frames carry.
pub const PROTOCOL: u64 = 1;
/// The edition of the operators' specification.
pub const SPEC: &str = "2026.1";

/// Attributes by name, defaults included.
pub type Attrs = Map<String, Value>;

/// A value of an attribute as a case writes it.
pub fn plain(value: &Value) -> String {
    match value {
        Value::String(word) => word.clone(),
        other => other.to_string(),
    }
}

/// Which pass.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Dir {
    /// Forward.
    Fwd,
    /// Backward: gradients, given that of the first output.
    Bwd,
}

impl fmt::Display for Dir {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Dir::Fwd => "fwd",
            Dir::Bwd => "bwd",
        })
    }
}

/// One question: an operator, its attributes and its inputs, and which outputs are wanted.
#[derive(Debug, Clone, PartialEq)]
pub struct Call {
    /// The case that it belongs to.
    pub id: String,
    /// The operator.
    pub op: String,
    /// Which pass.
    pub dir: Dir,
    /// That of the activations.
    pub dtype: Dtype,
    /// That of learned tensors and running statistics.
    pub params_dtype: Dtype,
    /// All attributes of the operator.
    pub attrs: Attrs,
    /// The names of the tensors to answer with.
    pub want: Vec<String>,
    /// The inputs.
    pub tensors: Tensors,
}

/// What a target answers.
#[derive(Debug, Clone, PartialEq)]
pub enum Reply {
    /// The tensors of `want`.
    Ok(Tensors),
    /// Not served, and why.
    Unsupported(String),
    /// Refused, and why.
    Error(String),
}

/// Why there is no answer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Broken {
    /// The answer cannot be read: which field and why. Exit code 6.
    Protocol(String),
    /// The target died: how, and the end of its standard error. Exit code 7.
    Crash(String),
    /// The target did not answer within so many seconds. Exit code 7.
    Timeout(f64),
    /// It was not asked, since the time of the run was up.
    Late,
}

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Broken::Protocol(message) => write!(f, "protocol: {message}"),
            Broken::Crash(message) => write!(f, "crash: {message}"),
            Broken::Timeout(seconds) => write!(f, "no answer within {seconds:.1} s"),
            Broken::Late => f.write_str("not asked: time was up"),
        }
    }
}

/// Who the target is.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Identity {
    /// Its name.
    pub name: String,
    /// Its version.
    #[serde(default)]
    pub version: String,
    /// What it is written in.
    #[serde(default)]
    pub language: String,
}

/// What a target declares of one operator; whatever is left out has its default.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Served {
    /// Passes; forward only by default.
    pub dir: Option<Vec<Dir>>,
    /// Dtypes of the activations; `f32` by default.
    pub dtype: Option<Vec<Dtype>>,
    /// Dtypes of the parameters; that of the activations by default.
    pub params_dtype: Option<Vec<Dtype>>,
    /// What sums are kept in, by dtype.
    pub accumulate: BTreeMap<Dtype, Dtype>,
    /// Supported values of attributes; all by default.
    pub attrs: BTreeMap<String, Vec<Value>>,
    /// Optional tensors understood; all by default.
    pub optional: Option<Vec<String>>,
    /// Optional tensors that it is never without; none by default.
    pub required: Vec<String>,
    /// What its arithmetic is, where it is not that of a fused kernel.
    #[serde(skip_serializing_if = "Arithmetic::is_strict")]
    pub arithmetic: Arithmetic,
    /// The side taken where public implementations disagree.
    pub variant: BTreeMap<String, String>,
    /// The largest problems.
    pub limits: Limits,
}

/// The largest problems that a target takes.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Limits {
    /// Elements of the largest tensor.
    pub max_elements: Option<usize>,
    /// Length of a row.
    pub max_columns: Option<usize>,
    /// The largest magnitude of an element of any tensor.
    pub max_abs: Option<f64>,
    /// The largest seed; others are never given.
    pub max_seed: Option<u64>,
}

impl Limits {
    /// The largest seed that is declared of any, or 2⁵³ − 1: every one that is exact in JSON.
    pub fn largest_seed(&self) -> u64 {
        const EXACT: u64 = (1 << 53) - 1;
        self.max_seed.unwrap_or(EXACT).min(EXACT)
    }
    /// A seed that the target takes, itself where it is one.
    pub fn seed(&self, seed: u64) -> u64 {
        seed % (self.largest_seed() + 1)
    }
}

impl Served {
    /// The passes.
    pub fn dirs(&self) -> Vec<Dir> {
        self.dir.clone().unwrap_or_else(|| vec![Dir::Fwd])
    }
    /// The pairs of dtypes of activations and parameters.
    pub fn dtypes(&self) -> Vec<(Dtype, Dtype)> {
        let data = self.dtype.clone().unwrap_or_else(|| vec![Dtype::F32]);
        match &self.params_dtype {
            None => data.into_iter().map(|dtype| (dtype, dtype)).collect(),
            Some(params) => {
                data.iter().flat_map(|&d| params.iter().map(move |&p| (d, p))).collect()
            }
        }
    }
    /// What sums are kept in.
    pub fn accumulator(&self, dtype: Dtype) -> Dtype {
        self.accumulate.get(&dtype).copied().unwrap_or_else(|| dtype.accumulator())
    }
}

/// What a target promises; a promise turns its probe from informative to gating.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Claims {
    /// The same call gives the same bits.
    pub deterministic: bool,
    /// A row has the same bits alone and in a batch.
    pub batch_invariant: bool,
    /// Inputs are not written to.
    pub inputs_untouched: bool,
}

/// What a target says of itself.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Hello {
    /// Who it is.
    #[serde(rename = "impl")]
    pub identity: Identity,
    /// What it serves.
    pub ops: BTreeMap<String, Served>,
    /// What it promises.
    #[serde(default)]
    pub claims: Claims,
}

/// Another implementation: whatever can be asked.
///
/// A process behind a pipe, a shared library in a process of its own, or a Rust value in a test.
/// A candidate that broke is ready for the next call again, or says that it broke.
pub trait Candidate {
    /// What it serves.
    fn hello(&mut self) -> Result<Hello, Broken>;
    /// Answers one call.
    fn run(&mut self, call: &Call) -> Result<Reply, Broken>;
    /// Does the work of one call `repeat` times and answers the last.
    fn time(&mut self, call: &Call, repeat: usize) -> Result<Reply, Broken> {
        for _ in 1..repeat {
            self.run(call)?;
        }
        self.run(call)
    }
    /// Starts anew, as a fresh process does.
    fn restart(&mut self) -> Result<(), Broken> {
        Ok(())
    }
}
