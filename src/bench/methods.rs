//! What a method costs: a training step with it beside one without, taken in turn.

use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{Timing, interleaved};
use crate::backend::Host;
use crate::config::RunConfig;
use crate::op::{norm, weight};
use crate::setting::Invalid;
use crate::stack::wiring;
use crate::train::{Corpus, Trainer};

/// The stack that methods are put into: deep and narrow, as here most are.
const STACK: [(&str, &str); 4] = [("width", "64"), ("depth", "8"), ("seq", "64"), ("batch", "8")];

/// A training step with a method, as a multiple of that of a usual stack.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Cost {
    /// The field that names it: norm, wiring, weights.
    pub field: String,
    /// Its name.
    pub id: String,
    /// Time.
    pub time: f64,
    /// Bytes that the trainer holds.
    pub bytes: f64,
}

impl Cost {
    /// The costs that were measured last, and are in the documentation.
    pub fn known() -> Vec<Cost> {
        serde_json::from_str(include_str!("methods.json")).expect("a file of this crate")
    }
}

/// Measures every wiring, norm and form of weights, calling `told` before each.
///
/// # Errors
/// Where a stack does not fit into memory.
pub fn costs(rounds: usize, mut told: impl FnMut(&str)) -> Result<Vec<Cost>, Invalid> {
    let ids =
        |ids: Vec<&'static str>, field: &'static str| ids.into_iter().map(move |id| (field, id));
    let wirings = ids(wiring::ALL.iter().map(|entry| entry.id).collect(), "wiring");
    let norms = ids(norm::ALL.iter().map(|entry| entry.id).collect(), "norm");
    let forms = ids(weight::ALL.iter().map(|entry| entry.id).collect(), "weights");
    let usual = RunConfig::from_settings(STACK)?;
    let corpus = Arc::new(Corpus::load(&usual)?);
    let trainer = |config: &RunConfig| Trainer::new(Host::<f32>::new(), config, corpus.clone());
    let mut base = trainer(&usual)?;
    let timing = Timing { rounds, time: Duration::ZERO, sample: Duration::ZERO };
    let mut costs = Vec::new();
    for (field, id) in wirings.chain(norms).chain(forms) {
        told(id);
        let config = RunConfig::from_settings(STACK.into_iter().chain([(field, id)]))?;
        let mut other = trainer(&config)?;
        let (mut plain, mut own) = (|| drop(base.advance(None)), || drop(other.advance(None)));
        let samples = interleaved(timing, &mut [&mut plain, &mut own]);
        costs.push(Cost {
            field: field.to_string(),
            id: id.to_string(),
            time: samples[1].least() / samples[0].least(),
            bytes: other.bytes() as f64 / base.bytes() as f64,
        });
    }
    Ok(costs)
}
