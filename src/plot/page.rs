//! The page around the charts: title and subtitle above, legend, key and notes below.

use super::boxes::Rect;
use super::font::{self, LEADING, Weight};
use super::key::{Item, Key};
use super::surface::{Ink, Surface};
use super::theme;

/// The words of a page.
pub(crate) struct Page<'a> {
    pub size: (u32, u32),
    pub title: &'a str,
    pub subtitle: &'a str,
    pub legend: Vec<Item>,
    pub marks: Vec<Item>,
    pub notes: &'a [String],
}

impl Page<'_> {
    /// Draws the words and gives the free rectangle between them.
    pub fn open(self) -> (Surface, Rect) {
        let mut surface = Surface::new(self.size);
        let all = surface.bounds().grow(-theme::MARGIN);
        let mut top = all.top;
        let title = Ink::new(theme::TITLE, theme::INK).medium();
        top = paragraph(&mut surface, self.title, title, all, top, 2);
        if !self.subtitle.trim().is_empty() {
            let subtitle = Ink::new(theme::SUBTITLE, theme::GREY);
            top = paragraph(&mut surface, self.subtitle, subtitle, all, top + 6.0, 2);
        }

        let notes: Vec<String> = self
            .notes
            .iter()
            .take(4)
            .flat_map(|note| font::wrap(note, theme::NOTE, Weight::Regular, all.width(), 2))
            .collect();
        let legend = Key::new(self.legend, all.width(), 5);
        let marks = Key::new(self.marks, all.width(), 2);
        let line = theme::NOTE * LEADING;
        let mut bottom = all.bottom - line * notes.len() as f64;
        for (i, note) in notes.iter().enumerate() {
            let at = (all.left, bottom + line * i as f64 + line - theme::NOTE);
            surface.text(note, at, Ink::new(theme::NOTE, theme::GREY));
        }
        bottom -= marks.height();
        marks.draw(&mut surface, (all.left, bottom));
        bottom -= legend.height();
        legend.draw(&mut surface, (all.left, bottom));
        if bottom < all.bottom {
            bottom -= 14.0;
        }
        let top = (top + 22.0).min(bottom - 40.0);
        (surface, Rect::new(all.left, top, all.right, bottom))
    }
}

/// Draws a wrapped text and gives the y below it.
pub(crate) fn paragraph(
    surface: &mut Surface,
    text: &str,
    ink: Ink,
    room: Rect,
    top: f64,
    most: usize,
) -> f64 {
    let lines = font::wrap(text, ink.size, ink.weight, room.width(), most);
    for (i, line) in lines.iter().enumerate() {
        let y = top + ink.size * LEADING * i as f64;
        surface.text(line, (room.left, y), ink);
    }
    top + ink.size * LEADING * lines.len() as f64
}
