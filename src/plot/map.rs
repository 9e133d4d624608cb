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
    /// How the cell is drawn, where value and mark do not say it.
    pub ground: Option<Ground>,
    /// How many of how many runs trained, where the cell stands for several.
    pub count: Option<(usize, usize)>,
}

/// What a cell is drawn on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ground {
    /// Coloured by its value: it trained.
    Coloured,
    /// Pale: it shows neither that it trains nor that it does not.
    Pale,
    /// Hatched: it did not train.
    Hatched,
}

impl Cell {
    /// What the cell is drawn on. A value without a place on the scale is never coloured.
    pub(crate) fn on(&self) -> Ground {
        let of_mark = |mark: Mark| match mark {
            mark if mark.fails() => Ground::Hatched,
            Mark::Unfinished => Ground::Pale,
            _ => Ground::Coloured,
        };
        let ground = self.ground.or(self.mark.map(of_mark)).unwrap_or(Ground::Coloured);
        let off = self.value.is_some_and(|value| !value.is_finite());
        if off && ground == Ground::Coloured { Ground::Hatched } else { ground }
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
/// failed are hatched, runs that ended too early to tell are pale, and both carry the mark of
/// their outcome.
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
    /// What hatched cells are, after the words "hatched cells".
    pub hatched: String,
    /// What pale cells are, after the words "pale cells".
    pub pale: String,
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
            hatched: "did not train".to_string(),
            pale: "hold unfinished runs; at worst".to_string(),
            notes: Vec::new(),
            size: DEFAULT_SIZE,
        }
    }
}

impl Maps {
    /// Draws the tables.
    #[must_use]
    pub fn render(&self) -> Image {
        let page = Page {
            size: self.size,
            title: &self.title,
            subtitle: &self.subtitle,
            legend: Vec::new(),
            marks: self.mark_key(),
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

    /// Explains the marks on each ground, and what the grounds mean.
    fn mark_key(&self) -> Vec<Item> {
        let on = |ground: Ground| {
            let cells = self.maps.iter().flat_map(|map| &map.cells);
            let marks = cells.filter(move |cell| cell.on() == ground).filter_map(|cell| cell.mark);
            key::occurring(marks.filter(|mark| *mark != Mark::Ok)).into_iter().map(Item::Mark)
        };
        let grounds = [
            (Ground::Hatched, format!("Hatched cells {}:", self.hatched)),
            (Ground::Pale, format!("Pale cells {}:", self.pale)),
            (Ground::Coloured, "Coloured cells, at worst:".to_owned()),
        ];
        let mut items = Vec::new();
        for (ground, words) in grounds {
            let marks: Vec<Item> = on(ground).collect();
            if !marks.is_empty() {
                items.push(Item::Words(words));
                items.extend(marks);
            }
        }
        items
    }
}
