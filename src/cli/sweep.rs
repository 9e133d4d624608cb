//! `plummet sweep FILE.toml`.

use std::path::Path;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use clap::{Arg, ArgMatches};
use serde_json::Value as Json;

use super::progress::Bars;
use super::train::{changed, failure, warned_json};
use super::{Failure, Outcome, answer, given, one, open, signals};
use crate::config::RunConfig;
use crate::record::{RunRecord, RunState};
use crate::setting::Invalid;
use crate::store::{Filter, Problem, Store, StoreError};
use crate::sweep::Sweep;
use crate::train::{Error, Library, run_on};

/// How often a run that another process trains is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(500);

pub(super) fn at_once_arg() -> Arg {
    let help = "Runs trained side by side, as narrow ones on a GPU should be; the results do not \
                depend on it, their times and peaks do";
    let arg = Arg::new("at-once").long("at-once").value_name("VALUE").help(help);
    arg.default_value("1").allow_hyphen_values(true)
}

fn at_once(matches: &ArgMatches) -> Result<usize, Invalid> {
    let given = one(matches, "at-once");
    let number = given.parse().ok().filter(|number| (1..=64).contains(number));
    number.ok_or_else(|| Invalid::new("at-once", given, "a whole number, 1 to 64"))
}

pub(super) fn run(matches: &ArgMatches) -> Outcome {
    let at_once = at_once(matches)?;
    let sweep = Sweep::load(Path::new(one(matches, "file")), &given(matches))?;
    let path = sweep.runs.first().map_or(String::new(), |run| run.store.clone());
    let mut library = Library::default();
    let runs = resolved(&sweep, &mut library)?;
    let warnings = runs.iter().map(|run| library.warnings(run));
    let warnings = warnings.collect::<Result<Vec<_>, _>>()?;
    let store = open(&path)?;
    let bars = Bars::new(&sweep.runs);
    bars.warn(&warnings);
    signals::watch();
    let records = run_all(&sweep, &mut library, &store, &bars, at_once);
    bars.finish();
    let records = records?;
    if matches.get_flag("json") {
        let runs = records.iter().zip(&runs).zip(warnings);
        let objects = runs.map(|((record, run), warnings)| warned_json(record, run, warnings));
        return answer(&format!("{}\n", Json::Array(objects.collect())));
    }
    answer(&table(&records, |record| record.state.to_string()))
}

/// The runs of a sweep, their texts read: one that cannot be is an error before the first run.
fn resolved(sweep: &Sweep, library: &mut Library) -> Result<Vec<RunConfig>, Failure> {
    Ok(sweep.runs.iter().map(|run| library.resolved(run)).collect::<Result<_, _>>()?)
}

/// Runs what the store does not hold yet, in order, so many at once; what another process trains comes last, and is
/// only waited for where that process finishes it.
pub(super) fn run_all(
    sweep: &Sweep,
    library: &mut Library,
    store: &Store,
    bars: &Bars,
    at_once: usize,
) -> Result<Vec<RunRecord>, Failure> {
    bars.part(&sweep.name);
    let runs = resolved(sweep, library)?;
    let known = store.runs(&Filter::default())?;
    let mut notes: Vec<String> = runs.iter().filter_map(|run| changed(&known, run)).collect();
    notes.dedup();
    notes.into_iter().for_each(|note| bars.say_later(note));
    let mut records: Vec<Option<RunRecord>> = vec![None; runs.len()];
    let mut missing = Vec::new();
    for (i, config) in runs.iter().enumerate() {
        let id = config.id();
        let finished = known.iter().find(|run| run.id == id && run.state == RunState::Finished);
        if let Some(record) = finished {
            bars.known(config);
            records[i] = Some(record.clone());
            continue;
        }
        missing.push(i);
    }
    let library = Mutex::new(library);
    let trained = side_by_side(at_once, &missing, |i| {
        let one = one_of(i, &runs, sweep, &library, store, bars)?;
        Ok(one.map_err(|held| bars.say(&format!("{held}; going on with the others"))).ok())
    })?;
    for (i, record) in trained {
        records[i] = record;
    }
    let waiting: Vec<usize> = (0..runs.len()).filter(|&i| records[i].is_none()).collect();
    if !waiting.is_empty() {
        bars.say(&format!("waiting for {} of {} runs", waiting.len(), runs.len()));
    }
    for i in waiting {
        while records[i].is_none() {
            unless_stopped(i, runs.len())?;
            std::thread::sleep(LOOK_EVERY);
            // Whether its process finished it or died, it can be begun here.
            let run = store.run(&runs[i].id());
            if run.is_ok_and(|run| run.state == RunState::Running) {
                continue;
            }
            records[i] = one_of(i, &runs, sweep, &library, store, bars)?.ok();
        }
    }
    for (config, record) in runs.iter().zip(&records) {
        if let Some(summary) = record.as_ref().and_then(|record| record.summary.as_ref()) {
            bars.first_loss(config, summary.initial_loss);
        }
    }
    Ok(records.into_iter().flatten().collect())
}

