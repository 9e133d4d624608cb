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
//! lr = { from = 1e-4, to = 1e-1, per-decade = 2 }    # or search = true: only those that tell the largest
//!
//! [[arm.zip]]                        # lists that go together, value by value
//! depth = [4, 16, 64]
//! batch = [32, 16, 8]
//!
//! [[exclude]]                        # combinations that are left out
//! init = "gpt2"
//! lr = 1e-1
//! ```

mod search;

use std::collections::HashSet;
use std::path::Path;

use toml::{Table, Value};

pub use search::bears;

use crate::config::{Invalid, RunConfig};
use crate::record::Outcome;

/// The most runs that one sweep may have.
const MOST_RUNS: usize = 100_000;

/// Named configurations to be run one after the other.
#[derive(Debug, Clone)]
pub struct Sweep {
    /// The group that the runs are filed under.
    pub name: String,
    /// What to run, in order, without repetition.
    pub runs: Vec<RunConfig>,
    /// Whether only those of the rates are run that tell the largest one that is borne.
    pub search: bool,
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
        Sweep::of(name, table(name, text)?, over)
    }

    /// The runs that a table names.
    ///
    /// # Errors
    /// Where a field does not hold.
    pub fn of(name: &str, table: Table, over: &[(String, String)]) -> Result<Sweep, Invalid> {
        let mut shared = table;
        let excluded = tables(&mut shared, "exclude")?.into_iter().map(Excluded::read);
        let excluded: Vec<Excluded> = excluded.collect::<Result<_, _>>()?;
        let together = tables(&mut shared, "zip")?;
        let mut arms = tables(&mut shared, "arm")?;
        if arms.is_empty() {
            arms.push(Table::new());
        }
        let mut runs: Vec<RunConfig> = Vec::new();
        let mut known: HashSet<String> = HashSet::new();
        let mut search = false;
        for mut arm in arms {
            let mut zips = together.clone();
            zips.extend(tables(&mut arm, "zip")?);
            let zipped = |key: &String| zips.iter().any(|zip| zip.contains_key(key));
            // What the arm says goes over what all share.
            let mut factors: Vec<Factor> = Vec::new();
            let sources = shared.iter().filter(|(key, _)| !arm.contains_key(*key));
            for (key, value) in sources.chain(&arm) {
                if zipped(key) {
                    return Err(Invalid::new(key, value, "a field of [[zip]] in that table only"));
                }
                search |= value.as_table().is_some_and(|range| range.contains_key("search"));
                factors.push(
                    values(key, value)?.into_iter().map(|v| vec![(key.clone(), v)]).collect(),
                );
            }
            for zip in &zips {
                factors.push(zip_of(zip)?);
            }
            for factor in &mut factors {
                for settings in factor.iter_mut() {
                    settings.retain(|(key, _)| over.iter().all(|(name, _)| name != key));
                }
            }
            factors.retain(|factor| factor.iter().any(|settings| !settings.is_empty()));
            factors.push(vec![over.to_vec()]);
            for run in product(&factors)? {
                if known.insert(run.id()) {
                    runs.push(run);
                }
            }
        }
        for excluded in &excluded {
            let before = runs.len();
            runs.retain(|run| !excluded.matches(run));
            if runs.len() == before {
                let allowed = "a combination that some run has";
                return Err(Invalid::new("exclude", excluded.show(), allowed));
            }
        }
        if runs.is_empty() {
            return Err(Invalid::new("exclude", "every run", "a combination that some run lacks"));
        }
        Ok(Sweep { name: name.to_string(), runs, search })
    }
}

impl Sweep {
    /// What is to be run next, of what has no outcome yet; nothing where the sweep is done.
    pub fn due(&self, outcome: &dyn Fn(&RunConfig) -> Option<Outcome>) -> Vec<&RunConfig> {
        match self.search {
            true => search::due(&self.runs, outcome),
            false => self.runs.iter().filter(|run| outcome(run).is_none()).collect(),
        }
    }

    /// The largest share of the runs that is done in the end: 1 but for a search.
    pub fn share(&self) -> f64 {
        let mut rates: Vec<f64> = self.runs.iter().map(|run| run.lr).collect();
        rates.sort_by(f64::total_cmp);
        rates.dedup();
        match self.search {
            true => search::most(rates.len()) as f64 / rates.len() as f64,
            false => 1.0,
        }
    }
}

/// The settings of every choice of one factor of a product.
type Factor = Vec<Vec<(String, String)>>;

/// Reads TOML.
///
/// # Errors
/// Where it is none, with the line.
pub(crate) fn table(name: &str, text: &str) -> Result<Table, Invalid> {
    text.parse().map_err(|error: toml::de::Error| {
        let message = error.message().lines().next().unwrap_or_default().to_string();
        let line = error.span().map_or(1, |span| text[..span.start].lines().count().max(1));
        Invalid::new("sweep", name, format!("valid TOML (line {line}: {message})"))
    })
}

