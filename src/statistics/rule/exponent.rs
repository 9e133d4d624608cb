//! A power law: y grows as x to a given exponent.

use super::{limits, line, show};
use crate::setting::Invalid;
use crate::statistics::line::{local_slopes, p_straight, slopes};
use crate::statistics::mean::Mean;
use crate::statistics::{Decision, Figure, Verdict};

/// The slope of ln y over ln x is `exponent`.
///
/// A slope a seed, Student's tests of their mean. *Supported* if p ≤ 0.05 against slopes off by `within` either
/// way; *refuted* if p ≤ 0.025 against slopes off by `beyond` or less, on one side. Where the means do not lie
/// on a line (p ≤ 0.01) there is no one exponent: the slopes between neighbouring places are held to the same
/// limits, and if some are inside or undecided and others not, the claim is *nuanced*.
/// Figures that are not finite in every seed refute any power.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Exponent {
    /// The claimed one.
    pub exponent: f64,
    /// How far off a slope may be, usually 0.10.
    pub within: f64,
    /// What a slope is surely off by when the claim falls, usually 0.15.
    pub beyond: f64,
}

impl Exponent {
    /// The largest p at which a slope is within the limits.
    pub const LEVEL: f64 = 0.05;
    /// The largest p, on either side, at which it is beyond them.
    pub const REFUTED: f64 = 0.025;
    /// The largest p at which the means do not lie on a line.
    pub const CURVED: f64 = 0.01;

    fn p_within(&self, slope: Mean) -> f64 {
        let [low, high] = [self.exponent - self.within, self.exponent + self.within];
        slope.p_above(low).max(slope.p_below(high))
    }

    fn p_beyond(&self, slope: Mean) -> f64 {
        let [low, high] = [self.exponent - self.beyond, self.exponent + self.beyond];
        slope.p_below(low).min(slope.p_above(high))
    }

