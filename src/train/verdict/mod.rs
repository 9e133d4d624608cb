//! How a run went, judged from its losses.
//!
//! An outcome says only what the run shows. A run that diverged or lost a finite value is called so
//! first. One that ended clearly below what the baseline of the task costs on the same targets has
//! learned. To say of one that has not that it is stuck takes a plateau, [`plateau::trend`]; without
//! one it is unfinished.

mod divergence;
mod plateau;
mod spike;

use std::ops::Range;

use crate::choice::Described;
use crate::config::RunConfig;
use crate::op::norm::BatchNorm;
use crate::record::{Measure, Outcome, Trend};
use divergence::Divergence;

pub use plateau::steady;

/// Steps at the end of a run that its loss is the mean of.
const LAST: usize = 20;
/// Nats, and standard errors, by which a loss is clearly below another.
const CLEARLY: f64 = 0.05;
const STANDARD_ERRORS: f64 = 3.0;
/// Tokens that agree by more than this cosine carry no information apart.
const COLLAPSED_ABOVE: f64 = 0.99;

/// Watches the losses of one run.
///
/// With every loss comes what the targets of that batch cost the baseline: the
/// difference is free of most of the noise that a batch brings by being hard or easy.
#[derive(Debug, Clone, Default)]
pub struct Watch {
    losses: Vec<f64>,
    /// Loss less the cost of the baseline.
    excess: Vec<f64>,
    divergence: Divergence,
    spike: Option<u64>,
}

/// What a run is judged by beside its training losses.
#[derive(Debug, Clone)]
pub struct Ending {
    /// The loss that counts.
    pub measure: Measure,
    /// The held-out loss less the cost of its targets under the baseline.
    pub held_out_excess: f64,
    /// Mean cosine between the tokens of the last stream.
    pub token_cosine: f64,
    /// The steps whose learning rate lets a plateau mean something, see [`steady`].
    pub steady: Range<usize>,
}

impl Watch {
    /// Takes the next loss and what its targets cost the baseline; says whether the run has
    /// diverged.
    pub fn push(&mut self, loss: f64, baseline: f64) -> bool {
        let diverged = self.divergence.push(loss, baseline);
        let sticks_out = || {
            spike::sticks_out(&self.losses, loss)
                && spike::sticks_out(&self.excess, loss - baseline)
        };
        if self.spike.is_none() && sticks_out() {
            self.spike = Some(self.losses.len() as u64);
        }
        self.losses.push(loss);
        self.excess.push(loss - baseline);
        diverged
    }

    /// Takes losses of an earlier part of the run.
    pub fn replay(losses: impl IntoIterator<Item = (f64, f64)>) -> Watch {
        let mut watch = Watch::default();
        for (loss, baseline) in losses {
            watch.push(loss, baseline);
        }
        watch
    }

    /// The first loss.
    pub fn initial(&self) -> f64 {
        self.losses.first().copied().unwrap_or(f64::NAN)
    }

    /// The mean of the last 20 losses.
    pub fn last(&self) -> f64 {
        mean(last(&self.losses))
    }

    /// Where the loss was going.
    pub fn trend(&self, steady: Range<usize>) -> Trend {
        let end = steady.end.min(self.excess.len());
        plateau::trend(self.excess.get(steady.start..end).unwrap_or_default())
    }

    /// The step at which the loss left, where it did.
    pub fn diverged(&self) -> Option<Outcome> {
        self.divergence.since().map(|step| Outcome::Diverged { step })
    }

    /// The outcome of a run that ended without a non-finite value.
    pub fn outcome(&self, ending: &Ending) -> Outcome {
        if let Some(diverged) = self.diverged() {
            return diverged;
        }
        let learned = match ending.measure {
            Measure::Training => clearly_below(last(&self.excess)),
            Measure::HeldOut => ending.held_out_excess < -CLEARLY,
        };
        let alike = ending.token_cosine > COLLAPSED_ABOVE;
        match (learned, self.spike) {
            (true, Some(step)) => Outcome::Spike { step },
            (true, None) => Outcome::Ok,
            (false, _) if self.trend(ending.steady.clone()) != Trend::Level => Outcome::Unfinished,
            (false, _) if alike => Outcome::Collapsed,
            (false, _) => Outcome::Stuck,
        }
    }
}

/// The loss that a run is judged by.
///
/// The training loss says how well a run predicts text that is new to it as long as no text comes
/// twice and the loss is the plain one of the whole model: without smoothed labels, dropped
/// features or blocks, or a norm that sees the rest of the batch, later tokens included.
/// Everything else that a configuration sets leaves the loss the plain mean over all tokens.
pub fn measure(config: &RunConfig, passes: f64) -> Measure {
    let dropped = config.dropout > 0.0 || config.stochastic_depth > 0.0;
    let whole_batch = config.norm.id() == BatchNorm::ID;
    if passes > 1.0 || config.label_smoothing > 0.0 || dropped || whole_batch {
        Measure::HeldOut
    } else {
        Measure::Training
    }
}

