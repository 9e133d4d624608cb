//! Batch normalisation (Ioffe & Szegedy 2015, arXiv 1502.03167, algorithm 1), x read as [R, C].
//!
//! μ = mean(x), σ² = mean((x − μ)²) over the R rows of each column, s = 1/√(σ² + eps),
//! x̂ = (x − μ)·s, y = weight ⊙ x̂ + bias. dbias = Σ dy, dweight = Σ dy ⊙ x̂, sums over rows;
//! dx = weight ⊙ s ⊙ (dy − dbias/R − x̂ ⊙ dweight/R).
//! In evaluation μ and σ² are the running ones, constants: dx = weight ⊙ s ⊙ dy.
//!
//! Training moves the running mean and variance, new = (1 − momentum)·old + momentum·batch, the
//! variance of the batch taken over R − 1. So one row has none and is refused.

use std::ops::Range;

use super::launch::{self, Strips};
use crate::choice::Described;
use crate::num::Num;
use crate::op::device::{Chip, Kernels, Launch, Param, Ptx, ptx};
use crate::op::simd;
use crate::op::{Arg, Fast, Grad, Kind, Op, Property, Reference, Shape, View};

/// Normalisation of each column by the statistics of the batch, or in evaluation by the running ones.
#[derive(Debug, Clone, Copy)]
pub struct BatchNorm {
    /// Added to the variance, in the units of x squared.
    pub eps: f64,
    /// The share of a new batch in the running statistics.
    pub momentum: f64,
    /// Whether the statistics are those of the batch.
    pub training: bool,
}

impl Described for BatchNorm {
    const ID: &'static str = "batch_norm";
    const ABOUT: &'static str =
        "(x − mean)/√(var + eps)·weight + bias, mean and var over the batch (Ioffe & Szegedy 2015)";
    fn new() -> Self {
        BatchNorm { eps: 1e-5, momentum: 0.1, training: true }
    }
}

impl Op for BatchNorm {
    fn id(&self) -> &'static str {
        Self::ID
    }
    fn args(&self) -> &'static [Arg] {
        const ARGS: &[Arg] = &[
            Arg::real("x"),
            Arg::weight("weight").from(1.0),
            Arg::weight("bias").from(0.0),
            Arg::new("running_mean", Kind::State).from(0.0),
            Arg::new("running_var", Kind::State).from(1.0).positive(),
        ];
        ARGS
    }
    crate::constants! { dyn Op; eps: NotNegative, momentum: Share, training: Any }
    fn outputs(&self, args: &[Shape]) -> Vec<Shape> {
        let cols = args[0].cols();
        assert!(args[1..].iter().all(|own| own.len() == cols), "{args:?}");
        self.assert_rows(args[0].rows());
        vec![args[0], args[3], args[4]]
    }
    /// At least two rows, as training needs.
    fn example(&self, rows: usize, cols: usize) -> Vec<Shape> {
        super::example(&[cols; 4], rows.max(2), cols)
    }
    /// Rows depend on each other in training only; the running mean is not turned with x.
    fn properties(&self) -> &'static [Property] {
        if self.training {
            &[Property::Odd, Property::PermutationEquivariant]
        } else {
            &[Property::PermutationEquivariant, Property::RowIndependent]
        }
    }
    fn vjp_reads(&self, index: usize) -> bool {
        index < 2 || (index > 2 && !self.training)
    }
    fn kernels(&self) -> Option<&dyn Kernels> {
        Some(self)
    }
}

impl BatchNorm {
    fn assert_rows(&self, rows: usize) {
        assert!(rows > 1 || !self.training, "the variance of one row is not defined");
    }
}

impl<T: Num> Reference<T> for BatchNorm {
    fn forward(&self, args: &[View<T>], outs: &mut [&mut [T]]) {
        let [x, weight, bias, running_mean, running_var] =
            [args[0], args[1], args[2], args[3], args[4]];
        let (rows, cols) = (x.shape.rows(), x.shape.cols());
        self.assert_rows(rows);
        for j in 0..cols {
            let (mean, var) = self.statistics(args, j);
            let rstd = T::one() / (var + T::num(self.eps)).sqrt();
            for i in 0..rows {
                let at = i * cols + j;
                outs[0][at] = weight.data[j] * ((x.data[at] - mean) * rstd) + bias.data[j];
            }
            let moved =
                |old: T, new: T| T::num(1.0 - self.momentum) * old + T::num(self.momentum) * new;
            let (old_mean, old_var) = (running_mean.data[j], running_var.data[j]);
            if self.training {
                let unbiased = var * T::count(rows) / T::count(rows - 1);
                outs[1][j] = moved(old_mean, mean);
                outs[2][j] = moved(old_var, unbiased);
            } else {
                outs[1][j] = old_mean;
                outs[2][j] = old_var;
            }
        }
    }

