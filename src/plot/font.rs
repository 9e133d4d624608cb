//! The embedded fonts: measuring, outlining and wrapping text.

use std::sync::OnceLock;

use ab_glyph::{Font, FontRef, GlyphId, OutlineCurve};

use super::boxes::Point;
use super::shape::Shape;

/// Height of capitals and digits as a part of the font size.
pub(crate) const CAPITAL: f64 = 0.711;

/// Distance between the baselines of two lines as a part of the font size.
pub(crate) const LEADING: f64 = 1.22;

/// No label is longer than this; more could not be read and would only cost time.
const LONGEST: usize = 1000;

/// Weight of the font.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Weight {
    Regular,
    Medium,
}

fn face(weight: Weight) -> Option<&'static FontRef<'static>> {
    static REGULAR: OnceLock<Option<FontRef<'static>>> = OnceLock::new();
    static MEDIUM: OnceLock<Option<FontRef<'static>>> = OnceLock::new();
    let (cell, bytes): (_, &'static [u8]) = match weight {
        Weight::Regular => (&REGULAR, include_bytes!("../../assets/Roboto-Regular.ttf").as_slice()),
        Weight::Medium => (&MEDIUM, include_bytes!("../../assets/Roboto-Medium.ttf").as_slice()),
    };
    cell.get_or_init(|| FontRef::try_from_slice(bytes).ok()).as_ref()
}

/// The glyphs of a text with the x of each in font units, and the width of the whole.
fn layout(text: &str, face: &FontRef<'_>) -> (Vec<(GlyphId, f64)>, f64) {
    let (mut glyphs, mut x) = (Vec::new(), 0.0);
    let mut last = None;
    for c in text.chars().take(LONGEST) {
        let id = face.glyph_id(if c.is_control() { ' ' } else { c });
        if let Some(last) = last {
            x += f64::from(face.kern_unscaled(last, id));
        }
        glyphs.push((id, x));
        x += f64::from(face.h_advance_unscaled(id));
        last = Some(id);
    }
    (glyphs, x)
}

fn scale(face: &FontRef<'_>, size: f64) -> f64 {
    size / f64::from(face.units_per_em().unwrap_or(2048.0))
}

/// The width of a text in pixels.
pub(crate) fn width(text: &str, size: f64, weight: Weight) -> f64 {
    face(weight).map_or(0.0, |face| layout(text, face).1 * scale(face, size))
}

/// The shapes of the glyphs with the origin at the left end of the baseline.
pub(crate) fn outline(text: &str, size: f64, weight: Weight) -> Vec<Shape> {
    let Some(face) = face(weight) else {
        return Vec::new();
    };
    let scale = scale(face, size);
    layout(text, face)
        .0
        .into_iter()
        .filter_map(|(id, x)| {
            let curves = face.outline(id)?.curves;
            Some(rings(&curves, |p| ((x + f64::from(p.x)) * scale, -f64::from(p.y) * scale)))
        })
        .collect()
}

fn rings(curves: &[OutlineCurve], place: impl Fn(ab_glyph::Point) -> Point) -> Shape {
    let mut shape = Shape::default();
    let mut end = None;
    for curve in curves {
        let (start, stop) = match curve {
            OutlineCurve::Line(a, b)
            | OutlineCurve::Quad(a, _, b)
            | OutlineCurve::Cubic(a, _, _, b) => (*a, *b),
        };
        if end != Some(start) {
            shape.rings.push(vec![place(start)]);
        }
        end = Some(stop);
        let Some(ring) = shape.rings.last_mut() else {
            continue;
        };
        match curve {
            OutlineCurve::Line(..) => {}
            OutlineCurve::Quad(a, b, c) => {
                let (a, b, c) = (place(*a), place(*b), place(*c));
                ring.extend((1..6).map(|i| {
                    let (t, s) = (f64::from(i) / 6.0, 1.0 - f64::from(i) / 6.0);
                    let mix = |a: f64, b: f64, c: f64| s * s * a + 2.0 * s * t * b + t * t * c;
                    (mix(a.0, b.0, c.0), mix(a.1, b.1, c.1))
                }));
            }
            // The embedded fonts have no cubic curves; straight lines through the handles are
            // close enough should another font bring some.
            OutlineCurve::Cubic(_, b, c, _) => ring.extend([place(*b), place(*c)]),
        }
        ring.push(place(stop));
    }
    shape
}

/// Shortens a text with an ellipsis until it fits.
pub(crate) fn fit(text: &str, size: f64, weight: Weight, room: f64) -> String {
    if width(text, size, weight) <= room {
        return text.chars().take(LONGEST).collect();
    }
    let chars: Vec<char> = text.chars().take(LONGEST).collect();
    let with = |n: usize| -> String {
        let kept: String = chars[..n].iter().collect();
        format!("{}…", kept.trim_end())
    };
    // Binary search for the longest beginning that fits.
    let (mut low, mut high) = (0, chars.len());
    while low < high {
        let middle = (low + high).div_ceil(2);
        if width(&with(middle), size, weight) <= room {
            low = middle;
        } else {
            high = middle - 1;
        }
    }
    with(low)
}

/// Breaks a text into at most `most` lines of the given width, the last shortened if needed.
///
/// Lines break at spaces, and inside a long word after `_`, `/` and `-` or, at worst, anywhere.
pub(crate) fn wrap(text: &str, size: f64, weight: Weight, room: f64, most: usize) -> Vec<String> {
    let short: String = text.chars().take(LONGEST).collect();
    let mut lines: Vec<String> = Vec::new();
    let mut line = String::new();
    for word in short.split_whitespace() {
        let mut glue = if line.is_empty() { "" } else { " " };
        for piece in pieces(word, size, weight, room) {
            let longer = format!("{line}{glue}{piece}");
            if line.is_empty() || width(&longer, size, weight) <= room {
                line = longer;
            } else {
                lines.push(std::mem::replace(&mut line, piece));
            }
            glue = "";
        }
    }
    if !line.is_empty() {
        lines.push(line);
    }
    if lines.len() > most.max(1) {
        let rest = lines.split_off(most.max(1) - 1).join(" ");
        lines.push(fit(&rest, size, weight, room));
    }
    lines
}

/// The parts of a word between which a line may break; the whole word if it fits.
fn pieces(word: &str, size: f64, weight: Weight, room: f64) -> Vec<String> {
    if width(word, size, weight) <= room {
        return vec![word.to_owned()];
    }
    let mut pieces = vec![String::new()];
    for c in word.chars() {
        let full = pieces.last().is_some_and(|piece| {
            !piece.is_empty() && width(&format!("{piece}{c}"), size, weight) > room
        });
        if full {
            pieces.push(String::new());
        }
        if let Some(piece) = pieces.last_mut() {
            piece.push(c);
        }
        if matches!(c, '_' | '/' | '-') {
            pieces.push(String::new());
        }
    }
    pieces.retain(|piece| !piece.is_empty());
    pieces
}
