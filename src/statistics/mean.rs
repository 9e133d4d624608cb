//! The mean of one number a seed, with Student's interval: exact where the numbers are normal.

use super::distribution::{student_above, student_quantile};

/// A mean and how well it is known.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Mean {
    /// The mean.
    pub mean: f64,
    /// Its standard error.
    pub error: f64,
    /// Degrees of freedom: one less than there are numbers.
    pub df: f64,
}

impl Mean {
    /// Of two numbers or more.
    pub fn of(numbers: &[f64]) -> Self {
        let n = numbers.len() as f64;
        // From the first, so that numbers that are all the same have no error, not even of rounding.
        let mean = numbers[0] + numbers.iter().map(|x| x - numbers[0]).sum::<f64>() / n;
        let spread = numbers.iter().map(|x| (x - mean) * (x - mean)).sum::<f64>();
        Mean { mean, error: (spread / (n - 1.0) / n).sqrt(), df: n - 1.0 }
    }

    /// Outside on either side with probability `beyond`.
    pub fn interval(self, beyond: f64) -> [f64; 2] {
        let half = self.error * student_quantile(beyond, self.df);
        [self.mean - half, self.mean + half]
    }

    /// P(a mean as far above `limit`), if the true one is `limit` or below.
    pub fn p_above(self, limit: f64) -> f64 {
        let over = self.mean - limit;
        // Numbers that are all the same have no error: at the limit they tell nothing.
        if over == 0.0 { 0.5 } else { student_above(over / self.error, self.df) }
    }

    /// P(a mean as far below `limit`), if the true one is `limit` or above.
    pub fn p_below(self, limit: f64) -> f64 {
        Mean { mean: -self.mean, ..self }.p_above(-limit)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tests_and_intervals_agree() {
        let mean = Mean::of(&[1.0, 2.0, 4.0, 4.5, 7.0]);
        assert_eq!((mean.mean, mean.df), (3.7, 4.0));
        // The squares add up to 21.8, over 4 and 5.
        assert!((mean.error - f64::sqrt(1.09)).abs() < 1e-14);
        let [low, high] = mean.interval(0.05);
        // 1e-9 of relative error is far above rounding, and far below what would be a mistake.
        assert!((mean.p_above(low) / 0.05 - 1.0).abs() < 1e-9);
        assert!((mean.p_below(high) / 0.05 - 1.0).abs() < 1e-9);
        assert!((mean.p_above(1.0) + mean.p_below(1.0) - 1.0).abs() < 1e-12);
    }

    #[test]
    fn numbers_that_are_all_the_same_are_known() {
        let mean = Mean::of(&[0.1; 3]);
        assert_eq!(mean.interval(0.05), [0.1, 0.1]);
        assert_eq!((mean.p_above(0.0), mean.p_above(0.1), mean.p_above(1.0)), (0.0, 0.5, 1.0));
    }
}
