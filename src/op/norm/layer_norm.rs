//! Layer normalisation (Ba, Kiros & Hinton 2016, arXiv 1607.06450, equation 3).
//!
//! μ = mean(x), σ² = mean((x − μ)²), s = 1/√(σ² + eps), x̂ = (x − μ)·s, y = weight ⊙ x̂ + bias,
//! over the last axis. With w = weight ⊙ dy:
//! dx = s·(w − mean(w) − x̂·mean(w ⊙ x̂)), dweight = Σ dy ⊙ x̂, dbias = Σ dy, sums over rows.
//!
//! The variance is that of the centred values, never mean(x²) − μ²: the one-pass form loses
//! (mean/std)²·u relative accuracy and can go below zero.

use std::ops::Range;

use super::launch::{self, Rows};
use crate::choice::Described;
use crate::num::Num;
use crate::op::device::{Chip, Kernels, Launch, Param, Ptx, ptx};
use crate::op::simd::{self, Isa, or_neutral, sum, sum_of_squares_around};
use crate::op::{Arg, Fast, Grad, Op, Property, Reference, Shape, View};

/// Layer normalisation over the last axis; weight and bias are optional.
#[derive(Debug, Clone, Copy)]
pub struct LayerNorm {
    /// Added to the variance, in the units of x squared.
    pub eps: f64,
}

impl Described for LayerNorm {
    const ID: &'static str = "layer_norm";
    const ABOUT: &'static str = "(x − mean)/√(var + eps)·weight + bias (Ba et al. 2016)";
    fn new() -> Self {
        LayerNorm { eps: 1e-5 }
    }
}

impl Op for LayerNorm {
    fn id(&self) -> &'static str {
        Self::ID
    }
    fn args(&self) -> &'static [Arg] {
        const ARGS: &[Arg] = &[
            Arg::real("x"),
            Arg::weight("weight").from(1.0).optional(),
            Arg::weight("bias").from(0.0).optional(),
        ];
        ARGS
    }
    crate::constants! { dyn Op; eps: NotNegative }
    fn outputs(&self, args: &[Shape]) -> Vec<Shape> {
        let cols = args[0].cols();
        for own in &args[1..] {
            assert!(own.is_empty() || own.len() == cols, "{own:?} for rows of {cols}");
        }
        vec![args[0]]
    }
    fn example(&self, rows: usize, cols: usize) -> Vec<Shape> {
        super::example(&[cols, cols], rows, cols)
    }
    fn properties(&self) -> &'static [Property] {
        use Property::*;
        &[ShiftInvariant, ScaleInvariant, Odd, PermutationEquivariant, RowIndependent]
    }
    fn vjp_reads(&self, index: usize) -> bool {
        index < 2
    }
    fn kernels(&self) -> Option<&dyn Kernels> {
        Some(self)
    }
}

impl<T: Num> Reference<T> for LayerNorm {
    fn forward(&self, args: &[View<T>], outs: &mut [&mut [T]]) {
        let [x, weight, bias] = [args[0], args[1], args[2]];
        let cols = x.shape.cols();
        for i in 0..x.shape.rows() {
            let (xhat, _) = normalized(x.row(i), self.eps);
            for j in 0..cols {
                let scaled = weight.get(j).map_or(xhat[j], |&w| w * xhat[j]);
                outs[0][i * cols + j] = bias.get(j).map_or(scaled, |&b| scaled + b);
            }
        }
    }

    fn vjp(&self, args: &[View<T>], dy: &[T], dargs: &mut [&mut [T]]) {
        let [x, weight] = [args[0], args[1]];
        let cols = x.shape.cols();
        let n = T::count(cols);
        for i in 0..x.shape.rows() {
            let (xhat, rstd) = normalized(x.row(i), self.eps);
            let dy = &dy[i * cols..(i + 1) * cols];
            let (mut mean, mut projection) = (T::zero(), T::zero());
            for j in 0..cols {
                let w = weight.get(j).map_or(dy[j], |&g| g * dy[j]);
                mean += w;
                projection += w * xhat[j];
            }
            for j in 0..cols {
                let w = weight.get(j).map_or(dy[j], |&g| g * dy[j]);
                if let Some(dx) = dargs[0].get_mut(i * cols + j) {
                    *dx += rstd * (w - mean / n - xhat[j] * (projection / n));
                }
                if let Some(dweight) = dargs[1].get_mut(j) {
                    *dweight += dy[j] * xhat[j];
                }
                if let Some(dbias) = dargs[2].get_mut(j) {
                    *dbias += dy[j];
                }
            }
        }
    }
}

/// x̂ and 1/√(var + eps) of one row.
fn normalized<T: Num>(x: &[T], eps: f64) -> (Vec<T>, T) {
    let n = T::count(x.len());
    let mut mean = T::zero();
    for &v in x {
        mean += v;
    }
    mean = mean / n;
    let mut var = T::zero();
    for &v in x {
        var += (v - mean) * (v - mean);
    }
    let rstd = T::one() / (var / n + T::num(eps)).sqrt();
    (x.iter().map(|&v| (v - mean) * rstd).collect(), rstd)
}

impl Fast for LayerNorm {
    /// mean and rstd of every row.
    fn saved(&self, args: &[Shape]) -> usize {
        2 * args[0].rows()
    }
    /// A weight and a bias that change nothing, where there are none.
    fn scratch(&self, args: &[Shape]) -> usize {
        2 * args[0].cols()
    }

