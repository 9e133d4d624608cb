//! Several charts side by side.

use std::path::Path;

use super::boxes::Rect;
use super::key::{self, Item, Key};
use super::page::Page;
use super::panel::{Panel, head_height};
use super::series::{Lines, Series};
use super::span::Span;
use super::theme::Looks;
use super::{DEFAULT_SIZE, Error, Image};

/// Space between two panels.
const GUTTER: f64 = 44.0;

/// Several charts side by side under one title, with one legend.
///
/// The subtitles, notes and sizes of the single charts are not used; their titles stand above
/// them.
#[derive(Clone, Debug, PartialEq)]
pub struct Panels {
    /// A question or a finding.
    pub title: String,
    /// A summary of the configuration.
    pub subtitle: String,
    /// The charts, from left to right and then down.
    pub panels: Vec<Lines>,
    /// One legend below for all charts; without it, each chart has its own legend below it.
    pub shared_legend: bool,
    /// Gives all charts the same range on the y axis.
    pub same_y: bool,
    /// Sentences below the charts.
    pub notes: Vec<String>,
    /// Width and height in pixels.
    pub size: (u32, u32),
}

impl Default for Panels {
    fn default() -> Self {
        Self {
            title: String::new(),
            subtitle: String::new(),
            panels: Vec::new(),
            shared_legend: true,
            same_y: false,
            notes: Vec::new(),
            size: DEFAULT_SIZE,
        }
    }
}

impl Panels {
    /// Draws the charts.
    #[must_use]
    pub fn render(&self) -> Image {
        let all = || self.panels.iter().flat_map(|panel| &panel.series);
        let looks = Looks::new(all().map(Series::key));
        let page = Page {
            size: self.size,
            title: &self.title,
            subtitle: &self.subtitle,
            legend: if self.shared_legend { legend(all(), &looks) } else { Vec::new() },
            marks: key::ends(all()),
            notes: &self.notes,
        };
        let (mut surface, body) = page.open();
        let nothing = [Lines::default()];
        let charts = if self.panels.is_empty() { &nothing[..] } else { &self.panels[..] };
        let columns = columns(charts.len());
        let width = (body.width() - GUTTER * (columns - 1) as f64) / columns as f64;
        let shared = self.shared_span(charts);
        // A chart with a legend of its own has looks of its own: it need not avoid its neighbours'.
        let own = |lines: &Lines| Looks::new(lines.series.iter().map(Series::key));
        let looks: Vec<Looks> = (charts.iter())
            .map(|lines| if self.shared_legend { looks.clone() } else { own(lines) })
            .collect();
        let panels: Vec<Panel<'_>> = (charts.iter().zip(&looks))
            .map(|(lines, looks)| Panel {
                lines,
                looks,
                x: lines.x_span(),
                y: lines.y_span().map(|own| shared.unwrap_or(own)),
                legend: Some(if self.shared_legend {
                    Key::new(Vec::new(), width, 0)
                } else {
                    Key::new(legend(lines.series.iter(), looks), width, 9)
                }),
            })
            .collect();
        let rows = panels.len().div_ceil(columns);
        let height = (body.height() - GUTTER * (rows - 1) as f64) / rows as f64;
        for (row, line) in panels.chunks(columns).enumerate() {
            // Panels of one row share the height above the frame, so that the frames line up.
            let head = line.iter().map(|panel| head_height(panel, width)).fold(0.0, f64::max);
            let legend = line.iter().map(Panel::legend_height).fold(0.0, f64::max);
            for (column, panel) in line.iter().enumerate() {
                let left = body.left + (width + GUTTER) * column as f64;
                let top = body.top + (height + GUTTER) * row as f64;
                let area = Rect::new(left, top, left + width, top + height);
                panel.draw(&mut surface, area, head, legend);
            }
        }
        surface.finish()
    }

    /// The common range of the y axes, if wanted and if their scales are alike.
    fn shared_span(&self, charts: &[Lines]) -> Option<Span> {
        let spans: Vec<Span> = charts.iter().filter_map(Lines::y_span).collect();
        let alike = spans.windows(2).all(|pair| pair[0].scale == pair[1].scale);
        if !self.same_y || !alike {
            return None;
        }
        spans.into_iter().reduce(Span::union)
    }

    /// Draws the charts and writes them as a PNG.
    ///
    /// # Errors
    ///
    /// If the file cannot be written; the error names the path.
    pub fn save(&self, path: impl AsRef<Path>) -> Result<(), Error> {
        self.render().save(path)
    }
}

/// Up to three panels stand in one row; more are spread over rows of about equal length.
fn columns(count: usize) -> usize {
    match count {
        0 | 1 => 1,
        2 | 4 => 2,
        3 | 5..=9 => 3,
        _ => 4,
    }
}

/// One entry for each look and label, in order of appearance.
fn legend<'a>(series: impl Iterator<Item = &'a Series>, looks: &Looks) -> Vec<Item> {
    let mut items: Vec<Item> = Vec::new();
    for series in series {
        let item = Item::Line {
            label: series.label.clone(),
            style: looks.get(series.key()),
            stroke: series.stroke,
        };
        if !items.contains(&item) {
            items.push(item);
        }
    }
    items
}
