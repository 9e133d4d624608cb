//! A report as JSON, as `docs/gate-report.schema.json` describes it.
//!
//! JSON has no literal for numbers that are not finite, and a wrong target gives many of them: they
//! are written as the strings `"nan"`, `"inf"` and `"-inf"`. A reader takes `null` for NaN too.

use serde_json::Value;

use super::Report;
use crate::setting::Invalid;

/// A report as JSON, indented.
pub fn write(report: &Report) -> String {
    let mut text = serde_json::to_string_pretty(report).expect("a report has names and numbers");
    text.push('\n');
    text
}

/// Reads what [`write()`] wrote; fields that are not known are passed over.
pub fn read(text: &str) -> Result<Report, Invalid> {
    const ALLOWED: &str = "a report as gate check --json writes it";
    let refused = |reason: serde_json::Error| Invalid::new("report", reason, ALLOWED);
    let value: Value = serde_json::from_str(text).map_err(refused)?;
    let format = value.get("format").unwrap_or(&Value::Null);
    if format.as_u64() != Some(u64::from(Report::FORMAT)) {
        return Err(Invalid::new("report.format", format, Report::FORMAT.to_string()));
    }
    serde_json::from_value(value).map_err(refused)
}

/// The JSON spelling of numbers by name.
pub(super) mod numbers_by_name {
    use std::collections::BTreeMap;

    use serde::{Deserialize, Deserializer, Serializer};

    use crate::num::spelled::Spelled;

    type Map = BTreeMap<String, f64>;

    pub fn serialize<S: Serializer>(values: &Map, to: S) -> Result<S::Ok, S::Error> {
        to.collect_map(values.iter().map(|(name, &value)| (name, Spelled(value))))
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Map, D::Error> {
        let values = BTreeMap::<String, Spelled>::deserialize(from)?;
        Ok(values.into_iter().map(|(name, value)| (name, value.0)).collect())
    }
}

/// The JSON spelling of input tensors: objects with a name, a shape and values.
pub(super) mod inputs {
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    use crate::num::spelled::numbers;

    #[derive(Serialize, Deserialize)]
    struct Input {
        name: String,
        shape: Vec<usize>,
        #[serde(with = "numbers")]
        values: Vec<f64>,
    }

    type Inputs = Vec<(String, Vec<usize>, Vec<f64>)>;

    pub fn serialize<S: Serializer>(inputs: &Inputs, to: S) -> Result<S::Ok, S::Error> {
        to.collect_seq(inputs.iter().cloned().map(|(name, shape, values)| Input {
            name,
            shape,
            values,
        }))
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Inputs, D::Error> {
        let inputs = Vec::<Input>::deserialize(from)?;
        Ok(inputs.into_iter().map(|input| (input.name, input.shape, input.values)).collect())
    }
}
