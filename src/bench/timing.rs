//! Times that can be compared: taken in turn, so that a machine that changes its pace changes it
//! for all.

use std::time::{Duration, Instant};

/// Seconds of every call of one piece of work.
#[derive(Debug, Clone, Default)]
pub struct Samples(Vec<f64>);

impl Samples {
    /// Samples in the order in which they were taken.
    pub fn new(seconds: Vec<f64>) -> Self {
        Samples(seconds)
    }
    /// The median, in seconds; NaN of nothing.
    pub fn median(&self) -> f64 {
        quantile(&self.0, 0.5)
    }
    /// The least, in seconds.
    pub fn least(&self) -> f64 {
        quantile(&self.0, 0.0)
    }
}

/// The value below which a share `q` of the numbers lies, between neighbours by a straight line.
fn quantile(numbers: &[f64], q: f64) -> f64 {
    let mut sorted = numbers.to_vec();
    sorted.sort_by(f64::total_cmp);
    let Some(last) = sorted.len().checked_sub(1) else { return f64::NAN };
    let at = q * last as f64;
    let (low, high) = (sorted[at.floor() as usize], sorted[at.ceil() as usize]);
    low + (high - low) * at.fract()
}

/// How long to measure.
#[derive(Debug, Clone, Copy)]
pub struct Timing {
    /// The least number of rounds, beyond one that is not counted.
    pub rounds: usize,
    /// Rounds go on until this time is over.
    pub time: Duration,
    /// A piece of work is repeated within a round until it took this long.
    pub sample: Duration,
}

/// Times pieces of work in turn: A B C A B C …; seconds of one call of each, per round.
pub fn interleaved(timing: Timing, work: &mut [&mut dyn FnMut()]) -> Vec<Samples> {
    let repeats: Vec<usize> = work
        .iter_mut()
        .map(|work| {
            // The first call pays for cold caches and pages; the second tells how long one takes.
            work();
            let start = Instant::now();
            work();
            let once = start.elapsed().as_secs_f64().max(1e-9);
            (timing.sample.as_secs_f64() / once).ceil().max(1.0) as usize
        })
        .collect();
    let mut samples = vec![Samples::default(); work.len()];
    let start = Instant::now();
    let mut rounds = 0;
    while rounds < timing.rounds || start.elapsed() < timing.time {
        for ((work, &repeats), samples) in work.iter_mut().zip(&repeats).zip(&mut samples) {
            let start = Instant::now();
            for _ in 0..repeats {
                work();
            }
            samples.0.push(start.elapsed().as_secs_f64() / repeats as f64);
        }
        rounds += 1;
    }
    samples
}
