//! One chart with lines.

use std::path::Path;

use super::key;
use super::page::Page;
use super::panel::{Panel, head_height};
use super::series::{Lines, Series};
use super::theme::Looks;
use super::{Error, Image};

impl Lines {
    /// Draws the chart.
    #[must_use]
    pub fn render(&self) -> Image {
        let looks = Looks::new(self.series.iter().map(Series::key));
        let page = Page {
            size: self.size,
            title: &self.title,
            subtitle: &self.subtitle,
            legend: Vec::new(),
            marks: key::ends(self.series.iter()),
            notes: &self.notes,
        };
        let (mut surface, body) = page.open();
        let panel =
            Panel { lines: self, looks: &looks, x: self.x_span(), y: self.y_span(), legend: None };
        panel.draw(&mut surface, body, head_height(&panel, body.width()), 0.0);
        surface.finish()
    }

    /// Draws the chart and writes it as a PNG.
    ///
    /// # Errors
    ///
    /// If the file cannot be written; the error names the path.
    pub fn save(&self, path: impl AsRef<Path>) -> Result<(), Error> {
        self.render().save(path)
    }
}
