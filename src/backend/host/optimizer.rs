//! The optimisers over one flat vector of parameters: AdamW and SGD in one pass over memory.

use std::ops::Range;

use rayon::prelude::*;

use super::{CHUNK, Element, Host, muon};
use crate::backend::{Factors, Pace, Rule, Stretch, Update, clip_factor};
use crate::op::simd;

pub(super) fn update<T: Element>(mut update: Update<Host<T>>) {
    if update.norm.is_unfit {
        return;
    }
    let clip = clip_factor(update.norm.value, update.clip);
    match *update.rule {
        Rule::Adamw { beta1, beta2, eps } => adamw(&mut update, clip, [beta1, beta2, eps]),
        Rule::Sgd { beta } => sgd(&mut update, clip, beta),
        Rule::Muon { momentum, beta1, beta2, eps } => {
            adamw(&mut update, clip, [beta1, beta2, eps]);
            let Update { stretches, pace, parameters, gradient, m, .. } = update;
            muon::step(stretches, [pace.lr, momentum, clip], parameters, gradient, m);
        }
    }
}

/// 1 − lr·wd.
fn keep<T: Element>(lr: f64, factors: Factors) -> T {
    match factors.decay {
        0.0 => T::one(),
        decay => T::num(1.0 - lr * decay),
    }
}

/// AdamW on all that is not moved as a matrix.
fn adamw<T: Element>(update: &mut Update<Host<T>>, clip: f64, [beta1, beta2, eps]: [f64; 3]) {
    let Update { stretches, pace, parameters, gradient, m, v, .. } = update;
    let (stretches, scale) = (*stretches, T::num(clip));
    let chunks = parameters.par_chunks_mut(CHUNK).zip(gradient.par_chunks(CHUNK)).enumerate();
    let chunks = chunks.zip(m.par_chunks_mut(CHUNK));
    let (b1, b2) = (T::num(beta1), T::num(beta2));
    let (c1, c2) = (T::num(1.0 - beta1), T::num(1.0 - beta2));
    let root = T::num(pace.corrected(beta1, beta2)[1]);
    chunks.zip(v.par_chunks_mut(CHUNK)).for_each(|(((i, (p, g)), m), v)| {
        let parts = within(stretches, i, p.len()).filter(|(_, factors)| factors.matrix.is_none());
        for (part, factors) in parts {
            let (p, g) = (&mut p[part.clone()], &g[part.clone()]);
            let (m, v) = (&mut m[part.clone()], &mut v[part]);
            let pace = Pace { lr: pace.lr * factors.lr, ..**pace };
            let rate = T::num(pace.corrected(beta1, beta2)[0]);
            let eps = T::num(eps * factors.eps);
            let keep: T = keep(pace.lr, factors);
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

/// SGD with momentum.
fn sgd<T: Element>(update: &mut Update<Host<T>>, clip: f64, beta: f64) {
    let Update { stretches, pace, parameters, gradient, m, .. } = update;
    let (stretches, scale) = (*stretches, T::num(clip));
    let chunks = parameters.par_chunks_mut(CHUNK).zip(gradient.par_chunks(CHUNK)).enumerate();
    let beta = T::num(beta);
    chunks.zip(m.par_chunks_mut(CHUNK)).for_each(|((i, (p, g)), m)| {
        for (part, factors) in within(stretches, i, p.len()) {
            let (p, g, m) = (&mut p[part.clone()], &g[part.clone()], &mut m[part]);
            let lr = pace.lr * factors.lr;
            let (lr, keep): (T, T) = (T::num(lr), keep(lr, factors));
            simd::dispatch!(|| {
                for ((p, g), m) in p.iter_mut().zip(g).zip(&mut *m) {
                    *m = beta * *m + scale * *g;
                    *p = keep * *p - lr * *m;
                }
            });
        }
    });
}

/// The parts of chunk `index`, of `len` elements, that lie in each stretch, counted from its start.
fn within(
    stretches: &[Stretch],
    index: usize,
    len: usize,
) -> impl Iterator<Item = (Range<usize>, Factors)> + '_ {
    let chunk = index * CHUNK..index * CHUNK + len;
    let first = stretches.partition_point(|stretch| stretch.range.end <= chunk.start);
    let touched =
        stretches[first..].iter().take_while(move |stretch| stretch.range.start < chunk.end);
    let start = chunk.start;
    touched.map(move |Stretch { range, factors }| {
        (range.start.max(start) - start..range.end.min(start + len) - start, *factors)
    })
}
