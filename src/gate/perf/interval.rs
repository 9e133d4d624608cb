//! The interval of a median, and how often one may look at it.
//!
//! The interval runs from one order statistic to another. A resample of a bootstrap has its median
//! below the k-th smallest of n values with the probability that a binomial variable exceeds n/2,
//! so the bootstrap of a median needs no resampling; with the signs in place of the resamples the
//! ranks become exact for every n: the truth lies below the k-th smallest value with the
//! probability P(Bin(n, ½) < k), whatever the law of the noise (the sign test; Thompson 1936).
//! Nothing is assumed but that each value is as likely to lie above the truth as below it, and the
//! coin that orders every pair sees to that, under bursts, drifts and correlated noise too.
//!
//! *Looking again and again.* A 99 % interval that is looked at after every batch until it suits
//! misses far more often than once in a hundred. Look j = 1, 2, 3, … is at 16·2^(j−1) values and
//! takes the share 1/(j·(j+1)) of the 1 %. The shares add up to 1 (½ + ⅙ + 1⁄12 + … telescopes), so
//! by the union bound the chance that *any* look misses the truth is at most 1 %, however long one
//! goes on. When the time is up, the values at hand are looked at once more with the next share.

use serde::{Deserialize, Serialize};

/// How often the interval may miss the truth, all looks together.
pub const MISS: f64 = 0.01;

/// Values at the first look; every further look waits for twice as many.
pub const FIRST: usize = 16;

/// Where a median lies, in natural logarithms of a ratio.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Interval {
    /// The lower end.
    pub low: f64,
    /// The median of the values.
    pub median: f64,
    /// The upper end.
    pub high: f64,
}

/// How many values at either end lie outside of an interval that misses, per side, with a
/// probability of at most `tail`: the largest k with P(Bin(n, ½) < k) ≤ tail.
fn outside(n: usize, tail: f64) -> usize {
    // In logarithms, since 2^−n underflows.
    let mut term = -(n as f64) * std::f64::consts::LN_2;
    let mut sum = 0.0;
    for k in 0..n {
        sum += term.exp();
        if sum > tail {
            return k;
        }
        term += ((n - k) as f64 / (k + 1) as f64).ln();
    }
    0
}

/// The interval of the median that misses the truth with a probability of at most `miss`; nothing
/// where there are too few values to tell.
pub fn interval(values: &[f64], miss: f64) -> Option<Interval> {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let n = sorted.len();
    let k = outside(n, miss / 2.0).checked_sub(1)?;
    let median = (sorted[(n - 1) / 2] + sorted[n / 2]) / 2.0;
    Some(Interval { low: sorted[k], median, high: sorted[n - 1 - k] })
}

/// The looks that were taken.
#[derive(Debug, Clone, Copy, Default)]
pub struct Looks {
    taken: usize,
}

impl Looks {
    /// The values of the next look.
    pub fn next_at(&self) -> usize {
        FIRST << self.taken.min(40)
    }
    /// How often the interval of this look may miss.
    pub fn look(&mut self) -> f64 {
        self.taken += 1;
        let j = self.taken as f64;
        MISS / (j * (j + 1.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranks_are_those_of_the_sign_test() {
        // P(Bin(10, ½) = 0) = 0.00098, ≤ 1: 0.0107, ≤ 2: 0.0547.
        assert_eq!(outside(10, 0.0005), 0);
        assert_eq!(outside(10, 0.001), 1);
        assert_eq!(outside(10, 0.011), 2);
        assert_eq!(outside(10, 0.055), 3);
        // n/2 − 2.576/2·√n for many: 4871.2.
        assert_eq!(outside(10_000, 0.005), 4871);
    }

    #[test]
    fn shares_add_up_to_the_whole() {
        let shares: f64 = (1..=100_000).map(|j| 1.0 / (j as f64 * (j as f64 + 1.0))).sum();
        assert!(shares <= 1.0 && shares > 0.9999);
        let mut looks = Looks::default();
        let values: Vec<f64> = (0..16).map(f64::from).collect();
        assert_eq!(looks.next_at(), 16);
        // P(Bin(16, ½) ≤ 2) = 0.0021 is within 0.0025, ≤ 3 is not: three values outside.
        let seen = interval(&values, looks.look()).unwrap();
        assert_eq!((seen.low, seen.median, seen.high), (2.0, 7.5, 13.0));
        assert_eq!(looks.next_at(), 32);
    }

    #[test]
    fn few_values_have_no_interval() {
        assert_eq!(interval(&[1.0; 5], 0.01), None);
        assert!(interval(&[1.0; 8], 0.01).is_some());
    }
}
