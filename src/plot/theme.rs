//! Colours, line looks and sizes shared by all pictures.
//!
//! Every wiring has one colour, one marker and one dash pattern in all pictures, so that a reader
//! who knows a line from one picture finds it in the next, with or without colour vision.

use plotters::style::RGBColor;

/// Size of the title in pixels.
pub const TITLE: f64 = 42.0;
/// Size of the subtitle.
pub const SUBTITLE: f64 = 26.0;
/// Size of the title of one panel among several.
pub const PANEL_TITLE: f64 = 30.0;
/// Size of axis, tick and line labels.
pub const LABEL: f64 = 26.0;
/// Size of notes and of labels on reference lines.
pub const NOTE: f64 = 24.0;
/// Free space around a picture.
pub const MARGIN: f64 = 36.0;
/// Width of a line that shows data.
pub const LINE: f64 = 3.6;

/// Colour of titles.
pub const INK: RGBColor = RGBColor(26, 26, 26);
/// Colour of axis labels and ticks.
pub const SOFT_INK: RGBColor = RGBColor(70, 70, 70);
/// Colour of subtitles and notes.
pub const GREY: RGBColor = RGBColor(102, 102, 102);
/// Colour of axis lines.
pub const AXIS: RGBColor = RGBColor(120, 120, 120);
/// Colour of the grid.
pub const GRID: RGBColor = RGBColor(235, 235, 235);
/// Colour of reference lines.
pub const REFERENCE: RGBColor = RGBColor(130, 130, 130);

/// Shape of the points of a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Marker {
    /// A disc.
    Circle,
    /// A square.
    Square,
    /// A square on its corner.
    Diamond,
    /// A triangle that points up.
    Up,
    /// A regular pentagon.
    Pentagon,
    /// A star with five tips.
    Star,
    /// An upright cross.
    Plus,
    /// A triangle that points left.
    Left,
    /// A narrow upright bar.
    Bar,
    /// Two triangles that meet at the tips.
    Bow,
}

/// How a line is drawn.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Style {
    /// Colour of the line and its marks.
    pub colour: RGBColor,
    /// Shape of its points.
    pub marker: Marker,
    /// On and off lengths in pixels; empty for a solid line.
    pub dash: &'static [f64],
}

impl Style {
    /// The colour, darkened if needed, for text on white (contrast of at least 4.5 to 1).
    #[must_use]
    pub fn text_colour(&self) -> RGBColor {
        let mut colour = self.colour;
        while 1.05 / (luminance(colour) + 0.05) < 4.5 {
            let darker = |part: u8| (f64::from(part) * 0.95) as u8;
            colour = RGBColor(darker(colour.0), darker(colour.1), darker(colour.2));
        }
        colour
    }
}

/// Relative luminance from 0 (black) to 1 (white), as used for contrast.
pub(crate) fn luminance(colour: RGBColor) -> f64 {
    let linear = |part: u8| {
        let part = f64::from(part) / 255.0;
        if part <= 0.04045 { part / 12.92 } else { libm::pow((part + 0.055) / 1.055, 2.4) }
    };
    0.2126 * linear(colour.0) + 0.7152 * linear(colour.1) + 0.0722 * linear(colour.2)
}

/// The wirings in the order of the palette.
pub const WIRINGS: [&str; 10] = [
    "pre_ln",
    "post_ln",
    "peri_ln",
    "deepnorm",
    "rezero",
    "sandwich_ln",
    "layer_scale",
    "no_residual",
    "ln_scaling",
    "no_norm",
];

