//! What is wrong with an answer.

use serde::{Deserialize, Serialize};

use super::call::Broken;
use super::judge::Graded;
use crate::num::show;

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

/// What is wrong with one answer.
#[derive(Debug, Clone)]
pub struct Flaw {
    /// What kind of failure it is.
    pub fault: Fault,
    /// The tensor, where it is one.
    pub tensor: Option<String>,
    /// In words.
    pub message: String,
    /// The tensor judged, where it is one.
    pub graded: Option<Graded>,
}

impl Flaw {
    /// A wrong result, in words.
    pub fn wrong(message: impl Into<String>) -> Flaw {
        Flaw { fault: Fault::Wrong, tensor: None, message: message.into(), graded: None }
    }
    /// True where the other is the same kind of failure of the same tensor.
    pub fn resembles(&self, other: &Flaw) -> bool {
        self.fault == other.fault
            && self.tensor == other.tensor
            && self.graded.is_some() == other.graded.is_some()
            && (self.fault != Fault::Wrong || self.graded.is_some() || self.head() == other.head())
    }
    /// What a message in words is about: `answered error`, `y has shape`.
    fn head(&self) -> &str {
        let end = |c: char| c == ':' || c == '[' || c.is_ascii_digit();
        self.message.split(end).next().unwrap_or_default()
    }
}

impl From<&Broken> for Flaw {
    fn from(broken: &Broken) -> Flaw {
        let fault = match broken {
            Broken::Protocol(_) => Fault::Protocol,
            Broken::Crash(_) | Broken::Timeout(_) | Broken::Late => Fault::Crash,
        };
        Flaw { fault, tensor: None, message: broken.to_string(), graded: None }
    }
}

/// What is furthest off, in words, and how many tensors besides.
pub fn describe(graded: &Graded, tensors: usize) -> String {
    let Graded { tensor, at, got, want, bound, q, .. } = graded;
    let others = match tensors {
        1 => String::new(),
        n => format!(", and {} more tensors", n - 1),
    };
    let (got, want) = show::apart(*got, *want);
    let (bound, q) = (show::short(*bound), show::short(*q));
    format!("{tensor}[{at}] is {got}, not {want}: bound {bound}, q {q}{others}")
}
