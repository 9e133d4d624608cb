//! The best of every rate against a number, and the largest rate that trains.

use super::{Chart, Figure, LINES, Scene, short, trains};
use crate::experiment::Quantity;
use crate::experiment::arm::{Arm, best};
use crate::experiment::label;
use crate::plot::{Axis, Lines, Panels, Series};

pub(super) fn draw(scene: &Scene, figure: &Figure) -> Option<Chart> {
    let own = || scene.telling.iter().copied().find(|field| number(scene, field));
    let field = figure.x.clone().or_else(|| own().map(str::to_string))?;
    let rates = field != "lr" && differs(scene, "lr");
    let apart: Vec<&str> = if rates { vec![&field, "lr"] } else { vec![&field] };
    let groups = scene.groups(&apart);
    let mut lowest: Option<(f64, f64, String)> = None;
    let mut losses: Vec<Series> = Vec::new();
    let mut largest: Vec<Series> = Vec::new();
    for (name, arms) in &groups {
        let (mut points, mut band, mut edge) = (Vec::new(), Vec::new(), Vec::new());
        for x in places(arms, &field) {
            let here = arms.iter().copied().filter(|arm| at(arm, &field) == Some(x));
            let here: Vec<&Arm> = here.collect();
            let Some(chosen) = best(here.iter().copied()) else { continue };
            let (mean, low, high) =
                chosen.over_seeds(|run| figure.quantity.of(run).unwrap_or(f64::NAN));
            points.push((x, mean));
            if chosen.runs.len() > 1 {
                band.push((x, low, high));
            }
            if mean.is_finite() && lowest.as_ref().is_none_or(|(least, ..)| mean < *least) {
                lowest = Some((mean, x, name.clone()));
            }
            let bears = here.iter().filter(|arm| trains(arm)).map(|arm| arm.config().lr);
            edge.push((x, bears.fold(f64::NAN, f64::max)));
        }
        let line = |points, band| Series {
            points,
            band,
            markers: true,
            ..scene.series(name.clone(), arms[0])
        };
        losses.push(line(points, band));
        largest.push(line(edge, Vec::new()));
    }
    let mut notes = Vec::new();
    if losses.len() > LINES {
        notes.push(format!("Shown are the {LINES} of {} lines that come lowest.", losses.len()));
        let least = |series: &Series| {
            series
                .points
                .iter()
                .map(|p| p.1)
                .filter(|y| y.is_finite())
                .fold(f64::INFINITY, f64::min)
        };
        let mut order: Vec<usize> = (0..losses.len()).collect();
        order.sort_by(|&a, &b| least(&losses[a]).total_cmp(&least(&losses[b])));
        order.truncate(LINES);
        losses = order.iter().map(|&i| losses[i].clone()).collect();
        largest = order.iter().map(|&i| largest[i].clone()).collect();
    }
    let name = Quantity::read(&field).ok()?;
    let xs = scene.arms.iter().filter_map(|arm| at(arm, &field));
    let x = Axis::new(name.label(scene.config())).scale(name.scale(xs));
    let label = figure.quantity.label(scene.config());
    let mut panels = vec![Lines {
        title: if rates { "at the best of the rates".to_string() } else { String::new() },
        x: x.clone(),
        y: Axis::new(label.clone()),
        series: losses,
        ..Lines::default()
    }];
    if rates {
        let scale = crate::plot::Scale::Log10;
        panels.push(Lines {
            title: "largest rate that trains on every seed".to_string(),
            x,
            y: Axis::new("learning rate").scale(scale),
            series: largest,
            ..Lines::default()
        });
        notes.push("A rate that is missing there trains on no seed, or not on all.".to_string());
    }
    let what = label.split(" (").next().unwrap_or_default();
    let title = match lowest {
        Some((least, x, name)) => {
            let under = if groups.len() > 1 { format!(", under {name}") } else { String::new() };
            format!("Lowest {what}: {} at {field} {}{under}", short(least), short(x))
        }
        None => format!("No run has a finite {what}"),
    };
    Some(Chart::Panels(Panels {
        title,
        subtitle: scene.subtitle(),
        panels,
        notes,
        size: (1800, 1050),
        ..Panels::default()
    }))
}

/// The number of a field in an arm.
pub(super) fn at(arm: &Arm, field: &str) -> Option<f64> {
    label::number(arm.config(), field)
}

/// The different numbers of a field, from the smallest.
pub(super) fn places(arms: &[&Arm], field: &str) -> Vec<f64> {
    let mut places: Vec<f64> = arms.iter().filter_map(|arm| at(arm, field)).collect();
    places.sort_by(f64::total_cmp);
    places.dedup();
    places
}

fn differs(scene: &Scene, field: &str) -> bool {
    scene.telling.contains(&field)
}

fn number(scene: &Scene, field: &str) -> bool {
    scene.arms.iter().all(|arm| at(arm, field).is_some())
}
