//! What a stack is built from.

use super::{Init, QkNorm, Wiring};
use crate::choices;
use crate::op::activation::Function;
use crate::op::dropout::{DropPer, Survivors};
use crate::op::norm::NormChoice;
use crate::op::weight::WeightForm;

choices! {
    /// How a token's place enters the stack.
    Positions {
        /// By the causal mask only.
        None = "none",
        /// A learned vector per place, added to the embedding.
        Learned = "learned",
        /// Queries and keys are rotated by their place (Su et al. 2021).
        Rotary = "rotary",
        /// The same by each of three coordinates, of places in a cube (after Heo et al. 2024).
        Rotary3 = "rotary3",
    }
}

/// The edge of the cube that so many places fill, where they fill one.
pub fn cube_root(places: usize) -> Option<usize> {
    let edge = (places as f64).cbrt().round() as usize;
    (edge.checked_pow(3) == Some(places)).then_some(edge)
}

choices! {
    /// The feed-forward sublayer.
    FeedForward {
        /// down · f(up · x).
        Plain = "plain",
        /// down · (f(gate · x) ⊙ (up · x)) (Shazeer 2020).
        Gated = "gated",
    }
}

choices! {
    /// How the chance to drop a block grows with depth.
    Survival {
        /// From nearly 0 at the first block to `stochastic-depth` at the last.
        Linear = "linear",
        /// The same at every block.
        Uniform = "uniform",
    }
}

/// The linear maps of a block that may have a bias, by their names.
pub const MAPS: [&str; 7] =
    ["attn.q", "attn.k", "attn.v", "attn.out", "ffn.up", "ffn.gate", "ffn.down"];

/// Everything that decides the steps of a stack and the shapes of its weights.
///
/// A run's configuration gives one ([`RunConfig::architecture`](crate::config::RunConfig::architecture)),
/// and so does a call of the gate's block and stack operators.
#[derive(Debug, Clone, PartialEq)]
pub struct Architecture {
    /// Features of the residual stream.
    pub width: usize,
    /// Number of blocks.
    pub depth: usize,
    /// Attention heads, a divisor of the width.
    pub heads: usize,
    /// Key and value heads, a divisor of the heads.
    pub kv_heads: usize,
    /// Hidden features of the feed-forward.
    pub hidden: usize,
    /// Tokens of a sequence.
    pub seq: usize,
    /// Places that there is a learned position for, as many as tokens or more.
    pub places: usize,
    /// The norm.
    pub norm: NormChoice,
    /// The norm of queries and keys.
    pub qk_norm: QkNorm,
    /// What the scores of attention stay below; 0 caps nothing.
    pub softcap: f64,
    /// What the logits of the head stay below; 0 caps nothing.
    pub logit_softcap: f64,
    /// What stands between the learned matrices of the blocks and their products.
    pub weights: WeightForm,
    /// Where norm, skip and branch meet.
    pub wiring: Wiring,
    /// How weights start.
    pub init: Init,
    /// Whether the embedding is normed; the wiring says whether it usually is.
    pub norms_embedding: bool,
    /// Whether the last stream is normed; the wiring says whether it usually is.
    pub norms_output: bool,
    /// Whether a token attends to those before it only.
    pub causal: bool,
    /// How a token's place enters.
    pub positions: Positions,
    /// The nonlinearity of the feed-forward.
    pub activation: Function,
    /// The feed-forward sublayer.
    pub ffn: FeedForward,
    /// Which of [`MAPS`] have a bias.
    pub biases: Vec<&'static str>,
    /// Whether the head is the transposed token embedding.
    pub tied_head: bool,
    /// Chance that the last block is dropped in a step.
    pub stochastic_depth: f64,
    /// What becomes of a branch that is not dropped.
    pub survivors: Survivors,
    /// What a branch is dropped for at once.
    pub drop_per: DropPer,
    /// How that chance grows with depth.
    pub survival: Survival,
    /// Chance that an element of the embedding or of a branch is dropped.
    pub dropout: f64,
    /// Weight of the uniform distribution in the targets of training.
    pub label_smoothing: f64,
    /// Weight of the squared logarithm of the logits' sum of exponentials in training.
    pub z_loss: f64,
    /// What every branch is multiplied with before it meets the stream.
    pub branch_factor: f64,
    /// Steps over which every branch's factor rises to 1; 0 where it does not.
    pub residual_warmup: usize,
    /// Size of the noise behind every norm in training; see [`crate::op::shift_noise`].
    pub norm_noise: f64,
    /// Whether what norms have to learn is learned, and does not stay what it starts at.
    pub learns_norms: bool,
    /// What the head's products are multiplied with.
    pub logits_factor: f64,
    /// What products of queries and keys are multiplied with; none is 1/√(features of a head).
    pub attention_scale: Option<f64>,
    /// The target that counts for nothing.
    pub ignore_index: i64,
    /// Seed of what is dropped.
    pub seed: u64,
}