/// Takes the tables of a name, written `[[name]]`, out of a table.
///
/// # Errors
/// Where it is something else.
pub(crate) fn tables(from: &mut Table, name: &str) -> Result<Vec<Table>, Invalid> {
    let refused = |value: Value| Invalid::new(name, value, format!("tables, written [[{name}]]"));
    match from.remove(name) {
        None => Ok(Vec::new()),
        Some(Value::Array(tables)) => tables
            .into_iter()
            .map(|table| match table {
                Value::Table(table) => Ok(table),
                other => Err(refused(other)),
            })
            .collect(),
        Some(other) => Err(refused(other)),
    }
}

/// A combination of values that is left out.
struct Excluded(Vec<(String, Vec<String>)>);

impl Excluded {
    fn read(table: Table) -> Result<Self, Invalid> {
        let fields = table.iter().map(|(key, value)| {
            // As a configuration shows them, so that 1e-1 is 0.1.
            let shown = |text: String| {
                let mut config = RunConfig::default();
                config.set(key, &text)?;
                Ok(config.get(key).unwrap_or(text))
            };
            let values = values(key, value)?.into_iter().map(shown);
            Ok((key.clone(), values.collect::<Result<_, Invalid>>()?))
        });
        let fields: Vec<_> = fields.collect::<Result<_, Invalid>>()?;
        match fields.is_empty() {
            true => Err(Invalid::new("exclude", "{}", "some fields with values")),
            false => Ok(Excluded(fields)),
        }
    }
    fn matches(&self, run: &RunConfig) -> bool {
        self.0.iter().all(|(key, values)| run.get(key).is_some_and(|value| values.contains(&value)))
    }
    fn show(&self) -> String {
        let fields = self.0.iter().map(|(key, values)| format!("{key} = {}", values.join(" or ")));
        fields.collect::<Vec<_>>().join(", ")
    }
}

/// The choices of a table whose lists go together.
fn zip_of(zip: &Table) -> Result<Factor, Invalid> {
    let mut choices: Factor = Vec::new();
    let mut first = None;
    for (key, value) in zip {
        if value.as_table().is_some_and(|range| range.contains_key("search")) {
            return Err(Invalid::new(
                key,
                value,
                "a search outside of [[zip]], for every arm of it",
            ));
        }
        let values = values(key, value)?;
        let &mut (ref name, count) = first.get_or_insert((key, values.len()));
        if values.len() != count {
            let allowed =
                format!("as many values as {name}, beside it in [[zip]], which has {count}");
            return Err(Invalid::new(key, value, allowed));
        }
        choices.resize(count, Vec::new());
        for (choice, value) in choices.iter_mut().zip(values) {
            choice.push((key.clone(), value));
        }
    }
    match choices.is_empty() {
        true => Err(Invalid::new("zip", "{}", "some fields with lists of values")),
        false => Ok(choices),
    }
}

/// The numbers of a range: `{ from, to, per-decade }`, `{ from, to, times }`, `{ from, to, step }`, or
/// of learning rates `{ from, to, search = true }`.
fn range(key: &str, range: &Table) -> Result<Vec<String>, Invalid> {
    let refused = || {
        let allowed = "a value, an array of values, or a range such as { from = 1e-4, to = 1e-1, \
                       per-decade = 2 }, { from = 4, to = 64, times = 2 } or { from = 0, to = 1, \
                       step = 0.25 }; of lr also { from = 1e-4, to = 1, search = true }";
        Invalid::new(key, Value::Table(range.clone()), allowed)
    };
    let number = |name: &str| match range.get(name)? {
        Value::Boolean(true) if name == "search" && key == "lr" => Some(search::PER_DECADE),
        Value::Integer(n) => Some(*n as f64),
        Value::Float(x) => Some(*x),
        _ => None,
    };
    let (Some(from), Some(to), 3) = (number("from"), number("to"), range.len()) else {
        return Err(refused());
    };
    let steps = ["per-decade", "times", "step", "search"]
        .into_iter()
        .find_map(|by| Some((by, number(by)?)));
    let grows = |x: f64| from > 0.0 && x > 0.0 && x.is_finite();
    let (count, at): (f64, Box<dyn Fn(f64) -> f64>) = match steps {
        Some(("per-decade" | "search", n)) if grows(n) => {
            ((to / from).log10() * n, Box::new(move |i| from * 10f64.powf(i / n)))
        }
        Some(("times", by)) if grows(by) && by > 1.0 => {
            ((to / from).ln() / by.ln(), Box::new(move |i| from * by.powf(i)))
        }
        Some(("step", by)) if by > 0.0 => ((to - from) / by, Box::new(move |i| from + i * by)),
        _ => return Err(refused()),
    };
    // A last step that rounding alone keeps from its end is one.
    let count = (count + 1e-6).floor();
    if !(0.0..MOST_RUNS as f64).contains(&count) {
        return Err(refused());
    }
    // Two digits of what is not exact, as people write rates.
    let shown = |x: f64| {
        let short: f64 = format!("{x:.1e}").parse().unwrap_or(x);
        if (x - short).abs() < 1e-9 * x.abs()
            || steps.is_some_and(|(by, _)| ["per-decade", "search"].contains(&by))
        {
            short
        } else {
            x
        }
    };
    Ok((0..=count as usize).map(|i| shown(at(i as f64)).to_string()).collect())
}

