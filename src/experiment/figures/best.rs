//! The best of every rate against a number, and the largest rate that trains.

use super::{Chart, Figure, LINES, Scene, short};
use crate::experiment::Quantity;
use crate::experiment::arm::{Arm, best};
use crate::experiment::label;
use crate::plot::{Axis, Lines, Panels, Series};
use crate::sweep::bears;

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
            let bears = here.iter().filter(|arm| borne(arm)).map(|arm| arm.config().lr);
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
    let heights = losses.iter().flat_map(|series| series.points.iter().map(|p| p.1));
    let spread = figure.quantity.scale(heights);
    let mut panels = vec![Lines {
        title: if rates { "at the best of the rates".to_string() } else { String::new() },
        x: x.clone(),
        y: Axis::new(label.clone()).scale(spread),
        series: losses.clone(),
        ..Lines::default()
    }];
    if rates {
        let scale = crate::plot::Scale::Log10;
        panels.push(Lines {
            title: "largest rate at which no seed fails".to_string(),
            x,
            y: Axis::new("learning rate").scale(scale),
            series: largest,
            ..Lines::default()
        });
        notes.push(
            "Where none is shown, some seed gets stuck, diverges or collapses at every rate."
                .to_string(),
        );
    }
    let what = label.split(" (").next().unwrap_or_default();
    let title = match lowest {
        Some(_) if !figure.quantity.is_loss() => {
            let mut growth: Vec<(f64, &str)> = losses.iter().filter_map(growth).collect();
            growth.sort_by(|a, b| b.0.total_cmp(&a.0));
            let what = capital(what.trim_end_matches(", last layer"));
            match growth.as_slice() {
                [] => format!("{what} by {field}"),
                [(ratio, _)] => format!("{what}: times {} along the {field}", short(*ratio)),
                [(most, of), .., (least, other)] => format!(
                    "{what}: times {} along the {field} under {of}, times {} under {other}",
                    short(*most),
                    short(*least)
                ),
            }
        }
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

/// What a line is at its end over what it is at its start.
fn growth(series: &Series) -> Option<(f64, &str)> {
    let ratio = series.points.last()?.1 / series.points.first()?.1;
    (ratio.is_finite() && ratio > 0.0).then_some((ratio, &*series.label))
}

fn capital(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map_or(String::new(), |first| first.to_uppercase().chain(letters).collect())
}

/// Whether no seed fails.
fn borne(arm: &Arm) -> bool {
    arm.runs.iter().all(|run| bears(&run.summary.outcome))
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
