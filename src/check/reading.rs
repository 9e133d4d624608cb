//! How the formula of a call is read for a target: what it keeps sums in, its arithmetic, its sides.

use std::collections::BTreeMap;

use super::arithmetic::{Arithmetic, Attributes, Intermediates};
use super::call::{Call, Served};
use super::tensor::Dtype;
use crate::num::bound::Coarse;

/// How a call is to be read.
#[derive(Debug, Clone, Copy)]
pub struct Reading<'a> {
    /// What the target keeps sums in.
    pub accumulate: Dtype,
    /// Its arithmetic.
    pub arithmetic: Arithmetic,
    /// The sides that it takes.
    pub variant: &'a BTreeMap<String, String>,
}

impl<'a> Reading<'a> {
    /// That of a kernel.
    pub fn strict(accumulate: Dtype, variant: &'a BTreeMap<String, String>) -> Self {
        Reading { accumulate, arithmetic: Arithmetic::default(), variant }
    }

    /// As a target declares it for a dtype.
    pub fn of(served: &'a Served, dtype: Dtype) -> Self {
        Reading {
            accumulate: served.accumulator(dtype),
            arithmetic: served.arithmetic,
            variant: &served.variant,
        }
    }

    /// The roundings beside those of sums.
    pub fn coarse(&self, dtype: Dtype) -> Coarse {
        let Arithmetic { intermediates, exp, tanh, rsqrt, .. } = self.arithmetic;
        // A dtype that sums are kept in rounds there already.
        let stored =
            intermediates == Intermediates::Storage && dtype.unit() > self.accumulate.unit();
        Coarse { stored: stored.then_some(dtype), exp, tanh, rsqrt }
    }

    /// The call as the target reads its attributes.
    pub fn read(&self, call: &Call) -> Option<Call> {
        if self.arithmetic.attributes == Attributes::Exact || call.dtype != Dtype::F64 {
            return None;
        }
        let mut call = call.clone();
        for value in call.attrs.values_mut().filter(|value| value.is_f64()) {
            let short = value.as_f64().map(|exact| f64::from(exact as f32));
            *value = serde_json::json!(short);
        }
        Some(call)
    }
}
