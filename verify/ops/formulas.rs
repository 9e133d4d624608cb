//! The formulas of layer_norm and softmax, each line with the mistakes that can be made in it.

use plummet::num::{Dtype, Num};
use plummet::op::View;

use Mistake::*;

/// What is wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mistake {
    LayerNormRight,
    /// eps is not in the rstd of the backward pass.
    EpsForgottenBackward,
    /// − mean(w) is missing in dx.
    MeanTermMissing,
    /// − x̂·mean(w·x̂) is missing in dx.
    ProjectionMissing,
    /// Sums where dx has means.
    SumsForMeans,
    /// dx is made from dy without the weight.
    WeightForgottenBackward,
    /// dx has the other sign.
    SignFlipped,
    /// dweight is made from x, not x̂.
    WeightGradientFromX,
    /// dweight and dbias hold the last row only.
    LastRowOnly,
    /// Gradients are written, not added.
    GradientsOverwritten,
    /// Outputs are added to, not written.
    OutputsAdded,
    /// Every row has the statistics of the first one.
    StatisticsOfFirstRow,
    /// dweight and dbias are made only where somebody wants dx.
    WeightNeedsX,
    /// dx is made with the bias, times 0.
    BiasReadBackward,
    /// The mean is left in, as in rms_norm, forward and back.
    MeanLeftIn,
    /// The variance is divided by n − 1.
    VarianceByNMinusOne,
    /// 1/(√var + eps).
    EpsOutsideRoot,
    /// eps is forgotten in both passes.
    EpsForgotten,
    /// E[x²] − mean².
    OnePassVariance,
    /// weight·(x̂ + bias).
    BiasBeforeScale,
    /// rstd passes through 16 bits.
    StatisticsIn16Bits,
    /// The columns behind the last whole block of 16 are left out of the sums.
    TailForgotten,
    /// Softmax, right.
    SoftmaxRight,
    /// e^x/Σe^x.
    SoftmaxUnshifted,
    /// e^(x − max).
    SoftmaxUnnormalised,
}

impl Mistake {
    /// Those of layer_norm that show although both bodies share them.
    pub const IN_BOTH: [Mistake; 14] = [
        EpsForgottenBackward,
        MeanTermMissing,
        ProjectionMissing,
        SumsForMeans,
        WeightForgottenBackward,
        SignFlipped,
        WeightGradientFromX,
        LastRowOnly,
        GradientsOverwritten,
        OutputsAdded,
        StatisticsOfFirstRow,
        WeightNeedsX,
        BiasReadBackward,
        MeanLeftIn,
    ];
    /// Those of layer_norm that are consistent in themselves or a matter of rounding.
    pub const IN_FAST: [Mistake; 7] = [
        VarianceByNMinusOne,
        EpsOutsideRoot,
        EpsForgotten,
        OnePassVariance,
        BiasBeforeScale,
        StatisticsIn16Bits,
        TailForgotten,
    ];
}

pub fn forward<T: Num>(mistake: Mistake, args: &[View<T>], outs: &mut [&mut [T]]) {
    let x = args[0];
    let cols = x.shape.cols();
    for i in 0..x.shape.rows() {
        let y = &mut outs[0][i * cols..(i + 1) * cols];
        if softmax_in(mistake) {
            y.copy_from_slice(&softmax(mistake, x.row(i)));
            continue;
        }
        let (mean, rstd) = statistics(mistake, x, i, false);
        for (j, y) in y.iter_mut().enumerate() {
            let xhat = (x.row(i)[j] - mean) * rstd;
            let (weight, bias) = (args[1].get(j), args[2].get(j));
            let bias = bias.copied().unwrap_or_default();
            let scaled = |v: T| weight.map_or(v, |&w| w * v);
            let value =
                if mistake == BiasBeforeScale { scaled(xhat + bias) } else { scaled(xhat) + bias };
            *y = if mistake == OutputsAdded { *y + value } else { value };
        }
    }
}

