//! Root mean square normalisation (Zhang & Sennrich 2019, arXiv 1910.07467, equation 4).
//!
//! s = 1/√(mean(x²) + eps), x̂ = x·s, y = (offset + weight) ⊙ x̂, over the last axis.
//! With w = (offset + weight) ⊙ dy:
//! dx = s·(w − x̂·mean(w ⊙ x̂)), dweight = Σ dy ⊙ x̂, a sum over rows.
//! In 16 bits x̂ is rounded before the weight (LLaMA) or only y after it (Gemma, with offset 1).
//!
//! The backward pass takes a rounding for the identity, as automatic differentiation does: dx is
//! made of the unrounded x̂, dweight of the x̂ that was multiplied.

use std::ops::Range;

use super::launch::{self, Rows};
use crate::choice::Described;
use crate::num::{Dtype, Num};
use crate::op::device::{Chip, Kernels, Launch, Param, Ptx, ptx};
use crate::op::simd::{self, Isa, dot};
use crate::op::{Arg, Fast, Grad, Op, Property, Reference, Shape, View};

crate::choices! {
    /// Where x̂ is rounded to the storage format.
    Cast {
        /// x̂ is rounded, then multiplied by the weight, then rounded.
        BeforeWeight = "before_weight",
        /// x̂ is multiplied by the weight, then rounded.
        AfterWeight = "after_weight",
    }
}

crate::choices! {
    /// What y, and x̂ before the weight, are stored in.
    Storage {
        /// The number that computes.
        Own = "own",
        /// bfloat16.
        Bf16 = "bf16",
    }
}

/// Root mean square normalisation over the last axis; the weight is optional.
#[derive(Debug, Clone, Copy)]
pub struct RmsNorm {
    /// Added to the mean square, in the units of x squared.
    pub eps: f64,
    /// Added to the weight: 0, or 1 where the weight is learned around 0 (Gemma).
    pub offset: f64,
    /// Where x̂ is rounded; without effect where nothing is rounded.
    pub cast: Cast,
    /// What y, and x̂ before the weight, are stored in.
    pub storage: Storage,
}

impl Described for RmsNorm {
    const ID: &'static str = "rms_norm";
    const ABOUT: &'static str = "x/√(mean(x²) + eps)·weight (Zhang & Sennrich 2019); \
        Gemma's is rms_norm(offset=1,cast=after_weight)";
    fn new() -> Self {
        RmsNorm { eps: 1e-6, offset: 0.0, cast: Cast::BeforeWeight, storage: Storage::Own }
    }
}

impl Op for RmsNorm {
    fn id(&self) -> &'static str {
        Self::ID
    }
    /// The weight starts where the gain offset + weight is 1, for the two offsets in use.
    fn args(&self) -> &'static [Arg] {
        const PLAIN: &[Arg] = &[Arg::real("x"), Arg::weight("weight").from(1.0).optional()];
        const AROUND_ONE: &[Arg] = &[Arg::real("x"), Arg::weight("weight").from(0.0).optional()];
        if self.offset == 0.0 { PLAIN } else { AROUND_ONE }
    }
    crate::constants! { dyn Op; eps: NotNegative, offset: Finite, cast: Any, storage: Any }
    fn outputs(&self, args: &[Shape]) -> Vec<Shape> {
        let (cols, weight) = (args[0].cols(), args[1]);
        assert!(weight.is_empty() || weight.len() == cols, "{weight:?} for rows of {cols}");
        vec![args[0]]
    }
    fn example(&self, rows: usize, cols: usize) -> Vec<Shape> {
        super::example(&[cols], rows, cols)
    }
    fn properties(&self) -> &'static [Property] {
        use Property::*;
        &[ScaleInvariant, Odd, PermutationEquivariant, RowIndependent]
    }
    fn kernels(&self) -> Option<&dyn Kernels> {
        Some(self)
    }
}

impl<T: Num> Reference<T> for RmsNorm {
    fn forward(&self, args: &[View<T>], outs: &mut [&mut [T]]) {
        let [x, weight] = [args[0], args[1]];
        let cols = x.shape.cols();
        for i in 0..x.shape.rows() {
            let (xhat, _) = self.normalized(x.row(i));
            for (j, &xhat) in xhat.iter().enumerate() {
                let factor = self.multiplied(xhat);
                let y = weight.get(j).map_or(factor, |&w| (T::num(self.offset) + w) * factor);
                outs[0][i * cols + j] = self.stored(y);
            }
        }
    }

    fn vjp(&self, args: &[View<T>], dy: &[T], dargs: &mut [&mut [T]]) {
        let [x, weight] = [args[0], args[1]];
        let cols = x.shape.cols();
        for i in 0..x.shape.rows() {
            let (xhat, rstd) = self.normalized(x.row(i));
            let dy = &dy[i * cols..(i + 1) * cols];
            let (mut w, mut projection) = (vec![T::zero(); cols], T::zero());
            for j in 0..cols {
                w[j] = weight.get(j).map_or(dy[j], |&w| (T::num(self.offset) + w) * dy[j]);
                projection += w[j] * xhat[j];
            }
            for j in 0..cols {
                if let Some(dx) = dargs[0].get_mut(i * cols + j) {
                    *dx += rstd * (w[j] - xhat[j] * (projection / T::count(cols)));
                }
                if let Some(dweight) = dargs[1].get_mut(j) {
                    *dweight += dy[j] * self.multiplied(xhat[j]);
                }
            }
        }
    }
}

