//! Remembers where data is drawn, to find free places for labels.

use super::boxes::{Point, Rect};

/// Size of a cell in pixels.
const CELL: f64 = 4.0;

/// A coarse map of the used parts of a rectangle.
pub(crate) struct Occupancy {
    area: Rect,
    columns: usize,
    rows: usize,
    used: Vec<bool>,
}

impl Occupancy {
    pub fn new(area: Rect) -> Self {
        let columns = (area.width() / CELL).ceil().max(1.0) as usize;
        let rows = (area.height() / CELL).ceil().max(1.0) as usize;
        Self { area, columns, rows, used: vec![false; columns * rows] }
    }

    /// Marks a line.
    pub fn line(&mut self, points: &[Point]) {
        for pair in points.windows(2) {
            let (a, b) = (pair[0], pair[1]);
            let steps = (libm::hypot(b.0 - a.0, b.1 - a.1) / (CELL / 2.0)).ceil().min(5000.0);
            for i in 0..=steps as usize {
                let t = i as f64 / steps.max(1.0);
                self.mark((a.0 + t * (b.0 - a.0), a.1 + t * (b.1 - a.1)));
            }
        }
    }

    fn mark(&mut self, (x, y): Point) {
        let (column, row) =
            (((x - self.area.left) / CELL).floor(), ((y - self.area.top) / CELL).floor());
        if column >= 0.0 && row >= 0.0 {
            let (column, row) = (column as usize, row as usize);
            if column < self.columns && row < self.rows {
                self.used[row * self.columns + column] = true;
            }
        }
    }

    fn cells(&self, rect: Rect) -> impl Iterator<Item = usize> + use<> {
        let clamp = |v: f64, most: usize| (v.max(0.0) as usize).min(most);
        let left = clamp(((rect.left - self.area.left) / CELL).floor(), self.columns);
        let right = clamp(((rect.right - self.area.left) / CELL).ceil(), self.columns);
        let top = clamp(((rect.top - self.area.top) / CELL).floor(), self.rows);
        let bottom = clamp(((rect.bottom - self.area.top) / CELL).ceil(), self.rows);
        let columns = self.columns;
        (top..bottom).flat_map(move |row| (left..right).map(move |column| row * columns + column))
    }

    /// Marks a rectangle, such as a label.
    pub fn rect(&mut self, rect: Rect) {
        for cell in self.cells(rect) {
            self.used[cell] = true;
        }
    }

    /// How many used cells the rectangle covers.
    pub fn cost(&self, rect: Rect) -> usize {
        self.cells(rect).filter(|&cell| self.used[cell]).count()
    }
}
