//! What the store holds of the survey, in the shape that pictures and tables want.

use super::Survey;
use crate::config::RunConfig;
use crate::record::{ProbeRow, RunRecord, StepRow, Summary};
use crate::store::{Filter, Store, StoreError};
use crate::sweep::Sweep;

/// One finished run.
#[derive(Debug, Clone)]
pub struct Run {
    /// What was asked for.
    pub config: RunConfig,
    /// What came out.
    pub summary: Summary,
    /// Every step.
    pub steps: Vec<StepRow>,
    /// Every probe, of the first and of the last step.
    pub probes: Vec<ProbeRow>,
}

impl Run {
    /// Values by layer of one site and metric at one step.
    pub fn by_layer(&self, step: u64, site: &str, metric: &str) -> Vec<(f64, f64)> {
        let mut rows: Vec<(f64, f64)> = (self.probes.iter())
            .filter(|row| row.step == step && row.site == site && row.metric == metric)
            .map(|row| (row.layer as f64, row.value))
            .collect();
        rows.sort_by(|a, b| a.0.total_cmp(&b.0));
        rows
    }

    /// The one value of a site and metric at the last layer that has it.
    pub fn last(&self, step: u64, site: &str, metric: &str) -> Option<f64> {
        self.by_layer(step, site, metric).last().map(|&(_, value)| value)
    }

    /// A cost of the whole run.
    pub fn cost(&self, metric: &str) -> Option<f64> {
        let mut rows = self.probes.iter();
        rows.find(|row| row.site == "run" && row.metric == metric).map(|row| row.value)
    }
}

/// The finished runs of every part.
#[derive(Debug, Clone)]
pub struct Data {
    /// Which wirings train 16 blocks.
    pub wirings: Vec<Run>,
    /// Every wiring under every initialisation and norm.
    pub map: Vec<Run>,
    /// Learning rates against depth.
    pub rates: Vec<Run>,
    /// Depth laws at initialisation.
    pub laws: Vec<Run>,
    /// Time and memory against depth.
    pub cost: Vec<Run>,
}

impl Data {
    /// Reads what is finished; what is missing is left out.
    ///
    /// # Errors
    /// Where the store cannot be read.
    pub fn load(survey: &Survey, store: &Store) -> Result<Data, StoreError> {
        let records = store.runs(&Filter::default())?;
        let part = |sweep: &Sweep, whole: bool| load(sweep, store, &records, whole);
        Ok(Data {
            wirings: part(&survey.wirings, true)?,
            map: part(&survey.map, true)?,
            rates: part(&survey.rates, false)?,
            laws: part(&survey.laws, true)?,
            cost: part(&survey.cost, true)?,
        })
    }

    /// The runs of [`Data::wirings`] that share everything but the seed, in the order of the sweep.
    pub fn arms(&self) -> Vec<Arm<'_>> {
        let mut arms: Vec<Arm> = Vec::new();
        for run in &self.wirings {
            let same = |arm: &&mut Arm| {
                let config = &arm.runs[0].config;
                RunConfig { seed: run.config.seed, ..config.clone() } == run.config
            };
            match arms.iter_mut().find(same) {
                Some(arm) => arm.runs.push(run),
                None => arms.push(Arm { runs: vec![run] }),
            }
        }
        arms
    }
}

fn load(
    sweep: &Sweep,
    store: &Store,
    records: &[RunRecord],
    whole: bool,
) -> Result<Vec<Run>, StoreError> {
    let mut runs = Vec::new();
    for config in &sweep.runs {
        let id = config.id();
        let record = records.iter().find(|record| record.id == id);
        if let Some(summary) = record.and_then(|record| record.summary.clone()) {
            let mut run =
                Run { config: config.clone(), steps: Vec::new(), probes: Vec::new(), summary };
            if whole {
                run.steps = store.steps(&id)?;
                run.probes = store.probes_at(&id, 0)?;
                if run.summary.steps > 0 {
                    run.probes.extend(store.probes_at(&id, run.summary.steps)?);
                }
            }
            runs.push(run);
        }
    }
    Ok(runs)
}

/// Points of x and y.
pub type Curve = Vec<(f64, f64)>;
/// x, low and high.
pub type Band = Vec<(f64, f64, f64)>;

/// Runs that differ in the seed only.
#[derive(Debug, Clone)]
pub struct Arm<'a> {
    /// One per seed.
    pub runs: Vec<&'a Run>,
}

impl Arm<'_> {
    /// The configuration of the first seed.
    pub fn config(&self) -> &RunConfig {
        &self.runs[0].config
    }

    /// The name in legends.
    pub fn label(&self) -> String {
        let config = self.config();
        let mut label = config.wiring.id().to_string();
        if config.wiring.id() != config.init.id() {
            label.push_str(&format!(", {}", config.init.id()));
        }
        if config.warmup > 0 {
            label.push_str(&format!(", warm-up {}", config.warmup));
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
