//! A training step against the matrix products in it.

use std::sync::Arc;
use std::time::Instant;

use super::{Rates, Samples, Size, Stopwatch, products};
use crate::backend::{Buffer, Host, Runner};
use crate::setting::Invalid;
use crate::stack;
use crate::train::{Corpus, Trainer};

/// What a step is made of, in the order of a picture.
pub const PARTS: [&str; 6] =
    ["linear maps", "attention", "norms", "activation", "other operators", "optimiser and sums"];

/// Times of one size.
#[derive(Debug, Clone)]
pub struct StepTime {
    /// The size.
    pub size: Size,
    /// Seconds that the products of a step take one after the other on one thread.
    pub floor: f64,
    /// Seconds of a step on one thread, the fastest.
    pub one: f64,
    /// Seconds of a step on all threads, the fastest.
    pub all: f64,
    /// Seconds of a step on one thread by [`PARTS`].
    pub parts: [f64; 6],
    /// Seconds of a step on one thread by operator, forward and vjp.
    pub operators: Vec<(&'static str, f64, f64)>,
}

/// Measures a size; `seconds` is how long the steps on one thread and on all are repeated, three
/// at least.
///
/// # Errors
/// Where the size does not fit into memory.
pub fn step_time(size: Size, seconds: f64, pool: &rayon::ThreadPool) -> Result<StepTime, Invalid> {
    let config = size.config();
    let corpus = Arc::new(Corpus::load(&config)?);
    let shards = config.shards();
    let program =
        Arc::new(stack::build(&config.architecture(), &config.task.ends(), config.samples(), true));
    let list = products(&program);
    let floor = || shards as f64 * Rates::measure(&list).seconds(&list);
    let before = floor();
    let mut operators = by_operator(&config, program, seconds);

    let mut trainer = Trainer::new(Host::<f32>::new(), &config, corpus)?;
    let single = rayon::ThreadPoolBuilder::new().num_threads(1).build();
    let single = single.map_err(|error| Invalid::new("threads", 1, error.to_string()))?;
    let one = single.install(|| fastest_step(&mut trainer, seconds));
    let all = pool.install(|| fastest_step(&mut trainer, seconds));
    // The machine's pace changes; the faster of two measurements is the nearer to its limit.
    let floor = before.min(floor());

    // Passes that other work disturbed more than the steps keep their proportions.
    let seen: f64 = operators.iter().map(|row| row.1 + row.2).sum();
    let scale = (one / seen).min(1.0);
    operators.iter_mut().for_each(|row| (row.1, row.2) = (row.1 * scale, row.2 * scale));
    let mut parts = [0.0; 6];
    for &(name, forward, vjp) in &operators {
        parts[part(name)] += forward + vjp;
    }
    // What the stopwatch does not see: the batch, the sum over the shards, clipping, the update.
    parts[5] = (one - parts.iter().sum::<f64>()).max(0.0);
    Ok(StepTime { size, floor, one, all, parts, operators })
}

fn part(operator: &str) -> usize {
    match operator {
        "linear" => 0,
        "attention" => 1,
        "activation" | "gated" => 3,
        name if crate::op::norm::named(name).is_some() => 2,
        _ => 4,
    }
}

/// The fastest step is the one that other work on the machine disturbed least.
fn fastest_step(trainer: &mut Trainer<Host<f32>>, seconds: f64) -> f64 {
    trainer.advance(None);
    let (mut times, begun) = (Vec::new(), Instant::now());
    while times.len() < 3 || begun.elapsed().as_secs_f64() < seconds {
        let start = Instant::now();
        trainer.advance(None);
        times.push(start.elapsed().as_secs_f64());
    }
    Samples::new(times).least()
}

/// Seconds of one step by operator, all shards one after the other.
fn by_operator(
    config: &crate::config::RunConfig,
    program: Arc<crate::program::Program>,
    seconds: f64,
) -> Vec<(&'static str, f64, f64)> {
    let weights = config.init.weights(&program, config.depth, config.embed_std(), config.seed);
    let weights: Buffer<f32> = weights.into_iter().map(|w| w as f32).collect();
    let (states, one) = (Buffer::default(), Buffer::from_iter([1.0]));
    let mut gradients = Buffer::zeros(weights.len());
    let mut runner = Runner::training(Host::<f32>::new(), program, 0);
    let mut pass = |watch: &mut Stopwatch| {
        runner.clear();
        watch.start();
        runner.forward(&weights, &states, watch);
        runner.backward(&weights, &states, &one, &mut gradients, watch);
        watch.stop();
    };
    pass(&mut Stopwatch::new());
    let total = |watch: &Stopwatch| watch.seconds().values().sum::<f64>();
    let (mut best, begun, mut passes) = (Stopwatch::new(), Instant::now(), 0);
    while passes < 3 || begun.elapsed().as_secs_f64() < seconds / 2.0 {
        let mut watch = Stopwatch::new();
        pass(&mut watch);
        if passes == 0 || total(&watch) < total(&best) {
            best = watch;
        }
        passes += 1;
    }
    // Shards cost the same; the fastest was disturbed least.
    let scale = config.shards() as f64;
    let mut rows: Vec<(&'static str, f64, f64)> = Vec::new();
    for (&(name, vjp), &seconds) in best.seconds() {
        if rows.last().is_none_or(|row| row.0 != name) {
            rows.push((name, 0.0, 0.0));
        }
        if let Some(row) = rows.last_mut() {
            *(if vjp { &mut row.2 } else { &mut row.1 }) += seconds * scale;
        }
    }
    rows.sort_by(|a, b| (b.1 + b.2).total_cmp(&(a.1 + a.2)));
    rows
}