    fn vjp(&self, args: &[View<T>], dy: &[T], dargs: &mut [&mut [T]]) {
        let [x, weight] = [args[0], args[1]];
        let (rows, cols) = (x.shape.rows(), x.shape.cols());
        let n = T::count(rows);
        for j in 0..cols {
            let (mean, var) = self.statistics(args, j);
            let rstd = T::one() / (var + T::num(self.eps)).sqrt();
            let xhat = |i: usize| (x.data[i * cols + j] - mean) * rstd;
            let (mut shift, mut slope) = (T::zero(), T::zero());
            for i in 0..rows {
                shift += dy[i * cols + j];
                slope += dy[i * cols + j] * xhat(i);
            }
            for i in 0..rows {
                let seen =
                    if self.training { shift / n + xhat(i) * (slope / n) } else { T::zero() };
                if let Some(dx) = dargs[0].get_mut(i * cols + j) {
                    *dx += weight.data[j] * rstd * (dy[i * cols + j] - seen);
                }
            }
            if let Some(dweight) = dargs[1].get_mut(j) {
                *dweight += slope;
            }
            if let Some(dbias) = dargs[2].get_mut(j) {
                *dbias += shift;
            }
        }
    }
}

impl BatchNorm {
    /// Mean and variance that column `j` is normalised by.
    fn statistics<T: Num>(&self, args: &[View<T>], j: usize) -> (T, T) {
        if !self.training {
            return (args[3].data[j], args[4].data[j]);
        }
        let (rows, cols) = (args[0].shape.rows(), args[0].shape.cols());
        let column = || (0..rows).map(|i| args[0].data[i * cols + j]);
        let (mut mean, mut var) = (T::zero(), T::zero());
        for v in column() {
            mean += v;
        }
        mean = mean / T::count(rows);
        for v in column() {
            var += (v - mean) * (v - mean);
        }
        (mean, var / T::count(rows))
    }
}

impl Fast for BatchNorm {
    /// mean and rstd of every column.
    fn saved(&self, args: &[Shape]) -> usize {
        2 * args[0].cols()
    }
    fn scratch(&self, args: &[Shape]) -> usize {
        3 * args[0].cols()
    }

