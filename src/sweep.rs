//! A sweep: the product of the values of its fields, read from a TOML file.
//!
//! ```toml
//! steps = 200                        # a field with one value
//! seed = [1, 2, 3]                   # a field with several: every combination is run
//!
//! [[arm]]                            # arms share the fields above and add their own
//! wiring = "post_ln"
//! init = ["xavier_normal", "normal_02"]
//!
//! [[arm]]
//! wiring = "deepnorm"
//! init = "*"                         # every value that the field has
//! ```

use std::collections::HashSet;
use std::path::Path;

use toml::{Table, Value};

use crate::config::{Invalid, RunConfig};

/// The most runs that one sweep may have.
const MOST_RUNS: usize = 100_000;

/// Named configurations to be run one after the other.
#[derive(Debug, Clone)]
pub struct Sweep {
    /// The group that the runs are filed under.
    pub name: String,
    /// What to run, in order, without repetition.
    pub runs: Vec<RunConfig>,
}

impl Sweep {
    /// Reads a file; settings from outside (the command line) go over those of the file.
    ///
    /// # Errors
    /// Where the file cannot be read, is no TOML, or a field does not hold.
    pub fn load(path: &Path, over: &[(String, String)]) -> Result<Sweep, Invalid> {
        let shown = path.display().to_string();
        let text = std::fs::read_to_string(path).map_err(|error| {
            Invalid::new("sweep", &shown, format!("a readable TOML file ({error})"))
        })?;
        let name = path.file_stem().map_or(shown.clone(), |s| s.to_string_lossy().into_owned());
        Sweep::parse(&name, &text, over).map_err(|error| match error.field.as_str() {
            "sweep" => Invalid { value: shown, ..error },
            _ => error,
        })
    }

    /// Reads the text of a sweep file.
    ///
    /// # Errors
    /// Where it is no TOML, or a field does not hold.
    pub fn parse(name: &str, text: &str, over: &[(String, String)]) -> Result<Sweep, Invalid> {
        let table: Table = text.parse().map_err(|error: toml::de::Error| {
            let message = error.message().lines().next().unwrap_or_default().to_string();
            let line = error.span().map_or(1, |span| text[..span.start].lines().count().max(1));
            Invalid::new("sweep", name, format!("valid TOML (line {line}: {message})"))
        })?;
        let mut shared = table;
        let arms = match shared.remove("arm") {
            None => vec![Table::new()],
            Some(Value::Array(arms)) => arms
                .into_iter()
                .map(|arm| match arm {
                    Value::Table(arm) => Ok(arm),
                    other => Err(Invalid::new("arm", other, "tables, written [[arm]]")),
                })
                .collect::<Result<_, _>>()?,
            Some(other) => return Err(Invalid::new("arm", other, "tables, written [[arm]]")),
        };
        let mut runs: Vec<RunConfig> = Vec::new();
        let mut known: HashSet<String> = HashSet::new();
        for arm in arms {
            // What the arm says goes over what all share.
            let mut fields: Vec<(String, Vec<String>)> = Vec::new();
            let sources = shared.iter().filter(|(key, _)| !arm.contains_key(*key));
            for (key, value) in sources.chain(&arm) {
                fields.push((key.clone(), values(key, value)?));
            }
            fields.retain(|(key, _)| over.iter().all(|(name, _)| name != key));
            fields.extend(over.iter().map(|(name, text)| (name.clone(), vec![text.clone()])));
            for run in product(&fields)? {
                if known.insert(run.id()) {
                    runs.push(run);
                }
            }
        }
        Ok(Sweep { name: name.to_string(), runs })
    }
}

/// The values of a field: those of an array, or the one.
fn values(key: &str, value: &Value) -> Result<Vec<String>, Invalid> {
    let one = |value: &Value| match value {
        Value::String(text) => Ok(text.clone()),
        Value::Integer(_) | Value::Float(_) | Value::Boolean(_) => Ok(value.to_string()),
        other => Err(Invalid::new(key, other, "a value, or an array of values")),
    };
    match value {
        Value::String(all) if all == "*" => {
            let field = RunConfig::fields().into_iter().find(|field| field.name == key);
            let choices = field.map_or(Vec::new(), |field| field.choices);
            if choices.is_empty() {
                let allowed = "a value; only fields with listed values take them all";
                return Err(Invalid::new(key, "*", allowed));
            }
            Ok(choices.into_iter().map(str::to_string).collect())
        }
        Value::Array(values) if values.is_empty() => {
            Err(Invalid::new(key, "[]", "at least one value"))
        }
        Value::Array(values) => values.iter().map(one).collect(),
        value => Ok(vec![one(value)?]),
    }
}

/// Every combination, the last field varying fastest.
fn product(fields: &[(String, Vec<String>)]) -> Result<Vec<RunConfig>, Invalid> {
    let count = fields.iter().try_fold(1usize, |n, (_, values)| n.checked_mul(values.len()));
    let count = count
        .filter(|&n| n <= MOST_RUNS)
        .ok_or_else(|| Invalid::new("sweep", "its product", format!("up to {MOST_RUNS} runs")))?;
    (0..count)
        .map(|mut index| {
            let mut settings: Vec<(&str, &str)> = Vec::new();
            for (name, values) in fields.iter().rev() {
                settings.push((name, &values[index % values.len()]));
                index /= values.len();
            }
            settings.reverse();
            RunConfig::from_settings(settings)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "
        steps = 10
        seed = [1, 2]
        [[arm]]
        wiring = 'post_ln'
        init = ['xavier_normal', 'normal_02']
        [[arm]]
        preset = 'deepnet'
        seed = 3
    ";

    #[test]
    fn arms_multiply_and_share() {
        let sweep = Sweep::parse("s", TEXT, &[]).unwrap();
        let labels: Vec<String> =
            sweep.runs.iter().map(|run| format!("{} {}", run.label(), run.seed)).collect();
        assert_eq!(
            labels,
            [
                "post_ln-xavier_normal 1",
                "post_ln-normal_02 1",
                "post_ln-xavier_normal 2",
                "post_ln-normal_02 2",
                "deepnorm-deepnorm 3",
            ]
        );
        assert!(sweep.runs.iter().all(|run| run.steps == 10));
    }

    #[test]
    fn a_star_is_every_value_of_the_field() {
        let sweep = Sweep::parse("s", "norm = '*'", &[]).unwrap();
        assert_eq!(sweep.runs.len(), crate::op::norm::ALL.len());
        let error = Sweep::parse("s", "depth = '*'", &[]).unwrap_err();
        assert_eq!((error.field.as_str(), error.value.as_str()), ("depth", "*"));
    }

    #[test]
    fn the_command_line_goes_over_the_file() {
        let over = [("seed".to_string(), "9".to_string())];
        let sweep = Sweep::parse("s", TEXT, &over).unwrap();
        assert_eq!(sweep.runs.len(), 3);
        assert!(sweep.runs.iter().all(|run| run.seed == 9));
    }

    #[test]
    fn errors_name_the_field() {
        let error = Sweep::parse("s", "wiring = ['pre_ln', 'mid_ln']", &[]).unwrap_err();
        assert_eq!((error.field.as_str(), error.value.as_str()), ("wiring", "mid_ln"));
        let error = Sweep::parse("s", "wiring =", &[]).unwrap_err();
        assert!(error.to_string().contains("valid TOML (line 1"), "{error}");
        let error = Sweep::parse("s", "wirings = 'pre_ln'", &[]).unwrap_err();
        assert!(error.to_string().starts_with("field = wirings: allowed is one of"));
    }
}