pub fn vjp<T: Num>(mistake: Mistake, args: &[View<T>], dy: &[T], dargs: &mut [&mut [T]]) {
    let x = args[0];
    let (rows, cols) = (x.shape.rows(), x.shape.cols());
    for i in 0..rows {
        let dy = &dy[i * cols..(i + 1) * cols];
        if softmax_in(mistake) {
            let y = softmax(mistake, x.row(i));
            let slope = sum((0..cols).map(|j| y[j] * dy[j]));
            let slope = if mistake == SoftmaxUnnormalised { T::zero() } else { slope };
            let dx = dargs[0].iter_mut().skip(i * cols).zip(0..cols);
            dx.for_each(|(dx, j)| *dx += y[j] * (dy[j] - slope));
            continue;
        }
        let (mean, rstd) = statistics(mistake, x, i, true);
        let xhat: Vec<T> = x.row(i).iter().map(|&v| (v - mean) * rstd).collect();
        let unweighted = mistake == WeightForgottenBackward;
        let weight = |j: usize| if unweighted { None } else { args[1].get(j) };
        let w: Vec<T> = (0..cols).map(|j| weight(j).map_or(dy[j], |&g| g * dy[j])).collect();
        let n = if mistake == SumsForMeans { T::one() } else { T::count(cols) };
        let mut shift = sum(w.iter().copied()) / n;
        let mut slope = sum((0..cols).map(|j| w[j] * xhat[j])) / n;
        match mistake {
            MeanTermMissing | MeanLeftIn => shift = T::zero(),
            ProjectionMissing => slope = T::zero(),
            _ => {}
        }
        for j in 0..cols {
            let mut dx = rstd * (w[j] - shift - xhat[j] * slope);
            match (mistake, args[2].get(j)) {
                (SignFlipped, _) => dx = -dx,
                (BiasReadBackward, Some(&bias)) => dx += T::zero() * bias,
                _ => {}
            }
            let seen = if mistake == WeightGradientFromX { x.row(i)[j] } else { xhat[j] };
            let sums = [(i * cols + j, dx), (j, dy[j] * seen), (j, dy[j])];
            for (index, (at, value)) in sums.into_iter().enumerate() {
                let late = mistake == LastRowOnly && i + 1 < rows;
                if index > 0 && (late || (mistake == WeightNeedsX && dargs[0].is_empty())) {
                    continue;
                }
                if let Some(d) = dargs[index].get_mut(at) {
                    *d = if mistake == GradientsOverwritten { value } else { *d + value };
                }
            }
        }
    }
}

fn sum<T: Num>(terms: impl Iterator<Item = T>) -> T {
    terms.fold(T::zero(), |sum, term| sum + term)
}

/// Mean and rstd of row `i`, as the mistake has them.
fn statistics<T: Num>(mistake: Mistake, x: View<T>, i: usize, backward: bool) -> (T, T) {
    let row = x.row(if mistake == StatisticsOfFirstRow { 0 } else { i });
    let seen = if mistake == TailForgotten { row.len().max(16) / 16 * 16 } else { row.len() };
    let row = &row[..seen.min(row.len())];
    let n = T::count(row.len());
    let mut mean = sum(row.iter().copied()) / n;
    if mistake == MeanLeftIn {
        mean = T::zero();
    }
    let squares = sum(row.iter().map(|&v| (v - mean) * (v - mean)));
    let var = match mistake {
        OnePassVariance => sum(row.iter().map(|&v| v * v)) / n - mean * mean,
        VarianceByNMinusOne if row.len() > 1 => squares / T::count(row.len() - 1),
        _ => squares / n,
    };
    let forgotten = mistake == EpsForgotten || (mistake == EpsForgottenBackward && backward);
    let eps = T::num(if forgotten { 0.0 } else { 1e-5 });
    let rstd = match mistake {
        EpsOutsideRoot => T::one() / (var.sqrt() + eps),
        _ => T::one() / (var + eps).sqrt(),
    };
    (mean, if mistake == StatisticsIn16Bits { rstd.narrow(Dtype::Bf16) } else { rstd })
}

fn softmax_in(mistake: Mistake) -> bool {
    matches!(mistake, SoftmaxRight | SoftmaxUnshifted | SoftmaxUnnormalised)
}

fn softmax<T: Num>(mistake: Mistake, x: &[T]) -> Vec<T> {
    let max = x[1..].iter().fold(x[0], |max, &v| max.larger(v));
    let shift = if mistake == SoftmaxUnshifted { T::zero() } else { max };
    let e: Vec<T> = x.iter().map(|&v| (v - shift).exp()).collect();
    let total = sum(e.iter().copied());
    let total = if mistake == SoftmaxUnnormalised { T::one() } else { total };
    e.into_iter().map(|e| e / total).collect()
}
