//! The kernels of the losses that are −ln p of targets: how they are launched, over targets.

use super::{BinaryCrossEntropy, GaussianNll, StudentNll};
use crate::op::Shape;
use crate::op::device::{Chip, Kernels, Launch, Param, Ptx, ptx};

/// Threads of a block.
const THREADS: u32 = 256;

/// Blocks that share the targets out among them: each takes a few a thread at least.
fn blocks(target: Shape, chip: &Chip) -> usize {
    chip.blocks(target.len().div_ceil(4 * THREADS as usize))
}

/// The mean over the parts that the blocks of `kernel` leave.
fn forward(kernel: &'static str, target: Shape, chip: &Chip) -> Vec<Launch> {
    use Param::*;
    let (count, blocks) = (U64(target.len() as u64), blocks(target, chip));
    let total = [Scratch(0), Out(0), U32(blocks as u32), count];
    vec![
        Launch::new(kernel, blocks, THREADS, &[Arg(0), Arg(1), Scratch(0), count]),
        Launch::new("likelihood_total", 1, THREADS, &total),
    ]
}

/// The slopes of every target and of what predicts it.
fn vjp(kernel: &'static str, target: Shape) -> Vec<Launch> {
    use Param::*;
    let tensors = [Arg(0), Arg(1), Dy, Grad(0), Grad(1), U64(target.len() as u64)];
    vec![Launch::each(kernel, target.len(), &tensors)]
}

macro_rules! likelihood {
    ($loss:ty, $parts:literal, $slopes:literal) => {
        impl Kernels for $loss {
            fn ptx(&self) -> Ptx {
                ptx!("likelihood")
            }
            fn keeps_f32(&self, _index: usize) -> bool {
                true
            }
            /// Two parts of the sum for every block.
            fn scratch(&self, args: &[Shape], chip: &Chip) -> usize {
                2 * blocks(args[1], chip)
            }
            fn forward(&self, args: &[Shape], chip: &Chip) -> Vec<Launch> {
                forward($parts, args[1], chip)
            }
            fn vjp(&self, args: &[Shape], _chip: &Chip) -> Vec<Launch> {
                vjp($slopes, args[1])
            }
        }
    };
}

likelihood!(GaussianNll, "gaussian_nll_parts", "gaussian_nll_slopes");
likelihood!(StudentNll, "student_nll_parts", "student_nll_slopes");
likelihood!(BinaryCrossEntropy, "binary_cross_entropy_parts", "binary_cross_entropy_slopes");
