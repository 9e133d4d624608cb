//! Lays out and draws maps, their labels and the colour bar.

use super::boxes::{Point, Rect};
use super::cell::{Ground, Map};
use super::colormap::viridis;
use super::font::{self, LEADING, Weight};
use super::map_cells::{draw_cell, number_size};
use super::panel::no_data;
use super::shape::Shape;
use super::span::Span;
use super::surface::{Ink, Level, Side, Surface};
use super::{Axis, theme};

/// Height of the colour bar with its labels.
const BAR: f64 = 84.0;
/// Space between two maps.
const GUTTER: f64 = 48.0;
/// Gap between cells.
const GAP: f64 = 3.0;

/// Draws maps side by side above a colour bar.
pub(crate) fn draw_maps(surface: &mut Surface, body: Rect, maps: &[Map], value: &Axis) {
    let maps: Vec<&Map> =
        maps.iter().filter(|map| !map.rows.is_empty() && !map.columns.is_empty()).collect();
    let Some(layout) = Layout::new(&maps, body) else {
        no_data(surface, body);
        return;
    };
    let good = maps
        .iter()
        .flat_map(|map| &map.cells)
        .filter(|cell| cell.on() == Ground::Coloured)
        .filter_map(|cell| cell.value);
    let span = Span::new(value, good, 0.0, false);
    let numbers = number_size(&maps, layout.cell);
    let mut left = body.left;
    for (i, map) in maps.iter().enumerate() {
        let names = layout.name_widths[i];
        layout.draw_names(surface, map, left, names, body.top);
        let corner = (left + names, body.top + layout.head);
        for (row, column) in places(map) {
            let cell = map.cells.iter().rev().find(|c| (c.row, c.column) == (row, column));
            let x = corner.0 + layout.cell.0 * column as f64;
            let y = corner.1 + layout.cell.1 * row as f64;
            let area = Rect::new(x, y, x + layout.cell.0, y + layout.cell.1).grow(-GAP / 2.0);
            draw_cell(surface, area, cell, span.as_ref(), numbers);
        }
        left = corner.0 + layout.cell.0 * map.columns.len() as f64 + layout.overhangs[i] + GUTTER;
    }
    if let Some(span) = span {
        let bottom = corner_bottom(&maps, &layout, body);
        let area = Rect::new(body.left, bottom + 30.0, body.right, body.bottom);
        draw_bar(surface, area, &span, &value.label);
    }
}

fn places(map: &Map) -> impl Iterator<Item = (usize, usize)> + use<> {
    let (rows, columns) = (map.rows.len(), map.columns.len());
    (0..rows).flat_map(move |row| (0..columns).map(move |column| (row, column)))
}

fn corner_bottom(maps: &[&Map], layout: &Layout, body: Rect) -> f64 {
    let rows = maps.iter().map(|map| map.rows.len()).max().unwrap_or(0);
    body.top + layout.head + layout.cell.1 * rows as f64
}

/// Sizes that all maps of a picture share.
struct Layout {
    cell: Point,
    /// Height of titles and column names above the cells.
    head: f64,
    /// Width of the row names before each map; zero where the map before has the same rows.
    name_widths: Vec<f64>,
    /// How far slanted column names reach beyond the last column.
    overhangs: Vec<f64>,
    slanted: bool,
}

impl Layout {
    fn new(maps: &[&Map], body: Rect) -> Option<Self> {
        let columns: usize = maps.iter().map(|map| map.columns.len()).sum();
        let rows = maps.iter().map(|map| map.rows.len()).max()?;
        let name_widths: Vec<f64> = maps
            .iter()
            .enumerate()
            .map(|(i, map)| {
                if i > 0 && maps[i - 1].rows == map.rows {
                    return 0.0;
                }
                let names = map.rows.iter().chain([&map.row_label]);
                let widest = names
                    .map(|name| font::width(name, theme::LABEL, Weight::Regular))
                    .fold(0.0, f64::max);
                widest.min(body.width() * 0.22) + 16.0
            })
            .collect();
        let gaps = GUTTER * (maps.len() - 1) as f64;
        let room = body.width() - gaps - name_widths.iter().sum::<f64>();
        let width = |over: f64| ((room - over) / columns as f64).clamp(6.0, 170.0);
        let flat =
            maps.iter().flat_map(|map| &map.columns).all(|name| stands_flat(name, width(0.0)));
        let longest = |map: &Map| {
            map.columns
                .iter()
                .map(|name| font::width(name, theme::NOTE, Weight::Regular).min(LONGEST_SLANT))
                .fold(0.0, f64::max)
        };
        let sin = libm::sin(SLANT.to_radians());
        let cos = libm::cos(SLANT.to_radians());
        let overhangs: Vec<f64> = maps
            .iter()
            .map(|map| {
                let last = map.columns.last().map_or(0.0, |name| {
                    font::width(name, theme::NOTE, Weight::Regular).min(LONGEST_SLANT)
                });
                if flat { 0.0 } else { (last * cos + 12.0 - width(0.0) / 2.0).max(0.0) }
            })
            .collect();
        let names = if flat {
            2.0 * theme::NOTE * LEADING + 8.0
        } else {
            maps.iter().map(|map| longest(map)).fold(0.0, f64::max) * sin + theme::NOTE + 10.0
        };
        let titles = maps.iter().any(|map| !map.title.is_empty());
        let labels = maps.iter().any(|map| !map.column_label.is_empty());
        let head = names
            + if titles { theme::PANEL_TITLE * LEADING + 4.0 } else { 0.0 }
            + if labels { theme::NOTE * LEADING + 6.0 } else { 0.0 };
        let height = ((body.height() - head - BAR - 30.0) / rows as f64).clamp(6.0, 92.0);
        Some(Self {
            cell: (width(overhangs.iter().sum()), height),
            head,
            name_widths,
            overhangs,
            slanted: !flat,
        })
    }

