//! A quantity against what it costs.

use super::{Chart, Figure, LINES, Scene, end, short};
use crate::experiment::Quantity;
use crate::plot::{Axis, Lines, Panels, Series, Stroke};

pub(super) fn draw(scene: &Scene, figure: &Figure) -> Option<Chart> {
    let field = figure.x.clone().unwrap_or_else(|| "seconds".to_string());
    let cost = Quantity::read(&field).ok()?;
    let of = |quantity: &Quantity, arm: &crate::experiment::arm::Arm| {
        arm.over_seeds(|run| quantity.of(run).unwrap_or(f64::NAN)).0
    };
    let mut least: Option<(f64, f64, String)> = None;
    let groups = scene.groups(&["depth", "width", "lr", "steps"]);
    let series = groups.iter().take(LINES).map(|(name, arms)| {
        let mut points: Vec<(f64, f64)> =
            arms.iter().map(|arm| (of(&cost, arm), of(&figure.quantity, arm))).collect();
        for (arm, &(x, y)) in arms.iter().zip(&points) {
            if y.is_finite() && least.as_ref().is_none_or(|(best, ..)| y < *best) {
                least = Some((y, x, scene.label(arm)));
            }
        }
        points.sort_by(|a, b| a.0.total_cmp(&b.0));
        let alone = arms.len() == 1;
        Series {
            points,
            markers: true,
            stroke: Stroke::None,
            end: if alone { end(arms[0]) } else { None },
            ..scene.series(name.clone(), arms[0])
        }
    });
    let series: Vec<Series> = series.collect();
    let points = || series.iter().flat_map(|series| &series.points);
    let axis = Axis::new(cost.label(scene.config())).scale(cost.scale(points().map(|p| p.0)));
    let label = figure.quantity.label(scene.config());
    let mut y = Axis::new(label.clone());
    let (low, high) = points()
        .map(|p| p.1)
        .filter(|y| y.is_finite())
        .fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), y| (low.min(y), high.max(y)));
    // What left for good is cut off there, so that the others can be told apart.
    if let Some(start) = scene.start().filter(|start| figure.quantity.is_loss() && high > *start) {
        let room = 0.05 * (start - low).abs();
        y = y.range(low - room, start + room);
    }
    let what = label.split(" (").next().unwrap_or_default();
    let title = match least {
        Some((y, x, name)) => format!(
            "Lowest {what}: {} by {name}, at {} {}",
            short(y),
            short(x),
            if field == "seconds" { "s".to_string() } else { field.replace('-', " ") }
        ),
        None => format!("No run has a finite {what}"),
    };
    Some(Chart::Panels(Panels {
        title,
        subtitle: scene.subtitle(),
        panels: vec![Lines { x: axis, y, series, ..Lines::default() }],
        shared_legend: false,
        size: (1600, 1000),
        ..Panels::default()
    }))
}
