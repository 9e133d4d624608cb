//! What the machine can do: bytes copied and numbers multiplied per second.

use std::time::Duration;

use rayon::prelude::*;

use super::floor::{Form, Product, multiply};
use super::timing::{Samples, Timing, interleaved};

/// How long every limit and operator is measured.
pub(super) fn timing(quick: bool) -> Timing {
    let (rounds, time, sample) = if quick { (3, 10, 1) } else { (7, 150, 4) };
    Timing { rounds, time: Duration::from_millis(time), sample: Duration::from_millis(sample) }
}

/// One limit on one thread and on all.
#[derive(Debug, Clone)]
pub struct Limit {
    /// What was measured.
    pub name: String,
    /// Bytes (or operations) per second on one thread.
    pub one: f64,
    /// The same on all threads together, each at work of its own.
    pub all: f64,
}

/// Copy bandwidth, bytes read plus bytes written per second, by size of the two arrays together.
pub fn copies(quick: bool, pool: &rayon::ThreadPool) -> Vec<Limit> {
    let sizes =
        [("L2, 512 KiB", 512usize << 10), ("L3, 8 MiB", 8 << 20), ("memory, 256 MiB", 256 << 20)];
    let sizes = &sizes[..if quick { 2 } else { 3 }];
    let measured = sizes.iter().map(|&(name, bytes)| {
        let len = bytes / 2 / size_of::<f32>();
        let arrays = || (vec![1f32; len], vec![0f32; len]);
        both(name, bytes as f64, quick, pool, arrays, |(from, to)| to.copy_from_slice(from))
    });
    measured.collect()
}

/// Floating-point operations per second of matrix products: a large one, and the narrow ones of
/// a stack of width 64 on 256 tokens.
pub fn products(quick: bool, pool: &rayon::ThreadPool) -> Vec<Limit> {
    let large = if quick { 256 } else { 1024 };
    let shapes = [(large, large, large), (256, 64, 64), (256, 256, 64), (64, 64, 256)];
    let measured = shapes.into_iter().map(|(m, n, k)| {
        let product = Product { form: Form::NN, m, n, k };
        let factors = || (vec![0.5f32; m * k], vec![0.25f32; k * n], vec![0f32; m * n]);
        both(
            &format!("{m}×{k} by {k}×{n}"),
            product.flops(),
            quick,
            pool,
            factors,
            |(a, b, c)| {
                multiply(product, a, b, c);
            },
        )
    });
    measured.collect()
}

/// Measures one piece of work on one thread and the same on every thread of a pool at once.
fn both<D: Send>(
    name: &str,
    amount: f64,
    quick: bool,
    pool: &rayon::ThreadPool,
    data: impl Fn() -> D + Sync + Send,
    work: impl Fn(&mut D) + Sync + Send,
) -> Limit {
    let threads = pool.current_num_threads();
    let mut each: Vec<D> = (0..threads).map(|_| data()).collect();
    // The fastest round: a limit is what the machine does when nothing disturbs it.
    let time = |times: usize, work: &mut dyn FnMut()| -> f64 {
        let samples: Vec<Samples> = interleaved(timing(quick), &mut [work]);
        times as f64 * amount / samples[0].least()
    };
    let one = time(1, &mut || work(&mut each[0]));
    // Handing out work takes microseconds: every thread repeats it for some hundred.
    let repeats = (2e-4 * one / amount).ceil().max(1.0) as usize;
    let all = time(threads * repeats, &mut || {
        pool.install(|| {
            each.par_iter_mut()
                .with_max_len(1)
                .for_each(|data| (0..repeats).for_each(|_| work(data)));
        });
    });
    Limit { name: name.to_string(), one, all }
}
