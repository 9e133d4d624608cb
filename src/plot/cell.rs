//! What a table of coloured cells shows.

use super::Mark;

/// One cell of a map.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Cell {
    /// Index into the rows; a cell outside the table is not drawn.
    pub row: usize,
    /// Index into the columns.
    pub column: usize,
    /// The value that gives the colour and the number.
    pub value: Option<f64>,
    /// How the run ended.
    pub mark: Option<Mark>,
    /// How the cell is drawn, where value and mark do not say it.
    pub ground: Option<Ground>,
    /// How many of how many runs trained, where the cell stands for several.
    pub count: Option<(usize, usize)>,
}

/// What a cell is drawn on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ground {
    /// Coloured by its value: it trained.
    Coloured,
    /// Pale: it shows neither that it trains nor that it does not.
    Pale,
    /// Hatched: it did not train.
    Hatched,
}

impl Cell {
    /// What the cell is drawn on. A value without a place on the scale is never coloured.
    pub(crate) fn on(&self) -> Ground {
        let of_mark = |mark: Mark| match mark {
            mark if mark.fails() => Ground::Hatched,
            Mark::Unfinished => Ground::Pale,
            _ => Ground::Coloured,
        };
        let ground = self.ground.or(self.mark.map(of_mark)).unwrap_or(Ground::Coloured);
        let off = self.value.is_some_and(|value| !value.is_finite());
        if off && ground == Ground::Coloured { Ground::Hatched } else { ground }
    }
}

/// A table of two choices, such as wiring and init.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Map {
    /// The title of this table.
    pub title: String,
    /// What the rows are.
    pub row_label: String,
    /// What the columns are.
    pub column_label: String,
    /// The names of the rows, from the top.
    pub rows: Vec<String>,
    /// The names of the columns, from the left.
    pub columns: Vec<String>,
    /// The cells in any order; of two cells at one place the later one counts.
    pub cells: Vec<Cell>,
}
