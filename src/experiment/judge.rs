//! What some runs say of a claim: each arm at its best rate, and every horizon by itself.

use super::claim::{Claim, Rule};
use super::figures::short;
use super::label;
use super::run::Run;
use crate::record::Outcome;
use crate::setting::Invalid;
use crate::statistics::proportion::Share;
use crate::statistics::{Decision, Figure, Verdict};

impl Claim {
    /// What some runs say of it. Runs of several numbers of steps are judged by number: a verdict of
    /// the longest that the shorter ones contradict is a nuanced one.
    ///
    /// # Errors
    /// Where the figures are none that the rule takes: seeds that lack a place, say.
    pub fn decide(&self, runs: &[Run]) -> Result<Decision, Invalid> {
        let steps = |run: &Run| run.config.steps;
        let mut horizons: Vec<usize> = if self.over.as_deref() == Some("steps") {
            Vec::new()
        } else {
            runs.iter().filter(|run| self.concerns(run)).map(steps).collect()
        };
        horizons.sort_unstable();
        horizons.dedup();
        let Some((&longest, shorter)) = horizons.split_last() else {
            return self.decide_at(&runs.iter().collect::<Vec<_>>());
        };
        let at = |horizon: usize| {
            self.decide_at(&runs.iter().filter(|run| steps(run) == horizon).collect::<Vec<_>>())
        };
        let mut decision = at(longest)?;
        for &horizon in shorter.iter().rev() {
            let before = at(horizon)?;
            let verdict = before.verdict.id().replace('_', " ").to_uppercase();
            let (last, differs) = (decision.verdict, before.verdict != decision.verdict);
            let said = match differs {
                false => format!("; {verdict} within {horizon} steps too"),
                true => format!("; {verdict} within {horizon} steps ({})", self.measured(&before)),
            };
            decision.why += &said;
            let decided = |v: Verdict| matches!(v, Verdict::Supported | Verdict::Refuted);
            if differs && decided(before.verdict) {
                decision.why = format!(
                    "{} within {longest} steps: {}",
                    last.id().to_uppercase(),
                    decision.why
                );
                decision.verdict = Verdict::Nuanced;
                decision.would_change = "longer runs".to_string();
            }
        }
        Ok(decision)
    }

    fn concerns(&self, run: &Run) -> bool {
        self.first.takes(&run.config) || self.second.takes(&run.config)
    }

    fn decide_at(&self, runs: &[&Run]) -> Result<Decision, Invalid> {
        let mut decision = self.decide_rule(runs)?;
        if self.denies {
            decision.verdict = match decision.verdict {
                Verdict::Supported => Verdict::Refuted,
                Verdict::Refuted => Verdict::Supported,
                other => other,
            };
        }
        Ok(decision)
    }

    fn decide_rule(&self, runs: &[&Run]) -> Result<Decision, Invalid> {
        let (first, second) = self.arms(runs);
        if first.is_empty() || second.is_empty() {
            return Ok(Decision::not_assessed());
        }
        let missing = |run: &&Run| self.quantity.of(run).is_none();
        if first.iter().all(missing) || second.iter().all(missing) {
            // A probe that was not taken is no run that diverged.
            let why = format!("no run has {}", self.quantity.name());
            return Ok(Decision { why, ..Decision::not_assessed() });
        }
        match self.rule {
            Rule::Exponent(rule) => rule.decide(&self.figures(&first)),
            Rule::Linearity(rule) => rule.decide(&self.figures(&first)),
            Rule::Trend(rule) => rule.decide(&self.figures(&first)),
            Rule::Bound(rule) => {
                let values: Vec<f64> = first.iter().map(|run| self.value(run)).collect();
                rule.decide(&values)
            }
            Rule::Superiority(rule) => rule.decide(&self.figures(&first), &self.figures(&second)),
            Rule::Equivalence(rule) => rule.decide(&self.figures(&first), &self.figures(&second)),
            Rule::Rate(rule) => rule.decide(self.share(&first), self.share(&second)),
            Rule::Existence(rule) => {
                let grid: Vec<Figure> =
                    first.iter().map(|run| self.figure(run, run.config.lr)).collect();
                rule.decide(&grid)
            }
        }
    }

