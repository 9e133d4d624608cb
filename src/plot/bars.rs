//! Tables of horizontal bars, each split into parts.

use std::path::Path;

use super::boxes::Rect;
use super::font::{self, Weight};
use super::key::{Item, Key};
use super::page::Page;
use super::shape::Shape;
use super::surface::{Ink, Level, Side, Surface};
use super::theme::{self, Looks};
use super::{DEFAULT_SIZE, Error, Image};

/// One bar: its name, the lengths of its parts, and what is written behind it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Bar {
    /// The name on its left.
    pub label: String,
    /// Lengths of the parts from the left; what is not finite or not positive is left out.
    pub parts: Vec<f64>,
    /// What is written on its right.
    pub note: String,
}

/// A table of bars on one scale from 0.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct BarTable {
    /// The title above.
    pub title: String,
    /// The names of the parts, the same in all tables of a picture where they mean the same.
    pub parts: Vec<String>,
    /// The bars from top to bottom.
    pub bars: Vec<Bar>,
    /// A vertical line at a known value, with its label.
    pub reference: Option<(f64, String)>,
    /// Draws the parts beside each other as thin bars from 0, instead of one behind the other.
    pub beside: bool,
}

/// Tables of bars side by side under one title, each above its legend.
#[derive(Clone, Debug, PartialEq)]
pub struct Bars {
    /// A question or a finding.
    pub title: String,
    /// A summary of what was measured.
    pub subtitle: String,
    /// The tables from left to right.
    pub tables: Vec<BarTable>,
    /// Sentences below.
    pub notes: Vec<String>,
    /// Width and height in pixels.
    pub size: (u32, u32),
}

impl Default for Bars {
    fn default() -> Self {
        Self {
            title: String::new(),
            subtitle: String::new(),
            tables: Vec::new(),
            notes: Vec::new(),
            size: DEFAULT_SIZE,
        }
    }
}

impl Bars {
    /// Draws the tables.
    #[must_use]
    pub fn render(&self) -> Image {
        let names = self.tables.iter().flat_map(|table| &table.parts).map(String::as_str);
        let looks = Looks::new(names);
        let page = Page {
            size: self.size,
            title: &self.title,
            subtitle: &self.subtitle,
            legend: Vec::new(),
            marks: Vec::new(),
            notes: &self.notes,
        };
        let (mut surface, body) = page.open();
        let gutter = 56.0;
        let count = self.tables.len().max(1) as f64;
        let width = (body.width() - gutter * (count - 1.0)) / count;
        for (i, table) in self.tables.iter().enumerate() {
            let left = body.left + (width + gutter) * i as f64;
            table.draw(&mut surface, Rect::new(left, body.top, left + width, body.bottom), &looks);
        }
        surface.finish()
    }

    /// Draws the tables and writes them as a PNG.
    ///
    /// # Errors
    ///
    /// If the file cannot be written; the error names the path.
    pub fn save(&self, path: impl AsRef<Path>) -> Result<(), Error> {
        self.render().save(path)
    }
}

impl BarTable {
    fn length(&self, bar: &Bar) -> f64 {
        let parts = bar.parts.iter().copied().filter(|part| part.is_finite() && *part > 0.0);
        if self.beside { parts.fold(0.0, f64::max) } else { parts.sum() }
    }

    fn legend(&self, looks: &Looks, room: f64) -> Key {
        let parts = self.parts.iter();
        let item =
            |name: &String| Item::Box { label: name.clone(), colour: looks.get(name).colour };
        Key::new(parts.map(item).collect(), room, 3)
    }

    fn draw(&self, surface: &mut Surface, area: Rect, looks: &Looks) {
        let ink = Ink::new(theme::PANEL_TITLE, theme::INK).medium();
        let title = font::fit(&self.title, ink.size, ink.weight, area.width());
        surface.text(&title, (area.left, area.top), ink);
        let key = self.legend(looks, area.width());
        key.draw(surface, (area.left, area.bottom - key.height()));
        let text = theme::NOTE;
        let widest = |texts: &mut dyn Iterator<Item = &String>| {
            texts.map(|t| font::width(t, text, Weight::Regular)).fold(0.0, f64::max)
        };
        let left = area.left + widest(&mut self.bars.iter().map(|bar| &bar.label)) + 14.0;
        let right = area.right - widest(&mut self.bars.iter().map(|bar| &bar.note)) - 14.0;
        let top = area.top + theme::PANEL_TITLE * 1.5 + text * 1.5;
        let longest = self.bars.iter().map(|bar| self.length(bar)).fold(0.0, f64::max);
        let longest = self.reference.iter().map(|r| r.0).fold(longest, f64::max);
        if longest <= 0.0 || right <= left {
            super::panel::no_data(surface, area);
            return;
        }
        let scale = (right - left) / longest;
        let room = area.bottom - key.height() - 14.0 - top;
        let step = (room / self.bars.len().max(1) as f64).min(140.0);
        let bottom = top + step * self.bars.len() as f64;
        for (i, bar) in self.bars.iter().enumerate() {
            let middle = top + step * (i as f64 + 0.5);
            let half = step * 0.36;
            let ink = Ink::new(text, theme::SOFT_INK).at(Side::Right, Level::Middle);
            surface.text(&bar.label, (left - 14.0, middle), ink);
            let mut at = left;
            let thin = 2.0 * half / bar.parts.len().max(1) as f64;
            for (k, (&part, name)) in bar.parts.iter().zip(&self.parts).enumerate() {
                if !(part.is_finite() && part > 0.0) {
                    continue;
                }
                let rect = if self.beside {
                    let upper = middle - half + thin * k as f64;
                    Rect::new(left, upper, left + part * scale, upper + thin)
                } else {
                    Rect::new(at, middle - half, at + part * scale, middle + half)
                };
                at += part * scale;
                surface.fill(&Shape::rect(rect), looks.get(name).colour, 1.0);
            }
            let mut end = left + self.length(bar) * scale;
            // The note stands behind the line that it would be struck through by.
            let note = end + 12.0 + font::width(&bar.note, text, Weight::Regular);
            if let Some((value, _)) = &self.reference {
                let x = left + value * scale;
                end = if end < x + 6.0 && note > x { x } else { end };
            }
            let ink = Ink::new(text, theme::INK).at(Side::Left, Level::Middle);
            surface.text(&bar.note, (end + 12.0, middle), ink);
        }
        surface.line(&[(left, top), (left, bottom)], 2.0, theme::AXIS);
        if let Some((value, label)) = &self.reference {
            let x = left + value * scale;
            surface.line(&[(x, top - 6.0), (x, bottom)], 2.5, theme::INK);
            let half = font::width(label, text, Weight::Regular) / 2.0;
            let x = x.max(area.left + half).min(area.right - half);
            let ink = Ink::new(text, theme::INK).at(Side::Center, Level::Baseline);
            surface.text(label, (x, top - 14.0), ink);
        }
    }
}
