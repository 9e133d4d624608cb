//! Tables of outcomes: a coloured cell for every pair of two choices.

use std::path::Path;

use super::key::{self, Item};
use super::map_draw::draw_maps;
use super::page::Page;
use super::{Axis, DEFAULT_SIZE, Error, Image, Mark};

/// One cell of a map.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Cell {
    /// Index into the rows; a cell outside the table is not drawn.
    pub row: usize,
    /// Index into the columns.
    pub column: usize,
    /// The value that gives the colour and the number.
    pub value: Option<f64>,
    /// How the run ended.
    pub mark: Option<Mark>,
}

impl Cell {
    /// Whether the run of this cell did not train.
    pub(crate) fn fails(&self) -> bool {
        self.mark.is_some_and(Mark::fails) || self.value.is_some_and(|value| !value.is_finite())
    }

    /// Whether the cell has a colour: only runs that trained are compared by it.
    pub(crate) fn coloured(&self) -> bool {
        !self.fails() && self.mark.is_none_or(Mark::trained)
    }
}

/// A table of two choices, such as wiring and init.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Map {
    /// The title of this table.
    pub title: String,
    /// What the rows are.
    pub row_label: String,
    /// What the columns are.
    pub column_label: String,
    /// The names of the rows, from the top.
    pub rows: Vec<String>,
    /// The names of the columns, from the left.
    pub columns: Vec<String>,
    /// The cells in any order; of two cells at one place the later one counts.
    pub cells: Vec<Cell>,
}

/// Tables side by side with one colour scale.
///
/// Only cells that trained are coloured, so that the colours tell good runs apart. Runs that
/// failed are hatched and carry the mark of their outcome; runs that ended before they showed either
/// are white and carry theirs.
#[derive(Clone, Debug, PartialEq)]
pub struct Maps {
    /// A question or a finding.
    pub title: String,
    /// A summary of the configuration.
    pub subtitle: String,
    /// The tables, from left to right.
    pub maps: Vec<Map>,
    /// The value behind the colours, with its unit and scale.
    pub value: Axis,
    /// Sentences below the tables.
    pub notes: Vec<String>,
    /// Width and height in pixels.
    pub size: (u32, u32),
}

impl Default for Maps {
    fn default() -> Self {
        Self {
            title: String::new(),
            subtitle: String::new(),
            maps: Vec::new(),
            value: Axis::default(),
            notes: Vec::new(),
            size: DEFAULT_SIZE,
        }
    }
}

impl Maps {
    /// Draws the tables.
    #[must_use]
    pub fn render(&self) -> Image {
        let cells = || self.maps.iter().flat_map(|map| &map.cells);
        let page = Page {
            size: self.size,
            title: &self.title,
            subtitle: &self.subtitle,
            legend: Vec::new(),
            marks: mark_key(cells().filter_map(|cell| cell.mark)),
            notes: &self.notes,
        };
        let (mut surface, body) = page.open();
        draw_maps(&mut surface, body, &self.maps, &self.value);
        surface.finish()
    }

    /// Draws the tables and writes them as a PNG.
    ///
    /// # Errors
    ///
    /// If the file cannot be written; the error names the path.
    pub fn save(&self, path: impl AsRef<Path>) -> Result<(), Error> {
        self.render().save(path)
    }
}

/// Explains the marks: those of failed runs first, together with what hatching means.
fn mark_key(marks: impl Iterator<Item = Mark>) -> Vec<Item> {
    let (failed, trained): (Vec<_>, Vec<_>) =
        key::occurring(marks).into_iter().partition(|mark| mark.fails());
    let words =
        (!failed.is_empty()).then(|| Item::Words("Hatched cells did not train:".to_owned()));
    let trained = trained.into_iter().filter(|mark| *mark != Mark::Ok);
    words.into_iter().chain(failed.into_iter().chain(trained).map(Item::Mark)).collect()
}
