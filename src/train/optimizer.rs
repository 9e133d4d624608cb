//! AdamW and SGD over one flat vector of parameters, in one pass over memory.

use std::ops::Range;

use rayon::prelude::*;

use crate::config::{self, RunConfig};
use crate::num::Num;
use crate::op::simd;
use crate::program::Program;

/// Elements of one work item; sums are formed per item and then in order, so that no result
/// depends on the number of threads.
const CHUNK: usize = 1 << 14;

/// The state of an optimiser.
///
/// AdamW (Loshchilov & Hutter 2019, algorithm 2): p ← p·(1 − lr·wd), m ← β₁m + (1 − β₁)g,
/// v ← β₂v + (1 − β₂)g², p ← p − lr·m̂/(√v̂ + eps) with m̂ = m/(1 − β₁ᵗ), v̂ = v/(1 − β₂ᵗ).
/// SGD: m ← βm + g, p ← p·(1 − lr·wd) − lr·m. Weight decay is on matrices only.
#[derive(Debug)]
pub struct Optimizer<T> {
    kind: config::Optimizer,
    beta1: f64,
    beta2: f64,
    eps: f64,
    weight_decay: f64,
    /// First moment, or momentum.
    pub(super) m: Vec<T>,
    /// Second moment; empty under SGD.
    pub(super) v: Vec<T>,
    /// Pieces of at most [`CHUNK`] elements, and whether each decays.
    pieces: Vec<(Range<usize>, bool)>,
}

impl<T: Num> Optimizer<T> {
    /// An optimiser at rest for the weights of `program`.
    pub fn new(config: &RunConfig, program: &Program) -> Self {
        let mut pieces = Vec::new();
        let mut at = 0;
        for (_, value) in program.weights() {
            let end = at + value.shape.len();
            let matrix = value.shape.sizes().len() >= 2;
            while at < end {
                let next = end.min(at + CHUNK);
                pieces.push((at..next, matrix));
                at = next;
            }
        }
        let second = config.optimizer == config::Optimizer::Adamw;
        Optimizer {
            kind: config.optimizer,
            beta1: config.beta1,
            beta2: config.beta2,
            eps: config.adam_eps,
            weight_decay: config.weight_decay,
            m: vec![T::zero(); at],
            v: vec![T::zero(); if second { at } else { 0 }],
            pieces,
        }
    }

    /// Moves the parameters by one step; `step` counts from 1, `scale` multiplies the gradient first.
    pub fn step(&mut self, parameters: &mut [T], gradient: &[T], lr: f64, step: usize, scale: f64) {
        let (b1, b2) = (T::num(self.beta1), T::num(self.beta2));
        let (c1, c2) = (T::num(1.0 - self.beta1), T::num(1.0 - self.beta2));
        // Bias corrections are formed in f64: 1 − β₂ᵗ cancels for small t.
        let correct1 = 1.0 - self.beta1.powi(step as i32);
        let root2 = (1.0 - self.beta2.powi(step as i32)).sqrt();
        let (rate, root, eps) = (T::num(lr / correct1), T::num(1.0 / root2), T::num(self.eps));
        let (lr_t, scale) = (T::num(lr), T::num(scale));
        let keep = |matrix: bool| T::num(if matrix { 1.0 - lr * self.weight_decay } else { 1.0 });
        let kind = self.kind;
        let mut work = Vec::with_capacity(self.pieces.len());
        let (mut p, mut m, mut v) = (parameters, &mut self.m[..], &mut self.v[..]);
        for (range, matrix) in &self.pieces {
            let (p0, p1) = p.split_at_mut(range.len());
            let (m0, m1) = m.split_at_mut(range.len());
            let (v0, v1) = v.split_at_mut(range.len().min(v.len()));
            work.push((p0, m0, v0, &gradient[range.clone()], keep(*matrix)));
            (p, m, v) = (p1, m1, v1);
        }
        work.into_par_iter().for_each(|(p, m, v, g, keep)| {
            simd::dispatch!(|| match kind {
                config::Optimizer::Adamw => {
                    for (((p, m), v), g) in p.iter_mut().zip(&mut *m).zip(&mut *v).zip(g) {
                        let g = scale * *g;
                        *m = b1 * *m + c1 * g;
                        *v = b2 * *v + c2 * (g * g);
                        *p = keep * *p - rate * *m / (v.sqrt() * root + eps);
                    }
                }
                config::Optimizer::Sgd => {
                    for ((p, m), g) in p.iter_mut().zip(&mut *m).zip(g) {
                        *m = b1 * *m + scale * *g;
                        *p = keep * *p - lr_t * *m;
                    }
                }
            });
        });
    }
}

/// √Σg², in `f64`, the same on any number of threads.
pub fn norm<T: Num>(gradient: &[T]) -> f64 {
    let squares: Vec<f64> = (gradient.par_chunks(CHUNK))
        .map(|chunk| {
            let mut lanes = [0.0f64; 8];
            for (i, g) in chunk.iter().enumerate() {
                let g = g.value();
                lanes[i % 8] += g * g;
            }
            lanes.iter().sum()
        })
        .collect();
    squares.iter().sum::<f64>().sqrt()
}

/// What a gradient of norm `norm` is multiplied with so that it is no longer than `longest`:
/// min(1, longest/(norm + 10⁻⁶)), as PyTorch does; 1 where `longest` is 0.
pub fn clip_factor(norm: f64, longest: f64) -> f64 {
    if longest == 0.0 { 1.0 } else { (longest / (norm + 1e-6)).min(1.0) }
}

/// Adds the vectors to the first, element by element in their order.
pub fn reduce<T: Num>(vectors: &mut [&mut [T]]) {
    let Some((first, rest)) = vectors.split_first_mut() else { return };
    first.par_chunks_mut(CHUNK).enumerate().for_each(|(i, sum)| {
        for other in rest.iter() {
            let other = &other[i * CHUNK..i * CHUNK + sum.len()];
            simd::dispatch!(|| {
                for (sum, &x) in sum.iter_mut().zip(other) {
                    *sum += x;
                }
            });
        }
    });
}
