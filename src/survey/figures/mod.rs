//! Records to pictures: one function per picture.

mod cost;
mod layers;
mod loss;
mod outcomes;
mod rates;
mod tables;
mod warmups;
mod words;

use std::path::Path;

pub(super) use self::outcomes::{inits, norms};
pub(super) use self::words::{subtitle, text_name};

use self::layers::{ENTROPY, GRADIENT, RMS, by_layer, similarity};
use super::Error;
use super::arm::arms;
use super::data::Data;

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
