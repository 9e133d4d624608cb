//! Labels inside and beside a chart: names of lines at their ends, words on reference lines.

use plotters::style::WHITE;

use super::boxes::{Point, Rect};
use super::font::{self, LEADING, Weight};
use super::mark::Mark;
use super::occupancy::Occupancy;
use super::series::{Reference, Series, Stroke};
use super::shape::{Shape, dashes};
use super::spread::spread;
use super::surface::{Ink, Level, Side, Surface};
use super::theme::{self, Looks, Style};
use super::trace::{Grid, Trace};

/// Space between the frame and the labels, for leader lines.
const LEADER: f64 = 44.0;
/// Space for the marker before a label.
const BADGE: f64 = 20.0;

/// The labels to the right of the frame.
pub(crate) struct Column {
    size: f64,
    labels: Vec<Vec<String>>,
    /// The lines that are labelled; not all when there are too many.
    shown: Vec<usize>,
    widest: f64,
    /// Space for the outcome after a label.
    tail: f64,
}

impl Column {
    /// Plans the labels: smaller ones when there are many, and not all when there are too many.
    pub fn new(
        labels: impl Iterator<Item = String> + Clone,
        height: f64,
        room: f64,
        tail: f64,
    ) -> Self {
        let mut plan = Self::sized(labels.clone(), theme::LABEL, room, tail);
        for size in [22.0, 18.0] {
            if plan.height() <= height {
                return plan;
            }
            plan = Self::sized(labels.clone(), size, room, tail);
        }
        let (all, mut count) = (plan.labels.len(), plan.labels.len());
        // One line is kept free to say how many labels are missing.
        while count > 0 && plan.height() > height - if count < all { plan.line() } else { 0.0 } {
            count = (count * 9 / 10).min(count - 1);
            plan.shown = (0..count).map(|i| i * all / count).collect();
        }
        plan
    }

    fn sized(labels: impl Iterator<Item = String>, size: f64, room: f64, tail: f64) -> Self {
        let room = (room - LEADER - BADGE - tail).max(40.0);
        let labels: Vec<_> =
            labels.map(|label| font::wrap(&label, size, Weight::Medium, room, 3)).collect();
        let widest = labels
            .iter()
            .flatten()
            .map(|line| font::width(line, size, Weight::Medium))
            .fold(0.0, f64::max);
        Self { size, shown: (0..labels.len()).collect(), labels, widest, tail }
    }

    fn block(&self, label: &[String]) -> f64 {
        // The last term separates labels of several lines from each other.
        let lines = label.len().max(1) as f64;
        self.size * LEADING * lines + if label.len() > 1 { 8.0 } else { 0.0 }
    }

    fn line(&self) -> f64 {
        self.size * LEADING
    }

    fn height(&self) -> f64 {
        let blocks = self.shown.iter().map(|&i| self.block(&self.labels[i]));
        blocks.sum()
    }

    /// The width beside the frame that the labels need.
    pub fn width(&self) -> f64 {
        if self.labels.iter().all(Vec::is_empty) {
            return 0.0;
        }
        LEADER + BADGE + 4.0 + self.widest + self.tail
    }

    pub fn draw(
        &self,
        surface: &mut Surface,
        series: &[Series],
        traces: &[Trace],
        looks: &Looks,
        grid: &Grid,
        used: &mut Occupancy,
    ) {
        let plot = grid.plot;
        let mut waiting = Vec::new();
        for &i in &self.shown {
            if self.labels[i].is_empty() {
                continue;
            }
            let style = looks.get(series[i].key());
            let early = traces[i].end.filter(|end| end.0 < plot.right - 0.06 * plot.width());
            let place = early.and_then(|end| self.free_place(i, end, plot, used));
            if let Some(place) = place {
                self.write(surface, i, &series[i], style, (place.left, place.center().1));
                used.rect(place);
            } else {
                waiting.push((i, traces[i].end));
            }
        }
        let wishes: Vec<_> = waiting
            .iter()
            .map(|&(i, end)| {
                let wish = end.map_or(plot.bottom, |end| end.1);
                (wish, self.block(&self.labels[i]))
            })
            .collect();
        let half = self.size * LEADING / 2.0;
        let hidden = self.labels.len() - self.shown.len();
        let foot = if hidden > 0 { self.size * LEADING } else { 0.0 };
        let centres = spread(&wishes, plot.top - half, plot.bottom + half - foot);
        for (&(i, end), centre) in waiting.iter().zip(centres) {
            let style = looks.get(series[i].key());
            let x = plot.right + LEADER;
            if let Some(end) = end {
                leader(surface, style, end, plot.right, (x - 4.0, centre));
            }
            self.write(surface, i, &series[i], style, (x, centre));
        }
        if hidden > 0 {
            let ink = Ink::new(self.size, theme::GREY).at(Side::Left, Level::Middle);
            let at = (plot.right + LEADER, plot.bottom + half - foot / 2.0);
            surface.text(&format!("… and {hidden} more"), at, ink);
        }
    }

