//! Runs that were never run, for tests.

use super::Survey;
use super::data::Data;
use crate::config::RunConfig;
use crate::experiment::Run;
use crate::record::{Outcome, StepRow, Summary};
use crate::sweep::Sweep;

/// A run of these fields that ended so, at this held-out loss.
pub(super) fn run(fields: &str, outcome: Outcome, loss: f64) -> Run {
    let settings = fields.split_whitespace().map(|field| field.split_once('=').unwrap());
    ended(RunConfig::from_settings(settings).unwrap(), outcome, loss)
}

fn ended(config: RunConfig, outcome: Outcome, loss: f64) -> Run {
    let cosine = if outcome == Outcome::Collapsed { 1.0 } else { 0.4 };
    let summary = serde_json::json!({
        "outcome": outcome, "loss": loss, "initial_loss": 6.0, "val_loss": loss,
        "references": [{"name": "unigram", "nats": 2.94}, {"name": "bigram", "nats": 2.36}],
        "baseline": "unigram", "token_cosine": cosine,
        "steps": config.steps, "seconds": 1.0, "peak_bytes": 1, "parameters": 1, "passes": 3.5,
        "val_baseline": 2.91,
    });
    let summary: Summary = serde_json::from_value(summary).unwrap();
    let row = |step: u64| StepRow {
        step,
        loss: loss + 3.0 * (-(step as f64) / 30.0).exp(),
        lr: config.lr,
        grad_norm: 1.0,
        val_loss: None,
    };
    let steps = (0..config.steps as u64).map(row).collect();
    Run { config, summary, steps, probes: Vec::new() }
}

/// Every run of a survey, each ended as its configuration says.
pub(super) fn data(survey: &Survey, ending: impl Fn(&RunConfig) -> (Outcome, f64)) -> Data {
    let part = |sweep: &Sweep| {
        let of = |config: &RunConfig| {
            let (outcome, loss) = ending(config);
            ended(config.clone(), outcome, loss)
        };
        sweep.runs.iter().map(of).collect()
    };
    Data {
        wirings: part(&survey.wirings),
        warmups: part(&survey.warmups),
        map: part(&survey.map),
        rates: part(&survey.rates),
        ..Data::default()
    }
}

/// An ending for every configuration: high rates and deep stacks break, low rates are slow, and one
/// seed differs at the edge.
pub(super) fn plausible(config: &RunConfig) -> (Outcome, f64) {
    let bears = match config.wiring.id() {
        "post_ln" if config.init.id() == "normal_02" => 2e-2,
        "post_ln" => 2e-2 / config.depth as f64,
        "no_residual" => 0.0,
        "deepnorm" => 6e-3,
        _ => 1e-1 / (config.depth as f64).sqrt(),
    };
    let warm = 1.0 + 4.0 * config.warmup as f64 / config.steps.max(1) as f64;
    let edge = config.lr / (bears * warm + 1e-9) * if config.seed == 2 { 1.3 } else { 1.0 };
    let reached = 2.3 + 0.05 / (config.lr * config.steps as f64);
    match config.norm.id() {
        "batch_norm" => (Outcome::Unfinished, 3.02),
        _ if edge > 30.0 => (Outcome::Diverged { step: 60 }, f64::NAN),
        _ if edge > 1.0 => (Outcome::Collapsed, 2.94),
        _ if edge > 0.8 => (Outcome::Spike { step: 60 }, reached),
        _ if reached > 2.9 => (Outcome::Unfinished, reached),
        _ => (Outcome::Ok, reached),
    }
}
