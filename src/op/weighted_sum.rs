//! A weighted sum of tensors of one shape, its weights a row of a learned matrix
//! (hyper-connections, Zhu et al. 2024, arXiv 2409.19606).
//!
//! y = Σⱼ w_rj·xⱼ. dxⱼ = w_rj·dy, dw_rj = Σ dy·xⱼ over all elements; the other rows of w are not met.

use super::device::{Chip, Kernels, Launch, Param, Ptx, ptx};
use super::simd;
use super::{Arg, Fast, Grad, MAX_ARGS, Op, Property, Reference, Shape, View};
use crate::num::Num;

/// The most terms of a sum.
pub const MOST_TERMS: usize = MAX_ARGS - 1;

/// `y = Σⱼ weight[row][j]·xⱼ`, with a weight of `[rows, terms]` behind the first x.
#[derive(Debug, Clone, Copy)]
pub struct WeightedSum {
    /// How many tensors are added.
    pub terms: usize,
    /// The row of the weight that this sum takes.
    pub row: usize,
}

/// The argument that is term j: the weight stands behind the first.
fn argument(j: usize) -> usize {
    if j == 0 { 0 } else { j + 1 }
}

impl WeightedSum {
    /// Where the weights of this sum are in the matrix.
    fn place(&self, j: usize) -> usize {
        self.row * self.terms + j
    }
}

impl Op for WeightedSum {
    fn id(&self) -> &'static str {
        "weighted_sum"
    }
    fn args(&self) -> &'static [Arg] {
        const ARGS: &[Arg; MAX_ARGS] = &[
            Arg::real("x"),
            Arg::weight("weight"),
            Arg::real("x2"),
            Arg::real("x3"),
            Arg::real("x4"),
            Arg::real("x5"),
            Arg::real("x6"),
            Arg::real("x7"),
        ];
        &ARGS[..self.terms + 1]
    }
    crate::constants! { dyn Op; terms: Count, row: Any }
    fn outputs(&self, args: &[Shape]) -> Vec<Shape> {
        let weight = args[1];
        assert!(args[2..].iter().all(|&x| x == args[0]), "all terms have the shape {:?}", args[0]);
        assert!(weight.cols() == self.terms && self.row < weight.rows(), "weights {weight:?}");
        vec![args[0]]
    }
    /// Of a matrix with a row that the sum does not meet.
    fn example(&self, rows: usize, cols: usize) -> Vec<Shape> {
        let mut shapes = vec![Shape::new(&[rows, cols]); self.terms + 1];
        shapes[1] = Shape::new(&[self.row + 2, self.terms]);
        shapes
    }
    fn properties(&self) -> &'static [Property] {
        &[Property::PermutationEquivariant, Property::RowIndependent]
    }
    fn kernels(&self) -> Option<&dyn Kernels> {
        Some(self)
    }
}

impl<T: Num> Reference<T> for WeightedSum {
    fn forward(&self, args: &[View<T>], outs: &mut [&mut [T]]) {
        for (i, y) in outs[0].iter_mut().enumerate() {
            let mut sum = T::zero();
            for j in 0..self.terms {
                sum += args[1].data[self.place(j)] * args[argument(j)].data[i];
            }
            *y = sum;
        }
    }
    fn vjp(&self, args: &[View<T>], dy: &[T], dargs: &mut [&mut [T]]) {
        for j in 0..self.terms {
            let (x, weight) = (args[argument(j)], args[1].data[self.place(j)]);
            for (i, &dy) in dy.iter().enumerate() {
                if let Some(dx) = dargs[argument(j)].get_mut(i) {
                    *dx += weight * dy;
                }
                if let Some(dweight) = dargs[1].get_mut(self.place(j)) {
                    *dweight += dy * x.data[i];
                }
            }
        }
    }
}

impl Fast for WeightedSum {
    fn forward(
        &self,
        args: &[View<f32>],
        outs: &mut [&mut [f32]],
        _saved: &mut [f32],
        _scratch: &mut [f32],
    ) {
        let y = &mut *outs[0];
        // Term by term over what stays in the first cache.
        simd::dispatch!(|| for block in simd::row_blocks(y.len(), 1) {
            let y = &mut y[block.clone()];
            for j in 0..self.terms {
                let (x, weight) =
                    (&args[argument(j)].data[block.clone()], args[1].data[self.place(j)]);
                let terms = y.iter_mut().zip(x);
                if j == 0 {
                    terms.for_each(|(y, x)| *y = weight * x);
                } else {
                    terms.for_each(|(y, x)| *y = weight.mul_add(*x, *y));
                }
            }
        });
    }
    fn vjp(
        &self,
        args: &[View<f32>],
        dy: &[f32],
        _saved: &[f32],
        dargs: &mut [Grad],
        _scratch: &mut [f32],
    ) {
        simd::dispatch!(|isa| for j in 0..self.terms {
            let (x, weight) = (args[argument(j)].data, args[1].data[self.place(j)]);
            dargs[argument(j)].put(0..dy.len(), dy.iter().map(|dy| weight * dy));
            if let Some(dweight) = dargs[1].to_add().get_mut(self.place(j)) {
                *dweight += simd::dot(isa, dy, x);
            }
        });
    }
}

/// Threads of a block.
const THREADS: u32 = 256;

impl WeightedSum {
    /// Blocks that share a term out among them: each takes a few vectors a thread at least.
    fn blocks(x: Shape, chip: &Chip) -> usize {
        chip.blocks(x.len().div_ceil(4 * chip.vector() * THREADS as usize))
    }

    /// The row of the weight and the number of terms, as kernels take them.
    fn place_of_weights(&self) -> [Param; 2] {
        [self.row, self.terms].map(|n| Param::U32(n as u32))
    }
}

impl Kernels for WeightedSum {
    fn ptx(&self) -> Ptx {
        ptx!("weighted_sum")
    }

    /// Of every term a part of the sum for every block, of dweight.
    fn scratch(&self, args: &[Shape], chip: &Chip) -> usize {
        self.terms * Self::blocks(args[0], chip)
    }

    /// Behind the last term the kernel is given the first again, which it does not read.
    fn forward(&self, args: &[Shape], chip: &Chip) -> Vec<Launch> {
        use Param::*;
        let len = args[0].len();
        let term = |j| Arg(argument(if j < self.terms { j } else { 0 }));
        let terms: [Param; MOST_TERMS] = std::array::from_fn(term);
        let own = [Arg(1), Out(0), U64(len as u64)];
        let params = [&terms[..], &own, &self.place_of_weights()].concat();
        vec![Launch::by_vectors("weighted_sum_forward", len, chip, &params)]
    }

    fn vjp(&self, args: &[Shape], chip: &Chip) -> Vec<Launch> {
        use Param::*;
        let (len, blocks) = (args[0].len(), Self::blocks(args[0], chip));
        let of_term = |j: usize| {
            let at = argument(j);
            let tensors = [Arg(at), Arg(1), Dy, Grad(at), Scratch(0), U64(len as u64)];
            let params = [&tensors[..], &self.place_of_weights(), &[U32(j as u32)]].concat();
            Launch::new("weighted_sum_vjp", blocks, THREADS, &params)
        };
        let sums = [Scratch(0), Grad(1), U32(blocks as u32)];
        let params = [&sums[..], &self.place_of_weights()].concat();
        let dweight = Launch::new("weighted_sum_dweight", args[1].len(), THREADS, &params);
        (0..self.terms).map(of_term).chain([dweight]).collect()
    }
}
