//! `plummet show [RUN]`.

use clap::ArgMatches;
use serde_json::{Value as Json, json};

use super::sweep::table;
use super::train::{summary_json, summary_text};
use super::{Outcome, answer, one, open_read};
use crate::config::RunConfig;
use crate::store::Filter;

pub(super) fn run(matches: &ArgMatches) -> Outcome {
    let store = open_read(one(matches, "store"))?;
    let json = matches.get_flag("json");
    let Some(id) = matches.get_one::<String>("run") else {
        let records = store.runs(&Filter::default())?;
        if json {
            let objects = Json::Array(records.iter().map(summary_json).collect());
            return answer(&format!("{objects}\n"));
        }
        return answer(&table(&records));
    };
    let record = store.run(id)?;
    let last = record.summary.as_ref().map_or(0, |summary| summary.steps);
    if json {
        let mut object = summary_json(&record);
        object["rows"] = json!(store.steps(&record.id)?);
        object["probes"] = json!(store.probes_at(&record.id, last)?);
        return answer(&format!("{object}\n"));
    }
    let mut text = summary_text(&record);
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
