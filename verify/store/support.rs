//! Values, and comparisons that tell every float apart.

use plummet::record::{Measure, Outcome, ProbeRow, ReferenceLoss, StepRow, Summary, Trend};
use plummet::store::{Filter, Store, StoreError};
use serde_json::json;
use std::path::Path;

pub fn step(step: u64, loss: f64) -> StepRow {
    StepRow {
        step,
        loss,
        lr: 1e-3 / (step as f64 + 1.0),
        grad_norm: loss * 0.1,
        val_loss: step.is_multiple_of(4).then_some(loss + 0.5),
    }
}

pub fn probe(step: u64, layer: u32, site: &str, metric: &str, value: f64) -> ProbeRow {
    ProbeRow { step, layer, site: site.to_owned(), metric: metric.to_owned(), value }
}

pub fn summary() -> Summary {
    Summary {
        outcome: Outcome::Ok,
        loss: 1.25,
        initial_loss: 4.5,
        val_loss: 1.5,
        references: [("unigram", 3.25), ("bigram", 2.75), ("bayes", 1.125)]
            .map(ReferenceLoss::from)
            .to_vec(),
        baseline: "unigram".to_owned(),
        token_cosine: 0.25,
        steps: 40,
        seconds: 0.5,
        peak_bytes: 1 << 33,
        parameters: 1_234_567,
        passes: 1.5,
        trend: Trend::Falling,
        measure: Measure::HeldOut,
        val_baseline: 3.5,
    }
}

/// Writes one finished run of 40 steps, one interrupted run, and closes.
pub fn sample(path: &Path) {
    let store = Store::open(path).unwrap();
    for id in ["aaaa1111", "bbbb2222"] {
        store.begin(id, &format!("run {id}"), "sample", &json!({"depth": 4, "id": id})).unwrap();
        let steps: Vec<_> = (0..40).map(|s| step(s, 4.0 - s as f64 / 20.0)).collect();
        let probes: Vec<_> = (0..40)
            .step_by(10)
            .flat_map(|s| {
                (0..4).flat_map(move |layer| {
                    ["rms", "grad_norm"].map(|m| probe(s, layer, "stream", m, f64::from(layer)))
                })
            })
            .collect();
        if id == "aaaa1111" {
            store.finish(id, &summary(), &steps, &probes).unwrap();
        } else {
            store.snapshot(id, 39, &[7; 10_000], &steps, &probes).unwrap();
        }
    }
    store.close().unwrap();
}

/// Everything a store holds except the times of creation, as text that tells
/// every float apart.
pub fn content(store: &Store) -> Result<String, StoreError> {
    let mut text = String::new();
    for run in store.runs(&Filter::default())? {
        let id = &run.id;
        text += &format!("run {id} {} {} {} {:?}\n", run.name, run.group, run.config, run.state);
        if let Some(summary) = &run.summary {
            text += &summary_text(summary);
        }
        for row in store.steps(id)? {
            text += &step_text(&row);
        }
        for metric in store.metrics(id)? {
            for row in store.probes(id, &metric)? {
                text += &probe_text(&row);
            }
        }
    }
    Ok(text)
}

pub fn bits(value: f64) -> String {
    if value.is_nan() { "nan".to_owned() } else { format!("{:016x}", value.to_bits()) }
}

pub fn step_text(row: &StepRow) -> String {
    let val = row.val_loss.map_or_else(|| "none".to_owned(), bits);
    format!("{} {} {} {} {val}\n", row.step, bits(row.loss), bits(row.lr), bits(row.grad_norm))
}

pub fn probe_text(row: &ProbeRow) -> String {
    format!("{} {} {} {} {}\n", row.step, row.layer, row.site, row.metric, bits(row.value))
}

pub fn summary_text(s: &Summary) -> String {
    let floats =
        [s.loss, s.initial_loss, s.val_loss, s.token_cosine, s.seconds, s.passes, s.val_baseline];
    format!(
        "{:?} {:?} {:?} {} {} {} {} {}\n",
        s.outcome,
        s.trend,
        s.measure,
        floats.map(bits).join(" "),
        s.references
            .iter()
            .map(|loss| format!("{} {} ", loss.name, bits(loss.nats)))
            .collect::<String>()
            + &s.baseline,
        s.steps,
        s.peak_bytes,
        s.parameters
    )
}

/// The text of the error that is expected, which must be one line that names
/// the store and the path.
pub fn refusal<T>(result: Result<T, StoreError>, path: &Path) -> String {
    let Err(error) = result else { panic!("{} was accepted", path.display()) };
    let text = error.to_string();
    assert!(text.starts_with("store "), "{text}");
    assert!(text.contains(&path.display().to_string()), "{text}");
    assert_eq!(text.lines().count(), 1, "{text}");
    text
}

/// A generator that needs no dependency and repeats itself.
pub struct Dice(pub u64);

impl Dice {
    pub fn roll(&mut self, sides: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        (self.0 >> 33) % sides
    }
}
