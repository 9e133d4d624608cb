//! Tensors as the gate sees them: a dtype, a shape, and every element as the `f64` that it is.
//!
//! Each element of each dtype is exactly an `f64` (indices stay below 2⁵³), so shapes, values and
//! dtypes can be judged by one code, and only the wire knows bytes.

use std::collections::BTreeMap;
use std::fmt;

use half::{bf16, f16};
use serde::{Deserialize, Serialize};

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

/// A row-major tensor.
#[derive(Debug, Clone, PartialEq)]
pub struct Tensor {
    /// What an element is stored as.
    pub dtype: Dtype,
    /// The sizes, outermost first; `[]` is a scalar.
    pub shape: Vec<usize>,
    /// The elements, each representable in `dtype`.
    pub values: Vec<f64>,
}

impl Tensor {
    /// A tensor whose elements are rounded to `dtype`.
    pub fn new(dtype: Dtype, shape: &[usize], values: Vec<f64>) -> Tensor {
        assert_eq!(shape.iter().product::<usize>(), values.len(), "{shape:?}");
        let values = values.into_iter().map(|value| dtype.round(value)).collect();
        Tensor { dtype, shape: shape.to_vec(), values }
    }
    /// Bit by bit the same, where −0 differs from 0 and every NaN is one.
    pub fn same_bits(&self, other: &Tensor) -> bool {
        let same = |(a, b): (&f64, &f64)| a.to_bits() == b.to_bits() || (a.is_nan() && b.is_nan());
        (self.dtype, &self.shape) == (other.dtype, &other.shape)
            && self.values.iter().zip(&other.values).all(same)
    }
}

/// Tensors by name.
pub type Tensors = BTreeMap<String, Tensor>;
