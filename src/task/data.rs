//! What a task gives to learn from: batches by split and index, and the losses that mark its floors.

use std::fmt::Debug;

use super::Wanted;
use crate::op::loss::CrossEntropy;
use crate::record::ReferenceLoss;
use crate::setting::Invalid;

/// Sequences of one step: what is read and its targets, sequence after sequence. Tokens and classes
/// are whole numbers.
#[derive(Debug, Clone, Default)]
pub struct Batch {
    /// `[sequences, seq]` tokens, or `[sequences, seq, features]` numbers.
    pub inputs: Vec<f32>,
    /// `[sequences, seq]` classes, or `[sequences, seq, n]` values, or `[sequences, 1, n]` of one place.
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

/// What a task has loaded for a run. Losses are per target that counts: in nats of classes, and mean
/// squared errors of values.
pub trait Data: Debug + Send + Sync {
    /// Bytes that it holds.
    fn bytes(&self) -> usize {
        0
    }
    /// Losses to compare with, the baseline of the task among them: the larger before the smaller.
    fn references(&self, wanted: &Wanted) -> Vec<ReferenceLoss>;
    /// Fills the batch of training step `step`: it depends on seed and step only.
    fn training_batch(&self, wanted: &Wanted, step: usize, batch: &mut Batch);
    /// Held-out batches that cover everything that is held out.
    fn held_out_batches(&self, wanted: &Wanted) -> usize;
    /// Fills held-out batch number `index` of `of`, which lie evenly over what is held out. Nothing
    /// of it is ever trained on.
    fn held_out_batch(&self, wanted: &Wanted, index: usize, of: usize, batch: &mut Batch);
    /// What the targets of a batch cost the model that the baseline stands for, in the mean.
    fn baseline_cost(&self, batch: &Batch) -> f64;
    /// How many times a run of `steps` goes over what there is to train on.
    fn passes(&self, wanted: &Wanted, steps: usize) -> f64;
    /// Checks that there is enough of it.
    ///
    /// # Errors
    /// Where there is not.
    fn suffices(&self, _wanted: &Wanted, _seq_given: bool) -> Result<(), Invalid> {
        Ok(())
    }
    /// The field and the SHA-256, in hexadecimal, of every file that it was read from.
    fn digests(&self) -> Vec<(&'static str, &str)> {
        let text = self.text().and_then(|text| text.sha256.as_deref());
        text.map(|digest| ("text", digest)).into_iter().collect()
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
