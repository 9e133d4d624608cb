//! Time and memory against a number field.

use super::best::{at, places};
use super::{Chart, Figure, LINES, Scene, short};
use crate::experiment::Quantity;
use crate::experiment::run::Run;
use crate::plot::{Axis, Lines, Panels, Series};

pub(super) fn draw(scene: &Scene, figure: &Figure) -> Option<Chart> {
    let field = figure.x.clone().or_else(|| {
        let number = |field: &&&str| scene.arms.iter().all(|arm| at(arm, field).is_some());
        scene.telling.iter().find(number).map(|field| field.to_string())
    })?;
    let name = Quantity::read(&field).ok()?;
    // A learning rate costs nothing.
    let groups = scene.groups(&[&field, "lr"]);
    let x = Axis::new(name.label(scene.config()))
        .scale(name.scale(scene.arms.iter().filter_map(|arm| at(arm, &field))));
    let panel = |title: &str, label: &str, value: &dyn Fn(&Run) -> f64| {
        let series = groups.iter().take(LINES).map(|(name, arms)| {
            let points = places(arms, &field).into_iter().map(|x| {
                let here = arms.iter().filter(|arm| at(arm, &field) == Some(x));
                // The least, since whatever else ran can only add to it.
                let least = here.map(|arm| arm.over_seeds(value).1).fold(f64::INFINITY, f64::min);
                (x, least)
            });
            Series {
                points: points.collect(),
                markers: true,
                ..scene.series(name.clone(), arms[0])
            }
        });
        Lines {
            title: title.to_string(),
            x: x.clone(),
            y: Axis::new(label),
            series: series.collect(),
            ..Lines::default()
        }
    };
    let memory = |run: &Run| run.summary.peak_bytes as f64 / (1 << 20) as f64;
    let panels = vec![
        panel("time of a training step", "fastest step (ms)", &step_ms),
        panel("memory of the run", "largest memory held (MiB)", &memory),
    ];
    let notes = (groups.len() > LINES)
        .then(|| format!("Shown are the first {LINES} of {} lines.", groups.len()));
    let ends = |panel: &Lines| {
        let values = panel.series.iter().flat_map(|series| &series.points).map(|p| p.1);
        let values: Vec<f64> = values.filter(|v| v.is_finite()).collect();
        let low = values.iter().copied().fold(f64::INFINITY, f64::min);
        format!("{} to {}", short(low), short(values.iter().copied().fold(0.0, f64::max)))
    };
    let title =
        format!("What {field} costs: {} ms a step, {} MiB", ends(&panels[0]), ends(&panels[1]));
    Some(Chart::Panels(Panels {
        title,
        subtitle: scene.subtitle(),
        panels,
        notes: notes.into_iter().collect(),
        size: (1800, 1000),
        ..Panels::default()
    }))
}

/// The fastest step where it was recorded, or else the mean one.
fn step_ms(run: &Run) -> f64 {
    let mean = 1e3 * run.summary.seconds / run.summary.steps.max(1) as f64;
    run.cost("fastest_step_ms").unwrap_or(mean)
}
