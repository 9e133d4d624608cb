//! False alarms and misses of the rule of spikes, on real runs of small batches.

use plummet::backend::Host;
use plummet::config::{RunConfig, Setting};
use plummet::record::{Measure, Outcome};
use plummet::train::{Corpus, Ending, Trainer, Watch};
use rayon::prelude::*;
use std::sync::Arc;

const WIRINGS: [&str; 4] = ["pre_ln", "post_ln", "peri_ln", "deepnorm"];

/// Losses of a healthy run, and what its batches cost without context.
fn healthy(wiring: &str, seed: u64, steps: usize) -> Vec<(f64, f64)> {
    let config = RunConfig {
        wiring: Setting::read(wiring).unwrap(),
        depth: 2,
        width: 32,
        batch: 8,
        seq: 32,
        steps,
        seed,
        ..RunConfig::default()
    };
    let corpus = Arc::new(Corpus::load(&config).unwrap());
    let mut trainer = Trainer::new(Host::<f32>::new(), &config, corpus).unwrap();
    let step = |_| {
        let stepped = trainer.advance(None);
        (stepped.loss, stepped.baseline)
    };
    (0..steps).map(step).collect()
}

/// The step of the first spike.
fn spike(losses: &[(f64, f64)]) -> Option<u64> {
    // The outcome names a spike of a run that learned, which the held-out loss says here.
    let ending = Ending {
        measure: Measure::HeldOut,
        held_out_excess: -1.0,
        token_cosine: 0.3,
        steady: 0..losses.len(),
    };
    match Watch::replay(losses.iter().copied()).outcome(&ending) {
        Outcome::Spike { step } => Some(step),
        Outcome::Ok => None,
        other => panic!("{other:?}"),
    }
}

/// The run with a jump of a nat at a step, which comes back in a straight line.
fn planted(losses: &[(f64, f64)], at: usize, back: usize) -> Vec<(f64, f64)> {
    let mut losses = losses.to_vec();
    for (i, (loss, _)) in losses[at..].iter_mut().take(back).enumerate() {
        *loss += 1.0 - i as f64 / back as f64;
    }
    losses
}

/// How many of the runs have a spike, and how many of so many planted ones are found at their step.
fn figures(runs: &[Vec<(f64, f64)>], plants: usize) -> (usize, usize) {
    let alarms = runs.iter().filter(|losses| spike(losses).is_some()).count();
    let found = (0..plants).filter(|&i| {
        let losses = &runs[i % runs.len()];
        let at = 60 + (losses.len() - 70) * i / plants;
        spike(&planted(losses, at, [1, 20, 50][i % 3])).is_some_and(|step| step == at as u64)
    });
    (alarms, found.count())
}

#[test]
fn healthy_runs_have_no_spike_and_a_jump_of_a_nat_is_one() {
    let runs: Vec<_> = WIRINGS.par_iter().map(|wiring| healthy(wiring, 7, 500)).collect();
    assert_eq!(figures(&runs, 12), (0, 12));
}

/// The whole figure: `cargo test --test training spikes -- --ignored --nocapture`.
#[test]
#[ignore = "trains 200 runs of 2,000 steps, ten minutes of two cores"]
fn of_200_healthy_runs_at_most_2_have_a_spike_and_50_of_50_planted_ones_are_found() {
    let all: Vec<(&str, u64)> =
        (1..=50).flat_map(|seed| WIRINGS.map(|wiring| (wiring, seed))).collect();
    let runs: Vec<_> = all.par_iter().map(|(wiring, seed)| healthy(wiring, *seed, 2000)).collect();
    let (alarms, found) = figures(&runs, 50);
    println!(
        "{alarms} of {} healthy runs have a spike; {found} of 50 planted are found",
        runs.len()
    );
    assert!(alarms <= 2 && found == 50, "{alarms}, {found}");
}
