//! A claim about some runs: what is said, and the rule that decides it.

use toml::{Table, Value};

use super::label;
use super::quantity::Quantity;
use crate::config::RunConfig;
use crate::setting::Invalid;
use crate::statistics::rule::{
    Bound, Equivalence, Existence, Exponent, Linearity, Rate, Superiority, Trend,
};

/// What is said, by whom, and how it is decided.
#[derive(Debug, Clone, PartialEq)]
pub struct Claim {
    /// The statement.
    pub statement: String,
    /// Where it is made.
    pub source: String,
    /// What is measured.
    pub quantity: Quantity,
    /// The number field that a line is laid over, or whose places are paired.
    pub over: Option<String>,
    /// How it is decided.
    pub rule: Rule,
    /// The runs of a rule about one arm, or the first of two.
    pub first: Select,
    /// The second of two.
    pub second: Select,
    /// Whether what the rule shows is the contrary of the statement.
    pub denies: bool,
}

/// A rule with its constants.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Rule {
    /// The quantity grows as a power.
    Exponent(Exponent),
    /// It grows in a straight line.
    Linearity(Linearity),
    /// It rises, or falls.
    Trend(Trend),
    /// It is never above a limit.
    Bound(Bound),
    /// The first arm is better, which is lower.
    Superiority(Superiority),
    /// The arms are as good as each other.
    Equivalence(Equivalence),
    /// The first arm trains more often.
    Rate(Rate),
    /// Some rate of the grid reaches a limit.
    Existence(Existence),
}

/// The values that some fields of a run have.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Select(Vec<(String, String)>);

impl Select {
    fn read(key: &str, table: &Table, runs: &[RunConfig]) -> Result<Self, Invalid> {
        let mut fields = Vec::new();
        match table.get(key) {
            None => {}
            Some(Value::Table(wanted)) => {
                for (field, value) in wanted {
                    let text = value.as_str().map_or_else(|| value.to_string(), str::to_string);
                    let mut config = RunConfig::default();
                    config.set(field, &text)?;
                    fields.push((field.clone(), config.get(field).unwrap_or(text)));
                }
            }
            Some(other) => {
                return Err(Invalid::new(key, other, "a table of fields and values"));
            }
        }
        let select = Select(fields);
        if !runs.iter().any(|run| select.takes(run)) {
            return Err(Invalid::new(key, select.show(), "values that some run has"));
        }
        Ok(select)
    }

    /// Whether a run has them.
    pub fn takes(&self, run: &RunConfig) -> bool {
        self.0.iter().all(|(field, value)| label::value(run, field) == *value)
    }

    pub(super) fn show(&self) -> String {
        let fields = self.0.iter().map(|(field, value)| format!("{field} = {value}"));
        fields.collect::<Vec<_>>().join(", ")
    }
}

/// The keys that every claim has, and those of a rule's constants.
const KEYS: [&str; 9] =
    ["statement", "source", "quantity", "over", "rule", "where", "a", "b", "denies"];
const RULES: [(&str, &[&str]); 8] = [
    ("exponent", &["exponent", "within", "beyond"]),
    ("linearity", &["within", "beyond"]),
    ("trend", &["rising"]),
    ("bound", &["limit", "slack", "rate"]),
    ("superiority", &["margin"]),
    ("equivalence", &["margin"]),
    ("rate", &["supported", "refuted"]),
    ("existence", &["limit"]),
];

