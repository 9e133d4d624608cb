//! `plummet list norms|wirings|inits|tasks`.

use clap::ArgMatches;
use serde_json::json;

use super::{Outcome, answer, one};
use crate::choice::{Choice, Constant, Entry, Listed};
use crate::op::norm;
use crate::setting::Invalid;
use crate::stack::{init, wiring};
use crate::task;

/// One entry: its name, its formula and source, and its constants.
struct Row {
    id: &'static str,
    about: &'static str,
    constants: Vec<Constant>,
}

pub(super) fn run(matches: &ArgMatches) -> Outcome {
    let what = one(matches, "what");
    let rows: Vec<Row> = match what {
        "norms" => norm::ALL.iter().map(chosen).collect(),
        "wirings" => wiring::ALL.iter().map(chosen).collect(),
        "inits" => init::ALL.iter().map(chosen).collect(),
        "tasks" => task::ALL.iter().map(chosen).collect(),
        _ => return Err(Invalid::new("list", what, "norms, wirings, inits, tasks").into()),
    };
    if matches.get_flag("json") {
        let rows = rows.iter().map(|Row { id, about, constants }| {
            let constants: serde_json::Map<_, _> = (constants.iter())
                .map(|c| (c.name.into(), json!({"value": c.value, "allowed": c.allowed})))
                .collect();
            json!({"id": id, "about": about, "constants": constants})
        });
        return answer(&format!("{}\n", serde_json::Value::Array(rows.collect())));
    }
    let mut text = String::new();
    for Row { id, about, constants } in rows {
        text += &format!("{id:<16} {about}\n");
        for Constant { name, value, allowed, .. } in constants {
            text += &format!("{:<16}   {name} = {value} ({allowed})\n", "");
        }
    }
    answer(&text)
}

fn chosen<T: Listed + ?Sized>(entry: &'static Entry<T>) -> Row {
    Row { id: entry.id, about: entry.about, constants: Choice::of(entry).constants() }
}
