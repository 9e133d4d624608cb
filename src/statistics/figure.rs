//! Figures, and their layout by seed.

use std::collections::BTreeMap;

use crate::setting::Invalid;

/// One number of one run.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Figure {
    /// What its draws come of: runs of one seed are compared with each other.
    pub seed: u64,
    /// Where it was measured: a depth, a rate; any one number where there is one place.
    pub at: f64,
    /// What was measured. A value that is not finite is that of a diverged run: it is larger than any
    /// other, whatever its sign.
    pub value: f64,
}

/// Figures of one arm: a row a seed, a column a place, both in rising order.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Table {
    pub seeds: Vec<u64>,
    pub at: Vec<f64>,
    pub rows: Vec<Vec<f64>>,
}

impl Table {
    /// Every seed must have one figure at every place; `arm` is what a refusal names.
    pub fn new(arm: &str, figures: &[Figure]) -> Result<Self, Invalid> {
        let mut rows: BTreeMap<u64, Vec<(f64, f64)>> = BTreeMap::new();
        for &Figure { seed, at, value } in figures {
            if !at.is_finite() {
                return Err(Invalid::new(&format!("{arm}.at"), at, "a finite number"));
            }
            let value = if value.is_finite() { value } else { f64::INFINITY };
            // −0 and 0 are one place.
            rows.entry(seed).or_default().push((at + 0.0, value));
        }
        let mut places: Option<Vec<f64>> = None;
        for (seed, row) in &mut rows {
            row.sort_by(|a, b| a.0.total_cmp(&b.0));
            if let Some(twice) = row.windows(2).find(|two| two[0].0 == two[1].0) {
                let value = format!("{} twice for seed {seed}", twice[0].0);
                return Err(Invalid::new(&format!("{arm}.at"), value, "one figure a place"));
            }
            let own: Vec<f64> = row.iter().map(|&(at, _)| at).collect();
            let first = places.get_or_insert_with(|| own.clone());
            if *first != own {
                let value = format!("{own:?} for seed {seed}");
                let allowed = format!("the places of the other seeds, {first:?}");
                return Err(Invalid::new(&format!("{arm}.at"), value, allowed));
            }
        }
        Ok(Table {
            seeds: rows.keys().copied().collect(),
            at: places.unwrap_or_default(),
            rows: rows.into_values().map(|row| row.iter().map(|&(_, v)| v).collect()).collect(),
        })
    }

    /// The first place with a value that is not finite.
    pub fn not_finite(&self) -> Option<f64> {
        let all = self.rows.iter().flat_map(|row| self.at.iter().zip(row));
        all.filter(|(_, value)| !value.is_finite()).map(|(&at, _)| at).min_by(f64::total_cmp)
    }
}

/// Two arms by seed.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Pairs {
    /// By how much the second arm is above the first, a seed: the mean over places. ±∞ where one of
    /// the two diverged; 0 where both did, or each did somewhere.
    pub differences: Vec<f64>,
    /// The seeds at which one arm alone diverged, or each did, somewhere.
    pub diverged_apart: usize,
    /// The seeds at which both diverged at one place.
    pub diverged_both: usize,
}

/// Pairs the arms' figures by seed and place: both must have the same ones.
pub(super) fn pairs(a: &[Figure], b: &[Figure]) -> Result<Pairs, Invalid> {
    let (first, second) = (Table::new("a", a)?, Table::new("b", b)?);
    if first.seeds != second.seeds {
        let (value, allowed) = (format!("{:?}", second.seeds), format!("{:?}", first.seeds));
        return Err(Invalid::new("b.seed", value, format!("those of a, {allowed}")));
    }
    if first.at != second.at {
        let (value, allowed) = (format!("{:?}", second.at), format!("{:?}", first.at));
        return Err(Invalid::new("b.at", value, format!("those of a, {allowed}")));
    }
    let mut pairs = Pairs { differences: Vec::new(), diverged_apart: 0, diverged_both: 0 };
    for (x, y) in first.rows.iter().zip(&second.rows) {
        // ∞ − ∞: neither is better.
        let apart = |(x, y): (&f64, &f64)| if x == y { 0.0 } else { y - x };
        let sum: f64 = x.iter().zip(y).map(apart).sum();
        pairs.differences.push(if sum.is_nan() { 0.0 } else { sum / x.len() as f64 });
        pairs.diverged_apart += usize::from(!sum.is_finite());
        let both = x.iter().zip(y).any(|(x, y)| x == y && !x.is_finite());
        pairs.diverged_both += usize::from(both);
    }
    Ok(pairs)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn arm(rows: &[(u64, f64, f64)]) -> Vec<Figure> {
        rows.iter().map(|&(seed, at, value)| Figure { seed, at, value }).collect()
    }

    #[test]
    fn pairs_go_by_seed_and_place_in_whatever_order() {
        let a = arm(&[(2, 8.0, 1.0), (1, 8.0, 2.0), (1, 4.0, 4.0), (2, 4.0, 3.0)]);
        let b = arm(&[(1, 4.0, 5.0), (1, 8.0, 5.0), (2, 4.0, 3.0), (2, 8.0, 0.0)]);
        assert_eq!(pairs(&a, &b).unwrap().differences, [2.0, -0.5]);
    }

    #[test]
    fn a_run_that_diverged_is_worse_than_any_loss() {
        let places = |values: [f64; 3]| arm(&[0, 1, 2].map(|s| (s as u64, 0.0, values[s])));
        let a = places([f64::NAN, 1.0, f64::NEG_INFINITY]);
        let b = places([1e300, f64::INFINITY, f64::NAN]);
        let found = pairs(&a, &b).unwrap();
        assert_eq!(found.differences, [f64::NEG_INFINITY, f64::INFINITY, 0.0]);
        assert_eq!((found.diverged_apart, found.diverged_both), (2, 1));
        // Each diverged at one of two places: neither is better.
        let a = arm(&[(0, 0.0, f64::NAN), (0, 1.0, 1.0)]);
        let b = arm(&[(0, 0.0, 1.0), (0, 1.0, f64::NAN)]);
        assert_eq!(pairs(&a, &b).unwrap().differences, [0.0]);
        assert_eq!(pairs(&a, &b).unwrap().diverged_apart, 1);
    }

    #[test]
    fn what_does_not_pair_is_refused_in_a_line() {
        let one = arm(&[(0, 1.0, 1.0), (1, 1.0, 1.0)]);
        for (other, line) in [
            (arm(&[(0, 1.0, 1.0)]), "b.seed = [0]: allowed is those of a, [0, 1]"),
            (arm(&[(0, 2.0, 1.0), (1, 2.0, 1.0)]), "b.at = [2.0]: allowed is those of a, [1.0]"),
            (arm(&[(0, f64::NAN, 1.0)]), "b.at = NaN: allowed is a finite number"),
            (
                arm(&[(0, 1.0, 1.0), (0, 1.0, 1.0)]),
                "b.at = 1 twice for seed 0: allowed is one figure a place",
            ),
            (
                arm(&[(0, 1.0, 1.0), (1, 2.0, 1.0)]),
                "b.at = [2.0] for seed 1: allowed is the places of the other seeds, [1.0]",
            ),
        ] {
            assert_eq!(pairs(&one, &other).unwrap_err().to_string(), line);
        }
    }
}
