//! The five sizes at which a training step is measured.

use crate::config::{Positions, RunConfig};
use crate::op::activation::Function;

/// A causal decoder, `f32`, Pre-LN with a final norm, tanh GELU, 4 heads, feed-forward 4·width,
/// learned positions, vocabulary 256, no biases in the linear maps, AdamW.
#[derive(Debug, Clone, Copy)]
pub struct Size {
    /// Its letter.
    pub name: &'static str,
    /// Features of the stream.
    pub width: usize,
    /// Blocks.
    pub depth: usize,
    /// Tokens in a sequence.
    pub seq: usize,
    /// Sequences in a step.
    pub batch: usize,
}

/// From shallow and narrow to a thousand blocks.
pub const SIZES: [Size; 5] = [
    Size { name: "A", width: 64, depth: 12, seq: 64, batch: 16 },
    Size { name: "B", width: 64, depth: 96, seq: 64, batch: 16 },
    Size { name: "C", width: 256, depth: 12, seq: 128, batch: 8 },
    Size { name: "D", width: 128, depth: 48, seq: 128, batch: 4 },
    Size { name: "E", width: 64, depth: 1000, seq: 32, batch: 4 },
];

/// A thousand wide blocks on 4,096 tokens, for devices.
pub const DEEP: Size = Size { name: "F", width: 256, depth: 1000, seq: 128, batch: 32 };
/// What the interpreter can do in seconds.
pub const SMALL: Size = Size { name: "S", width: 16, depth: 2, seq: 8, batch: 2 };

impl Size {
    /// The size called `name`.
    pub fn named(name: &str) -> Option<Size> {
        SIZES.into_iter().chain([DEEP]).find(|size| size.name == name)
    }

    /// The configuration of a run of this size.
    pub fn config(self) -> RunConfig {
        RunConfig {
            width: self.width,
            depth: self.depth,
            seq: self.seq,
            batch: self.batch,
            activation: Function::GeluTanh,
            positions: Positions::Learned,
            ..RunConfig::default()
        }
    }
}