    /// Of figures over `at`, both above zero.
    pub fn decide(&self, figures: &[Figure]) -> Result<Decision, Invalid> {
        limits(self.within, self.beyond)?;
        if !self.exponent.is_finite() {
            return Err(Invalid::new("exponent", self.exponent, "a finite number"));
        }
        for figure in figures {
            for (field, value) in [("figures.at", figure.at), ("figures.value", figure.value)] {
                // A diverged run has whatever value that is not finite.
                if value.is_finite() && value <= 0.0 {
                    let value = format!("{value} for seed {}", figure.seed);
                    return Err(Invalid::new(field, value, "above 0, to have a logarithm"));
                }
            }
        }
        let table = match line(figures)? {
            Ok(table) => table,
            Err(decided) => return Ok(decided),
        };
        let ln = |numbers: &[f64]| -> Vec<f64> { numbers.iter().map(|x| x.ln()).collect() };
        let x = ln(&table.at);
        let rows: Vec<Vec<f64>> = table.rows.iter().map(|row| ln(row)).collect();
        let slope = Mean::of(&slopes(&x, &rows));
        let curved = p_straight(&x, &rows);
        let local: Vec<Mean> =
            (0..x.len() - 1).map(|at| Mean::of(&local_slopes(&x, &rows, at))).collect();
        let held: &[Mean] =
            if curved <= Self::CURVED { &local } else { std::slice::from_ref(&slope) };
        let largest = |p: &dyn Fn(Mean) -> f64| held.iter().map(|&m| p(m)).fold(0.0, f64::max);
        let (within, beyond) = (largest(&|m| self.p_within(m)), largest(&|m| self.p_beyond(m)));
        let (verdict, p, level) = if within <= Self::LEVEL {
            (Verdict::Supported, within, Self::LEVEL)
        } else if beyond <= Self::REFUTED {
            (Verdict::Refuted, beyond, Self::REFUTED)
        } else if held.len() > 1 {
            (Verdict::Nuanced, curved, Self::CURVED)
        } else {
            (Verdict::Inconclusive, within, Self::LEVEL)
        };
        let at = |slope: f64| show((slope * 1e3).round() / 1e3);
        let between: Vec<String> = local.iter().map(|slope| at(slope.mean)).collect();
        let shape = match held.len() {
            1 => format!("on a line (p = {})", show(curved)),
            _ => format!(
                "on no line (p = {}), from place to place {}",
                show(curved),
                between.join(", ")
            ),
        };
        Ok(Decision {
            verdict,
            effect: slope.mean,
            interval: slope.interval(0.025),
            p,
            level,
            n: table.seeds.len(),
            why: format!(
                "exponent {} for {} over {} seeds, {shape}",
                at(slope.mean),
                show(self.exponent),
                table.seeds.len()
            ),
            would_change: match verdict {
                Verdict::Inconclusive => "more seeds, or places further apart".to_string(),
                Verdict::Nuanced => "places over which it is one exponent".to_string(),
                Verdict::Supported => format!("a slope off by {} or more", show(self.within)),
                _ => format!("a slope off by {} or less", show(self.beyond)),
            },
        })
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{over, verdict};
    use super::*;

    const AT: [f64; 5] = [8.0, 16.0, 32.0, 64.0, 128.0];
    const RULE: Exponent = Exponent { exponent: -0.5, within: 0.1, beyond: 0.15 };

    /// Five seeds of a law, which differ a little in size and slope.
    fn of(law: impl Fn(f64) -> f64) -> Vec<Figure> {
        let row = |seed: i32| {
            let slope = 0.004 * f64::from(seed - 2);
            AT.map(|x| (1.0 + 0.3 * f64::from(seed)) * law(x) * x.powf(slope)).to_vec()
        };
        over(&AT, &(0..5).map(row).collect::<Vec<_>>())
    }

    #[test]
    fn powers_decide() {
        let power = |slope: f64| verdict(RULE.decide(&of(|x| x.powf(slope))));
        assert_eq!(power(-0.5), Verdict::Supported);
        assert_eq!(power(-0.42), Verdict::Supported);
        assert_eq!(power(-0.37), Verdict::Inconclusive);
        assert_eq!(power(-0.3), Verdict::Refuted);
        assert_eq!(power(-0.7), Verdict::Refuted);
        let found = RULE.decide(&of(|x| x.powf(-0.5))).unwrap();
        assert!((found.effect + 0.5).abs() < 1e-12, "{found:?}");
    }

    #[test]
    fn a_curve_has_local_exponents() {
        // From −0.14 to −0.86 over the places.
        let bent = RULE.decide(&of(|x| (-0.13 * (x / 32.0).ln().powi(2)).exp() * x.powf(-0.5)));
        assert_eq!(bent.as_ref().unwrap().verdict, Verdict::Nuanced, "{bent:?}");
        // A curve all of which is near is supported, all of which is far is refuted.
        let slightly =
            |slope: f64| of(move |x| (-0.01 * (x / 32.0).ln().powi(2)).exp() * x.powf(slope));
        assert_eq!(verdict(RULE.decide(&slightly(-0.5))), Verdict::Supported);
        assert_eq!(verdict(RULE.decide(&slightly(-1.0))), Verdict::Refuted);
        assert!(RULE.decide(&slightly(-1.0)).unwrap().why.contains("on no line"));
    }

    #[test]
    fn what_diverges_follows_no_power_and_zero_is_refused() {
        let overflown = of(|x| if x > 60.0 { f64::INFINITY } else { x });
        let found = RULE.decide(&overflown).unwrap();
        assert_eq!(found.verdict, Verdict::Refuted);
        assert_eq!(found.why, "5 of 5 seeds are not finite, from 64 on");
        let line = RULE.decide(&of(|_| 0.0)).unwrap_err().to_string();
        assert_eq!(line, "figures.value = 0 for seed 0: allowed is above 0, to have a logarithm");
        let rule = Exponent { beyond: 0.05, ..RULE };
        let line = rule.decide(&of(|x| x)).unwrap_err().to_string();
        assert_eq!(line, "beyond = 0.05: allowed is a number from within = 0.1 up");
    }
}
