//! What numbers are stored as, and how they are rounded to it.

use std::fmt;

use half::{bf16, f16};
use serde::{Deserialize, Serialize};

use crate::setting::Setting;

/// What an element is stored as.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Dtype {
    /// IEEE binary64.
    F64,
    /// IEEE binary32.
    F32,
    /// IEEE binary16.
    F16,
    /// bfloat16.
    Bf16,
    /// Indices.
    I64,
    /// Masks.
    U8,
}

impl Dtype {
    /// The real ones, the most precise first.
    pub const REAL: [Dtype; 4] = [Dtype::F64, Dtype::F32, Dtype::F16, Dtype::Bf16];

    /// The name in messages.
    pub fn name(self) -> &'static str {
        match self {
            Dtype::F64 => "f64",
            Dtype::F32 => "f32",
            Dtype::F16 => "f16",
            Dtype::Bf16 => "bf16",
            Dtype::I64 => "i64",
            Dtype::U8 => "u8",
        }
    }
    /// The dtype of a name.
    pub fn parse(name: &str) -> Option<Dtype> {
        [Dtype::REAL.as_slice(), &[Dtype::I64, Dtype::U8]]
            .concat()
            .into_iter()
            .find(|dtype| dtype.name() == name)
    }
    /// Bytes of one element.
    pub fn bytes(self) -> usize {
        match self {
            Dtype::F64 | Dtype::I64 => 8,
            Dtype::F32 => 4,
            Dtype::F16 | Dtype::Bf16 => 2,
            Dtype::U8 => 1,
        }
    }
    /// The unit roundoff u: half the distance of 1 to the next number; 0 where nothing is rounded.
    pub fn unit(self) -> f64 {
        match self {
            Dtype::F64 => 2f64.powi(-53),
            Dtype::F32 => 2f64.powi(-24),
            Dtype::F16 => 2f64.powi(-11),
            Dtype::Bf16 => 2f64.powi(-8),
            Dtype::I64 | Dtype::U8 => 0.0,
        }
    }
    /// The largest finite number.
    pub fn largest(self) -> f64 {
        match self {
            Dtype::F64 => f64::MAX,
            Dtype::F32 => f64::from(f32::MAX),
            Dtype::F16 => f16::MAX.to_f64(),
            Dtype::Bf16 => bf16::MAX.to_f64(),
            Dtype::I64 => i64::MAX as f64,
            Dtype::U8 => 255.0,
        }
    }
    /// The smallest normal number; 0 for whole numbers.
    pub fn smallest_normal(self) -> f64 {
        match self {
            Dtype::F64 => f64::MIN_POSITIVE,
            Dtype::F32 | Dtype::Bf16 => f64::from(f32::MIN_POSITIVE),
            Dtype::F16 => f16::MIN_POSITIVE.to_f64(),
            Dtype::I64 | Dtype::U8 => 0.0,
        }
    }
    /// The nearest number of this dtype, ties to even.
    pub fn round(self, value: f64) -> f64 {
        match self {
            Dtype::F64 => value,
            Dtype::F32 => f64::from(value as f32),
            Dtype::F16 => f16::from_f64(value).to_f64(),
            Dtype::Bf16 => bf16::from_f64(value).to_f64(),
            Dtype::I64 => value as i64 as f64,
            Dtype::U8 => f64::from(value as u8),
        }
    }
    /// What sums are kept in unless something else is declared: f32, and f64 for f64.
    pub fn accumulator(self) -> Dtype {
        if self == Dtype::F64 { Dtype::F64 } else { Dtype::F32 }
    }
}

impl fmt::Display for Dtype {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl Setting for Dtype {
    fn read(text: &str) -> Result<Self, String> {
        Dtype::parse(text).ok_or_else(|| Self::choices().join(", "))
    }
    fn show(&self) -> String {
        self.name().to_string()
    }
    fn choices() -> Vec<&'static str> {
        Dtype::REAL.map(Dtype::name).to_vec()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bf16_rounds_to_nearest_even_in_one_rounding() {
        assert_eq!(Dtype::Bf16.round(1.00390625), 1.0);
        assert_eq!(Dtype::Bf16.round(1.01171875), 1.015625);
        // Just above a tie: a rounding to f32 on the way would make a tie of it.
        assert_eq!(Dtype::Bf16.round(1.00390625 + 2f64.powi(-40)), 1.0078125);
    }
}
