//! Words that findings share: lists, counts, and the conditions that a finding holds under.

use crate::config::RunConfig;
use crate::experiment::Run;
use crate::experiment::arm::{Arm, share, wiring_and_init};

/// "a", "a and b", "a, b and c".
pub(crate) fn list(names: &[String]) -> String {
    match names {
        [] => String::new(),
        [one] => one.clone(),
        [first @ .., last] => format!("{} and {last}", first.join(", ")),
    }
}

/// "1 seed", "3 seeds".
pub(crate) fn count(n: usize, one: &str) -> String {
    if n == 1 { format!("1 {one}") } else { format!("{n} {one}s") }
}

/// What was tried: "lr 0.001, 200 steps, 3 seeds", with ranges where there are several.
pub(crate) fn conditions<'a>(runs: impl IntoIterator<Item = &'a Run> + Clone) -> String {
    let configs = || runs.clone().into_iter().map(|run| &run.config);
    let mut words = vec![
        format!("lr {}", range(configs().map(|c| c.lr))),
        format!("{} steps", range(configs().map(|c| c.steps as f64))),
        count(distinct(configs().map(|c| c.seed as f64)).len(), "seed"),
    ];
    if configs().any(|c| c.warmup > 0) {
        words.insert(1, format!("warm-up {}", shares(configs())));
    }
    words.join(", ")
}

/// The shares of warm-up that were tried, from the smallest.
fn shares<'a>(configs: impl Iterator<Item = &'a RunConfig>) -> String {
    let mut all: Vec<(usize, String)> =
        configs.map(|c| (1000 * c.warmup / c.steps.max(1), share(c))).collect();
    all.sort();
    all.dedup();
    match all.as_slice() {
        [] => String::new(),
        [one] => one.1.clone(),
        [first, .., last] => format!("{} to {}", first.1, last.1),
    }
}

/// The number, or the smallest and the largest of several.
pub(crate) fn range(values: impl Iterator<Item = f64>) -> String {
    match distinct(values).as_slice() {
        [] => "–".to_string(),
        [one] => one.to_string(),
        [first, .., last] => format!("{first} to {last}"),
    }
}

/// The different numbers, from the smallest.
pub(crate) fn distinct(values: impl Iterator<Item = f64>) -> Vec<f64> {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    values.dedup();
    values
}

/// A number with this many decimals, and a dash where it is none.
pub(crate) fn number(value: f64, decimals: usize) -> String {
    if value.is_finite() { format!("{value:.decimals$}") } else { "–".to_string() }
}

/// The arms by wiring and init, in order; a wiring that has one init is named by itself.
pub(crate) fn names<'a, 'b>(arms: &'b [Arm<'a>]) -> Vec<(String, Vec<&'b Arm<'a>>)> {
    let mut groups: Vec<(String, Vec<&Arm>)> = Vec::new();
    for arm in arms {
        let name = wiring_and_init(arm.config());
        match groups.iter_mut().find(|(known, _)| *known == name) {
            Some((_, own)) => own.push(arm),
            None => groups.push((name, vec![arm])),
        }
    }
    let wiring = |group: &(String, Vec<&Arm>)| group.1[0].config().wiring.clone();
    let wirings: Vec<_> = groups.iter().map(wiring).collect();
    for group in &mut groups {
        let own = wiring(group);
        if wirings.iter().filter(|wiring| **wiring == own).count() == 1 {
            group.0 = own.id().to_string();
        }
    }
    groups
}