    /// The runs of both arms; those of a rule about one arm are in both.
    fn arms<'a>(&self, runs: &[&'a Run]) -> (Vec<&'a Run>, Vec<&'a Run>) {
        let first = runs.iter().copied().filter(|run| self.first.takes(&run.config));
        let second = runs.iter().copied().filter(|run| self.second.takes(&run.config));
        (first.collect(), second.collect())
    }

    /// What was measured, in the words of the rule.
    pub fn measured(&self, decision: &Decision) -> String {
        if !decision.effect.is_finite() {
            return decision.why.clone();
        }
        let [low, high] = decision.interval;
        let effect = short(decision.effect);
        let within = match low == high {
            true => String::new(),
            false => format!(" ({} – {})", short(low), short(high)),
        };
        let seeds = format!("{} seeds", decision.n);
        match self.rule {
            Rule::Exponent(rule) => {
                format!("exponent {effect}{within}, claimed {}; {seeds}", short(rule.exponent))
            }
            Rule::Linearity(_) => format!("departs from a line by {effect}{within} of it; {seeds}"),
            Rule::Trend(_) => format!("changes by {effect}{within} from end to end; {seeds}"),
            Rule::Bound(rule) => {
                let largest = short(decision.effect + rule.limit);
                format!("largest {largest}, limit {}; {} runs", short(rule.limit), decision.n)
            }
            Rule::Superiority(rule) => {
                format!("lower by {effect}{within}, asked {}; {seeds}", short(rule.margin))
            }
            Rule::Equivalence(rule) => {
                format!("apart by {effect}{within}, allowed {}; {seeds}", short(rule.margin))
            }
            Rule::Rate(_) => {
                let shares = decision.why.split(',').next().unwrap_or_default();
                format!("train: {shares}")
            }
            Rule::Existence(_) => decision.why.clone(),
        }
    }

    /// The arms whose best rate is the smallest or the largest of those tried: a better one may lie
    /// beyond.
    pub fn at_the_edge(&self, runs: &[Run]) -> Vec<String> {
        if !matches!(self.rule, Rule::Superiority(_) | Rule::Equivalence(_)) || self.over.is_some()
        {
            return Vec::new();
        }
        let longest =
            runs.iter().filter(|run| self.concerns(run)).map(|run| run.config.steps).max();
        let runs: Vec<&Run> = runs.iter().filter(|r| Some(r.config.steps) == longest).collect();
        let (first, second) = self.arms(&runs);
        let mut said = Vec::new();
        for (arm, runs) in [(&self.first, first), (&self.second, second)] {
            let mut rates: Vec<f64> = runs.iter().map(|run| run.config.lr).collect();
            rates.sort_by(f64::total_cmp);
            rates.dedup();
            let Some(best) = self.best_rate(&runs).first().map(|run| run.config.lr) else {
                continue;
            };
            for (edge, which) in [(rates.first(), "smallest"), (rates.last(), "largest")] {
                if rates.len() > 1 && edge == Some(&best) {
                    let arm = arm.show();
                    said.push(format!("{arm} does best at the {which} rate tried, {best}"));
                }
            }
        }
        said
    }

    fn value(&self, run: &Run) -> f64 {
        self.quantity.of(run).unwrap_or(f64::NAN)
    }

    fn figure(&self, run: &Run, at: f64) -> Figure {
        Figure { seed: run.config.seed, at, value: self.value(run) }
    }

    /// Figures by place, each at the rate that is best there.
    fn figures(&self, runs: &[&Run]) -> Vec<Figure> {
        let at = |run: &Run| {
            let field = self.over.as_ref();
            field.and_then(|field| label::number(&run.config, field)).unwrap_or(0.0)
        };
        let mut places: Vec<f64> = runs.iter().map(|run| at(run)).collect();
        places.sort_by(f64::total_cmp);
        places.dedup();
        let mut figures = Vec::new();
        for place in places {
            let here: Vec<&Run> = runs.iter().copied().filter(|run| at(run) == place).collect();
            figures.extend(self.best_rate(&here).into_iter().map(|run| self.figure(run, place)));
        }
        figures
    }

    /// The runs at the rate of the lowest mean.
    fn best_rate<'a>(&self, runs: &[&'a Run]) -> Vec<&'a Run> {
        let mean = |runs: &[&Run]| {
            let sum: f64 = runs.iter().map(|run| self.value(run)).sum();
            // A diverged run is larger than any other.
            if sum.is_finite() { sum / runs.len() as f64 } else { f64::INFINITY }
        };
        let best = by_rate(runs).into_iter().min_by(|a, b| mean(a).total_cmp(&mean(b)));
        best.unwrap_or_default()
    }

    /// How many of the runs trained, at the rate at which most do.
    fn share(&self, runs: &[&Run]) -> Share {
        let share = |runs: Vec<&Run>| {
            let trained =
                |run: &&&Run| matches!(run.summary.outcome, Outcome::Ok | Outcome::Spike { .. });
            Share { hits: runs.iter().filter(trained).count(), of: runs.len() }
        };
        let shares = by_rate(runs).into_iter().map(share);
        shares.max_by_key(|share| share.hits).unwrap_or(Share { hits: 0, of: 0 })
    }
}

/// Runs in groups of one rate.
fn by_rate<'a>(runs: &[&'a Run]) -> Vec<Vec<&'a Run>> {
    let mut groups: Vec<Vec<&Run>> = Vec::new();
    for run in runs {
        match groups.iter_mut().find(|group| group[0].config.lr == run.config.lr) {
            Some(group) => group.push(run),
            None => groups.push(vec![run]),
        }
    }
    groups
}
