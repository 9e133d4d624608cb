//! A run starts near ln(vocabulary), the loss of knowing nothing; or a warning says that it does not.

use plummet::backend::Host;
use plummet::config::{RunConfig, far_start};
use plummet::op::norm;
use plummet::stack::{Front, init, wiring};
use plummet::train::{Corpus, Trainer};
use std::sync::Arc;

fn first_loss(config: &RunConfig, corpus: &Arc<Corpus>) -> f64 {
    Trainer::new(Host::<f32>::new(), config, corpus.clone()).unwrap().differentiate(None).loss
}

fn config(fields: &[(&str, &str)]) -> RunConfig {
    let small = [("depth", "2"), ("batch", "4"), ("seq", "16"), ("probe-every", "0")];
    RunConfig::from_settings(small.into_iter().chain(fields.iter().copied())).unwrap()
}

/// The nats between the first loss and ln(vocabulary).
fn off(config: &RunConfig, corpus: &Arc<Corpus>) -> f64 {
    let loss = first_loss(config, corpus);
    let Front::Tokens { vocabulary } = config.task.ends().front else { panic!("tokens") };
    let off = (loss - (vocabulary as f64).ln()).abs();
    assert_eq!(far_start(config, loss).is_some(), off > 1.0, "{}: {loss}", config.flags());
    off
}

#[test]
fn a_tied_head_starts_near_ln_of_the_vocabulary() {
    for task in ["text", "markov"] {
        let corpus = Arc::new(Corpus::load(&config(&[("task", task)])).unwrap());
        for wiring in wiring::ALL.iter().map(|wiring| wiring.id) {
            for init in init::ALL.iter().map(|entry| entry.id) {
                for width in ["16", "64"] {
                    let fields =
                        [("task", task), ("wiring", wiring), ("init", init), ("width", width)];
                    let tied = config(&[&fields[..], &[("tied-head", "true")]].concat());
                    let off = off(&tied, &corpus);
                    // Without any norm the stream is as large as the blocks make it.
                    assert!(wiring == "no_norm" || off < 1.0, "{}: {off}", tied.flags());
                }
            }
            // Where the blocks add little, the stream stays the token itself: the hardest start.
            let hard = [
                ("width", "512"),
                ("depth", "8"),
                ("positions", "learned"),
                ("norm", "scale_norm"),
            ];
            for more in hard {
                let fields = [("task", task), ("wiring", wiring), ("width", "128"), more];
                let tied = config(&[&fields[..], &[("tied-head", "true")]].concat());
                let off = off(&tied, &corpus);
                assert!(wiring == "no_norm" || off < 1.0, "{}: {off}", tied.flags());
            }
        }
    }
}

#[test]
fn every_norm_starts_a_tied_head_near_ln_of_the_vocabulary() {
    let corpus = Arc::new(Corpus::load(&config(&[])).unwrap());
    for norm in norm::ALL {
        for wiring in ["pre_ln", "post_ln", "layer_scale"] {
            let fields = [("norm", norm.id), ("wiring", wiring), ("tied-head", "true")];
            let tied = config(&fields);
            assert!(off(&tied, &corpus) < 1.0, "{}", tied.flags());
        }
    }
}

#[test]
fn an_absurd_start_is_warned_of_whatever_makes_it() {
    let corpus = Arc::new(Corpus::load(&config(&[])).unwrap());
    let absurd: [&[(&str, &str)]; 4] = [
        &[("tied-head", "true"), ("embed-std", "1")],
        &[("embed-std", "100"), ("wiring", "no_norm")],
        &[("init", "gpt2"), ("tied-head", "true"), ("wiring", "layer_scale"), ("width", "1024")],
        &[("init", "kaiming_normal"), ("wiring", "no_norm"), ("depth", "8")],
    ];
    for fields in absurd {
        assert!(off(&config(fields), &corpus) > 1.0, "{fields:?}");
    }
    for init in init::ALL.iter().map(|entry| entry.id) {
        // What is not warned of is near; `off` checks that both agree.
        off(&config(&[("init", init)]), &corpus);
    }
    assert!(off(&config(&[]), &corpus) < 0.6, "the default is no case for a warning");
}
