//! A line in pixels: clipped to the frame, broken where values are missing.

use super::boxes::{Point, Rect};
use super::series::Series;
use super::span::Span;

/// The visible parts of a series.
#[derive(Clone, Debug, Default)]
pub(crate) struct Trace {
    /// Connected pieces inside the frame.
    pub pieces: Vec<Vec<Point>>,
    /// Points inside the frame that have no neighbour to connect to.
    pub singles: Vec<Point>,
    /// All points inside the frame.
    pub points: Vec<Point>,
    /// Where the line leaves the frame, with the direction outwards.
    pub exits: Vec<(Point, Point)>,
    /// The last point, moved to the frame if it lies outside.
    pub end: Option<Point>,
}

/// Places values in the frame.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Grid {
    pub plot: Rect,
    pub x: Span,
    pub y: Span,
}

impl Grid {
    pub fn x(&self, value: f64) -> Option<f64> {
        Some(self.plot.left + self.x.fraction(value)? * self.plot.width())
    }

    pub fn y(&self, value: f64) -> Option<f64> {
        Some(self.plot.bottom - self.y.fraction(value)? * self.plot.height())
    }

    /// Whether a place lies between the top and the bottom of the frame.
    pub fn shows(&self, y: f64) -> bool {
        y >= self.plot.top - 0.5 && y <= self.plot.bottom + 0.5
    }

    pub fn point(&self, (x, y): Point) -> Option<Point> {
        Some((self.x(x)?, self.y(y)?))
    }
}

impl Trace {
    pub fn new(series: &Series, grid: &Grid) -> Self {
        let mut trace = Self::default();
        // Half a pixel of slack keeps points exactly on the frame inside despite rounding.
        let frame = grid.plot.grow(0.5);
        let placed: Vec<Option<Point>> = series.points.iter().map(|&p| grid.point(p)).collect();
        trace.points = placed.iter().flatten().copied().filter(|&p| frame.holds(p)).collect();
        trace.end = placed.iter().rev().find_map(|&p| p).map(|p| grid.plot.nearest(p));
        for run in placed.split(Option::is_none) {
            let run: Vec<Point> = run.iter().flatten().copied().collect();
            trace.add(&thinned(&run), frame);
        }
        trace
    }

    fn add(&mut self, run: &[Point], frame: Rect) {
        match run {
            [] => return,
            &[only] if frame.holds(only) => self.singles.push(only),
            _ => {}
        }
        let first = run[0];
        if !frame.holds(first) && run.iter().all(|&p| !frame.holds(p)) {
            self.exit(frame.nearest(first), first, frame);
        }
        let mut piece: Vec<Point> = Vec::new();
        for pair in run.windows(2) {
            let (a, b) = (pair[0], pair[1]);
            let Some((from, to)) = frame.clip_segment(a, b) else {
                continue;
            };
            if !frame.holds(a) {
                self.pieces.push(std::mem::take(&mut piece));
                self.exit(from, a, frame);
            }
            if piece.is_empty() {
                piece.push(from);
            }
            piece.push(to);
            if !frame.holds(b) {
                self.exit(to, b, frame);
            }
        }
        self.pieces.push(piece);
        self.pieces.retain(|piece| piece.len() > 1);
    }

    /// Notes where the line leaves towards a point outside, unless an arrow is already near.
    fn exit(&mut self, at: Point, outside: Point, frame: Rect) {
        let towards = if outside.1 < frame.top {
            (0.0, -1.0)
        } else if outside.1 > frame.bottom {
            (0.0, 1.0)
        } else if outside.0 < frame.left {
            (-1.0, 0.0)
        } else {
            (1.0, 0.0)
        };
        let near = |other: &(Point, Point)| {
            other.1 == towards && libm::hypot(other.0.0 - at.0, other.0.1 - at.1) < 40.0
        };
        if !self.exits.iter().any(near) {
            self.exits.push((at, towards));
        }
    }
}

/// Keeps, of many points in one pixel column, the first, the lowest, the highest and the last.
///
/// The picture is the same and long curves draw fast.
fn thinned(run: &[Point]) -> Vec<Point> {
    if run.len() < 4000 {
        return run.to_vec();
    }
    let mut kept = Vec::new();
    for group in run.chunk_by(|a, b| a.0.floor() == b.0.floor()) {
        if group.len() < 5 {
            kept.extend_from_slice(group);
            continue;
        }
        let by_height = |a: &&Point, b: &&Point| a.1.total_cmp(&b.1);
        kept.push(group[0]);
        kept.extend(group.iter().min_by(by_height));
        kept.extend(group.iter().max_by(by_height));
        kept.push(group[group.len() - 1]);
    }
    kept
}
