//! Power normalisation (Shen et al. 2020, arXiv 2003.07845, section 4.1: PN-V), x read as [R, C].
//!
//! ψ² = mean(x²) over the R rows of each column, s = 1/√(ψ² + eps), x̂ = x·s,
//! y = weight ⊙ x̂ + bias: batch_norm without a mean. dbias = Σ dy, dweight = Σ dy ⊙ x̂, sums over
//! rows; dx = weight ⊙ s ⊙ (dy − x̂ ⊙ dweight/R).
//! In evaluation ψ² is the running one, a constant: dx = weight ⊙ s ⊙ dy.
//!
//! Training moves the running ψ², new = (1 − momentum)·old + momentum·batch.
//!
//! PN itself (section 4.2, algorithm 2) puts the running ψ² into the forward pass of training too and
//! passes back weight ⊙ s ⊙ dy less x̂ times a running mean of what that leaves along x̂. That is no
//! derivative of any forward pass, and not this operator; a test below has it beside the derivative.

use super::launch::{self, Strips};
use crate::choice::Described;
use crate::num::Num;
use crate::op::device::{Chip, Kernels, Launch, Param, Ptx, ptx};
use crate::op::simd;
use crate::op::{Arg, Fast, Grad, Kind, Op, Property, Reference, Shape, View};

/// Normalisation of each column by the quadratic mean of the batch, or in evaluation by the running
/// one.
#[derive(Debug, Clone, Copy)]
pub struct PowerNorm {
    /// Added to the quadratic mean, in the units of x squared.
    pub eps: f64,
    /// The share of a new batch in the running quadratic mean.
    pub momentum: f64,
    /// Whether the quadratic mean is that of the batch.
    pub training: bool,
}

impl Described for PowerNorm {
    const ID: &'static str = "power_norm";
    const ABOUT: &'static str =
        "x/√(mean(x²) + eps)·weight + bias, mean over the batch (PN-V of Shen et al. 2020)";
    fn new() -> Self {
        PowerNorm { eps: 1e-5, momentum: 0.1, training: true }
    }
}

impl Op for PowerNorm {
    fn id(&self) -> &'static str {
        Self::ID
    }
    fn args(&self) -> &'static [Arg] {
        const ARGS: &[Arg] = &[
            Arg::real("x"),
            Arg::weight("weight").from(1.0),
            Arg::weight("bias").from(0.0),
            Arg::new("running_psi2", Kind::State).from(1.0).positive(),
        ];
        ARGS
    }
    crate::constants! { dyn Op; eps: NotNegative, momentum: Share, training: Any }
    fn outputs(&self, args: &[Shape]) -> Vec<Shape> {
        let cols = args[0].cols();
        assert!(args[1..].iter().all(|own| own.len() == cols), "{args:?}");
        vec![args[0], args[3]]
    }
    fn example(&self, rows: usize, cols: usize) -> Vec<Shape> {
        super::example(&[cols; 3], rows, cols)
    }
    /// Rows depend on each other in training only.
    fn properties(&self) -> &'static [Property] {
        use Property::*;
        if self.training {
            &[Odd, PermutationEquivariant]
        } else {
            &[Odd, PermutationEquivariant, RowIndependent]
        }
    }
    fn vjp_reads(&self, index: usize) -> bool {
        index < 2 || (index > 2 && !self.training)
    }
    fn kernels(&self) -> Option<&dyn Kernels> {
        Some(self)
    }
}

impl PowerNorm {
    /// ψ² that column `j` is normalised by.
    fn quadratic_mean<T: Num>(&self, args: &[View<T>], j: usize) -> T {
        if !self.training {
            return args[3].data[j];
        }
        let x = args[0];
        let mut square = T::zero();
        for i in 0..x.shape.rows() {
            square += x.row(i)[j] * x.row(i)[j];
        }
        square / T::count(x.shape.rows())
    }

    /// 1/√(ψ² + eps).
    fn scale<T: Num>(&self, psi2: T) -> T {
        T::one() / (psi2 + T::num(self.eps)).sqrt()
    }
}

impl<T: Num> Reference<T> for PowerNorm {
    fn forward(&self, args: &[View<T>], outs: &mut [&mut [T]]) {
        let [x, weight, bias, running] = [args[0], args[1], args[2], args[3]];
        let cols = x.shape.cols();
        for j in 0..cols {
            let psi2 = self.quadratic_mean(args, j);
            let scale = self.scale(psi2);
            for i in 0..x.shape.rows() {
                outs[0][i * cols + j] = weight.data[j] * (x.row(i)[j] * scale) + bias.data[j];
            }
            let old = running.data[j];
            outs[1][j] = if self.training {
                T::num(1.0 - self.momentum) * old + T::num(self.momentum) * psi2
            } else {
                old
            };
        }
    }

