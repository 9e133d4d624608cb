//! A long stream of tokens, of which a part is held out: every token is the target of those before it.

use std::ops::Range;

use super::windows::Windows;
use super::{Batch, Data, TextFacts, Wanted};
use crate::record::ReferenceLoss;
use crate::setting::Invalid;

/// Share of a stream that training sees; the rest is held out.
pub(super) const TRAINING_SHARE: f64 = 0.95;

/// Tokens in a row, and what is known about them.
#[derive(Debug)]
pub(super) struct Stream {
    /// Every token, training part first.
    pub tokens: Vec<u8>,
    /// Length of the training part.
    pub training: usize,
    /// Losses to compare with.
    pub references: Vec<ReferenceLoss>,
    /// What each token costs a model without context, −ln of its frequency.
    pub costs: Vec<f64>,
    /// What is known of it where it is a text.
    pub text: Option<TextFacts>,
}

impl Data for Stream {
    fn bytes(&self) -> usize {
        self.tokens.capacity()
    }

    fn references(&self, _wanted: &Wanted) -> Vec<ReferenceLoss> {
        self.references.clone()
    }

    fn training_batch(&self, wanted: &Wanted, step: usize, batch: &mut Batch) {
        self.fill(wanted.seq, self.windows().training(wanted, step), batch);
    }

    fn held_out_batches(&self, wanted: &Wanted) -> usize {
        self.windows().held_out_batches(wanted)
    }

    fn held_out_batch(&self, wanted: &Wanted, index: usize, of: usize, batch: &mut Batch) {
        self.fill(wanted.seq, self.windows().held_out(wanted, index, of), batch);
    }

    /// The cross-entropy of the targets under the frequencies of the training part.
    fn baseline_cost(&self, batch: &Batch) -> f64 {
        let costs = batch.targets.iter().map(|&target| self.costs[target as usize]);
        costs.sum::<f64>() / batch.targets.len() as f64
    }

    fn passes(&self, wanted: &Wanted, steps: usize) -> f64 {
        (steps * wanted.batch) as f64 * wanted.seq as f64 / self.training as f64
    }

    fn suffices(&self, wanted: &Wanted, seq_given: bool) -> Result<(), Invalid> {
        let length = self.tokens.len();
        let held_out = length - self.training;
        if held_out > wanted.seq {
            return Ok(());
        }
        if wanted.text.is_empty() && seq_given {
            let allowed = format!("2 to {} for a text of {length} bytes", held_out - 1);
            return Err(Invalid::new("seq", wanted.seq, allowed));
        }
        let needed = ((wanted.seq + 2) as f64 / (1.0 - TRAINING_SHARE)).ceil();
        let seq = wanted.seq;
        let allowed =
            format!("a text of {needed} bytes or more at seq {seq} (this one has {length})");
        Err(Invalid::new("text", &wanted.text.path, allowed))
    }

    fn text(&self) -> Option<&TextFacts> {
        self.text.as_ref()
    }
}

impl Stream {
    fn windows(&self) -> Windows {
        Windows { length: self.tokens.len(), training: self.training }
    }

    fn fill(&self, seq: usize, starts: impl Iterator<Item = usize>, batch: &mut Batch) {
        let numbers =
            |range: Range<usize>| self.tokens[range].iter().map(|&token| f32::from(token));
        batch.clear();
        for start in starts {
            batch.inputs.extend(numbers(start..start + seq));
            batch.targets.extend(numbers(start + 1..start + seq + 1));
        }
    }
}

/// Unigram and bigram entropy of the counts in `tokens`.
pub(super) fn entropies(tokens: &[u8]) -> (f64, f64) {
    let mut single = [0u64; 256];
    let mut pair = vec![0u64; 256 * 256];
    for window in tokens.windows(2) {
        single[window[0] as usize] += 1;
        pair[window[0] as usize * 256 + window[1] as usize] += 1;
    }
    let total = tokens.len().saturating_sub(1).max(1) as f64;
    let entropy = |counts: &[u64]| -> f64 {
        let terms = counts.iter().filter(|&&n| n > 0);
        terms.map(|&n| -(n as f64 / total) * (n as f64 / total).ln()).sum()
    };
    let unigram = entropy(&single);
    (unigram, entropy(&pair) - unigram)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::RunConfig;

    fn stream() -> Stream {
        let tokens: Vec<u8> = (0..50_000).map(|i| (i / 250) as u8 ^ (i % 256) as u8).collect();
        let training = (tokens.len() as f64 * TRAINING_SHARE) as usize;
        Stream { tokens, training, references: Vec::new(), costs: Vec::new(), text: None }
    }

    #[test]
    fn batches_depend_on_seed_and_step_only() {
        let config = RunConfig::default();
        let (mut a, mut b) = (Batch::default(), Batch::default());
        stream().training_batch(&config.wanted(), 5, &mut a);
        stream().training_batch(&config.wanted(), 6, &mut b);
        assert_ne!(a.inputs, b.inputs);
        stream().training_batch(&config.wanted(), 5, &mut b);
        assert_eq!(a.inputs, b.inputs);
        assert_eq!(a.inputs[1..64], a.targets[..63]);
    }

    #[test]
    fn held_out_batches_cover_the_held_out_part_and_nothing_else() {
        let stream = stream();
        for (batch_size, seq) in [("16", "64"), ("8", "32"), ("1", "2"), ("64", "2000")] {
            let config = RunConfig::from_settings([("batch", batch_size), ("seq", seq)]).unwrap();
            let of = stream.held_out_batches(&config.wanted());
            let mut batch = Batch::default();
            let mut seen: Vec<u8> = Vec::new();
            for index in 0..of {
                stream.held_out_batch(&config.wanted(), index, of, &mut batch);
                seen.extend(batch.targets.iter().map(|&target| target as u8));
            }
            let held_out = &stream.tokens[stream.training + 1..];
            assert_eq!(seen[..config.seq], held_out[..config.seq]);
            assert_eq!(seen[seen.len() - config.seq..], held_out[held_out.len() - config.seq..]);
            assert!(
                seen.len() >= held_out.len()
                    && seen.len() < held_out.len() + config.batch * config.seq
            );
        }
    }
}