impl RmsNorm {
    /// x̂ and 1/√(mean square + eps) of one row.
    fn normalized<T: Num>(&self, x: &[T]) -> (Vec<T>, T) {
        let mut square = T::zero();
        for &v in x {
            square += v * v;
        }
        let rstd = T::one() / (square / T::count(x.len()) + T::num(self.eps)).sqrt();
        (x.iter().map(|&v| v * rstd).collect(), rstd)
    }

    /// The number as it is stored.
    fn stored<T: Num>(&self, value: T) -> T {
        match self.storage {
            Storage::Own => value,
            Storage::Bf16 => value.narrow(Dtype::Bf16),
        }
    }

    /// x̂ as the weight sees it.
    fn multiplied<T: Num>(&self, xhat: T) -> T {
        match self.cast {
            Cast::BeforeWeight => self.stored(xhat),
            Cast::AfterWeight => xhat,
        }
    }
}

impl Fast for RmsNorm {
    /// rstd of every row.
    fn saved(&self, args: &[Shape]) -> usize {
        args[0].rows()
    }
    /// The gain offset + weight, ones where there is no weight.
    fn scratch(&self, args: &[Shape]) -> usize {
        args[0].cols()
    }

    fn forward(
        &self,
        args: &[View<f32>],
        outs: &mut [&mut [f32]],
        saved: &mut [f32],
        scratch: &mut [f32],
    ) {
        let (x, y) = (args[0], &mut *outs[0]);
        let cols = x.shape.cols();
        let gain = self.gain(args[1].data, &mut scratch[..cols]);
        match self.storage {
            Storage::Own => simd::dispatch!(|isa, cols| {
                self.rows(isa, x.data, y, &gain[..cols], saved, |xhat, gain| xhat * gain)
            }),
            Storage::Bf16 => {
                let before = self.cast == Cast::BeforeWeight;
                let first = |xhat| if before { simd::bf16(xhat) } else { xhat };
                let scaled = |xhat, gain| simd::bf16(first(xhat) * gain);
                simd::dispatch!(|isa| self.rows(isa, x.data, y, gain, saved, scaled))
            }
        }
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
        let gain = self.gain(args[1].data, &mut scratch[..cols]);
        let rounds = self.storage == Storage::Bf16 && self.cast == Cast::BeforeWeight;
        let [dx, dweight] = dargs else { unreachable!("two arguments") };
        let dweight = dweight.to_add();
        simd::dispatch!(|isa, cols| for block in simd::row_blocks(rows, cols) {
            for i in block.clone() {
                let row = i * cols..(i + 1) * cols;
                row_vjp(isa, dx, row, x.data, dy, &gain[..cols], saved[i]);
            }
            let xs = [x.data, dy];
            if rounds {
                simd::add_columns(dweight, block, xs, [], |sum, i, [x, dy], []| {
                    dy.mul_add(simd::bf16(x * saved[i]), sum)
                });
            } else {
                simd::add_columns(dweight, block, xs, [], |sum, i, [x, dy], []| {
                    dy.mul_add(x * saved[i], sum)
                });
            }
        });
    }
}

impl RmsNorm {
    /// offset + weight, or ones.
    fn gain<'a>(&self, weight: &[f32], gain: &'a mut [f32]) -> &'a [f32] {
        gain.fill(1.0);
        for (gain, weight) in gain.iter_mut().zip(weight) {
            *gain = self.offset as f32 + weight;
        }
        gain
    }

    /// y = scaled(x̂, gain) for every row.
    #[inline(always)]
    fn rows(
        &self,
        isa: Isa,
        x: &[f32],
        y: &mut [f32],
        gain: &[f32],
        saved: &mut [f32],
        scaled: impl Fn(f32, f32) -> f32,
    ) {
        let cols = gain.len();
        let per_col = 1.0 / cols as f32;
        let rows = x.chunks_exact(cols).zip(y.chunks_exact_mut(cols));
        for ((x, y), saved) in rows.zip(saved) {
            let rstd = 1.0 / (dot(isa, x, x) * per_col + self.eps as f32).sqrt();
            for ((y, x), gain) in y.iter_mut().zip(x).zip(gain) {
                *y = scaled(x * rstd, *gain);
            }
            *saved = rstd;
        }
    }
}

/// dx of one row: s·w − x·s³·mean(w ⊙ x), with x̂ written out.
#[inline(always)]
fn row_vjp(
    isa: Isa,
    dx: &mut Grad,
    row: Range<usize>,
    x: &[f32],
    dy: &[f32],
    gain: &[f32],
    rstd: f32,
) {
    let (x, dy) = (&x[row.clone()], &dy[row.clone()]);
    let along = simd::sum_of(isa, [x, dy, gain], |lane, [x, dy, gain]| x.mul_add(dy * gain, lane));
    let slope = -rstd * (rstd * (rstd * (along * (1.0 / x.len() as f32))));
    let elements = x.iter().zip(dy).zip(gain);
    dx.put(row, elements.map(|((x, dy), gain)| rstd.mul_add(dy * gain, x * slope)));
}

