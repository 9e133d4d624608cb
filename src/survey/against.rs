//! Short runs against longer ones: which findings outlast them.

use super::data::Data;
use super::findings::largest::Shift;
use super::findings::words::{count, names};
use super::findings::{rates, warmups};
use crate::config::RunConfig;
use crate::experiment::arm::{Arm, Ending, arms, best};
use crate::setting::Setting;

/// A finding of the short form, and what the longer runs make of it.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Checked {
    pub finding: String,
    pub longer: String,
    pub verdict: Verdict,
    /// A longer run that it is checked by: the best of its arm or of its wiring, or the first of its cells.
    pub run: Option<RunConfig>,
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
            (_, None) => Verdict::Open,
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
            run: best.or(same).map(|arm| arm.config().clone()),
        }
    })
    .collect()
}

/// The same stack in longer runs, whatever their seeds, rates and warm-ups.
fn kin(a: &Arm, b: &Arm) -> bool {
    longer(a.config(), b.config())
}

/// The same stack in longer runs at the same rate and share of warm-up.
fn alike(a: &Arm, b: &Arm) -> bool {
    same_cell(a.config(), b.config())
}

fn longer(a: &RunConfig, b: &RunConfig) -> bool {
    let stack =
        |c: &RunConfig| (c.wiring.clone(), c.init.clone(), c.norm.clone(), c.depth, c.width);
    stack(a) == stack(b) && a.steps < b.steps
}

fn same_cell(a: &RunConfig, b: &RunConfig) -> bool {
    let share = |c: &RunConfig| 1000 * c.warmup / c.steps.max(1);
    longer(a, b) && a.lr == b.lr && share(a) == share(b)
}

/// What warm-up does to each wiring, and how many cells end the same way.
fn of_warmups(short: &[Arm], long: &[Arm]) -> Vec<Checked> {
    let longer = warmups::rows(long);
    let named = names(long);
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
            run: named
                .iter()
                .find(|(name, _)| *name == row.name)
                .and_then(|(_, own)| best(own.iter().copied()).map(|arm| arm.config().clone())),
        });
    }
    found.extend(of_cells("rate × warm-up", short, long));
    found
}

/// How depth changes the largest rate that each wiring learns at.
fn of_rates(short: &[Arm], long: &[Arm]) -> Vec<Checked> {
    let longer = rates::rows(long);
    rates::rows(short)
        .iter()
        .map(|row| {
            let other = longer.iter().find(|other| other.wiring == row.wiring);
            let shift = other.map_or(Shift::Unknown, rates::Row::shift);
            Checked {
                finding: format!(
                    "{}: with depth, the largest rate that learns stably: {}",
                    row.wiring.id(),
                    row.shift().show()
                ),
                longer: shift.show().to_string(),
                verdict: Verdict::of_shift(row.shift(), shift),
                run: best(long.iter().filter(|arm| arm.config().wiring == row.wiring))
                    .map(|arm| arm.config().clone()),
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
    let mut changes: Vec<((Ending, Ending), Vec<String>, &RunConfig)> = Vec::new();
    for arm in short {
        let ending = |arm: &Arm| arm.tally().ending();
        let Some(same) = long.iter().find(|other| alike(arm, other)) else { continue };
        if let (Some(before), Some(after)) = (ending(arm), ending(same)) {
            let c = arm.config();
            let norm = match &*c.norm.show() {
                "layer_norm" => String::new(),
                norm => format!(", {norm}"),
            };
            let name = format!("{}{norm}, lr {}", arm.label(), c.lr);
            match changes.iter_mut().find(|(change, ..)| *change == (before, after)) {
                Some((_, names, _)) => names.push(name),
                None => changes.push(((before, after), vec![name], same.config())),
            }
        }
    }
    changes.sort_by_key(|(change, ..)| *change);
    (changes.into_iter())
        .map(|((before, after), names, run)| Checked {
            run: Some(run.clone()),
            finding: format!("{table}, {}: {}", count(names.len(), "cell"), word(before)),
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
        n if n > SHOWN => format!("{}; and {} more", names[..SHOWN].join("; "), n - SHOWN),
        _ => names.join("; "),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::survey::Survey;
    use crate::sweep::Sweep;

    #[test]
    fn every_cell_of_the_short_form_is_run_at_twice_the_length_on_three_seeds() {
        let (short, long) = (Survey::new(&[]).unwrap(), Survey::thorough(&[]).unwrap());
        let parts: [(&Sweep, &Sweep); 4] = [
            (&short.wirings, &long.wirings),
            (&short.warmups, &long.warmups),
            (&short.map, &long.map),
            (&short.rates, &long.rates),
        ];
        for (short, long) in parts {
            for run in &short.runs {
                let again = long.runs.iter().filter(|other| same_cell(run, other));
                let again = again.filter(|other| other.steps >= 2 * run.steps);
                assert!(again.count() >= 3, "{} of {} at lr {}", run.id(), short.name, run.lr);
            }
        }
    }

    #[test]
    fn a_finding_is_confirmed_only_by_the_same_ending() {
        use Ending::{Diverged, Mixed, Plateau, Trained, Unfinished};
        let of = |short, same, best| Verdict::of(Some(short), same, best);
        assert_eq!(of(Trained, Some(Trained), Some(Trained)), Verdict::Confirmed);
        assert_eq!(of(Plateau, Some(Plateau), Some(Plateau)), Verdict::Confirmed);
        assert_eq!(of(Plateau, Some(Plateau), Some(Trained)), Verdict::AtThatRate);
        assert_eq!(of(Diverged, Some(Diverged), Some(Trained)), Verdict::AtThatRate);
        for other in [Trained, Unfinished, Diverged, Mixed] {
            assert_eq!(of(Plateau, Some(other), Some(Trained)), Verdict::Overturned);
        }
        assert_eq!(of(Unfinished, Some(Trained), Some(Trained)), Verdict::Decided);
        assert_eq!(of(Unfinished, Some(Unfinished), None), Verdict::Open);
        assert_eq!(of(Trained, None, None), Verdict::Open);
    }
}
