//! The one list of operators that every check iterates over.

use std::sync::{Arc, LazyLock};

use super::activation::{Activation, Function, Gated};
use super::attention::{Attention, Layout};
use super::dropout::{DropPath, DropPer, Dropout, Survivors};
use super::embedding::{AddPositions, Embedding};
use super::head_gain::HeadGain;
use super::linear::Linear;
use super::loss::{
    BinaryCrossEntropy, CrossEntropy, GaussianNll, MeanSquaredError, Reduction, StudentNll,
};
use super::norm::{self, BatchNorm, GroupNorm, LayerNorm, PowerNorm, RmsNorm, ScaleNorm};
use super::per_head::PerHead;
use super::place::AtPlace;
use super::ramp::Ramp;
use super::residual::{GainedResidual, Residual, Scale};
use super::rotary::Rotary;
use super::shift_noise::ShiftNoise;
use super::sinkhorn::Sinkhorn;
use super::softcap::Softcap;
use super::softmax::Softmax;
use super::weight;
use super::weight::scaled_standardised::{Floor, ScaledStandardised};
use super::weight::standardised::{Deviation, Root, Standardised};
use super::weighted_sum::WeightedSum;
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
        shared(GroupNorm { groups: 3, ..GroupNorm::new() }),
        shared(PowerNorm { training: false, ..PowerNorm::new() }),
        shared(RmsNorm { offset: 1.0, ..RmsNorm::new() }),
        shared(Softmax),
        shared(Dropout { p: 0.3, seed: 5, training: true }),
        shared(Dropout { p: 0.3, seed: 5, training: false }),
        shared(DropPath::new(0.3, 5, true)),
        shared(DropPath::new(0.3, 5, false)),
        shared(DropPath { survivors: Survivors::ScaledAtTest, ..DropPath::new(0.3, 5, false) }),
        shared(DropPath { per: DropPer::Batch, ..DropPath::new(0.3, 7, true) }),
        shared(Residual { alpha: 1.7, beta: 0.6 }),
        shared(GainedResidual),
        shared(HeadGain),
        shared(PerHead { head_width: 5, norm: Arc::new(RmsNorm::new()) }),
        shared(WeightedSum { terms: 4, row: 1 }),
        shared(Sinkhorn { iterations: 20 }),
        shared(Rotary::new(6, 8)),
        shared(Rotary::in_cube(6, 2)),
        shared(Scale { factor: 0.3 }),
        shared(Ramp { over: 9 }),
        shared(ShiftNoise { size: 0.5, seed: 5 }),
        shared(Softcap { cap: 1.5 }),
        shared(Linear),
        shared(Embedding),
        shared(AddPositions),
        shared(AtPlace { place: 2 }),
        shared(MeanSquaredError),
        shared(GaussianNll),
        shared(StudentNll),
        shared(BinaryCrossEntropy),
    ]);
    ops.extend(per_heads().map(|norm| shared(PerHead { head_width: 6, norm })));
    ops.extend(weight::ALL.iter().flat_map(|form| (form.make)().operators()));
    ops.extend(weight_variants());
    ops.extend(attentions().into_iter().map(shared));
    ops.extend(losses().into_iter().map(shared));
    ops
}

/// The operator called `id`, with its usual constants.
pub fn named(id: &str) -> Option<SharedOp> {
    ALL.iter().find(|op| op.id() == id).cloned()
}

fn per_heads() -> [SharedOp; 3] {
    [shared(LayerNorm::new()), shared(RmsNorm::new()), shared(ScaleNorm::new())]
}

fn weight_variants() -> [SharedOp; 3] {
    let outside = Standardised::new();
    [
        shared(Standardised { deviation: Deviation::Unbiased, ..outside }),
        shared(Standardised { root: Root::Inside, ..outside }),
        shared(ScaledStandardised { floor: Floor::Added, gamma: 1.7, ..ScaledStandardised::new() }),
    ]
}

fn attentions() -> [Attention; 7] {
    let full = Attention { causal: false, ..Attention::causal(2) };
    [
        full,
        Attention::causal(2),
        Attention { heads: 4, kv_heads: 2, ..full },
        Attention { layout: Layout::HeadMajor, scale: Some(0.7), ..full },
        Attention { layout: Layout::HeadMajor, heads: 3, kv_heads: 1, ..Attention::causal(3) },
        Attention { softcap: 30.0, ..full },
        Attention { softcap: 30.0, kv_heads: 1, ..Attention::causal(2) },
    ]
}

fn losses() -> [CrossEntropy; 5] {
    let mean = CrossEntropy::default();
    [
        mean,
        CrossEntropy { label_smoothing: 0.1, ..mean },
        CrossEntropy { reduction: Reduction::Sum, ..mean },
        CrossEntropy { z_loss: 0.01, ..mean },
        CrossEntropy { reduction: Reduction::None, label_smoothing: 0.2, ..mean },
    ]
}

fn shared(op: impl Op + 'static) -> SharedOp {
    Arc::new(op)
}
