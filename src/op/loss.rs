//! The losses.
//!
//! [`CrossEntropy`]: with p = softmax(logits) and s = label_smoothing, a row with target y costs
//! (1 − s)·(−log p_y) + s·mean_j(−log p_j) (Szegedy et al. 2016, arXiv 1512.00567, section 7);
//! dlogits_j = p_j − s/V − (1 − s)·[j = y], times the gradient of the row's loss. With z_loss = λ a row
//! costs λ·(ln Z)² more, Z = Σ_j e^(x_j) (Chowdhery et al. 2022, arXiv 2204.02311, section 5, with
//! λ = 10⁻⁴), which adds 2λ·ln Z·p_j and is not blind to a shift of the logits.
//! [`MeanSquaredError`]: mean (prediction − target)²; dprediction = 2(prediction − target)/n.
//! [`GaussianNll`], [`StudentNll`] and [`BinaryCrossEntropy`]: −ln p of targets under a distribution
//! that is predicted, a file each.

mod binary_cross_entropy;
mod gaussian_nll;
mod half_step;
mod likelihood;
mod student_nll;

pub use binary_cross_entropy::BinaryCrossEntropy;
pub use gaussian_nll::GaussianNll;
pub use student_nll::StudentNll;

use super::device::{Chip, Kernels, Launch, Param, Ptx, ptx};
use super::elementary::exp_nonpositive;
use super::simd::{self, Isa, max};
use super::softmax::by_rows;
use super::{Arg, Fast, Grad, Kind, Op, Property, Reference, Shape, View};
use crate::num::Num;

crate::choices! {
    /// How the losses of the rows become the output.
    Reduction {
        /// The mean over the kept rows, 0 where none is kept.
        Mean = "mean",
        /// The sum over the kept rows.
        Sum = "sum",
        /// One loss per row, 0 for an ignored one.
        None = "none",
    }
}

/// Cross-entropy of rows of logits against one target per row.
///
/// A row whose target is `ignore_index` adds exactly 0 to the loss and to the gradient, whatever
/// its logits are.
#[derive(Debug, Clone, Copy)]
pub struct CrossEntropy {
    /// The target of a row that does not count.
    pub ignore_index: i64,
    /// The share of the target that is spread over all classes.
    pub label_smoothing: f64,
    /// λ, the weight of the squared logarithm of the sum of exponentials.
    pub z_loss: f64,
    /// What becomes of the losses of the rows.
    pub reduction: Reduction,
}

impl CrossEntropy {
    /// The usual `ignore_index`, that of PyTorch.
    pub const IGNORED: i64 = -100;
}

impl Default for CrossEntropy {
    fn default() -> Self {
        CrossEntropy {
            ignore_index: Self::IGNORED,
            label_smoothing: 0.0,
            z_loss: 0.0,
            reduction: Reduction::Mean,
        }
    }
}

impl CrossEntropy {
    /// The class that a target names, or nothing where the row is ignored.
    #[inline(always)]
    fn class<T: Num>(&self, target: T, classes: usize) -> Option<usize> {
        if target.value() == self.ignore_index as f64 {
            return None;
        }
        let class = target.index();
        assert!(
            target.value() == class as f64 && class < classes,
            "target {target:?} for {classes} classes"
        );
        Some(class)
    }

    /// How many rows count.
    fn kept<T: Num>(&self, targets: &[T]) -> usize {
        targets.iter().filter(|target| target.value() != self.ignore_index as f64).count()
    }
}

impl Op for CrossEntropy {
    fn id(&self) -> &'static str {
        "cross_entropy"
    }
    fn args(&self) -> &'static [Arg] {
        const ARGS: &[Arg] = &[Arg::real("logits"), Arg::new("target", Kind::Index)];
        ARGS
    }
    crate::constants! { dyn Op; ignore_index: Any, label_smoothing: Share, z_loss: NotNegative, reduction: Any }
    fn outputs(&self, args: &[Shape]) -> Vec<Shape> {
        let rows = args[0].rows();
        assert_eq!(rows, args[1].len(), "one target per row of {:?}", args[0]);
        match self.reduction {
            Reduction::None => vec![Shape::new(&[rows])],
            _ => vec![Shape::new(&[])],
        }
    }
    fn example(&self, rows: usize, cols: usize) -> Vec<Shape> {
        vec![Shape::new(&[rows, cols]), Shape::new(&[rows])]
    }
    fn index_limit(&self, args: &[Shape]) -> usize {
        args[0].cols()
    }
    fn properties(&self) -> &'static [Property] {
        if self.z_loss == 0.0 { &[Property::ShiftInvariant] } else { &[] }
    }
    fn kernels(&self) -> Option<&dyn Kernels> {
        Some(self)
    }
}