impl Claim {
    /// Reads a `[claim]` about some runs.
    ///
    /// # Errors
    /// Where a key is missing, not known, or about no run.
    pub fn read(table: &Table, runs: &[RunConfig]) -> Result<Claim, Invalid> {
        let text = |key: &str| match table.get(key) {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text.clone())),
            Some(other) => Err(Invalid::new(key, other, "a text")),
        };
        let needed = |key: &str, what: String| {
            let missing = || Invalid::new("claim", format!("without {key}"), what.clone());
            text(key)?.ok_or_else(missing)
        };
        let names = || RULES.map(|(name, _)| name).join(", ");
        let name = needed("rule", format!("one with rule = one of {}", names()))?;
        let Some((_, own)) = RULES.into_iter().find(|(known, _)| *known == name) else {
            return Err(Invalid::new("rule", name, format!("one of {}", names())));
        };
        for key in table.keys() {
            if !KEYS.contains(&&**key) && !own.contains(&&**key) {
                let keys: Vec<&str> = KEYS.iter().chain(own).copied().collect();
                return Err(Invalid::new("field", key, format!("one of {}", keys.join(", "))));
            }
        }
        let flag = |key: &str, usual: bool| match table.get(key) {
            None => Ok(usual),
            Some(Value::Boolean(flag)) => Ok(*flag),
            Some(other) => Err(Invalid::new(key, other, "true or false")),
        };
        let number = |key: &str, usual: Option<f64>| match (table.get(key), usual) {
            (Some(Value::Float(x)), _) => Ok(*x),
            (Some(Value::Integer(n)), _) => Ok(*n as f64),
            (None, Some(usual)) => Ok(usual),
            (None, None) => {
                Err(Invalid::new("claim", format!("without {key}"), format!("a number for {key}")))
            }
            (Some(other), _) => Err(Invalid::new(key, other, "a number")),
        };
        let rule = match &*name {
            "exponent" => Rule::Exponent(Exponent {
                exponent: number("exponent", None)?,
                within: number("within", Some(0.10))?,
                beyond: number("beyond", Some(0.15))?,
            }),
            "linearity" => Rule::Linearity(Linearity {
                within: number("within", Some(0.02))?,
                beyond: number("beyond", Some(0.10))?,
            }),
            "trend" => Rule::Trend(Trend { rising: flag("rising", true)? }),
            "bound" => Rule::Bound(Bound {
                limit: number("limit", None)?,
                slack: number("slack", Some(0.0))?,
                rate: number("rate", Some(0.1))?,
            }),
            "superiority" => Rule::Superiority(Superiority { margin: number("margin", None)? }),
            "equivalence" => Rule::Equivalence(Equivalence { margin: number("margin", None)? }),
            "rate" => Rule::Rate(Rate {
                supported: number("supported", Some(0.5))?,
                refuted: number("refuted", Some(0.25))?,
            }),
            _ => Rule::Existence(Existence { limit: number("limit", None)? }),
        };
        let quantity = match (text("quantity")?, rule) {
            (Some(name), _) => {
                Quantity::read(&name).map_err(|allowed| Invalid::new("quantity", name, allowed))?
            }
            (None, Rule::Rate(_)) => Quantity::held_out(),
            (None, _) => {
                return Err(Invalid::new("claim", "without quantity", "a quantity for its rule"));
            }
        };
        let over = match (text("over")?, rule) {
            (Some(field), _) => {
                let field = field.replace('_', "-");
                let place = |run: &RunConfig| label::number(run, &field).is_some();
                if !label::varying(runs.iter()).contains(&&*field) || !runs.iter().all(place) {
                    let allowed = "a number field that these runs differ in";
                    return Err(Invalid::new("over", field, allowed));
                }
                Some(field)
            }
            (None, Rule::Exponent(_) | Rule::Linearity(_) | Rule::Trend(_)) => {
                return Err(Invalid::new("claim", "without over", "a number field for its line"));
            }
            (None, _) => None,
        };
        let two = matches!(rule, Rule::Superiority(_) | Rule::Equivalence(_) | Rule::Rate(_));
        for (key, wanted) in [("a", two), ("b", two), ("where", !two)] {
            if table.contains_key(key) && !wanted {
                let allowed = if two { "a and b for this rule" } else { "where for this rule" };
                return Err(Invalid::new("field", key, allowed));
            }
        }
        let first = Select::read(if two { "a" } else { "where" }, table, runs)?;
        let second = if two { Select::read("b", table, runs)? } else { Select::default() };
        if two && first == second {
            return Err(Invalid::new("b", second.show(), "another arm than a"));
        }
        let statement = needed("statement", "what is claimed, as a text".to_string())?;
        let source = text("source")?.unwrap_or_default();
        let denies = flag("denies", false)?;
        Ok(Claim { statement, source, quantity, over, rule, first, second, denies })
    }
}
