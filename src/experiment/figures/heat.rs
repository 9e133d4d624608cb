//! A probe by layer and step: a table for each arm.

use std::collections::BTreeMap;

use super::{Chart, Figure, Scene, short};
use crate::experiment::Quantity;
use crate::experiment::arm::Arm;
use crate::plot::{Axis, Cell, Map, Maps, Scale};

/// The most tables of a picture.
const TABLES: usize = 6;
/// The most names along a side.
const NAMES: usize = 12;

/// Means over the seeds, by layer and step.
type Means = BTreeMap<(u32, u64), f64>;

pub(super) fn draw(scene: &Scene, figure: &Figure) -> Option<Chart> {
    let quantity = match figure.quantity.probe() {
        Some(_) => figure.quantity.clone(),
        None => Quantity::read("rms@stream").ok()?,
    };
    let (metric, site) = quantity.probe()?;
    let (shown, note) = scene.shown();
    let shown = &shown[..shown.len().min(TABLES)];
    let tables: Vec<(String, Means)> =
        shown.iter().map(|arm| (scene.label(arm), means(arm, &metric, &site))).collect();
    let tables: Vec<(String, Means)> =
        tables.into_iter().filter(|(_, means)| !means.is_empty()).collect();
    if tables.is_empty() {
        return None;
    }
    let values = || tables.iter().flat_map(|(_, means)| means.values().copied());
    let what = quantity.label(scene.config()).replace(", last layer", "");
    let mut notes: Vec<String> = note.into_iter().collect();
    if scene.arms.len() > shown.len() && notes.is_empty() {
        notes.push(format!("Shown are {} of {} arms.", shown.len(), scene.arms.len()));
    }
    let scale = match quantity.scale(values()) {
        Scale::Linear => Scale::Linear,
        _ => Scale::Log10,
    };
    Some(Chart::Maps(Maps {
        title: title(&what, &tables),
        subtitle: scene.subtitle(),
        maps: tables.iter().map(|(name, means)| map(name, means)).collect(),
        value: Axis::new(what).scale(scale),
        notes,
        size: (1900, 1100),
        ..Maps::default()
    }))
}

fn means(arm: &Arm, metric: &str, site: &str) -> Means {
    let mut sums: BTreeMap<(u32, u64), (f64, f64)> = BTreeMap::new();
    for run in &arm.runs {
        for row in run.probes.iter().filter(|row| row.metric == metric && row.site == site) {
            let (sum, count) = sums.entry((row.layer, row.step)).or_default();
            *sum += row.value;
            *count += 1.0;
        }
    }
    sums.into_iter().map(|(place, (sum, count))| (place, sum / count)).collect()
}

/// Layers from the last at the top, steps from left to right.
fn map(name: &str, means: &Means) -> Map {
    let mut layers: Vec<u32> = means.keys().map(|place| place.0).collect();
    let mut steps: Vec<u64> = means.keys().map(|place| place.1).collect();
    layers.dedup();
    layers.reverse();
    steps.sort_unstable();
    steps.dedup();
    let cells = layers.iter().enumerate().flat_map(|(row, layer)| {
        let cell = move |(column, step): (usize, &u64)| {
            let value = *means.get(&(*layer, *step))?;
            Some(Cell { row, column, value: Some(value), ..Cell::default() })
        };
        steps.iter().enumerate().filter_map(cell).collect::<Vec<_>>()
    });
    Map {
        title: name.to_string(),
        row_label: "block".to_string(),
        column_label: "step".to_string(),
        cells: cells.collect(),
        rows: thinned(&layers),
        columns: thinned(&steps),
    }
}

/// Names of some, so that they can be read, and of the last.
fn thinned<T: ToString>(all: &[T]) -> Vec<String> {
    let every = all.len().div_ceil(NAMES).max(1);
    let last = all.len().saturating_sub(1);
    let named = |at: usize| at == last || at.is_multiple_of(every) && at + every <= last.max(every);
    let name = |(at, value): (usize, &T)| if named(at) { value.to_string() } else { String::new() };
    all.iter().enumerate().map(name).collect()
}

/// Where it is largest at the end.
fn title(what: &str, tables: &[(String, Means)]) -> String {
    let largest = |(name, means): &(String, Means)| {
        let end = means.keys().map(|place| place.1).max()?;
        let last = means.iter().filter(|(place, value)| place.1 == end && value.is_finite());
        let (place, value) = last.max_by(|a, b| a.1.total_cmp(b.1))?;
        Some((*value, place.0, name.clone()))
    };
    let found = tables.iter().filter_map(largest).max_by(|a, b| a.0.total_cmp(&b.0));
    match found {
        Some((value, layer, name)) => {
            let under = if tables.len() > 1 { format!(", under {name}") } else { String::new() };
            format!("{what}: largest at the end in block {layer}, {}{under}", short(value))
        }
        None => format!("{what} by block and step: not a number at the end"),
    }
}
