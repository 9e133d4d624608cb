//! How a run went, judged from its losses.

use crate::record::Outcome;

/// A loss this far above the first one, for so long, is a divergence.
const DIVERGED_BY: f64 = 0.3;
const DIVERGED_FOR: usize = 50;
/// Weight of the newest loss in the running mean.
const NEWEST: f64 = 0.1;
/// Losses that a spike is judged against, and by how many median deviations and nats it sticks out.
const SPIKE_WINDOW: usize = 50;
const SPIKE_DEVIATIONS: f64 = 6.0;
const SPIKE_NATS: f64 = 0.1;
/// A final loss this close to the unigram entropy, or above it, has learned nothing from context.
const STUCK_WITHIN: f64 = 0.05;
/// Tokens that agree by more than this cosine carry no information apart.
const COLLAPSED_ABOVE: f64 = 0.99;

/// Watches the losses of one run.
#[derive(Debug, Clone, Default)]
pub struct Watch {
    losses: Vec<f64>,
    running: f64,
    above: usize,
    spike: Option<u64>,
}

impl Watch {
    /// Takes the next loss; says whether the run has diverged for good.
    pub fn push(&mut self, loss: f64) -> bool {
        if self.losses.is_empty() {
            self.running = loss;
        }
        self.running += NEWEST * (loss - self.running);
        self.above = if self.running > self.losses.first().unwrap_or(&loss) + DIVERGED_BY {
            self.above + 1
        } else {
            0
        };
        if self.spike.is_none() && self.losses.len() >= SPIKE_WINDOW && self.sticks_out(loss) {
            self.spike = Some(self.losses.len() as u64);
        }
        self.losses.push(loss);
        self.above >= DIVERGED_FOR
    }

    /// Takes losses of an earlier part of the run.
    pub fn replay(losses: impl IntoIterator<Item = f64>) -> Watch {
        let mut watch = Watch::default();
        for loss in losses {
            watch.push(loss);
        }
        watch
    }

    fn sticks_out(&self, loss: f64) -> bool {
        let median = |values: &mut [f64]| {
            values.sort_by(f64::total_cmp);
            values[values.len() / 2]
        };
        let mut window = self.losses[self.losses.len() - SPIKE_WINDOW..].to_vec();
        let middle = median(&mut window);
        window.iter_mut().for_each(|l| *l = (*l - middle).abs());
        let spread = median(&mut window);
        loss > middle + (SPIKE_DEVIATIONS * spread).max(SPIKE_NATS)
    }

    /// The first loss.
    pub fn initial(&self) -> f64 {
        self.losses.first().copied().unwrap_or(f64::NAN)
    }

    /// The mean of the last 20 losses.
    pub fn last(&self) -> f64 {
        let tail = &self.losses[self.losses.len().saturating_sub(20)..];
        tail.iter().sum::<f64>() / tail.len() as f64
    }

    /// The outcome of a run that ended without a non-finite value.
    pub fn outcome(&self, unigram_entropy: f64, token_cosine: f64) -> Outcome {
        let loss = self.last();
        if self.above >= DIVERGED_FOR {
            let step = self.losses.len() - DIVERGED_FOR;
            Outcome::Diverged { step: step as u64 }
        } else if (loss - unigram_entropy).abs() <= STUCK_WITHIN {
            Outcome::Stuck
        } else if token_cosine > COLLAPSED_ABOVE {
            Outcome::Collapsed
        } else if loss > unigram_entropy {
            Outcome::Stuck
        } else if let Some(step) = self.spike {
            Outcome::Spike { step }
        } else {
            Outcome::Ok
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outcome(losses: impl Iterator<Item = f64>, cosine: f64) -> Outcome {
        Watch::replay(losses).outcome(3.3, cosine)
    }

    #[test]
    fn outcomes_are_told_apart() {
        let falling = |i: usize| 5.0 - 3.0 * (i as f64 / 200.0);
        assert_eq!(outcome((0..200).map(falling), 0.3), Outcome::Ok);
        assert_eq!(outcome((0..200).map(|i| falling(i).max(3.28)), 1.0), Outcome::Stuck);
        assert_eq!(outcome((0..200).map(|_| 4.0), 0.999), Outcome::Collapsed);
        let rising = (0..200).map(|i| 5.0 + i as f64 / 50.0);
        assert!(matches!(outcome(rising, 0.3), Outcome::Diverged { .. }));
        let spiking = (0..200).map(|i| if i == 120 { 9.0 } else { falling(i) });
        assert_eq!(outcome(spiking, 0.3), Outcome::Spike { step: 120 });
    }
}
