//! What the store holds of a survey, in the shape that pictures and tables want.

use super::Survey;
use crate::experiment::Run;
use crate::record::RunRecord;
use crate::store::{Filter, Store, StoreError};
use crate::sweep::Sweep;

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
    let runs = sweep.runs.iter().map(|config| Run::load(config, store, records, whole));
    Ok(runs.collect::<Result<Vec<_>, _>>()?.into_iter().flatten().collect())
}
