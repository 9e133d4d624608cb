//! AdamW and SGD over one flat vector of parameters, in one pass over memory.

use std::ops::Range;

use rayon::prelude::*;

use crate::backend::Buffer;
use crate::backend::norm::CHUNK;
use crate::config::{self, RunConfig};
use crate::num::Num;
use crate::op::simd;
use crate::program::Program;

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
    pub(super) m: Buffer<T>,
    /// Second moment; empty under SGD.
    pub(super) v: Buffer<T>,
    /// Stretches of the parameters, in order, and whether each decays.
    stretches: Vec<(Range<usize>, bool)>,
}

impl<T: Num> Optimizer<T> {
    /// An optimiser at rest for the weights of `program`.
    pub fn new(config: &RunConfig, program: &Program) -> Self {
        let mut stretches: Vec<(Range<usize>, bool)> = Vec::new();
        let mut at = 0;
        for (_, value) in program.weights() {
            let end = at + value.shape.len();
            let decays = config.weight_decay != 0.0 && value.shape.sizes().len() >= 2;
            match stretches.last_mut() {
                Some((range, same)) if *same == decays => range.end = end,
                _ => stretches.push((at..end, decays)),
            }
            at = end;
        }
        let second = config.optimizer == config::Optimizer::Adamw;
        Optimizer {
            kind: config.optimizer,
            beta1: config.beta1,
            beta2: config.beta2,
            eps: config.adam_eps,
            weight_decay: config.weight_decay,
            m: Buffer::zeros(at, 3),
            v: Buffer::zeros(if second { at } else { 0 }, 4),
            stretches,
        }
    }

    /// The first and the second moments; the latter empty under SGD.
    pub fn moments(&mut self) -> (&mut [T], &mut [T]) {
        (&mut self.m, &mut self.v)
    }

    /// Moves the parameters by one step; `step` counts from 1, `scale` multiplies the gradient first.
    pub fn step(&mut self, parameters: &mut [T], gradient: &[T], lr: f64, step: usize, scale: f64) {
        let decay = T::num(1.0 - lr * self.weight_decay);
        let keep = |decays: bool| if decays { decay } else { T::one() };
        let (lr_t, scale) = (T::num(lr), T::num(scale));
        let (b1, b2) = (T::num(self.beta1), T::num(self.beta2));
        let stretches = &self.stretches[..];
        let chunks = parameters.par_chunks_mut(CHUNK).zip(gradient.par_chunks(CHUNK)).enumerate();
        let chunks = chunks.zip(self.m.par_chunks_mut(CHUNK));
        match self.kind {
            config::Optimizer::Adamw => {
                let (c1, c2) = (T::num(1.0 - self.beta1), T::num(1.0 - self.beta2));
                // Bias corrections are formed in f64: 1 − β₂ᵗ cancels for small t.
                // Beyond 31 bits the power of anything below 1 is 0.
                let power = i32::try_from(step).unwrap_or(i32::MAX);
                let correct1 = 1.0 - self.beta1.powi(power);
                let root2 = (1.0 - self.beta2.powi(power)).sqrt();
                let (rate, root) = (T::num(lr / correct1), T::num(1.0 / root2));
                let eps = T::num(self.eps);
                chunks.zip(self.v.par_chunks_mut(CHUNK)).for_each(|(((i, (p, g)), m), v)| {
                    for (part, decays) in within(stretches, i, p.len()) {
                        let (p, g) = (&mut p[part.clone()], &g[part.clone()]);
                        let (m, v) = (&mut m[part.clone()], &mut v[part]);
                        let keep = keep(decays);
                        simd::dispatch!(|| {
                            for (((p, g), m), v) in p.iter_mut().zip(g).zip(&mut *m).zip(&mut *v) {
                                let g = scale * *g;
                                *m = b1 * *m + c1 * g;
                                *v = b2 * *v + c2 * (g * g);
                                *p = keep * *p - rate * *m / (v.sqrt() * root + eps);
                            }
                        });
                    }
                });
            }
            config::Optimizer::Sgd => chunks.for_each(|((i, (p, g)), m)| {
                for (part, decays) in within(stretches, i, p.len()) {
                    let (p, g, m) = (&mut p[part.clone()], &g[part.clone()], &mut m[part]);
                    let keep = keep(decays);
                    simd::dispatch!(|| {
                        for ((p, g), m) in p.iter_mut().zip(g).zip(&mut *m) {
                            *m = b1 * *m + scale * *g;
                            *p = keep * *p - lr_t * *m;
                        }
                    });
                }
            }),
        }
    }
}

/// The parts of chunk `index`, of `len` elements, that lie in each stretch, counted from its start.
fn within(
    stretches: &[(Range<usize>, bool)],
    index: usize,
    len: usize,
) -> impl Iterator<Item = (Range<usize>, bool)> + '_ {
    let chunk = index * CHUNK..index * CHUNK + len;
    let first = stretches.partition_point(|(range, _)| range.end <= chunk.start);
    let touched = stretches[first..].iter().take_while(move |(range, _)| range.start < chunk.end);
    let start = chunk.start;
    touched.map(move |(range, decays)| {
        (range.start.max(start) - start..range.end.min(start + len) - start, *decays)
    })
}
