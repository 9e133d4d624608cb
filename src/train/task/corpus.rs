//! What a task gives to learn from: batches by split and index, and the losses that mark its floors.

use std::fmt::Debug;
use std::ops::Deref;

use crate::config::{Invalid, RunConfig};
use crate::op::loss::CrossEntropy;
use crate::record::ReferenceLoss;
use crate::train::text;

/// Sequences of one step: what is read and its targets, sequence after sequence. Tokens and classes
/// are whole numbers.
#[derive(Debug, Clone, Default)]
pub struct Batch {
    /// `[sequences, seq]` tokens, or `[sequences, seq, features]` numbers.
    pub inputs: Vec<f32>,
    /// `[sequences, seq]` classes, or `[sequences, seq, n]` values.
    pub targets: Vec<f32>,
}

impl Batch {
    /// Takes everything out.
    pub fn clear(&mut self) {
        self.inputs.clear();
        self.targets.clear();
    }
}

/// The class of a place that does not count.
///
/// Every sequence has as many places that count: the loss of a batch is the mean over its parts.
pub const NOT_COUNTED: f32 = CrossEntropy::IGNORED as f32;

/// What a task has loaded for a configuration. Losses are in nats per target that counts.
pub trait Data: Debug + Send + Sync {
    /// Bytes that it holds.
    fn bytes(&self) -> usize {
        0
    }
    /// Losses to compare with, the baseline of the task among them: the larger before the smaller.
    fn references(&self) -> Vec<ReferenceLoss>;
    /// Fills the batch of training step `step`: it depends on seed and step only.
    fn training_batch(&self, config: &RunConfig, step: usize, batch: &mut Batch);
    /// Held-out batches that cover everything that is held out.
    fn held_out_batches(&self, config: &RunConfig) -> usize;
    /// Fills held-out batch number `index` of `of`, which lie evenly over what is held out. Nothing
    /// of it is ever trained on.
    fn held_out_batch(&self, config: &RunConfig, index: usize, of: usize, batch: &mut Batch);
    /// What the targets of a batch cost the model that the baseline stands for, in the mean.
    fn baseline_cost(&self, batch: &Batch) -> f64;
    /// How many times a run of `steps` goes over what there is to train on.
    fn passes(&self, config: &RunConfig, steps: usize) -> f64;
    /// Checks that there is enough of it for a configuration.
    ///
    /// # Errors
    /// Where there is not.
    fn suffices(&self, _config: &RunConfig) -> Result<(), Invalid> {
        Ok(())
    }
    /// What is known of it where it is a text.
    fn text(&self) -> Option<&TextFacts> {
        None
    }
}

/// What is known of a text.
#[derive(Debug, Clone)]
pub struct TextFacts {
    /// The SHA-256 of its bytes in hexadecimal, where it was read.
    pub sha256: Option<String>,
    /// What it is, where it is no text.
    pub kind: Option<&'static str>,
    /// Bytes for training.
    pub training: usize,
    /// Bytes that are held out.
    pub held_out: usize,
    /// Entropy of a byte by itself.
    pub entropy: f64,
}

/// The [`Data`] of a configuration.
#[derive(Debug)]
pub struct Corpus(Box<dyn Data>);

impl Deref for Corpus {
    type Target = dyn Data;
    fn deref(&self) -> &(dyn Data + 'static) {
        &*self.0
    }
}

impl Corpus {
    /// The corpus that a configuration asks for. A text is read; where several runs learn one,
    /// [`Library`](crate::train::Library) reads it once.
    ///
    /// # Errors
    /// Where the text cannot be read, or is too short for one held-out sequence.
    pub fn load(config: &RunConfig) -> Result<Corpus, Invalid> {
        Corpus::load_up_to(config, text::LARGEST)
    }

    /// The same, of at most so many bytes of a text.
    pub(in crate::train) fn load_up_to(config: &RunConfig, most: u64) -> Result<Corpus, Invalid> {
        let corpus = Corpus(config.task.load(config, most)?);
        corpus.suits(config)?;
        Ok(corpus)
    }

    /// Checks that there is enough for a configuration, and the text that it pins.
    pub(in crate::train) fn suits(&self, config: &RunConfig) -> Result<(), Invalid> {
        if let (Some(pinned), Some(found)) = (&config.text.sha256, self.sha256())
            && pinned != found
        {
            let allowed =
                format!("the text of SHA-256 {pinned:.12}…; it has changed, to {found:.12}…");
            return Err(Invalid::new("text", &config.text.path, allowed));
        }
        self.suffices(config)
    }

    /// The SHA-256 of a text that was read, in hexadecimal.
    pub(in crate::train) fn sha256(&self) -> Option<&String> {
        self.text()?.sha256.as_ref()
    }

    /// The reference loss of a name.
    pub fn reference(&self, name: &str) -> Option<f64> {
        ReferenceLoss::find(&self.references(), name)
    }
}
