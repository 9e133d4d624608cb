//! `plummet gate selftest`: what the gate catches, and whom it accuses wrongly.

use std::fs;
use std::path::Path;

use clap::{Arg, ArgMatches};

use super::{Ending, bar, number, switch, text, value};
use crate::check::spec;
use crate::cli::{answer, json_arg, writable};
use crate::gate::selftest::{Effort, markdown, run as prove};
use crate::setting::Invalid;

pub(super) fn args() -> Vec<Arg> {
    vec![
        value("ops", "OP", "One operator only"),
        value("seed", "N", "First of the three seeds of the mutants' cases").default_value("1"),
        value("cases", "N", "Cases of every right implementation").default_value("300"),
        switch("explain", "Shrink and name every mutant as well"),
        value("out", "DIR", "Folder for gate.md; printed only where there is none"),
        json_arg(),
    ]
}

pub(super) fn run(matches: &ArgMatches) -> Ending {
    let seed: u64 = number(matches, "seed", "a whole number")?.unwrap_or(1);
    let cases: usize = number(matches, "cases", "a whole number")?.unwrap_or(300);
    let op = matches.get_one::<String>("ops").cloned();
    if let Some(op) = &op
        && spec::find(op).is_none()
    {
        return Err(Invalid::new("ops", op, spec::names().join(", ")).into());
    }
    let explain = matches.get_flag("explain");
    let seeds = vec![seed, seed + 1, seed + 2];
    let effort = Effort { seeds, cases, plantings: 200, explain, op };
    let out = matches.get_one::<String>("out").map(Path::new);
    if let Some(folder) = out {
        writable("out", folder)?;
    }
    let bar = bar(0);
    let power = prove(&effort, &|done, of| {
        bar.set_length(of as u64);
        bar.set_position(done as u64);
        bar.set_prefix("implementations");
    });
    bar.finish_and_clear();
    let mut command = format!("plummet gate selftest --seed {seed} --cases {cases}");
    command += if explain { " --explain" } else { "" };
    let table = markdown(&power, &command);
    if let Some(folder) = out {
        fs::write(folder.join("gate.md"), &table)
            .map_err(|error| Invalid::new("out", text(matches, "out"), error.to_string()))?;
    }
    if matches.get_flag("json") {
        answer(&format!("{}\n", serde_json::to_value(&power)?))?;
    } else {
        answer(&table)?;
    }
    // A gate that misses a mutant or accuses a right one is itself at fault.
    Ok(if power.holds() { 0 } else { 9 })
}