fn last(values: &[f64]) -> &[f64] {
    &values[values.len().saturating_sub(LAST)..]
}

fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len() as f64
}

/// Whether the mean of `excess` lies below 0 by 0.05 and by three standard errors.
fn clearly_below(excess: &[f64]) -> bool {
    let n = excess.len() as f64;
    let middle = mean(excess);
    let variance = excess.iter().map(|x| (x - middle).powi(2)).sum::<f64>() / (n - 1.0);
    // One value alone has no standard error: the comparison with NaN is false.
    middle < -CLEARLY && middle < -STANDARD_ERRORS * (variance / n).sqrt()
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::rng::Rng;

    /// Normal noise with the given deviation and an autocorrelation from one value to the next.
    pub fn noise(seed: u64, deviation: f64, correlation: f64) -> impl FnMut() -> f64 {
        let mut rng = Rng::new(seed).named("noise");
        let mut value = deviation * rng.normal();
        move || {
            let fresh = (1.0 - correlation * correlation).sqrt() * deviation * rng.normal();
            value = correlation * value + fresh;
            value
        }
    }

    const BASELINE: f64 = 3.3;

    fn outcome(losses: impl ExactSizeIterator<Item = f64>, cosine: f64) -> Outcome {
        let ending = Ending {
            measure: Measure::Training,
            held_out_excess: f64::NAN,
            token_cosine: cosine,
            steady: 0..losses.len(),
        };
        Watch::replay(losses.map(|loss| (loss, BASELINE))).outcome(&ending)
    }

    #[test]
    fn outcomes_are_told_apart() {
        let falling = |i: usize| 5.0 - 3.0 * (i as f64 / 200.0);
        assert_eq!(outcome((0..200).map(falling), 0.3), Outcome::Ok);
        assert_eq!(outcome((0..200).map(|i| falling(2 * i).max(3.28)), 0.3), Outcome::Stuck);
        assert_eq!(outcome((0..200).map(|i| falling(2 * i).max(3.28)), 1.0), Outcome::Collapsed);
        assert_eq!(outcome((0..200).map(|_| 4.0), 0.999), Outcome::Collapsed);
        let rising = (0..200).map(|i| 5.0 + i as f64 / 50.0);
        assert!(matches!(outcome(rising, 0.3), Outcome::Diverged { .. }));
        let spiking = (0..200).map(|i| if i == 120 { 9.0 } else { falling(i) });
        assert_eq!(outcome(spiking, 0.3), Outcome::Spike { step: 120 });
    }

    #[test]
    fn a_run_that_is_still_falling_above_the_baseline_is_unfinished() {
        let slow = |i: usize| 5.5 - 2.0 * (i as f64 / 200.0);
        for cosine in [0.3, 1.0] {
            assert_eq!(outcome((0..200).map(slow), cosine), Outcome::Unfinished);
        }
        // Rising is no plateau either.
        assert_eq!(outcome((0..200).map(|i| 3.5 + i as f64 / 800.0), 0.3), Outcome::Unfinished);
    }

    #[test]
    fn a_run_of_few_steps_shows_no_plateau() {
        for steps in [0, 1, 4, 13, 40] {
            assert_eq!(outcome((0..steps).map(|_| BASELINE), 1.0), Outcome::Unfinished, "{steps}");
        }
    }

    #[test]
    fn what_is_learned_by_heart_does_not_count_where_the_held_out_loss_does() {
        let watch = Watch::replay((0..200).map(|i| (5.0 - i as f64 / 50.0, BASELINE)));
        let judged = |held_out_excess| {
            let steady = 0..200;
            let measure = Measure::HeldOut;
            watch.outcome(&Ending { measure, held_out_excess, token_cosine: 0.3, steady })
        };
        assert_eq!(judged(-0.5), Outcome::Ok);
        assert_eq!(judged(0.5), Outcome::Unfinished);
        assert_eq!(judged(f64::NAN), Outcome::Unfinished);
    }

    #[test]
    fn only_a_plain_loss_on_new_text_is_compared_with_the_baseline() {
        let plain = RunConfig::default();
        assert_eq!(measure(&plain, 1.0), Measure::Training);
        assert_eq!(measure(&plain, 1.01), Measure::HeldOut);
        for (field, value) in [
            ("label-smoothing", "0.1"),
            ("dropout", "0.1"),
            ("stochastic-depth", "0.1"),
            ("norm", "batch_norm"),
        ] {
            let config = RunConfig::from_settings([(field, value)]).unwrap();
            assert_eq!(measure(&config, 0.5), Measure::HeldOut, "{field}");
        }
        for (field, value) in [("micro-batches", "2"), ("weight-decay", "0.1"), ("clip", "0")] {
            let config = RunConfig::from_settings([(field, value)]).unwrap();
            assert_eq!(measure(&config, 0.5), Measure::Training, "{field}");
        }
    }
}
