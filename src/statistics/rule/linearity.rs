//! A straight line: y = a + b·x.

use super::{limits, line, show};
use crate::setting::Invalid;
use crate::statistics::line::departures;
use crate::statistics::mean::Mean;
use crate::statistics::{Decision, Figure, Verdict};

/// No place departs from the least-squares line by more than a share of what the line is at the last.
///
/// A departure a seed and place, Student's tests of their means. *Supported* if at every place p ≤ 0.05 against
/// departures of `within` either way; *refuted* if at one place p ≤ 0.025, over the number of places, against
/// departures of `beyond` or less on one side. R² is not asked: a flat line has none. Figures that are not finite in every seed refute any line.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Linearity {
    /// The share that a place may depart by, usually 0.02.
    pub within: f64,
    /// The share that a place surely departs by when the claim falls, usually 0.10.
    pub beyond: f64,
}

impl Linearity {
    /// The largest p at which all places are within the limits.
    pub const LEVEL: f64 = 0.05;
    /// The largest p, on either side, at which one is beyond them.
    pub const REFUTED: f64 = 0.025;

    /// Of figures over `at`.
    pub fn decide(&self, figures: &[Figure]) -> Result<Decision, Invalid> {
        limits(self.within, self.beyond)?;
        let table = match line(figures)? {
            Ok(table) => table,
            Err(decided) => return Ok(decided),
        };
        let (n, last) = (table.seeds.len(), table.at.len() - 1);
        let off = departures(&table.at, &table.rows);
        let ends: Vec<f64> = table.rows.iter().zip(&off).map(|(y, d)| y[last] - d[last]).collect();
        let end = Mean::of(&ends);
        if end.p_above(0.0).min(end.p_below(0.0)) > Self::REFUTED {
            return Ok(Decision {
                verdict: Verdict::Inconclusive,
                n,
                why: format!(
                    "the line may be zero at {}: there is no share of it",
                    show(table.at[last])
                ),
                would_change: "more seeds, or places further on".to_string(),
                ..Decision::not_assessed()
            });
        }
        let share = |at: usize| {
            Mean::of(&off.iter().map(|row| row[at] / end.mean.abs()).collect::<Vec<_>>())
        };
        let shares: Vec<Mean> = (0..=last).map(share).collect();
        let p_within = |m: &Mean| m.p_above(-self.within).max(m.p_below(self.within));
        let p_beyond = |m: &Mean| m.p_above(self.beyond).min(m.p_below(-self.beyond));
        let within = shares.iter().map(p_within).fold(0.0, f64::max);
        let beyond = shares.iter().map(p_beyond).fold(1.0, f64::min) * shares.len() as f64;
        let (verdict, p, level) = if within <= Self::LEVEL {
            (Verdict::Supported, within, Self::LEVEL)
        } else if beyond <= Self::REFUTED {
            (Verdict::Refuted, beyond, Self::REFUTED)
        } else {
            (Verdict::Inconclusive, within, Self::LEVEL)
        };
        let larger =
            |a: usize, b: usize| if shares[b].mean.abs() > shares[a].mean.abs() { b } else { a };
        let worst = (0..=last).fold(0, larger);
        Ok(Decision {
            verdict,
            effect: shares[worst].mean,
            interval: shares[worst].interval(0.025),
            p: p.min(1.0),
            level,
            n,
            why: format!(
                "over {n} seeds {} departs most, by {} of the line at {}",
                show(table.at[worst]),
                show(shares[worst].mean),
                show(table.at[last])
            ),
            would_change: match verdict {
                Verdict::Supported => format!("a place off by {} or more", show(self.within)),
                Verdict::Refuted => format!("no place off by {} or more", show(self.beyond)),
                _ => "more seeds, or places further apart".to_string(),
            },
        })
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{over, verdict};
    use super::*;

    const AT: [f64; 5] = [2.0, 4.0, 8.0, 16.0, 32.0];
    const RULE: Linearity = Linearity { within: 0.02, beyond: 0.1 };

    fn of(law: impl Fn(f64) -> f64) -> Vec<Figure> {
        let row = |seed: i32| AT.map(|x| law(x) * (1.0 + 0.01 * f64::from(seed))).to_vec();
        over(&AT, &(0..5).map(row).collect::<Vec<_>>())
    }

    #[test]
    fn lines_decide_also_flat_ones() {
        assert_eq!(verdict(RULE.decide(&of(|x| 1.0 + 1.1 * x))), Verdict::Supported);
        assert_eq!(verdict(RULE.decide(&of(|_| 3.0))), Verdict::Supported);
        assert_eq!(verdict(RULE.decide(&of(|x| 40.0 - x))), Verdict::Supported);
        // Off by 6 % at the first place.
        assert_eq!(verdict(RULE.decide(&of(f64::sqrt))), Verdict::Inconclusive);
        assert_eq!(verdict(RULE.decide(&of(|x| x * x))), Verdict::Refuted);
        assert_eq!(verdict(RULE.decide(&of(f64::exp))), Verdict::Refuted);
        // A line through zero at the last place, where seeds lie on both sides.
        let row = |seed: i32| AT.map(|x| x - 32.0 + f64::from(seed - 2)).to_vec();
        let zero = over(&AT, &(0..5).map(row).collect::<Vec<_>>());
        assert_eq!(verdict(RULE.decide(&zero)), Verdict::Inconclusive);
        assert_eq!(verdict(RULE.decide(&of(|_| f64::NAN))), Verdict::Refuted);
    }
}
