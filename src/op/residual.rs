//! The residual stream meets a branch.
//!
//! [`Residual`]: y = alpha·x + beta·branch with constants (DeepNorm's alpha, Wang et al. 2022).
//! [`GainedResidual`]: y = x + gain ⊙ branch with a learned gain, one number (ReZero, Bachlechner
//! et al. 2020) or one per column (LayerScale, Touvron et al. 2021).
//! [`Scale`]: y = factor·x (LayerNorm scaling's 1/√l, Sun et al. 2025).

use super::device::{Chip, ColumnSums, Kernels, Launch, Param, Ptx, ptx};
use super::simd;
use super::{Arg, Fast, Grad, Op, Property, Reference, Shape, View};
use crate::num::Num;

/// y = alpha·x + beta·branch.
#[derive(Debug, Clone, Copy)]
pub struct Residual {
    /// Factor of the stream.
    pub alpha: f64,
    /// Factor of the branch.
    pub beta: f64,
}

impl Residual {
    /// y = x + branch.
    pub const PLAIN: Residual = Residual { alpha: 1.0, beta: 1.0 };
}

impl Op for Residual {
    fn id(&self) -> &'static str {
        "residual"
    }
    fn args(&self) -> &'static [Arg] {
        const ARGS: &[Arg] = &[Arg::real("x"), Arg::real("branch")];
        ARGS
    }
    crate::constants! { dyn Op; alpha: Finite, beta: Finite }
    fn outputs(&self, args: &[Shape]) -> Vec<Shape> {
        assert_eq!(args[0], args[1], "the stream and the branch have one shape");
        vec![args[0]]
    }
    fn example(&self, rows: usize, cols: usize) -> Vec<Shape> {
        vec![Shape::new(&[rows, cols]); 2]
    }
    fn properties(&self) -> &'static [Property] {
        &[Property::PermutationEquivariant, Property::RowIndependent]
    }
    fn vjp_reads(&self, _index: usize) -> bool {
        false
    }
    fn kernels(&self) -> Option<&dyn Kernels> {
        Some(self)
    }
}

impl<T: Num> Reference<T> for Residual {
    fn forward(&self, args: &[View<T>], outs: &mut [&mut [T]]) {
        for (i, y) in outs[0].iter_mut().enumerate() {
            *y = T::num(self.alpha) * args[0].data[i] + T::num(self.beta) * args[1].data[i];
        }
    }
    fn vjp(&self, _args: &[View<T>], dy: &[T], dargs: &mut [&mut [T]]) {
        for (darg, factor) in dargs.iter_mut().zip([self.alpha, self.beta]) {
            for (d, &dy) in darg.iter_mut().zip(dy) {
                *d += T::num(factor) * dy;
            }
        }
    }
}

impl Fast for Residual {
    fn forward(
        &self,
        args: &[View<f32>],
        outs: &mut [&mut [f32]],
        _saved: &mut [f32],
        _scratch: &mut [f32],
    ) {
        let (alpha, beta) = (self.alpha as f32, self.beta as f32);
        let y = &mut *outs[0];
        simd::dispatch!(|| {
            for ((y, x), branch) in y.iter_mut().zip(args[0].data).zip(args[1].data) {
                *y = alpha * x + beta * branch;
            }
        });
    }
    fn vjp(
        &self,
        _args: &[View<f32>],
        dy: &[f32],
        _saved: &[f32],
        dargs: &mut [Grad],
        _scratch: &mut [f32],
    ) {
        for (darg, factor) in dargs.iter_mut().zip([self.alpha as f32, self.beta as f32]) {
            simd::dispatch!(|| darg.put(0..dy.len(), dy.iter().map(|dy| factor * dy)));
        }
    }
}

/// y = x + gain ⊙ branch, with a gain of one element or of one per column.
#[derive(Debug, Clone, Copy)]
pub struct GainedResidual;

impl Op for GainedResidual {
    fn id(&self) -> &'static str {
        "gained_residual"
    }
    fn args(&self) -> &'static [Arg] {
        const ARGS: &[Arg] = &[Arg::real("x"), Arg::real("branch"), Arg::weight("gain").from(0.0)];
        ARGS
    }
    fn outputs(&self, args: &[Shape]) -> Vec<Shape> {
        assert_eq!(args[0], args[1], "the stream and the branch have one shape");
        assert!(args[2].len() == 1 || args[2].len() == args[0].cols(), "a gain of {:?}", args[2]);
        vec![args[0]]
    }
    /// An odd number of rows shows the gain of one number, an even one the gain per column.
    fn example(&self, rows: usize, cols: usize) -> Vec<Shape> {
        let x = Shape::new(&[rows, cols]);
        vec![x, x, Shape::new(&[if rows % 2 == 1 { 1 } else { cols }])]
    }
    fn properties(&self) -> &'static [Property] {
        &[Property::PermutationEquivariant, Property::RowIndependent]
    }
    fn vjp_reads(&self, index: usize) -> bool {
        index > 0
    }
    fn kernels(&self) -> Option<&dyn Kernels> {
        Some(self)
    }
}

