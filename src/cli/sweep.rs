//! `plummet run FILE.toml…`, also `plummet sweep`: runs, pictures, and what was found.

use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use clap::{Arg, ArgAction, ArgMatches};
use serde_json::Value as Json;

use super::progress::Bars;
use super::train::{changed, failure, warned_json};
use super::{Failure, Outcome, answer, flag, given, one, open, open_read, signals, writable};
use crate::config::RunConfig;
use crate::experiment::Experiment;
use crate::record::{RunRecord, RunState};
use crate::setting::Invalid;
use crate::store::{Filter, Problem, Store, StoreError};
use crate::sweep::Sweep;
use crate::train::{Error, Library, fits, run_on};

/// How often a run that another process trains is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(500);

pub(super) fn args() -> Vec<Arg> {
    let help = "Runs trained side by side, as narrow ones on a GPU should be; the results do not \
                depend on it, their times and peaks do";
    let at_once = Arg::new("at-once").long("at-once").value_name("VALUE").help(help);
    vec![
        files(true),
        at_once.default_value("1").allow_hyphen_values(true),
        reports(),
        flag("plan", "Print how many runs there are, their time and memory; train nothing"),
    ]
}

/// The files of experiments.
pub(super) fn files(required: bool) -> Arg {
    let files = Arg::new("file").value_name("FILE.toml").action(ArgAction::Append);
    files.num_args(1..).required(required).help("Experiments: what to run, and what to draw of it")
}

fn reports() -> Arg {
    let reports = Arg::new("reports").long("reports").value_name("VALUE").default_value("reports");
    reports.help("Folder for pictures and a report.md, in a folder of the file's name")
}

fn at_once(matches: &ArgMatches) -> Result<usize, Invalid> {
    let given = one(matches, "at-once");
    let number = given.parse().ok().filter(|number| (1..=64).contains(number));
    number.ok_or_else(|| Invalid::new("at-once", given, "a whole number, 1 to 64"))
}

pub(super) fn run(matches: &ArgMatches) -> Outcome {
    let at_once = at_once(matches)?;
    let mut library = Library::default();
    let experiments = experiments(matches, &mut library)?;
    let runs = || experiments.iter().flat_map(|experiment| &experiment.sweep.runs);
    let path = runs().next().map_or(String::new(), |run| run.store.clone());
    if matches.get_flag("plan") {
        return plan(&experiments, &mut library, &path);
    }
    let warnings = runs().map(|run| library.warnings(run));
    let warnings = warnings.collect::<Result<Vec<_>, _>>()?;
    let folder = Path::new(one(matches, "reports"));
    writable("reports", folder)?;
    let store = open(&path)?;
    let bars = Bars::new(runs());
    bars.warn(&warnings);
    signals::watch();
    let mut records = Vec::new();
    let mut failed = Ok(());
    for experiment in &experiments {
        match run_all(&experiment.sweep, &mut library, &store, &bars, at_once) {
            Ok(more) => records.extend(more),
            Err(error) => {
                failed = Err(error);
                break;
            }
        }
    }
    bars.finish();
    failed?;
    let json = matches.get_flag("json");
    if !json {
        answer(&table(&records, |record| record.state.to_string()))?;
    }
    for experiment in &experiments {
        let found = experiment.report(&store, &folder.join(&experiment.sweep.name))?;
        if !json {
            answer(&said(&found.findings, &found.files))?;
        }
    }
    if json {
        let all: Vec<_> = runs().zip(&warnings).collect();
        let objects = records.iter().filter_map(|record| {
            let (run, warnings) = all.iter().find(|(run, _)| run.id() == record.id)?;
            Some(warned_json(record, run, warnings.to_vec()))
        });
        return answer(&format!("{}\n", Json::Array(objects.collect())));
    }
    Ok(())
}

/// `plummet report FILE.toml…`: what `run` draws and writes, again, from the store.
pub(super) fn report(matches: &ArgMatches) -> Outcome {
    let experiments = experiments(matches, &mut Library::default())?;
    let store = open_read(one(matches, "store"))?;
    let folder = Path::new(one(matches, "reports"));
    writable("reports", folder)?;
    for experiment in &experiments {
        let found = experiment.report(&store, &folder.join(&experiment.sweep.name))?;
        answer(&said(&found.findings, &found.files))?;
    }
    Ok(())
}

/// The experiments of some files, which are told apart by their names, their data read.
fn experiments(matches: &ArgMatches, library: &mut Library) -> Result<Vec<Experiment>, Failure> {
    let over = given(matches);
    let mut experiments: Vec<Experiment> = Vec::new();
    for file in matches.get_many::<String>("file").into_iter().flatten() {
        let mut experiment = Experiment::load(Path::new(file), &over)?;
        if experiments.iter().any(|other| other.sweep.name == experiment.sweep.name) {
            let allowed = "files of different names, which their folders of reports have";
            return Err(Invalid::new("file", file, allowed).into());
        }
        experiment.sweep.runs = resolved(&experiment.sweep, library)?;
        experiments.push(experiment);
    }
    Ok(experiments)
}

