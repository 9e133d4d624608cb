//! Hops along a permutation: one is learned by one block, and two take two.

use plummet::backend::Host;
use plummet::config::RunConfig;
use plummet::train::{Corpus, HeldOut, Trainer};
use std::sync::Arc;

/// What a small stack reaches on permutations that it has not seen.
fn learned(fields: &[(&str, &str)]) -> HeldOut {
    let small = [("width", "32"), ("heads", "2"), ("seq", "24"), ("batch", "32")];
    let config = RunConfig::from_settings([&small[..], fields].concat()).unwrap();
    let corpus = Arc::new(Corpus::load(&config).unwrap());
    let mut trainer = Trainer::new(Host::<f32>::new(), &config, corpus).unwrap();
    for _ in 0..config.steps {
        trainer.advance(None);
    }
    trainer.evaluate(16)
}

#[test]
fn one_block_learns_one_hop() {
    let one = learned(&[("task", "hops(k=1)"), ("depth", "1"), ("steps", "300"), ("lr", "3e-3")]);
    // Whoever knows nothing pays ln 8 for each.
    assert!((one.baseline - 8f64.ln()).abs() < 1e-12, "{one:?}");
    assert!(one.loss < 0.3, "{one:?}");
}

#[test]
fn two_hops_take_two_blocks() {
    let deep = |depth| {
        learned(&[("task", "hops(k=2)"), ("depth", depth), ("steps", "700"), ("lr", "6e-3")])
    };
    let (one, two) = (deep("1"), deep("2"));
    // A block stays where one hop is followed, 7/8·ln 7; two blocks leave that behind.
    assert!((one.loss - one.baseline).abs() < 0.3, "{one:?}");
    assert!(two.loss < two.baseline - 0.3, "{two:?}");
}