    fn draw_names(&self, surface: &mut Surface, map: &Map, left: f64, names: f64, top: f64) {
        let start = left + names;
        let width = self.cell.0 * map.columns.len() as f64;
        let mut y = top;
        if !map.title.is_empty() {
            let ink = Ink::new(theme::PANEL_TITLE, theme::INK).medium();
            let room = width + self.overhangs.iter().copied().fold(0.0, f64::max);
            let title = font::fit(&map.title, ink.size, ink.weight, room);
            surface.text(&title, (start, y), ink);
            y += theme::PANEL_TITLE * LEADING + 4.0;
        }
        let soft = Ink::new(theme::NOTE, theme::GREY);
        let label = font::fit(&map.column_label, soft.size, soft.weight, width);
        surface.text(&label, (start, y), soft);
        let base = top + self.head;
        let ink = Ink::new(theme::NOTE, theme::SOFT_INK);
        for (i, name) in map.columns.iter().enumerate() {
            let x = start + self.cell.0 * (i as f64 + 0.5);
            if self.slanted {
                let name = font::fit(name, ink.size, ink.weight, LONGEST_SLANT);
                let ink = Ink { turn: SLANT, ..ink.at(Side::Left, Level::Middle) };
                surface.text(&name, (x, base - 12.0), ink);
            } else {
                let lines = font::wrap(name, ink.size, ink.weight, self.cell.0 - 8.0, 2);
                for (row, line) in lines.iter().rev().enumerate() {
                    let at = (x, base - 12.0 - ink.size * LEADING * row as f64);
                    surface.text(line, at, ink.at(Side::Center, Level::Baseline));
                }
            }
        }
        if names == 0.0 {
            return;
        }
        let right = ink.at(Side::Right, Level::Baseline);
        let label = font::fit(&map.row_label, soft.size, soft.weight, names);
        let corner = (start - 14.0, base - 12.0);
        surface.text(&label, corner, soft.at(Side::Right, Level::Baseline));
        for (i, name) in map.rows.iter().enumerate() {
            let size = theme::LABEL.min(self.cell.1 * 0.9);
            let name = font::fit(name, size, ink.weight, names - 14.0);
            let y = base + self.cell.1 * (i as f64 + 0.5);
            let ink = Ink { size, ..right };
            surface.text(&name, (start - 14.0, y), ink.at(Side::Right, Level::Middle));
        }
    }
}

/// Slant of column names that are too long to stand flat, in degrees.
const SLANT: f64 = 40.0;
/// Longer slanted names are shortened.
const LONGEST_SLANT: f64 = 260.0;

/// Whether a name fits above a column in at most two lines broken at natural places.
fn stands_flat(name: &str, width: f64) -> bool {
    let room = width - 8.0;
    let fits = |part: &str| font::width(part, theme::NOTE, Weight::Regular) <= room;
    name.split_inclusive(['_', '/', '-', ' ']).all(|part| fits(part.trim_end()))
        && font::wrap(name, theme::NOTE, Weight::Regular, room, 9).len() <= 2
}

fn draw_bar(surface: &mut Surface, area: Rect, span: &Span, label: &str) {
    let size = theme::NOTE;
    let label = font::fit(label, size, Weight::Regular, area.width() * 0.6);
    let gap = if label.is_empty() { 0.0 } else { 24.0 };
    let left = (area.left + font::width(&label, size, Weight::Regular) + gap).round();
    let bar = Rect::new(
        left,
        area.top.round(),
        (left + 560.0).min(area.right - 40.0).round(),
        area.top.round() + 26.0,
    );
    let ink = Ink::new(size, theme::SOFT_INK);
    let middle = (area.left, bar.center().1);
    surface.text(&label, middle, ink.at(Side::Left, Level::Middle));
    let columns = bar.width().max(1.0) as usize;
    for i in 0..columns {
        let x = bar.left + i as f64;
        let colour = viridis((i as f64 + 0.5) / columns as f64);
        surface.fill(&Shape::rect(Rect::new(x, bar.top, x + 1.0, bar.bottom)), colour, 1.0);
    }
    for tick in span.ticks((bar.width() / 90.0) as usize, false) {
        let Some(at) = span.fraction(tick.value).filter(|at| (0.0..=1.0).contains(at)) else {
            continue;
        };
        let x = bar.left + at * bar.width();
        surface.line(&[(x, bar.bottom), (x, bar.bottom + 7.0)], 2.0, theme::AXIS);
        let ink = ink.at(Side::Center, Level::Top);
        surface.text(&tick.label, (x, bar.bottom + 13.0), ink);
    }
}
