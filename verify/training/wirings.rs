//! Every wiring learns.

use plummet::backend::Host;
use plummet::config::RunConfig;
use plummet::stack::wiring;
use plummet::train::{Corpus, Trainer};
use std::sync::Arc;

fn config(fields: &[(&str, &str)]) -> RunConfig {
    let small = [
        ("width", "16"),
        ("depth", "8"),
        ("heads", "2"),
        ("seq", "16"),
        ("batch", "4"),
        ("shards", "1"),
        ("steps", "20"),
        ("probe-every", "0"),
    ];
    RunConfig::from_settings(small.into_iter().chain(fields.iter().copied())).unwrap()
}

#[test]
fn every_wiring_takes_twenty_steps_without_surprise_on_text() {
    twenty_steps(&[], 0.0);
}

#[test]
fn every_wiring_takes_twenty_steps_without_surprise_on_a_series() {
    // What batches of a volatile series cost differs by as much.
    twenty_steps(&[("task", "series"), ("init", "normal_02")], 0.5);
}

#[test]
fn every_wiring_takes_twenty_steps_without_surprise_on_volumes() {
    twenty_steps(&[("task", "volume"), ("seq", "27")], 0.0);
}

/// Every wiring under three norms: nothing that is not finite, and a loss that falls, or rises by less
/// than `noise`.
fn twenty_steps(task: &[(&str, &str)], noise: f64) {
    let corpus = Arc::new(Corpus::load(&config(task)).unwrap());
    for wiring in wiring::ALL.iter().map(|entry| entry.id) {
        for norm in ["layer_norm", "rms_norm", "dynamic_tanh"] {
            let config = config(&[task, &[("wiring", wiring), ("norm", norm)]].concat());
            let mut trainer = Trainer::new(Host::<f32>::new(), &config, corpus.clone()).unwrap();
            let losses: Vec<f64> = (0..20)
                .map(|_| {
                    let stepped = trainer.advance(None);
                    assert_eq!(stepped.non_finite, None, "{}", config.label());
                    stepped.loss
                })
                .collect();
            let mean = |losses: &[f64]| losses.iter().sum::<f64>() / losses.len() as f64;
            let (first, last) = (mean(&losses[..5]), mean(&losses[15..]));
            assert!(last < first + noise, "{}: {losses:?}", config.label());
        }
    }
}

/// The held-out loss is that of the step at which it is measured.
#[test]
fn an_annealed_branch_is_measured_as_it_stands() {
    let corpus = Arc::new(Corpus::load(&config(&[])).unwrap());
    // A rate that moves no weight: what changes from step to step is the branch alone.
    let config =
        config(&[("wiring", "branch_norm(steps=3)"), ("optimizer", "sgd"), ("lr", "1e-30")]);
    let mut trainer = Trainer::new(Host::<f32>::new(), &config, corpus).unwrap();
    let losses: Vec<f64> = (0..5)
        .map(|_| {
            let loss = trainer.evaluate(1).loss;
            trainer.advance(None);
            loss
        })
        .collect();
    assert!(losses[0] != losses[1] && losses[1] != losses[2], "{losses:?}");
    assert!(losses[2] == losses[3] && losses[3] == losses[4], "{losses:?}");
}
