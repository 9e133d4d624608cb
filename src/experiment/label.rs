//! What runs differ in, and their names made of that alone.

use crate::config::RunConfig;
use crate::setting::Setting;

/// Fields that are no choice between arms: what repeats a run, and where it is kept.
const ASIDE: [&str; 6] = ["seed", "threads", "store", "memory", "snapshot-seconds", "name"];

/// Fields whose values speak for themselves.
const PLAIN: [&str; 6] = ["preset", "wiring", "norm", "init", "task", "weights"];

/// The value of a field as it is shown.
pub(crate) fn value(config: &RunConfig, field: &str) -> String {
    config.get(field).unwrap_or_default()
}

/// The value of a field as a number; none where it is a word.
pub(crate) fn number(config: &RunConfig, field: &str) -> Option<f64> {
    value(config, field).parse().ok().filter(|number: &f64| number.is_finite())
}

/// The fields that some runs differ in, most telling first.
pub(crate) fn varying<'a>(
    configs: impl Iterator<Item = &'a RunConfig> + Clone,
) -> Vec<&'static str> {
    let mut configs = configs;
    let Some(first) = configs.next() else { return Vec::new() };
    let differs = |field: &str| {
        let own = value(first, field);
        configs.clone().any(|config| value(config, field) != own)
    };
    let names = RunConfig::fields().into_iter().map(|field| field.name);
    let names = names.filter(|name| !ASIDE.contains(name));
    let mut fields: Vec<&str> = names.filter(|name| differs(name)).collect();
    // A name in front of a number, and what every field of a preset follows from in front of those.
    let rank = |field: &&str| PLAIN.iter().position(|p| p == field).unwrap_or(PLAIN.len());
    fields.sort_by_key(rank);
    fields
}

/// The fewest of those fields that tell all runs apart that any of them tells apart.
pub(crate) fn telling<'a>(
    configs: impl Iterator<Item = &'a RunConfig> + Clone,
) -> Vec<&'static str> {
    let all: Vec<&RunConfig> = configs.clone().collect();
    let mut kept: Vec<&str> = Vec::new();
    let classes = |fields: &[&str]| {
        let mut keys: Vec<Vec<String>> = all
            .iter()
            .map(|config| fields.iter().map(|field| value(config, field)).collect())
            .collect();
        keys.sort();
        keys.dedup();
        keys.len()
    };
    for field in varying(configs) {
        let more: Vec<&str> = kept.iter().copied().chain([field]).collect();
        if classes(&more) > classes(&kept).max(1) {
            kept = more;
        }
    }
    kept
}

/// The name of a run by its values of some fields: `post_ln, lr 0.001`.
pub(crate) fn of(config: &RunConfig, fields: &[&str]) -> String {
    if let Some(name) = &config.name {
        return name.clone();
    }
    let words = fields.iter().map(|field| match PLAIN.contains(field) {
        true => value(config, field),
        false => format!("{} {}", field.replace('-', " "), value(config, field)),
    });
    let label = words.collect::<Vec<_>>().join(", ");
    if label.is_empty() { config.wiring.show() } else { label }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sweep::Sweep;

    fn fields(text: &str) -> (Vec<&'static str>, Vec<&'static str>, Vec<String>) {
        let runs = Sweep::parse("s", text, &[]).unwrap().runs;
        let telling = telling(runs.iter());
        let labels = runs.iter().map(|run| of(run, &telling)).collect();
        (varying(runs.iter()), telling, labels)
    }

    #[test]
    fn labels_are_made_of_what_varies_alone() {
        let (varying, telling, labels) =
            fields("seed = [1, 2]\nlr = [1e-3, 1e-2]\nnorm = 'rms_norm'");
        assert_eq!((varying, telling), (vec!["lr"], vec!["lr"]));
        assert_eq!(labels, ["lr 0.001", "lr 0.01", "lr 0.001", "lr 0.01"]);
        assert_eq!(fields("seed = [1, 2]").2, ["pre_ln", "pre_ln"]);
        assert_eq!(fields("name = 'mine'\nlr = [1e-3, 1e-2]").2, ["mine", "mine"]);
    }

    #[test]
    fn what_follows_from_another_field_is_not_said_again() {
        let zip = "[[zip]]\ndepth = [2, 4]\nlr = [1e-3, 1e-2]";
        let (varying, telling, _) = fields(zip);
        assert_eq!((varying, telling), (vec!["depth", "lr"], vec!["depth"]));
        let (_, telling, labels) = fields("[[arm]]\npreset = 'gpt2'\n[[arm]]\npreset = 'llama'");
        assert_eq!((telling, labels), (vec!["preset"], vec!["gpt2".into(), "llama".to_string()]));
    }
}
