//! The Euclidean norm of a long vector, the same on any number of threads.

use crate::num::Num;
use crate::op::simd;

/// Elements of one work item; sums are formed per item and then in order, so that no result
/// depends on the number of threads.
pub(crate) const CHUNK: usize = 1 << 14;

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
pub(crate) fn sum_of_squares<T: Num>(chunk: &[T]) -> f64 {
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
