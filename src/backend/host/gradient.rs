//! Sums of gradients and their norms, the same on any number of threads.

use rayon::prelude::*;

use super::{Buffer, CHUNK};
use crate::num::Num;
use crate::op::simd;

/// The norm of a gradient, and the sums of squares that it is formed from, one per chunk.
#[derive(Debug, Default)]
pub struct Norm {
    squares: Vec<f64>,
    pub(super) value: f64,
    /// Whether it, or a loss of its step, is infinite or not a number.
    pub(super) is_unfit: bool,
}

/// Adds the other gradients to the first, element by element in their order, and forms the norm of
/// the sum, in one pass over memory.
pub(super) fn reduce<T: Num>(gradients: &mut [Buffer<T>], losses: &[Buffer<T>], norm: &mut Norm) {
    let (first, others) = gradients.split_first_mut().expect("a step has a gradient");
    norm.squares.resize(first.len().div_ceil(CHUNK), 0.0);
    let chunks = first.par_chunks_mut(CHUNK).zip(&mut norm.squares).enumerate();
    chunks.for_each(|(i, (sum, squares))| {
        for other in &*others {
            let other = &other[i * CHUNK..i * CHUNK + sum.len()];
            simd::dispatch!(|| {
                for (sum, &x) in sum.iter_mut().zip(other) {
                    *sum += x;
                }
            });
        }
        *squares = sum_of_squares(sum);
    });
    norm.value = norm.squares.iter().sum::<f64>().sqrt();
    let finite = losses.iter().all(|losses| losses.iter().all(|x| x.value().is_finite()));
    norm.is_unfit = !finite || !norm.value.is_finite();
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
