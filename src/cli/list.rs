//! `plummet list norms|wirings|inits`.

use clap::ArgMatches;
use serde_json::json;

use super::{Outcome, answer, one};
use crate::config::Invalid;
use crate::op::norm;
use crate::stack::{Init, Wiring};

pub(super) fn run(matches: &ArgMatches) -> Outcome {
    let what = one(matches, "what");
    let rows: Vec<(&str, &str)> = match what {
        "norms" => norm::ALL.iter().map(|entry| (entry.id, entry.about)).collect(),
        "wirings" => Wiring::ALL.iter().map(|wiring| (wiring.id(), wiring.about())).collect(),
        "inits" => Init::ALL.iter().map(|init| (init.id(), init.about())).collect(),
        _ => return Err(Invalid::new("list", what, "norms, wirings, inits").into()),
    };
    if matches.get_flag("json") {
        let rows = rows.iter().map(|(id, about)| json!({"id": id, "about": about}));
        return answer(&format!("{}\n", serde_json::Value::Array(rows.collect())));
    }
    let lines: Vec<String> = rows.iter().map(|(id, about)| format!("{id:<16} {about}\n")).collect();
    answer(&lines.concat())
}
