//! Draws one cell of a map: its ground, its number, its mark and its count.

use plotters::style::{RGBColor, WHITE};

use super::boxes::{Point, Rect};
use super::cell::{Cell, Ground, Map};
use super::colormap::viridis;
use super::font::{self, Weight};
use super::shape::Shape;
use super::span::Span;
use super::surface::{Ink, Level, Side, Surface};
use super::{Mark, theme, ticks};

/// Ground and lines of cells that did not train.
const HATCH: (RGBColor, RGBColor) = (RGBColor(240, 240, 240), RGBColor(212, 212, 212));
/// Ground of cells that show neither, and the line around them.
const PALE: (RGBColor, RGBColor) = (RGBColor(252, 247, 230), RGBColor(214, 196, 140));
/// The smallest number that is still worth drawing.
const SMALLEST: f64 = 13.0;
/// Size of a count beside that of the number above it.
const COUNT: f64 = 0.72;

/// The size of the numbers: the largest that fits every cell; none if that is too small.
pub(crate) fn number_size(maps: &[&Map], (width, height): Point) -> Option<f64> {
    let cells = || maps.iter().flat_map(|map| &map.cells);
    let widest = cells()
        .filter(|cell| cell.on() == Ground::Coloured)
        .filter_map(|cell| cell.value)
        .map(|value| font::width(&ticks::short(value), 1.0, Weight::Regular))
        .fold(1.5, f64::max);
    let lines = if cells().any(|cell| cell.count.is_some()) { 0.38 } else { 0.55 };
    let size = ((width - 14.0) / widest).min(theme::LABEL).min(height * lines);
    (size >= SMALLEST).then_some(size)
}

pub(crate) fn draw_cell(
    surface: &mut Surface,
    area: Rect,
    cell: Option<&Cell>,
    span: Option<&Span>,
    numbers: Option<f64>,
) {
    let Some(cell) = cell.filter(|cell| cell.value.is_some() || cell.mark.is_some()) else {
        let pale = Ink::new(numbers.unwrap_or(SMALLEST), theme::REFERENCE);
        surface.fill(&outline(area), theme::GRID, 1.0);
        surface.text("–", area.center(), pale.at(Side::Center, Level::Middle));
        return;
    };
    match cell.on() {
        Ground::Coloured => draw_coloured(surface, area, cell, span, numbers),
        Ground::Pale => {
            surface.fill(&Shape::rect(area), PALE.0, 1.0);
            surface.fill(&outline(area.grow(-1.0)), PALE.1, 1.0);
            draw_grey(surface, area, cell, numbers);
        }
        Ground::Hatched => {
            draw_hatch(surface, area);
            draw_grey(surface, area, cell, numbers);
        }
    }
}

fn outline(area: Rect) -> Shape {
    let corners = [
        (area.left, area.top),
        (area.right, area.top),
        (area.right, area.bottom),
        (area.left, area.bottom),
    ];
    Shape::outline(&corners, 1.5)
}

fn draw_coloured(
    surface: &mut Surface,
    area: Rect,
    cell: &Cell,
    span: Option<&Span>,
    numbers: Option<f64>,
) {
    let at = cell.value.and_then(|value| span.and_then(|span| span.fraction(value)));
    let ground = at.map_or(WHITE, viridis);
    surface.fill(&Shape::rect(area), ground, 1.0);
    let ink = if theme::luminance(ground) < 0.22 { WHITE } else { theme::INK };
    let mark = cell.mark.filter(|mark| *mark != Mark::Ok);
    let radius = (area.width().min(area.height()) * 0.16).min(9.0);
    let (x, y) = line_and_count(surface, area, cell, numbers, ink);
    if let (Some(value), Some(size)) = (cell.value, numbers) {
        let ink = Ink::new(size, ink).at(Side::Center, Level::Middle);
        let text = ticks::short(value);
        // In a narrow cell the number makes room for the mark in the corner.
        let free = area.width() - font::width(&text, size, Weight::Regular);
        let shift = if mark.is_some() {
            (3.4 * radius - free / 2.0).clamp(0.0, (free / 2.0).max(0.0))
        } else {
            0.0
        };
        surface.text(&text, (x - shift, y), ink);
    }
    if let Some(mark) = mark {
        let corner = (area.right - radius * 1.6, area.top + radius * 1.6);
        mark.draw(surface, corner, radius, theme::INK);
    }
}

/// Writes the count of a cell, if it has one, and gives the middle of the line above it.
fn line_and_count(
    surface: &mut Surface,
    area: Rect,
    cell: &Cell,
    numbers: Option<f64>,
    ink: RGBColor,
) -> Point {
    let (x, y) = area.center();
    let (Some((some, all)), Some(size)) = (cell.count, numbers) else { return (x, y) };
    let ink = Ink::new(size * COUNT, ink).at(Side::Center, Level::Middle);
    surface.text(&format!("{some} of {all}"), (x, y + size * 0.72), ink);
    (x, y - size * 0.52)
}

fn draw_hatch(surface: &mut Surface, area: Rect) {
    surface.fill(&Shape::rect(area), HATCH.0, 1.0);
    let mut lines = Shape::default();
    let mut x = area.left - area.height();
    while x < area.right {
        let line = [(x, area.bottom), (x + area.height(), area.top)];
        lines.add(Shape::stroke(&line, 1.8));
        x += 11.0;
    }
    surface.fill_within(&lines, HATCH.1, 1.0, area);
}

/// Mark and number in grey, side by side where there is room.
fn draw_grey(surface: &mut Surface, area: Rect, cell: &Cell, numbers: Option<f64>) {
    let (x, y) = line_and_count(surface, area, cell, numbers, theme::SOFT_INK);
    let height = if cell.count.is_some() { area.height() * 0.7 } else { area.height() };
    let radius = (area.width().min(height) * 0.24).min(11.0);
    let text = cell.value.map(ticks::short).unwrap_or_default();
    let size = numbers.map_or(0.0, |size| size * 0.85);
    let width = font::width(&text, size, Weight::Regular);
    let both = 2.0 * radius + 8.0 + width;
    let Some(mark) = cell.mark else {
        let ink = Ink::new(size, theme::SOFT_INK).at(Side::Center, Level::Middle);
        surface.text(&text, (x, y), ink);
        return;
    };
    if width > 0.0 && size >= SMALLEST && both + 10.0 <= area.width() {
        mark.draw(surface, (x - both / 2.0 + radius, y), radius, theme::INK);
        let ink = Ink::new(size, theme::SOFT_INK).at(Side::Right, Level::Middle);
        surface.text(&text, (x + both / 2.0, y), ink);
    } else {
        mark.draw(surface, (x, y), radius, theme::INK);
    }
}
