//! The operators of the specification, one file each.

mod activation;
mod adamw;
mod attention;
mod batch_norm;
mod clip_grad_norm;
mod contract;
mod cross_entropy;
mod drop_path;
mod dropout;
mod dynamic_tanh;
mod exact_rows;
mod feed_forward;
pub mod init;
mod layer_norm;
mod layers;
mod linear;
mod lr_schedule;
mod norm;
mod residual;
mod rms_norm;
mod scale_norm;
mod softmax;
mod transformer_block;
mod transformer_stack;
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
    &softmax::Softmax,
    &activation::Activation,
    &linear::Linear,
    &feed_forward::FeedForward,
    &attention::Attention,
    &residual::Residual,
    &transformer_block::TransformerBlock,
    &transformer_stack::TransformerStack,
    &cross_entropy::CrossEntropy,
    &adamw::AdamW,
    &clip_grad_norm::ClipGradNorm,
    &lr_schedule::LrSchedule,
    &init::Init,
    &dropout::Dropout,
    &drop_path::DropPath,
];

/// The operator of a name.
pub fn find(name: &str) -> Option<&'static dyn Operator> {
    ALL.iter().copied().find(|operator| operator.name() == name)
}

/// Every name.
pub fn names() -> Vec<&'static str> {
    ALL.iter().map(|operator| operator.name()).collect()
}
