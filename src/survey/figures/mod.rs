//! Records to pictures: one function per picture.

mod cost;
mod layers;
mod loss;
mod outcomes;
mod rates;
mod tables;
mod warmups;

use std::path::Path;

pub(super) use self::outcomes::{inits, norms};

use self::layers::{ENTROPY, GRADIENT, RMS, by_layer, similarity};
use super::Error;
use super::arm::{Arm, arms, share, wiring_and_init};
use super::data::{Data, Run};
use super::findings::words::{count, distinct};
use crate::config::RunConfig;
use crate::plot::{Mark, Series};
use crate::record::Outcome;

/// A picture that was drawn: its file and what it is about.
#[derive(Debug, Clone)]
pub(super) struct Picture {
    pub file: String,
    pub caption: &'static str,
    /// The experiment that makes the runs behind it.
    pub part: &'static str,
}

/// Draws the pictures of what trains into `folder`; their names begin with `prefix`.
pub(super) fn draw_training(
    data: &Data,
    folder: &Path,
    prefix: &str,
) -> Result<Vec<Picture>, Error> {
    let mut pictures = Vec::new();
    let mut note = |file: &str, part: &'static str, caption: &'static str| {
        let file = format!("{prefix}{file}");
        pictures.push(Picture { file: file.clone(), caption, part });
        folder.join(file)
    };
    let panels = loss::loss(data);
    panels.save(note("1-loss.png", "wirings", "Training loss over steps, by wiring"))?;
    let maps = warmups::warmups(data);
    maps.save(note("2-warm-up.png", "warmups", "What trains, by learning rate and warm-up"))?;
    let maps = outcomes::outcomes(data);
    maps.save(note("3-outcomes.png", "map", "Outcome of every wiring under every init and norm"))?;
    let maps = rates::rates(data);
    maps.save(note("4-learning-rate.png", "rates", "Stable, slow and unstable rates by depth"))?;
    Ok(pictures)
}

/// Draws the pictures of what happens inside and of what it costs into `folder`.
pub(super) fn draw_inside(data: &Data, folder: &Path) -> Result<Vec<Picture>, Error> {
    let mut pictures = Vec::new();
    let mut note = |file: &str, part: &'static str, caption: &'static str| {
        pictures.push(Picture { file: file.to_string(), caption, part });
        folder.join(file)
    };
    let arms = arms(&data.wirings);
    let panels = by_layer(&arms, &GRADIENT);
    panels.save(note("5-gradient.png", "wirings", "Gradient norm by block"))?;
    let panels = by_layer(&arms, &RMS);
    panels.save(note("6-stream.png", "wirings", "RMS of the residual stream by block"))?;
    let panels = similarity(&arms);
    panels.save(note(
        "7-similarity.png",
        "wirings",
        "Token cosine and angular distance by block",
    ))?;
    let panels = by_layer(&arms, &ENTROPY);
    panels.save(note("8-attention.png", "wirings", "Attention entropy by block"))?;
    let panels = cost::cost(data);
    panels.save(note("9-cost.png", "cost", "Time and activation memory against depth"))?;
    Ok(pictures)
}

/// The mark of an outcome.
fn mark(outcome: &Outcome) -> Mark {
    match outcome {
        Outcome::Ok => Mark::Ok,
        Outcome::Spike { .. } => Mark::Spike,
        Outcome::Unfinished => Mark::Unfinished,
        Outcome::Stuck => Mark::Stuck,
        Outcome::Collapsed => Mark::Collapsed,
        Outcome::Diverged { .. } => Mark::Diverged,
        Outcome::NonFinite { .. } => Mark::NonFinite,
    }
}

fn worst(arm: &Arm) -> Mark {
    arm.runs.iter().map(|run| mark(&run.summary.outcome)).max().unwrap_or(Mark::Ok)
}

/// The stack, the batches and the text of some runs, which share them; rates, warm-ups and steps
/// where they share those, too.
pub(super) fn subtitle(arms: &[Arm]) -> String {
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
pub(super) fn text_name(config: &RunConfig) -> String {
    if config.text.is_empty() {
        "bytes of the embedded Latin text".to_string()
    } else {
        let name = Path::new(&config.text).file_name().map(|name| name.to_string_lossy());
        format!("bytes of {}", name.unwrap_or_default())
    }
}

/// The name of an arm among others: its rate is named where they have several.
fn label(arm: &Arm, arms: &[Arm]) -> String {
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
fn series(arm: &Arm, arms: &[Arm], curve: impl Fn(&Run) -> Vec<(f64, f64)>) -> Series {
    let (points, band) = arm.curve(curve);
    let wiring = &arm.config().wiring;
    let first = arms.iter().find(|other| other.config().wiring == *wiring);
    let plain = first.is_some_and(|first| first.config() == arm.config());
    let label = label(arm, arms);
    let style_key = if plain { wiring.id().to_string() } else { label.clone() };
    Series { style_key, band, ..Series::new(label, points) }
}
