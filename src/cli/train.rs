//! `plummet train`.

use std::path::Path;

use clap::ArgMatches;
use serde_json::{Value as Json, json};

use super::progress::Bars;
use super::{Failure, Outcome, answer, configured, open, signals};
use crate::config::{RunConfig, Warning, far_start};
use crate::memory::amount;
use crate::record::{Measure, Outcome as RunOutcome, ReferenceLoss, RunRecord, Summary};
use crate::stack;
use crate::store::Filter;
use crate::task::Source;
use crate::train::{Corpus, Error, Library, fits, run_on};

pub(super) fn run(matches: &ArgMatches) -> Outcome {
    let config = configured(matches)?;
    let mut library = Library::default();
    let corpus = library.corpus(&config)?;
    if matches.get_flag("plan") {
        return plan(&config, &corpus);
    }
    // What cannot be trained creates no store.
    fits(&config, &corpus)?;
    let config = library.resolved(&config)?;
    let store = open(&config.store)?;
    let bars = Bars::new([&config]);
    let warnings = library.warnings(&config)?;
    bars.warn(std::slice::from_ref(&warnings));
    if let Some(note) = changed(&store.runs(&Filter::default())?, &config) {
        bars.say_later(note);
    }
    bars.part("training");
    bars.begin(&config);
    signals::watch();
    let record = run_on(corpus, &config, "", &store, &bars);
    bars.finish();
    let record = record.map_err(|error| failure(error, &config, ""))?;
    let initial = record.summary.as_ref().map_or(f64::NAN, |summary| summary.initial_loss);
    bars.first_loss(&config, initial);
    if matches.get_flag("json") {
        return answer(&format!("{}\n", warned_json(&record, &config, warnings)));
    }
    answer(&summary_text(&record))
}

/// One line for why a training ended early; `of` says which run of several it was.
pub(super) fn failure(error: Error, config: &RunConfig, of: &str) -> Failure {
    let Error::Stopped { id, done, lost } = error else { return error.into() };
    let by = signals::caught().map_or("a request".to_string(), signals::name);
    let kept = match lost {
        None => String::new(),
        Some(error) => format!("; the steps since its last snapshot are lost ({error})"),
    };
    let steps = config.steps;
    let line = format!("stopped by {by} after {done} of {steps} steps of run {id}{of}{kept}");
    Failure::from(format!("{line}; the same command goes on from there"))
}

/// A line where the store knows a file of this name, but not this content.
pub(super) fn changed(runs: &[RunRecord], config: &RunConfig) -> Option<String> {
    config.files().into_iter().find_map(|(field, file)| changed_file(runs, field, file))
}

fn changed_file(runs: &[RunRecord], field: &'static str, file: &Source) -> Option<String> {
    let (path, digest) = (&file.path, file.sha256.as_ref()?);
    let holds = |run: &&RunRecord, field: &str, text: &str| run.config[field] == *text;
    let known = format!("{field}-sha256");
    if runs.iter().any(|run| holds(&run, &known, digest)) || !Path::new(path).is_file() {
        return None;
    }
    let others = runs.iter().filter(|run| holds(run, field, path)).count();
    let line = Warning::new(
        field,
        path,
        format!(
            "the store holds {others} runs of a {field} of this name, but not of this content; \
             they stay as they are, and this content is learned anew"
        ),
    );
    (others > 0).then(|| format!("note: {line}"))
}

/// The object that `--json` ends with, and what was warned of.
pub(super) fn warned_json(
    record: &RunRecord,
    config: &RunConfig,
    mut warnings: Vec<Warning>,
) -> Json {
    let initial = record.summary.as_ref().map_or(f64::NAN, |summary| summary.initial_loss);
    warnings.extend(far_start(config, initial));
    let mut object = summary_json(record);
    object["warnings"] = warnings.iter().map(Warning::to_string).collect();
    object
}

