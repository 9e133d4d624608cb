//! Shares of trials that show something, and differences of two.

use super::distribution::{binomial, hypergeometric_from, normal_quantile};
use crate::setting::Invalid;

/// So many of so many.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Share {
    /// The trials that show it.
    pub hits: usize,
    /// All trials.
    pub of: usize,
}

impl Share {
    /// Refuses more hits than trials; `arm` is what a refusal names.
    pub(super) fn check(self, arm: &str) -> Result<(), Invalid> {
        if self.hits <= self.of {
            return Ok(());
        }
        let allowed = format!("0 to {}, of which they are", self.of);
        Err(Invalid::new(&format!("{arm}.hits"), self.hits, allowed))
    }

    /// The share, of one trial or more.
    pub fn share(self) -> f64 {
        self.hits as f64 / self.of as f64
    }

    /// Wilson's interval (1927): outside on either side with probability `beyond`, nearly.
    pub fn interval(self, beyond: f64) -> [f64; 2] {
        self.within(normal_quantile(beyond))
    }

    /// The same, `z` standard errors to either side.
    fn within(self, z: f64) -> [f64; 2] {
        let (n, share) = (self.of as f64, self.share());
        let middle = share + z * z / (2.0 * n);
        let half = z * (share * (1.0 - share) / n + z * z / (4.0 * n * n)).sqrt();
        let whole = 1.0 + z * z / n;
        [((middle - half) / whole).max(0.0), ((middle + half) / whole).min(1.0)]
    }
}

/// P(so many or more of the hits fall to the first), if both have one share (Fisher 1935).
pub fn p_more(first: Share, second: Share) -> f64 {
    hypergeometric_from(first.hits, first.of, first.hits + second.hits, first.of + second.of)
}

/// Where the first share less the second lies, from the two intervals (Newcombe 1998, method 10).
pub fn difference(first: Share, second: Share, beyond: f64) -> [f64; 2] {
    let z = normal_quantile(beyond);
    difference_within(first, second, z)
}

fn difference_within(first: Share, second: Share, z: f64) -> [f64; 2] {
    let (p, q) = (first.share(), second.share());
    let ([p_low, p_high], [q_low, q_high]) = (first.within(z), second.within(z));
    [p - q - (p - p_low).hypot(q_high - q), p - q + (p_high - p).hypot(q - q_low)]
}

/// P(Newcombe's 97.5 % bound on the difference as low), if the first share is above the second by `apart`: the
/// largest over all such shares, in steps of a hundredth of what there is.
///
/// The bound itself is not exact: at 97.5 % it is too low in up to 3.9 % (n = 5 to 40, a difference of 0.25).
pub fn p_less(first: Share, second: Share, apart: f64) -> f64 {
    let z = normal_quantile(0.025);
    let [_, observed] = difference_within(first, second, z);
    let counts = (0..=first.of).flat_map(|k| (0..=second.of).map(move |l| (k, l)));
    let low = |&(k, l): &(usize, usize)| {
        let counted = (Share { hits: k, ..first }, Share { hits: l, ..second });
        difference_within(counted.0, counted.1, z)[1] <= observed
    };
    let low: Vec<(usize, usize)> = counts.filter(low).collect();
    let chances = |of: usize, q: f64| (0..=of).map(|k| binomial(k, of, q)).collect::<Vec<_>>();
    let at = |step: u32| -> f64 {
        let share = f64::from(step) / 100.0 * (1.0 - apart);
        let (a, b) = (chances(first.of, (share + apart).min(1.0)), chances(second.of, share));
        low.iter().map(|&(k, l)| a[k] * b[l]).sum()
    };
    (0..=100).map(at).fold(0.0, f64::max)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn newcombes_own_examples() {
        // Newcombe (1998), table II, method 10: 56/70 against 48/80, 9/10 against 3/10, 10/10 against 0/10.
        for (a, b, low, high) in [
            ((56, 70), (48, 80), 0.0524, 0.3339),
            ((9, 10), (3, 10), 0.1705, 0.8090),
            ((10, 10), (0, 10), 0.6075, 1.0),
        ] {
            let share = |(hits, of)| Share { hits, of };
            let got = difference(share(a), share(b), 0.025);
            assert!((got[0] - low).abs() < 6e-5 && (got[1] - high).abs() < 6e-5, "{got:?}");
        }
    }

    #[test]
    fn perfect_separation_is_one_in_all_choices() {
        let p = p_more(Share { hits: 5, of: 5 }, Share { hits: 0, of: 5 });
        assert!((p * 252.0 - 1.0).abs() < 1e-12);
        assert_eq!(p_more(Share { hits: 0, of: 5 }, Share { hits: 0, of: 5 }), 1.0);
    }

    #[test]
    fn newcombes_bound_is_too_low_more_often_than_it_says() {
        let mut worst = 0.0f64;
        for n in [5, 7, 10, 20, 40] {
            let counts = (0..=n).flat_map(|k| (0..=n).map(move |l| (k, l)));
            let bound =
                |k, l| difference(Share { hits: k, of: n }, Share { hits: l, of: n }, 0.025);
            let low: Vec<(usize, usize)> = counts.filter(|&(k, l)| bound(k, l)[1] < 0.25).collect();
            for step in 0..=75 {
                let share = f64::from(step) / 100.0;
                let of = |(k, l)| binomial(k, n, share + 0.25) * binomial(l, n, share);
                worst = worst.max(low.iter().copied().map(of).sum());
            }
        }
        assert!((0.0385..0.0395).contains(&worst), "{worst}");
    }
}
