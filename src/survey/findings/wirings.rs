//! Which wirings train: the finding of the first picture.

use super::words::{conditions, distinct, list, names, number, range};
use crate::experiment::arm::{Arm, Ending, best};

/// Tokens this alike carry nothing apart.
const ALIKE: f64 = 0.99;

/// What trains and what does not, every wiring and init at the best of its rates.
pub(crate) fn title(arms: &[Arm]) -> String {
    let best = subjects(arms);
    if best.is_empty() {
        return "Which wirings learn from context?".to_string();
    }
    let runs = || arms.iter().flat_map(|arm| arm.runs.iter().copied());
    let rates = distinct(runs().map(|run| run.config.lr)).len();
    let warm = distinct(runs().map(|run| run.config.warmup as f64)).len();
    let which = if rates > 1 || warm > 1 { "Each at its best of " } else { "At " };
    format!("{which}{}: {}", conditions(runs()), endings(&best))
}

/// Every wiring and init, with the arm that does best.
pub(crate) fn subjects<'a, 'b>(arms: &'b [Arm<'a>]) -> Vec<(String, &'b Arm<'a>)> {
    let all = names(arms).into_iter();
    all.filter_map(|(name, own)| Some((name, best(own)?))).collect()
}

/// "A and B train; C ends on a plateau".
fn endings(arms: &[(String, &Arm)]) -> String {
    let named = |ending: Ending| -> Vec<String> {
        let of = arms.iter().filter(|(_, arm)| arm.tally().ending() == Some(ending));
        of.map(|(name, _)| name.clone()).collect()
    };
    let verbs = [
        (Ending::Trained, "train", "trains"),
        (Ending::Unfinished, "are unfinished", "is unfinished"),
        (Ending::Plateau, "end on a plateau", "ends on a plateau"),
        (Ending::Diverged, "diverge", "diverges"),
    ];
    let mut parts: Vec<String> = Vec::new();
    for (ending, many, one) in verbs {
        let names = named(ending);
        if !names.is_empty() {
            parts.push(format!("{} {}", list(&names), if names.len() > 1 { many } else { one }));
        }
    }
    for (name, arm) in arms.iter().filter(|(_, arm)| arm.tally().ending() == Some(Ending::Mixed)) {
        parts.push(format!("{name}: {}", arm.tally().words()));
    }
    parts.join("; ")
}

/// The same with its numbers.
pub(crate) fn sentence(arms: &[Arm]) -> Option<String> {
    let first = arms.first()?;
    // Where an arm was run at several rates, each is named with its own.
    let named = |arm: &Arm| {
        let others = arms.iter().filter(|other| other.label() == arm.label());
        match others.count() > 1 {
            true => format!("{} at lr {}", arm.label(), arm.config().lr),
            false => arm.label(),
        }
    };
    let losses: Vec<String> =
        arms.iter().map(|arm| format!("{} {}", named(arm), number(arm.held_out(), 2))).collect();
    let mut text = format!("{}. Held-out loss at the end: {}", title(arms), list(&losses));
    let floor = first.runs[0].summary.val_baseline;
    if floor.is_finite() {
        text += &format!("; what needs no context costs {floor:.2} there");
    }
    text += ".";
    let alike = |arm: &&Arm| arm.runs.iter().all(|run| run.summary.token_cosine > ALIKE);
    let alike: Vec<String> = arms.iter().filter(alike).map(named).collect();
    if !alike.is_empty() {
        text += &format!(
            " The tokens of {} are all alike at the end (mean cosine above {ALIKE} on every seed).",
            list(&alike)
        );
    }
    let passes = arms.iter().flat_map(|arm| arm.runs.iter().map(|run| run.summary.passes));
    Some(text + &passes_sentence(passes))
}

/// How often runs saw their text, and what that means for their losses.
pub(crate) fn passes_sentence(passes: impl Iterator<Item = f64>) -> String {
    let tenths = passes.filter(|p| p.is_finite()).map(|p| (p * 10.0).round() / 10.0);
    let tenths: Vec<f64> = tenths.collect();
    if tenths.is_empty() {
        return String::new();
    }
    let again = tenths.iter().any(|&p| p > 1.0);
    format!(
        " The runs went over their text {} times{}.",
        range(tenths.into_iter()),
        if again { ", so that held-out losses are compared" } else { "" }
    )
}
