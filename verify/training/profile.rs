//! What Admin starts from: the variances of a first pass.

use plummet::backend::{Element, Host, Observer, Runner, Seen};
use plummet::config::RunConfig;
use plummet::op::residual::GainedResidual;
use plummet::stack::{self, CLOCK, TARGETS, TOKENS};
use plummet::train::{Batch, Corpus, Trainer};
use std::sync::Arc;

fn config(fields: &[(&str, &str)]) -> RunConfig {
    let small = [
        ("wiring", "admin"),
        ("width", "16"),
        ("depth", "3"),
        ("heads", "2"),
        ("seq", "16"),
        ("batch", "8"),
        ("steps", "6"),
        ("probe-every", "0"),
    ];
    RunConfig::from_settings(small.into_iter().chain(fields.iter().copied())).unwrap()
}

fn trainer<T: Element>(config: &RunConfig) -> Trainer<Host<T>> {
    Trainer::new(Host::new(), config, Arc::new(Corpus::load(config).unwrap())).unwrap()
}

/// Of every sublayer, the factor that it has and the root of the variances that it adds up.
#[derive(Default)]
struct Sums(Vec<(f64, f64)>);

fn variance(x: &[f64]) -> f64 {
    let mean = x.iter().sum::<f64>() / x.len() as f64;
    x.iter().map(|x| x * x).sum::<f64>() / x.len() as f64 - mean * mean
}

impl Observer<Host<f64>> for Sums {
    fn computed(&mut self, seen: &Seen<Host<f64>>) {
        let op: &dyn std::any::Any = &*seen.step().op;
        if op.is::<GainedResidual>() {
            let factor = seen.arg(2)[0];
            assert!(seen.arg(2).iter().all(|&w| w == factor), "a profile is one number a sublayer");
            let stream: Vec<f64> = seen.arg(1).iter().map(|x| factor * x).collect();
            self.0.push((factor, (variance(&seen.arg(0)) + variance(&stream)).sqrt()));
        }
    }
}

#[test]
fn every_factor_is_the_deviation_of_the_sum_before_it() {
    let config = config(&[("precision", "f64"), ("shards", "1")]);
    let trainer = trainer::<f64>(&config);
    // The first batch again, through a program of our own.
    let corpus = Corpus::load(&config).unwrap();
    let mut batch = Batch::default();
    corpus.training_batch(&config, 0, &mut batch);
    let ends = config.task.ends();
    let program = Arc::new(stack::build(&config.architecture(), &ends, config.samples(), true));
    let mut runner = Runner::inference(Host::<f64>::new(), program.clone());
    for (name, numbers) in [(TOKENS, &batch.inputs), (TARGETS, &batch.targets)] {
        let input = runner.input(program.find(name).unwrap());
        input.iter_mut().zip(numbers).for_each(|(to, &number)| *to = number.into());
    }
    runner.input(program.find(CLOCK).unwrap()).fill(0.0);
    let mut sums = Sums::default();
    let parameters = trainer.parameters().iter().copied().collect();
    let states = stack::states(&program).into_iter().collect();
    runner.forward(&parameters, &states, &mut sums);
    let sums = sums.0;
    assert_eq!((sums.len(), sums[0].0), (2 * config.depth, 1.0));
    for pair in sums.windows(2) {
        // The variance of some 2000 numbers by two formulas: as many roundings of 10⁻¹⁶ at most.
        assert!((pair[1].0 - pair[0].1).abs() < 1e-12 * pair[0].1, "{sums:?}");
    }
    // The stream comes in normed, so that every sublayer adds to the factor.
    assert!(sums.windows(2).all(|pair| pair[1].0 > pair[0].0), "{sums:?}");
}

#[test]
fn a_profile_does_not_depend_on_threads_and_a_resumed_run_has_it() {
    let config = config(&[("batch", "16")]);
    assert!(config.shards() > 1, "there is work to share");
    let on = |threads: usize| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| {
            let mut trainer = trainer::<f32>(&config);
            let start = trainer.parameters().to_vec();
            let mut losses: Vec<f64> = (0..2).map(|_| trainer.advance(None).loss).collect();
            let snapshot = trainer.snapshot();
            losses.extend((0..2).map(|_| trainer.advance(None).loss));
            let mut resumed = self::trainer::<f32>(&config);
            resumed.restore(&snapshot).unwrap();
            let again: Vec<f64> = (0..2).map(|_| resumed.advance(None).loss).collect();
            assert_eq!(again, losses[2..]);
            (start, losses)
        })
    };
    assert_eq!(on(1), on(3));
}
