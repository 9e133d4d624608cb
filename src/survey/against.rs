//! Short runs against longer ones: which findings outlast them.

use super::arm::{Arm, Ending, arms, best};
use super::data::Data;
use super::findings::largest::Shift;
use super::findings::words::{list, names};
use super::findings::{rates, warmups};

/// A finding of the short form, and what the longer runs make of it.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Checked {
    pub finding: String,
    pub longer: String,
    pub verdict: Verdict,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    /// The longer runs show the same.
    Confirmed,
    /// The same at this rate, but another rate trains.
    AtThatRate,
    /// The longer runs show something else.
    Overturned,
    /// The short runs did not say; the longer ones do.
    Decided,
    /// The longer runs do not say either, or are missing.
    Open,
}

impl Verdict {
    pub fn show(self) -> &'static str {
        match self {
            Verdict::Confirmed => "confirmed",
            Verdict::AtThatRate => "holds at that rate only",
            Verdict::Overturned => "**overturned**",
            Verdict::Decided => "was open, now known",
            Verdict::Open => "still open",
        }
    }

    /// Of an ending, from what the same arm and the best arm of the wiring do in longer runs.
    fn of(short: Option<Ending>, same: Option<Ending>, best: Option<Ending>) -> Verdict {
        let open = |ending: Option<Ending>| matches!(ending, None | Some(Ending::Unfinished));
        match (short, same) {
            (_, same) if open(same) && same.is_none() => Verdict::Open,
            (short, same) if open(short) && open(same) => Verdict::Open,
            (short, _) if open(short) => Verdict::Decided,
            // A run that was called done and is still moving was called done too early.
            (short, same) if short != same => Verdict::Overturned,
            (Some(Ending::Trained), _) => Verdict::Confirmed,
            _ if best == Some(Ending::Trained) => Verdict::AtThatRate,
            _ => Verdict::Confirmed,
        }
    }

    fn of_shift(short: Shift, long: Shift) -> Verdict {
        match (short, long) {
            (_, Shift::Unknown) => Verdict::Open,
            (Shift::Unknown, _) => Verdict::Decided,
            (short, long) if short == long => Verdict::Confirmed,
            _ => Verdict::Overturned,
        }
    }
}

/// Every finding of the four parts that train.
pub(super) fn check(short: &Data, long: &Data) -> Vec<Checked> {
    let mut found = of_wirings(&arms(&short.wirings), &arms(&long.wirings));
    found.extend(of_warmups(&arms(&short.warmups), &arms(&long.warmups)));
    found.extend(of_cells("wiring × init and norm", &arms(&short.map), &arms(&long.map)));
    found.extend(of_rates(&arms(&short.rates), &arms(&long.rates)));
    found
}

/// One finding for every wiring and init: how it ends at its rate.
fn of_wirings(short: &[Arm], long: &[Arm]) -> Vec<Checked> {
    let groups = names(short).into_iter();
    let rows = groups.flat_map(|(name, own)| own.into_iter().map(move |arm| (name.clone(), arm)));
    rows.map(|(name, arm)| {
        let same = long.iter().find(|other| alike(arm, other));
        let of = |arm: &Arm| {
            let c = arm.config();
            format!("lr {}, {} steps: {}", c.lr, c.steps, arm.tally().words())
        };
        let others = long.iter().filter(|other| kin(arm, other));
        let best = best(others);
        let mut longer = same.map_or("not run".to_string(), of);
        if let Some(best) = best.filter(|best| same.is_none_or(|s| s.config() != best.config())) {
            longer += &format!("; at its best, {}", of(best));
        }
        Checked {
            finding: format!("{name} at {}", of(arm)),
            longer,
            verdict: Verdict::of(
                arm.tally().ending(),
                same.and_then(|arm| arm.tally().ending()),
                best.and_then(|arm| arm.tally().ending()),
            ),
        }
    })
    .collect()
}

