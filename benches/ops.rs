//! Time of every operator, forward and vjp, in cache and out of it, and of a training step.
//!
//! Throughput counts every tensor that is read or written once. Each operator is checked against
//! its reference, on a small problem, before it is timed.

use std::hint::black_box;
use std::sync::Arc;
use std::time::Duration;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use plummet::backend::{Buffer, Host, Runner};
use plummet::bench::{self, Stopwatch};
use plummet::check::bodies::{Case, Rows, fast_agrees};
use plummet::op::{Op, Shape, all};
use plummet::stack::{self, Ends};

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

fn operators(criterion: &mut Criterion) {
    for (index, op) in all().iter().enumerate() {
        fast_agrees(&**op, &Case::draw(&**op, Rows::Normal, 4, 64, 1)).expect("a checked operator");
        let mut group = criterion.benchmark_group(format!("{}-{index}", op.id()));
        for (rows, cols) in SIZES {
            let case = Case::of(&**op, &shapes(&**op, rows, cols), Rows::Normal, 1);
            let mut call = case.call(&**op, &case.values, |_, _, value| value as f32);
            let [forward, vjp] = call.bytes(&**op).map(|bytes| bytes as u64);
            let size = format!("{rows}x{cols}");
            group.throughput(Throughput::Bytes(forward));
            group.bench_function(BenchmarkId::new("forward", &size), |bencher| {
                bencher.iter(|| {
                    call.forward(&**op);
                    black_box(&mut call.outs);
                })
            });
            // The saved tensors of a forward pass, also where its own time was not asked for.
            call.forward(&**op);
            group.throughput(Throughput::Bytes(vjp));
            group.bench_function(BenchmarkId::new("vjp", &size), |bencher| {
                bencher.iter(|| {
                    call.fresh_vjp(&**op);
                    black_box(&mut call.grads);
                })
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
        let program = Arc::new(stack::build(
            &config.architecture(),
            &Ends::tokens(256),
            config.samples(),
            true,
        ));
        let weights = config.init.weights(&program, config.depth, None, 1);
        let weights: Buffer<f32> = weights.into_iter().map(|weight| weight as f32).collect();
        let (states, one) = (Buffer::default(), Buffer::from_iter([1.0]));
        let mut gradients = Buffer::zeros(weights.len());
        let mut runner = Runner::training(Host::<f32>::new(), program, 0);
        let mut watch = Stopwatch::new();
        group.throughput(Throughput::Elements((size.batch * size.seq) as u64));
        group.bench_function(size.name, |bencher| {
            bencher.iter(|| {
                runner.clear();
                runner.forward(&weights, &states, &mut watch);
                runner.backward(&weights, &states, &one, &mut gradients, &mut watch);
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
