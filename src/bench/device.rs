//! A device that runs kernels: its copy, operators against it, products, training steps.

use std::sync::Arc;
use std::time::Instant;

use super::{Limit, Report, Samples, Share, Size, StepTime, products};
use crate::backend::Backend;
use crate::backend::device::{Device, Machine, Prepared};
use crate::config::{self, RunConfig};
use crate::op::attention::Attention;
use crate::op::linear::Linear;
use crate::op::{Shape, SharedOp, norm};
use crate::setting::Invalid;
use crate::stack;
use crate::train::{Corpus, Trainer};

/// What is measured, and how often.
#[derive(Debug, Clone, Copy)]
pub struct Plan {
    /// Rows and columns of the norms.
    pub norms: &'static [(usize, usize)],
    /// Samples, tokens and features of attention, 64 features a head where there are as many.
    pub attention: [usize; 3],
    /// Rows, outputs and terms of the products.
    pub products: &'static [[usize; 3]],
    /// Bytes that are copied to and fro to measure the copy, and before every repetition to clear the
    /// caches.
    pub copy: usize,
    /// Repetitions, of which the median counts.
    pub rounds: usize,
    /// Steps that are timed.
    pub steps: usize,
}

/// For a GPU: as in the comparison with the peers. The copy is some times the largest second cache.
pub const GPU: Plan = Plan {
    norms: &[(4096, 256), (16384, 1024), (16384, 2048), (16384, 4096), (16384, 8192)],
    attention: [32, 128, 256],
    products: &[[4096, 4096, 4096], [4096, 256, 256], [4096, 1024, 256], [4096, 256, 1024]],
    copy: 512 << 20,
    rounds: 30,
    steps: 20,
};

/// For the interpreter: the same calls, and no time that says anything.
pub const TINY: Plan = Plan {
    norms: &[(4, 32)],
    attention: [1, 4, 8],
    products: &[[8, 8, 8]],
    copy: 256,
    rounds: 1,
    steps: 1,
};

/// Measures a machine.
///
/// # Errors
/// Where a step does not fit into its memory.
pub fn measure_device<M: Machine + 'static>(
    machine: &M,
    device: config::Device,
    plan: &Plan,
    sizes: &[Size],
    mut done: impl FnMut(&str),
) -> Result<Report, Invalid> {
    let bench = Bench::new(machine, plan);
    let copies = vec![bench.copy()];
    let copy = copies[0].one;
    done("copy");
    let products: Vec<Limit> = plan.products.iter().map(|&size| bench.product(size)).collect();
    done("products");
    let (mut shares, mut left_out) = (Vec::new(), Vec::new());
    for entry in norm::ALL {
        let op = (entry.make)();
        if op.kernels().is_none() {
            left_out.push(entry.id);
        }
        for &(rows, cols) in plan.norms {
            let op = op.clone();
            let shapes = op.example(rows, cols);
            shares.extend(bench.share(entry.id, op, &shapes, copy));
        }
        done(entry.id);
    }
    let [samples, tokens, width] = plan.attention;
    let op = Arc::new(Attention::causal(width.div_ceil(64)));
    let mut shapes = vec![Shape::new(&[samples, tokens, width]); 3];
    shapes.resize(5, Shape::ABSENT);
    shares.extend(bench.share("attention", op, &shapes, copy));
    done("attention");
    let peak = products.iter().map(|limit| limit.one).fold(0.0, f64::max);
    let mut steps = Vec::new();
    for &size in sizes {
        steps.push(step(machine, device, size, plan.steps, peak)?);
        done(size.name);
    }
    let device = Some(machine.name());
    let (threads, quick) = (1, false);
    Ok(Report { threads, quick, device, copies, products, shares, left_out, steps })
}

/// A machine and what clears its caches.
struct Bench<'a, M: Machine> {
    machine: &'a M,
    plan: &'a Plan,
    buffers: [M::Memory; 2],
}

impl<'a, M: Machine> Bench<'a, M> {
    fn new(machine: &'a M, plan: &'a Plan) -> Self {
        let buffer = || machine.allocate(plan.copy, true);
        Bench { machine, plan, buffers: [buffer(), buffer()] }
    }

    fn clear(&self) {
        let [from, to] = &self.buffers;
        self.machine.copy(from, 0, to, 0, self.plan.copy);
    }

    /// Seconds of some work, caches cleared: the median. While they are being cleared the work is asked
    /// for, so that a GPU does not wait for it.
    fn seconds(&self, work: impl Fn()) -> f64 {
        work();
        let time = |_| {
            self.clear();
            self.machine.timed(&mut || work())
        };
        Samples::new((0..self.plan.rounds).map(time).collect()).median()
    }

    fn copy(&self) -> Limit {
        // Read and written.
        let rate = 2.0 * self.plan.copy as f64 / self.seconds(|| self.clear());
        let name = format!("memory, {}", crate::memory::amount(2 * self.plan.copy as u64));
        Limit { name, one: rate, all: rate }
    }

    fn product(&self, [rows, out, terms]: [usize; 3]) -> Limit {
        let shapes = [Shape::new(&[rows, terms]), Shape::new(&[out, terms]), Shape::ABSENT];
        let op = Prepared::new(Arc::new(Linear), &shapes, self.machine.clone());
        let op = op.expect("the linear map has kernels");
        let flops = 2.0 * rows as f64 * out as f64 * terms as f64;
        let rate = flops / self.seconds(|| op.forward());
        Limit { name: format!("{rows}×{terms} by {terms}×{out}"), one: rate, all: rate }
    }

    fn share(
        &self,
        name: &'static str,
        op: SharedOp,
        shapes: &[Shape],
        copy: f64,
    ) -> Option<Share> {
        let op = Prepared::new(op, shapes, self.machine.clone())?;
        let [forward_bytes, vjp_bytes] = op.bytes().map(|bytes| bytes as f64);
        let (forward, vjp) = (self.seconds(|| op.forward()), self.seconds(|| op.vjp()));
        Some(Share {
            name,
            shape: (shapes[0].rows(), shapes[0].cols()),
            forward: forward_bytes / forward / copy,
            both: (forward_bytes + vjp_bytes) / (forward + vjp) / copy,
        })
    }
}

/// A training step, in one shard, against what its products take at the rate of the fastest.
fn step<M: Machine>(
    machine: &M,
    device: config::Device,
    size: Size,
    steps: usize,
    peak: f64,
) -> Result<StepTime, Invalid> {
    let config = RunConfig { device, shards: Some(1), ..size.config() };
    let program = stack::build(&config.architecture(), &config.task.ends(), config.samples(), true);
    let flops: f64 = products(&program).iter().map(|(p, &count)| p.flops() * count as f64).sum();
    let corpus = Arc::new(Corpus::load(&config)?);
    let backend = Device::new(machine.clone());
    let mut trainer = Trainer::new(backend.clone(), &config, corpus)?;
    // Kernels are compiled in the first step, and the list of launches is made in the second.
    for _ in 0..2 {
        trainer.advance(None);
    }
    let time = |_| {
        let start = Instant::now();
        trainer.advance(None);
        start.elapsed().as_secs_f64()
    };
    let one = Samples::new((0..steps).map(time).collect()).median();
    if let Some(failure) = backend.failure() {
        let name = config.get("device").unwrap_or_default();
        return Err(Invalid::new("device", name, format!("one that works: {failure}")));
    }
    let floor = flops / peak;
    Ok(StepTime { size, floor, one, all: one, parts: [0.0; 6], operators: Vec::new() })
}
