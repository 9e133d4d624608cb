//! The operators of the specification, one file each.

mod adamw;
mod batch_norm;
mod clip_grad_norm;
mod contract;
mod drop_path;
mod dropout;
mod dynamic_tanh;
mod exact_rows;
pub mod init;
mod layer_norm;
mod layers;
mod lr_schedule;
mod norm;
mod residual;
mod rms_norm;
mod scale_norm;
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
    &residual::Residual,
    &transformer_block::TransformerBlock,
    &transformer_stack::TransformerStack,
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
