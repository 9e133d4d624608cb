//! The one list of operators that every check iterates over.

use std::sync::{Arc, LazyLock};

use super::activation::{Activation, Function, Gated};
use super::attention::{Attention, Layout};
use super::dropout::{DropPath, Dropout};
use super::embedding::{AddPositions, Embedding};
use super::linear::Linear;
use super::loss::{CrossEntropy, MeanSquaredError, Reduction};
use super::norm::{self, BatchNorm, RmsNorm};
use super::place::AtPlace;
use super::residual::{GainedResidual, Residual, Scale};
use super::rotary::Rotary;
use super::softmax::Softmax;
use super::{Op, SharedOp};
use crate::choice::Described;

static ALL: LazyLock<Vec<SharedOp>> = LazyLock::new(listed);

/// Every operator, once per variant that behaves differently.
pub fn all() -> Vec<SharedOp> {
    ALL.clone()
}

fn listed() -> Vec<SharedOp> {
    let mut ops: Vec<SharedOp> = norm::ALL.iter().map(|entry| (entry.make)()).collect();
    ops.extend(Function::ALL.iter().map(|&function| shared(Activation { function })));
    ops.extend(Function::ALL.iter().map(|&function| shared(Gated { function })));
    ops.extend([
        shared(BatchNorm { training: false, ..BatchNorm::new() }),
        shared(RmsNorm { offset: 1.0, ..RmsNorm::new() }),
        shared(Softmax),
        shared(Dropout { p: 0.3, seed: 5, training: true }),
        shared(Dropout { p: 0.3, seed: 5, training: false }),
        shared(DropPath { p: 0.3, seed: 5, training: true }),
        shared(DropPath { p: 0.3, seed: 5, training: false }),
        shared(Residual { alpha: 1.7, beta: 0.6 }),
        shared(GainedResidual),
        shared(Rotary::new(6, 8)),
        shared(Rotary::in_cube(6, 2)),
        shared(Scale { factor: 0.3 }),
        shared(Linear),
        shared(Embedding),
        shared(AddPositions),
        shared(AtPlace { place: 2 }),
        shared(MeanSquaredError),
    ]);
    ops.extend(attentions().into_iter().map(shared));
    ops.extend(losses().into_iter().map(shared));
    ops
}

/// The operator called `id`, with its usual constants.
pub fn named(id: &str) -> Option<SharedOp> {
    ALL.iter().find(|op| op.id() == id).cloned()
}

fn attentions() -> [Attention; 5] {
    let full = Attention { causal: false, ..Attention::causal(2) };
    [
        full,
        Attention::causal(2),
        Attention { heads: 4, kv_heads: 2, ..full },
        Attention { layout: Layout::HeadMajor, scale: Some(0.7), ..full },
        Attention { layout: Layout::HeadMajor, heads: 3, kv_heads: 1, ..Attention::causal(3) },
    ]
}

fn losses() -> [CrossEntropy; 4] {
    let mean = CrossEntropy::default();
    [
        mean,
        CrossEntropy { label_smoothing: 0.1, ..mean },
        CrossEntropy { reduction: Reduction::Sum, ..mean },
        CrossEntropy { reduction: Reduction::None, label_smoothing: 0.2, ..mean },
    ]
}

fn shared(op: impl Op + 'static) -> SharedOp {
    Arc::new(op)
}
