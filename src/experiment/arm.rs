//! Runs that differ in their seed only, and how they ended.

use super::run::Run;
use crate::config::RunConfig;
use crate::plot::Mark;
use crate::record::Outcome;
use crate::setting::Setting;
use crate::stack::{Wiring, wiring};

/// Points of x and y.
pub(crate) type Curve = Vec<(f64, f64)>;
/// x, low and high.
pub(crate) type Band = Vec<(f64, f64, f64)>;

/// Runs that differ in their seed only.
#[derive(Debug, Clone)]
pub(crate) struct Arm<'a> {
    /// One per seed.
    pub runs: Vec<&'a Run>,
}

/// The arms of some runs, in the order of their first runs.
pub(crate) fn arms(runs: &[Run]) -> Vec<Arm<'_>> {
    let mut arms: Vec<Arm> = Vec::new();
    for run in runs {
        let same = |arm: &&mut Arm| {
            let config = arm.config();
            RunConfig { seed: run.config.seed, ..config.clone() } == run.config
        };
        match arms.iter_mut().find(same) {
            Some(arm) => arm.runs.push(run),
            None => arms.push(Arm { runs: vec![run] }),
        }
    }
    arms
}

/// How many of an arm's runs ended how.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Tally {
    /// They learned from context.
    pub trained: usize,
    /// They ended too early to tell.
    pub unfinished: usize,
    /// They came to rest no better than without context.
    pub plateau: usize,
    /// The loss left for good, or a value was not finite.
    pub diverged: usize,
}

/// What the runs of an arm say together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Ending {
    /// All learned from context.
    Trained,
    /// All ended too early to tell, or some did and the rest do not disagree.
    Unfinished,
    /// All came to rest no better than without context.
    Plateau,
    /// All left for good.
    Diverged,
    /// The seeds disagree.
    Mixed,
}

impl Tally {
    /// Counts outcomes.
    pub fn of<'a>(outcomes: impl IntoIterator<Item = &'a Outcome>) -> Tally {
        let mut tally = Tally::default();
        for outcome in outcomes {
            *match outcome {
                Outcome::Ok | Outcome::Spike { .. } => &mut tally.trained,
                Outcome::Unfinished => &mut tally.unfinished,
                Outcome::Stuck | Outcome::Collapsed => &mut tally.plateau,
                Outcome::Diverged { .. } | Outcome::NonFinite { .. } => &mut tally.diverged,
            } += 1;
        }
        tally
    }

    /// Of how many runs.
    pub fn runs(&self) -> usize {
        self.trained + self.unfinished + self.plateau + self.diverged
    }

    /// What they say together; none where there are no runs.
    pub fn ending(&self) -> Option<Ending> {
        let all = self.runs();
        Some(match self {
            _ if all == 0 => return None,
            tally if tally.trained == all => Ending::Trained,
            tally if tally.unfinished == all => Ending::Unfinished,
            tally if tally.plateau == all => Ending::Plateau,
            tally if tally.diverged == all => Ending::Diverged,
            _ => Ending::Mixed,
        })
    }

    /// The counts that are not nought, in words.
    pub fn words(&self) -> String {
        let counts = [
            (self.trained, "trained"),
            (self.unfinished, "unfinished"),
            (self.plateau, "on a plateau"),
            (self.diverged, "diverged"),
        ];
        let all = self.runs();
        let some = counts.iter().filter(|(count, _)| *count > 0);
        let words: Vec<String> = some
            .map(
                |(count, word)| {
                    if all == 1 { word.to_string() } else { format!("{count} of {all} {word}") }
                },
            )
            .collect();
        if words.is_empty() { "no runs".to_string() } else { words.join(", ") }
    }
}

