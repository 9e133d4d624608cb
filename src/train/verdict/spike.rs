//! Losses that jump out of their noise.
//!
//! A value sticks out where it lies above the median of the 25 before it by 0.2 nats, and by
//! 5.5·(t/50)^0.1 robust deviations at step t (t ≥ 50). The deviation is that of the last 100 values,
//! from the median size of their differences, so that a loss that falls fast has no larger noise.
//! At 2,000 steps the limit is 8 deviations. A spike is where the loss sticks out, and also the loss
//! less what its batch costs the baseline: a batch that is only hard is none.
//!
//! The limit grows so that a long run raises hardly more false alarms than a short one: a deviation
//! that is taken from n values gives normal noise the tail of a t distribution, here with about
//! 0.27·n degrees of freedom, which falls with that power; so the chance of step t falls faster than
//! 1/t, and the chances of all steps have a sum, by design below 1 % of runs of any length. Noise
//! that grows, or a text of very different parts, makes it more.

/// Losses before the first that is judged; the most that give the deviation; those that give the
/// level.
const FEWEST: usize = 50;
const WINDOW: usize = 100;
const LEVEL: usize = 25;
/// The limit at step [`FEWEST`], in deviations, and the power of the step by which it grows.
const DEVIATIONS: f64 = 5.5;
const GROWTH: f64 = 0.1;
/// A jump of less than so many nats is no spike, whatever the noise.
const NATS: f64 = 0.2;
/// Deviations in a median distance from the median, for normal noise.
const NORMAL: f64 = 1.4826;

/// Whether `value` jumps out of the values before it.
pub fn sticks_out(before: &[f64], value: f64) -> bool {
    if before.len() < FEWEST {
        return false;
    }
    let level = median(&before[before.len() - LEVEL..]);
    // Most values are no higher than the level: no more need be asked of them.
    if value <= level + NATS {
        return false;
    }
    let window = &before[before.len().saturating_sub(WINDOW)..];
    let mut differences: Vec<f64> = window.windows(2).map(|pair| pair[1] - pair[0]).collect();
    let middle = median(&differences);
    differences.iter_mut().for_each(|d| *d = (*d - middle).abs());
    // A difference has the noise of two losses.
    let deviation = NORMAL * median(&differences) / std::f64::consts::SQRT_2;
    value > level + DEVIATIONS * (before.len() as f64 / FEWEST as f64).powf(GROWTH) * deviation
}

fn median(values: &[f64]) -> f64 {
    let mut values = values.to_vec();
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

#[cfg(test)]
mod tests {
    use super::super::tests::noise;
    use super::*;

    /// A healthy run of 2,000 steps of small batches: it falls to 2.2 nats, with noise of 0.08.
    fn healthy(seed: u64) -> Vec<f64> {
        let mut noise = noise(seed, 0.08, 0.0);
        (0..2000).map(|i| 2.2 + 3.3 * (-(i as f64) / 60.0).exp() + noise()).collect()
    }

    fn first(losses: &[f64]) -> Option<usize> {
        (0..losses.len()).find(|&i| sticks_out(&losses[..i], losses[i]))
    }

    #[test]
    fn of_100_healthy_runs_at_most_one_has_a_spike() {
        let spikes = (0..100).filter(|&seed| first(&healthy(seed)).is_some()).count();
        assert!(spikes <= 1, "{spikes} of 100");
    }

    #[test]
    fn heavy_tails_make_few_false_alarms() {
        // One batch in twenty is twice as noisy, and the noise grows as the run goes on.
        let spikes = (0..100).filter(|&seed| {
            let mut losses = healthy(seed);
            let mut more = noise(seed + 1000, 0.08, 0.0);
            for (i, loss) in losses.iter_mut().enumerate() {
                let twice = if i % 20 == 0 { 2.0 } else { 0.5 };
                *loss += more() * twice * i as f64 / 2000.0;
            }
            first(&losses).is_some()
        });
        let spikes = spikes.count();
        assert!(spikes <= 2, "{spikes} of 100");
    }

    #[test]
    fn every_jump_of_a_nat_is_found_at_its_step() {
        for seed in 0..50 {
            let at = 60 + 1900 * seed as usize / 50;
            for back in [1, 20, 50] {
                let mut losses = healthy(seed);
                for (i, loss) in losses[at..].iter_mut().take(back).enumerate() {
                    *loss += 1.0 - i as f64 / back as f64;
                }
                let found = first(&losses);
                let close = found.is_some_and(|step| (at..at + 3).contains(&step));
                assert!(close, "seed {seed}: a jump at {at} over {back} steps, found {found:?}");
            }
        }
    }
}
