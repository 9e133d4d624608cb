//! What the figures have in common: marks, lines and words for arms.

use std::path::Path;

use crate::config::RunConfig;
use crate::experiment::Run;
use crate::experiment::arm::{Arm, share, wiring_and_init};
use crate::plot::Series;
use crate::survey::findings::words::{count, distinct};

/// The stack, the batches and the text of some runs, which share them; rates, warm-ups and steps
/// where they share those, too.
pub(in crate::survey) fn subtitle(arms: &[Arm]) -> String {
    let Some(c) = arms.first().map(Arm::config) else { return String::new() };
    let configs = || arms.iter().map(Arm::config);
    let mut words = Vec::new();
    let depths = distinct(configs().map(|c| c.depth as f64));
    if let [depth] = depths.as_slice() {
        words.push(count(*depth as usize, "block"));
    }
    words.push(format!("width {}, {} heads", c.width, c.heads));
    words.push(format!("sequences of {} × {}", c.seq, c.batch));
    words.push(c.optimizer.id().to_string());
    if let [lr] = distinct(configs().map(|c| c.lr)).as_slice() {
        words.push(format!("lr {lr}"));
    }
    if configs().all(|c| c.warmup == 0) {
        words.push("no warm-up".to_string());
    }
    if let [steps] = distinct(configs().map(|c| c.steps as f64)).as_slice() {
        words.push(format!("{steps} steps"));
    }
    let seeds = distinct(arms.iter().flat_map(|arm| &arm.runs).map(|run| run.config.seed as f64));
    words.push(count(seeds.len(), "seed"));
    words.push(text_name(c));
    words.join(", ")
}

/// What is learned, for people.
pub(in crate::survey) fn text_name(config: &RunConfig) -> String {
    if config.text.is_empty() {
        "bytes of the embedded Latin text".to_string()
    } else {
        let name = Path::new(&config.text).file_name().map(|name| name.to_string_lossy());
        format!("bytes of {}", name.unwrap_or_default())
    }
}

/// The name of an arm among others: its rate is named where they have several.
pub(super) fn label(arm: &Arm, arms: &[Arm]) -> String {
    let config = arm.config();
    let mut label = wiring_and_init(config);
    if distinct(arms.iter().map(|arm| arm.config().lr)).len() > 1 {
        label.push_str(&format!(", lr {}", config.lr));
    }
    if config.warmup > 0 {
        label.push_str(&format!(", warm-up {}", share(config)));
    }
    label
}

/// A line for an arm. Its first appearance has the look of its wiring, others have their own.
pub(super) fn series(arm: &Arm, arms: &[Arm], curve: impl Fn(&Run) -> Vec<(f64, f64)>) -> Series {
    let (points, band) = arm.curve(curve);
    let wiring = &arm.config().wiring;
    let first = arms.iter().find(|other| other.config().wiring == *wiring);
    let plain = first.is_some_and(|first| first.config() == arm.config());
    let label = label(arm, arms);
    let style_key = if plain { wiring.id().to_string() } else { label.clone() };
    Series { style_key, band, ..Series::new(label, points) }
}