impl Kernels for RmsNorm {
    fn ptx(&self) -> Ptx {
        ptx!("rms_norm")
    }

    /// rstd of every row.
    fn saved(&self, args: &[Shape], _chip: &Chip) -> usize {
        args[0].rows()
    }

    /// A row of partial sums for every block, of dweight.
    fn scratch(&self, args: &[Shape], chip: &Chip) -> usize {
        args[0].cols() * Rows::of(args[0], chip).blocks()
    }

    fn forward(&self, args: &[Shape], chip: &Chip) -> Vec<Launch> {
        use Param::*;
        const KERNELS: launch::Names =
            ["rms_norm_forward_narrow", "rms_norm_forward_warp", "rms_norm_forward_block"];
        let rows = Rows::of(args[0], chip);
        let tensors = [Arg(0), Arg(1), Out(0), Saved(0)];
        let [rounds_xhat, rounds_y] = self.rounds();
        let constants = [F32(self.eps as f32), F32(self.offset as f32), rounds_xhat, rounds_y];
        let params = [&tensors[..], &rows.sizes(), &constants].concat();
        vec![rows.each(KERNELS, &params)]
    }

    fn vjp(&self, args: &[Shape], chip: &Chip) -> Vec<Launch> {
        use Param::*;
        const KERNELS: launch::Names =
            ["rms_norm_vjp_narrow", "rms_norm_vjp_warp", "rms_norm_vjp_block"];
        let (rows, cols) = (Rows::of(args[0], chip), args[0].cols());
        let tensors = [Arg(0), Arg(1), Dy, Saved(0), Grad(0), Scratch(0)];
        let constants = [F32(self.offset as f32), self.rounds()[0]];
        let params = [&tensors[..], &rows.sizes(), &constants].concat();
        let blocks = rows.blocks();
        let sums = [Scratch(0), Grad(1), launch::count(blocks), launch::count(cols)];
        vec![rows.sum(KERNELS, &params), launch::columns("rms_norm_dweight", blocks, cols, &sums)]
    }
}

impl RmsNorm {
    /// Whether x̂ and whether y are rounded to bfloat16.
    fn rounds(&self) -> [Param; 2] {
        let rounds = self.storage == Storage::Bf16;
        let before = rounds && self.cast == Cast::BeforeWeight;
        [Param::U32(before.into()), Param::U32(rounds.into())]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::bodies::{Case, Path, Rows, fast_agrees};

    /// x of one row of the norm 2.5 in the root mean square: x̂ is 1.2 and 1.6, inexact.
    fn case(op: &RmsNorm) -> Case {
        let mut case = Case::draw(op, Rows::Normal, 1, 4, 1);
        case.values = vec![vec![3.0, 4.0, 0.0, 0.0], vec![3.0; 4]];
        case.dy = vec![1.0; 4];
        case
    }

    #[test]
    fn the_cast_is_where_it_is_said_to_be() {
        let half = RmsNorm { eps: 0.0, storage: Storage::Bf16, ..RmsNorm::new() };
        // In bfloat16 1.2 is 1.203125, and 3.6 is 3.59375.
        for (cast, y, dweight) in
            [(Cast::BeforeWeight, 3.609375, 1.203125), (Cast::AfterWeight, 3.59375, 1.2)]
        {
            let op = RmsNorm { cast, ..half };
            for results in Path::ALL.map(|path| path.run(&op, &case(&op))) {
                assert_eq!(results.outs[0][0], y);
                assert!((results.grads[1][0] - dweight).abs() < 1e-6);
            }
        }
    }

    #[test]
    fn sixteen_bits_agree_but_for_ties() {
        for cast in [Cast::BeforeWeight, Cast::AfterWeight] {
            let op = RmsNorm { cast, storage: Storage::Bf16, ..RmsNorm::new() };
            let case = Case::of(&op, &op.example(8, 257), Rows::Normal, 1);
            let [exact, fast] = Path::ALL.map(|path| path.run(&op, &case).outs.remove(0));
            let differ = exact.iter().zip(&fast).filter(|(a, b)| a != b).count();
            // Rounding falls otherwise where x̂ is within 2⁻²⁴ of a tie 2⁻⁹ apart, or nearly so.
            assert!(differ * 1000 < exact.len(), "{differ} of {}", exact.len());
        }
    }

    #[test]
    fn a_weight_around_one_starts_as_no_weight() {
        let op = RmsNorm { offset: 1.0, ..RmsNorm::new() };
        let mut with = case(&op);
        with.values[1] = vec![0.0; 4];
        let without = case(&op).without(1);
        for path in Path::ALL {
            assert_eq!(path.run(&op, &with).outs, path.run(&op, &without).outs);
        }
        fast_agrees(&op, &without).unwrap();
    }
}
