//! Something happens more often in one arm than in another.

use super::show;
use crate::setting::Invalid;
use crate::statistics::distribution::hypergeometric_from;
use crate::statistics::proportion::{Share, difference, p_more};
use crate::statistics::{Decision, Verdict};

/// The first share is above the second by `supported` or more.
///
/// *Supported* if Fisher's exact p ≤ 0.01 against equal shares and the difference is `supported` or more;
/// *refuted* if Newcombe's 97.5 % bound on it is below `refuted`; *nuanced* if p ≤ 0.01 and it is refuted: more
/// often, and by less. Diverging may be what is counted.
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
    /// How often a difference of `refuted` is taken to be below it, at most. Newcombe's bound is nominally at
    /// half of that, and not exact: `verify/statistics` sums its errors up over all counts.
    pub const REFUTED: f64 = 0.05;

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
        let reaches = |n: usize| hypergeometric_from(n, n, n, 2 * n) <= Self::LEVEL;
        let needed = (1..).find(|&n| reaches(n)).unwrap_or(n);
        if n < needed {
            return Ok(Decision::too_few(n, needed, Self::LEVEL));
        }
        let (effect, p) = (a.share() - b.share(), p_more(a, b));
        let interval = difference(a, b, 0.5 * Self::REFUTED);
        let (more, less) = (p <= Self::LEVEL, interval[1] < self.refuted);
        let verdict = match (more, less) {
            (true, true) => Verdict::Nuanced,
            (false, true) => Verdict::Refuted,
            (true, false) if effect >= self.supported => Verdict::Supported,
            _ => Verdict::Inconclusive,
        };
        let clear = verdict == Verdict::Supported || less;
        Ok(Decision {
            verdict,
            effect,
            interval,
            // An interval has no p of its own: what it is known at is the level.
            p: if less { Self::REFUTED } else { p },
            level: if less { Self::REFUTED } else { Self::LEVEL },
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
            would_change: match clear {
                true => format!(
                    "a difference on the other side of {}",
                    show(if less { self.refuted } else { self.supported })
                ),
                false => "more seeds".to_string(),
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
