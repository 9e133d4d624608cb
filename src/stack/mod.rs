//! From an architecture to a program.
//!
//! tokens or patches → embedding (+ positions) → `depth` blocks of attention and feed-forward under
//! one [`Wiring`] → head → loss; [`Ends`] say which front and head. Parameters are named `embed.weight`, `positions.weight`,
//! `blocks.{i}.norm1.weight`, `blocks.{i}.attn.{q,k,v,out}.weight`, `blocks.{i}.norm2.weight`,
//! `blocks.{i}.ffn.{up,gate,down}.weight`, `norm.weight`, `head.weight`; a wiring that needs more
//! adds `norm1_in`, `norm1_out`, `scale1`, `read1`, `mix1` and `sum1`, those of the feed-forward
//! with a 2, and `attn.norm`, `ffn.norm` under the block, and `embed_norm` before it. Norms of
//! queries and keys are `attn.{q,k}.norm`; what a form of weights has besides the matrix is named behind it,
//! `attn.q.weight.weight_norm.gain`.

mod architecture;
mod block;
mod ends;
pub mod init;
mod qk_norm;
pub mod wiring;

pub use crate::op::dropout::{DropPer, Survivors};
pub use architecture::{Architecture, FeedForward, MAPS, Positions, Survival, cube_root};
pub use block::{Branch, Builder, Part, Sublayer};
pub use ends::{Ends, Front, Head, LOGITS, Law, PATCHES, TARGETS, TOKENS};
pub use init::{Draw, Init, states};
pub use qk_norm::QkNorm;
pub use wiring::{Streams, Wire, Wiring};

use crate::op::embedding::AddPositions;
use crate::program::{Id, Program, Role, Start};

/// Name of the input `[step, first sample]` that random operators draw from.
pub const CLOCK: &str = "clock";

/// The program of one pass over `samples` sequences, between a front and a head.
///
/// `training` switches dropout, stochastic depth, batch statistics and the smoothing of labels on:
/// the loss of evaluation is the plain one.
pub fn build(stack: &Architecture, ends: &Ends, samples: usize, training: bool) -> Program {
    let all: Vec<usize> = (1..=stack.depth).collect();
    build_of(stack, ends, samples, training, &all)
}

/// As [`build`], of some of the blocks in some order, each counted from 1 and named at most once.
pub fn build_of(
    stack: &Architecture,
    ends: &Ends,
    samples: usize,
    training: bool,
    blocks: &[usize],
) -> Program {
    let mut b = Builder::new(stack, samples, training);
    let (x, table, targets) = blocks_of(&mut b, ends, blocks);
    let x = if stack.norms_output { b.norm("norm", x) } else { x };
    ends.close(&mut b, x, table, targets, training);
    b.program
}

/// The program of an evaluation up to the last stream, before its norm and the head.
pub fn trunk(stack: &Architecture, ends: &Ends, samples: usize) -> Program {
    let mut b = Builder::new(stack, samples, false);
    let all: Vec<usize> = (1..=stack.depth).collect();
    blocks_of(&mut b, ends, &all);
    b.program
}

/// The inputs, the front and these blocks: the last stream, the table of the front and the targets.
fn blocks_of(b: &mut Builder, ends: &Ends, blocks: &[usize]) -> (Id, Id, Id) {
    let wiring = &b.stack.wiring;
    let (read, targets) = ends.inputs(b, b.samples());
    b.clock = Some(b.program.input(CLOCK, &[2]));

    b.program.enter("", Some(0));
    let table = ends.table(b);
    let x = ends.embed(b, read, table);
    let x = place(b, x);

    let mut streams = wiring.open(b, x);
    for &layer in blocks {
        b.program.enter(&format!("blocks.{}", layer - 1), Some(layer));
        streams = b.block(layer, streams);
    }

    b.program.enter("", None);
    (wiring.close(b, streams), table, targets)
}

/// The program of one block by itself, from an input `x` of `[samples, seq, width]` to its stream.
///
/// The block of the field's tutorials: Pre-LN, attention of 8 heads without a mask, ReLU
/// feed-forward of four times the width, on 10 tokens of each of 32 samples, 512 features wide.
///
/// ```
/// use std::sync::Arc;
/// use plummet::backend::{Buffer, Host, Runner, Unobserved};
/// use plummet::config::RunConfig;
/// use plummet::rng::Rng;
/// use plummet::stack::{self, Architecture};
///
/// let (seq, batch, width) = (10, 32, 512);
/// let config = RunConfig { width, heads: 8, seq, depth: 1, ..RunConfig::default() };
/// let unmasked = Architecture { causal: false, ..config.architecture() };
/// let program = Arc::new(stack::block(&unmasked, batch));
/// let weights = config.init.weights(&program, config.depth, None, 1);
/// let weights: Buffer<f32> = weights.into_iter().map(|w| w as f32).collect();
///
/// let mut runner = Runner::inference(Host::<f32>::new(), program.clone());
/// let mut rng = Rng::new(2);
/// runner.input(program.find("x").unwrap()).fill_with(|| rng.normal() as f32);
/// runner.forward(&weights, &Buffer::default(), &mut Unobserved);
/// assert_eq!(runner.output().len(), seq * batch * width);
/// assert!(runner.output().iter().all(|y| y.is_finite()));
/// ```
pub fn block(stack: &Architecture, samples: usize) -> Program {
    let mut b = Builder::new(stack, samples, false);
    let x = b.program.input("x", &[samples, stack.seq, stack.width]);
    b.clock = Some(b.program.input(CLOCK, &[2]));
    let streams = stack.wiring.open(&mut b, x);
    b.block(1, streams);
    b.program
}

/// What is embedded to the first residual stream.
fn place(b: &mut Builder, mut x: Id) -> Id {
    let stack = b.stack;
    if stack.positions == Positions::Learned {
        let shape = [stack.places, stack.width];
        let places = b.program.weight("positions.weight", &shape, Start::Drawn(Role::Positions));
        x = b.program.apply("placed", AddPositions, &[x, places]);
    }
    if stack.norms_embedding {
        x = b.norm("embed_norm", x);
    }
    x = b.dropout("embed.dropped", x);
    b.program.call(x, "stream");
    x
}
