//! The next value of a series, as a distribution, from those before it: log returns of a column of a
//! CSV file or its values as they are, or, without a file, a GARCH(1,1) process.
//!
//! Walk forward: the first 4 of 5 values train and standardise (to mean 0 and variance 1), the last
//! ones are held out. Nothing that is held out is seen before it is to be predicted. Losses are the
//! negative log-likelihood of standardised values, in nats; references, over the held-out part, are
//! `constant` (the baseline), `ar1` and `garch`, each fitted to the training part, and of the process
//! `exact`: its own likelihood, below which no model comes but by chance.

mod cell;
mod dates;
mod forecast;
mod simplex;
pub mod table;

use std::ops::Range;

use self::forecast::{Ar1, Constant, Density, Garch, mean};
use super::source;
use super::windows::Windows;
use super::{Batch, Data, Task, Wanted};
use crate::choice::Described;
use crate::choices;
use crate::record::ReferenceLoss;
use crate::rng::Rng;
use crate::setting::{Invalid, Setting};
use crate::stack::{Ends, Front, Head, Law};

choices! {
    /// What a column becomes.
    Returns {
        /// ln xₜ − ln x₍ₜ₋₁₎ of prices.
        Log = "log",
        /// The values as they are.
        Levels = "levels",
    }
}

/// Share of the values that training sees.
const TRAINING_SHARE: f64 = 0.8;
/// How many of so many values training sees.
fn training_part(length: usize) -> usize {
    (length as f64 * TRAINING_SHARE) as usize
}

/// The fewest values that a line, a variance and its recursion are fitted to.
const FEWEST: usize = 10;
/// The largest table: some hundred thousand rows, and the numbers of it are held in memory.
const LARGEST_TABLE: u64 = 1 << 26;
/// Values of the process.
const LENGTH: usize = 1 << 15;
/// ω, α and β of the process, whose variance ω/(1 − α − β) is 1.
const PROCESS: [f64; 3] = [0.05, 0.1, 0.85];

/// The column of a table, or the process of a run's seed.
#[derive(Debug, Clone, Copy)]
pub struct Series {
    returns: Returns,
    head: Law,
}

impl Described for Series {
    const ID: &'static str = "series";
    const ABOUT: &'static str = "the distribution of the next log return or level of a series (--series FILE \
                                 --column NAME, or a GARCH(1,1) process), from those before it";
    fn new() -> Self {
        Series { returns: Returns::Log, head: Law::Gaussian }
    }
}

impl Task for Series {
    crate::constants! { dyn Task; returns: Any, head: Any }

    fn ends(&self) -> Ends {
        let head = Head::Distribution { law: self.head, n: 1 };
        Ends { front: Front::Patches { features: 1 }, head }
    }
    fn baseline(&self) -> String {
        "constant".to_string()
    }
    fn reads(&self, field: &str) -> bool {
        field == "series"
    }
    fn allows(&self, wanted: &Wanted, _seq_given: bool) -> Result<(), Invalid> {
        if wanted.series.is_empty() && self.returns == Returns::Levels {
            let allowed = "returns=log where no --series is given: the process is one of returns";
            return Err(Invalid::new("task", wanted.task.show(), allowed));
        }
        Ok(())
    }
    fn load(&self, wanted: &Wanted, most: u64) -> Result<Box<dyn Data>, Invalid> {
        if wanted.series.is_empty() {
            return Ok(Box::new(self.process(wanted.seed)));
        }
        let bytes = source::read("series", wanted.series, most.min(LARGEST_TABLE))?;
        let path = &wanted.series.path;
        let cells = table::column(path, &bytes, wanted.column)?;
        let values = match self.returns {
            Returns::Levels => cells.iter().map(|cell| cell.value).collect(),
            Returns::Log => log_returns(&cells).map_err(|line| {
                let column = cell::shown(wanted.column);
                let allowed = format!(
                    "numbers above 0 for returns=log; line {line}, column {column}, is none"
                );
                Invalid::new("series", path, allowed)
            })?,
        };
        let mut walk = Walk::new(self.head, &values).map_err(|allowed| {
            let column = cell::shown(wanted.column);
            Invalid::new("series", path, format!("{allowed} in column {column}"))
        })?;
        walk.sha256 = Some(source::digest(&bytes));
        Ok(Box::new(walk))
    }
}

impl Series {
    /// The process of a seed, with its own likelihood.
    fn process(&self, seed: u64) -> Walk {
        let [omega, alpha, beta] = PROCESS;
        let law = Garch { omega, alpha, beta, density: Density::normal() };
        let mut rng = Rng::new(seed).named("series");
        let mut variance = 1.0f64;
        let mut draw = || {
            let value = variance.sqrt() * rng.normal();
            variance = law.next(variance, value);
            value
        };
        let values: Vec<f64> = (0..LENGTH).map(|_| draw()).collect();
        let mut walk = Walk::new(self.head, &values).expect("a process that varies");
        // A density of standardised values is larger by the deviation.
        let exact = law.cost(&values, walk.training + 1) - walk.deviation.ln();
        walk.references.push(("exact", exact).into());
        walk
    }
}

