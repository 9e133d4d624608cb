//! The colour scale of maps.

use plotters::style::RGBColor;

/// Viridis at equal steps: perceptually uniform and readable with any colour vision.
const VIRIDIS: [(u8, u8, u8); 17] = [
    (68, 1, 84),
    (72, 24, 106),
    (71, 45, 123),
    (66, 64, 134),
    (59, 82, 139),
    (51, 99, 141),
    (44, 114, 142),
    (38, 130, 142),
    (33, 145, 140),
    (31, 160, 136),
    (40, 174, 128),
    (63, 188, 115),
    (94, 201, 98),
    (132, 212, 75),
    (173, 220, 48),
    (216, 226, 25),
    (253, 231, 37),
];

/// The colour at a place from 0 (dark) to 1 (bright).
pub(crate) fn viridis(at: f64) -> RGBColor {
    let last = VIRIDIS.len() - 1;
    let place = at.clamp(0.0, 1.0) * last as f64;
    let index = (place as usize).min(last - 1);
    let t = place - index as f64;
    let (a, b) = (VIRIDIS[index], VIRIDIS[index + 1]);
    let mix = |a: u8, b: u8| (f64::from(a) + t * (f64::from(b) - f64::from(a))).round() as u8;
    RGBColor(mix(a.0, b.0), mix(a.1, b.1), mix(a.2, b.2))
}
