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
            Dtype::F16 => f16::from_f32(to_odd(value)).to_f64(),
            Dtype::Bf16 => bf16::from_f32(to_odd(value)).to_f64(),
            Dtype::I64 => value as i64 as f64,
            Dtype::U8 => f64::from(value as u8),
        }
    }
    /// What sums are kept in unless something else is declared: f32, and f64 for f64.
    pub fn accumulator(self) -> Dtype {
        if self == Dtype::F64 { Dtype::F64 } else { Dtype::F32 }
    }
}

/// The number cut to `f32`, its last bit set where anything was cut off.
///
/// A second rounding, to fewer digits, then falls as one rounding would (Boldo & Melquiond 2008,
/// theorem 1): plain rounding to `f32` makes ties of what lies just beside one. The conversion from
/// `f64` of the crate that has these dtypes cuts off half of the digits, and does the same.
fn to_odd(value: f64) -> f32 {
    let near = value as f32;
    let wide = f64::from(near);
    if wide == value || value.is_nan() {
        return near;
    }
    // Towards zero, one unit in the last place back where the rounding went away from it.
    let away = wide.abs() > value.abs();
    f32::from_bits((near.to_bits() - u32::from(away)) | 1)
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
    fn sixteen_bits_are_rounded_to_nearest_even_in_one_rounding() {
        for dtype in [Dtype::Bf16, Dtype::F16] {
            let unit = 2.0 * dtype.unit();
            // Two numbers beside each other, at 1 and where numbers are subnormal, and their middle.
            for (low, step) in
                [(1.0, unit), (dtype.smallest_normal(), unit * dtype.smallest_normal())]
            {
                for (even, odd) in [(low, low + step), (low + 2.0 * step, low + step)] {
                    let tie = (even + odd) / 2.0;
                    assert_eq!(dtype.round(tie), even, "{dtype}");
                    // Beside a tie by less than f32 can say.
                    let beside = (odd - even) * 2f64.powi(-30);
                    assert_eq!(dtype.round(tie + beside), odd, "{dtype}");
                    assert_eq!(dtype.round(tie - beside), even, "{dtype}");
                    assert_eq!(dtype.round(-tie - beside), -odd, "{dtype}");
                }
            }
            let (most, beyond) = (dtype.largest(), dtype.largest() * (1.0 + dtype.unit()));
            assert_eq!((dtype.round(most), dtype.round(beyond)), (most, f64::INFINITY));
            assert_eq!(dtype.round(f64::MAX), f64::INFINITY);
            assert!(dtype.round(f64::NAN).is_nan() && dtype.round(f64::NEG_INFINITY) < 0.0);
            assert_eq!(dtype.round(1e-300), 0.0);
        }
    }
}
