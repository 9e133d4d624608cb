//! What is learned: one file and one line in the list below each.
//!
//! A task says what a stack reads and says ([`Ends`]), loads what there is to learn from ([`Data`]),
//! and names losses to compare with, one of which is the baseline: what has not fallen clearly below
//! it has learned nothing. Everything else (the command line, training, the store, the reports)
//! iterates over [`ALL`] and takes the names from the task.

mod data;
mod source;
mod stream;
mod windows;

use std::fmt::Debug;
use std::sync::Arc;

pub use data::{Batch, Data, NOT_COUNTED, TextFacts};
pub use source::{LARGEST, Source};

use crate::choice::{Choice, Constant};
use crate::setting::Invalid;
use crate::stack::Ends;

/// What a run asks of its task.
#[derive(Debug, Clone, Copy)]
pub struct Wanted<'a> {
    /// The task with its constants.
    pub task: &'a TaskChoice,
    /// What everything that is drawn depends on.
    pub seed: u64,
    /// Sequences of a step.
    pub batch: usize,
    /// Places of a sequence.
    pub seq: usize,
    /// The text of a task that reads one.
    pub text: &'a Source,
    /// The table of a task that reads one.
    pub series: &'a Source,
    /// Which of its columns.
    pub column: &'a str,
    /// The volume that a task predicts from.
    pub volume: &'a Source,
    /// The volume that it predicts.
    pub target: &'a Source,
    /// Different training samples, where not all are wanted.
    pub samples: Option<usize>,
}

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
    /// Whether what is learned depends on a field, such as `text`, that not every task knows.
    fn reads(&self, _field: &str) -> bool {
        false
    }
    /// How many places a sequence has, where the task leaves no choice.
    fn seq(&self) -> Option<usize> {
        None
    }
    /// Checks its constants, and the configuration as far as the task asks for something.
    ///
    /// A `seq` that was given, and not the usual one, is what to change where it does not fit.
    ///
    /// # Errors
    /// Where the task cannot be had under this configuration.
    fn allows(&self, _wanted: &Wanted, _seq_given: bool) -> Result<(), Invalid> {
        Ok(())
    }
    /// What there is to learn from; of a file no more than `most` bytes.
    ///
    /// # Errors
    /// Where it cannot be read.
    fn load(&self, wanted: &Wanted, most: u64) -> Result<Box<dyn Data>, Invalid>;
}

/// A task and its constants, as a run is given it.
pub type TaskChoice = Choice<dyn Task>;

crate::list! { dyn Task;
    text::Text,
    markov::Markov,
    hops::Hops,
    series::Series,
    volume::Volume,
}
