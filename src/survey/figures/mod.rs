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
use super::data::Data;
use crate::experiment::Chart;
use crate::experiment::arm::arms;

/// A picture: its file, what it is about, and how it is drawn.
struct Figure {
    file: &'static str,
    caption: &'static str,
    /// The experiment that makes the runs behind it.
    part: &'static str,
    /// Whether the longer form has it too, which is about what trains.
    trains: bool,
    draw: fn(&Data) -> Chart,
}

/// Every picture, by its number.
const ALL: [Figure; 9] = [
    Figure {
        file: "1-loss.png",
        caption: "Training loss over steps, by wiring",
        part: "wirings",
        trains: true,
        draw: |data| Chart::Panels(loss::loss(data)),
    },
    Figure {
        file: "2-warm-up.png",
        caption: "What trains, by learning rate and warm-up",
        part: "warmups",
        trains: true,
        draw: |data| Chart::Maps(warmups::warmups(data)),
    },
    Figure {
        file: "3-outcomes.png",
        caption: "Outcome of wirings under inits and norms",
        part: "map",
        trains: true,
        draw: |data| Chart::Maps(outcomes::outcomes(data)),
    },
    Figure {
        file: "4-learning-rate.png",
        caption: "Stable, slow and unstable rates by depth",
        part: "rates",
        trains: true,
        draw: |data| Chart::Maps(rates::rates(data)),
    },
    Figure {
        file: "5-gradient.png",
        caption: "Gradient norm by block",
        part: "wirings",
        trains: false,
        draw: |data| Chart::Panels(by_layer(&arms(&data.wirings), &GRADIENT)),
    },
    Figure {
        file: "6-stream.png",
        caption: "RMS of the residual stream by block",
        part: "wirings",
        trains: false,
        draw: |data| Chart::Panels(by_layer(&arms(&data.wirings), &RMS)),
    },
    Figure {
        file: "7-similarity.png",
        caption: "Token cosine and angular distance by block",
        part: "wirings",
        trains: false,
        draw: |data| Chart::Panels(similarity(&arms(&data.wirings))),
    },
    Figure {
        file: "8-attention.png",
        caption: "Attention entropy by block",
        part: "wirings",
        trains: false,
        draw: |data| Chart::Panels(by_layer(&arms(&data.wirings), &ENTROPY)),
    },
    Figure {
        file: "9-cost.png",
        caption: "Time and activation memory against depth",
        part: "cost",
        trains: false,
        draw: |data| Chart::Panels(cost::cost(data)),
    },
];

/// A picture that was drawn: its file and what it is about.
#[derive(Debug, Clone)]
pub(super) struct Picture {
    pub file: String,
    pub caption: &'static str,
    /// The experiment that makes the runs behind it.
    pub part: &'static str,
    pub chart: Chart,
}

/// The longer form of the survey, by the word that its experiments and pictures begin with.
pub(super) const LONGER: &str = "thorough";

/// Draws the pictures behind an experiment, or all of them, into `folder`; those of the longer form
/// are about what trains, and their names say whose they are.
pub(super) fn draw(
    data: &Data,
    part: Option<&str>,
    longer: bool,
    folder: &Path,
) -> Result<Vec<Picture>, Error> {
    let wanted = |figure: &&Figure| {
        part.is_none_or(|part| part == figure.part) && (figure.trains || !longer)
    };
    let drawn = ALL.iter().filter(wanted).map(|figure| {
        let prefix = if longer { format!("{LONGER}-") } else { String::new() };
        let file = prefix + figure.file;
        let chart = (figure.draw)(data);
        chart.render().save(folder.join(&file))?;
        Ok(Picture { file, caption: figure.caption, part: figure.part, chart })
    });
    drawn.collect()
}
