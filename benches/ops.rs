//! Time of every operator, forward and vjp, in cache and out of it, and of a training step.
//!
//! Throughput counts every tensor that is read or written once. Each operator is checked against
//! its reference, on a small problem, before it is timed.

use std::hint::black_box;
use std::sync::Arc;
use std::time::Duration;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use plummet::backend::Host;
use plummet::bench::{self, Stopwatch};
use plummet::check::{Case, Rows, fast_agrees};
use plummet::op::{Arg, Fast, Grad, Kind, Op, Shape, View, all};
use plummet::rng::Rng;
use plummet::stack;

/// In the second cache, in the third, and twice in memory.
const SIZES: [(usize, usize); 4] = [(1024, 64), (4096, 256), (8192, 1024), (4096, 4096)];

/// Positions of a sequence, for those who look at pairs of them.
const SEQUENCE: usize = 64;
/// The most columns of a matrix that is multiplied by.
const WIDEST: usize = 1024;

/// Shapes of about `rows` × `cols` elements.
fn shapes(op: &dyn Op, rows: usize, cols: usize) -> Vec<Shape> {
    match op.id() {
        "attention" => {
            let mut shapes = op.example(SEQUENCE, cols);
            for shape in &mut shapes[..3] {
                let mut sizes = shape.sizes().to_vec();
                sizes[0] = rows / SEQUENCE;
                *shape = Shape::new(&sizes);
            }
            shapes[3..].fill(Shape::ABSENT);
            shapes
        }
        "linear" => op.example(rows, cols.min(WIDEST)),
        // Their examples have two samples of so many rows.
        "dropout" | "drop_path" | "embedding" | "add_positions" => op.example(rows / 2, cols),
        _ => op.example(rows, cols),
    }
}

/// One call of an operator, with all its buffers.
struct Call<'a> {
    op: &'a dyn Op,
    shapes: Vec<Shape>,
    args: Vec<Vec<f32>>,
    outs: Vec<Vec<f32>>,
    dy: Vec<f32>,
    grads: Vec<Vec<f32>>,
    saved: Vec<f32>,
    scratch: Vec<f32>,
}

impl<'a> Call<'a> {
    fn new(op: &'a dyn Op, shapes: Vec<Shape>) -> Self {
        let mut rng = Rng::new(1).named(op.id());
        // A prime number of values, told again and again: drawing them all would take long.
        let normal: Vec<f32> = (0..10_007).map(|_| rng.normal() as f32).collect();
        let limit = op.index_limit(&shapes);
        let value = |arg: &Arg, i: usize| match arg.kind {
            Kind::Index => (i * 7 % limit) as f32,
            Kind::Mask => 1.0,
            Kind::Clock => 0.0,
            Kind::State => normal[i % normal.len()].abs() + 0.1,
            Kind::Real | Kind::Weight => normal[i % normal.len()],
        };
        let pairs = || op.args().iter().zip(&shapes);
        let args =
            pairs().map(|(arg, shape)| (0..shape.len()).map(|i| value(arg, i)).collect()).collect();
        let wanted = |arg: &Arg, n: usize| if arg.kind.differentiable() { n } else { 0 };
        let grads = pairs().map(|(arg, shape)| vec![0.0; wanted(arg, shape.len())]).collect();
        let outs: Vec<Vec<f32>> =
            op.outputs(&shapes).iter().map(|shape| vec![0.0; shape.len()]).collect();
        let dy = (0..outs[0].len()).map(|i| normal[i % normal.len()]).collect();
        let (saved, scratch) = (vec![0.0; op.saved(&shapes)], vec![0.0; op.scratch(&shapes)]);
        Call { op, shapes, args, outs, dy, grads, saved, scratch }
    }

    fn forward(&mut self) {
        let args: Vec<View<f32>> =
            self.shapes.iter().zip(&self.args).map(|(&s, data)| View::new(s, data)).collect();
        let mut outs: Vec<&mut [f32]> = self.outs.iter_mut().map(|out| &mut out[..]).collect();
        Fast::forward(self.op, &args, &mut outs, &mut self.saved, &mut self.scratch);
        black_box(&mut self.outs);
    }

    fn vjp(&mut self) {
        let args: Vec<View<f32>> =
            self.shapes.iter().zip(&self.args).map(|(&s, data)| View::new(s, data)).collect();
        let mut grads: Vec<Grad> = self.grads.iter_mut().map(|grad| Grad::fresh(grad)).collect();
        Fast::vjp(self.op, &args, &self.dy, &self.saved, &mut grads, &mut self.scratch);
        black_box(&mut self.grads);
    }

    /// Bytes that forward and vjp read or write, every tensor once.
    fn bytes(&self) -> [u64; 2] {
        let size = |tensors: &[Vec<f32>]| tensors.iter().map(|t| 4 * t.len() as u64).sum::<u64>();
        let read = (0..self.args.len()).filter(|&index| self.op.vjp_reads(index));
        let read: u64 = read.map(|index| 4 * self.args[index].len() as u64).sum();
        let dy = 4 * self.dy.len() as u64;
        [size(&self.args) + size(&self.outs), read + dy + size(&self.grads)]
    }
}

fn operators(criterion: &mut Criterion) {
    for (index, op) in all().iter().enumerate() {
        fast_agrees(&**op, &Case::draw(&**op, Rows::Normal, 4, 64, 1)).expect("a checked operator");
        let mut group = criterion.benchmark_group(format!("{}-{index}", op.id()));
        for (rows, cols) in SIZES {
            let mut call = Call::new(&**op, shapes(&**op, rows, cols));
            let [forward, vjp] = call.bytes();
            let size = format!("{rows}x{cols}");
            group.throughput(Throughput::Bytes(forward));
            group.bench_function(BenchmarkId::new("forward", &size), |bencher| {
                bencher.iter(|| call.forward())
            });
            // The saved tensors of a forward pass, also where its own time was not asked for.
            call.forward();
            group.throughput(Throughput::Bytes(vjp));
            group.bench_function(BenchmarkId::new("vjp", &size), |bencher| {
                bencher.iter(|| call.vjp())
            });
        }
    }
}

/// Forward and back on one thread, the weights as they are drawn.
fn steps(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("step");
    for size in bench::SIZES {
        let mut config = size.config();
        config.shards = Some(1);
        let program = Arc::new(stack::build(&config, 256, config.samples(), true));
        let weights = config.init.weights(&program, config.depth, None, 1);
        let weights: Vec<f32> = weights.into_iter().map(|weight| weight as f32).collect();
        let mut host = Host::<f32>::training(program, 0);
        let mut watch = Stopwatch::new();
        group.throughput(Throughput::Elements((size.batch * size.seq) as u64));
        group.bench_function(size.name, |bencher| {
            bencher.iter(|| {
                host.clear();
                host.forward(&weights, &[], &mut watch);
                host.backward(&weights, &[], 1.0, &mut watch);
            })
        });
    }
}

criterion_group! {
    name = benches;
    config = Criterion::default()
        .sample_size(10)
        .warm_up_time(Duration::from_millis(100))
        .measurement_time(Duration::from_millis(500));
    targets = operators, steps
}
criterion_main!(benches);