/// Does some work for every item, so many at once, begun in their order; after a failure none is begun.
fn side_by_side<T: Send>(
    at_once: usize,
    items: &[usize],
    work: impl Fn(usize) -> Result<T, Failure> + Sync,
) -> Result<Vec<(usize, T)>, Failure> {
    let rest = Mutex::new(items.iter());
    let done: Mutex<Vec<(usize, Result<T, Failure>)>> = Mutex::default();
    let worker = || {
        let next = || {
            let done = done.lock().unwrap_or_else(PoisonError::into_inner);
            let mut rest = rest.lock().unwrap_or_else(PoisonError::into_inner);
            if done.iter().all(|(_, one)| one.is_ok()) { rest.next().copied() } else { None }
        };
        while let Some(item) = next() {
            let one = work(item);
            done.lock().unwrap_or_else(PoisonError::into_inner).push((item, one));
        }
    };
    std::thread::scope(|scope| {
        for _ in 1..at_once.min(items.len()) {
            scope.spawn(worker);
        }
        worker();
    });
    let done = done.into_inner().unwrap_or_else(PoisonError::into_inner);
    done.into_iter().map(|(item, one)| Ok((item, one?))).collect()
}

/// Trains run `i` of several; a line where another process is at it.
fn one_of(
    i: usize,
    runs: &[RunConfig],
    sweep: &Sweep,
    library: &Mutex<&mut Library>,
    store: &Store,
    bars: &Bars,
) -> Result<Result<RunRecord, String>, Failure> {
    unless_stopped(i, runs.len())?;
    let config = &runs[i];
    let corpus = library.lock().unwrap_or_else(PoisonError::into_inner).corpus(config)?;
    bars.begin(config);
    match run_on(corpus, config, &sweep.name, store, bars) {
        Ok(record) => {
            let trained = record.summary.as_ref().map_or(0, |summary| summary.steps as usize);
            bars.end(config, trained);
            Ok(Ok(record))
        }
        Err(Error::Store(StoreError { problem: Problem::Held { id, holder }, .. })) => {
            Ok(Err(format!("run {id} is under way in {holder}")))
        }
        Err(error) => {
            let of = format!(" ({} of {} in {})", i + 1, runs.len(), sweep.name);
            Err(failure(error, config, &of))
        }
    }
}

/// Begins nothing once a signal has come.
fn unless_stopped(i: usize, runs: usize) -> Outcome {
    let Some(signal) = signals::caught() else { return Ok(()) };
    let by = signals::name(signal);
    let line = format!("stopped by {by} before run {} of {runs}", i + 1);
    Err(Failure::from(format!("{line}; the same command goes on from there")))
}

/// One line per run; `standing` says how far an unfinished one is.
pub(super) fn table(records: &[RunRecord], standing: impl Fn(&RunRecord) -> String) -> String {
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
            None => format!("{:<52} {}", record.id, standing(record)),
        });
    }
    lines.join("\n") + "\n"
}
