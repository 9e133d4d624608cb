//! Numbers in JSON, which has no literal for those that are not finite: they are strings there.

/// The JSON spelling of a number that may be non-finite.
pub mod number {
    use serde::de::{self, Deserializer, Visitor};
    use serde::ser::Serializer;
    use std::fmt;

    pub fn serialize<S: Serializer>(value: &f64, to: S) -> Result<S::Ok, S::Error> {
        if value.is_nan() { to.serialize_unit() } else { spelled(*value, to) }
    }

    /// Writes the infinities, and a NaN where `null` is taken, as strings.
    pub fn spelled<S: Serializer>(value: f64, to: S) -> Result<S::Ok, S::Error> {
        if value.is_finite() {
            to.serialize_f64(value)
        } else if value.is_nan() {
            to.serialize_str("nan")
        } else {
            to.serialize_str(if value > 0.0 { "inf" } else { "-inf" })
        }
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<f64, D::Error> {
        from.deserialize_any(Number).map(|value| value.unwrap_or(f64::NAN))
    }

    /// Accepts a number, one of the three strings, or `null` as `None`.
    pub struct Number;

    impl<'de> Visitor<'de> for Number {
        type Value = Option<f64>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a number, null, \"nan\", \"inf\" or \"-inf\"")
        }

        fn visit_f64<E: de::Error>(self, value: f64) -> Result<Self::Value, E> {
            Ok(Some(value))
        }

        fn visit_i64<E: de::Error>(self, value: i64) -> Result<Self::Value, E> {
            Ok(Some(value as f64))
        }

        fn visit_u64<E: de::Error>(self, value: u64) -> Result<Self::Value, E> {
            Ok(Some(value as f64))
        }

        fn visit_unit<E: de::Error>(self) -> Result<Self::Value, E> {
            Ok(None)
        }

        fn visit_none<E: de::Error>(self) -> Result<Self::Value, E> {
            Ok(None)
        }

        fn visit_str<E: de::Error>(self, text: &str) -> Result<Self::Value, E> {
            match text {
                "nan" => Ok(Some(f64::NAN)),
                "inf" => Ok(Some(f64::INFINITY)),
                "-inf" => Ok(Some(f64::NEG_INFINITY)),
                _ => Err(E::invalid_value(de::Unexpected::Str(text), &self)),
            }
        }
    }
}

/// The JSON spelling of a number that may be absent or non-finite.
pub mod optional_number {
    use super::number::{Number, spelled};
    use serde::de::Deserializer;
    use serde::ser::Serializer;

    pub fn serialize<S: Serializer>(value: &Option<f64>, to: S) -> Result<S::Ok, S::Error> {
        match value {
            None => to.serialize_none(),
            Some(value) => spelled(*value, to),
        }
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Option<f64>, D::Error> {
        from.deserialize_any(Number)
    }
}

/// As [`number`], with a NaN spelled too: where many are expected.
pub mod every_number {
    use serde::{Deserializer, Serializer};

    use super::number::{Number, spelled};

    pub fn serialize<S: Serializer>(value: &f64, to: S) -> Result<S::Ok, S::Error> {
        spelled(*value, to)
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<f64, D::Error> {
        from.deserialize_any(Number).map(|value| value.unwrap_or(f64::NAN))
    }
}

/// One number of a list or a map.
#[derive(serde::Serialize, serde::Deserialize)]
#[serde(transparent)]
pub struct Spelled(#[serde(with = "every_number")] pub f64);

/// The JSON spelling of a list of numbers.
pub mod numbers {
    use serde::{Deserialize, Deserializer, Serializer};

    use super::Spelled;

    pub fn serialize<S: Serializer>(values: &[f64], to: S) -> Result<S::Ok, S::Error> {
        to.collect_seq(values.iter().map(|&value| Spelled(value)))
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<f64>, D::Error> {
        Ok(Vec::<Spelled>::deserialize(from)?.into_iter().map(|value| value.0).collect())
    }
}