    fn forward(
        &self,
        args: &[View<f32>],
        outs: &mut [&mut [f32]],
        saved: &mut [f32],
        scratch: &mut [f32],
    ) {
        let x = args[0];
        let cols = x.shape.cols();
        let (ones, zeros) = scratch.split_at_mut(cols);
        let weight = or_neutral(args[1].data, ones, 1.0);
        let bias = or_neutral(args[2].data, zeros, -0.0);
        let (y, eps) = (&mut *outs[0], self.eps as f32);
        simd::dispatch!(|isa, cols| {
            let (per_col, weight, bias) = (1.0 / cols as f32, &weight[..cols], &bias[..cols]);
            let rows = x.data.chunks_exact(cols).zip(y.chunks_exact_mut(cols));
            for ((x, y), stats) in rows.zip(saved.chunks_exact_mut(2)) {
                let mean = sum(isa, x) * per_col;
                let var = sum_of_squares_around(isa, x, mean) * per_col;
                let rstd = 1.0 / (var + eps).sqrt();
                for (((y, x), w), b) in y.iter_mut().zip(x).zip(weight).zip(bias) {
                    *y = ((x - mean) * rstd).mul_add(*w, *b);
                }
                stats.copy_from_slice(&[mean, rstd]);
            }
        });
    }

    fn vjp(
        &self,
        args: &[View<f32>],
        dy: &[f32],
        saved: &[f32],
        dargs: &mut [Grad],
        scratch: &mut [f32],
    ) {
        let x = args[0];
        let (rows, cols) = (x.shape.rows(), x.shape.cols());
        let weight = or_neutral(args[1].data, &mut scratch[..cols], 1.0);
        let [dx, dweight, dbias] = dargs else { unreachable!("three arguments") };
        let (dweight, dbias) = (dweight.to_add(), dbias.to_add());
        simd::dispatch!(|isa, cols| for block in simd::row_blocks(rows, cols) {
            for i in block.clone() {
                let row = i * cols..(i + 1) * cols;
                row_vjp(isa, dx, row, x.data, dy, &weight[..cols], &saved[2 * i..]);
            }
            simd::add_columns(dweight, block.clone(), [x.data, dy], [], |sum, i, [x, dy], []| {
                dy.mul_add((x - saved[2 * i]) * saved[2 * i + 1], sum)
            });
            simd::add_columns(dbias, block, [dy], [], |sum, _, [dy], []| sum + dy);
        });
    }
}

/// dx of one row: s·w + (x − μ)·(−s³·mean(w ⊙ (x − μ))) − s·mean(w), with x̂ written out.
#[inline(always)]
fn row_vjp(
    isa: Isa,
    dx: &mut Grad,
    row: Range<usize>,
    x: &[f32],
    dy: &[f32],
    weight: &[f32],
    stats: &[f32],
) {
    let (x, dy, mean, rstd) = (&x[row.clone()], &dy[row.clone()], stats[0], stats[1]);
    let per_col = 1.0 / x.len() as f32;
    let along = |lane: f32, [x, dy, w]: [f32; 3]| (x - mean).mul_add(dy * w, lane);
    let shift = -rstd * (simd::dot(isa, dy, weight) * per_col);
    let slope = -rstd * (rstd * (rstd * (simd::sum_of(isa, [x, dy, weight], along) * per_col)));
    let elements = x.iter().zip(dy).zip(weight);
    // Of one column nothing is left: the first two terms are a number and its opposite.
    let straight = |dy: f32, w: f32| rstd * (dy * w) + shift;
    dx.put(row, elements.map(|((x, dy), w)| (x - mean).mul_add(slope, straight(*dy, *w))));
}

impl Kernels for LayerNorm {
    fn ptx(&self) -> Ptx {
        ptx!("layer_norm")
    }

    /// mean and rstd of every row.
    fn saved(&self, args: &[Shape], _chip: &Chip) -> usize {
        2 * args[0].rows()
    }

    /// Two rows of partial sums for every block, of dweight and of dbias.
    fn scratch(&self, args: &[Shape], chip: &Chip) -> usize {
        2 * args[0].cols() * Rows::of(args[0], chip).blocks()
    }

    fn forward(&self, args: &[Shape], chip: &Chip) -> Vec<Launch> {
        use Param::*;
        const KERNELS: launch::Names =
            ["layer_norm_forward_narrow", "layer_norm_forward_warp", "layer_norm_forward_block"];
        let rows = Rows::of(args[0], chip);
        let tensors = [Arg(0), Arg(1), Arg(2), Out(0), Saved(0)];
        let params = [&tensors[..], &rows.sizes(), &[F32(self.eps as f32)]].concat();
        vec![rows.each(KERNELS, &params)]
    }

    fn vjp(&self, args: &[Shape], chip: &Chip) -> Vec<Launch> {
        use Param::*;
        const KERNELS: launch::Names =
            ["layer_norm_vjp_narrow", "layer_norm_vjp_warp", "layer_norm_vjp_block"];
        let (rows, cols) = (Rows::of(args[0], chip), args[0].cols());
        let tensors = [Arg(0), Arg(1), Dy, Saved(0), Grad(0), Scratch(0)];
        let params = [&tensors[..], &rows.sizes()].concat();
        let blocks = rows.blocks();
        let sums = [Scratch(0), Grad(1), Grad(2), launch::count(blocks), launch::count(cols)];
        vec![
            rows.sum(KERNELS, &params),
            launch::columns("layer_norm_dweight", blocks, 2 * cols, &sums),
        ]
    }
}