/// The same stack, of another length and other seeds, rates and warm-ups.
fn kin(a: &Arm, b: &Arm) -> bool {
    let (a, b) = (a.config(), b.config());
    let stack = (a.wiring, a.init, a.depth, a.width) == (b.wiring, b.init, b.depth, b.width);
    stack && a.norm == b.norm && a.steps < b.steps
}

/// The same stack at the same rate and share of warm-up.
fn alike(a: &Arm, b: &Arm) -> bool {
    let share = |arm: &Arm| 1000 * arm.config().warmup / arm.config().steps.max(1);
    kin(a, b) && a.config().lr == b.config().lr && share(a) == share(b)
}

/// What warm-up does to each wiring, and how many cells end the same way.
fn of_warmups(short: &[Arm], long: &[Arm]) -> Vec<Checked> {
    let longer = warmups::rows(long);
    let mut found: Vec<Checked> = Vec::new();
    for row in warmups::rows(short) {
        let other = longer.iter().find(|other| other.name == row.name);
        let shift = other.map_or(Shift::Unknown, warmups::Row::shift);
        found.push(Checked {
            finding: format!(
                "{}: with warm-up, the largest rate that trains: {}",
                row.name,
                row.shift().show()
            ),
            longer: shift.show().to_string(),
            verdict: Verdict::of_shift(row.shift(), shift),
        });
    }
    found.extend(of_cells("rate × warm-up", short, long));
    found
}

/// How depth changes the largest stable rate of each wiring.
fn of_rates(short: &[Arm], long: &[Arm]) -> Vec<Checked> {
    let longer = rates::rows(long);
    rates::rows(short)
        .iter()
        .map(|row| {
            let other = longer.iter().find(|other| other.wiring == row.wiring);
            let shift = other.map_or(Shift::Unknown, rates::Row::shift);
            Checked {
                finding: format!(
                    "{}: with depth, the largest stable rate: {}",
                    row.wiring.id(),
                    row.shift().show()
                ),
                longer: shift.show().to_string(),
                verdict: Verdict::of_shift(row.shift(), shift),
            }
        })
        .collect()
}

/// Cells of a table: one line for those that stay, one for every kind of change.
fn of_cells(table: &str, short: &[Arm], long: &[Arm]) -> Vec<Checked> {
    let word = |ending: Ending| match ending {
        Ending::Trained => "trained",
        Ending::Unfinished => "unfinished",
        Ending::Plateau => "on a plateau",
        Ending::Diverged => "diverged",
        Ending::Mixed => "seeds disagree",
    };
    let mut changes: Vec<((Ending, Ending), Vec<String>)> = Vec::new();
    for arm in short {
        let ending = |arm: &Arm| arm.tally().ending();
        let same = long.iter().find(|other| alike(arm, other)).and_then(ending);
        if let (Some(before), Some(after)) = (ending(arm), same) {
            let c = arm.config();
            let mut name = format!("{}-{}", arm.label(), c.norm.0.id);
            name += &format!(" at {}", c.lr);
            match changes.iter_mut().find(|(change, _)| *change == (before, after)) {
                Some((_, names)) => names.push(name),
                None => changes.push(((before, after), vec![name])),
            }
        }
    }
    changes.sort_by_key(|(change, _)| *change);
    (changes.into_iter())
        .map(|((before, after), names)| Checked {
            finding: format!("{table}, {} cells: {}", names.len(), word(before)),
            longer: match before == after {
                true => word(after).to_string(),
                false => format!("{}: {}", word(after), few(&names)),
            },
            verdict: match (before, after) {
                (a, b) if a == b && a == Ending::Unfinished => Verdict::Open,
                (a, b) if a == b => Verdict::Confirmed,
                (Ending::Unfinished, _) => Verdict::Decided,
                _ => Verdict::Overturned,
            },
        })
        .collect()
}

/// The first of many names.
fn few(names: &[String]) -> String {
    const SHOWN: usize = 6;
    match names.len() {
        n if n > SHOWN => format!("{} and {} more", names[..SHOWN].join(", "), n - SHOWN),
        _ => list(names),
    }
}