/// Okabe and Ito's colours without yellow, which is too pale on white, and with wine, indigo and
/// grey from Tol's colour-blind-safe sets to make ten.
const PALETTE: [Style; 10] = [
    look(RGBColor(0, 114, 178), Marker::Circle, &[]),
    look(RGBColor(213, 94, 0), Marker::Square, &[16.0, 6.0]),
    look(RGBColor(0, 158, 115), Marker::Up, &[30.0, 6.0]),
    look(RGBColor(230, 159, 0), Marker::Diamond, &[9.0, 5.0]),
    look(RGBColor(204, 121, 167), Marker::Star, &[16.0, 5.0, 4.0, 5.0, 4.0, 5.0]),
    look(RGBColor(86, 180, 233), Marker::Pentagon, &[16.0, 5.0, 4.0, 5.0]),
    look(RGBColor(136, 34, 85), Marker::Plus, &[4.0, 4.0]),
    look(RGBColor(0, 0, 0), Marker::Bow, &[4.0, 8.0]),
    look(RGBColor(60, 48, 150), Marker::Left, &[24.0, 5.0, 10.0, 5.0]),
    look(RGBColor(112, 112, 112), Marker::Bar, &[10.0, 9.0]),
];

const fn look(colour: RGBColor, marker: Marker, dash: &'static [f64]) -> Style {
    Style { colour, marker, dash }
}

/// The look of a wiring, the same in all pictures.
#[must_use]
pub fn wiring(name: &str) -> Option<Style> {
    let place = WIRINGS.iter().position(|known| *known == name)?;
    PALETTE.get(place).copied()
}

/// The look number `index`; after ten looks the colours repeat with other markers and dashes.
#[must_use]
pub fn nth(index: usize) -> Style {
    let (place, round) = (index % PALETTE.len(), index / PALETTE.len());
    Style {
        colour: PALETTE[place].colour,
        marker: PALETTE[(place + round) % PALETTE.len()].marker,
        dash: PALETTE[(place + 3 * round) % PALETTE.len()].dash,
    }
}

/// The looks of all lines of one picture.
///
/// Wirings keep their own; other names take, in order of appearance, the looks that no wiring of
/// this picture uses.
#[derive(Clone, Debug, Default)]
pub struct Looks {
    others: Vec<String>,
    free: Vec<usize>,
}

impl Looks {
    /// Collects the names of a picture.
    pub fn new<'a>(names: impl Iterator<Item = &'a str> + Clone) -> Self {
        let free =
            (0..PALETTE.len()).filter(|&i| !names.clone().any(|name| name == WIRINGS[i])).collect();
        let mut others: Vec<String> = Vec::new();
        for name in names.filter(|name| wiring(name).is_none()) {
            if !others.iter().any(|known| known == name) {
                others.push(name.to_owned());
            }
        }
        Self { others, free }
    }

    /// The look of a name.
    #[must_use]
    pub fn get(&self, name: &str) -> Style {
        wiring(name).unwrap_or_else(|| {
            let place = self.others.iter().position(|known| known == name);
            let place = place.unwrap_or(self.others.len());
            match self.free.get(place) {
                Some(&free) => nth(free),
                None => nth(place + PALETTE.len()),
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wirings_differ_in_colour_marker_and_dash() {
        for (i, a) in WIRINGS.iter().enumerate() {
            for b in &WIRINGS[..i] {
                let (a, b) = (wiring(a).unwrap(), wiring(b).unwrap());
                assert!(a.colour != b.colour && a.marker != b.marker && a.dash != b.dash);
            }
        }
    }

    #[test]
    fn other_names_avoid_the_wirings_of_the_picture() {
        let looks = Looks::new(["alpha", "pre_ln", "beta"].into_iter());
        let all = ["alpha", "pre_ln", "beta"].map(|name| looks.get(name).colour);
        assert_eq!(all[1], PALETTE[0].colour);
        assert!(all[0] != all[1] && all[1] != all[2] && all[0] != all[2]);
    }

    #[test]
    fn text_is_readable_on_white() {
        for name in WIRINGS {
            let colour = wiring(name).unwrap().text_colour();
            assert!(1.05 / (luminance(colour) + 0.05) >= 4.5, "{name}");
        }
    }
}
