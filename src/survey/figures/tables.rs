//! Arms as a table of outcomes: two of their properties make rows and columns.

use crate::experiment::arm::Arm;
use crate::experiment::arm::worst;
use crate::plot::{Cell, Ground, Map};

/// What a table shows of its arms.
pub(super) struct Table<'a> {
    pub title: String,
    /// The label of the rows, and the row of an arm.
    pub rows: (&'a str, &'a dyn Fn(&Arm) -> String),
    /// The label of the columns, and the column of an arm.
    pub columns: (&'a str, &'a dyn Fn(&Arm) -> String),
    /// How an arm is drawn where its outcome alone does not say.
    pub ground: &'a dyn Fn(&Arm) -> Option<Ground>,
}

impl Table<'_> {
    /// A cell for every arm: its mean held-out loss, and on how many seeds it trained. Rows are
    /// those of all arms of the picture, so that its tables stand in line.
    pub fn map(&self, arms: &[&Arm], all: &[Arm]) -> Map {
        let rows = different(&all.iter().collect::<Vec<_>>(), self.rows.1);
        let columns = different(arms, self.columns.1);
        let place = |names: &[String], name: String| {
            names.iter().position(|known| *known == name).unwrap_or(usize::MAX)
        };
        let cells = arms.iter().map(|arm| {
            let tally = arm.tally();
            Cell {
                row: place(&rows, (self.rows.1)(arm)),
                column: place(&columns, (self.columns.1)(arm)),
                value: Some(arm.held_out()),
                mark: Some(worst(arm)),
                ground: (self.ground)(arm),
                count: (tally.runs() > 1).then_some((tally.trained, tally.runs())),
            }
        });
        Map {
            title: self.title.clone(),
            row_label: self.rows.0.to_string(),
            column_label: self.columns.0.to_string(),
            cells: cells.collect(),
            rows,
            columns,
        }
    }
}

/// The different names, in the order of their first arms.
fn different(arms: &[&Arm], name: &dyn Fn(&Arm) -> String) -> Vec<String> {
    let mut names: Vec<String> = Vec::new();
    for arm in arms {
        let name = name(arm);
        if !names.contains(&name) {
            names.push(name);
        }
    }
    names
}

/// An arm of which some seeds trained and others did not is coloured: its count says the rest.
pub(super) fn by_count(arm: &Arm) -> Option<Ground> {
    let tally = arm.tally();
    if tally.trained > 0 {
        Some(Ground::Coloured)
    } else if tally.unfinished > 0 {
        Some(Ground::Pale)
    } else {
        None
    }
}
