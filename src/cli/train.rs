//! `plummet train`.

use clap::ArgMatches;
use serde_json::{Value as Json, json};

use super::progress::Bars;
use super::{Outcome, answer, configured, open};
use crate::config::{RunConfig, amount};
use crate::record::{Measure, Outcome as RunOutcome, RunRecord, Summary};
use crate::stack;
use crate::train::{Corpus, fits, run as train};

pub(super) fn run(matches: &ArgMatches) -> Outcome {
    let config = configured(matches)?;
    let corpus = Corpus::load(&config)?;
    if matches.get_flag("plan") {
        return plan(&config, &corpus);
    }
    // What cannot be trained creates no store.
    fits(&config, &corpus)?;
    drop(corpus);
    let store = open(&config.store)?;
    let bars = Bars::new([&config]);
    bars.part("training");
    bars.begin(&config);
    let record = train(&config, "", &store, &bars);
    bars.finish();
    let record = record?;
    if matches.get_flag("json") {
        return answer(&format!("{}\n", summary_json(&record)));
    }
    answer(&summary_text(&record))
}

fn plan(config: &RunConfig, corpus: &Corpus) -> Outcome {
    let footprint = fits(config, corpus)?;
    let program = stack::build(config, corpus.vocabulary, config.samples(), true);
    let segment = match footprint.segment {
        0 => "every activation is kept".to_string(),
        1 => "checkpoints at every block".to_string(),
        blocks => format!("checkpoints every {blocks} blocks"),
    };
    let mut text = format!("{program}\n");
    let mut line = |name: &str, what: String| text += &format!("{name:<14}{what}\n");
    line("parameters", program.parameters().to_string());
    let threads = match footprint.hosts {
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

/// The object that `--json` ends with.
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
    object["run"] = json!(record.id);
    object["config"] = record.config.clone();
    object
}

/// The held-out loss, and where it is what the run is judged by, why and against what.
fn held_out(s: &Summary) -> String {
    let mut text = format!("{:.4}", s.val_loss);
    if s.val_unigram.is_finite() {
        text += &format!(" (without context: {:.4})", s.val_unigram);
    }
    if s.measure == Measure::HeldOut {
        text += ", which the run is judged by";
    }
    text
}

/// The same for people.
pub(super) fn summary_text(record: &RunRecord) -> String {
    let Some(s) = &record.summary else {
        return format!("run            {}\nnot finished\n", record.id);
    };
    let mut lines = vec![
        ("run", record.id.clone()),
        ("outcome", s.outcome.to_string()),
        ("loss", format!("{:.4} nats (mean of the last 20 of {} steps)", s.loss, s.steps)),
        ("trend", s.trend.to_string()),
        ("held-out loss", held_out(s)),
        ("unigram, bigram", format!("{:.4}, {:.4}", s.unigram_entropy, s.bigram_entropy)),
    ];
    if s.passes.is_finite() {
        lines.push(("passes", format!("{:.2} over the training text", s.passes)));
    }
    if let Some(floor) = s.floor {
        lines.push(("floor", format!("{floor:.4} (the source's own entropy)")));
    }
    lines.push(("token cosine", format!("{:.4} (last block, end of training)", s.token_cosine)));
    let mib = s.peak_bytes as f64 / (1 << 20) as f64;
    lines.push(("cost", format!("{:.1} s, {mib:.0} MiB at the peak", s.seconds)));
    let rows = lines.iter().map(|(name, text)| format!("{name:<15} {text}\n"));
    rows.collect()
}