impl<T: Num> Reference<T> for CrossEntropy {
    fn forward(&self, args: &[View<T>], outs: &mut [&mut [T]]) {
        let [logits, target] = [args[0], args[1]];
        let classes = logits.shape.cols();
        let smoothing = T::num(self.label_smoothing);
        let mut total = T::zero();
        for (i, &target) in target.data.iter().enumerate() {
            let mut loss = T::zero();
            if let Some(y) = self.class(target, classes) {
                let nll = negative_log_probabilities(logits.row(i));
                let mut uniform = T::zero();
                for &v in &nll {
                    uniform += v;
                }
                loss = nll[y];
                // Without smoothing, a class of probability 0 elsewhere must not make 0·∞.
                if self.label_smoothing != 0.0 {
                    loss =
                        (T::one() - smoothing) * nll[y] + smoothing * uniform / T::count(classes);
                }
                if self.z_loss != 0.0 {
                    let log_z = log_sum_of_exponentials(logits.row(i));
                    loss += T::num(self.z_loss) * log_z * log_z;
                }
            }
            total += loss;
            if self.reduction == Reduction::None {
                outs[0][i] = loss;
            }
        }
        match self.reduction {
            Reduction::Mean => outs[0][0] = total / T::count(self.kept(target.data).max(1)),
            Reduction::Sum => outs[0][0] = total,
            Reduction::None => {}
        }
    }

    fn vjp(&self, args: &[View<T>], dy: &[T], dargs: &mut [&mut [T]]) {
        let [logits, target] = [args[0], args[1]];
        let classes = logits.shape.cols();
        for i in 0..logits.shape.rows() {
            let Some(y) = self.class(target.data[i], classes) else { continue };
            let dloss = match self.reduction {
                Reduction::Mean => dy[0] / T::count(self.kept(target.data)),
                Reduction::Sum => dy[0],
                Reduction::None => dy[i],
            };
            let nll = negative_log_probabilities(logits.row(i));
            let z_slope = match self.z_loss {
                0.0 => T::zero(),
                z_loss => T::num(2.0 * z_loss) * log_sum_of_exponentials(logits.row(i)),
            };
            for (j, &nll) in nll.iter().enumerate() {
                let smoothing = T::num(self.label_smoothing);
                let mut wanted = smoothing / T::count(classes);
                if j == y {
                    wanted += T::one() - smoothing;
                }
                if let Some(dlogits) = dargs[0].get_mut(i * classes + j) {
                    let p = (-nll).exp();
                    *dlogits += dloss * (p - wanted + z_slope * p);
                }
            }
        }
    }
}

/// −log p of every class of one row.
fn negative_log_probabilities<T: Num>(logits: &[T]) -> Vec<T> {
    let mut max = logits[0];
    for &v in logits {
        max = max.larger(v);
    }
    let mut sum = T::zero();
    for &v in logits {
        sum += (v - max).exp();
    }
    let lse = sum.ln();
    logits.iter().map(|&v| lse - (v - max)).collect()
}

/// ln Σ e^x of one row.
fn log_sum_of_exponentials<T: Num>(logits: &[T]) -> T {
    let mut max = logits[0];
    for &v in logits {
        max = max.larger(v);
    }
    let mut sum = T::zero();
    for &v in logits {
        sum += (v - max).exp();
    }
    max + sum.ln()
}

