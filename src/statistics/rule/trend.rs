//! Something rises, or falls, from place to place.

use super::show;
use crate::setting::Invalid;
use crate::statistics::figure::Table;
use crate::statistics::order::{needed, p_rising};
use crate::statistics::{Decision, Figure, Verdict, signed_rank};

/// Values rise with the place, or fall if `rising` is false.
///
/// The order within seeds ([`order`](crate::statistics::order)), exactly. *Supported* if p ≤ 0.01 against no order,
/// *refuted* if p ≤ 0.025 for the opposite one; *nuanced* if it is supported and yet one step between neighbouring
/// places surely goes the other way (signs of ranks, p ≤ 0.01 over the number of steps).
/// Diverged runs have the largest value of all.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Trend {
    /// Whether values are claimed to rise.
    pub rising: bool,
}

impl Trend {
    /// The largest p at which there is a trend.
    pub const LEVEL: f64 = 0.01;
    /// The largest p at which there is the opposite one.
    pub const REFUTED: f64 = 0.025;

    /// Of figures over `at`.
    pub fn decide(&self, figures: &[Figure]) -> Result<Decision, Invalid> {
        let table = Table::new("figures", figures)?;
        let (n, places) = (table.seeds.len(), table.at.len());
        if n == 0 {
            return Ok(Decision::not_assessed());
        }
        if places < 2 {
            return Err(Invalid::new(
                "figures.at",
                format!("{:?}", table.at),
                "two places or more",
            ));
        }
        let least = needed(places, Self::LEVEL);
        if n < least {
            return Ok(Decision::too_few(n, least, Self::LEVEL));
        }
        let turned = |sign: f64| -> Vec<Vec<f64>> {
            table.rows.iter().map(|row| row.iter().map(|y| sign * y).collect()).collect()
        };
        let sign = if self.rising { 1.0 } else { -1.0 };
        let (p, against) = (p_rising(&turned(sign)), p_rising(&turned(-sign)));
        // From one place to another, a seed; ∞ − ∞ is no step.
        let steps = |from: usize, to: usize| -> Vec<f64> {
            let step =
                |row: &Vec<f64>| if row[to] == row[from] { 0.0 } else { row[to] - row[from] };
            table.rows.iter().map(step).collect()
        };
        let back = |at: &usize| {
            let steps: Vec<f64> = steps(*at, at + 1).iter().map(|step| -sign * step).collect();
            signed_rank::p_above(&steps) * (places - 1) as f64 <= Self::LEVEL
        };
        let turns = (0..places - 1).find(back);
        let (verdict, p, level) = match turns {
            _ if against <= Self::REFUTED => (Verdict::Refuted, against, Self::REFUTED),
            _ if p > Self::LEVEL => (Verdict::Inconclusive, p, Self::LEVEL),
            Some(_) => (Verdict::Nuanced, p, Self::LEVEL),
            None => (Verdict::Supported, p, Self::LEVEL),
        };
        let whole = steps(0, places - 1);
        let turn = turns.filter(|_| verdict == Verdict::Nuanced).map_or(String::new(), |at| {
            format!(", the other way from {} to {}", show(table.at[at]), show(table.at[at + 1]))
        });
        Ok(Decision {
            verdict,
            effect: signed_rank::effect(&whole),
            interval: signed_rank::interval(&whole, 0.025),
            p,
            level,
            n,
            why: format!(
                "{} from {} to {} over {n} seeds, p = {} against no order{turn}",
                show(signed_rank::effect(&whole)),
                show(table.at[0]),
                show(table.at[places - 1]),
                show(p)
            ),
            would_change: match verdict {
                Verdict::Inconclusive => "more seeds or places".to_string(),
                _ => "another order within seeds".to_string(),
            },
        })
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{over, verdict};
    use super::*;

    const AT: [f64; 4] = [1.0, 2.0, 4.0, 8.0];

    fn of(seeds: usize, values: [f64; 4]) -> Vec<Figure> {
        let row = |seed: usize| values.map(|y| y + 0.01 * (seed as f64) * y.abs()).to_vec();
        over(&AT, &(0..seeds).map(row).collect::<Vec<_>>())
    }

    #[test]
    fn orders_decide() {
        let rises = Trend { rising: true };
        let falls = Trend { rising: false };
        let up = of(3, [1.0, 2.0, 3.0, 4.0]);
        assert_eq!(verdict(rises.decide(&up)), Verdict::Supported);
        assert_eq!(verdict(falls.decide(&up)), Verdict::Refuted);
        assert_eq!(verdict(rises.decide(&of(3, [2.0, 4.0, 1.0, 3.0]))), Verdict::Inconclusive);
        // Nine seeds agree that it turns at the end.
        let turning = rises.decide(&of(9, [1.0, 2.0, 4.0, 3.0])).unwrap();
        assert_eq!(turning.verdict, Verdict::Nuanced);
        assert!(turning.why.ends_with("the other way from 4 to 8"), "{}", turning.why);
        assert_eq!(rises.decide(&of(1, [1.0, 2.0, 3.0, 4.0])).unwrap().would_change, "2 seeds");
    }

    #[test]
    fn diverging_is_rising() {
        let rises = Trend { rising: true };
        let up = of(3, [1.0, 2.0, 3.0, f64::NAN]);
        let found = rises.decide(&up).unwrap();
        assert_eq!((found.verdict, found.effect), (Verdict::Supported, f64::INFINITY));
        assert_eq!(verdict(rises.decide(&of(5, [f64::INFINITY; 4]))), Verdict::Inconclusive);
        assert_eq!(verdict(rises.decide(&[])), Verdict::NotAssessed);
        // From diverged to diverged is no step.
        let ends = rises.decide(&of(9, [f64::INFINITY, 1.0, 2.0, f64::NAN])).unwrap();
        assert_eq!((ends.effect, ends.interval), (0.0, [0.0, 0.0]));
    }
}
