//! Training loss over steps.

use super::{Chart, Figure, LINES, Scene, end};
use crate::experiment::arm::Arm;
use crate::experiment::label;
use crate::experiment::quantity::loss_unit;
use crate::experiment::run::Run;
use crate::plot::{Axis, Lines, Panels, Reference, Series};

/// The share of a run that a loss is averaged over, so that lines can be told apart.
const WINDOW: f64 = 0.04;

pub(super) fn draw(scene: &Scene, figure: &Figure) -> Option<Chart> {
    let panels = figure.panels.clone().or_else(|| split(scene));
    let window = (scene.config().steps as f64 * WINDOW).ceil().max(1.0) as usize;
    let curve = |run: &Run| {
        let points: Vec<(f64, f64)> =
            run.steps.iter().map(|row| (row.step as f64, row.loss)).collect();
        smooth(&points, window)
    };
    let line = |name: String, arm: &Arm| {
        let (points, band) = arm.curve(curve);
        Series { points, band, end: end(arm), ..scene.series(name, arm) }
    };
    let mut notes = Vec::new();
    let mut groups: Vec<(String, Vec<Series>)> = Vec::new();
    match &panels {
        Some(field) => {
            for arm in &scene.arms {
                let title = format!("{field} {}", label::value(arm.config(), field));
                let series = line(scene.label_without(arm, &[field]), arm);
                match groups.iter_mut().find(|(known, _)| *known == title) {
                    Some((_, group)) => group.push(series),
                    None => groups.push((title, vec![series])),
                }
            }
        }
        None => {
            let (shown, note) = scene.shown();
            notes.extend(note);
            let series = shown.into_iter().map(|arm| line(scene.label(arm), arm));
            groups.push((String::new(), series.collect()));
        }
    }
    if window > 1 {
        let seeds = scene.arms.iter().any(|arm| arm.runs.len() > 1);
        let bands = if seeds { "; bands: all seeds" } else { "" };
        notes.push(format!("Losses are running means over {window} steps{bands}."));
    }
    let references = references(scene);
    let axis = Axis::new(format!("training loss ({})", loss_unit(scene.config())));
    let range = range(scene, &references);
    let axis = Axis { range, ..axis };
    let panel = |(title, series)| Lines {
        title,
        x: Axis::new("step"),
        y: axis.clone(),
        series,
        references: references.clone(),
        ..Lines::default()
    };
    Some(Chart::Panels(Panels {
        title: scene.finding(),
        subtitle: scene.subtitle(),
        shared_legend: groups.len() > 1,
        panels: groups.into_iter().map(panel).collect(),
        same_y: true,
        notes,
        size: (1800, 1150),
    }))
}

/// The field that splits arms into panels which can be read, where there are too many for one.
fn split(scene: &Scene) -> Option<String> {
    if scene.arms.len() <= LINES {
        return None;
    }
    let sizes = |field: &str| {
        let values = || scene.arms.iter().map(|arm| label::value(arm.config(), field));
        let mut different: Vec<String> = values().collect();
        different.sort();
        different.dedup();
        let most = different.iter().map(|value| values().filter(|v| v == value).count()).max();
        (different.len(), most.unwrap_or(0))
    };
    let fits = |field: &&&str| {
        let (panels, lines) = sizes(field);
        panels <= 9 && lines <= LINES
    };
    scene.telling.iter().filter(fits).min_by_key(|field| sizes(field).0).map(|f| f.to_string())
}

/// The losses to compare with, where all runs have the same.
fn references(scene: &Scene) -> Vec<Reference> {
    let of = |arm: &Arm| arm.runs[0].summary.references.clone();
    let own = of(&scene.arms[0]);
    if scene.arms.iter().any(|arm| of(arm) != own) {
        return Vec::new();
    }
    let own = own.into_iter().filter(|loss| loss.nats.is_finite());
    own.map(|loss| Reference { value: loss.nats, label: format!("{} {:.2}", loss.name, loss.nats) })
        .collect()
}

/// From below what is reached to a little above where most begin: who leaves is cut off there.
fn range(scene: &Scene, references: &[Reference]) -> Option<(f64, f64)> {
    let high = scene.start()?;
    let runs = scene.arms.iter().flat_map(|arm| &arm.runs);
    let all = runs.flat_map(|run| run.steps.iter().map(|row| row.loss));
    let low = all.filter(|loss| loss.is_finite()).fold(high, f64::min);
    let low = references.iter().map(|reference| reference.value).fold(low, f64::min);
    let room = 0.05 * (high - low).max(1e-3 * high.abs()).max(1e-9);
    Some((low - room, high + 3.0 * room))
}

fn smooth(points: &[(f64, f64)], window: usize) -> Vec<(f64, f64)> {
    (0..points.len())
        .map(|i| {
            let part = &points[i.saturating_sub(window - 1)..=i];
            (points[i].0, part.iter().map(|p| p.1).sum::<f64>() / part.len() as f64)
        })
        .collect()
}