    fn vjp(&self, args: &[View<T>], dy: &[T], dargs: &mut [&mut [T]]) {
        let [x, weight] = [args[0], args[1]];
        let (rows, cols) = (x.shape.rows(), x.shape.cols());
        for j in 0..cols {
            let scale = self.scale(self.quadratic_mean(args, j));
            let (mut shift, mut slope) = (T::zero(), T::zero());
            for i in 0..rows {
                shift += dy[i * cols + j];
                slope += dy[i * cols + j] * (x.row(i)[j] * scale);
            }
            for i in 0..rows {
                let seen = if self.training {
                    x.row(i)[j] * scale * (slope / T::count(rows))
                } else {
                    T::zero()
                };
                if let Some(dx) = dargs[0].get_mut(i * cols + j) {
                    *dx += weight.data[j] * scale * (dy[i * cols + j] - seen);
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

impl Fast for PowerNorm {
    /// The scale of every column.
    fn saved(&self, args: &[Shape]) -> usize {
        args[0].cols()
    }
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
        let [x, weight, bias, running] = [args[0], args[1], args[2], args[3]];
        let (rows, cols) = (x.shape.rows(), x.shape.cols());
        let [y, new] = outs else { unreachable!("two outputs") };
        let (eps, momentum) = (self.eps as f32, self.momentum as f32);
        let psi2 = &mut scratch[..cols];
        simd::dispatch!(|_isa, cols| {
            psi2.copy_from_slice(running.data);
            new.copy_from_slice(running.data);
            if self.training {
                psi2.fill(0.0);
                for block in super::batch_norm::blocks(rows, cols) {
                    simd::add_columns(psi2, block, [x.data], [], |sum, _, [x], []| {
                        x.mul_add(x, sum)
                    });
                }
                for (new, psi2) in new.iter_mut().zip(psi2.iter_mut()) {
                    *psi2 /= rows as f32;
                    *new = (1.0 - momentum) * *new + momentum * *psi2;
                }
            }
            for (scale, psi2) in saved.iter_mut().zip(&*psi2) {
                *scale = 1.0 / (psi2 + eps).sqrt();
            }
            // Of one length, which the compiler sees: no index below can be out of bounds.
            let scale = &saved[..cols];
            let (weight, bias) = (&weight.data[..cols], &bias.data[..cols]);
            for (x, y) in x.data.chunks_exact(cols).zip(y.chunks_exact_mut(cols)) {
                for j in 0..cols {
                    y[j] = (x[j] * scale[j]).mul_add(weight[j], bias[j]);
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
        let [dx, dweight, dbias, _] = dargs else { unreachable!("four arguments") };
        let (dweight, dbias) = (dweight.to_add(), dbias.to_add());
        let (shift, slope) = scratch[..2 * cols].split_at_mut(cols);
        simd::dispatch!(|_isa, cols| {
            let scale = &saved[..cols];
            let (shift, slope) = (&mut shift[..cols], &mut slope[..cols]);
            shift.fill(0.0);
            slope.fill(0.0);
            for block in super::batch_norm::blocks(rows, cols) {
                simd::add_columns(shift, block.clone(), [dy], [], |sum, _, [dy], []| sum + dy);
                simd::add_columns(
                    slope,
                    block,
                    [x.data, dy],
                    [scale],
                    |sum, _, [x, dy], [scale]| dy.mul_add(x * scale, sum),
                );
            }
            simd::add(dbias, shift);
            simd::add(dweight, slope);
            // In evaluation ψ² does not move with x.
            let seen = if self.training { 1.0 / rows as f32 } else { 0.0 };
            for (slope, scale) in slope.iter_mut().zip(scale) {
                *slope *= seen * scale;
            }
            let columns = || weight.data.iter().zip(scale).zip(&*slope);
            for i in 0..rows {
                let row = i * cols..(i + 1) * cols;
                let elements = x.data[row.clone()].iter().zip(&dy[row.clone()]).zip(columns());
                dx.put(
                    row,
                    elements.map(|((x, dy), ((weight, scale), slope))| {
                        weight * scale * x.mul_add(-slope, *dy)
                    }),
                );
            }
        });
    }
}

/// Beside the statistics, those of [`super::BatchNorm`] with a mean of 0.
impl Kernels for PowerNorm {
    fn ptx(&self) -> Ptx {
        ptx!("batch_norm")
    }

    fn keeps_f32(&self, index: usize) -> bool {
        index > 0
    }

    /// 0 and the scale of every column.
    fn saved(&self, args: &[Shape], _chip: &Chip) -> usize {
        2 * args[0].cols()
    }

    /// Forward has a row of sums for every group of rows. vjp has the sums of dweight and dbias, and two
    /// rows of their partial sums.
    fn scratch(&self, args: &[Shape], chip: &Chip) -> usize {
        args[0].cols() * (2 + 2 * Strips::of(args[0], chip).groups)
    }

    fn forward(&self, args: &[Shape], chip: &Chip) -> Vec<Launch> {
        use Param::*;
        let (strips, cols) = (Strips::of(args[0], chip), args[0].cols());
        let (width, eps) = (launch::count(cols), F32(self.eps as f32));
        let own = [Arg(3), Saved(0), Out(1)];
        let tensors = [Arg(0), Arg(1), Arg(2), Saved(0), Out(0)];
        let normalize =
            strips.pass("batch_norm_forward", &[&tensors[..], &strips.sizes()].concat());
        if !self.training {
            let params = [&own[..], &[width, eps]].concat();
            return vec![Launch::each("power_norm_running", cols, &params), normalize];
        }
        let squares = [&[Arg(0), Scratch(0)][..], &strips.sizes()].concat();
        let shares = [F32((1.0 - self.momentum) as f32), F32(self.momentum as f32)];
        let sizes = [U64(args[0].rows() as u64), launch::count(strips.groups), width, eps];
        let statistics = [&[Scratch(0)][..], &own, &sizes, &shares].concat();
        vec![
            strips.pass("power_norm_squares", &squares),
            launch::columns("power_norm_statistics", strips.groups, cols, &statistics),
            normalize,
        ]
    }

    fn vjp(&self, args: &[Shape], chip: &Chip) -> Vec<Launch> {
        super::batch_norm::vjp(args[0], chip, self.training, false)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::bodies::{Case, Path, Results, Rows, fast_agrees};

    fn near(got: f64, want: f64) {
        assert!((got - want).abs() <= 1e-6 * (1.0 + want.abs()), "{got} is not {want}");
    }

    fn both(training: bool, x: &[f64]) -> [Results; 2] {
        let op = PowerNorm { eps: 0.0, training, ..PowerNorm::new() };
        let mut case = Case::of(&op, &op.example(x.len(), 1), Rows::Normal, 1);
        case.values = vec![x.to_vec(), vec![2.0], vec![1.0], vec![4.0]];
        case.dy = x.iter().map(|_| 1.0).collect();
        Path::ALL.map(|path| path.run(&op, &case))
    }

    #[test]
    fn training_moves_the_running_quadratic_mean() {
        // ψ² = (1 + 49)/2 = 25: x̂ = (0.2, 1.4).
        for results in both(true, &[1.0, 7.0]) {
            near(results.outs[0][0], 1.4);
            near(results.outs[1][0], 0.9 * 4.0 + 0.1 * 25.0);
            near(results.grads[0][0], 2.0 / 5.0 * (1.0 - 0.2 * 0.8));
            near(results.grads[1][0], 1.6);
            near(results.grads[2][0], 2.0);
        }
    }

    #[test]
    fn evaluation_is_an_affine_map() {
        for results in both(false, &[1.0, 7.0]) {
            near(results.outs[0][1], 8.0);
            near(results.outs[1][0], 4.0);
            near(results.grads[0][1], 1.0);
        }
    }

    /// More rows than a block of the sums, and not a whole number of blocks.
    #[test]
    fn many_rows() {
        let op = PowerNorm::new();
        fast_agrees(&op, &Case::draw(&op, Rows::BigMean, 1000, 3, 1)).unwrap();
    }

    /// dx of one column as published (algorithm 2, and the authors' code): g = weight·dy less x̂ times
    /// `along`, the running sum of what was left along x̂ before, times 1 − α; all times s.
    fn published(x: &[f64], g: &[f64], along: &mut f64) -> Vec<f64> {
        const ALPHA: f64 = 0.9;
        let n = x.len() as f64;
        let scale = 1.0 / (x.iter().map(|x| x * x).sum::<f64>() / n).sqrt();
        let left: Vec<f64> =
            x.iter().zip(g).map(|(x, g)| g - (1.0 - ALPHA) * *along * x * scale).collect();
        *along += x.iter().zip(&left).map(|(x, left)| x * scale * left).sum::<f64>() / n;
        left.iter().map(|left| scale * left).collect()
    }

    /// The published backward pass starts without the term of x̂, and comes to the derivative only where
    /// every batch is the same.
    #[test]
    fn what_was_published_is_no_derivative() {
        let op = PowerNorm { eps: 0.0, ..PowerNorm::new() };
        let mut case = Case::of(&op, &op.example(6, 1), Rows::Normal, 3);
        case.values[1] = vec![1.0];
        let exact = Path::Reference.run(&op, &case);
        let (x, dy) = (&case.values[0], &case.dy);
        let largest = |dx: &[f64]| {
            let off = dx.iter().zip(&exact.grads[0]).map(|(a, b)| (a - b).abs());
            off.fold(0.0, f64::max)
        };
        let mut along = 0.0;
        let first = published(x, dy, &mut along);
        // s·x̂·mean(dy ⊙ x̂) is all that the first batch lacks.
        let scale = 1.0 / (x.iter().map(|x| x * x).sum::<f64>() / 6.0).sqrt();
        let mean = exact.grads[1][0] / 6.0;
        for ((first, exact), x) in first.iter().zip(&exact.grads[0]).zip(x) {
            near(first - exact, scale * (x * scale) * mean);
        }
        assert!(largest(&first) > 0.01, "{}", largest(&first));
        // What is left along x̂ shrinks by α a batch: 0.9⁴⁰⁰ is below 10⁻¹⁸.
        let last = (0..400).map(|_| published(x, dy, &mut along)).last().unwrap();
        assert!(largest(&last) < 1e-12, "{}", largest(&last));
    }
}
