//! Ticks, grid and axis lines of a chart.

use super::font::{self, Weight};
use super::span::Span;
use super::surface::{Ink, Level, Side, Surface};
use super::theme;
use super::ticks::Tick;
use super::trace::Grid;

/// Space between the frame and the tick labels.
pub(crate) const PAD: f64 = 12.0;

/// As many ticks as fit side by side without touching.
pub(crate) fn fitting(x: &Span, width: f64, size: f64, whole: bool) -> Vec<Tick> {
    let fits = |ticks: &[Tick]| {
        ticks.windows(2).all(|pair| {
            let half = |tick: &Tick| font::width(&tick.label, size, Weight::Regular) / 2.0;
            let place = |tick: &Tick| x.fraction(tick.value).unwrap_or(0.0) * width;
            place(&pair[1]) - place(&pair[0]) > half(&pair[0]) + half(&pair[1]) + 20.0
        })
    };
    let mut ticks = Vec::new();
    for most in (2..=12).rev() {
        ticks = x.ticks(most, whole);
        if fits(&ticks) {
            return ticks;
        }
    }
    ticks.truncate(1);
    ticks
}

/// Draws the grid, the axis lines and the tick labels.
pub(crate) fn draw_axes(
    surface: &mut Surface,
    grid: &Grid,
    x_ticks: &[Tick],
    y_ticks: &[Tick],
    size: f64,
) {
    let plot = grid.plot;
    for tick in y_ticks {
        let Some(y) = grid.y(tick.value).filter(|y| grid.shows(*y)) else {
            continue;
        };
        let line = y.round();
        surface.line(&[(plot.left, line), (plot.right, line)], 2.0, theme::GRID);
        let ink = Ink::new(size, theme::SOFT_INK).at(Side::Right, Level::Middle);
        surface.text(&tick.label, (plot.left - PAD, y), ink);
    }
    for tick in x_ticks {
        let Some(x) = grid.x(tick.value) else {
            continue;
        };
        let line = x.round();
        surface.line(&[(line, plot.top), (line, plot.bottom)], 2.0, theme::GRID);
        surface.line(&[(line, plot.bottom), (line, plot.bottom + 7.0)], 2.0, theme::AXIS);
        let ink = Ink::new(size, theme::SOFT_INK).at(Side::Center, Level::Top);
        surface.text(&tick.label, (x, plot.bottom + PAD + 2.0), ink);
    }
    let corner = [(plot.left, plot.top), (plot.left, plot.bottom), (plot.right, plot.bottom)];
    surface.line(&corner, 2.0, theme::AXIS);
}