/// What was found and where it lies, for people.
fn said(findings: &[String], files: &[PathBuf]) -> String {
    let findings = findings.iter().map(|finding| format!("{finding}\n"));
    let files = files.iter().map(|file| format!("{}\n", file.display()));
    format!("\n{}{}", findings.collect::<String>(), files.collect::<String>())
}

/// How many runs there are, and what they will take by what the store's have taken.
fn plan(experiments: &[Experiment], library: &mut Library, path: &str) -> Outcome {
    let known = match Path::new(path).exists() {
        true => open_read(path)?.runs(&Filter::default())?,
        false => Vec::new(),
    };
    let finished = |run: &RunConfig| {
        let id = run.id();
        known.iter().any(|record| record.id == id && record.state == RunState::Finished)
    };
    // Seconds for a unit of work, of every finished run: the median is no single slow moment's.
    let mut rates: Vec<f64> = (known.iter())
        .filter_map(|record| {
            let (config, s) =
                (RunConfig::from_json(&record.config).ok()?, record.summary.as_ref()?);
            let work = super::progress::per_step(&config) * s.steps;
            (work > 0 && s.seconds > 0.0).then(|| s.seconds / work as f64)
        })
        .collect();
    rates.sort_by(f64::total_cmp);
    let mut text = String::new();
    for experiment in experiments {
        let runs = &experiment.sweep.runs;
        let missing: Vec<&RunConfig> = runs.iter().filter(|run| !finished(run)).collect();
        let work: u64 =
            missing.iter().map(|run| super::progress::per_step(run) * run.steps as u64).sum();
        let work = work as f64 * experiment.sweep.share();
        let time = match rates.get(rates.len() / 2) {
            _ if missing.is_empty() => "no time".to_string(),
            None => "a time that is known once a first run is in the store".to_string(),
            Some(rate) => {
                let seconds = rate * work;
                format!(
                    "some {} by the speed of the store's runs",
                    indicatif::HumanDuration(Duration::from_secs_f64(seconds))
                )
            }
        };
        let mut most = 0;
        for run in &missing {
            most = most.max(fits(run, &*library.corpus(run)?)?.total());
        }
        let memory = format!("{:.0} MiB at most", most as f64 / (1 << 20) as f64);
        text += &format!(
            "{}: {}{} runs, {} of them in the store; the others take {time} and {memory}\n",
            experiment.sweep.name,
            if experiment.sweep.search { "a search among " } else { "" },
            runs.len(),
            runs.len() - missing.len()
        );
    }
    answer(&text)
}

/// The runs of a sweep, their texts read: one that cannot be is an error before the first run.
fn resolved(sweep: &Sweep, library: &mut Library) -> Result<Vec<RunConfig>, Failure> {
    Ok(sweep.runs.iter().map(|run| library.resolved(run)).collect::<Result<_, _>>()?)
}

/// Runs what the store does not hold yet, of a search what it comes to ask for, so many at once; the
/// records of all that was asked for.
pub(super) fn run_all(
    sweep: &Sweep,
    library: &mut Library,
    store: &Store,
    bars: &Bars,
    at_once: usize,
) -> Result<Vec<RunRecord>, Failure> {
    bars.part(&sweep.name);
    let sweep = Sweep { runs: resolved(sweep, library)?, ..sweep.clone() };
    if !sweep.search {
        return run_these(&sweep, &sweep.runs, library, store, bars, at_once);
    }
    let mut records: Vec<RunRecord> = Vec::new();
    loop {
        let outcome = |run: &RunConfig| {
            let id = run.id();
            let record = records.iter().find(|record| record.id == id)?;
            Some(record.summary.as_ref()?.outcome.clone())
        };
        let due: Vec<RunConfig> = sweep.due(&outcome).into_iter().cloned().collect();
        if due.is_empty() {
            break;
        }
        records.extend(run_these(&sweep, &due, library, store, bars, at_once)?);
    }
    let asked = |run: &&RunConfig| records.iter().any(|record| record.id == run.id());
    sweep.runs.iter().filter(|run| !asked(run)).for_each(|run| bars.known(run));
    Ok(records)
}

/// Runs what the store does not hold yet, in order; what another process trains comes last, and is only
/// waited for where that process finishes it.
fn run_these(
    sweep: &Sweep,
    runs: &[RunConfig],
    library: &mut Library,
    store: &Store,
    bars: &Bars,
    at_once: usize,
) -> Result<Vec<RunRecord>, Failure> {
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
        let one = one_of(i, runs, sweep, &library, store, bars)?;
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
            records[i] = one_of(i, runs, sweep, &library, store, bars)?.ok();
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
