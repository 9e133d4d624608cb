//! What one step of the optimiser does to a stack, on the batch that it was taken on: how far every
//! layer's values move, and how far the gradient of a layer moves when those below it are updated.

use std::ops::Range;

use super::Trainer;
use crate::backend::{Backend, Observer, Seen, norm};
use crate::num::Num;
use crate::program::Program;
use crate::stack::LOGITS;

/// How a step changed one value of the stack, on the first shard of its batch and without what is
/// dropped in training.
#[derive(Debug, Clone, PartialEq)]
pub struct Change {
    /// The block, counted from 1; 0 for the embedding, one more than there are for the logits.
    pub layer: usize,
    /// `stream`, `attn`, `ffn` or `logits`.
    pub site: String,
    /// Root mean square before the step.
    pub rms: f64,
    /// Root mean square of the difference that the step made.
    pub change: f64,
}

/// How the gradient of one block moved when those below it were updated (Santurkar et al. 2018, arXiv
/// 1805.11604, definition 2.1): G of the weights as they were, G′ with the layers below as the step
/// left them, on one batch.
#[derive(Debug, Clone, PartialEq)]
pub struct Shift {
    /// The block, counted from 1.
    pub layer: usize,
    /// ‖G‖.
    pub grad_norm: f64,
    /// ‖G − G′‖.
    pub distance: f64,
    /// ⟨G, G′⟩/(‖G‖·‖G′‖).
    pub cosine: f64,
}

/// Keeps the values whose change is of interest.
#[derive(Debug, Default)]
struct Values(Vec<(Option<usize>, String, Vec<f64>)>);

impl<B: Backend> Observer<B> for Values {
    fn computed(&mut self, seen: &Seen<B>) {
        let value = seen.program().get(seen.step().outs[0]);
        if matches!(value.site.as_str(), "stream" | "attn" | "ffn" | LOGITS) {
            let numbers = seen.out(0).iter().map(|x| x.value()).collect();
            self.0.push((value.layer, value.site.clone(), numbers));
        }
    }
}

impl<B: Backend> Trainer<B> {
    /// Takes one training step, and says how it changed the values of the stack on its own batch.
    pub fn respond(&mut self) -> Vec<Change> {
        let taken = self.step;
        let before = self.values(taken);
        self.advance(None);
        let after = self.values(taken);
        let beyond = self.config.depth + 1;
        let pairs = before.0.into_iter().zip(after.0);
        let changes = pairs.map(|((layer, site, old), (_, _, new))| {
            let root = (old.len() as f64).sqrt();
            let moved: Vec<f64> = old.iter().zip(&new).map(|(old, new)| new - old).collect();
            let (rms, change) = (norm(&old) / root, norm(&moved) / root);
            Change { layer: layer.unwrap_or(beyond), site, rms, change }
        });
        changes.collect()
    }

    /// The values of the stack as it is, on the first pass of the batch of step `step`.
    fn values(&mut self, step: usize) -> Values {
        let samples = self.config.samples();
        self.corpus.training_batch(&self.config, step, &mut self.batch);
        self.feed.fill(&self.backend, &self.batch, step, samples);
        let mut values = Values::default();
        let runner = &mut self.evaluators[0];
        self.feed.set(&self.backend, runner, 0);
        runner.forward(&self.parameters, &self.states, &mut values);
        values
    }

    /// Takes one training step, and says how it shifted the gradient of every block, in one pass
    /// forward and back for each.
    pub fn shifts(&mut self) -> Vec<Shift> {
        let (count, taken) = (self.program().parameters(), self.step);
        let layers = layers(self.program(), self.config.depth);
        let before = self.backend.download(&self.parameters, 0..count).into_owned();
        self.differentiate(None);
        let gradient = self.backend.download(&self.gradients[0], 0..count).into_owned();
        self.advance(None);
        let after = self.backend.download(&self.parameters, 0..count).into_owned();
        // The batch is that of the step.
        let next = std::mem::replace(&mut self.step, taken);
        let mut shifts = Vec::new();
        for (layer, own) in layers.iter().enumerate().skip(1) {
            let below = own.start;
            self.backend.upload(&mut self.parameters, 0..count, |to| {
                to[..below].copy_from_slice(&after[..below]);
                to[below..].copy_from_slice(&before[below..]);
            });
            self.differentiate(None);
            let moved = self.backend.download(&self.gradients[0], own.clone());
            shifts.push(shift(layer, &gradient[own.clone()], &moved));
        }
        self.backend.upload(&mut self.parameters, 0..count, |to| to.copy_from_slice(&after));
        self.step = next;
        shifts
    }
}

fn shift<T: Num>(layer: usize, old: &[T], new: &[T]) -> Shift {
    let pairs = || old.iter().zip(new).map(|(old, new)| (old.value(), new.value()));
    let apart: Vec<f64> = pairs().map(|(old, new)| new - old).collect();
    let dot: f64 = pairs().map(|(old, new)| old * new).sum();
    let grad_norm = norm(old);
    let cosine = dot / (grad_norm * norm(new));
    Shift { layer, grad_norm, distance: norm(&apart), cosine }
}

/// Where the weights of the embedding and of every block lie: those of a layer stand together, behind
/// those of the layers below.
fn layers(program: &Program, depth: usize) -> Vec<Range<usize>> {
    let (mut layers, mut at) = (vec![0..0; depth + 1], 0);
    for (_, value) in program.weights() {
        let end = at + value.shape.len();
        if let Some(layer) = value.layer {
            let range = &mut layers[layer];
            *range = if range.start == range.end { at..end } else { range.start..end };
        }
        at = end;
    }
    layers
}
