//! Cubes of blobs: a stack learns of them what no linear map does.

use plummet::backend::Host;
use plummet::config::RunConfig;
use plummet::record::ReferenceLoss;
use plummet::train::{Corpus, Trainer};
use std::sync::Arc;

#[test]
fn a_stack_comes_between_ridge_regression_and_the_optimum() {
    let config = RunConfig::from_settings([
        ("task", "volume(patch=2)"),
        ("width", "24"),
        ("heads", "2"),
        ("depth", "2"),
        ("batch", "32"),
        ("positions", "rotary3"),
        ("lr", "3e-3"),
        ("steps", "400"),
    ])
    .unwrap();
    assert_eq!(config.seq, 27, "as many places as a cube has patches");
    let corpus = Arc::new(Corpus::load(&config).unwrap());
    let references = corpus.references(&config);
    let [mean, ridge, bayes] =
        ["mean", "ridge", "bayes"].map(|name| ReferenceLoss::find(&references, name).unwrap());
    assert!(bayes < ridge && ridge < mean, "{references:?}");
    let mut trainer = Trainer::new(Host::<f32>::new(), &config, corpus.clone()).unwrap();
    for _ in 0..config.steps {
        trainer.advance(None);
    }
    let reached = trainer.evaluate(corpus.held_out_batches(&config));
    assert!(reached.loss < ridge && reached.loss > 0.8 * bayes, "{reached:?} {references:?}");
    // The measurement goes over what the references are of, a few cubes twice.
    assert!((reached.baseline / mean - 1.0).abs() < 0.05, "{reached:?} {mean}");
}
