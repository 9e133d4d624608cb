//! What is learned: one file and one line in the list below each.
//!
//! A task says what a stack reads and says ([`Ends`]), loads what there is to learn from ([`Data`]),
//! and names losses to compare with, one of which is the baseline: what has not fallen clearly below
//! it has learned nothing. Everything else (the command line, training, the store, the reports)
//! iterates over [`ALL`] and takes the names from the task.

mod corpus;
mod stream;

use std::fmt::Debug;
use std::sync::Arc;

pub use corpus::{Batch, Corpus, Data, NOT_COUNTED, TextFacts};

use crate::choice::{Choice, Constant};
use crate::config::RunConfig;
use crate::setting::Invalid;
use crate::stack::Ends;

/// Something to learn.
pub trait Task: Debug + Send + Sync {
    /// Its constants; see [`crate::constants`].
    fn consts(&self) -> Vec<Constant> {
        Vec::new()
    }
    /// The same with one constant changed.
    ///
    /// # Errors
    /// Where it has no such constant, or the constant does not take the value.
    fn with(&self, name: &str, _value: &str) -> Result<Arc<dyn Task>, Invalid> {
        Err(Invalid::new("constant", name, "none"))
    }
    /// What the stack reads and says at every place.
    fn ends(&self) -> Ends;
    /// Whether a place sees those before it only.
    fn causal(&self) -> bool {
        true
    }
    /// The name of the reference loss that a stack which learned is clearly below.
    fn baseline(&self) -> String;
    /// Whether `--text` says what is learned.
    fn reads_text(&self) -> bool {
        false
    }
    /// Checks its constants, and the configuration as far as the task asks for something.
    ///
    /// # Errors
    /// Where the task cannot be had under this configuration.
    fn allows(&self, _config: &RunConfig) -> Result<(), Invalid> {
        Ok(())
    }
    /// What there is to learn from; of a file no more than `most` bytes.
    ///
    /// # Errors
    /// Where it cannot be read.
    fn load(&self, config: &RunConfig, most: u64) -> Result<Box<dyn Data>, Invalid>;
}

/// A task and its constants, as a run is given it.
pub type TaskChoice = Choice<dyn Task>;

crate::list! { dyn Task;
    text::Text,
    markov::Markov,
    hops::Hops,
}
