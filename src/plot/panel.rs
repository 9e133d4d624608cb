//! Draws one chart into a rectangle: grid, axes, bands, lines and marks.

use super::boxes::{Point, Rect};
use super::font::{self, LEADING, Weight};
use super::key::{self, Key};
use super::mark::Mark;
use super::occupancy::Occupancy;
use super::page::paragraph;
use super::panel_axes::{PAD, draw_axes, fitting};
use super::panel_labels::{Column, label_references};
use super::series::{Lines, Series, Stroke};
use super::shape::Shape;
use super::span::Span;
use super::surface::{Ink, Level, Side, Surface};
use super::theme::{self, Looks};
use super::trace::{Grid, Trace};

impl Lines {
    /// The range of the x axis, if there is anything to show.
    pub(crate) fn x_span(&self) -> Option<Span> {
        let xs = self.series.iter().flat_map(|series| {
            let band = series.band.iter().map(|b| b.0);
            series.points.iter().map(|p| p.0).chain(band)
        });
        let room = if self.series.iter().any(|series| series.markers) { 0.025 } else { 0.0 };
        Span::new(&self.x, xs, room, false)
    }

    /// The range of the y axis, if there is anything to show.
    pub(crate) fn y_span(&self) -> Option<Span> {
        let shown = |x: f64| self.x.range.is_none_or(|(a, b)| x >= a.min(b) && x <= a.max(b));
        let ys = self.series.iter().flat_map(move |series| {
            let points = series.points.iter().filter(move |p| shown(p.0));
            let band = series.band.iter().filter(move |b| shown(b.0));
            points.map(|p| p.1).chain(band.flat_map(|b| [b.1, b.2]))
        });
        if self.series.iter().all(|series| series.points.is_empty()) {
            return None;
        }
        let references = self.references.iter().map(|reference| reference.value);
        Span::new(&self.y, ys.chain(references), 0.05, true)
    }

    /// Whether x counts something, so that ticks between whole numbers make no sense.
    fn counts(&self) -> bool {
        let mut xs = self.series.iter().flat_map(|s| &s.points).map(|p| p.0);
        xs.all(|x| x.is_finite() && x == x.round())
    }
}

/// A chart with everything that its surroundings decide.
pub(crate) struct Panel<'a> {
    pub lines: &'a Lines,
    pub looks: &'a Looks,
    pub x: Option<Span>,
    pub y: Option<Span>,
    /// The legend below a chart among several, possibly empty. A chart alone has none: its lines
    /// are labelled directly and its title stands on the page.
    pub legend: Option<Key>,
}

/// The label of a line, which says so if nothing of it can be shown.
fn label(series: &Series, x: &Span, y: &Span) -> String {
    let shown = |p: &Point| x.fraction(p.0).is_some() && y.fraction(p.1).is_some();
    if series.label.is_empty() || series.points.iter().any(shown) {
        series.label.clone()
    } else {
        format!("{} (no data)", series.label)
    }
}

/// The height above the frame for the title and the label of the y axis.
pub(crate) fn head_height(panel: &Panel<'_>, width: f64) -> f64 {
    let rows = |text: &str, size: f64, weight| {
        size * LEADING * font::wrap(text, size, weight, width, 2).len() as f64
    };
    let label = rows(&panel.lines.y.label, label_size(width), Weight::Regular);
    let title = if panel.legend.is_some() {
        rows(&panel.lines.title, theme::PANEL_TITLE, Weight::Medium) + 6.0
    } else {
        0.0
    };
    title + label + 10.0
}

