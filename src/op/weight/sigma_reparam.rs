//! σReparam (Zhai et al. 2023, arXiv 2303.06296, section 3): a matrix over its largest singular
//! value.
//!
//! σ = vᵀ·W·u, y = gamma·W/σ with u and v of one [`PowerIteration`] a step, which are constants to the
//! derivative: dW = gamma/σ·(dy − (⟨dy, W⟩/σ)·v·uᵀ), dgamma = ⟨dy, W⟩/σ. At the singular vectors
//! themselves that is the whole derivative, since σ is largest there.
//!
//! gamma starts at 1, as in the paper and the authors' code for speech; their code for images starts
//! it at σ. A step into the iteration σ is below the largest singular value, and y above gamma.

use std::sync::Arc;

use super::Form;
use super::power_iteration::PowerIteration;
use crate::choice::Described;
use crate::num::Num;
use crate::op::device::{Chip, Kernels, Launch, Param, Ptx, ptx};
use crate::op::simd::{self, dot};
use crate::op::{Arg, Fast, Grad, Kind, Op, Reference, Shape, SharedOp, View};

/// A matrix over vᵀ·W·u, times gamma.
#[derive(Debug, Clone, Copy)]
pub struct SigmaReparam;

impl Described for SigmaReparam {
    const ID: &'static str = "sigma_reparam";
    const ABOUT: &'static str =
        "W/σ(W)·gamma, σ by one power iteration a step, gamma from 1 (Zhai et al. 2023)";
    fn new() -> Self {
        SigmaReparam
    }
}

impl Form for SigmaReparam {
    fn operators(&self) -> Vec<SharedOp> {
        vec![Arc::new(PowerIteration), Arc::new(*self)]
    }
}

impl Op for SigmaReparam {
    fn id(&self) -> &'static str {
        Self::ID
    }
    fn args(&self) -> &'static [Arg] {
        const ARGS: &[Arg] = &[
            Arg::weight("weight"),
            Arg::new("v", Kind::State),
            Arg::new("u", Kind::State),
            Arg::weight("gamma").from(1.0),
        ];
        ARGS
    }
    fn outputs(&self, args: &[Shape]) -> Vec<Shape> {
        let own = [args[0].rows(), args[0].cols(), 1];
        assert!(args[1..].iter().zip(own).all(|(arg, len)| arg.len() == len), "{args:?}");
        vec![args[0]]
    }
    fn example(&self, rows: usize, cols: usize) -> Vec<Shape> {
        super::example(&[rows, cols, 1], rows, cols)
    }
    fn kernels(&self) -> Option<&dyn Kernels> {
        Some(self)
    }
}

impl<T: Num> Reference<T> for SigmaReparam {
    fn forward(&self, args: &[View<T>], outs: &mut [&mut [T]]) {
        let (sigma, gamma) = (sigma(args), args[3].data[0]);
        for (y, &w) in outs[0].iter_mut().zip(args[0].data) {
            *y = gamma * (w / sigma);
        }
    }

    fn vjp(&self, args: &[View<T>], dy: &[T], dargs: &mut [&mut [T]]) {
        let [weight, v, u] = [args[0], args[1], args[2]];
        let (sigma, gamma, cols) = (sigma(args), args[3].data[0], weight.shape.cols());
        let mut along = T::zero();
        for (&dy, &w) in dy.iter().zip(weight.data) {
            along += dy * w;
        }
        along = along / sigma;
        for (at, &dy) in dy.iter().enumerate() {
            if let Some(dweight) = dargs[0].get_mut(at) {
                *dweight += gamma / sigma * (dy - along * v.data[at / cols] * u.data[at % cols]);
            }
        }
        if let Some(dgamma) = dargs[3].first_mut() {
            *dgamma += along;
        }
    }
}

/// vᵀ·W·u.
fn sigma<T: Num>(args: &[View<T>]) -> T {
    let [weight, v, u] = [args[0], args[1], args[2]];
    let mut sigma = T::zero();
    for (i, &v) in v.data.iter().enumerate() {
        let mut row = T::zero();
        for (&w, &u) in weight.row(i).iter().zip(u.data) {
            row += w * u;
        }
        sigma += v * row;
    }
    sigma
}

impl Fast for SigmaReparam {
    /// 1/σ.
    fn saved(&self, _args: &[Shape]) -> usize {
        1
    }

