//! A finished run, as pictures and tables want it.

use crate::config::RunConfig;
use crate::record::{ProbeRow, RunRecord, StepRow, Summary};
use crate::store::{Store, StoreError};

/// One finished run.
#[derive(Debug, Clone)]
pub struct Run {
    /// What was asked for.
    pub config: RunConfig,
    /// What came out.
    pub summary: Summary,
    /// Every step.
    pub steps: Vec<StepRow>,
    /// Every probe, of the first step, of the last, and of those between where they are asked for.
    pub probes: Vec<ProbeRow>,
}

impl Run {
    /// Reads what a configuration came to: `whole` with its steps and probes. Nothing where it is not
    /// finished.
    ///
    /// # Errors
    /// Where the store cannot be read.
    pub fn load(
        config: &RunConfig,
        store: &Store,
        records: &[RunRecord],
        whole: bool,
    ) -> Result<Option<Run>, StoreError> {
        let id = config.id();
        let record = records.iter().find(|record| record.id == id);
        let Some(summary) = record.and_then(|record| record.summary.clone()) else {
            return Ok(None);
        };
        let (config, steps) = (config.clone(), summary.steps);
        let mut run = Run { config, summary, steps: Vec::new(), probes: Vec::new() };
        if whole {
            run.steps = store.steps(&id)?;
            let every = run.config.probe_every.filter(|every| *every > 0);
            let stride = every.map_or(steps, |every| every as u64).max(1);
            for step in (0..steps).step_by(stride as usize).chain([steps]) {
                run.probes.extend(store.probes_at(&id, step)?);
            }
        }
        Ok(Some(run))
    }

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
