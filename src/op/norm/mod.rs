//! The norms: an open set, one file each and one line in the list below.
//!
//! A norm is an [`Op`] whose first argument is x and whose other arguments are its own tensors,
//! each of one element per column or of a single element. Everything else (the checks, the stacks
//! under every wiring, the command line, the reports) iterates over [`ALL`].

use super::{Op, Shape, SharedOp};
use crate::choice::{Choice, Entry, MODE};

/// A norm and its constants, as a stack is given it: `layer_norm(eps=1e-6)`.
pub type NormChoice = Choice<dyn Op>;

impl NormChoice {
    /// The operator, for training or for evaluation, which matters to batch statistics only.
    pub fn operator(&self, training: bool) -> SharedOp {
        let has_mode = self.consts().iter().any(|constant| constant.name == MODE);
        match has_mode {
            true => self.with(MODE, &training.to_string()).expect("true or false"),
            false => self.shared(),
        }
    }
}

pub(super) mod launch;

crate::list! { dyn Op;
    bare_rms_norm::BareRmsNorm,
    batch_norm::BatchNorm,
    derf::Derf,
    dynamic_tanh::DynamicTanh,
    group_norm::GroupNorm,
    l2_norm::L2Norm,
    layer_norm::LayerNorm,
    partial_rms_norm::PartialRmsNorm,
    power_norm::PowerNorm,
    rms_norm::RmsNorm,
    rms_norm_outside::RmsNormOutside,
    scale_norm::ScaleNorm,
}

/// The norm called `id`.
pub fn named(id: &str) -> Option<&'static Entry<dyn Op>> {
    ALL.iter().find(|entry| entry.id == id)
}

/// The shapes of a norm's example: x of `rows` × `cols`, and each of its tensors.
fn example(own: &[usize], rows: usize, cols: usize) -> Vec<Shape> {
    let mut shapes = vec![Shape::new(&[rows, cols])];
    shapes.extend(own.iter().map(|&len| Shape::new(&[len])));
    shapes
}
