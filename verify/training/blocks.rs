//! A trained stack with blocks left out or in another order, and with norms that are not learned.

use plummet::backend::Host;
use plummet::config::RunConfig;
use plummet::train::{Corpus, Trainer};
use std::sync::Arc;

fn trained(fields: &[(&str, &str)]) -> Trainer<Host<f32>> {
    let small = [
        ("task", "markov"),
        ("width", "16"),
        ("depth", "3"),
        ("heads", "2"),
        ("seq", "16"),
        ("lr", "3e-3"),
    ];
    let config = RunConfig::from_settings(small.into_iter().chain(fields.iter().copied())).unwrap();
    let corpus = Arc::new(Corpus::load(&config).unwrap());
    let mut trainer = Trainer::new(Host::new(), &config, corpus).unwrap();
    for _ in 0..5 {
        trainer.advance(None);
    }
    trainer
}

#[test]
fn all_blocks_in_order_are_the_stack_itself() {
    for norm in ["layer_norm", "batch_norm"] {
        let mut trainer = trained(&[("norm", norm), ("positions", "learned")]);
        let whole = trainer.evaluate(2);
        assert_eq!(trainer.evaluate_of(&[1, 2, 3], 2).unwrap(), whole);
        for other in [&[2, 1, 3][..], &[1, 2], &[3], &[]] {
            assert_ne!(trainer.evaluate_of(other, 2).unwrap().loss, whole.loss, "{other:?}");
        }
        assert_eq!(trainer.evaluate(2), whole, "the trainer is left as it was");
    }
}

/// Blocks that are the identity can be left out or swapped.
#[test]
fn blocks_that_add_nothing_can_be_left_out() {
    let mut trainer = trained(&[("wiring", "rezero"), ("lr", "1e-30")]);
    let whole = trainer.evaluate(1);
    for other in [&[2, 1, 3][..], &[2], &[]] {
        assert_eq!(trainer.evaluate_of(other, 1).unwrap(), whole, "{other:?}");
    }
}

/// A stack without block i is the stack in which block i was never trained away from adding nothing.
#[test]
fn a_block_with_branches_of_zero_is_as_good_as_none() {
    let mut trainer = trained(&[("init", "residual_zero"), ("lr", "1e-30")]);
    let whole = trainer.evaluate(1);
    assert_eq!(trainer.evaluate_of(&[1, 3], 1).unwrap(), whole);
}

#[test]
fn blocks_that_there_are_not_are_refused() {
    let mut trainer = trained(&[]);
    for (blocks, value) in [(&[0][..], "0"), (&[1, 4], "4"), (&[2, 1, 2], "2")] {
        let error = trainer.evaluate_of(blocks, 1).unwrap_err();
        assert_eq!(error.to_string(), format!("block = {value}: allowed is 1 to 3, each once"));
    }
}

#[test]
fn frozen_norms_are_constants_and_all_else_learns() {
    for norm in ["layer_norm", "dynamic_tanh", "batch_norm"] {
        let (free, frozen) =
            (trained(&[("norm", norm)]), trained(&[("norm", norm), ("freeze", "norms")]));
        let learned = |trainer: &Trainer<Host<f32>>| -> Vec<String> {
            trainer.program().weights().map(|(_, value)| value.name.clone()).collect()
        };
        let (all, fewer) = (learned(&free), learned(&frozen));
        let missing: Vec<&String> = all.iter().filter(|name| !fewer.contains(name)).collect();
        assert!(missing.iter().all(|name| name.contains("norm")), "{missing:?}");
        assert_eq!(missing.len(), all.iter().filter(|name| name.contains("norm")).count());
        assert!(!missing.is_empty() && free.parameters().iter().all(|x| x.is_finite()));
    }
    // Five steps have not moved them: the first loss of a stack whose norms were never free.
    let mut still = trained(&[("freeze", "norms"), ("lr", "1e-30")]);
    let mut free = trained(&[("lr", "1e-30")]);
    assert_eq!(still.evaluate(1), free.evaluate(1));
}