fn plan(config: &RunConfig, corpus: &Corpus) -> Outcome {
    let footprint = fits(config, corpus)?;
    let program = stack::build(&config.architecture(), &config.task.ends(), config.samples(), true);
    let segment = match footprint.segment {
        0 => "every activation is kept".to_string(),
        1 => "checkpoints at every block".to_string(),
        blocks => format!("checkpoints every {blocks} blocks"),
    };
    let mut text = format!("{program}\n");
    let mut line = |name: &str, what: String| text += &format!("{name:<14}{what}\n");
    line("parameters", program.parameters().to_string());
    let threads = match footprint.lanes {
        1 => "one thread".to_string(),
        more => format!("{more} threads"),
    };
    let (shards, samples) = (config.shards(), config.samples());
    line("shards", format!("{shards} of {samples} sequences, on {threads}"));
    line("checkpoint", segment);
    line("", format!("{:>14}", "bytes"));
    for (name, bytes) in footprint.parts() {
        line(name, format!("{bytes:>14}  {:>10}", amount(bytes as u64)));
    }
    let total = footprint.total();
    line("in all", format!("{total:>14}  {:>10}", amount(total as u64)));
    answer(&text)
}

/// A run as an object.
pub(super) fn summary_json(record: &RunRecord) -> Json {
    let mut object = match &record.summary {
        Some(summary) => serde_json::to_value(summary).unwrap_or_default(),
        None => json!({}),
    };
    // One word for the outcome, its details beside it.
    if let Some(summary) = &record.summary {
        object["outcome"] = json!(summary.outcome.id());
        match &summary.outcome {
            RunOutcome::NonFinite { step, value } => {
                object["outcome_step"] = json!(step);
                object["outcome_value"] = json!(value);
            }
            RunOutcome::Diverged { step } | RunOutcome::Spike { step } => {
                object["outcome_step"] = json!(step);
            }
            _ => {}
        }
    }
    object["state"] = json!(record.state);
    object["run"] = json!(record.id);
    object["config"] = record.config.clone();
    object
}

/// The held-out loss, and where it is what the run is judged by, why and against what.
fn held_out(s: &Summary) -> String {
    let mut text = format!("{:.4}", s.val_loss);
    if s.val_baseline.is_finite() {
        text += &format!(" ({}: {:.4})", s.baseline, s.val_baseline);
    }
    if s.measure == Measure::HeldOut {
        text += ", which the run is judged by";
    }
    text
}

/// The losses to compare with, by name.
fn references(s: &Summary) -> String {
    let named = |reference: &ReferenceLoss| format!("{} {:.4}", reference.name, reference.nats);
    s.references.iter().map(named).collect::<Vec<_>>().join(", ")
}

/// The same for people.
pub(super) fn summary_text(record: &RunRecord) -> String {
    let Some(s) = &record.summary else {
        return format!("run             {}\n", record.id);
    };
    let config = RunConfig::from_json(&record.config);
    let unit = config.map_or("nats", |config| config.task.ends().head.unit());
    let mut lines = vec![
        ("run", record.id.clone()),
        ("outcome", s.outcome.to_string()),
        ("loss", format!("{:.4} {unit} (mean of the last 20 of {} steps)", s.loss, s.steps)),
        ("trend", s.trend.to_string()),
        ("held-out loss", held_out(s)),
        ("references", references(s)),
    ];
    if s.passes.is_finite() {
        lines.push(("passes", format!("{:.2} over what there is to train on", s.passes)));
    }
    lines.push(("token cosine", format!("{:.4} (last block, end of training)", s.token_cosine)));
    let mib = s.peak_bytes as f64 / (1 << 20) as f64;
    lines.push(("cost", format!("{:.1} s, {mib:.0} MiB at the peak", s.seconds)));
    let rows = lines.iter().map(|(name, text)| format!("{name:<15} {text}\n"));
    rows.collect()
}
