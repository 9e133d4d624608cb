//! `plummet sweep FILE.toml`.

use std::path::Path;

use clap::ArgMatches;
use serde_json::Value as Json;

use super::progress::Bars;
use super::train::summary_json;
use super::{Failure, Outcome, answer, given, one, open};
use crate::record::{RunRecord, RunState};
use crate::store::{Filter, Store};
use crate::sweep::Sweep;
use crate::train::{Corpus, run as train};

pub(super) fn run(matches: &ArgMatches) -> Outcome {
    let sweep = Sweep::load(Path::new(one(matches, "file")), &given(matches))?;
    let path = sweep.runs.first().map_or(String::new(), |run| run.store.clone());
    let store = open(&path)?;
    let bars = Bars::new(&sweep.runs);
    let records = run_all(&sweep, &store, &bars);
    bars.finish();
    let records = records?;
    if matches.get_flag("json") {
        return answer(&format!("{}\n", Json::Array(records.iter().map(summary_json).collect())));
    }
    answer(&table(&records))
}

/// Runs what the store does not hold yet, in order.
pub(super) fn run_all(
    sweep: &Sweep,
    store: &Store,
    bars: &Bars,
) -> Result<Vec<RunRecord>, Failure> {
    bars.part(&sweep.name);
    let known = store.runs(&Filter::default())?;
    let mut records = Vec::with_capacity(sweep.runs.len());
    for config in &sweep.runs {
        let id = config.id();
        let finished = known.iter().find(|run| run.id == id && run.state == RunState::Finished);
        if let Some(record) = finished {
            bars.known(config);
            records.push(record.clone());
            continue;
        }
        if records.is_empty() {
            // A text that cannot be read is an error before the first run, not after some.
            Corpus::load(config)?;
        }
        bars.begin(config);
        let record = train(config, &sweep.name, store, bars)?;
        let trained = record.summary.as_ref().map_or(0, |summary| summary.steps as usize);
        bars.end(config, trained);
        records.push(record);
    }
    Ok(records)
}

/// One line per run.
pub(super) fn table(records: &[RunRecord]) -> String {
    let mut lines = vec![format!(
        "{:<52} {:>10} {:>8} {:>9} {:>7} {:>8}",
        "run", "outcome", "loss", "held-out", "cosine", "seconds"
    )];
    for record in records {
        lines.push(match &record.summary {
            Some(s) => format!(
                "{:<52} {:>10} {:>8.4} {:>9.4} {:>7.3} {:>8.1}",
                record.id,
                s.outcome.id(),
                s.loss,
                s.val_loss,
                s.token_cosine,
                s.seconds
            ),
            None => format!("{:<52} {:>10}", record.id, "running"),
        });
    }
    lines.join("\n") + "\n"
}
