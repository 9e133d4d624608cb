//! Tables of outcomes: a coloured cell for every pair of two choices.

use std::path::Path;

use super::cell::{Ground, Map};
use super::key::{self, Item};
use super::map_draw::draw_maps;
use super::page::Page;
use super::{Axis, DEFAULT_SIZE, Error, Image, Mark};

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
