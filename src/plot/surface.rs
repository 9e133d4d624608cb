//! The drawing surface: anti-aliased filling of shapes and text.
//!
//! The bitmap backend of plotters blends the pixels. Its own wide lines, polygons and text are
//! not used because they are placed on whole pixels and ignore the bearings of glyphs; shapes are
//! rasterized here with exact area coverage instead.

use ab_glyph_rasterizer::{Rasterizer, point};
use plotters::prelude::{BitMapBackend, DrawingBackend};
use plotters::style::{Color, RGBColor};

use super::boxes::{Point, Rect};
use super::font::{self, Weight};
use super::image::Image;
use super::shape::Shape;

/// Horizontal anchor of a text.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Side {
    Left,
    Center,
    Right,
}

/// Vertical anchor of a text line, by the height of its capitals.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Level {
    Top,
    Middle,
    Baseline,
}

/// How a text is drawn.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ink {
    pub size: f64,
    pub weight: Weight,
    pub colour: RGBColor,
    pub side: Side,
    pub level: Level,
    /// Turn in degrees against the clock around the anchor.
    pub turn: f64,
}

impl Ink {
    pub fn new(size: f64, colour: RGBColor) -> Self {
        Self {
            size,
            weight: Weight::Regular,
            colour,
            side: Side::Left,
            level: Level::Top,
            turn: 0.0,
        }
    }

    pub fn medium(self) -> Self {
        Self { weight: Weight::Medium, ..self }
    }

    pub fn at(self, side: Side, level: Level) -> Self {
        Self { side, level, ..self }
    }
}

/// A white picture to draw on.
pub(crate) struct Surface {
    width: u32,
    height: u32,
    rgb: Vec<u8>,
    raster: Rasterizer,
}

impl Surface {
    pub fn new((width, height): (u32, u32)) -> Self {
        // Sizes outside these limits are mistakes: too small to hold a label or too large to open.
        let (width, height) = (width.clamp(320, 8000), height.clamp(240, 8000));
        Self {
            width,
            height,
            rgb: vec![255; 3 * width as usize * height as usize],
            raster: Rasterizer::new(1, 1),
        }
    }

    pub fn bounds(&self) -> Rect {
        Rect::new(0.0, 0.0, f64::from(self.width), f64::from(self.height))
    }

    pub fn finish(self) -> Image {
        Image { width: self.width, height: self.height, rgb: self.rgb }
    }

    pub fn fill(&mut self, shape: &Shape, colour: RGBColor, alpha: f64) {
        self.fill_within(shape, colour, alpha, self.bounds());
    }

    pub fn fill_within(&mut self, shape: &Shape, colour: RGBColor, alpha: f64, clip: Rect) {
        let all = self.bounds();
        let clip = Rect::new(
            clip.left.max(all.left),
            clip.top.max(all.top),
            clip.right.min(all.right),
            clip.bottom.min(all.bottom),
        );
        let rings: Vec<_> = shape
            .rings
            .iter()
            .filter(|ring| ring.iter().all(|p| p.0.is_finite() && p.1.is_finite()))
            .map(|ring| clip_ring(ring, clip))
            .filter(|ring| ring.len() > 2)
            .collect();
        let Some(bounds) = bounds_of(&rings) else {
            return;
        };
        let (x0, y0) = (bounds.left.floor(), bounds.top.floor());
        self.raster.reset(
            (bounds.right.ceil() - x0).max(1.0) as usize,
            (bounds.bottom.ceil() - y0).max(1.0) as usize,
        );
        for ring in &rings {
            for (i, a) in ring.iter().enumerate() {
                let b = ring[(i + 1) % ring.len()];
                self.raster.draw_line(
                    point((a.0 - x0) as f32, (a.1 - y0) as f32),
                    point((b.0 - x0) as f32, (b.1 - y0) as f32),
                );
            }
        }
        let mut pixels = BitMapBackend::with_buffer(&mut self.rgb, (self.width, self.height));
        self.raster.for_each_pixel_2d(|x, y, cover| {
            let alpha = alpha * f64::from(cover.min(1.0));
            if alpha > 0.002 {
                let at = (x as i32 + x0 as i32, y as i32 + y0 as i32);
                // Writing to memory cannot fail.
                let _ = pixels.draw_pixel(at, colour.mix(alpha).to_backend_color());
            }
        });
    }

    /// A line of the given width through the points.
    pub fn line(&mut self, points: &[Point], width: f64, colour: RGBColor) {
        self.fill(&Shape::stroke(points, width), colour, 1.0);
    }

    pub fn text(&mut self, text: &str, at: Point, ink: Ink) {
        let left = match ink.side {
            Side::Left => 0.0,
            Side::Center => -font::width(text, ink.size, ink.weight) / 2.0,
            Side::Right => -font::width(text, ink.size, ink.weight),
        };
        let drop = match ink.level {
            Level::Top => font::CAPITAL * ink.size,
            Level::Middle => font::CAPITAL * ink.size / 2.0,
            Level::Baseline => 0.0,
        };
        let (sin, cos) = {
            let angle = ink.turn.to_radians();
            (libm::sin(angle), libm::cos(angle))
        };
        for mut glyph in font::outline(text, ink.size, ink.weight) {
            for p in glyph.rings.iter_mut().flatten() {
                let (x, y) = (p.0 + left, p.1 + drop);
                *p = (at.0 + x * cos + y * sin, at.1 - x * sin + y * cos);
            }
            self.fill(&glyph, ink.colour, 1.0);
        }
    }
}

fn bounds_of(rings: &[Vec<Point>]) -> Option<Rect> {
    let mut points = rings.iter().flatten();
    let first = points.next()?;
    let start = Rect::new(first.0, first.1, first.0, first.1);
    Some(points.fold(start, |r, p| {
        Rect::new(r.left.min(p.0), r.top.min(p.1), r.right.max(p.0), r.bottom.max(p.1))
    }))
}

/// The ring inside the rectangle (Sutherland and Hodgman), one side after the other.
fn clip_ring(ring: &[Point], clip: Rect) -> Vec<Point> {
    if ring.iter().all(|&p| clip.holds(p)) {
        return ring.to_vec();
    }
    let sides: [&dyn Fn(Point) -> f64; 4] =
        [&|p| p.0 - clip.left, &|p| clip.right - p.0, &|p| p.1 - clip.top, &|p| clip.bottom - p.1];
    let mut ring = ring.to_vec();
    for inside in sides {
        let mut kept = Vec::with_capacity(ring.len() + 4);
        for (i, &b) in ring.iter().enumerate() {
            let a = ring[(i + ring.len() - 1) % ring.len()];
            let (da, db) = (inside(a), inside(b));
            if (da < 0.0) != (db < 0.0) {
                let t = da / (da - db);
                kept.push((a.0 + t * (b.0 - a.0), a.1 + t * (b.1 - a.1)));
            }
            if db >= 0.0 {
                kept.push(b);
            }
        }
        ring = kept;
    }
    // Rounding may leave a corner a hair outside, where the rasterizer would wrap to the next row.
    ring.iter().map(|&p| clip.nearest(p)).collect()
}
