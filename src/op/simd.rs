//! The vocabulary of the fast paths: run-time dispatch and the loops that they share.
//!
//! The loops are plain Rust that the compiler vectorises for the instruction set chosen by
//! `dispatch!`. Sums go through a fixed number of lanes and a fixed tree, and nothing is fused
//! behind the source's back, so that every instruction set and every number of threads gives the
//! same bits.

use crate::num::Format;

/// Lanes of every sum: one 512-bit register of `f32`, four of them in flight.
const LANES: usize = 16;
const STREAMS: usize = 4;
const BLOCK: usize = LANES * STREAMS;

/// Runs a closure, `dispatch!(|| …)`, compiled for the best instruction set of this machine.
///
/// What it calls must be inlined into it to profit; the functions here are. The macro marks the
/// closure itself as such: called from one place per instruction set, a long one would otherwise
/// be compiled once, for the least of them.
macro_rules! dispatch {
    (|| $body:expr) => {
        $crate::op::simd::run(
            #[inline(always)]
            || $body,
        )
    };
}
pub(crate) use dispatch;

/// What `dispatch!` expands to.
///
/// By `FnMut`: a closure that is called by `FnOnce` goes through a shim, which is not inlined.
#[inline(always)]
pub fn run<R>(body: impl FnMut() -> R) -> R {
    struct Body<F>(F);
    impl<R, F: FnMut() -> R> pulp::WithSimd for Body<F> {
        type Output = R;
        #[inline(always)]
        fn with_simd<S: pulp::Simd>(mut self, _: S) -> R {
            (self.0)()
        }
    }
    pulp::Arch::new().dispatch(Body(body))
}

/// Folds pairs into [`BLOCK`] lanes, each from `start` by `step`, and the lanes by a tree of `join`.
///
/// The lanes are made anew for every block instead of being changed in place: so they stay in
/// registers, where a changed array would be stored and loaded again at each block.
#[inline(always)]
fn fold(
    x: &[f32],
    y: &[f32],
    start: f32,
    step: impl Fn(f32, f32, f32) -> f32,
    join: impl Fn(f32, f32) -> f32,
) -> f32 {
    assert_eq!(x.len(), y.len());
    let (x_blocks, x_rest) = x.as_chunks::<BLOCK>();
    let (y_blocks, y_rest) = y.as_chunks::<BLOCK>();
    let mut lanes = [start; BLOCK];
    for (x, y) in x_blocks.iter().zip(y_blocks) {
        lanes = std::array::from_fn(|l| step(lanes[l], x[l], y[l]));
    }
    if !x_rest.is_empty() {
        // A copy, since lanes that are met one by one live in memory: the others stay in registers.
        let mut reached = lanes;
        for ((lane, x), y) in reached.iter_mut().zip(x_rest).zip(y_rest) {
            *lane = step(*lane, *x, *y);
        }
        lanes = reached;
    }
    for width in [32, 16, 8, 4, 2, 1] {
        let (low, high) = lanes.split_at_mut(width);
        for (low, high) in low.iter_mut().zip(high) {
            *low = join(*low, *high);
        }
    }
    lanes[0]
}

/// Σ x.
#[inline(always)]
pub fn sum(x: &[f32]) -> f32 {
    fold(x, x, 0.0, |lane, x, _| lane + x, |a, b| a + b)
}

/// Σ x·y.
#[inline(always)]
pub fn dot(x: &[f32], y: &[f32]) -> f32 {
    fold(x, y, 0.0, |lane, x, y| lane + x * y, |a, b| a + b)
}

/// Σ (x − center)².
#[inline(always)]
pub fn sum_of_squares_around(x: &[f32], center: f32) -> f32 {
    fold(x, x, 0.0, |lane, x, _| lane + (x - center) * (x - center), |a, b| a + b)
}

/// The largest x, −∞ where there is none; a NaN is passed over.
#[inline(always)]
pub fn max(x: &[f32]) -> f32 {
    let larger = |a: f32, b: f32| if b > a { b } else { a };
    fold(x, x, f32::NEG_INFINITY, |lane, x, _| larger(lane, x), larger)
}

/// y += x; an empty y is wanted by nobody.
#[inline(always)]
pub fn add(y: &mut [f32], x: &[f32]) {
    for (y, x) in y.iter_mut().zip(x) {
        *y += x;
    }
}

/// y += a·b; an empty y is wanted by nobody.
#[inline(always)]
pub fn add_product(y: &mut [f32], a: &[f32], b: &[f32]) {
    for ((y, a), b) in y.iter_mut().zip(a).zip(b) {
        *y += a * b;
    }
}

/// y += a·x; an empty y is wanted by nobody.
#[inline(always)]
pub fn add_scaled(y: &mut [f32], a: f32, x: &[f32]) {
    for (y, x) in y.iter_mut().zip(x) {
        *y += a * x;
    }
}

/// y = a·b, or a where b is absent.
#[inline(always)]
pub fn product(y: &mut [f32], a: &[f32], b: &[f32]) {
    if b.is_empty() {
        y.copy_from_slice(a);
    } else {
        for ((y, a), b) in y.iter_mut().zip(a).zip(b) {
            *y = a * b;
        }
    }
}

/// y rounded to a storage format, to nearest and ties to even; a NaN stays one.
#[inline(always)]
pub fn round_to(y: &mut [f32], format: Format) {
    match format {
        Format::Exact | Format::F32 => {}
        Format::Bf16 => {
            for y in y {
                let bits = y.to_bits();
                let half = 0x7fff + (bits >> 16 & 1);
                let rounded = f32::from_bits(bits.wrapping_add(half) & 0xffff_0000);
                *y = if y.is_nan() { *y } else { rounded };
            }
        }
    }
}

/// y = y·weight + bias, each where it is there.
#[inline(always)]
pub fn scale_shift(y: &mut [f32], weight: &[f32], bias: &[f32]) {
    if weight.len() == bias.len() {
        for ((y, w), b) in y.iter_mut().zip(weight).zip(bias) {
            *y = *y * w + b;
        }
    } else {
        for (y, w) in y.iter_mut().zip(weight) {
            *y *= w;
        }
        for (y, b) in y.iter_mut().zip(bias) {
            *y += b;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sums_reach_every_element_at_block_edges() {
        for n in [0, 1, 15, 16, 17, 63, 64, 65, 127, 128, 129, 1000] {
            let x: Vec<f32> = (0..n).map(|i| i as f32).collect();
            let exact = (0..n).sum::<usize>() as f32;
            assert_eq!(sum(&x), exact);
            assert_eq!(dot(&x, &vec![1.0; n]), exact);
        }
    }
}
