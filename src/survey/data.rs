//! What the store holds of a survey, in the shape that pictures and tables want.

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
#[derive(Debug, Clone, Default)]
pub struct Data {
    /// Which wirings train 16 blocks.
    pub wirings: Vec<Run>,
    /// Learning rate against warm-up, by wiring.
    pub warmups: Vec<Run>,
    /// Wirings under initialisations and norms.
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
            warmups: part(&survey.warmups, false)?,
            map: part(&survey.map, true)?,
            rates: part(&survey.rates, false)?,
            laws: part(&survey.laws, true)?,
            cost: part(&survey.cost, true)?,
        })
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
