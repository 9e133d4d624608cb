//! `plummet list norms|wirings|inits|weights|tasks`, and all of them as a page.

use clap::ArgMatches;
use serde_json::json;

use super::{Outcome, answer, one};
use crate::bench::Cost;
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
    /// Of a training step with it, beside a usual one, where that was measured.
    cost: Option<Cost>,
}

pub(super) fn run(matches: &ArgMatches) -> Outcome {
    if matches.get_flag("markdown") {
        return answer(&page());
    }
    let what = one(matches, "what");
    let rows = match what {
        "norms" => rows(norm::ALL, "norm"),
        "wirings" => rows(wiring::ALL, "wiring"),
        "inits" => rows(init::ALL, "init"),
        "weights" => rows(weight::ALL, "weights"),
        "tasks" => rows(task::ALL, "task"),
        _ => return Err(Invalid::new("list", what, "norms, wirings, inits, weights, tasks").into()),
    };
    if matches.get_flag("json") {
        let rows = rows.iter().map(|Row { id, about, constants, cost }| {
            let constants: serde_json::Map<_, _> = (constants.iter())
                .map(|c| (c.name.into(), json!({"value": c.value, "allowed": c.allowed})))
                .collect();
            let (time, bytes) = (cost.as_ref().map(|c| c.time), cost.as_ref().map(|c| c.bytes));
            json!({"id": id, "about": about, "constants": constants, "time": time, "bytes": bytes})
        });
        return answer(&format!("{}\n", serde_json::Value::Array(rows.collect())));
    }
    let mut text = String::new();
    for Row { id, about, constants, cost } in rows {
        text += &format!("{id:<16} {about}\n");
        for Constant { name, value, allowed, .. } in constants {
            text += &format!("{:<16}   {name} = {value} ({allowed})\n", "");
        }
        if let Some(Cost { time, bytes, .. }) = cost {
            text +=
                &format!("{:<16}   a step takes {time:.2}× the time, {bytes:.2}× the bytes\n", "");
        }
    }
    answer(&text)
}

fn rows<T: Listed + ?Sized>(entries: &'static [Entry<T>], field: &str) -> Vec<Row> {
    let costs = Cost::known();
    let row = |entry: &'static Entry<T>| Row {
        id: entry.id,
        about: entry.about,
        constants: Choice::of(entry).constants(),
        cost: costs.iter().find(|cost| cost.field == field && cost.id == entry.id).cloned(),
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

Costs are those of a training step, time and bytes, as multiples of the step of `pre_ln` with
`layer_norm` and plain weights: 8 blocks of width 64, 8 sequences of 64, on two CPU cores, taken in turn
(`plummet bench --methods --json`).
"
    .to_string();
    for (title, flag, rows) in [
        ("Norms", "norm", rows(norm::ALL, "norm")),
        ("Wirings", "wiring", rows(wiring::ALL, "wiring")),
        ("Initialisations", "init", rows(init::ALL, "init")),
        ("Forms of weights", "weights", rows(weight::ALL, "weights")),
        ("Tasks", "task", rows(task::ALL, "task")),
    ] {
        page += &format!("\n## {title}, `--{flag}`\n\n");
        let measured = rows.iter().any(|row| row.cost.is_some());
        page += match measured {
            true => {
                "| name | formula and source | constants | time | bytes |\n|---|---|---|---:|---:|\n"
            }
            false => "| name | formula and source | constants |\n|---|---|---|\n",
        };
        for Row { id, about, constants, cost } in rows {
            let constants: Vec<String> = (constants.iter())
                .map(|Constant { name, value, allowed, .. }| format!("`{name}={value}`: {allowed}"))
                .collect();
            // A bar ends a cell.
            let about = about.replace('|', "\\|");
            page += &format!("| `{id}` | {about} | {} |", constants.join("<br>"));
            page += &match (measured, cost) {
                (false, _) => String::new(),
                (true, Some(Cost { time, bytes, .. })) => format!(" {time:.2}× | {bytes:.2}× |"),
                (true, None) => " – | – |".to_string(),
            };
            page.push('\n');
        }
    }
    page
}
