//! One arm is better than another by a margin.

use super::{positive, show, weaker};
use crate::setting::Invalid;
use crate::statistics::figure::pairs;
use crate::statistics::{Decision, Figure, Verdict, signed_rank};

/// The first arm's values are below the second's by `margin` or more.
///
/// Pairs by seed, signs of ranks flipped ([`signed_rank`]). *Supported* if p ≤ 0.01 against no effect and
/// the effect is `margin` or more; *refuted* if p ≤ 0.025 against an effect of `margin`; *nuanced* if both are
/// so: better, and by less. A run that diverged is worse than any that did not, and ties with one that did.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Superiority {
    /// The least difference that counts.
    pub margin: f64,
}

impl Superiority {
    /// The largest p at which there is an effect.
    pub const LEVEL: f64 = 0.01;
    /// The largest p at which it is below the margin.
    pub const REFUTED: f64 = 0.025;

    /// Of the two arms' figures, the smaller the better.
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
        let margin = show(self.margin);
        let short: Vec<f64> = pairs.differences.iter().map(|d| self.margin - d).collect();
        let (p, p_short) = (signed_rank::p_above(&pairs.differences), signed_rank::p_above(&short));
        let effect = signed_rank::effect(&pairs.differences);
        let (better, less) = (p <= Self::LEVEL, p_short <= Self::REFUTED);
        let clear = (p, Self::LEVEL);
        let (verdict, (p_of, level)) = match (better, less) {
            (true, true) => (Verdict::Nuanced, weaker(clear, (p_short, Self::REFUTED))),
            (false, true) => (Verdict::Refuted, (p_short, Self::REFUTED)),
            (true, false) if effect >= self.margin => (Verdict::Supported, clear),
            _ => (Verdict::Inconclusive, clear),
        };
        let would_change = match verdict {
            Verdict::Supported => format!("an effect below {margin}, or seeds that disagree"),
            Verdict::Inconclusive => format!("more seeds, or an effect further from {margin}"),
            _ => format!("effects of {margin} or more"),
        };
        let said = match verdict {
            Verdict::Nuanced => "better, by less than the margin",
            Verdict::Refuted => "not better by the margin",
            Verdict::Supported => "better by the margin",
            _ => "not told apart",
        };
        Ok(Decision {
            verdict,
            effect,
            interval: signed_rank::interval(&pairs.differences, 0.025),
            p: p_of,
            level,
            n,
            why: format!(
                "{said}: {} of {margin} over {n} seeds, p = {} against none, {} against {margin}; one alone diverged in {}",
                show(effect),
                show(p),
                show(p_short),
                pairs.diverged_apart,
            ),
            would_change,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{arm, verdict};
    use super::*;

    #[test]
    fn margins_decide() {
        let rule = Superiority { margin: 0.1 };
        let against = |differences: &[f64]| {
            rule.decide(
                &arm(&vec![1.0; differences.len()]),
                &arm(&differences.iter().map(|d| 1.0 + d).collect::<Vec<_>>()),
            )
        };
        let spread =
            |middle: f64| -> Vec<f64> { (0..8).map(|i| middle + 0.004 * f64::from(i)).collect() };
        assert_eq!(verdict(against(&spread(0.2))), Verdict::Supported);
        assert_eq!(verdict(against(&spread(0.03))), Verdict::Nuanced);
        assert_eq!(verdict(against(&spread(-0.01))), Verdict::Refuted);
        assert_eq!(verdict(against(&spread(-0.5))), Verdict::Refuted);
        assert_eq!(verdict(against(&spread(0.085))), Verdict::Inconclusive);
        assert_eq!(verdict(against(&[])), Verdict::NotAssessed);
        let six = against(&spread(0.2)[..6]).unwrap();
        assert_eq!((six.verdict, &*six.would_change), (Verdict::Inconclusive, "7 seeds"));
    }

    #[test]
    fn a_verdict_of_two_tests_has_the_p_that_is_nearer_to_its_level() {
        let rule = Superiority { margin: 0.1 };
        // Of what is short of the margin only rank 2 is negative: three choices of 256 are as far.
        let of = |first: f64| {
            let differences = [first, 0.02, 0.03, 0.04, 0.05, 0.06, 0.099, 0.102];
            rule.decide(&arm(&[0.0; 8]), &arm(&differences)).unwrap()
        };
        let (all, one_less) = (of(0.01), of(-0.005));
        assert_eq!((all.verdict, all.p, all.level), (Verdict::Nuanced, 3.0 / 256.0, 0.025));
        assert_eq!((one_less.verdict, one_less.p), (Verdict::Nuanced, 2.0 / 256.0));
        assert_eq!(one_less.level, 0.01);
    }

    #[test]
    fn diverged_runs_are_the_worse_ones() {
        let rule = Superiority { margin: 0.1 };
        let (well, badly) = (arm(&[1.0; 7]), arm(&[f64::NAN; 7]));
        let all = rule.decide(&well, &badly).unwrap();
        assert_eq!((all.verdict, all.effect), (Verdict::Supported, f64::INFINITY));
        assert_eq!(verdict(rule.decide(&badly, &well)), Verdict::Refuted);
        // Both diverged: nothing is better.
        assert_eq!(verdict(rule.decide(&badly, &badly)), Verdict::Refuted);
        let refused = Superiority { margin: -1.0 }.decide(&well, &badly).unwrap_err();
        assert_eq!(refused.to_string(), "margin = -1: allowed is a number above 0");
    }
}
