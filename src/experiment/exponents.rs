//! How a quantity goes with a number field, as a power, under every arm.

use std::fmt::Write;

use super::Quantity;
use super::figures::{Scene, short};
use super::label;
use crate::statistics::line::{p_straight, slopes};
use crate::statistics::mean::Mean;

/// The share of intervals that miss on either side.
const BEYOND: f64 = 0.025;
/// The p below which points do not lie on a line.
const CURVED: f64 = 0.01;

/// A table of exponents, the slope of ln quantity over ln field of every seed by itself; nothing where no
/// arm has three places, two seeds and positive values.
pub(super) fn table(scene: &Scene, field: &str, quantity: &Quantity) -> Option<String> {
    let mut out = String::new();
    for (name, arms) in scene.groups(&[field]) {
        let mut places: Vec<(f64, _)> = Vec::new();
        for arm in &arms {
            places.push((label::number(arm.config(), field)?, arm));
        }
        places.sort_by(|a, b| a.0.total_cmp(&b.0));
        let value = |arm: &super::arm::Arm, seed: u64| {
            let run = arm.runs.iter().find(|run| run.config.seed == seed)?;
            quantity.of(run).filter(|value| *value > 0.0 && value.is_finite()).map(f64::ln)
        };
        let Some((_, first)) = places.first() else { continue };
        let seeds = first.runs.iter().map(|run| run.config.seed);
        // A seed that lacks a place has no line.
        let rows: Vec<Vec<f64>> = seeds
            .filter_map(|seed| places.iter().map(|(_, arm)| value(arm, seed)).collect())
            .collect();
        let name = if name.is_empty() { "all" } else { &name };
        if places.len() < 3 || rows.len() < 2 {
            let _ = writeln!(out, "| {name} | – | not finite, or too few | {} |", rows.len());
            continue;
        }
        let x: Vec<f64> = places.iter().map(|(x, _)| x.ln()).collect();
        let slope = Mean::of(&slopes(&x, &rows));
        let [low, high] = slope.interval(BEYOND);
        let shape = if p_straight(&x, &rows) <= CURVED { "bends" } else { "on a line" };
        let shown = format!("{} ({} – {})", short(slope.mean), short(low), short(high));
        let _ = writeln!(out, "| {name} | {shown} | {shape} | {} |", rows.len());
    }
    let any = out.lines().any(|line| !line.contains(" – | not finite"));
    any.then(|| {
        format!(
            "| | exponent of {} in {field} (95 %) | in logarithms | seeds |\n|---|---:|---|---:|\n{out}",
            quantity.name()
        )
    })
}
