//! When a loss has left for good, as far as a run can show it.

/// A running mean this far above the first loss, for so many steps in a row, may be a divergence.
const ABOVE_BY: f64 = 0.3;
const ABOVE_FOR: usize = 50;
/// The same in deviations of what a batch costs by being hard or easy: the first loss is that of
/// one batch, which may be a few tokens.
const ABOVE_DEVIATIONS: f64 = 4.0;
/// Share of its largest height of these steps that a loss which has left still has.
const STILL_UP: f64 = 0.9;
/// Weight of the newest loss in the running mean.
const NEWEST: f64 = 0.1;

/// Looks for a loss that stays above its first value and does not come back.
#[derive(Debug, Clone, Default)]
pub struct Divergence {
    count: usize,
    first: f64,
    running: f64,
    /// The running means of the steps in a row that lie above the limit.
    above: Vec<f64>,
    /// Mean, and sum of squares about it, of the costs of the baseline (Welford 1962).
    mean: f64,
    squares: f64,
    since: Option<u64>,
}

impl Divergence {
    /// Takes the next loss and what its targets cost the baseline; says whether it diverged.
    ///
    /// It has where the running mean lay above the limit for 50 steps, and is still up by nine
    /// tenths of the highest of these: a loss that is on its way back has not left.
    pub fn push(&mut self, loss: f64, baseline: f64) -> bool {
        if self.count == 0 {
            (self.first, self.running) = (loss, loss);
        }
        self.count += 1;
        let change = baseline - self.mean;
        self.mean += change / self.count as f64;
        self.squares += change * (baseline - self.mean);
        self.running += NEWEST * (loss - self.running);
        let deviation = (self.squares / self.count as f64).sqrt();
        let limit = self.first + ABOVE_BY.max(ABOVE_DEVIATIONS * deviation);
        if self.running > limit {
            self.above.push(self.running);
        } else {
            self.above.clear();
        }
        if self.since.is_none() && self.above.len() >= ABOVE_FOR {
            let last = &self.above[self.above.len() - ABOVE_FOR..];
            let highest = last.iter().copied().fold(limit, f64::max);
            if self.running - limit >= STILL_UP * (highest - limit) {
                self.since = Some((self.count - self.above.len()) as u64);
            }
        }
        self.since.is_some()
    }

    /// The step at which the running mean passed the limit, where the loss diverged.
    pub fn since(&self) -> Option<u64> {
        self.since
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::noise;
    use super::*;

    fn since(losses: impl Iterator<Item = (f64, f64)>) -> Option<u64> {
        let mut divergence = Divergence::default();
        losses.for_each(|(loss, baseline)| {
            divergence.push(loss, baseline);
        });
        divergence.since()
    }

    #[test]
    fn a_loss_that_stays_above_its_first_value_has_diverged() {
        let jump = |i: usize| if i < 60 { 5.0 } else { 8.0 };
        assert!(
            since((0..200).map(|i| (jump(i), 3.0))).is_some_and(|step| (60..65).contains(&step))
        );
    }

    #[test]
    fn a_loss_that_comes_back_has_not() {
        // Above its first value from step 10 to 160, and falling for most of it.
        let back = |i: usize| if i < 10 { 5.0 } else { (9.0 - (i - 10) as f64 / 30.0).max(2.5) };
        assert_eq!(since((0..300).map(|i| (back(i), 3.0))), None);
    }

    #[test]
    fn an_easy_first_batch_is_no_measure_for_a_run_of_tiny_batches() {
        let mut noise = noise(5, 0.8, 0.0);
        let costs: Vec<f64> = (0..400).map(|i| if i == 0 { 1.4 } else { 3.0 + noise() }).collect();
        // A model that only repeats the frequencies: its loss is the cost.
        assert_eq!(since(costs.iter().map(|&cost| (cost, cost))), None);
    }
}
