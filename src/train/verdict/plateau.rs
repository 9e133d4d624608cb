//! Whether a loss has come to a plateau: a test of equivalence with a stated error rate.
//!
//! The second half of the steady steps is cut into 10 batches of equal length, whose means are
//! nearly independent although losses that follow each other are not. A straight line through the
//! means gives the fall that as many steps again would bring, with a confidence interval from
//! Student's t with 8 degrees of freedom at 1 % on either side. A plateau is shown where the whole
//! interval lies within ±0.05 nats, a fall where it lies above 0.
//!
//! So a loss that falls on in a straight line by 0.05 nats or more is called a plateau in at most
//! 1 % of runs. A loss that is level is called one in nine of ten runs and more where its noise from
//! step to step, less what its batches cost the baseline, has a deviation of at most
//! 0.001·√steps nats: 0.014 at 200 steps, 0.045 at 2,000.
//!
//! A plateau may end: some runs leave it after a multiple of the steps. It says what the run shows.

use std::ops::Range;

use crate::config::RunConfig;
use crate::record::Trend;
use crate::train::learning_rate;

/// Batches that the second half is cut into, and the fewest steps that make one.
const BATCHES: usize = 10;
const FEWEST: usize = 3;
/// The 99 % quantile of Student's t with `BATCHES − 2` degrees of freedom.
const T99: f64 = 2.896;
/// The fall, over as many steps again, that is as good as none, in nats.
const LEVEL_WITHIN: f64 = 0.05;

/// The steps by which a plateau is judged: those after the warm-up whose learning rate is at least
/// half of the highest. Before, a loss does not fall for want of a rate, and after, as well.
pub fn steady(config: &RunConfig, taken: usize) -> Range<usize> {
    let start = config.warmup.min(taken);
    let rates = (start..taken).map(|step| learning_rate(config, step));
    let length = rates.take_while(|&rate| rate >= 0.5 * config.lr).count();
    start..start + length
}

/// Where the losses of the steady steps go; best less what their batches cost the baseline.
pub fn trend(losses: &[f64]) -> Trend {
    let length = losses.len() / 2 / BATCHES;
    if length < FEWEST {
        return Trend::Unclear;
    }
    let tail = &losses[losses.len() - length * BATCHES..];
    let means: Vec<f64> =
        tail.chunks(length).map(|batch| batch.iter().sum::<f64>() / length as f64).collect();
    let (slope, error) = line(&means);
    let again = losses.len() as f64 / length as f64;
    let (fall, spread) = (-slope * again, T99 * error * again);
    if fall + spread < LEVEL_WITHIN && fall - spread > -LEVEL_WITHIN {
        Trend::Level
    } else if fall - spread > 0.0 {
        Trend::Falling
    } else {
        Trend::Unclear
    }
}

/// The slope of the least-squares line through values at 0, 1, 2, …, and its standard error.
fn line(values: &[f64]) -> (f64, f64) {
    let n = values.len() as f64;
    let middle = values.iter().sum::<f64>() / n;
    let place = |i: usize| i as f64 - (n - 1.0) / 2.0;
    let points = || values.iter().enumerate();
    let squares: f64 = points().map(|(i, _)| place(i).powi(2)).sum();
    let slope = points().map(|(i, v)| place(i) * (v - middle)).sum::<f64>() / squares;
    let rest: f64 = points().map(|(i, v)| (v - middle - slope * place(i)).powi(2)).sum();
    (slope, (rest / (n - 2.0) / squares).sqrt())
}

#[cfg(test)]
mod tests {
    use super::super::tests::noise;
    use super::*;

    /// How many of 2,000 runs whose loss falls on by `fall` are called so.
    fn called(
        trend_wanted: Trend,
        steps: usize,
        fall: f64,
        deviation: f64,
        correlation: f64,
    ) -> usize {
        let runs = 0..2000;
        let runs = runs.filter(|&seed| {
            let mut noise = noise(seed, deviation, correlation);
            let loss = |i: usize| 3.0 - fall * i as f64 / steps as f64;
            let losses: Vec<f64> = (0..steps).map(|i| loss(i) + noise()).collect();
            trend(&losses) == trend_wanted
        });
        runs.count()
    }

    #[test]
    fn at_most_1_percent_of_falling_runs_are_called_level() {
        for steps in [60, 200, 2000] {
            for correlation in [0.0, 0.3] {
                let share = [0.3, 1.0, 3.0].map(|times| {
                    let deviation = times * 0.001 * (steps as f64).sqrt();
                    called(Trend::Level, steps, LEVEL_WITHIN, deviation, correlation)
                });
                // 1 % of 2,000 is 20, and four deviations more are 38.
                assert!(share.iter().all(|&n| n <= 38), "{steps} {correlation}: {share:?}");
            }
        }
    }

    #[test]
    fn nine_of_ten_level_runs_are_called_level() {
        for steps in [200, 600, 2000] {
            let found = called(Trend::Level, steps, 0.0, 0.001 * (steps as f64).sqrt(), 0.0);
            assert!(found >= 1800, "{found} of 2000 at {steps} steps");
        }
    }

    #[test]
    fn a_plain_fall_is_seen_and_noise_is_none() {
        assert!(called(Trend::Falling, 200, 0.5, 0.06, 0.0) >= 1900);
        // On one side: 1 %, and four deviations.
        assert!(called(Trend::Falling, 200, 0.0, 0.06, 0.0) <= 38);
        assert_eq!(called(Trend::Level, 59, 0.0, 0.0, 0.0), 0, "too few steps show nothing");
    }

    #[test]
    fn a_loss_that_begins_to_fall_at_the_end_is_not_level() {
        let losses: Vec<f64> =
            (0..400).map(|i| 3.0 - (i as f64 - 360.0).max(0.0) / 400.0).collect();
        assert_ne!(trend(&losses), Trend::Level);
    }

    #[test]
    fn warm_up_and_the_end_of_a_decay_show_no_plateau() {
        let config =
            |fields: &[(&str, &str)]| RunConfig::from_settings(fields.iter().copied()).unwrap();
        assert_eq!(steady(&config(&[]), 200), 0..200);
        assert_eq!(steady(&config(&[("warmup", "50")]), 200), 50..200);
        assert_eq!(steady(&config(&[("warmup", "500")]), 200), 200..200);
        assert_eq!(steady(&config(&[("schedule", "cosine")]), 200), 0..101);
        let wsd = config(&[("schedule", "wsd"), ("warmup", "20")]);
        assert_eq!(steady(&wsd, 200), 20..181);
        assert_eq!(steady(&wsd, 10), 10..10, "a run that ended early");
    }
}
