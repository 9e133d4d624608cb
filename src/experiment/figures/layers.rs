//! What happens inside: the stream, the gradient, tokens and attention, block by block.

use super::{Chart, Scene, short};
use crate::experiment::arm::Arm;
use crate::experiment::run::Run;
use crate::plot::{Axis, Lines, Panels, Scale, Series};

/// A probe by layer: its panel, site, metric, axis, and whether it is taken at the end.
const PROBES: [(&str, &str, &str, &str, Scale, bool); 4] = [
    ("the stream, at the end", "stream", "rms", "RMS of the residual stream", Scale::Log10, true),
    (
        "the gradient, at initialisation",
        "ffn.down.weight",
        "grad_norm",
        "gradient norm of ffn.down.weight",
        Scale::Log10,
        false,
    ),
    (
        "tokens within a layer, at the end (1 = all alike)",
        "stream",
        "token_cosine",
        "mean cosine between tokens",
        Scale::Linear,
        true,
    ),
    (
        "attention, at the end (1 = equal weights)",
        "attn",
        "entropy",
        "entropy / log of visible keys",
        Scale::Linear,
        true,
    ),
];

pub(super) fn draw(scene: &Scene) -> Option<Chart> {
    let (shown, note) = scene.shown();
    let panel =
        |&(title, site, metric, label, scale, end): &(&str, &str, &str, &str, Scale, bool)| {
            let curve = |run: &Run| {
                let step = if end { run.summary.steps } else { 0 };
                run.by_layer(step, site, metric)
            };
            let series = shown.iter().map(|arm| {
                let (points, band) = arm.curve(curve);
                Series { points, band, markers: true, ..scene.series(scene.label(arm), arm) }
            });
            let series: Vec<Series> = series.collect();
            series.iter().any(|series| series.points.len() > 1).then(|| Lines {
                title: title.to_string(),
                x: Axis::new("block"),
                y: Axis::new(label).scale(scale),
                series,
                ..Lines::default()
            })
        };
    let panels: Vec<Lines> = PROBES.iter().filter_map(panel).collect();
    if panels.is_empty() {
        return None;
    }
    Some(Chart::Panels(Panels {
        title: title(scene, &shown),
        subtitle: scene.subtitle(),
        panels,
        notes: note.into_iter().collect(),
        size: (1800, 1250),
        ..Panels::default()
    }))
}

/// How much the stream grows, where most and where least.
fn title(scene: &Scene, shown: &[&Arm]) -> String {
    let growth = |arm: &&Arm| {
        let (curve, _) = arm.curve(|run| run.by_layer(run.summary.steps, "stream", "rms"));
        let ratio = curve.last()?.1 / curve.first()?.1;
        ratio.is_finite().then(|| (ratio, scene.label(arm)))
    };
    let mut all: Vec<(f64, String)> = shown.iter().filter_map(growth).collect();
    all.sort_by(|a, b| a.0.total_cmp(&b.0));
    match all.as_slice() {
        [] => "Inside the stack, block by block".to_string(),
        [(ratio, _)] => {
            format!("From embedding to last block the stream grows {}-fold", short(*ratio))
        }
        [(low, least), .., (high, most)] => format!(
            "From embedding to last block the stream grows {}-fold under {most}, {}-fold under {least}",
            short(*high),
            short(*low)
        ),
    }
}