    /// Writes a label with its marker; the point is the middle of its left side.
    fn write(&self, surface: &mut Surface, i: usize, series: &Series, style: Style, (x, y): Point) {
        let radius = self.size * 0.3;
        if series.stroke == Stroke::Dashed {
            for start in [x - 5.0, x + 7.0] {
                surface.line(&[(start, y), (start + 8.0, y)], 3.0, style.colour);
            }
        } else {
            let at = (x + radius, y);
            style.marker.draw(surface, at, radius, style.colour);
        }
        let ink = Ink::new(self.size, style.text_colour()).medium().at(Side::Left, Level::Middle);
        let lines = &self.labels[i];
        for (row, line) in lines.iter().enumerate() {
            let shift = (row as f64 - (lines.len() as f64 - 1.0) / 2.0) * self.size * LEADING;
            surface.text(line, (x + BADGE + 4.0, y + shift), ink);
        }
        // The outcome is repeated here because the ends of lines often lie on top of each other.
        if let (Some(mark), Some(line)) =
            (series.end.filter(|mark| *mark != Mark::Ok), lines.last())
        {
            let shift = (lines.len() as f64 - 1.0) / 2.0 * self.line();
            let end = x + BADGE + 4.0 + font::width(line, self.size, Weight::Medium);
            mark.draw(surface, (end + 20.0, y + shift), self.size * 0.36, style.colour);
        }
    }

    /// A free place near the end of a line that stops early.
    fn free_place(&self, i: usize, end: Point, plot: Rect, used: &Occupancy) -> Option<Rect> {
        let lines = &self.labels[i];
        let width = BADGE
            + 6.0
            + self.tail
            + lines
                .iter()
                .map(|line| font::width(line, self.size, Weight::Medium))
                .fold(0.0, f64::max);
        let height = self.size * (LEADING * (lines.len() as f64 - 1.0) + 1.0);
        let at = |x: f64, y: f64| Rect::new(x, y - height / 2.0, x + width, y + height / 2.0);
        let lift = height / 2.0 + 18.0;
        [
            at(end.0 + 20.0, end.1),
            at(end.0 + 14.0, end.1 - lift),
            at(end.0 + 14.0, end.1 + lift),
            at(end.0 - width / 2.0, end.1 - lift),
            at(end.0 - width / 2.0, end.1 + lift),
            at(end.0 - width - 18.0, end.1),
            at(end.0 - width - 14.0, end.1 - lift),
        ]
        .into_iter()
        .find(|place| plot.contains(place) && used.cost(place.grow(2.0)) == 0)
    }
}

/// A thin line from the end of a line to its label.
fn leader(surface: &mut Surface, style: Style, end: Point, edge: f64, label: Point) {
    let mut shape = Shape::default();
    let start = (end.0 + 14.0, end.1);
    if start.0 < edge - 40.0 {
        for dash in dashes(&[start, (edge, end.1)], &[2.0, 6.0]) {
            shape.add(Shape::stroke(&dash, 1.6));
        }
        shape.add(Shape::stroke(&[(edge, end.1), label], 1.6));
    } else {
        let bend = (start.0.max(edge), end.1);
        shape.add(Shape::stroke(&[start, bend, label], 1.6));
    }
    surface.fill(&shape, style.colour, 0.8);
}

/// Writes the labels of reference lines where they cover the least data.
pub(crate) fn label_references(
    surface: &mut Surface,
    references: &[Reference],
    grid: &Grid,
    used: &mut Occupancy,
) {
    let (plot, size) = (grid.plot, theme::NOTE);
    for reference in references {
        let Some(y) = grid.y(reference.value) else {
            continue;
        };
        // A value outside the picture is still worth a word at the edge.
        let (y, hint) = if y < plot.top - 0.5 {
            (plot.top, " (above)")
        } else if y > plot.bottom + 0.5 {
            (plot.bottom, " (below)")
        } else {
            (y, "")
        };
        let text = format!("{}{hint}", reference.label);
        let text = font::fit(&text, size, Weight::Regular, plot.width() - 20.0);
        if text.is_empty() {
            continue;
        }
        let (width, height) = (font::width(&text, size, Weight::Regular), size * 1.05);
        let place = |x: f64, up: bool| {
            let middle = if up { y - height / 2.0 - 7.0 } else { y + height / 2.0 + 7.0 };
            Rect::new(x, middle - height / 2.0, x + width, middle + height / 2.0)
        };
        let steps = ((plot.width() - width - 16.0) / 24.0).max(0.0) as usize;
        let best = (0..=steps)
            .flat_map(|step| [true, false].map(|up| (step, up)))
            .map(|(step, up)| (place(plot.right - width - 8.0 - 24.0 * step as f64, up), up))
            .filter(|(rect, _)| rect.top >= plot.top - height && rect.bottom <= plot.bottom)
            .min_by_key(|(rect, up)| 2 * used.cost(rect.grow(2.0)) + usize::from(!up));
        let Some((rect, _)) = best else {
            continue;
        };
        if used.cost(rect) > 0 {
            surface.fill(&Shape::rect(rect.grow(2.0)), WHITE, 0.8);
        }
        let ink = Ink::new(size, theme::GREY).at(Side::Left, Level::Middle);
        surface.text(&text, (rect.left, rect.center().1), ink);
        used.rect(rect);
    }
}
