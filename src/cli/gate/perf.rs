//! `plummet gate perf`: pairs of fresh processes, timed in turn.

use std::ffi::OsString;
use std::time::Duration;

use clap::{Arg, ArgMatches};

use super::{Ending, bar, duration, number, text, value};
use crate::cli::{answer, json_arg};
use crate::gate::Candidate;
use crate::gate::perf::{Options, perf};
use crate::gate::wire::process::Process;
use crate::setting::Invalid;

/// Parts of the bar.
const PARTS: usize = 1000;

pub(super) fn args() -> Vec<Arg> {
    vec![
        value("base", "COMMAND", "What is compared with, in quotes").required(true),
        value("cand", "COMMAND", "What is judged, in quotes").required(true),
        value("ops", "LIST", "Operators, as layer_norm,rms_norm or layer_norm:bwd:f32"),
        value("sizes", "LIST", "Sizes, as rows=64,cols=768; several with ; between them"),
        value("budget", "30s", "How long one problem may take").default_value("30s"),
        value("seed", "N", "Seed of the order of starts and visits").default_value("1"),
        json_arg(),
    ]
}

pub(super) fn run(matches: &ArgMatches) -> Ending {
    let list = |name: &str, between: char| -> Vec<String> {
        let given = matches.get_one::<String>(name).map_or("", String::as_str);
        given.split(between).filter(|part| !part.is_empty()).map(str::to_string).collect()
    };
    let (base, cand) = (command(matches, "base")?, command(matches, "cand")?);
    let options = Options {
        ops: list("ops", ','),
        sizes: list("sizes", ';'),
        budget: duration(matches, "budget")?.unwrap_or(Duration::from_secs(30)),
        seed: number(matches, "seed", "a whole number")?.unwrap_or(1),
        ..Options::default()
    };
    let start = |command: &[OsString], padding: usize| {
        let process = Process::new(command).environment("PLUMMET_PADDING", "x".repeat(padding));
        let process: Box<dyn Candidate> = Box::new(process);
        Ok(process)
    };
    let bar = bar(PARTS);
    let mut told = |share: f64| bar.set_position((share * PARTS as f64) as u64);
    let report = perf(
        &|padding| start(&base, padding),
        &|padding| start(&cand, padding),
        &options,
        &mut told,
    )?;
    bar.finish_and_clear();
    if matches.get_flag("json") {
        answer(&format!("{}\n", serde_json::to_value(&report)?))?;
    } else {
        answer(&format!("{report}\n"))?;
    }
    Ok(report.exit_code())
}

/// A command as a shell would read it.
fn command(matches: &ArgMatches, name: &'static str) -> Result<Vec<OsString>, Invalid> {
    let given = text(matches, name);
    match shlex::split(given) {
        Some(words) if !words.is_empty() => Ok(words.into_iter().map(OsString::from).collect()),
        _ => Err(Invalid::new(name, given, "a command and its arguments, quotes closed")),
    }
}