impl Panel<'_> {
    /// The height of the legend below the chart.
    pub fn legend_height(&self) -> f64 {
        self.legend.as_ref().map_or(0.0, Key::height)
    }

    /// Draws the chart; the frame starts `head` below the top of the rectangle, and the chart
    /// ends above a legend of height `legend`.
    pub fn draw(&self, surface: &mut Surface, area: Rect, head: f64, legend: f64) {
        let mut top = area.top;
        if let Some(key) = &self.legend {
            key.draw(surface, (area.left, area.bottom - legend));
            let ink = Ink::new(theme::PANEL_TITLE, theme::INK).medium();
            top = paragraph(surface, &self.lines.title, ink, area, top, 2) + 6.0;
        }
        let ink = Ink::new(label_size(area.width()), theme::SOFT_INK);
        paragraph(surface, &self.lines.y.label, ink, area, top, 2);

        let size = label_size(area.width());
        let titles = if self.lines.x.label.is_empty() { 0.0 } else { 1.35 };
        let foot = PAD + size * (LEADING + titles) + legend + if legend > 0.0 { 10.0 } else { 0.0 };
        let frame = Rect::new(
            area.left,
            area.top + head,
            area.right,
            (area.bottom - foot).max(area.top + head + 30.0),
        );
        let (Some(x), Some(y)) = (self.x, self.y) else {
            no_data(surface, frame);
            return;
        };
        let y_ticks = y.ticks((frame.height() / 70.0) as usize, false);
        let widest = y_ticks
            .iter()
            .map(|tick| font::width(&tick.label, size, Weight::Regular))
            .fold(0.0, f64::max);
        let left = (frame.left + widest + PAD).min(frame.center().0);
        let column = self.legend.is_none().then(|| {
            let labels = self.lines.series.iter().map(|series| label(series, &x, &y));
            let bad = |series: &Series| series.end.is_some_and(|mark| mark != Mark::Ok);
            let tail = if self.lines.series.iter().any(bad) { 34.0 } else { 0.0 };
            Column::new(labels, frame.height(), area.width() * 0.28, tail)
        });
        let column_width = column.as_ref().map_or(0.0, Column::width);
        let x_ticks = fitting(&x, frame.right - column_width - left, size, self.lines.counts());
        let overhang = x_ticks.last().map_or(0.0, |tick| {
            let beyond = 1.0 - x.fraction(tick.value).unwrap_or(0.0);
            let half = font::width(&tick.label, size, Weight::Regular) / 2.0;
            half - beyond * (frame.right - left)
        });
        let right = frame.right - column_width.max(overhang).max(10.0);
        // Whole pixels keep the straight lines of the frame crisp.
        let plot = Rect::new(
            left.round(),
            frame.top.round(),
            right.max(left + 30.0).round(),
            frame.bottom.round(),
        );
        let grid = Grid { plot, x, y };
        draw_axes(surface, &grid, &x_ticks, &y_ticks, size);
        let ink = Ink::new(size, theme::SOFT_INK).at(Side::Center, Level::Top);
        let text = font::fit(&self.lines.x.label, size, Weight::Regular, area.width());
        let half = font::width(&text, size, Weight::Regular) / 2.0;
        let middle = plot.center().0.min(area.right - half).max(area.left + half);
        surface.text(&text, (middle, plot.bottom + PAD + size * 1.45), ink);
        self.draw_data(surface, &grid, column.as_ref());
    }

    fn draw_data(&self, surface: &mut Surface, grid: &Grid, column: Option<&Column>) {
        let mut used = Occupancy::new(grid.plot);
        for reference in &self.lines.references {
            if let Some(y) = grid.y(reference.value).filter(|y| grid.shows(*y)) {
                let ends = [(grid.plot.left, y.round()), (grid.plot.right, y.round())];
                surface.line(&ends, 2.0, theme::REFERENCE);
                used.line(&ends);
            }
        }
        for series in &self.lines.series {
            draw_band(surface, series, grid, self.looks);
        }
        let traces: Vec<Trace> =
            self.lines.series.iter().map(|series| Trace::new(series, grid)).collect();
        for (series, trace) in self.lines.series.iter().zip(&traces) {
            let style = self.looks.get(series.key());
            key::draw_line(surface, &trace.pieces, style, series.stroke);
            trace.pieces.iter().for_each(|piece| used.line(piece));
        }
        for (i, (series, trace)) in self.lines.series.iter().zip(&traces).enumerate() {
            let style = self.looks.get(series.key());
            for &(at, towards) in &trace.exits {
                surface.fill(&arrow(at, towards), style.colour, 1.0);
            }
            for &at in &trace.singles {
                style.marker.draw(surface, at, 8.0, style.colour);
            }
            if series.markers || series.stroke == Stroke::None {
                for at in sparse(&trace.points, i) {
                    style.marker.draw(surface, at, 8.0, style.colour);
                    used.rect(around(at, 8.0));
                }
            }
        }
        // Bad outcomes are drawn last, so that good ones never cover them.
        let mut ends: Vec<_> = self.lines.series.iter().zip(&traces).collect();
        ends.sort_by_key(|(series, _)| series.end);
        for (series, trace) in ends {
            if let (Some(mark), Some(at)) = (series.end, trace.end) {
                mark.draw(surface, at, 11.0, self.looks.get(series.key()).colour);
                used.rect(around(at, 13.0));
            }
        }
        if traces.iter().all(|trace| trace.end.is_none()) {
            no_data(surface, grid.plot);
        }
        label_references(surface, &self.lines.references, grid, &mut used);
        if let Some(column) = column {
            column.draw(surface, &self.lines.series, &traces, self.looks, grid, &mut used);
        }
    }
}

pub(crate) fn around((x, y): Point, by: f64) -> Rect {
    Rect::new(x, y, x, y).grow(by)
}

/// The sentence that stands for a chart without data.
pub(crate) fn no_data(surface: &mut Surface, area: Rect) {
    let ink = Ink::new(theme::PANEL_TITLE, theme::GREY).at(Side::Center, Level::Middle);
    surface.text("no data", area.center(), ink);
}

fn draw_band(surface: &mut Surface, series: &Series, grid: &Grid, looks: &Looks) {
    let mut shape = Shape::default();
    let placed: Vec<_> = series
        .band
        .iter()
        .map(|&(x, low, high)| Some((grid.x(x)?, grid.y(low.min(high))?, grid.y(low.max(high))?)))
        .collect();
    for pair in placed.windows(2) {
        if let [Some(a), Some(b)] = pair {
            shape.push(vec![(a.0, a.1), (b.0, b.1), (b.0, b.2), (a.0, a.2)]);
        }
    }
    let colour = looks.get(series.key()).colour;
    surface.fill_within(&shape, colour, 0.18, grid.plot);
}

/// All points when they are few and far apart, else some, at other places for each line.
fn sparse(points: &[Point], phase: usize) -> impl Iterator<Item = Point> + use<'_> {
    let length = match points {
        [first, .., last] => libm::fabs(last.0 - first.0),
        _ => 0.0,
    };
    let apart = length / points.len().max(1) as f64;
    let step = if points.len() <= 12 || apart > 36.0 {
        1
    } else {
        ((110.0 / apart.max(0.01)) as usize).clamp(1, points.len().div_ceil(4))
    };
    points.iter().copied().skip((phase * step * 3 / 8) % step).step_by(step)
}

/// A small triangle at the frame that points to the values outside.
fn arrow(at: Point, (dx, dy): Point) -> Shape {
    let (length, half) = (15.0, 8.0);
    let back = (at.0 - dx * length, at.1 - dy * length);
    Shape::polygon([
        at,
        (back.0 - dy * half, back.1 + dx * half),
        (back.0 + dy * half, back.1 - dx * half),
    ])
}

/// The size of labels in a panel: smaller panels carry slightly smaller ones.
pub(crate) fn label_size(width: f64) -> f64 {
    if width < 500.0 { theme::NOTE } else { theme::LABEL }
}
