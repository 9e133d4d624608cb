//! Two arms are as good as each other, up to a margin.

use super::{positive, show};
use crate::setting::Invalid;
use crate::statistics::figure::pairs;
use crate::statistics::{Decision, Figure, Verdict, signed_rank};

/// The arms differ by less than `margin`.
///
/// Two one-sided tests (Schuirmann 1987) of pairs by seed, by flipping signs of ranks ([`signed_rank`]).
/// *Supported* if p ≤ 0.05 against a difference of `margin` either way; *refuted* if p ≤ 0.025 against one of
/// less, on one side; *nuanced* if it would be supported but for seeds at which one arm alone diverged.
/// Pairs that both diverged are no sign of equality: with one of them nothing is supported.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Equivalence {
    /// The least difference that counts.
    pub margin: f64,
}

impl Equivalence {
    /// The largest p at which the arms are within the margin.
    pub const LEVEL: f64 = 0.05;
    /// The largest p, on either side, at which they are not.
    pub const REFUTED: f64 = 0.025;

    /// Of the two arms' figures.
    pub fn decide(&self, a: &[Figure], b: &[Figure]) -> Result<Decision, Invalid> {
        positive("margin", self.margin)?;
        let pairs = pairs(a, b)?;
        let n = pairs.differences.len();
        if n == 0 {
            return Ok(Decision::not_assessed());
        }
        let needed = signed_rank::needed(Self::LEVEL);
        if n < needed {
            return Ok(Decision::too_few(n, needed, Self::LEVEL));
        }
        let p_of = |sign: f64, shift: f64| {
            let moved: Vec<f64> = pairs.differences.iter().map(|d| sign * d + shift).collect();
            signed_rank::p_above(&moved)
        };
        let inside = p_of(1.0, self.margin).max(p_of(-1.0, self.margin));
        let outside = p_of(1.0, -self.margin).min(p_of(-1.0, -self.margin));
        let effect = signed_rank::effect(&pairs.differences);
        let margin = show(self.margin);
        let (verdict, p, level, would_change) = if outside <= Self::REFUTED {
            (Verdict::Refuted, outside, Self::REFUTED, format!("differences within {margin}"))
        } else if inside > Self::LEVEL {
            (Verdict::Inconclusive, inside, Self::LEVEL, "more seeds".to_string())
        } else if pairs.diverged_both > 0 {
            let more = "pairs of which neither diverged".to_string();
            (Verdict::Inconclusive, inside, Self::LEVEL, more)
        } else if pairs.diverged_apart > 0 {
            let more = "arms that diverge at the same seeds or at none".to_string();
            (Verdict::Nuanced, inside, Self::LEVEL, more)
        } else {
            (Verdict::Supported, inside, Self::LEVEL, format!("differences beyond {margin}"))
        };
        Ok(Decision {
            verdict,
            effect,
            interval: signed_rank::interval(&pairs.differences, 0.05),
            p,
            level,
            n,
            why: format!(
                "a difference of {} over {n} seeds for a margin of {margin}, p = {} against one outside, {} against one within; one alone diverged in {}, both in {}",
                show(effect),
                show(inside),
                show(outside),
                pairs.diverged_apart,
                pairs.diverged_both,
            ),
            would_change,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{arm, verdict};
    use super::*;

    const RULE: Equivalence = Equivalence { margin: 0.1 };

    #[test]
    fn margins_decide() {
        let against = |middle: f64, n: usize| {
            let values: Vec<f64> = (0..n).map(|i| 1.0 + middle + 0.004 * i as f64).collect();
            RULE.decide(&arm(&vec![1.0; n]), &arm(&values))
        };
        assert_eq!(verdict(against(0.0, 5)), Verdict::Supported);
        assert_eq!(verdict(against(-0.05, 5)), Verdict::Supported);
        assert_eq!(verdict(against(0.09, 8)), Verdict::Inconclusive);
        assert_eq!(verdict(against(0.11, 8)), Verdict::Refuted);
        assert_eq!(verdict(against(-0.2, 8)), Verdict::Refuted);
        assert_eq!(against(0.0, 4).unwrap().would_change, "5 seeds");
    }

    #[test]
    fn arms_that_diverge_are_not_equal_for_that() {
        let well = arm(&[1.0; 12]);
        let with = |at: usize| {
            let mut values = [1.0; 12];
            values[..at].fill(f64::INFINITY);
            arm(&values)
        };
        assert_eq!(verdict(RULE.decide(&well, &with(1))), Verdict::Nuanced);
        assert_eq!(verdict(RULE.decide(&well, &with(12))), Verdict::Refuted);
        assert_eq!(verdict(RULE.decide(&with(12), &with(12))), Verdict::Inconclusive);
        assert_eq!(verdict(RULE.decide(&with(1), &with(1))), Verdict::Inconclusive);
    }
}