    fn forward(
        &self,
        args: &[View<f32>],
        outs: &mut [&mut [f32]],
        saved: &mut [f32],
        _scratch: &mut [f32],
    ) {
        let [weight, v, u] = [args[0], args[1], args[2]];
        let (cols, gamma) = (weight.shape.cols(), args[3].data[0]);
        let y = &mut *outs[0];
        simd::dispatch!(|isa, cols| {
            let mut sigma = 0.0f32;
            for (v, row) in v.data.iter().zip(weight.data.chunks_exact(cols)) {
                sigma = dot(isa, row, u.data).mul_add(*v, sigma);
            }
            saved[0] = 1.0 / sigma;
            let factor = gamma * saved[0];
            for (y, w) in y.iter_mut().zip(weight.data) {
                *y = w * factor;
            }
        });
    }

    fn vjp(
        &self,
        args: &[View<f32>],
        dy: &[f32],
        saved: &[f32],
        dargs: &mut [Grad],
        _scratch: &mut [f32],
    ) {
        let [weight, v, u] = [args[0], args[1], args[2]];
        let (cols, gamma, inverse) = (weight.shape.cols(), args[3].data[0], saved[0]);
        let [dweight, _, _, dgamma] = dargs else { unreachable!("four arguments") };
        simd::dispatch!(|isa, cols| {
            let along = dot(isa, dy, weight.data) * inverse;
            if let Some(dgamma) = dgamma.to_add().first_mut() {
                *dgamma += along;
            }
            let factor = gamma * inverse;
            for (i, v) in v.data.iter().enumerate() {
                let (row, slope) = (i * cols..(i + 1) * cols, -factor * (along * v));
                let elements = u.data.iter().zip(&dy[row.clone()]);
                dweight.put(row, elements.map(|(u, dy)| factor.mul_add(*dy, u * slope)));
            }
        });
    }
}

/// Threads of a block.
const THREADS: u32 = 256;

impl Kernels for SigmaReparam {
    fn ptx(&self) -> Ptx {
        ptx!("sigma_reparam")
    }

    /// 1/σ.
    fn saved(&self, _args: &[Shape], _chip: &Chip) -> usize {
        1
    }

    /// ⟨dy, W⟩/σ, and a part of a sum for every block.
    fn scratch(&self, args: &[Shape], chip: &Chip) -> usize {
        1 + chip.blocks(args[0].rows())
    }

    fn forward(&self, args: &[Shape], chip: &Chip) -> Vec<Launch> {
        use Param::*;
        let (weight, blocks) = (args[0], chip.blocks(args[0].rows()));
        let sizes = [U64(weight.rows() as u64), U32(weight.cols() as u32)];
        let parts = [&[Arg(0), Arg(1), Arg(2), Scratch(1)], &sizes[..]].concat();
        let y = [Arg(0), Arg(3), Saved(0), Out(0), U64(weight.len() as u64)];
        let inverse = [Scratch(1), Saved(0), U32(blocks as u32)];
        vec![
            Launch::new("sigma_reparam_parts", blocks, THREADS, &parts),
            Launch::new("sigma_reparam_inverse", 1, THREADS, &inverse),
            Launch::by_vectors("sigma_reparam_forward", weight.len(), chip, &y),
        ]
    }

    fn vjp(&self, args: &[Shape], chip: &Chip) -> Vec<Launch> {
        use Param::*;
        let (weight, blocks) = (args[0], chip.blocks(args[0].rows()));
        let (rows, cols) = (U64(weight.rows() as u64), U32(weight.cols() as u32));
        let dgamma = [Scratch(1), Saved(0), Scratch(0), Grad(3), U32(blocks as u32)];
        let tensors = [Dy, Arg(1), Arg(2), Arg(3), Saved(0), Scratch(0), Grad(0)];
        let dweight = [&tensors[..], &[U64(weight.len() as u64), cols]].concat();
        let along = [Arg(0), Dy, Scratch(1), rows, cols];
        vec![
            Launch::new("sigma_reparam_along", blocks, THREADS, &along),
            Launch::new("sigma_reparam_dgamma", 1, THREADS, &dgamma),
            Launch::each("sigma_reparam_dweight", weight.len(), &dweight),
        ]
    }
}
