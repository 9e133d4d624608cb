//! The learning rate of a step.

use crate::config::{RunConfig, Schedule};

/// The learning rate of step `step`, counted from 0.
///
/// A step s below the warm-up has lr·(s+1)/warmup. After it, with f the share of the remaining
/// steps that are done: constant lr, linear lr·(1 − f), cosine lr·½(1 + cos πf); wsd stays at lr
/// and falls in a straight line over the last `decay_share` of all steps; inverse_sqrt has
/// lr·√(max(warmup, 1)/(s+1)), whose peak is lr where the paper's is 1/√(width·warmup).
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
        Schedule::InverseSqrt => lr * (warmup.max(1) as f64 / (step + 1) as f64).sqrt(),
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
    fn inverse_sqrt_is_the_formula_of_the_paper() {
        let (width, warmup) = (512f64, 40f64);
        let lr = 1.0 / (width * warmup).sqrt();
        let config = RunConfig {
            schedule: Schedule::InverseSqrt,
            warmup: 40,
            lr,
            steps: 1000,
            ..RunConfig::default()
        };
        for step in 1..=1000 {
            let t = step as f64;
            let paper = width.powf(-0.5) * t.powf(-0.5).min(t * warmup.powf(-1.5));
            let got = learning_rate(&config, step - 1);
            assert!((got / paper - 1.0).abs() < 1e-14, "step {step}: {got} against {paper}");
        }
        assert_eq!(
            rates(Schedule::InverseSqrt, 0)[..4],
            [1.0, 0.5f64.sqrt(), (1.0f64 / 3.0).sqrt(), 0.5]
        );
    }

    #[test]
    fn cosine_and_linear_fall_towards_zero() {
        assert!((rates(Schedule::Cosine, 0)[5] - 0.5).abs() < 1e-15);
        assert!((rates(Schedule::Linear, 0)[9] - 0.1).abs() < 1e-15);
    }
}
