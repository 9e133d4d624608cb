//! The operators of the specification, one file each.

mod batch_norm;
mod contract;
mod dynamic_tanh;
mod exact_rows;
mod layer_norm;
mod norm;
mod rms_norm;
mod scale_norm;
mod weight_standardize;

use super::operator::Operator;

/// Every operator, in the specification's order.
pub const ALL: &[&dyn Operator] = &[
    &layer_norm::LayerNorm,
    &rms_norm::RmsNorm,
    &scale_norm::ScaleNorm,
    &batch_norm::BatchNorm,
    &dynamic_tanh::DynamicTanh,
    &weight_standardize::WeightStandardize,
];

/// The operator of a name.
pub fn find(name: &str) -> Option<&'static dyn Operator> {
    ALL.iter().copied().find(|operator| operator.name() == name)
}

/// Every name.
pub fn names() -> Vec<&'static str> {
    ALL.iter().map(|operator| operator.name()).collect()
}
