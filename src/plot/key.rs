//! Rows of explained glyphs below a picture: outcome marks and shared legends.

use plotters::style::RGBColor;

use super::Stroke;
use super::boxes::{Point, Rect};
use super::font::{self, Weight};
use super::mark::Mark;
use super::series::Series;
use super::shape::{Shape, dashes};
use super::surface::{Ink, Level, Side, Surface};
use super::theme::{self, Style};

/// Length of the line sample in a legend.
const SAMPLE: f64 = 64.0;
/// Dash pattern of lines that are dashed on request, such as fits.
const DASHED: [f64; 2] = [10.0, 7.0];
/// Space between two items of a row.
const GAP: f64 = 34.0;
/// Distance between two rows.
pub(crate) const ROW: f64 = 38.0;

/// A glyph with its explanation.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Item {
    /// Plain words at the beginning of a row.
    Words(String),
    /// An outcome mark.
    Mark(Mark),
    /// A line of a legend.
    Line { label: String, style: Style, stroke: Stroke },
    /// The colour of a part of a bar.
    Box { label: String, colour: RGBColor },
}

impl Item {
    fn glyph_width(&self) -> f64 {
        match self {
            Self::Words(_) => 0.0,
            Self::Mark(_) => 34.0,
            Self::Line { .. } => SAMPLE + 12.0,
            Self::Box { .. } => 40.0,
        }
    }

    fn label(&self) -> &str {
        match self {
            Self::Words(label) | Self::Line { label, .. } | Self::Box { label, .. } => label,
            Self::Mark(mark) => mark.label(),
        }
    }

    fn draw(&self, surface: &mut Surface, (x, y): Point, room: f64) {
        match self {
            Self::Words(_) => {}
            Self::Mark(mark) => mark.draw(surface, (x + 12.0, y), 10.0, theme::INK),
            Self::Box { colour, .. } => {
                let rect = Rect::new(x, y - 11.0, x + 28.0, y + 11.0);
                surface.fill(&Shape::rect(rect), *colour, 1.0);
            }
            Self::Line { style, stroke, .. } => {
                let ends = [(x, y), (x + SAMPLE, y)];
                draw_line(surface, &[ends.to_vec()], *style, *stroke);
                if *stroke != Stroke::Dashed {
                    let middle = (x + SAMPLE / 2.0, y);
                    style.marker.draw(surface, middle, 8.0, style.colour);
                }
            }
        }
        let ink = Ink::new(theme::NOTE, theme::SOFT_INK).at(Side::Left, Level::Middle);
        let room = room - self.glyph_width();
        let label = font::fit(self.label(), theme::NOTE, Weight::Regular, room);
        surface.text(&label, (x + self.glyph_width(), y), ink);
    }
}

/// Draws the pieces of a line in its style.
pub(crate) fn draw_line(
    surface: &mut Surface,
    pieces: &[Vec<Point>],
    style: Style,
    stroke: Stroke,
) {
    let (pattern, width) = match stroke {
        Stroke::Styled => (style.dash, theme::LINE),
        Stroke::Dashed => (DASHED.as_slice(), theme::LINE * 0.75),
        Stroke::None => return,
    };
    let mut shape = Shape::default();
    for dash in pieces.iter().flat_map(|piece| dashes(piece, pattern)) {
        shape.add(Shape::stroke(&dash, width));
    }
    surface.fill(&shape, style.colour, 1.0);
}

/// Items broken into rows that fit a width.
pub(crate) struct Key {
    rows: Vec<Vec<(f64, Item)>>,
    room: f64,
}

impl Key {
    /// Lays out the items; at most `most` rows are kept.
    pub fn new(items: Vec<Item>, room: f64, most: usize) -> Self {
        let (mut rows, mut row, mut x): (Vec<Vec<_>>, Vec<_>, _) = (Vec::new(), Vec::new(), 0.0);
        // Items of a legend stand in columns, so that the eye finds them; the column is as wide as
        // the widest item.
        let width = |item: &Item| {
            item.glyph_width() + font::width(item.label(), theme::NOTE, Weight::Regular) + GAP
        };
        let total: f64 = items.iter().map(width).sum();
        let widest = items.iter().map(width).fold(1.0, f64::max);
        let columns = (((room + GAP) / widest) as usize).max(1);
        let table = total > room + GAP && items.iter().all(|i| matches!(i, Item::Line { .. }));
        for item in items {
            let step = if table { room / columns as f64 } else { width(&item) };
            let full = if table { row.len() >= columns } else { x + step - GAP > room };
            if full && !row.is_empty() {
                rows.push(std::mem::take(&mut row));
                x = 0.0;
            }
            row.push((x, item));
            x += step;
        }
        if !row.is_empty() {
            rows.push(row);
        }
        if rows.len() > most {
            let hidden: usize = rows.split_off(most).iter().map(Vec::len).sum();
            rows.push(vec![(0.0, Item::Words(format!("… and {hidden} more")))]);
        }
        Self { rows, room }
    }

    pub fn height(&self) -> f64 {
        ROW * self.rows.len() as f64
    }

    /// Draws the rows with the upper left corner at the point.
    pub fn draw(&self, surface: &mut Surface, (left, top): Point) {
        for (i, row) in self.rows.iter().enumerate() {
            for (x, item) in row {
                let at = (left + x, top + ROW * (i as f64 + 0.5));
                item.draw(surface, at, self.room - x);
            }
        }
    }
}

/// The marks that occur, each once, from good to bad.
pub(crate) fn occurring(marks: impl Iterator<Item = Mark>) -> Vec<Mark> {
    let mut seen: Vec<Mark> = marks.collect();
    seen.sort_unstable();
    seen.dedup();
    seen
}

/// The key of the marks at the ends of lines; empty if there is nothing to explain.
pub(crate) fn ends<'a>(series: impl Iterator<Item = &'a Series>) -> Vec<Item> {
    let seen = occurring(series.filter_map(|series| series.end));
    if seen.is_empty() {
        return Vec::new();
    }
    std::iter::once(Item::Words("How the runs ended:".to_owned()))
        .chain(seen.into_iter().map(Item::Mark))
        .collect()
}
