//! The gradient of a step: from those of the shards, its norm, and clipping.

use rayon::prelude::*;

use super::Shard;
use crate::backend::Element;
use crate::backend::norm::{CHUNK, sum_of_squares};
use crate::op::simd;

/// Adds the gradients of the other shards to that of the first, element by element in their order,
/// and returns the [`norm`](crate::backend::norm()) of the sum, in one pass over memory. `squares` has an element per chunk.
pub(super) fn reduce<T: Element>(shards: &mut [Shard<T>], squares: &mut [f64]) -> f64 {
    let (first, others) = shards.split_first_mut().expect("a batch has a shard");
    let chunks = first.gradients.par_chunks_mut(CHUNK).zip(&mut *squares).enumerate();
    chunks.for_each(|(i, (sum, squares))| {
        for other in &*others {
            let other = &other.gradients[i * CHUNK..i * CHUNK + sum.len()];
            simd::dispatch!(|| {
                for (sum, &x) in sum.iter_mut().zip(other) {
                    *sum += x;
                }
            });
        }
        *squares = sum_of_squares(sum);
    });
    squares.iter().sum::<f64>().sqrt()
}

/// What a gradient of norm `norm` is multiplied with so that it is no longer than `longest`:
/// min(1, longest/(norm + 10⁻⁶)), as PyTorch does; 1 where `longest` is 0.
pub fn clip_factor(norm: f64, longest: f64) -> f64 {
    if longest == 0.0 { 1.0 } else { (longest / (norm + 1e-6)).min(1.0) }
}