/// The log returns of prices, or the line of one that is not above 0.
fn log_returns(prices: &[table::Cell]) -> Result<Vec<f64>, u64> {
    match prices.iter().find(|cell| cell.value <= 0.0) {
        Some(cell) => Err(cell.line),
        None => Ok(prices.windows(2).map(|pair| (pair[1].value / pair[0].value).ln()).collect()),
    }
}

/// Standardised values, the training part first.
#[derive(Debug)]
struct Walk {
    values: Vec<f32>,
    training: usize,
    /// The deviation of the training part.
    deviation: f64,
    constant: Constant,
    references: Vec<ReferenceLoss>,
    sha256: Option<String>,
}

impl Walk {
    /// Splits, standardises and fits.
    ///
    /// # Errors
    /// Says what is allowed where there is nothing to fit.
    fn new(law: Law, values: &[f64]) -> Result<Walk, String> {
        let training = training_part(values.len());
        if values.len() < FEWEST {
            return Err(format!("{FEWEST} values or more, not {},", values.len()));
        }
        let seen = &values[..training];
        let center = mean(seen.iter().copied());
        let deviation = mean(seen.iter().map(|v| (v - center).powi(2))).sqrt();
        let narrow = |v: &f64| ((v - center) / deviation) as f32;
        let standard: Vec<f32> = values.iter().map(narrow).collect();
        let varies = deviation > 0.0 && deviation.is_finite();
        if !varies || !standard.iter().all(|v| v.is_finite()) {
            return Err("values that vary in the training part, and finitely,".to_string());
        }
        let wide: Vec<f64> = standard.iter().copied().map(f64::from).collect();
        let (seen, first) = (&wide[..training], training + 1);
        let constant = Constant::fit(law, seen);
        let references = [
            ("constant", constant.cost(wide[first..].iter().copied())),
            ("ar1", Ar1::fit(law, seen).cost(&wide, first)),
            ("garch", Garch::fit(law, seen).cost(&wide, first)),
        ];
        Ok(Walk {
            values: standard,
            training,
            deviation,
            constant,
            references: references.map(ReferenceLoss::from).to_vec(),
            sha256: None,
        })
    }

    fn windows(&self) -> Windows {
        Windows { length: self.values.len(), training: self.training }
    }

    fn fill(&self, seq: usize, starts: impl Iterator<Item = usize>, batch: &mut Batch) {
        let numbers = |range: Range<usize>| self.values[range].iter().copied();
        batch.clear();
        for start in starts {
            batch.inputs.extend(numbers(start..start + seq));
            batch.targets.extend(numbers(start + 1..start + seq + 1));
        }
    }
}

impl Data for Walk {
    fn bytes(&self) -> usize {
        self.values.capacity() * size_of::<f32>()
    }
    fn references(&self, _wanted: &Wanted) -> Vec<ReferenceLoss> {
        self.references.clone()
    }

    fn training_batch(&self, wanted: &Wanted, step: usize, batch: &mut Batch) {
        self.fill(wanted.seq, self.windows().training(wanted, step), batch);
    }

    fn held_out_batches(&self, wanted: &Wanted) -> usize {
        self.windows().held_out_batches(wanted)
    }

    fn held_out_batch(&self, wanted: &Wanted, index: usize, of: usize, batch: &mut Batch) {
        self.fill(wanted.seq, self.windows().held_out(wanted, index, of), batch);
    }

    fn baseline_cost(&self, batch: &Batch) -> f64 {
        self.constant.cost(batch.targets.iter().copied().map(f64::from))
    }

    fn passes(&self, wanted: &Wanted, steps: usize) -> f64 {
        (steps * wanted.batch) as f64 * wanted.seq as f64 / self.training as f64
    }

    fn suffices(&self, wanted: &Wanted, _seq_given: bool) -> Result<(), Invalid> {
        let length = self.values.len();
        let held_out = length - self.training;
        if held_out > wanted.seq {
            return Ok(());
        }
        let seq = wanted.seq;
        if wanted.series.is_empty() {
            let allowed = format!("2 to {} for a series of {length} values", held_out - 1);
            return Err(Invalid::new("seq", seq, allowed));
        }
        let enough = |n: &usize| n - training_part(*n) > seq;
        let needed = (seq + 1..).find(enough).expect("some length is enough");
        let allowed =
            format!("a series of {needed} values or more at seq {seq} (this one has {length})");
        Err(Invalid::new("series", &wanted.series.path, allowed))
    }

