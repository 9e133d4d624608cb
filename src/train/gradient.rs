//! The gradient of a step: from those of the shards, its norm, and clipping.

use rayon::prelude::*;

use super::Shard;
use crate::backend::Element;
use crate::num::Num;
use crate::op::simd;

/// Elements of one work item; sums are formed per item and then in order, so that no result
/// depends on the number of threads.
pub(super) const CHUNK: usize = 1 << 14;

/// Adds the gradients of the other shards to that of the first, element by element in their order,
/// and returns [`norm`] of the sum, in one pass over memory. `squares` has an element per chunk.
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

/// √Σg², in `f64`; where squares overflow, of what is left beside the largest.
pub fn norm<T: Num>(gradient: &[T]) -> f64 {
    let plain = gradient.chunks(CHUNK).map(sum_of_squares).sum::<f64>().sqrt();
    if plain.is_finite() {
        return plain;
    }
    let largest = gradient.iter().map(|g| g.value().abs()).fold(0.0, f64::max);
    let squares = gradient.iter().map(|g| (g.value() / largest).powi(2));
    largest * squares.sum::<f64>().sqrt()
}

/// Σg² of one chunk.
fn sum_of_squares<T: Num>(chunk: &[T]) -> f64 {
    const LANES: usize = 32;
    simd::dispatch!(|| {
        let (blocks, rest) = chunk.as_chunks::<LANES>();
        let mut lanes = [0.0; LANES];
        for block in blocks {
            lanes = std::array::from_fn(|l| lanes[l] + block[l].value() * block[l].value());
        }
        let rest: f64 = rest.iter().map(|g| g.value() * g.value()).sum();
        lanes.iter().sum::<f64>() + rest
    })
}

/// What a gradient of norm `norm` is multiplied with so that it is no longer than `longest`:
/// min(1, longest/(norm + 10⁻⁶)), as PyTorch does; 1 where `longest` is 0.
pub fn clip_factor(norm: f64, longest: f64) -> f64 {
    if longest == 0.0 { 1.0 } else { (longest / (norm + 1e-6)).min(1.0) }
}