    fn forward(
        &self,
        args: &[View<f32>],
        outs: &mut [&mut [f32]],
        saved: &mut [f32],
        scratch: &mut [f32],
    ) {
        let [x, weight, bias, running_mean, running_var] =
            [args[0], args[1], args[2], args[3], args[4]];
        let (rows, cols) = (x.shape.rows(), x.shape.cols());
        self.assert_rows(rows);
        let [y, new_mean, new_var] = outs else { unreachable!("three outputs") };
        let (mean, rstd) = saved.split_at_mut(cols);
        let (block_mean, var) = scratch[..2 * cols].split_at_mut(cols);
        let (eps, momentum) = (self.eps as f32, self.momentum as f32);
        simd::dispatch!(|_isa, cols| {
            mean.copy_from_slice(running_mean.data);
            var.copy_from_slice(running_var.data);
            new_mean.copy_from_slice(running_mean.data);
            new_var.copy_from_slice(running_var.data);
            if self.training {
                moments(rows, x.data, &mut mean[..cols], &mut var[..cols], &mut block_mean[..cols]);
                let unbiased = momentum / (rows - 1) as f32;
                for ((running, mean), (running_var, squares)) in
                    new_mean.iter_mut().zip(&*mean).zip(new_var.iter_mut().zip(var.iter_mut()))
                {
                    *running = (1.0 - momentum) * *running + momentum * mean;
                    *running_var = (1.0 - momentum) * *running_var + unbiased * *squares;
                    *squares /= rows as f32;
                }
            }
            for (rstd, var) in rstd.iter_mut().zip(&*var) {
                *rstd = 1.0 / (var + eps).sqrt();
            }
            // Of one length, which the compiler sees: no index below can be out of bounds.
            let (mean, rstd) = (&mean[..cols], &rstd[..cols]);
            let (weight, bias) = (&weight.data[..cols], &bias.data[..cols]);
            for (x, y) in x.data.chunks_exact(cols).zip(y.chunks_exact_mut(cols)) {
                for j in 0..cols {
                    y[j] = ((x[j] - mean[j]) * rstd[j]).mul_add(weight[j], bias[j]);
                }
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
        let [x, weight] = [args[0], args[1]];
        let (rows, cols) = (x.shape.rows(), x.shape.cols());
        let [dx, dweight, dbias, ..] = dargs else { unreachable!("five arguments") };
        let (dweight, dbias) = (dweight.to_add(), dbias.to_add());
        let (mean, rstd) = saved.split_at(cols);
        let (factor, sums) = scratch.split_at_mut(cols);
        let (shift, slope) = sums[..2 * cols].split_at_mut(cols);
        simd::dispatch!(|_isa, cols| {
            let (mean, rstd) = (&mean[..cols], &rstd[..cols]);
            let (shift, slope) = (&mut shift[..cols], &mut slope[..cols]);
            shift.fill(0.0);
            slope.fill(0.0);
            for block in blocks(rows, cols) {
                simd::add_columns(shift, block.clone(), [dy], [], |sum, _, [dy], []| sum + dy);
                simd::add_columns(slope, block, [x.data, dy], [mean], |sum, _, [x, dy], [mean]| {
                    dy.mul_add(x - mean, sum)
                });
            }
            for (slope, rstd) in slope.iter_mut().zip(rstd) {
                *slope *= rstd;
            }
            simd::add(dbias, shift);
            simd::add(dweight, slope);
            // In evaluation the statistics do not move with x.
            let seen = if self.training { 1.0 / rows as f32 } else { 0.0 };
            let factor = &mut factor[..cols];
            for j in 0..cols {
                shift[j] *= seen;
                slope[j] *= seen * rstd[j];
                factor[j] = weight.data[j] * rstd[j];
            }
            let columns = || mean.iter().zip(&*factor).zip(&*shift).zip(&*slope);
            for i in 0..rows {
                let row = i * cols..(i + 1) * cols;
                let elements = x.data[row.clone()].iter().zip(&dy[row.clone()]).zip(columns());
                dx.put(
                    row,
                    elements.map(|((x, dy), (((mean, factor), shift), slope))| {
                        factor * (mean - x).mul_add(*slope, dy - shift)
                    }),
                );
            }
        });
    }
}

/// Blocks of rows that stay in the second cache, so few that the rounding error of a sum of sums
/// grows with the rows of a block and the number of blocks, not their product.
#[inline(always)]
pub(super) fn blocks(rows: usize, cols: usize) -> impl Iterator<Item = Range<usize>> {
    let block = ((1 << 16) / cols).clamp(8, 64);
    (0..rows).step_by(block).map(move |first| first..rows.min(first + block))
}

/// The mean of every column and its sum of squares around it, in one pass over memory.
///
/// Each block has its own mean and squares, which join those of the rows before it: with n rows
/// before and m in the block, whose mean is off by d, the mean moves by d·m/(n + m) and the squares
/// gain d²·n·m/(n + m) (Chan, Golub & LeVeque 1979).
#[inline(always)]
fn moments(rows: usize, x: &[f32], mean: &mut [f32], squares: &mut [f32], own: &mut [f32]) {
    mean.fill(0.0);
    squares.fill(0.0);
    for block in blocks(rows, mean.len()) {
        let (before, after) = (block.start as f32, block.end as f32);
        let share = 1.0 / block.len() as f32;
        own.fill(0.0);
        simd::add_columns(own, block.clone(), [x], [], |sum, _, [x], []| sum + x);
        own.iter_mut().for_each(|sum| *sum *= share);
        simd::add_columns(squares, block.clone(), [x], [own], |sum, _, [x], [own]| {
            (x - own).mul_add(x - own, sum)
        });
        let moved = block.len() as f32 / after;
        for ((mean, squares), own) in mean.iter_mut().zip(squares.iter_mut()).zip(&*own) {
            let off = own - *mean;
            *squares += off * off * (before * moved);
            *mean += off * moved;
        }
    }
}

impl Kernels for BatchNorm {
    fn ptx(&self) -> Ptx {
        ptx!("batch_norm")
    }

    fn keeps_f32(&self, index: usize) -> bool {
        index > 0
    }

    /// mean and rstd of every column.
    fn saved(&self, args: &[Shape], _chip: &Chip) -> usize {
        2 * args[0].cols()
    }

    /// Forward has three rows for every group of rows: how many they are, their mean and the squares
    /// around it. vjp has the sums of dweight and dbias, and two rows of their partial sums.
    fn scratch(&self, args: &[Shape], chip: &Chip) -> usize {
        let groups = Strips::of(args[0], chip).groups;
        args[0].cols() * (3 * groups).max(2 + 2 * groups)
    }

    fn forward(&self, args: &[Shape], chip: &Chip) -> Vec<Launch> {
        use Param::*;
        self.assert_rows(args[0].rows());
        let (strips, cols) = (Strips::of(args[0], chip), args[0].cols());
        let (width, eps) = (launch::count(cols), F32(self.eps as f32));
        let own = [Arg(3), Arg(4), Saved(0), Out(1), Out(2)];
        let tensors = [Arg(0), Arg(1), Arg(2), Saved(0), Out(0)];
        let normalize =
            strips.pass("batch_norm_forward", &[&tensors[..], &strips.sizes()].concat());
        if !self.training {
            let params = [&own[..], &[width, eps]].concat();
            return vec![Launch::each("batch_norm_running", cols, &params), normalize];
        }
        let moments = [&[Arg(0), Scratch(0)][..], &strips.sizes()].concat();
        let shares = [F32((1.0 - self.momentum) as f32), F32(self.momentum as f32)];
        let sizes = [launch::count(strips.groups), width, eps];
        let statistics = [&[Scratch(0)][..], &own, &sizes, &shares].concat();
        vec![
            strips.pass("batch_norm_moments", &moments),
            launch::columns("batch_norm_statistics", strips.groups, cols, &statistics),
            normalize,
        ]
    }

    fn vjp(&self, args: &[Shape], chip: &Chip) -> Vec<Launch> {
        vjp(args[0], chip, self.training, true)
    }
}

/// The launches of vjp: whether the statistics move with x, and whether the mean is one of them.
pub(super) fn vjp(x: Shape, chip: &Chip, training: bool, centred: bool) -> Vec<Launch> {
    use Param::*;
    let (strips, cols) = (Strips::of(x, chip), x.cols());
    let [sums, parts] = [Scratch(0), Scratch(2 * cols)];
    let add = [&[Arg(0), Dy, Saved(0), parts][..], &strips.sizes()].concat();
    let (groups, width) = (launch::count(strips.groups), launch::count(cols));
    let dweight = [parts, Grad(1), Grad(2), sums, groups, width];
    let tensors = [Arg(0), Arg(1), Dy, Saved(0), sums, Grad(0)];
    let moves = [U32(training.into()), U32(centred.into())];
    let dx = [&tensors[..], &strips.sizes(), &moves].concat();
    vec![
        strips.pass("batch_norm_parts", &add),
        launch::columns("batch_norm_dweight", strips.groups, 2 * cols, &dweight),
        strips.pass("batch_norm_dx", &dx),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::bodies::{Case, Path, Results, Rows, fast_agrees};

    fn both(training: bool, x: &[f64]) -> [Results; 2] {
        let op = BatchNorm { eps: 0.0, training, ..BatchNorm::new() };
        let mut case = Case::of(&op, &op.example(x.len(), 1), Rows::Normal, 1);
        case.values = vec![x.to_vec(), vec![2.0], vec![1.0], vec![0.5], vec![4.0]];
        case.dy = x.iter().map(|_| 1.0).collect();
        Path::ALL.map(|path| path.run(&op, &case))
    }

    fn near(got: f64, want: f64) {
        assert!((got - want).abs() <= 1e-6 * (1.0 + want.abs()), "{got} is not {want}");
    }

    #[test]
    fn training_moves_the_running_statistics() {
        for results in both(true, &[1.0, 2.0, 3.0, 4.0]) {
            near(results.outs[0][0], 1.0 - 2.0 * 1.5 / 1.25f64.sqrt());
            near(results.outs[1][0], 0.9 * 0.5 + 0.1 * 2.5);
            near(results.outs[2][0], 0.9 * 4.0 + 0.1 * 5.0 / 3.0);
            // A uniform dy moves the mean only, which the statistics take out again.
            results.grads[0].iter().for_each(|&dx| near(dx, 0.0));
            near(results.grads[2][0], 4.0);
        }
    }

    #[test]
    fn evaluation_is_an_affine_map() {
        for results in both(false, &[1.0, 1.0]) {
            near(results.outs[0][0], 2.0 * (1.0 - 0.5) / 2.0 + 1.0);
            assert_eq!((results.outs[1][0], results.outs[2][0]), (0.5, 4.0));
            near(results.grads[0][0], 1.0);
            near(results.grads[1][0], 0.5);
        }
    }

    #[test]
    #[should_panic(expected = "one row")]
    fn one_row_has_no_variance() {
        let own = Shape::new(&[3]);
        BatchNorm::new().outputs(&[Shape::new(&[1, 3]), own, own, own, own]);
    }

    /// More rows than a block of the sums, and not a whole number of blocks.
    #[test]
    fn many_rows_far_from_zero() {
        let op = BatchNorm::new();
        let mut case = Case::of(&op, &op.example(1000, 3), Rows::Normal, 1);
        for x in &mut case.values[0] {
            *x = f64::from((*x + 1e3) as f32);
        }
        fast_agrees(&op, &case).unwrap();
    }
}
