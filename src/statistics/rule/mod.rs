//! Rules: from figures to a verdict, one a file.
//!
//! A rule says how often it is wrong: what it takes to be supported or refuted is a test at a level. Whatever
//! lies between is inconclusive, and says what would decide it.

mod bound;
mod equivalence;
mod existence;
mod exponent;
mod linearity;
mod rate;
mod superiority;
#[cfg(test)]
mod testing;
mod trend;

pub use bound::Bound;
pub use equivalence::Equivalence;
pub use existence::Existence;
pub use exponent::Exponent;
pub use linearity::Linearity;
pub use rate::Rate;
pub use superiority::Superiority;
pub use trend::Trend;

use super::decision::{Decision, Verdict};
use super::figure::Table;
use crate::num::show::digits;
use crate::setting::Invalid;

/// The least seeds of a rule that rests on Student's interval: with fewer, one odd seed decides.
const SEEDS: usize = 5;

/// A number in a sentence.
fn show(number: f64) -> String {
    digits(number, 3)
}

/// Refuses a constant of a rule that is not above zero.
fn positive(field: &str, value: f64) -> Result<(), Invalid> {
    if value > 0.0 && value.is_finite() {
        return Ok(());
    }
    Err(Invalid::new(field, value, "a number above 0"))
}

/// Refuses two limits that do not leave room between them.
fn limits(within: f64, beyond: f64) -> Result<(), Invalid> {
    positive("within", within)?;
    if beyond >= within && beyond.is_finite() {
        return Ok(());
    }
    Err(Invalid::new("beyond", beyond, format!("a number from within = {within} up")))
}

/// Of two tests that a verdict rests on, p and level, the one that is nearer to its level.
fn weaker(one: (f64, f64), other: (f64, f64)) -> (f64, f64) {
    if other.0 / other.1 > one.0 / one.1 { other } else { one }
}

/// Figures over places that a line can be laid through: three places, [`SEEDS`], all of them finite.
/// What cannot be fitted is decided here.
fn line(figures: &[super::Figure]) -> Result<Result<Table, Decision>, Invalid> {
    let table = Table::new("figures", figures)?;
    let n = table.seeds.len();
    if n == 0 {
        return Ok(Err(Decision::not_assessed()));
    }
    if table.at.len() < 3 {
        return Err(Invalid::new("figures.at", format!("{:?}", table.at), "three places or more"));
    }
    if n < SEEDS {
        return Ok(Err(Decision::too_few(n, SEEDS, 0.05)));
    }
    let Some(at) = table.not_finite() else { return Ok(Ok(table)) };
    let diverged = table.rows.iter().filter(|row| row.iter().any(|y| !y.is_finite())).count();
    let decision = Decision {
        n,
        // If half of the seeds or more stay finite.
        p: if diverged == n { 0.5f64.powi(n as i32) } else { 1.0 },
        level: 0.05,
        why: format!("{diverged} of {n} seeds are not finite, from {} on", show(at)),
        would_change: format!("finite figures at {}", show(at)),
        ..Decision::not_assessed()
    };
    let verdict = if diverged == n { Verdict::Refuted } else { Verdict::Inconclusive };
    Ok(Err(Decision { verdict, ..decision }))
}

#[cfg(test)]
mod tests {
    use super::super::Figure;
    use super::*;

    #[test]
    fn figures_without_a_line_are_decided_before() {
        let arm = |seeds: u64, odd: u64| -> Vec<Figure> {
            let at = (0..seeds).flat_map(|seed| [1.0, 2.0, 4.0].map(|at| (seed, at)));
            let value = |seed, at| if seed < odd && at == 4.0 { f64::NAN } else { at };
            at.map(|(seed, at)| Figure { seed, at, value: value(seed, at) }).collect()
        };
        let verdict = |seeds, odd| line(&arm(seeds, odd)).unwrap().unwrap_err().verdict;
        assert!(line(&arm(5, 0)).unwrap().is_ok());
        assert_eq!(verdict(5, 5), Verdict::Refuted);
        assert_eq!(verdict(5, 2), Verdict::Inconclusive);
        assert_eq!(verdict(4, 4), Verdict::Inconclusive);
        assert_eq!(verdict(0, 0), Verdict::NotAssessed);
        let two: Vec<Figure> = arm(5, 0).into_iter().filter(|figure| figure.at < 3.0).collect();
        let refused = line(&two).unwrap_err().to_string();
        assert_eq!(refused, "figures.at = [1.0, 2.0]: allowed is three places or more");
    }
}