impl Fast for CrossEntropy {
    /// The largest logit of every row, and Σ e^(x − max). The log-sum-exp of both in one number
    /// would lose the digits of e^(x − lse) as logits grow.
    fn saved(&self, args: &[Shape]) -> usize {
        2 * args[0].rows()
    }
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
        let [logits, target] = [args[0], args[1]];
        let classes = logits.shape.cols();
        let smoothing = self.label_smoothing as f32;
        // One addition per row: f64 costs nothing here and keeps every digit of the rows.
        let mut total = 0.0f64;
        simd::dispatch!(|isa| {
            for (i, stats) in saved.chunks_exact_mut(2).enumerate() {
                let mut loss = 0.0;
                if let Some(y) = self.class(target.data[i], classes) {
                    let x = logits.row(i);
                    let max = max(isa, x);
                    let others = exponentials(isa, scratch, x, max, y);
                    let sum = others + exp_nonpositive(x[y] - max);
                    // A likely target has a small loss, all of whose digits are in the others.
                    let lse = if x[y] == max { libm::log1pf(others) } else { libm::logf(sum) };
                    loss = lse - (x[y] - max);
                    if smoothing != 0.0 {
                        for (shifted, x) in scratch.iter_mut().zip(x) {
                            *shifted = x - max;
                        }
                        let uniform = lse - simd::sum(isa, scratch) / classes as f32;
                        loss = (1.0 - smoothing) * loss + smoothing * uniform;
                    }
                    if self.z_loss != 0.0 {
                        loss += self.z_loss as f32 * (max + lse) * (max + lse);
                    }
                    stats.copy_from_slice(&[max, sum]);
                }
                total += loss as f64;
                if self.reduction == Reduction::None {
                    outs[0][i] = loss;
                }
            }
        });
        match self.reduction {
            Reduction::Mean => outs[0][0] = (total / self.kept(target.data).max(1) as f64) as f32,
            Reduction::Sum => outs[0][0] = total as f32,
            Reduction::None => {}
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
        let [logits, target] = [args[0], args[1]];
        let classes = logits.shape.cols();
        let dlogits = &mut dargs[0];
        if dlogits.is_empty() {
            return;
        }
        let smoothing = self.label_smoothing as f32;
        let per_kept = 1.0 / self.kept(target.data).max(1) as f32;
        simd::dispatch!(|isa| {
            for (i, stats) in saved.chunks_exact(2).enumerate() {
                let row = i * classes..(i + 1) * classes;
                let Some(y) = self.class(target.data[i], classes) else {
                    dlogits.put(row.clone(), row.map(|_| 0.0));
                    continue;
                };
                let dloss = match self.reduction {
                    Reduction::Mean => dy[0] * per_kept,
                    Reduction::Sum => dy[0],
                    Reduction::None => dy[i],
                };
                let (max, sum) = (stats[0], stats[1]);
                let others = exponentials(isa, scratch, logits.row(i), max, y);
                // p_y − 1 is minus the sum of the others, which cancels nothing as p_y → 1; what
                // is spread over all classes is here taken from y.
                scratch[y] = smoothing * sum - others;
                if self.z_loss != 0.0 {
                    let slope = 2.0 * self.z_loss as f32 * (max + libm::logf(sum));
                    let own = exp_nonpositive(logits.row(i)[y] - max);
                    for (j, e) in scratch.iter_mut().enumerate() {
                        *e += slope * if j == y { own } else { *e };
                    }
                }
                let (per_sum, spread) = (1.0 / sum, smoothing / classes as f32);
                dlogits.put(row, scratch.iter().map(|e| dloss * (e * per_sum - spread)));
            }
        });
    }
}

/// Fills `e` with e^(x − max), 0 at `skipped`, and returns the sum.
#[inline(always)]
fn exponentials(isa: Isa, e: &mut [f32], x: &[f32], max: f32, skipped: usize) -> f32 {
    for (e, x) in e.iter_mut().zip(x) {
        *e = exp_nonpositive(x - max);
    }
    e[skipped] = 0.0;
    simd::sum(isa, e)
}

/// The mean of (prediction − target)² over all elements.
#[derive(Debug, Clone, Copy)]
pub struct MeanSquaredError;

impl Op for MeanSquaredError {
    fn id(&self) -> &'static str {
        "mean_squared_error"
    }
    fn args(&self) -> &'static [Arg] {
        const ARGS: &[Arg] = &[Arg::real("prediction"), Arg::real("target")];
        ARGS
    }
    fn outputs(&self, args: &[Shape]) -> Vec<Shape> {
        assert_eq!(args[0], args[1], "the prediction and the target have one shape");
        vec![Shape::new(&[])]
    }
    fn example(&self, rows: usize, cols: usize) -> Vec<Shape> {
        vec![Shape::new(&[rows, cols]); 2]
    }
    fn kernels(&self) -> Option<&dyn Kernels> {
        Some(self)
    }
}

