//! `plummet claims list|run|report`: the ledger.

use std::path::Path;

use clap::{Arg, ArgAction, ArgMatches, Command};
use serde_json::json;

use super::progress::Bars;
use super::{
    ENDS, Failure, Outcome, answer, json_arg, one, open, open_read, signals, store_arg, writable,
};
use crate::config::RunConfig;
use crate::experiment::Experiment;
use crate::ledger::{self, ALL, Entry, Judged, Registered, Tier};
use crate::setting::Invalid;
use crate::store::Store;
use crate::train::Library;

pub(super) fn command() -> Command {
    let ids = Arg::new("id").value_name("ID").action(ArgAction::Append).num_args(0..);
    let ids = ids.help("Claims such as S01; all of them where none is named");
    let tier = Arg::new("tier").long("tier").value_name("VALUE");
    let tier = tier.help("Only those of one cost [init: seconds, laptop: minutes each]");
    let reports = Arg::new("reports").long("reports").value_name("VALUE").default_value("reports");
    let reports = reports.help("Folder for claims.md and a folder of pictures for each");
    let chosen = |command: Command| command.arg(ids.clone()).arg(tier.clone()).arg(json_arg());
    let placed = |command: Command| command.arg(store_arg()).arg(reports.clone());
    Command::new("claims")
        .about("What the field says about norms and depth, each statement run and judged")
        .subcommand_required(true)
        .subcommand(chosen(Command::new("list").about("List the claims")))
        .subcommand(placed(chosen(
            Command::new("run")
                .about("Train what the store does not hold yet, judge, and write claims.md")
                .after_help(ENDS),
        )))
        .subcommand(placed(chosen(
            Command::new("report").about("Judge again, from the store, and write claims.md"),
        )))
}

pub(super) fn run(matches: &ArgMatches) -> Outcome {
    match matches.subcommand() {
        Some(("list", matches)) => list(matches),
        Some(("run", matches)) => train(matches),
        Some(("report", matches)) => {
            let store = open_read(one(matches, "store"))?;
            report(matches, &chosen(matches)?, &store)
        }
        _ => Ok(()),
    }
}

/// The claims that are asked for.
fn chosen(matches: &ArgMatches) -> Result<Vec<&'static Entry>, Invalid> {
    let ids = matches.get_many::<String>("id").into_iter().flatten();
    let named = ids.map(|id| Entry::named(id)).collect::<Result<Vec<_>, _>>()?;
    let tier = match one(matches, "tier") {
        "" => None,
        name => Some(Tier::ALL.into_iter().find(|(known, _)| *known == name).ok_or_else(|| {
            Invalid::new("tier", name, Tier::ALL.map(|(name, _)| name).join(", "))
        })?),
    };
    let all = if named.is_empty() { ALL.iter().collect() } else { named };
    let wanted = |entry: &&Entry| tier.is_none_or(|(_, tier)| tier == entry.tier);
    let chosen: Vec<&Entry> = all.into_iter().filter(wanted).collect();
    match chosen.is_empty() {
        true => Err(Invalid::new("tier", one(matches, "tier"), "the tier of the claims named")),
        false => Ok(chosen),
    }
}

fn list(matches: &ArgMatches) -> Outcome {
    let mut text = String::new();
    let mut objects = Vec::new();
    for entry in chosen(matches)? {
        let experiment = entry.experiment(&[])?;
        let runs = experiment.sweep.runs.len();
        text += &format!(
            "{:<4} {:<7} {runs:>4} runs  {}\n",
            entry.id,
            entry.tier.id(),
            experiment.title
        );
        for claim in &experiment.claims {
            text += &format!("{:<24} – {} ({})\n", "", claim.statement, claim.source);
            objects.push(json!({
                "claim": entry.id, "tier": entry.tier.id(), "runs": runs,
                "statement": claim.statement, "source": claim.source,
            }));
        }
    }
    match matches.get_flag("json") {
        true => answer(&format!("{}\n", json!(objects))),
        false => answer(&text),
    }
}

fn train(matches: &ArgMatches) -> Outcome {
    let entries = chosen(matches)?;
    let folder = Path::new(one(matches, "reports"));
    writable("reports", folder)?;
    let experiments = entries.iter().map(|entry| entry.experiment(&[]));
    let experiments = experiments.collect::<Result<Vec<Experiment>, _>>()?;
    // Before the first run, so that no rule follows its result.
    Registered::load(folder).register(&entries).map_err(|error| {
        Failure(format!(
            "reports = {}: allowed is a folder to write to ({error})",
            folder.display()
        ))
    })?;
    let store = open(one(matches, "store"))?;
    let runs: Vec<&RunConfig> =
        experiments.iter().flat_map(|experiment| &experiment.sweep.runs).collect();
    let bars = Bars::new(runs.iter().copied());
    // The runs are the ledger's own: a start far off is what some of them are about.
    bars.expect_any_start();
    signals::watch();
    let mut library = Library::default();
    let mut failed = Ok(());
    for experiment in &experiments {
        let ran = super::sweep::run_all(&experiment.sweep, &mut library, &store, &bars, 1);
        failed = ran.map(|_| ());
        if failed.is_err() {
            break;
        }
    }
    bars.finish();
    failed?;
    report(matches, &entries, &store)
}

/// Judges and writes; the page is about all claims that the store has runs of.
fn report(matches: &ArgMatches, entries: &[&Entry], store: &Store) -> Outcome {
    let folder = Path::new(one(matches, "reports"));
    writable("reports", folder)?;
    let all: Vec<&Entry> = ALL.iter().collect();
    let judged = ledger::report(&all, store, folder)?;
    let path = folder.join("claims.md");
    std::fs::write(&path, Judged::page(&judged)).map_err(|error| {
        Failure(format!(
            "reports = {}: allowed is a folder to write to ({error})",
            folder.display()
        ))
    })?;
    let own = || {
        let asked = |judged: &&Judged| entries.iter().any(|entry| entry.id == judged.entry.id);
        judged.iter().filter(asked)
    };
    if matches.get_flag("json") {
        let objects: Vec<_> = own().flat_map(Judged::json).collect();
        return answer(&format!("{}\n", json!(objects)));
    }
    let lines: String = own().map(Judged::lines).collect();
    answer(&format!("{lines}{}\n", path.display()))
}
