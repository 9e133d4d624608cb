//! The operators of the specification, one file each.

mod activation;
mod attention;
mod cross_entropy;
mod feed_forward;
mod layer_norm;
mod linear;
mod norm;
mod softmax;

use super::operator::Operator;

/// Every operator, in the specification's order.
pub const ALL: &[&dyn Operator] = &[
    &layer_norm::LayerNorm,
    &softmax::Softmax,
    &activation::Activation,
    &linear::Linear,
    &feed_forward::FeedForward,
    &attention::Attention,
    &cross_entropy::CrossEntropy,
];

/// The operator of a name.
pub fn find(name: &str) -> Option<&'static dyn Operator> {
    ALL.iter().copied().find(|operator| operator.name() == name)
}

/// Every name.
pub fn names() -> Vec<&'static str> {
    ALL.iter().map(|operator| operator.name()).collect()
}
