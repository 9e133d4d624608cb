//! The picture of the comparison: how many times the floor a step takes, by size and library.

use std::error::Error;
use std::path::Path;

use plummet::plot::{Axis, Cell, Map, Maps, Scale};
use serde_json::Value;

/// Draws what `run.py` wrote down as the picture's tables and words.
pub fn draw(picture: &Path, png: &Path) -> Result<(), Box<dyn Error>> {
    let picture: Value = serde_json::from_str(&std::fs::read_to_string(picture)?)?;
    Maps {
        title: text(&picture["title"]),
        subtitle: text(&picture["subtitle"]),
        maps: list(&picture["maps"]).iter().map(map).collect(),
        value: Axis::new(text(&picture["value"])).scale(Scale::Log2),
        notes: texts(&picture["notes"]),
        ..Maps::default()
    }
    .save(png)?;
    Ok(())
}

/// A table; a null is a cell without a measurement.
fn map(map: &Value) -> Map {
    let (rows, columns) = (texts(&map["rows"]), texts(&map["columns"]));
    let places =
        (0..rows.len()).flat_map(|row| (0..columns.len()).map(move |column| (row, column)));
    let cells = places
        .filter_map(|(row, column)| {
            let value = map["values"][row][column].as_f64()?;
            Some(Cell { row, column, value: Some(value), mark: None, ground: None, count: None })
        })
        .collect();
    Map { title: text(&map["title"]), rows, columns, cells, ..Map::default() }
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_string()
}

fn texts(value: &Value) -> Vec<String> {
    list(value).iter().map(text).collect()
}