impl<T: Num> Reference<T> for MeanSquaredError {
    fn forward(&self, args: &[View<T>], outs: &mut [&mut [T]]) {
        let [prediction, target] = [args[0].data, args[1].data];
        let mut sum = T::zero();
        for i in 0..prediction.len() {
            sum += (prediction[i] - target[i]) * (prediction[i] - target[i]);
        }
        outs[0][0] = sum / T::count(prediction.len());
    }
    fn vjp(&self, args: &[View<T>], dy: &[T], dargs: &mut [&mut [T]]) {
        let [prediction, target] = [args[0].data, args[1].data];
        for i in 0..prediction.len() {
            let slope = T::num(2.0) * (prediction[i] - target[i]) / T::count(prediction.len());
            if let Some(dprediction) = dargs[0].get_mut(i) {
                *dprediction += dy[0] * slope;
            }
            if let Some(dtarget) = dargs[1].get_mut(i) {
                *dtarget += -(dy[0] * slope);
            }
        }
    }
}

impl Fast for MeanSquaredError {
    fn forward(
        &self,
        args: &[View<f32>],
        outs: &mut [&mut [f32]],
        _saved: &mut [f32],
        _scratch: &mut [f32],
    ) {
        let [prediction, target] = [args[0].data, args[1].data];
        let square = |sum: f32, [a, b]: [f32; 2]| (a - b).mul_add(a - b, sum);
        let sum = simd::dispatch!(|isa| simd::sum_of(isa, [prediction, target], square));
        outs[0][0] = sum / prediction.len() as f32;
    }
    fn vjp(
        &self,
        args: &[View<f32>],
        dy: &[f32],
        _saved: &[f32],
        dargs: &mut [Grad],
        _scratch: &mut [f32],
    ) {
        let [prediction, target] = [args[0].data, args[1].data];
        let factor = dy[0] * 2.0 / prediction.len() as f32;
        let [dprediction, dtarget] = dargs else { unreachable!("two arguments") };
        let differences = || prediction.iter().zip(target).map(|(a, b)| factor * (a - b));
        let all = 0..prediction.len();
        simd::dispatch!(|| {
            dprediction.put(all.clone(), differences());
            dtarget.put(all.clone(), differences().map(|difference| -difference));
        });
    }
}

/// The shape of a mean over targets, each predicted by so many numbers.
fn scalar(args: &[Shape], numbers: usize) -> Vec<Shape> {
    let (prediction, target) = (args[0], args[1]);
    assert_eq!(
        (prediction.rows(), prediction.cols()),
        (target.rows(), numbers * target.cols()),
        "{numbers} numbers for every target of {target:?}"
    );
    vec![Shape::new(&[])]
}

/// Every target, behind the numbers that predict it.
#[inline(always)]
fn places<'a, T: Num, const N: usize>(
    args: &[View<'a, T>],
) -> impl Iterator<Item = ([T; N], T)> + Clone + use<'a, T, N> {
    let (predictions, _) = args[0].data.as_chunks::<N>();
    predictions.iter().copied().zip(args[1].data.iter().copied())
}

/// The mean of what targets cost, each a `constant` more: the sum is in `f64`, which costs nothing here
/// and keeps every digit.
#[inline(always)]
fn mean(costs: impl Iterator<Item = f64>, constant: f64) -> f32 {
    let (sum, count) = costs.fold((0.0, 0usize), |(sum, n), cost| (sum + cost, n + 1));
    (sum / count as f64 + constant) as f32
}

/// Puts the slopes of every target's numbers and of the target itself where they belong.
#[inline(always)]
fn sort_gradients<const N: usize>(
    dargs: &mut [Grad],
    args: &[View<f32>],
    slopes: impl Fn(([f32; N], f32)) -> ([f32; N], f32) + Copy,
) {
    let [dprediction, dtarget] = dargs else { unreachable!("two arguments") };
    let all = places(args).map(slopes);
    dprediction.put(0..args[0].data.len(), all.clone().flat_map(|(prediction, _)| prediction));
    dtarget.put(0..args[1].data.len(), all.map(|(_, target)| target));
}

