//! `plummet train`.

use std::sync::Arc;

use clap::ArgMatches;
use serde_json::{Value as Json, json};

use super::progress::Bars;
use super::{Outcome, answer, configured, open};
use crate::backend::Element;
use crate::config::{Precision, RunConfig};
use crate::record::{Outcome as RunOutcome, RunRecord};
use crate::train::{Corpus, Trainer, fits, run as train};

pub(super) fn run(matches: &ArgMatches) -> Outcome {
    let config = configured(matches)?;
    let corpus = Corpus::load(&config)?;
    if matches.get_flag("plan") {
        return match config.precision {
            Precision::F32 => plan::<f32>(&config, corpus),
            Precision::F64 => plan::<f64>(&config, corpus),
        };
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

fn plan<T: Element>(config: &RunConfig, corpus: Corpus) -> Outcome {
    let trainer = Trainer::<T>::new(config, Arc::new(corpus))?;
    let mib = |bytes: usize| format!("{:.1} MiB", bytes as f64 / (1 << 20) as f64);
    let totals = [
        ("parameters", trainer.parameters().len().to_string()),
        ("shards", format!("{} of {} sequences", config.shards(), config.samples())),
        ("activations", mib(trainer.activation_bytes())),
        ("in all", mib(trainer.bytes())),
    ];
    let mut text = trainer.program().to_string();
    for (name, total) in totals {
        text += &format!("{name:<12} {total}\n");
    }
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

/// The same for people.
pub(super) fn summary_text(record: &RunRecord) -> String {
    let Some(s) = &record.summary else {
        return format!("run            {}\nnot finished\n", record.id);
    };
    let mut lines = vec![
        ("run", record.id.clone()),
        ("outcome", s.outcome.to_string()),
        ("loss", format!("{:.4} nats (mean of the last 20 of {} steps)", s.loss, s.steps)),
        ("held-out loss", format!("{:.4}", s.val_loss)),
        ("unigram, bigram", format!("{:.4}, {:.4}", s.unigram_entropy, s.bigram_entropy)),
    ];
    if let Some(floor) = s.floor {
        lines.push(("floor", format!("{floor:.4} (the source's own entropy)")));
    }
    lines.push(("token cosine", format!("{:.4} (last block, end of training)", s.token_cosine)));
    let mib = s.peak_bytes as f64 / (1 << 20) as f64;
    lines.push(("cost", format!("{:.1} s, {mib:.0} MiB at the peak", s.seconds)));
    let rows = lines.iter().map(|(name, text)| format!("{name:<15} {text}\n"));
    rows.collect()
}