impl Arm<'_> {
    /// The configuration of the first seed.
    pub fn config(&self) -> &RunConfig {
        &self.runs[0].config
    }

    /// How its runs ended.
    pub fn tally(&self) -> Tally {
        Tally::of(self.runs.iter().map(|run| &run.summary.outcome))
    }

    /// Wiring and init, and the warm-up as a share of the run.
    pub fn label(&self) -> String {
        let config = self.config();
        let mut label = wiring_and_init(config);
        if config.warmup > 0 {
            label.push_str(&format!(", warm-up {}", share(config)));
        }
        label
    }

    /// Mean, smallest and largest over the seeds.
    pub fn over_seeds(&self, value: impl Fn(&Run) -> f64) -> (f64, f64, f64) {
        let values: Vec<f64> = self.runs.iter().map(|run| value(run)).collect();
        let mean = values.iter().sum::<f64>() / values.len() as f64;
        let low = values.iter().copied().fold(f64::INFINITY, f64::min);
        let high = values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        (mean, low, high)
    }

    /// Mean held-out loss at the end; not a number where that of a seed is not.
    pub fn held_out(&self) -> f64 {
        self.over_seeds(|run| run.summary.val_loss).0
    }

    /// Mean over the seeds of curves with the same x, and the band between the extremes.
    pub fn curve(&self, curve: impl Fn(&Run) -> Curve) -> (Curve, Band) {
        let curves: Vec<Curve> = self.runs.iter().map(|run| curve(run)).collect();
        let shared = curves.iter().map(Vec::len).min().unwrap_or(0);
        let (mut mean, mut band) = (Vec::new(), Vec::new());
        for i in 0..shared {
            let x = curves[0][i].0;
            let values = curves.iter().map(|curve| curve[i].1);
            mean.push((x, values.clone().sum::<f64>() / curves.len() as f64));
            let low = values.clone().fold(f64::INFINITY, f64::min);
            band.push((x, low, values.fold(f64::NEG_INFINITY, f64::max)));
        }
        if curves.len() < 2 {
            band.clear();
        }
        (mean, band)
    }
}

/// The arm that does best: most seeds trained, then the smallest held-out loss.
pub(crate) fn best<'a, 'b>(arms: impl IntoIterator<Item = &'b Arm<'a>>) -> Option<&'b Arm<'a>>
where
    'a: 'b,
{
    let rank = |arm: &Arm| {
        let tally = arm.tally();
        let loss = arm.held_out();
        (
            tally.trained as f64 / tally.runs() as f64,
            if loss.is_nan() { f64::INFINITY } else { loss },
        )
    };
    arms.into_iter().min_by(|a, b| {
        let (a, b) = (rank(a), rank(b));
        b.0.total_cmp(&a.0).then(a.1.total_cmp(&b.1))
    })
}

/// The wiring, and the init where it is another word.
pub(crate) fn wiring_and_init(config: &RunConfig) -> String {
    let (wiring, init) = (config.wiring.show(), config.init.show());
    if wiring == init { wiring } else { format!("{wiring} ({init})") }
}

/// The warm-up as a share of the run.
pub(crate) fn share(config: &RunConfig) -> String {
    format!("{:.0} %", 100.0 * config.warmup as f64 / config.steps.max(1) as f64)
}

/// The wirings of some arms, each once, in the order of the list.
pub(crate) fn wirings(arms: &[Arm]) -> Vec<Wiring> {
    let mut found: Vec<Wiring> = Vec::new();
    for arm in arms {
        if !found.contains(&arm.config().wiring) {
            found.push(arm.config().wiring.clone());
        }
    }
    found.sort_by_key(|wiring| wiring::ALL.iter().position(|entry| entry.id == wiring.id()));
    found
}

/// The mark of an outcome.
pub(crate) fn mark(outcome: &Outcome) -> Mark {
    match outcome {
        Outcome::Ok => Mark::Ok,
        Outcome::Spike { .. } => Mark::Spike,
        Outcome::Unfinished => Mark::Unfinished,
        Outcome::Stuck => Mark::Stuck,
        Outcome::Collapsed => Mark::Collapsed,
        Outcome::Diverged { .. } => Mark::Diverged,
        Outcome::NonFinite { .. } => Mark::NonFinite,
    }
}

/// How an arm ended, at worst.
pub(crate) fn worst(arm: &Arm) -> Mark {
    arm.runs.iter().map(|run| mark(&run.summary.outcome)).max().unwrap_or(Mark::Ok)
}
