//! Something happens more often in one arm than in another.

use super::{show, weaker};
use crate::setting::Invalid;
use crate::statistics::distribution::hypergeometric_from;
use crate::statistics::proportion::{Share, difference, p_less, p_more};
use crate::statistics::{Decision, Verdict};

/// The first share is above the second by `supported` or more.
///
/// *Supported* if Fisher's exact p ≤ 0.01 against equal shares and the difference is `supported` or more;
/// *refuted* if Newcombe's 97.5 % bound on it is below `refuted`, and so low with p ≤ 0.025 exactly; *nuanced* if
/// both are so: more often, and by less. Diverging may be what is counted.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Rate {
    /// The least difference of shares that counts, usually 0.5.
    pub supported: f64,
    /// What the difference is surely below when the claim falls, usually 0.25.
    pub refuted: f64,
}

impl Rate {
    /// The largest p at which the shares differ.
    pub const LEVEL: f64 = 0.01;
    /// The largest p at which the difference is below `refuted`.
    pub const REFUTED: f64 = 0.025;

    /// Of the two arms' counts.
    pub fn decide(&self, a: Share, b: Share) -> Result<Decision, Invalid> {
        for (field, value) in [("supported", self.supported), ("refuted", self.refuted)] {
            if !(value > 0.0 && value <= 1.0) {
                return Err(Invalid::new(field, value, "above 0 and at most 1"));
            }
        }
        if self.refuted > self.supported {
            let allowed = format!("at most supported = {}", self.supported);
            return Err(Invalid::new("refuted", self.refuted, allowed));
        }
        a.check("a")?;
        b.check("b")?;
        let n = a.of.min(b.of);
        if n == 0 {
            return Ok(Decision::not_assessed());
        }
        // All against none.
        let best = |n: usize, m: usize| hypergeometric_from(n, n, n, n + m);
        if best(a.of, b.of) > Self::LEVEL {
            let needed = (1..).find(|&n| best(n, n) <= Self::LEVEL).unwrap_or(n);
            return Ok(Decision::too_few(n, needed, Self::LEVEL));
        }
        let (effect, p) = (a.share() - b.share(), p_more(a, b));
        let interval = difference(a, b, Self::REFUTED);
        // The bound is quickly had; its exact p takes a sum over all counts.
        let p_less = if interval[1] < self.refuted { p_less(a, b, self.refuted) } else { 1.0 };
        let (more, less) = (p <= Self::LEVEL, p_less <= Self::REFUTED);
        let clear = (p, Self::LEVEL);
        let (verdict, (p_of, level)) = match (more, less) {
            (true, true) => (Verdict::Nuanced, weaker(clear, (p_less, Self::REFUTED))),
            (false, true) => (Verdict::Refuted, (p_less, Self::REFUTED)),
            (true, false) if effect >= self.supported => (Verdict::Supported, clear),
            _ => (Verdict::Inconclusive, clear),
        };
        Ok(Decision {
            verdict,
            effect,
            interval,
            p: p_of,
            level,
            n,
            why: format!(
                "{} of {} against {} of {}, p = {} against equal shares, a difference of at most {}",
                a.hits,
                a.of,
                b.hits,
                b.of,
                show(p),
                show(interval[1]),
            ),
            would_change: match verdict {
                Verdict::Supported => format!("a difference below {}", show(self.supported)),
                Verdict::Inconclusive => "more seeds".to_string(),
                _ => format!("a difference of {} or more", show(self.refuted)),
            },
        })
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::verdict;
    use super::*;

    const RULE: Rate = Rate { supported: 0.5, refuted: 0.25 };

    fn decide(a: (usize, usize), b: (usize, usize)) -> Result<Decision, Invalid> {
        let share = |(hits, of)| Share { hits, of };
        RULE.decide(share(a), share(b))
    }

    #[test]
    fn shares_decide() {
        assert_eq!(verdict(decide((5, 5), (0, 5))), Verdict::Supported);
        assert_eq!(verdict(decide((4, 5), (0, 5))), Verdict::Inconclusive);
        assert_eq!(verdict(decide((20, 20), (2, 20))), Verdict::Supported);
        assert_eq!(verdict(decide((0, 20), (0, 20))), Verdict::Refuted);
        assert_eq!(verdict(decide((0, 20), (20, 20))), Verdict::Refuted);
        assert_eq!(verdict(decide((150, 1000), (50, 1000))), Verdict::Nuanced);
        assert_eq!(decide((4, 4), (0, 4)).unwrap().would_change, "5 seeds");
        assert_eq!(verdict(decide((4, 4), (0, 50))), Verdict::Supported);
        // Surely more, and it may be by 0.25 or by 0.5.
        assert_eq!(verdict(decide((12, 20), (3, 20))), Verdict::Inconclusive);
        assert_eq!(verdict(decide((0, 0), (0, 5))), Verdict::NotAssessed);
    }

    #[test]
    fn nonsense_is_refused() {
        let line = decide((6, 5), (0, 5)).unwrap_err().to_string();
        assert_eq!(line, "a.hits = 6: allowed is 0 to 5, of which they are");
        let rule = Rate { supported: 0.2, refuted: 0.25 };
        let share = Share { hits: 1, of: 5 };
        let line = rule.decide(share, share).unwrap_err().to_string();
        assert_eq!(line, "refuted = 0.25: allowed is at most supported = 0.2");
    }
}