impl<T: Num> Reference<T> for GainedResidual {
    fn forward(&self, args: &[View<T>], outs: &mut [&mut [T]]) {
        let [x, branch, gain] = [args[0], args[1], args[2]];
        for (i, y) in outs[0].iter_mut().enumerate() {
            *y = x.data[i] + gain.data[i % gain.data.len()] * branch.data[i];
        }
    }
    fn vjp(&self, args: &[View<T>], dy: &[T], dargs: &mut [&mut [T]]) {
        let [branch, gain] = [args[1], args[2]];
        for (i, &dy) in dy.iter().enumerate() {
            let g = i % gain.data.len();
            if let Some(dx) = dargs[0].get_mut(i) {
                *dx += dy;
            }
            if let Some(dbranch) = dargs[1].get_mut(i) {
                *dbranch += gain.data[g] * dy;
            }
            if let Some(dgain) = dargs[2].get_mut(g) {
                *dgain += dy * branch.data[i];
            }
        }
    }
}

impl Fast for GainedResidual {
    fn forward(
        &self,
        args: &[View<f32>],
        outs: &mut [&mut [f32]],
        _saved: &mut [f32],
        _scratch: &mut [f32],
    ) {
        let [x, branch, gain] = [args[0], args[1], args[2]];
        let cols = x.shape.cols();
        let y = &mut *outs[0];
        simd::dispatch!(|| {
            if let [gain] = *gain.data {
                for ((y, x), branch) in y.iter_mut().zip(x.data).zip(branch.data) {
                    *y = gain.mul_add(*branch, *x);
                }
            } else {
                for (i, y) in y.chunks_exact_mut(cols).enumerate() {
                    let inner = x.row(i).iter().zip(branch.row(i)).zip(gain.data);
                    for (y, ((x, branch), gain)) in y.iter_mut().zip(inner) {
                        *y = gain.mul_add(*branch, *x);
                    }
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
        let [branch, gain] = [args[1], args[2]];
        let (rows, cols) = (branch.shape.rows(), branch.shape.cols());
        let [dx, dbranch, dgain] = dargs else { unreachable!("three arguments") };
        let dgain = dgain.to_add();
        simd::dispatch!(|isa| for block in simd::row_blocks(rows, cols) {
            for i in block.clone() {
                let row = i * cols..(i + 1) * cols;
                let dy = &dy[row.clone()];
                dx.put(row.clone(), dy.iter().copied());
                if let [gain] = *gain.data {
                    dbranch.put(row, dy.iter().map(|dy| gain * dy));
                    if let Some(dgain) = dgain.first_mut() {
                        *dgain += simd::dot(isa, dy, branch.row(i));
                    }
                } else {
                    dbranch.put(row, dy.iter().zip(gain.data).map(|(dy, gain)| gain * dy));
                }
            }
            if gain.data.len() > 1 {
                let xs = [dy, branch.data];
                simd::add_columns(dgain, block, xs, [], |sum, _, [dy, x], []| dy.mul_add(x, sum));
            }
        });
    }
}

/// y = factor·x.
#[derive(Debug, Clone, Copy)]
pub struct Scale {
    /// The constant factor.
    pub factor: f64,
}

impl Op for Scale {
    fn id(&self) -> &'static str {
        "scale"
    }
    fn args(&self) -> &'static [Arg] {
        const ARGS: &[Arg] = &[Arg::real("x")];
        ARGS
    }
    crate::constants! { dyn Op; factor: Finite }
    fn outputs(&self, args: &[Shape]) -> Vec<Shape> {
        vec![args[0]]
    }
    fn example(&self, rows: usize, cols: usize) -> Vec<Shape> {
        vec![Shape::new(&[rows, cols])]
    }
    fn properties(&self) -> &'static [Property] {
        use Property::*;
        &[Linear, Odd, PermutationEquivariant, RowIndependent]
    }
    fn vjp_reads(&self, _index: usize) -> bool {
        false
    }
    fn kernels(&self) -> Option<&dyn Kernels> {
        Some(self)
    }
}

impl<T: Num> Reference<T> for Scale {
    fn forward(&self, args: &[View<T>], outs: &mut [&mut [T]]) {
        for (y, &x) in outs[0].iter_mut().zip(args[0].data) {
            *y = T::num(self.factor) * x;
        }
    }
    fn vjp(&self, _args: &[View<T>], dy: &[T], dargs: &mut [&mut [T]]) {
        for (dx, &dy) in dargs[0].iter_mut().zip(dy) {
            *dx += T::num(self.factor) * dy;
        }
    }
}

impl Fast for Scale {
    fn forward(
        &self,
        args: &[View<f32>],
        outs: &mut [&mut [f32]],
        _saved: &mut [f32],
        _scratch: &mut [f32],
    ) {
        let factor = self.factor as f32;
        simd::dispatch!(|| {
            for (y, x) in outs[0].iter_mut().zip(args[0].data) {
                *y = factor * x;
            }
        });
    }
    fn vjp(
        &self,
        _args: &[View<f32>],
        dy: &[f32],
        _saved: &[f32],
        dargs: &mut [Grad],
        _scratch: &mut [f32],
    ) {
        let factor = self.factor as f32;
        simd::dispatch!(|| dargs[0].put(0..dy.len(), dy.iter().map(|dy| factor * dy)));
    }
}

impl Kernels for Residual {
    fn ptx(&self) -> Ptx {
        ptx!("residual")
    }

