//! A whole training step on the interpreted kernels: the plan, the order and the indices that a GPU
//! is given, against the CPU.

use std::sync::Arc;

use plummet::backend::Host;
use plummet::backend::device::{Device, Interpreted};
use plummet::config::RunConfig;
use plummet::train::{Corpus, Trainer, fits};

fn config(wiring: &str, more: &[(&str, &str)]) -> RunConfig {
    let small = [
        ("width", "16"),
        ("depth", "4"),
        ("heads", "2"),
        ("seq", "8"),
        ("batch", "2"),
        ("shards", "2"),
        ("ffn-ratio", "2"),
        ("steps", "20"),
        ("wiring", wiring),
    ];
    RunConfig::from_settings(small.into_iter().chain(more.iter().copied())).unwrap()
}

/// Losses and norms of both trainers, step by step.
fn both(config: &RunConfig, steps: usize) -> Vec<[(f64, f64); 2]> {
    let corpus = Arc::new(Corpus::load(config).unwrap());
    let device = Device::new(Interpreted::default());
    let mut near = Trainer::new(Host::<f32>::new(), config, corpus.clone()).unwrap();
    let mut far = Trainer::new(device, config, corpus).unwrap();
    let step = |_| {
        let (here, there) = (near.advance(None), far.advance(None));
        assert_eq!(far.failure(), None);
        [here, there].map(|stepped| (stepped.loss, stepped.grad_norm))
    };
    (0..steps).map(step).collect()
}

fn agree(rows: &[[(f64, f64); 2]], what: &str) {
    let off = |a: f64, b: f64| (a - b).abs() / a.abs();
    let ([here, there], [last, end]) = (rows[0], rows[rows.len() - 1]);
    // Some hundred roundings of 6·10⁻⁸ lie between the tokens and the first loss; a gradient passes
    // as many again, and cancels.
    assert!(off(here.0, there.0) < 1e-5, "{what}, first loss: {here:?}, {there:?}");
    assert!(off(here.1, there.1) < 1e-4, "{what}, first norm: {here:?}, {there:?}");
    assert!(off(last.0, end.0) < 0.01, "{what}, last loss: {last:?}, {end:?}");
}

#[test]
fn twenty_steps_on_interpreted_kernels_are_those_of_the_cpu() {
    for wiring in ["pre_ln", "post_ln", "deepnorm"] {
        let rows = both(&config(wiring, &[]), 20);
        agree(&rows, wiring);
        assert!(rows[19][1].0 < rows[0][1].0, "{wiring} learns: {rows:?}");
    }
}

#[test]
fn every_part_of_a_stack_trains_on_interpreted_kernels() {
    for more in [
        &[("positions", "rotary"), ("ffn", "gated"), ("activation", "silu"), ("dropout", "0.2")][..],
        &[("norm", "batch_norm"), ("positions", "learned"), ("optimizer", "sgd"), ("bias", "true")],
        &[("norm", "rms_norm"), ("checkpoint", "1"), ("micro-batches", "2"), ("batch", "4")],
        &[("kv-heads", "1"), ("stochastic-depth", "0.3"), ("label-smoothing", "0.1")],
        &[("task", "hops"), ("seq", "10"), ("norm", "derf"), ("clip", "0.1")],
        &[("task", "volume(patch=2)"), ("seq", "27"), ("width", "12"), ("positions", "rotary3")],
    ] {
        for wiring in ["pre_ln", "resi_dual", "rezero"] {
            agree(&both(&config(wiring, more), 3), &format!("{wiring}, {more:?}"));
        }
    }
}

/// Norms, forms of weights, caps and losses, each in some stack.
#[test]
fn whatever_else_a_stack_is_made_of_trains_on_interpreted_kernels() {
    for more in [
        &[("norm", "group_norm"), ("weights", "sigma_reparam"), ("softcap", "2")][..],
        &[("norm", "power_norm"), ("weights", "standardised"), ("logit-softcap", "3")],
        &[("norm", "partial_rms_norm(share=0.5)"), ("weights", "weight_norm"), ("z-loss", "0.01")],
        &[("norm", "rms_norm_outside"), ("weights", "scaled_standardised"), ("qk-norm", "l2")],
        &[("task", "series"), ("norm-noise", "0.3")],
        &[("task", "series(head=student)")],
    ] {
        agree(&both(&config("pre_ln", more), 3), &format!("{more:?}"));
    }
}

#[test]
fn wirings_with_norms_and_factors_of_their_own_train_on_interpreted_kernels() {
    let wirings = ["admin", "hybrid_norm", "hyper_connections", "branch_norm", "normformer"];
    for wiring in wirings {
        agree(&both(&config(wiring, &[]), 2), wiring);
    }
}

#[test]
fn what_one_device_has_begun_another_goes_on_with() {
    let config = config("pre_ln", &[]);
    let corpus = Arc::new(Corpus::load(&config).unwrap());
    let device = Device::new(Interpreted::default());
    let mut near = Trainer::new(Host::<f32>::new(), &config, corpus.clone()).unwrap();
    let mut far = Trainer::new(device, &config, corpus).unwrap();
    near.advance(None);
    far.restore(&near.snapshot()).unwrap();
    assert_eq!(near.snapshot(), far.snapshot());
    assert!((near.evaluate(1).loss - far.evaluate(1).loss).abs() < 1e-4);
}

/// What only the CPU can do is refused before anything is trained.
#[test]
fn what_has_no_kernels_is_refused_in_a_line() {
    let fields = [("task", "markov"), ("device", "cuda_interpreted"), ("optimizer", "muon")];
    let config = RunConfig::from_settings(fields).unwrap();
    let refused = fits(&config, &Corpus::load(&config).unwrap()).unwrap_err().to_string();
    let line = "optimizer = muon: allowed is adamw or sgd on device cuda_interpreted";
    assert!(refused.starts_with(line), "{refused}");
}