/// Threads of the one block that adds what others have left.
const LAST: u32 = 1024;

impl CrossEntropy {
    /// The target of a row that does not count, or a NaN, which no target equals, where `f32` does
    /// not have the number.
    fn ignored(&self) -> f32 {
        let ignored = self.ignore_index as f32;
        if f64::from(ignored) == self.ignore_index as f64 { ignored } else { f32::NAN }
    }

    /// Its number in the kernels.
    fn reduction(&self) -> Param {
        Param::U32(self.reduction as u32)
    }
}

impl Kernels for CrossEntropy {
    fn ptx(&self) -> Ptx {
        ptx!("loss")
    }

    fn keeps_f32(&self, _index: usize) -> bool {
        true
    }

    /// The largest logit of every row and Σ e^(x − max) over all classes but the target; then the
    /// number of rows that count.
    fn saved(&self, args: &[Shape], _chip: &Chip) -> usize {
        2 * args[0].rows() + 1
    }

    /// The loss of every row.
    fn scratch(&self, args: &[Shape], _chip: &Chip) -> usize {
        args[0].rows()
    }

    fn forward(&self, args: &[Shape], _chip: &Chip) -> Vec<Launch> {
        use Param::*;
        let (rows, ignored) = (args[0].rows(), F32(self.ignored()));
        let losses = if self.reduction == Reduction::None { Out(0) } else { Scratch(0) };
        let tensors = [Arg(0), Arg(1), losses, Saved(0)];
        let constants = [ignored, F32(self.label_smoothing as f32), F32(self.z_loss as f32)];
        let kernels = ["cross_entropy_rows_short", "cross_entropy_rows_long"];
        let mut launches = vec![by_rows(args[0], kernels, &tensors, &constants)];
        if self.reduction != Reduction::None {
            let tensors = [losses, Arg(1), Out(0), Saved(2 * rows)];
            let constants = [U64(rows as u64), ignored, self.reduction()];
            let params = [tensors.as_slice(), &constants].concat();
            launches.push(Launch::new("cross_entropy_total", 1, LAST, &params));
        }
        launches
    }

    fn vjp(&self, args: &[Shape], chip: &Chip) -> Vec<Launch> {
        use Param::*;
        let (rows, cols) = (args[0].rows(), args[0].cols());
        let tensors = [Arg(0), Arg(1), Dy, Saved(0), Saved(2 * rows), Grad(0)];
        let sizes = [U64(rows as u64), U32(cols as u32)];
        let numbers = [self.label_smoothing, self.z_loss].map(|number| F32(number as f32));
        let constants = [&[F32(self.ignored())], &numbers[..], &[self.reduction()]].concat();
        let params = [&tensors[..], &sizes, &constants].concat();
        let vectors = rows * cols.div_ceil(chip.vector());
        vec![Launch::each("cross_entropy_dlogits", vectors, &params)]
    }
}

impl MeanSquaredError {
    /// Blocks that share the sum out among them: each a part of no less than a few vectors a thread.
    fn blocks(args: &[Shape], chip: &Chip) -> usize {
        chip.blocks(args[0].len().div_ceil(16 * LAST as usize))
    }
}

impl Kernels for MeanSquaredError {
    fn ptx(&self) -> Ptx {
        ptx!("loss")
    }

    fn keeps_f32(&self, _index: usize) -> bool {
        true
    }

    /// A part of the sum for every block.
    fn scratch(&self, args: &[Shape], chip: &Chip) -> usize {
        Self::blocks(args, chip)
    }

    fn forward(&self, args: &[Shape], chip: &Chip) -> Vec<Launch> {
        use Param::*;
        let (len, blocks) = (args[0].len(), Self::blocks(args, chip));
        let parts = [Arg(0), Arg(1), Scratch(0), U64(len as u64)];
        let total = [Scratch(0), Out(0), U32(blocks as u32), F32(len as f32)];
        vec![
            Launch::new("mean_squared_error_parts", blocks, LAST, &parts),
            Launch::new("mean_squared_error_total", 1, LAST, &total),
        ]
    }

