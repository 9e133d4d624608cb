//! Tensors as the gate sees them: a dtype, a shape, and every element as the `f64` that it is.
//!
//! Each element of each dtype is exactly an `f64` (indices stay below 2⁵³), so shapes, values and
//! dtypes can be judged by one code, and only the wire knows bytes.

use std::collections::BTreeMap;

pub use crate::num::Dtype;

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
