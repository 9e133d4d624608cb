//! `plummet show [RUN]`.

use clap::ArgMatches;
use serde_json::{Value as Json, json};

use super::sweep::table;
use super::train::{summary_json, summary_text};
use super::{Outcome, answer, one, open_read};
use crate::config::RunConfig;
use crate::record::{RunRecord, RunState};
use crate::store::{Filter, Reached, Store, StoreError};

pub(super) fn run(matches: &ArgMatches) -> Outcome {
    let store = open_read(one(matches, "store"))?;
    let json = matches.get_flag("json");
    let Some(id) = matches.get_one::<String>("run") else {
        let records = store.runs(&Filter::default())?;
        if json {
            let objects = records.iter().map(|record| object(&store, record));
            let objects = Json::Array(objects.collect::<Result<_, _>>()?);
            return answer(&format!("{objects}\n"));
        }
        return answer(&table(&records, |record| standing(&store, record)));
    };
    let record = store.run(id)?;
    let last = record.summary.as_ref().map_or(0, |summary| summary.steps);
    if json {
        let mut object = object(&store, &record)?;
        object["rows"] = json!(store.steps(&record.id)?);
        object["probes"] = json!(store.probes_at(&record.id, last)?);
        return answer(&format!("{object}\n"));
    }
    let mut text = summary_text(&record);
    if record.summary.is_none() {
        text += &format!("{:<15} {}\n", "state", standing(&store, &record));
    }
    if let Some(device) = record.device() {
        text += &format!("{:<15} {device}\n", "device");
    }
    if let Ok(config) = RunConfig::from_json(&record.config) {
        text += &format!("{:<15} plummet train {}\n", "again", config.flags());
    }
    let mut layers: Vec<(u32, [f64; 4])> = Vec::new();
    let columns = ["rms", "token_cosine", "angular_distance", "effective_rank"];
    for row in store.probes_at(&record.id, last)? {
        let column = columns.iter().position(|&name| name == row.metric);
        if let (Some(column), "stream") = (column, row.site.as_str()) {
            if layers.last().is_none_or(|(layer, _)| *layer != row.layer) {
                layers.push((row.layer, [f64::NAN; 4]));
            }
            let values = &mut layers.last_mut().expect("just pushed").1;
            values[column] = row.value;
        }
    }
    if !layers.is_empty() {
        text += &format!(
            "\n{:>6} {:>10} {:>13} {:>17} {:>15}\n",
            "layer", "rms", "token cosine", "angular distance", "effective rank"
        );
        for (layer, [rms, cosine, angle, rank]) in layers {
            text += &format!("{layer:>6} {rms:>10.4} {cosine:>13.4} {angle:>17.4} {rank:>15.2}\n");
        }
    }
    answer(&text)
}

/// How far an unfinished run is.
fn standing(store: &Store, record: &RunRecord) -> String {
    let mut text = record.state.to_string();
    if let Ok(Reached { steps, resumes }) = store.reached(&record.id) {
        text += &format!(" at step {steps} of {}", record.config["steps"]);
        if record.state == RunState::Interrupted {
            text += &format!(", goes on from step {resumes}");
        }
    }
    text
}

/// A run as an object; of an unfinished one also how far it is.
fn object(store: &Store, record: &RunRecord) -> Result<Json, StoreError> {
    let mut object = summary_json(record);
    if record.summary.is_none() {
        let Reached { steps, resumes } = store.reached(&record.id)?;
        object["steps"] = json!(steps);
        object["resumes_from"] = json!(resumes);
    }
    Ok(object)
}
