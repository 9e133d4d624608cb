//! How a cell of a table is shown.

/// Letters of a cell that a refusal shows.
const SHOWN: usize = 24;

/// A cell as a refusal shows it: in one line, and not all of a long one.
pub(super) fn shown(text: &str) -> String {
    let mut letters = text.chars();
    let start: String = letters.by_ref().take(SHOWN).collect();
    let rest = if letters.next().is_some() { "…" } else { "" };
    format!("'{}{rest}'", start.escape_debug())
}
