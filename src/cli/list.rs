//! `plummet list norms|wirings|inits|weights|tasks`, and all of them as a page.

use clap::ArgMatches;
use serde_json::json;

use super::{Outcome, answer, one};
use crate::choice::{Choice, Constant, Entry, Listed};
use crate::op::{norm, weight};
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
    if matches.get_flag("markdown") {
        return answer(&page());
    }
    let what = one(matches, "what");
    let rows = match what {
        "norms" => rows(norm::ALL),
        "wirings" => rows(wiring::ALL),
        "inits" => rows(init::ALL),
        "weights" => rows(weight::ALL),
        "tasks" => rows(task::ALL),
        _ => return Err(Invalid::new("list", what, "norms, wirings, inits, weights, tasks").into()),
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

fn rows<T: Listed + ?Sized>(entries: &'static [Entry<T>]) -> Vec<Row> {
    let row = |entry: &'static Entry<T>| Row {
        id: entry.id,
        about: entry.about,
        constants: Choice::of(entry).constants(),
    };
    entries.iter().map(row).collect()
}

/// Everything that there is to choose from, as Markdown.
fn page() -> String {
    let mut page = "\
# Methods

Printed by `plummet list --markdown`, from the code: every formula, its source, and its constants with
their usual values. On the command line and in sweeps constants go into brackets behind the name,
several with commas between: `--norm 'layer_norm(eps=1e-6)'`, `--wiring 'deepnorm(alpha=2)'`.
"
    .to_string();
    for (title, flag, rows) in [
        ("Norms", "norm", rows(norm::ALL)),
        ("Wirings", "wiring", rows(wiring::ALL)),
        ("Initialisations", "init", rows(init::ALL)),
        ("Forms of weights", "weights", rows(weight::ALL)),
        ("Tasks", "task", rows(task::ALL)),
    ] {
        page += &format!("\n## {title}, `--{flag}`\n\n");
        page += "| name | formula and source | constants |\n|---|---|---|\n";
        for Row { id, about, constants } in rows {
            let constants: Vec<String> = (constants.iter())
                .map(|Constant { name, value, allowed, .. }| format!("`{name}={value}`: {allowed}"))
                .collect();
            // A bar ends a cell.
            let about = about.replace('|', "\\|");
            page += &format!("| `{id}` | {about} | {} |\n", constants.join("<br>"));
        }
    }
    page
}