    fn digests(&self) -> Vec<(&'static str, &str)> {
        self.sha256.iter().map(|digest| ("series", digest.as_str())).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::RunConfig;

    fn nats(walk: &Walk, name: &str) -> f64 {
        ReferenceLoss::find(&walk.references, name).expect(name)
    }

    #[test]
    fn the_process_is_predicted_by_its_own_law_best() {
        for head in [Law::Gaussian, Law::Student] {
            let walk = Series { returns: Returns::Log, head }.process(1);
            let [constant, ar1, garch, exact] =
                ["constant", "ar1", "garch", "exact"].map(|name| nats(&walk, name));
            println!("{head:?}: {constant} {ar1} {garch} {exact}");
            // Three or four fitted numbers cost some 3/2n each in the mean, and a Student law little.
            assert!((garch - exact).abs() < 2e-3, "{garch} against {exact}");
            assert!((ar1 - constant).abs() < 2e-3, "{ar1} against {constant}");
            assert!(exact < constant - 0.01, "{exact} against {constant}");
        }
    }

    #[test]
    fn the_law_of_the_process_is_found() {
        let walk = Series::new().process(3);
        let seen: Vec<f64> = walk.values[..walk.training].iter().copied().map(f64::from).collect();
        let Garch { alpha, beta, .. } = Garch::fit(Law::Gaussian, &seen);
        // Standard errors of 26214 values are about 0.005 and 0.009.
        assert!((alpha - 0.1).abs() < 0.025 && (beta - 0.85).abs() < 0.045, "{alpha}, {beta}");
    }

    #[test]
    fn nothing_that_is_held_out_is_seen_in_training() {
        let mut rng = Rng::new(5);
        let values: Vec<f64> = (0..500).map(|_| 3.0 + rng.normal()).collect();
        for head in [Law::Gaussian, Law::Student] {
            let before = Walk::new(head, &values).unwrap();
            let mut other = values.clone();
            other[before.training..].iter_mut().for_each(|v| *v = 50.0 * *v - 7.0);
            let after = Walk::new(head, &other).unwrap();
            assert_eq!(before.values[..400], after.values[..400]);
            assert_eq!((before.deviation, before.constant), (after.deviation, after.constant));
            assert_ne!(before.references, after.references);
            let config = RunConfig::from_settings([("task", "series"), ("seq", "16")]).unwrap();
            let (mut a, mut b) = (Batch::default(), Batch::default());
            for step in 0..50 {
                before.training_batch(&config.wanted(), step, &mut a);
                after.training_batch(&config.wanted(), step, &mut b);
                assert_eq!((&a.inputs, &a.targets), (&b.inputs, &b.targets));
            }
            // One more value that training sees changes all of it.
            other.clone_from(&values);
            other[before.training - 1] += 1.0;
            let seen = Walk::new(head, &other).unwrap();
            assert_ne!(before.values[0], seen.values[0]);
        }
    }

    /// A value is predicted from those before it: every input is the target of the place before.
    #[test]
    fn places_see_what_was_before() {
        let walk = Series::new().process(1);
        let config = RunConfig::from_settings([("task", "series")]).unwrap();
        let mut batch = Batch::default();
        let of = walk.held_out_batches(&config.wanted());
        for index in 0..of {
            walk.held_out_batch(&config.wanted(), index, of, &mut batch);
            for (inputs, targets) in batch.inputs.chunks(64).zip(batch.targets.chunks(64)) {
                assert_eq!(inputs[1..], targets[..63]);
            }
        }
        let held_out = &walk.values[walk.training + 1..];
        assert_eq!(batch.targets[batch.targets.len() - 64..], held_out[held_out.len() - 64..]);
    }

    #[test]
    fn the_constant_costs_what_a_standard_normal_value_costs() {
        let walk = Series::new().process(2);
        let batch = Batch { inputs: Vec::new(), targets: walk.values[..walk.training].to_vec() };
        // Mean 0 and variance 1 by construction.
        let want = 0.5 + 0.5 * std::f64::consts::TAU.ln();
        assert!((walk.baseline_cost(&batch) - want).abs() < 1e-6);
    }

    #[test]
    fn returns_are_differences_of_logarithms() {
        let cell = |line, value| table::Cell { line, value };
        let prices = [cell(2, 1.0), cell(3, 1f64.exp()), cell(4, 0.5)];
        let want = [1.0, 0.5f64.ln() - 1.0];
        let returns = log_returns(&prices).unwrap();
        assert!(returns.iter().zip(want).all(|(got, want)| (got - want).abs() < 1e-15));
        assert_eq!(log_returns(&[cell(2, 1.0), cell(3, 0.0)]), Err(3));
    }

    #[test]
    fn what_cannot_be_learned_is_refused() {
        for (values, named) in [
            (vec![1.0; 100], "vary"),
            (vec![1.0; 9], "10 values or more, not 9,"),
            (vec![], "not 0,"),
            ((0..100).map(|i| f64::from(i) * 1e300).collect(), "finitely"),
            (
                (0..100).map(|i| if i == 90 { 1e300 } else { f64::from(i % 7) }).collect(),
                "finitely",
            ),
        ] {
            let refused = Walk::new(Law::Student, &values).unwrap_err();
            assert!(refused.contains(named), "{refused}");
        }
    }
}
