//! What a stack is built from.

use super::{Init, Wiring};
use crate::choices;
use crate::op::activation::Function;
use crate::op::norm::NormChoice;

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
    /// Chance that the last block is dropped in a step, per sequence.
    pub stochastic_depth: f64,
    /// How that chance grows with depth.
    pub survival: Survival,
    /// Chance that an element of the embedding or of a branch is dropped.
    pub dropout: f64,
    /// Weight of the uniform distribution in the targets of training.
    pub label_smoothing: f64,
    /// The target that counts for nothing.
    pub ignore_index: i64,
    /// Seed of what is dropped.
    pub seed: u64,
}
