//! What is known of the operators that can be judged, one file each.
//!
//! A file states the axes along which problems vary and the tensors of a problem, and writes the
//! formula for any number ([`operator`]). [`case`] is a problem as a string, [`fill`] its values,
//! [`repeated`] problems of production sizes. A norm without a file is what it says of itself.

mod activation;
mod adamw;
mod attention;
mod batch_norm;
mod binary_cross_entropy;
pub mod case;
mod cast;
mod clip_grad_norm;
mod cross_entropy;
mod derived;
mod drop_path;
mod dropout;
mod dynamic_tanh;
mod exact_rows;
mod feed_forward;
pub mod fill;
mod gaussian_nll;
pub mod init;
mod layer_norm;
mod layers;
mod linear;
mod lr_schedule;
mod mean_loss;
mod mean_squared_error;
mod norm;
pub mod operator;
pub mod random;
pub mod repeated;
mod residual;
mod rms_norm;
mod scale_norm;
mod softmax;
mod student_nll;
mod transformer_block;
mod transformer_stack;
pub mod truth;
mod weight_standardize;

use std::sync::LazyLock;

use self::operator::Operator;
use crate::op::{Property, SharedOp, norm as norms};

/// The operators that have a file here, in the specification's order.
const WRITTEN: &[&dyn Operator] = &[
    &layer_norm::LayerNorm,
    &rms_norm::RmsNorm,
    &scale_norm::ScaleNorm,
    &batch_norm::BatchNorm,
    &dynamic_tanh::DynamicTanh,
    &weight_standardize::WeightStandardize,
    &softmax::Softmax,
    &activation::Activation,
    &linear::Linear,
    &feed_forward::FeedForward,
    &attention::Attention,
    &residual::Residual,
    &transformer_block::TransformerBlock,
    &transformer_stack::TransformerStack,
    &cross_entropy::CrossEntropy,
    &binary_cross_entropy::BinaryCrossEntropy,
    &mean_squared_error::MeanSquaredError,
    &gaussian_nll::GaussianNll,
    &student_nll::StudentNll,
    &adamw::AdamW,
    &clip_grad_norm::ClipGradNorm,
    &lr_schedule::LrSchedule,
    &init::Init,
    &dropout::Dropout,
    &drop_path::DropPath,
];

/// The norms that have none.
static DERIVED: LazyLock<Vec<derived::Derived>> = LazyLock::new(|| {
    let written = |id: &str| WRITTEN.iter().any(|operator| operator.name() == id);
    let unwritten = norms::ALL.iter().filter(|entry| !written(entry.id));
    unwritten.filter_map(|entry| derived::Derived::new(entry.id)).collect()
});

/// Every operator: those of the specification in its order, then the norms that are judged by what
/// they say of themselves.
pub fn all() -> impl Iterator<Item = &'static dyn Operator> + Clone {
    let derived = DERIVED.iter().map(|operator| operator as &dyn Operator);
    WRITTEN.iter().copied().chain(derived)
}

/// True for a norm whose rows do not see each other.
pub fn norm_of_rows(name: &str) -> bool {
    let by_row = |op: SharedOp| op.properties().contains(&Property::RowIndependent);
    norms::named(name).is_some_and(|entry| by_row((entry.make)()))
}

/// The operator of a name.
pub fn find(name: &str) -> Option<&'static dyn Operator> {
    all().find(|operator| operator.name() == name)
}

/// Every name.
pub fn names() -> Vec<&'static str> {
    all().map(|operator| operator.name()).collect()
}
