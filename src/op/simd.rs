//! The vocabulary of the fast paths: run-time dispatch and the loops that they share.
//!
//! The loops are plain Rust that the compiler vectorises for the instruction set chosen by
//! [`dispatch`]. Sums go through a fixed number of lanes and a fixed tree, and nothing is fused
//! behind the source's back, so that every instruction set and every number of threads gives the
//! same bits.

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

/// What [`dispatch!`] expands to.
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

/// Σ f(x): 64 partial sums, then a tree.
#[inline(always)]
fn lanes_sum(n: usize, term: impl Fn(usize) -> f32) -> f32 {
    let mut lanes = [0.0f32; BLOCK];
    let whole = n / BLOCK * BLOCK;
    let mut i = 0;
    while i < whole {
        for (l, lane) in lanes.iter_mut().enumerate() {
            *lane += term(i + l);
        }
        i += BLOCK;
    }
    for (l, lane) in lanes.iter_mut().enumerate().take(n - whole) {
        *lane += term(whole + l);
    }
    let mut width = BLOCK / 2;
    while width > 0 {
        for l in 0..width {
            lanes[l] += lanes[l + width];
        }
        width /= 2;
    }
    lanes[0]
}

/// Σ x.
#[inline(always)]
pub fn sum(x: &[f32]) -> f32 {
    lanes_sum(x.len(), |i| x[i])
}

/// Σ x·y.
#[inline(always)]
pub fn dot(x: &[f32], y: &[f32]) -> f32 {
    let n = x.len();
    let y = &y[..n];
    lanes_sum(n, |i| x[i] * y[i])
}

/// Σ (x − center)².
#[inline(always)]
pub fn sum_of_squares_around(x: &[f32], center: f32) -> f32 {
    lanes_sum(x.len(), |i| (x[i] - center) * (x[i] - center))
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

/// y = y·weight + bias, each where it is there.
#[inline(always)]
pub fn scale_shift(y: &mut [f32], weight: &[f32], bias: &[f32]) {
    for (y, w) in y.iter_mut().zip(weight) {
        *y *= w;
    }
    for (y, b) in y.iter_mut().zip(bias) {
        *y += b;
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
