//! Something can be done: at some rate of a grid, runs reach a loss.

use super::show;
use crate::setting::Invalid;
use crate::statistics::distribution::binomial_from;
use crate::statistics::figure::Table;
use crate::statistics::proportion::Share;
use crate::statistics::{Decision, Figure, Verdict};

/// At some place of a grid (a learning rate) a run's value is `limit` or below.
///
/// *Supported* if at one place so many seeds are that p ≤ 0.05, over the number of places, against
/// a share of 0.3: four of five at one place, five of five at up to twenty. *Refuted* if no run is, over the whole
/// grid, with so many seeds that half of them at some place would show with probability 0.95: five. A run that
/// diverged does not reach the limit.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Existence {
    /// What a run must reach.
    pub limit: f64,
}

impl Existence {
    /// The largest p of either verdict.
    pub const LEVEL: f64 = 0.05;
    /// A share of seeds that is luck rather than ability.
    pub const LUCK: f64 = 0.3;
    /// A share of seeds that is ability.
    pub const ABLE: f64 = 0.5;

    /// Of figures over the grid, the smaller the better.
    pub fn decide(&self, figures: &[Figure]) -> Result<Decision, Invalid> {
        if !self.limit.is_finite() {
            return Err(Invalid::new("limit", self.limit, "a finite number"));
        }
        let table = Table::new("figures", figures)?;
        let (n, places) = (table.seeds.len(), table.at.len());
        if n == 0 {
            return Ok(Decision::not_assessed());
        }
        let none = |n: usize| 1.0 - binomial_from(1, n, Self::ABLE);
        let lucky = |k: usize, n: usize| binomial_from(k, n, Self::LUCK) * places as f64;
        let needed = (1..).find(|&n| none(n).max(lucky(n, n)) <= Self::LEVEL).unwrap_or(n);
        if n < needed {
            return Ok(Decision::too_few(n, needed, Self::LEVEL));
        }
        let hits = |at: usize| table.rows.iter().filter(|row| row[at] <= self.limit).count();
        let (hits, at) = (0..places).map(|at| (hits(at), at)).max().unwrap_or_default();
        let p = lucky(hits, n).min(1.0);
        let (verdict, p) = match hits {
            0 => (Verdict::Refuted, none(n)),
            _ if p <= Self::LEVEL => (Verdict::Supported, p),
            _ => (Verdict::Inconclusive, p),
        };
        let share = Share { hits, of: n };
        let reached = match hits {
            0 => "at none".to_string(),
            hits => format!("{hits} of {n} at {}", show(table.at[at])),
        };
        Ok(Decision {
            verdict,
            effect: share.share(),
            interval: share.interval(0.025),
            p,
            level: Self::LEVEL,
            n,
            why: format!("{n} seeds at {places} places: {reached} reach {}", show(self.limit)),
            would_change: match verdict {
                Verdict::Supported => "a share of three in ten or less".to_string(),
                Verdict::Refuted => "one run that does, or other places".to_string(),
                _ => "more seeds at the best place".to_string(),
            },
        })
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{over, verdict};
    use super::*;

    const RULE: Existence = Existence { limit: 2.0 };

    /// Five places; at the third, so many of the seeds reach the limit.
    fn grid(hits: usize, of: usize, places: usize) -> Vec<Figure> {
        let at: Vec<f64> = (0..places).map(|at| at as f64).collect();
        let row = |seed: usize| {
            let mut row = vec![f64::NAN; places];
            row[places / 2] = if seed < hits { 2.0 } else { 2.1 };
            row
        };
        over(&at, &(0..of).map(row).collect::<Vec<_>>())
    }

    #[test]
    fn seeds_and_places_decide() {
        assert_eq!(verdict(RULE.decide(&grid(5, 5, 5))), Verdict::Supported);
        assert_eq!(verdict(RULE.decide(&grid(4, 5, 1))), Verdict::Supported);
        assert_eq!(verdict(RULE.decide(&grid(4, 5, 5))), Verdict::Inconclusive);
        assert_eq!(verdict(RULE.decide(&grid(1, 5, 5))), Verdict::Inconclusive);
        let none = RULE.decide(&grid(0, 5, 5)).unwrap();
        assert_eq!((none.verdict, none.p), (Verdict::Refuted, 0.03125));
        assert_eq!(RULE.decide(&grid(3, 3, 5)).unwrap().would_change, "5 seeds");
        assert_eq!(RULE.decide(&grid(5, 5, 21)).unwrap().would_change, "6 seeds");
    }
}
