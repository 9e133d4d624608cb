//! Outcomes as tables over two fields.

use super::{Chart, Figure, Scene};
use crate::experiment::arm::{Arm, best, worst};
use crate::experiment::label;
use crate::plot::{Axis, Cell, Ground, Map, Maps};

/// The most tables of a picture.
const TABLES: usize = 6;

pub(super) fn draw(scene: &Scene, figure: &Figure) -> Option<Chart> {
    let asked = [&figure.y, &figure.x, &figure.panels];
    let mut free: Vec<&str> = scene.telling.clone();
    free.retain(|field| asked.iter().all(|asked| asked.as_deref() != Some(*field)));
    if asked.iter().all(|asked| asked.is_none()) {
        arrange(scene, &mut free);
    }
    let mut rest = free.into_iter();
    let places = asked.map(|field| field.clone().or_else(|| rest.next().map(str::to_string)));
    let [rows, columns, panels] = places;
    let rows = rows?;
    let rest: Vec<&str> = rest.collect();
    let cut = |arm: &Arm| {
        panels.as_ref().map_or(String::new(), |field| label::value(arm.config(), field))
    };
    let titles = different(scene, panels.as_deref());
    let (row_names, column_names) =
        (different(scene, Some(&rows)), different(scene, columns.as_deref()));
    let row_names: Vec<String> = match number(scene, &rows) {
        true => row_names.into_iter().rev().collect(),
        false => row_names,
    };
    let mut several = false;
    let maps = titles.iter().take(TABLES).map(|title| {
        let mut cells = Vec::new();
        for (row, row_name) in row_names.iter().enumerate() {
            for (column, column_name) in column_names.iter().enumerate() {
                let here = |arm: &&Arm| {
                    let c = arm.config();
                    cut(arm) == *title
                        && label::value(c, &rows) == *row_name
                        && columns.as_ref().is_none_or(|f| label::value(c, f) == *column_name)
                };
                let arms: Vec<&Arm> = scene.arms.iter().filter(here).collect();
                several |= arms.len() > 1;
                let Some(arm) = best(arms) else { continue };
                let tally = arm.tally();
                let mean = arm.over_seeds(|run| figure.quantity.of(run).unwrap_or(f64::NAN)).0;
                cells.push(Cell {
                    row,
                    column,
                    value: Some(mean),
                    mark: Some(worst(arm)),
                    ground: ground(arm),
                    count: (tally.runs() > 1).then_some((tally.trained, tally.runs())),
                });
            }
        }
        Map {
            title: panels.as_ref().map_or(String::new(), |field| format!("{field} {title}")),
            row_label: rows.clone(),
            column_label: columns.clone().unwrap_or_default(),
            rows: row_names.clone(),
            columns: column_names.clone(),
            cells,
        }
    });
    let maps: Vec<Map> = maps.collect();
    let mut notes = Vec::new();
    if several {
        notes.push(format!(
            "A cell shows the best of its arms, which differ in {}.",
            rest.join(", ")
        ));
    }
    if titles.len() > TABLES {
        notes.push(format!("Shown are the first {TABLES} of {} tables.", titles.len()));
    }
    let by = if panels.is_some() && titles.len() <= 4 { panels.as_ref() } else { None };
    let height = 480 + 92 * row_names.len().max(3) as u32;
    Some(Chart::Maps(Maps {
        title: scene.count_by(by.unwrap_or(&rows)),
        subtitle: scene.subtitle(),
        maps,
        value: Axis::new(figure.quantity.label(scene.config())),
        notes,
        size: (if titles.len() > 1 { 1900 } else { 1350 }, height),
        ..Maps::default()
    }))
}

/// Words make rows and then panels, numbers go from left to right and then up.
fn arrange(scene: &Scene, fields: &mut Vec<&str>) {
    let is_number = |field: &&str| number(scene, field);
    let (numbers, words): (Vec<&str>, Vec<&str>) =
        fields.iter().partition(|field| is_number(field));
    let (mut numbers, mut words) = (numbers.into_iter(), words.into_iter());
    let order = match (words.len(), numbers.len()) {
        // Rates over depths, a table for each wiring.
        (1, 2..) => {
            let x = numbers.next();
            [numbers.next(), x, words.next()]
        }
        (1.., 1..) => {
            let y = words.next();
            [y, numbers.next(), words.next()]
        }
        (_, 0) => [words.next(), words.next(), words.next()],
        (0, _) => {
            let (x, y) = (numbers.next(), numbers.next());
            if y.is_none() { [x, None, None] } else { [y, x, numbers.next()] }
        }
    };
    let order = order.into_iter().flatten().chain(words).chain(numbers);
    *fields = order.collect();
}

fn number(scene: &Scene, field: &str) -> bool {
    scene.arms.iter().all(|arm| label::number(arm.config(), field).is_some())
}

/// The values of a field: numbers in their order, words in that of the arms.
fn different(scene: &Scene, field: Option<&str>) -> Vec<String> {
    let Some(field) = field else { return vec![String::new()] };
    let mut values: Vec<String> = Vec::new();
    for arm in &scene.arms {
        let value = label::value(arm.config(), field);
        if !values.contains(&value) {
            values.push(value);
        }
    }
    if number(scene, field) {
        let number = |text: &String| text.parse().unwrap_or(f64::NAN);
        values.sort_by(|a, b| f64::total_cmp(&number(a), &number(b)));
    }
    values
}

/// An arm of which some seeds trained and others did not is coloured: its count says the rest.
fn ground(arm: &Arm) -> Option<Ground> {
    let tally = arm.tally();
    if tally.trained > 0 {
        Some(Ground::Coloured)
    } else if tally.unfinished > 0 {
        Some(Ground::Pale)
    } else {
        None
    }
}
