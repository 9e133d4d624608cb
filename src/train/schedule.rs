//! The learning rate of a step.

use crate::config::{RunConfig, Schedule};

/// The learning rate of step `step`, counted from 0.
///
/// A step s below the warm-up has lr·(s+1)/warmup. After it, with f the share of the remaining
/// steps that are done: constant lr, linear lr·(1 − f), cosine lr·½(1 + cos πf); wsd stays at lr
/// and falls in a straight line over the last `decay_share` of all steps.
pub fn learning_rate(config: &RunConfig, step: usize) -> f64 {
    let (lr, warmup, total) = (config.lr, config.warmup, config.steps);
    if step < warmup {
        return lr * (step + 1) as f64 / warmup as f64;
    }
    let rest = total.saturating_sub(warmup).max(1) as f64;
    let f = ((step - warmup) as f64 / rest).clamp(0.0, 1.0);
    match config.schedule {
        Schedule::Constant => lr,
        Schedule::Linear => lr * (1.0 - f),
        Schedule::Cosine => lr * 0.5 * (1.0 + (std::f64::consts::PI * f).cos()),
        Schedule::Wsd => {
            let fall = config.decay_share * total as f64;
            lr * ((total.saturating_sub(step)) as f64 / fall.max(1.0)).min(1.0)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rates(schedule: Schedule, warmup: usize) -> Vec<f64> {
        let config = RunConfig { schedule, warmup, lr: 1.0, steps: 10, ..RunConfig::default() };
        (0..10).map(|step| learning_rate(&config, step)).collect()
    }

    #[test]
    fn warm_up_rises_in_a_straight_line() {
        assert_eq!(rates(Schedule::Constant, 4)[..5], [0.25, 0.5, 0.75, 1.0, 1.0]);
    }

    #[test]
    fn wsd_falls_over_its_last_part_only() {
        assert_eq!(rates(Schedule::Wsd, 0)[6..], [1.0, 1.0, 1.0, 0.5]);
    }

    #[test]
    fn cosine_and_linear_fall_towards_zero() {
        assert!((rates(Schedule::Cosine, 0)[5] - 0.5).abs() < 1e-15);
        assert!((rates(Schedule::Linear, 0)[9] - 0.1).abs() < 1e-15);
    }
}
