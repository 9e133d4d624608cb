//! Pictures: line charts and outcome maps as PNG files.
//!
//! This layer sees plain data only. It knows nothing of training or storage and touches no file
//! but the PNG it writes. Shapes and text are drawn anti-aliased with exact area coverage, axes
//! and labels are laid out from measured text, and the same input always gives the same bytes.
//!
//! - [`Lines`] is one chart with lines, bands and reference lines.
//! - [`Panels`] puts several charts side by side under one title and one legend.
//! - [`Bars`] shows tables of bars that are split into parts.
//! - [`Maps`] shows coloured tables of outcomes with one shared colour bar.
//!
//! Odd data never fails: values that are not finite break a line, values beyond a fixed range are
//! clipped with a small arrow, and a picture without data says so.

mod axis;
mod bars;
mod boxes;
mod cell;
mod colormap;
mod describe;
mod error;
mod font;
mod image;
mod key;
mod lines;
mod map;
mod map_cells;
mod map_draw;
mod mark;
mod occupancy;
mod page;
mod panel;
mod panel_axes;
mod panel_labels;
mod panels;
mod series;
mod shape;
mod span;
mod spread;
mod surface;
pub mod theme;
pub mod ticks;
mod trace;

pub use axis::{Axis, Scale};
pub use bars::{Bar, BarTable, Bars};
pub use cell::{Cell, Ground, Map};
pub use describe::thinned;
pub use error::Error;
pub use image::Image;
pub use map::Maps;
pub use mark::Mark;
pub use panels::Panels;
pub use series::{Lines, Reference, Series, Stroke};

/// Width and height of a picture in pixels unless it asks for another size.
pub const DEFAULT_SIZE: (u32, u32) = (1600, 1000);
