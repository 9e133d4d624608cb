//! The interval of a ratio over pairs of processes, and how often one may look at it.
//!
//! Where base and candidate are the same, the logarithm of the ratio of a pair is as likely to be
//! +r as −r: which of the two processes is called the base is decided by coins. Such values are
//! symmetric about 0, so the sum of the ranks of those above a trial centre has the law of
//! Wilcoxon's signed-rank statistic, exactly, for any number of pairs and whatever the noise. The
//! interval holds the centres that this law does not exclude; its ends are order statistics of the
//! n(n+1)/2 means of two values each (Hodges & Lehmann 1963), and its middle is their median.
//!
//! *Looking again and again.* A 99 % interval that is looked at after every pair until it suits
//! misses far more often than once in a hundred. Look j = 1, 2, 3, … is at 10·2^(j−1) pairs and
//! takes the share 1/(j·(j+1)) of the 1 %. The shares add up to 1 (½ + ⅙ + 1⁄12 + … telescopes), so
//! by the union bound the chance that *any* look misses the truth is at most 1 %, however long one
//! goes on. When the time is up, the pairs at hand are looked at once more with the next share.

use serde::{Deserialize, Serialize};

/// How often the interval may miss the truth, all looks together.
pub const MISS: f64 = 0.01;

/// Pairs at the first look, about the fewest that can say anything at its share; every further
/// look waits for twice as many.
pub const FIRST: usize = 10;

/// Where a ratio lies, in natural logarithms.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Interval {
    /// The lower end.
    pub low: f64,
    /// The centre.
    pub middle: f64,
    /// The upper end.
    pub high: f64,
}

/// How many means lie outside of an interval at either end, where each end may miss with a
/// probability of at most `tail`: the largest k with P(W < k) ≤ tail, W the signed-rank statistic
/// of n values.
fn outside(n: usize, tail: f64) -> usize {
    // Every rank is in the sum or not, with probability ½ each; the law is symmetric, and an end
    // that misses less than half lies in its lower half.
    let most = n * (n + 1) / 4;
    let mut law = vec![0.0; most + 1];
    law[0] = 1.0;
    for rank in 1..=n {
        for sum in (0..=most).rev() {
            let with = if sum >= rank { law[sum - rank] } else { 0.0 };
            law[sum] = 0.5 * (law[sum] + with);
        }
    }
    let mut below = 0.0;
    for (k, share) in law.iter().enumerate() {
        below += share;
        if below > tail {
            return k;
        }
    }
    most
}

/// The interval that misses the centre with a probability of at most `miss`; nothing where there
/// are too few values to tell.
pub fn interval(values: &[f64], miss: f64) -> Option<Interval> {
    let k = outside(values.len(), miss / 2.0).checked_sub(1)?;
    let pairs = |i: usize| values[i..].iter().map(move |other| 0.5 * (values[i] + other));
    let mut means: Vec<f64> = (0..values.len()).flat_map(pairs).collect();
    means.sort_by(f64::total_cmp);
    let n = means.len();
    let middle = 0.5 * (means[(n - 1) / 2] + means[n / 2]);
    Some(Interval { low: means[k], middle, high: means[n - 1 - k] })
}

/// The looks that were taken.
#[derive(Debug, Clone, Copy, Default)]
pub struct Looks {
    taken: usize,
}

impl Looks {
    /// The pairs of the next look.
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
    fn ranks_are_those_of_wilcoxons_tables() {
        // P(W ≤ 0) = 2⁻⁸ at n = 8, P(W ≤ 3) = 5/1024 at n = 10, and the table's 3 for a one-sided
        // level of 0.005 there; 37 at n = 20.
        assert_eq!(outside(8, 0.0039), 0);
        assert_eq!(outside(8, 0.0040), 1);
        assert_eq!(outside(10, 0.005), 4);
        assert_eq!(outside(20, 0.005), 38);
    }

    #[test]
    fn shares_add_up_to_the_whole() {
        let shares: f64 = (1..=100_000).map(|j| 1.0 / (j as f64 * (j as f64 + 1.0))).sum();
        assert!(shares <= 1.0 && shares > 0.9999);
        let mut looks = Looks::default();
        let values: Vec<f64> = (0..10).map(f64::from).collect();
        assert_eq!(looks.next_at(), 10);
        // P(W ≤ 1) = 2/1024 is within 0.0025, P(W ≤ 2) = 3/1024 is not: two means lie outside.
        let seen = interval(&values, looks.look()).unwrap();
        assert_eq!((seen.low, seen.middle, seen.high), (0.5, 4.5, 8.5));
        assert_eq!(looks.next_at(), 20);
    }

    #[test]
    fn few_values_have_no_interval() {
        assert_eq!(interval(&[1.0; 7], 0.01), None);
        assert!(interval(&[1.0; 8], 0.01).is_some());
        assert_eq!(interval(&[], 0.01), None);
    }
}