    fn forward(&self, args: &[Shape], chip: &Chip) -> Vec<Launch> {
        use Param::*;
        let len = args[0].len();
        let constants = [U64(len as u64), F32(self.alpha as f32), F32(self.beta as f32)];
        let params = [&[Arg(0), Arg(1), Out(0)][..], &constants].concat();
        vec![Launch::by_vectors("residual_forward", len, chip, &params)]
    }

    fn vjp(&self, args: &[Shape], chip: &Chip) -> Vec<Launch> {
        use Param::*;
        let len = args[0].len();
        let constants = [U64(len as u64), F32(self.alpha as f32), F32(self.beta as f32)];
        let params = [&[Dy, Grad(0), Grad(1)][..], &constants].concat();
        vec![Launch::by_vectors("residual_vjp", len, chip, &params)]
    }
}

impl GainedResidual {
    /// The sums of dgain: over the rows, or over all elements where the gain is one number.
    fn sums(args: &[Shape], chip: &Chip) -> ColumnSums {
        let gains = args[2].len();
        ColumnSums::new(args[0].len() / gains, gains, chip)
    }
}

impl Kernels for GainedResidual {
    fn ptx(&self) -> Ptx {
        ptx!("residual")
    }

    /// Partial sums of dgain.
    fn scratch(&self, args: &[Shape], chip: &Chip) -> usize {
        Self::sums(args, chip).scratch()
    }

    fn forward(&self, args: &[Shape], chip: &Chip) -> Vec<Launch> {
        use Param::*;
        let (len, gains) = (args[0].len(), args[2].len());
        let params = [Arg(0), Arg(1), Arg(2), Out(0), U64(len as u64), U32(gains as u32)];
        vec![Launch::by_vectors("gained_residual_forward", len, chip, &params)]
    }

    fn vjp(&self, args: &[Shape], chip: &Chip) -> Vec<Launch> {
        use Param::*;
        let sums = Self::sums(args, chip);
        vec![
            sums.parts("gained_residual_vjp", &[Arg(1), Arg(2), Dy, Grad(0), Grad(1)]),
            sums.totals("gained_residual_dgain", 2),
        ]
    }
}

impl Kernels for Scale {
    fn ptx(&self) -> Ptx {
        ptx!("residual")
    }

    fn forward(&self, args: &[Shape], chip: &Chip) -> Vec<Launch> {
        use Param::*;
        let len = args[0].len();
        let params = [Arg(0), Out(0), U32(0), U64(len as u64), F32(self.factor as f32)];
        vec![Launch::by_vectors("scale_by_factor", len, chip, &params)]
    }

    fn vjp(&self, args: &[Shape], chip: &Chip) -> Vec<Launch> {
        use Param::*;
        let len = args[0].len();
        let params = [Dy, Grad(0), U64(len as u64), F32(self.factor as f32)];
        vec![Launch::by_vectors("scale_by_factor", len, chip, &params)]
    }
}
