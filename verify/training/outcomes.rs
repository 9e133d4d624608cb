//! What becomes of a run is recorded, whatever it is.

use plummet::config::RunConfig;
use plummet::record::{Outcome, Summary};
use plummet::store::Store;
use plummet::train::{Corpus, Quiet, run};

fn summary(fields: &[(&str, &str)]) -> Summary {
    let small = [("width", "16"), ("depth", "2"), ("heads", "2"), ("seq", "16"), ("batch", "8")];
    // What is given goes over the base.
    let small = small.into_iter().filter(|(name, _)| fields.iter().all(|(other, _)| other != name));
    let all: Vec<_> = small.chain(fields.iter().copied()).collect();
    let config = RunConfig::from_settings(all).unwrap();
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path().join("runs.sqlite")).unwrap();
    let record = run(&config, "", &store, &Quiet).unwrap();
    let rows = store.steps(&record.id).unwrap();
    let summary = record.summary.unwrap();
    // The row of the step that broke is kept, too.
    let broken = u64::from(matches!(summary.outcome, Outcome::NonFinite { .. }));
    assert_eq!(rows.len() as u64, summary.steps + broken);
    summary
}

#[test]
fn a_value_that_is_not_finite_is_named() {
    let wild = [
        ("wiring", "no_norm"),
        ("depth", "24"),
        ("lr", "1e6"),
        ("clip", "0"),
        ("optimizer", "sgd"),
        ("steps", "40"),
    ];
    let summary = summary(&wild);
    let Outcome::NonFinite { step, value } = &summary.outcome else {
        panic!("{:?}", summary.outcome)
    };
    assert_eq!(*step, summary.steps, "the step that broke was not taken");
    let (config, name) = (RunConfig::default(), value.trim_start_matches("the gradient of "));
    let wired = RunConfig { depth: 24, heads: 2, width: 16, seq: 16, batch: 8, ..config };
    let wired = RunConfig { wiring: plummet::stack::Wiring::NoNorm, ..wired };
    let program = plummet::stack::build(&wired, 256, 2, true);
    assert!(program.find(name).is_some() || name == "the gradient", "{value} is no value");
    assert!(summary.loss.is_nan() && summary.val_loss.is_nan());
}

#[test]
fn a_loss_that_leaves_for_good_is_a_divergence() {
    let wild = [("lr", "3"), ("clip", "0"), ("steps", "200"), ("wiring", "pre_ln")];
    let summary = summary(&wild);
    let Outcome::Diverged { step } = summary.outcome else { panic!("{summary:?}") };
    assert!(step < summary.steps && summary.steps < 200, "it is not trained to the end");
}

#[test]
fn post_ln_with_xavier_is_stuck_where_pre_ln_learns() {
    let fields = |wiring| {
        [("wiring", wiring), ("depth", "18"), ("lr", "0.01"), ("steps", "150"), ("batch", "16")]
    };
    let stuck = summary(&fields("post_ln"));
    assert_eq!(stuck.outcome, Outcome::Stuck, "{stuck:?}");
    assert!((stuck.loss - stuck.unigram_entropy).abs() < 0.3, "{stuck:?}");
    let learning = summary(&fields("pre_ln"));
    assert_eq!(learning.outcome, Outcome::Ok, "{learning:?}");
    assert!(learning.val_loss < learning.unigram_entropy - 0.2, "{learning:?}");
    assert!(learning.val_loss < learning.initial_loss - 1.0, "{learning:?}");
}

#[test]
fn no_model_beats_the_floor_of_the_markov_source() {
    let summary = summary(&[("task", "markov"), ("steps", "120"), ("lr", "0.01"), ("batch", "16")]);
    let floor = summary.floor.unwrap();
    assert!(floor < summary.bigram_entropy && summary.bigram_entropy < summary.unigram_entropy);
    // The held-out loss is a mean over 1024 tokens of losses of about a nat each.
    assert!(summary.val_loss > floor - 0.1, "{summary:?}");
    // 1024 pairs of symbols take longer to learn than this; their frequencies do not.
    assert!(summary.val_loss < summary.initial_loss - 0.3, "{summary:?}");
    assert!(summary.val_loss < summary.unigram_entropy, "{summary:?}");
}

#[test]
fn the_markov_source_depends_on_the_seed_and_the_text_does_not() {
    let corpus = |task: &str, seed: &str| {
        let config = RunConfig::from_settings([("task", task), ("seed", seed)]).unwrap();
        let corpus = Corpus::load(&config).unwrap();
        (corpus.vocabulary, corpus.unigram_entropy.to_bits(), corpus.floor.map(f64::to_bits))
    };
    assert_eq!(corpus("text", "1"), corpus("text", "2"));
    assert_eq!(corpus("markov", "1"), corpus("markov", "1"));
    assert_ne!(corpus("markov", "1"), corpus("markov", "2"));
}
