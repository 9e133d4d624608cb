//! AdamW and SGD over one flat vector of parameters, in one pass over memory.

use std::ops::Range;

use rayon::prelude::*;

use super::{CHUNK, Element, Host};
use crate::backend::{Rule, Stretch, Update, clip_factor};
use crate::op::simd;

pub(super) fn update<T: Element>(update: Update<Host<T>>) {
    let Update { stretches, parameters, gradient, m, v, .. } = update;
    let lr = update.pace.lr;
    if update.norm.is_unfit {
        return;
    }
    let scale = T::num(clip_factor(update.norm.value, update.clip));
    let keep = |decay: f64| if decay == 0.0 { T::one() } else { T::num(1.0 - lr * decay) };
    let chunks = parameters.par_chunks_mut(CHUNK).zip(gradient.par_chunks(CHUNK)).enumerate();
    let chunks = chunks.zip(m.par_chunks_mut(CHUNK));
    match *update.rule {
        Rule::Adamw { beta1, beta2, eps } => {
            let (b1, b2) = (T::num(beta1), T::num(beta2));
            let (c1, c2) = (T::num(1.0 - beta1), T::num(1.0 - beta2));
            let [rate, root] = update.pace.corrected(beta1, beta2).map(T::num);
            let eps = T::num(eps);
            chunks.zip(v.par_chunks_mut(CHUNK)).for_each(|(((i, (p, g)), m), v)| {
                for (part, decay) in within(stretches, i, p.len()) {
                    let (p, g) = (&mut p[part.clone()], &g[part.clone()]);
                    let (m, v) = (&mut m[part.clone()], &mut v[part]);
                    let keep = keep(decay);
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
        Rule::Sgd { beta } => {
            let (beta, lr) = (T::num(beta), T::num(lr));
            chunks.for_each(|((i, (p, g)), m)| {
                for (part, decay) in within(stretches, i, p.len()) {
                    let (p, g, m) = (&mut p[part.clone()], &g[part.clone()], &mut m[part]);
                    let keep = keep(decay);
                    simd::dispatch!(|| {
                        for ((p, g), m) in p.iter_mut().zip(g).zip(&mut *m) {
                            *m = beta * *m + scale * *g;
                            *p = keep * *p - lr * *m;
                        }
                    });
                }
            });
        }
    }
}

/// The parts of chunk `index`, of `len` elements, that lie in each stretch, counted from its start.
fn within(
    stretches: &[Stretch],
    index: usize,
    len: usize,
) -> impl Iterator<Item = (Range<usize>, f64)> + '_ {
    let chunk = index * CHUNK..index * CHUNK + len;
    let first = stretches.partition_point(|stretch| stretch.range.end <= chunk.start);
    let touched =
        stretches[first..].iter().take_while(move |stretch| stretch.range.start < chunk.end);
    let start = chunk.start;
    touched.map(move |Stretch { range, decay }| {
        (range.start.max(start) - start..range.end.min(start + len) - start, *decay)
    })
}