/// The values of a field: those of an array, or the one.
fn values(key: &str, value: &Value) -> Result<Vec<String>, Invalid> {
    let one = |value: &Value| match value {
        Value::String(text) => Ok(text.clone()),
        Value::Integer(_) | Value::Float(_) | Value::Boolean(_) => Ok(value.to_string()),
        other => Err(Invalid::new(key, other, "a value, an array of values, or a range")),
    };
    match value {
        Value::Table(table) => range(key, table),
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

/// Every combination, the last factor varying fastest.
fn product(factors: &[Factor]) -> Result<Vec<RunConfig>, Invalid> {
    let count = factors.iter().try_fold(1usize, |n, factor| n.checked_mul(factor.len()));
    let count = count
        .filter(|&n| n <= MOST_RUNS)
        .ok_or_else(|| Invalid::new("sweep", "its product", format!("up to {MOST_RUNS} runs")))?;
    (0..count)
        .map(|mut index| {
            let mut chosen: Vec<&[(String, String)]> = Vec::new();
            for factor in factors.iter().rev() {
                chosen.push(&factor[index % factor.len()]);
                index /= factor.len();
            }
            chosen.reverse();
            let settings = chosen.into_iter().flatten();
            let settings: Vec<(&str, &str)> =
                settings.map(|(name, text)| (name.as_str(), text.as_str())).collect();
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

    fn shown(text: &str, fields: &[&str]) -> Vec<String> {
        let runs = Sweep::parse("s", text, &[]).unwrap().runs;
        let one = |run: &RunConfig| fields.iter().map(|f| run.get(f).unwrap()).collect::<Vec<_>>();
        runs.iter().map(|run| one(run).join(" ")).collect()
    }

    #[test]
    fn lists_that_go_together_do_and_combinations_are_left_out() {
        let text = "seed = [1, 2]\n[[zip]]\ndepth = [2, 4]\nlr = [1e-2, 1e-3]\n\
                    [[exclude]]\nseed = 2\nlr = 1e-2";
        assert_eq!(shown(text, &["seed", "depth", "lr"]), ["1 2 0.01", "1 4 0.001", "2 4 0.001"]);
        let text =
            "[[arm]]\nwiring = 'post_ln'\n[[arm]]\n[[arm.zip]]\ndepth = [2, 4]\nheads = [2, 1]";
        assert_eq!(
            shown(text, &["wiring", "depth", "heads"]),
            ["post_ln 16 4", "pre_ln 2 2", "pre_ln 4 1"]
        );
    }

    #[test]
    fn ranges_end_where_they_say() {
        let lr = |range: &str| shown(&format!("lr = {{ {range} }}"), &["lr"]).join(" ");
        assert_eq!(
            lr("from = 1e-4, to = 1e-2, per-decade = 2"),
            "0.0001 0.00032 0.001 0.0032 0.01"
        );
        assert_eq!(lr("from = 1e-3, to = 1e-3, per-decade = 1"), "0.001");
        assert_eq!(lr("from = 1, to = 3, step = 0.5"), "1 1.5 2 2.5 3");
        assert_eq!(
            shown("depth = { from = 3, to = 24, times = 2 }", &["depth"]).join(" "),
            "3 6 12 24"
        );
    }

    #[test]
    fn what_does_not_go_together_is_refused_by_name() {
        for (text, field, allowed) in [
            ("[[zip]]\ndepth = [2, 4]\nlr = [1e-2]", "lr", "as many values as depth"),
            (
                "depth = 3\n[[zip]]\ndepth = [2, 4]\nlr = [1e-2, 1e-3]",
                "depth",
                "in that table only",
            ),
            ("zip = 3", "zip", "[[zip]]"),
            ("[[zip]]", "zip", "lists of values"),
            ("[[exclude]]\nseed = 9", "exclude", "some run has"),
            ("[[exclude]]\nseed = 1", "exclude", "some run lacks"),
            ("[[exclude]]\nseeds = 1", "field", "one of"),
            ("[[exclude]]", "exclude", "some fields"),
            ("lr = { from = 1e-3, to = 1e-4, per-decade = 1 }", "lr", "a range such as"),
            ("lr = { from = 0, to = 1, per-decade = 1 }", "lr", "a range such as"),
            ("lr = { from = 1e-3, to = 1.0, times = 1 }", "lr", "a range such as"),
            ("lr = { from = 1e-3, to = 1.0, times = 2, step = 1 }", "lr", "a range such as"),
            ("lr = { from = 1e-3, to = inf, step = 1 }", "lr", "a range such as"),
            ("lr = { from = 1e-3, to = 1.0, search = false }", "lr", "a range such as"),
            ("beta1 = { from = 1e-3, to = 1.0, search = true }", "beta1", "a range such as"),
        ] {
            let error = Sweep::parse("s", text, &[]).unwrap_err();
            assert!(error.field == field && error.allowed.contains(allowed), "{text}: {error}");
        }
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
