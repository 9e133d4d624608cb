//! What a chart with lines shows.

use super::{Axis, DEFAULT_SIZE, Mark};

/// How the points of a series are connected.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Stroke {
    /// A line in the dash pattern of its look.
    #[default]
    Styled,
    /// A thinner line in even dashes, for fits and other derived lines.
    Dashed,
    /// No line, for measurements beside a fit; the points are drawn as markers.
    None,
}

/// A line with its label, seed spread and outcome.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Series {
    /// The label at the right end of the line or in the legend.
    pub label: String,
    /// The name that decides the look: a wiring keeps its look in all pictures, lines with the
    /// same key look the same, and an empty key stands for the label.
    pub style_key: String,
    /// The points in drawing order. A value that is not finite breaks the line.
    pub points: Vec<(f64, f64)>,
    /// The spread around the line: x, low, high.
    pub band: Vec<(f64, f64, f64)>,
    /// How the points are connected.
    pub stroke: Stroke,
    /// Draws the points as markers, thinned out when there are many.
    pub markers: bool,
    /// How the run ended, drawn at the last point.
    pub end: Option<Mark>,
}

impl Series {
    /// A plain line that takes its look from its label.
    #[must_use]
    pub fn new(label: impl Into<String>, points: Vec<(f64, f64)>) -> Self {
        Self { label: label.into(), points, ..Self::default() }
    }

    /// The name that decides the look.
    pub(crate) fn key(&self) -> &str {
        if self.style_key.is_empty() { &self.label } else { &self.style_key }
    }
}

/// A thin labelled line at a fixed y.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Reference {
    /// The y of the line.
    pub value: f64,
    /// Its label, written on the line.
    pub label: String,
}

/// A chart with lines, which are labelled at their right ends.
#[derive(Clone, Debug, PartialEq)]
pub struct Lines {
    /// A question or a finding.
    pub title: String,
    /// A summary of the configuration.
    pub subtitle: String,
    /// The horizontal axis.
    pub x: Axis,
    /// The vertical axis.
    pub y: Axis,
    /// The lines; later ones are drawn on top.
    pub series: Vec<Series>,
    /// Thin horizontal lines at known values.
    pub references: Vec<Reference>,
    /// Sentences below the chart.
    pub notes: Vec<String>,
    /// Width and height in pixels.
    pub size: (u32, u32),
}

impl Default for Lines {
    fn default() -> Self {
        Self {
            title: String::new(),
            subtitle: String::new(),
            x: Axis::default(),
            y: Axis::default(),
            series: Vec::new(),
            references: Vec::new(),
            notes: Vec::new(),
            size: DEFAULT_SIZE,
        }
    }
}
