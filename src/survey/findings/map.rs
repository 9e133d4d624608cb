//! Wirings under inits and norms: how many train.

use super::words::{conditions, count, list};
use crate::experiment::arm::{Arm, Ending};
use crate::setting::Setting;

/// The counts, for arms that differ in wiring and in `other` ("init", "norm").
pub(crate) fn title(arms: &[Arm], other: &str) -> String {
    if arms.is_empty() {
        return format!("What trains, by wiring and {other}?");
    }
    let of =
        |ending: Ending| arms.iter().filter(|arm| arm.tally().ending() == Some(ending)).count();
    let runs = arms.iter().flat_map(|arm| arm.runs.iter().copied());
    let mut text = format!(
        "{} of {} pairs of wiring and {other} train ({})",
        of(Ending::Trained),
        arms.len(),
        conditions(runs.collect::<Vec<_>>())
    );
    let rest = [
        (of(Ending::Unfinished), "unfinished"),
        (of(Ending::Plateau), "on a plateau"),
        (of(Ending::Diverged), "diverged"),
        (of(Ending::Mixed), "with seeds that disagree"),
    ];
    let rest: Vec<String> =
        (rest.iter()).filter(|(n, _)| *n > 0).map(|(n, word)| format!("{n} {word}")).collect();
    if !rest.is_empty() {
        text += &format!("; {}", list(&rest));
    }
    text
}

/// Which pairs were not run long enough to say: they count as neither.
pub(crate) fn unfinished(arms: &[Arm]) -> Option<String> {
    let other = |arm: &Arm| match arm.config().norm.show() {
        norm if norm == "layer_norm" => arm.config().init.show(),
        norm => norm,
    };
    let open: Vec<&Arm> = arms.iter().filter(|arm| arm.tally().unfinished > 0).collect();
    if open.is_empty() {
        return None;
    }
    let mut by: Vec<(String, Vec<String>)> = Vec::new();
    for arm in &open {
        let (column, wiring) = (other(arm), arm.config().wiring.show());
        match by.iter_mut().find(|(name, _)| *name == column) {
            Some((_, wirings)) => wirings.push(wiring),
            None => by.push((column, vec![wiring])),
        }
    }
    let parts: Vec<String> =
        by.iter().map(|(column, wirings)| format!("{column} under {}", list(wirings))).collect();
    Some(format!(
        "Unfinished, and so not known to train or not: {} ({}).",
        count(open.len(), "pair"),
        parts.join("; ")
    ))
}
