//! An inequality holds in every trial.

use super::show;
use crate::setting::Invalid;
use crate::statistics::distribution::binomial_from;
use crate::statistics::{Decision, Verdict};

/// No value is above `limit` by more than `slack`.
///
/// One value above, or one that is not a number, *refutes* it: there is no chance of error in that. None in n
/// trials *supports* that it happens in less than `rate` of them, if that many would show one with
/// probability 0.95: n ≥ ln 0.05 / ln(1 − rate), about 3/rate.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Bound {
    /// What values are at most.
    pub limit: f64,
    /// What rounding may add to them, derived where the claim is written.
    pub slack: f64,
    /// The share of trials that is ruled out.
    pub rate: f64,
}

impl Bound {
    /// How often a share of `rate` shows in no trial.
    pub const LEVEL: f64 = 0.05;

    /// Of the trials' values.
    pub fn decide(&self, values: &[f64]) -> Result<Decision, Invalid> {
        if !self.limit.is_finite() {
            return Err(Invalid::new("limit", self.limit, "a finite number"));
        }
        if !(self.slack >= 0.0 && self.slack.is_finite()) {
            return Err(Invalid::new("slack", self.slack, "a number from 0 up"));
        }
        if !(self.rate > 0.0 && self.rate < 1.0) {
            return Err(Invalid::new("rate", self.rate, "above 0 and below 1"));
        }
        let n = values.len();
        if n == 0 {
            return Ok(Decision::not_assessed());
        }
        let holds = |value: f64| value <= self.limit + self.slack;
        let limit = show(self.limit);
        // The largest value, and a NaN before any.
        let worst = values.iter().copied().reduce(|a, b| if b > a || b.is_nan() { b } else { a });
        let worst = worst.unwrap_or(f64::NAN);
        if let Some(at) = values.iter().position(|&value| !holds(value)) {
            let against = values.iter().filter(|&&value| !holds(value)).count();
            return Ok(Decision {
                verdict: Verdict::Refuted,
                effect: worst - self.limit,
                interval: [worst - self.limit; 2],
                p: 0.0,
                level: Self::LEVEL,
                n,
                why: format!(
                    "{against} of {n} trials are above {limit}, the first is {at} with {}",
                    show(values[at])
                ),
                would_change: "a fault in the counterexample".to_string(),
            });
        }
        let p = 1.0 - binomial_from(1, n, self.rate);
        let below = 1.0 - Self::LEVEL.powf(1.0 / n as f64);
        let supported = p <= Self::LEVEL;
        let needed = (Self::LEVEL.ln() / (-self.rate).ln_1p()).ceil();
        Ok(Decision {
            verdict: if supported { Verdict::Supported } else { Verdict::Inconclusive },
            effect: worst - self.limit,
            interval: [f64::NEG_INFINITY, worst - self.limit],
            p,
            level: Self::LEVEL,
            n,
            why: format!(
                "none of {n} trials is above {limit}, the largest is {}: fewer than {} of all are",
                show(worst),
                show(below)
            ),
            would_change: match supported {
                true => "one counterexample".to_string(),
                false => format!("{needed} trials, or one counterexample"),
            },
        })
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::verdict;
    use super::*;

    const RULE: Bound = Bound { limit: 1.0, slack: 0.01, rate: 0.01 };

    #[test]
    fn one_counterexample_is_enough() {
        assert_eq!(verdict(RULE.decide(&[1.01; 299])), Verdict::Supported);
        let short = RULE.decide(&[1.0; 298]).unwrap();
        assert_eq!(short.verdict, Verdict::Inconclusive);
        assert_eq!(short.would_change, "299 trials, or one counterexample");
        for odd in [1.02, f64::NAN, f64::INFINITY] {
            let mut values = [0.0; 300];
            values[7] = odd;
            let found = RULE.decide(&values).unwrap();
            assert_eq!((found.verdict, found.p), (Verdict::Refuted, 0.0), "{odd}");
            assert!(found.why.contains("the first is 7"), "{}", found.why);
        }
        assert_eq!(verdict(RULE.decide(&[f64::NEG_INFINITY; 299])), Verdict::Supported);
        assert_eq!(verdict(RULE.decide(&[])), Verdict::NotAssessed);
        assert!(Bound { slack: f64::NAN, ..RULE }.decide(&[]).is_err());
    }
}