    fn vjp(&self, args: &[Shape], chip: &Chip) -> Vec<Launch> {
        use Param::*;
        let len = args[0].len();
        let count = [U64(len as u64), F32(len as f32)];
        let params = [&[Arg(0), Arg(1), Dy, Grad(0), Grad(1)], &count[..]].concat();
        vec![Launch::by_vectors("mean_squared_error_gradients", len, chip, &params)]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::bodies::{Case, Path, Rows, fast_agrees};

    const MEAN: CrossEntropy = CrossEntropy {
        ignore_index: -100,
        label_smoothing: 0.0,
        z_loss: 0.0,
        reduction: Reduction::Mean,
    };

    fn problem(op: &CrossEntropy, rows: usize, cols: usize) -> Case {
        Case::draw(op, Rows::Normal, rows, cols, 1)
    }

    #[test]
    fn an_ignored_row_adds_nothing_whatever_its_logits() {
        for reduction in [Reduction::Mean, Reduction::Sum, Reduction::None] {
            let op = CrossEntropy { reduction, label_smoothing: 0.1, ..MEAN };
            let mut case = problem(&op, 3, 5);
            case.values[1][1] = -100.0;
            let before = Path::ALL.map(|path| path.run(&op, &case));
            case.values[0][5..10].copy_from_slice(&[f64::NAN, f64::INFINITY, -1e30, 1e30, 0.0]);
            assert_eq!(before, Path::ALL.map(|path| path.run(&op, &case)));
            assert!(before.iter().all(|results| results.grads[0][5..10] == [0.0; 5]));
        }
    }

    #[test]
    fn nothing_kept_costs_nothing() {
        for reduction in [Reduction::Mean, Reduction::Sum, Reduction::None] {
            let op = CrossEntropy { reduction, ..MEAN };
            let mut case = problem(&op, 3, 5);
            case.values[1].fill(-100.0);
            for results in Path::ALL.map(|path| path.run(&op, &case)) {
                assert!(results.named().all(|(_, tensor)| tensor.iter().all(|&v| v == 0.0)));
            }
        }
    }

    #[test]
    fn large_logits_neither_overflow_nor_lose_digits() {
        let mut case = problem(&MEAN, 4, 9);
        case.values[0].iter_mut().for_each(|x| *x = (*x * 1e4).round());
        fast_agrees(&MEAN, &case).unwrap();
        let logits = case.values[0].iter_mut().enumerate();
        logits.for_each(|(i, x)| *x = 1e4 + (i % 9) as f64 / 8.0);
        fast_agrees(&MEAN, &case).unwrap();
    }

    #[test]
    fn a_small_loss_keeps_its_digits() {
        let mut case = problem(&MEAN, 1, 2);
        case.values = vec![vec![18.0, 0.0], vec![0.0]];
        let (exact, fast) = ((-18f64).exp().ln_1p(), Path::Fast.run(&MEAN, &case).outs[0][0]);
        // log1p, exp and their argument round once each: a few units of 2⁻²⁴.
        assert!((fast / exact - 1.0).abs() < 1e-6, "{fast} for {exact}");
    }

    #[test]
    #[should_panic(expected = "target 5.0 for 5 classes")]
    fn a_target_out_of_range_asserts() {
        let mut case = problem(&MEAN, 2, 5);
        case.values[1][1] = 5.0;
        Path::Fast.run(&MEAN, &case);
    }

    /// With equal logits c of V classes, ln Z = c + ln V, and every p_j is 1/V.
    #[test]
    fn z_loss_of_equal_logits_is_known() {
        let op = CrossEntropy { z_loss: 0.25, reduction: Reduction::Sum, ..MEAN };
        let logits = View::new(Shape::new(&[1, 4]), &[2.0f64; 4]);
        let args = [logits, View::new(Shape::new(&[1]), &[3.0])];
        let (mut loss, mut dlogits) = ([0.0], [0.0; 4]);
        Reference::forward(&op, &args, &mut [&mut loss]);
        let log_z = 2.0 + 4f64.ln();
        assert!((loss[0] - 4f64.ln() - 0.25 * log_z * log_z).abs() < 1e-14);
        Reference::vjp(&op, &args, &[1.0], &mut [&mut dlogits, &mut []]);
        for (j, slope) in dlogits.into_iter().enumerate() {
            let wanted = 0.25 + 0.5 * log_z * 0.25 - if j == 3 { 1.0 } else { 0.0 };
            assert!((slope - wanted).abs() < 1e-15, "{j}: {slope}");
        }
    }
}
