//! Learning rate against warm-up: which of them decides what trains.

use super::largest::{Ladder, Shift, shifts};
use super::words::{count, distinct, names, number, range};
use crate::experiment::arm::{Arm, Ending, Tally, best, share, wiring_and_init};

/// What warm-up does to the largest rate that trains on every seed.
pub(crate) fn title(arms: &[Arm]) -> String {
    let warm = shares_tried(arms);
    let (Some(none), Some(long)) = (warm.first(), warm.last()) else {
        return "What trains, by learning rate and warm-up?".to_string();
    };
    let steps = range(arms.iter().map(|arm| arm.config().steps as f64));
    if none == long {
        return format!(
            "What trains in {steps} steps, by learning rate? (one warm-up: {})",
            none.1
        );
    }
    let found: Vec<(String, Shift)> =
        rows(arms).iter().map(|row| (row.name.clone(), row.shift())).collect();
    format!(
        "In {steps} steps, from {} to {} of warm-up, {}",
        none.1,
        long.1,
        shifts(&found, "trains on every seed")
    )
}

/// What the cells of one wiring say.
#[derive(Debug, Clone)]
pub(crate) struct Row {
    pub name: String,
    /// Cells in which every seed trained, and all cells.
    pub trained: (usize, usize),
    /// The shares of warm-up, and which rates train on every seed with each.
    pub ladders: Vec<(String, Ladder)>,
    /// The best cell: rate, warm-up, held-out loss, how its seeds ended.
    pub best: String,
    /// All runs together.
    pub tally: Tally,
}

impl Row {
    /// From the shortest to the longest warm-up.
    pub fn shift(&self) -> Shift {
        match (self.ladders.first(), self.ladders.last()) {
            (Some(first), Some(last)) => Shift::between(&first.1, &last.1),
            _ => Shift::Unknown,
        }
    }
}

/// One row for every wiring and init.
pub(crate) fn rows(arms: &[Arm]) -> Vec<Row> {
    let warm = shares_tried(arms);
    (names(arms).into_iter())
        .map(|(name, own)| {
            let full = own.iter().filter(|arm| arm.tally().ending() == Some(Ending::Trained));
            let ladder = |wanted: &(usize, String)| {
                let with = own.iter().filter(|arm| permille(arm) == wanted.0);
                let ladder = with.map(|arm| (arm.config().lr, trains(&arm.tally()))).collect();
                (wanted.1.clone(), ladder)
            };
            let best = best(own.iter().copied()).map_or_else(String::new, |arm| {
                format!(
                    "{} at lr {}, {} of warm-up ({})",
                    number(arm.held_out(), 2),
                    arm.config().lr,
                    share(arm.config()),
                    arm.tally().words()
                )
            });
            let outcomes = own.iter().flat_map(|arm| &arm.runs).map(|run| &run.summary.outcome);
            Row {
                trained: (full.count(), own.len()),
                ladders: warm.iter().map(ladder).collect(),
                best,
                tally: Tally::of(outcomes),
                name,
            }
        })
        .collect()
}

/// Whether every seed trains; none where one that might ended too early.
fn trains(tally: &Tally) -> Option<bool> {
    match tally.ending()? {
        Ending::Trained => Some(true),
        _ if tally.plateau + tally.diverged > 0 => Some(false),
        _ => None,
    }
}

fn permille(arm: &Arm) -> usize {
    1000 * arm.config().warmup / arm.config().steps.max(1)
}

fn shares_tried(arms: &[Arm]) -> Vec<(usize, String)> {
    let mut all: Vec<(usize, String)> =
        arms.iter().map(|arm| (permille(arm), share(arm.config()))).collect();
    all.sort();
    all.dedup();
    all
}

/// Does the rate or the warm-up change what trains? Neighbouring cells compared, in counts.
pub(crate) fn sentence(arms: &[Arm]) -> Option<String> {
    if arms.is_empty() {
        return None;
    }
    let (rate, warm) = (changes(arms, Axis::Rate), changes(arms, Axis::Warmup));
    let say = |found: Changes| match found.compared {
        0 => "in none that could be compared".to_string(),
        all => format!("in {} of {all}", found.changed),
    };
    let left = rate.left_out + warm.left_out;
    let mut text = format!(
        "Between neighbouring cells, the number of seeds that train changes with the rate {} and with the warm-up {}",
        say(rate),
        say(warm)
    );
    if left > 0 {
        text += &format!(" ({} with unfinished runs left out)", count(left, "pair"));
    }
    Some(text + ".")
}

/// Pairs of neighbouring cells.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Changes {
    /// The number of seeds that train differs.
    pub changed: usize,
    /// All of which can be said.
    pub compared: usize,
    /// One of the two has unfinished runs.
    pub left_out: usize,
}

#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Axis {
    Rate,
    Warmup,
}

pub(crate) fn changes(arms: &[Arm], axis: Axis) -> Changes {
    let place = |arm: &Arm| match axis {
        Axis::Rate => (arm.config().lr, permille(arm) as f64),
        Axis::Warmup => (permille(arm) as f64, arm.config().lr),
    };
    let values = distinct(arms.iter().map(|arm| place(arm).0));
    let mut found = Changes::default();
    for arm in arms {
        let (here, other) = place(arm);
        let Some(&next) = values.iter().find(|&&value| value > here) else { continue };
        let same = |arm: &&Arm, than: &Arm| {
            wiring_and_init(arm.config()) == wiring_and_init(than.config())
                && place(arm) == (next, other)
        };
        let Some(neighbour) = arms.iter().find(|candidate| same(candidate, arm)) else { continue };
        let (a, b) = (arm.tally(), neighbour.tally());
        if a.unfinished + b.unfinished > 0 {
            found.left_out += 1;
        } else {
            found.compared += 1;
            found.changed += usize::from(a.trained * b.runs() != b.trained * a.runs());
        }
    }
    found
}
