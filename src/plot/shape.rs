//! Shapes as sets of closed rings: strokes, discs, polygons.

use super::boxes::{Point, Rect};

/// A filled shape. Rings of one orientation add up, so overlapping parts are painted once.
#[derive(Clone, Debug, Default)]
pub(crate) struct Shape {
    pub rings: Vec<Vec<Point>>,
}

impl Shape {
    /// A simple polygon.
    pub fn polygon(points: impl IntoIterator<Item = Point>) -> Self {
        let mut shape = Self::default();
        shape.push(points.into_iter().collect());
        shape
    }

    pub fn rect(rect: Rect) -> Self {
        Self::polygon([
            (rect.left, rect.top),
            (rect.right, rect.top),
            (rect.right, rect.bottom),
            (rect.left, rect.bottom),
        ])
    }

    /// A regular polygon or, with many corners, a disc.
    pub fn regular(center: Point, radius: f64, corners: usize, turn: f64) -> Self {
        Self::polygon((0..corners.max(3)).map(|i| {
            let angle = turn + std::f64::consts::TAU * i as f64 / corners.max(3) as f64;
            (center.0 + radius * libm::sin(angle), center.1 - radius * libm::cos(angle))
        }))
    }

    pub fn disc(center: Point, radius: f64) -> Self {
        Self::regular(center, radius, if radius < 4.0 { 12 } else { 32 }, 0.0)
    }

    /// A line of the given width through the points, with round joints and flat ends.
    pub fn stroke(points: &[Point], width: f64) -> Self {
        let mut shape = Self::default();
        let half = width / 2.0;
        for pair in points.windows(2) {
            let [a, b] = [pair[0], pair[1]];
            let (dx, dy) = (b.0 - a.0, b.1 - a.1);
            let length = libm::hypot(dx, dy);
            if length < 1e-9 {
                continue;
            }
            let (nx, ny) = (-dy / length * half, dx / length * half);
            shape.push(vec![
                (a.0 + nx, a.1 + ny),
                (b.0 + nx, b.1 + ny),
                (b.0 - nx, b.1 - ny),
                (a.0 - nx, a.1 - ny),
            ]);
        }
        for corner in points.windows(3) {
            if turns(corner[0], corner[1], corner[2]) {
                shape.add(Self::regular(corner[1], half, 12, 0.0));
            }
        }
        shape
    }

    /// The outline of a closed polygon.
    pub fn outline(points: &[Point], width: f64) -> Self {
        let mut closed = points.to_vec();
        closed.extend(points.iter().take(2));
        Self::stroke(&closed, width)
    }

    pub fn add(&mut self, other: Self) {
        self.rings.extend(other.rings);
    }

    /// Adds a ring, turned so that all rings have the same orientation.
    pub fn push(&mut self, mut ring: Vec<Point>) {
        let area: f64 = (0..ring.len())
            .map(|i| {
                let (a, b) = (ring[i], ring[(i + 1) % ring.len()]);
                a.0 * b.1 - b.0 * a.1
            })
            .sum();
        if area < 0.0 {
            ring.reverse();
        }
        self.rings.push(ring);
    }
}

/// Whether the corner is sharp enough to need a round joint.
fn turns(a: Point, b: Point, c: Point) -> bool {
    let (ux, uy, vx, vy) = (b.0 - a.0, b.1 - a.1, c.0 - b.0, c.1 - b.1);
    let lengths = libm::hypot(ux, uy) * libm::hypot(vx, vy);
    ux * vx + uy * vy < 0.995 * lengths
}

/// Cuts a line into dashes; `pattern` holds on and off lengths in turn. An empty pattern or one
/// without length gives the line as it is.
pub(crate) fn dashes(points: &[Point], pattern: &[f64]) -> Vec<Vec<Point>> {
    if pattern.is_empty() || pattern.iter().sum::<f64>() < 1.0 {
        return vec![points.to_vec()];
    }
    let (mut pieces, mut index, mut left) = (Vec::new(), 0_usize, pattern[0]);
    let mut piece: Vec<Point> = points.first().copied().into_iter().collect();
    for pair in points.windows(2) {
        let (mut a, b) = (pair[0], pair[1]);
        let mut length = libm::hypot(b.0 - a.0, b.1 - a.1);
        while length > left {
            let t = left / length;
            a = (a.0 + t * (b.0 - a.0), a.1 + t * (b.1 - a.1));
            length -= left;
            if index % 2 == 0 {
                piece.push(a);
                pieces.push(std::mem::take(&mut piece));
            } else {
                piece = vec![a];
            }
            index += 1;
            left = pattern[index % pattern.len()].max(0.5);
        }
        left -= length;
        if index % 2 == 0 {
            piece.push(b);
        }
    }
    if index % 2 == 0 && piece.len() > 1 {
        pieces.push(piece);
    }
    pieces
}
