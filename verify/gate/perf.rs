//! The gate of speed raises no false alarm, on a simulated machine and on this one.

use std::time::Duration;

use plummet::gate::call::{Broken, Candidate, Hello, Identity, Served};

use plummet::gate::perf::{self, Options, Report, Verdict, Workers};
use plummet::gate::{Call, Dtype, Reply, Tensor};
use plummet::op::norm::LayerNorm;
use plummet::op::{Fast, Shape, View};
use plummet::rng::Rng;

// ---- This machine. ----

/// The fast LayerNorm, which does a tenth of its work again where `slower` is 0.1.
struct Real {
    slower: f64,
    /// What an answer costs beside the work.
    transport: Duration,
    /// Remembers its answer and does the work once however often it is asked to.
    lazy: bool,
    /// Is off by one part in a thousand after so many calls.
    wrong_after: usize,
    calls: usize,
}

impl Real {
    fn new(slower: f64) -> Real {
        Real { slower, transport: Duration::ZERO, lazy: false, wrong_after: usize::MAX, calls: 0 }
    }
}

impl Candidate for Real {
    fn hello(&mut self) -> Result<Hello, Broken> {
        let identity = Identity { name: "layer_norm".into(), ..Identity::default() };
        let ops = [("layer_norm".to_string(), Served::default())].into();
        Ok(Hello { identity, ops, claims: Default::default() })
    }
    fn run(&mut self, call: &Call) -> Result<Reply, Broken> {
        self.time(call, 1)
    }
    fn time(&mut self, call: &Call, repeat: usize) -> Result<Reply, Broken> {
        let start = std::time::Instant::now();
        let read = |name: &str| -> (Shape, Vec<f32>) {
            let tensor = &call.tensors[name];
            (Shape::new(&tensor.shape), tensor.values.iter().map(|&v| v as f32).collect())
        };
        let tensors = ["x", "weight", "bias"].map(read);
        let views = [0, 1, 2].map(|i| View::new(tensors[i].0, &tensors[i].1));
        let shapes = [0, 1, 2].map(|i| tensors[i].0);
        let norm = LayerNorm { eps: call.attrs["eps"].as_f64().expect("eps is a number") };
        let mut y = vec![0.0; shapes[0].len()];
        let mut saved = vec![0.0; norm.saved(&shapes)];
        let mut scratch = vec![0.0; norm.scratch(&shapes)];
        let more = (repeat as f64 * self.slower).round() as usize;
        for _ in 0..if self.lazy { 1 } else { repeat + more } {
            Fast::forward(&norm, &views, &mut [&mut y], &mut saved, &mut scratch);
        }
        self.calls += 1;
        if self.calls > self.wrong_after {
            y.iter_mut().for_each(|y| *y *= 1.001);
        }
        let y = Tensor::new(
            Dtype::F32,
            &call.tensors["x"].shape,
            y.into_iter().map(f64::from).collect(),
        );
        while start.elapsed() < self.transport {}
        Ok(Reply::Ok([("y".to_string(), y)].into()))
    }
}

fn judged(base: &mut Real, cand: &mut Real, seed: u64, budget: f64) -> Report {
    let mut twin = Real { transport: base.transport, lazy: base.lazy, ..Real::new(base.slower) };
    let options = Options {
        sizes: vec!["rows=64,cols=768".into()],
        budget: Duration::from_secs_f64(budget),
        seed,
        ..Options::default()
    };
    let mut workers = Workers { base, twin: &mut twin, cand };
    perf::perf(&mut workers, &options, &mut |_| {}).expect("layer_norm is served")
}

/// How many comparisons ended how.
#[derive(Debug, Default)]
struct Counts {
    ok: usize,
    regression: usize,
    inconclusive: usize,
}

/// Comparisons of the fast LayerNorm with itself, slowed down by a share of its own work.
fn power(comparisons: usize, slowdown: f64, budget: f64) -> Counts {
    let mut counts = Counts::default();
    for i in 0..comparisons {
        let report = judged(&mut Real::new(0.0), &mut Real::new(slowdown), i as u64, budget);
        println!("{}", report.timings[0]);
        match report.timings[0].verdict {
            Verdict::Ok => counts.ok += 1,
            Verdict::Regression => counts.regression += 1,
            Verdict::Inconclusive => counts.inconclusive += 1,
            other => panic!("{other}: {report}"),
        }
    }
    counts
}

/// By hand: `cargo test --test gate fifty -- --ignored --nocapture`.
#[test]
#[ignore = "takes minutes"]
fn fifty_equal_and_fifty_slower() {
    let var = |name: &str| std::env::var(name).ok().and_then(|n| n.parse::<f64>().ok());
    let (count, budget) =
        (var("GATE_COUNT").unwrap_or(50.0) as usize, var("GATE_BUDGET").unwrap_or(4.0));
    let equal = power(count, 0.0, budget);
    println!("equal: {equal:?}");
    let slower = power(count, 0.1, budget);
    println!("equal: {equal:?}\nslower by 10 %: {slower:?}");
    assert_eq!(equal.regression, 0);
    assert!(slower.regression * 10 >= count * 9, "{slower:?}");
}
