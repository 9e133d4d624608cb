//! Weight standardisation (Qiao, Wang, Liu, Shen & Yuille 2019, arXiv 1903.10520, equation 5).
//!
//! Of every row of W, that is of every output: c = W − mean(W), y = gain·c·q with
//! q = 1/(√var + eps), or 1/√(var + eps) with eps inside of the root. With v = gain·dy and n columns:
//! dW = q·(v − mean(v) − c·t·q·Σ(v ⊙ c)/m), dgain = Σ dy ⊙ c·q, where t is 1/√var, or q inside, and
//! var = Σc²/m.
//!
//! The paper has eps inside and m = n. The authors' snippets have it outside, with m = n − 1 for PyTorch
//! and m = n for TensorFlow. None has a gain; a row of y has the length √n, which they leave to the
//! norm behind it.
//!
//! Where a row is constant the term of √var vanishes with c, as in [`crate::op::norm::RmsNormOutside`].

use std::sync::Arc;

use super::Form;
use super::launch::RowForm;
use crate::choice::Described;
use crate::num::Num;
use crate::op::device::{Chip, Kernels, Launch, Ptx, ptx};
use crate::op::simd::{self, sum, sum_of_squares_around};
use crate::op::{Arg, Fast, Grad, Op, Property, Reference, Shape, SharedOp, View};

crate::choices! {
    /// What the squares of a row are divided by.
    Deviation {
        /// The columns.
        Population = "population",
        /// The columns less one; of one column, that one.
        Unbiased = "unbiased",
    }
}

crate::choices! {
    /// Where eps is added.
    Root {
        /// To the standard deviation.
        Outside = "outside",
        /// To the variance.
        Inside = "inside",
    }
}

/// Every row of a matrix less its mean, over its standard deviation, times its gain.
#[derive(Debug, Clone, Copy)]
pub struct Standardised {
    /// Added to the standard deviation in the units of W, or to the variance.
    pub eps: f64,
    /// What the squares of a row are divided by.
    pub deviation: Deviation,
    /// Where eps is added.
    pub root: Root,
}

impl Described for Standardised {
    const ID: &'static str = "standardised";
    const ABOUT: &'static str =
        "(W − mean)/(std + eps)·gain of every row, gain from 1 (Qiao et al. 2019)";
    fn new() -> Self {
        Standardised { eps: 1e-5, deviation: Deviation::Population, root: Root::Outside }
    }
}

impl Form for Standardised {
    crate::constants! { dyn Form; eps: NotNegative, deviation: Any, root: Any }
    fn operators(&self) -> Vec<SharedOp> {
        vec![Arc::new(*self)]
    }
}

impl Op for Standardised {
    fn id(&self) -> &'static str {
        Self::ID
    }
    fn args(&self) -> &'static [Arg] {
        const ARGS: &[Arg] = &[Arg::weight("weight"), Arg::weight("gain").from(1.0).optional()];
        ARGS
    }
    crate::constants! { dyn Op; eps: NotNegative, deviation: Any, root: Any }
    fn outputs(&self, args: &[Shape]) -> Vec<Shape> {
        assert!(args[1].is_empty() || args[1].len() == args[0].rows(), "{args:?}");
        vec![args[0]]
    }
    fn example(&self, rows: usize, cols: usize) -> Vec<Shape> {
        super::example(&[rows], rows, cols)
    }
    fn properties(&self) -> &'static [Property] {
        &[Property::ShiftInvariant, Property::Odd, Property::RowIndependent]
    }
    fn kernels(&self) -> Option<&dyn Kernels> {
        Some(self)
    }
}

impl Standardised {
    /// m, what the squares of a row of so many columns are divided by.
    fn divisor(&self, cols: usize) -> usize {
        match self.deviation {
            Deviation::Population => cols,
            Deviation::Unbiased => cols.max(2) - 1,
        }
    }

    /// c, q and t of one row.
    fn statistics<T: Num>(&self, w: &[T]) -> (Vec<T>, T, T) {
        let mut mean = T::zero();
        for &v in w {
            mean += v;
        }
        mean = mean / T::count(w.len());
        let centred: Vec<T> = w.iter().map(|&v| v - mean).collect();
        let mut squares = T::zero();
        for &c in &centred {
            squares += c * c;
        }
        let (var, eps) = (squares / T::count(self.divisor(w.len())), T::num(self.eps));
        match self.root {
            Root::Inside => {
                let q = T::one() / (var + eps).sqrt();
                (centred, q, q)
            }
            Root::Outside if var > T::zero() => {
                let std = var.sqrt();
                (centred, T::one() / (std + eps), T::one() / std)
            }
            Root::Outside => (centred, T::one() / eps, T::zero()),
        }
    }
}

impl<T: Num> Reference<T> for Standardised {
    fn forward(&self, args: &[View<T>], outs: &mut [&mut [T]]) {
        let [weight, gain] = [args[0], args[1]];
        let cols = weight.shape.cols();
        for i in 0..weight.shape.rows() {
            let (centred, q, _) = self.statistics(weight.row(i));
            for j in 0..cols {
                let y = centred[j] * q;
                outs[0][i * cols + j] = gain.get(i).map_or(y, |&gain| gain * y);
            }
        }
    }

    fn vjp(&self, args: &[View<T>], dy: &[T], dargs: &mut [&mut [T]]) {
        let [weight, gain] = [args[0], args[1]];
        let cols = weight.shape.cols();
        for i in 0..weight.shape.rows() {
            let (centred, q, t) = self.statistics(weight.row(i));
            let dy = &dy[i * cols..(i + 1) * cols];
            let (mut total, mut along) = (T::zero(), T::zero());
            for j in 0..cols {
                total += dy[j];
                along += dy[j] * (centred[j] * q);
            }
            let (mean, slope) = (total / T::count(cols), along / T::count(self.divisor(cols)));
            let gained = gain.get(i).copied().unwrap_or(T::one());
            for j in 0..cols {
                if let Some(dweight) = dargs[0].get_mut(i * cols + j) {
                    *dweight += gained * q * (dy[j] - mean - centred[j] * t * slope);
                }
            }
            if let Some(dgain) = dargs[1].get_mut(i) {
                *dgain += along;
            }
        }
    }
}

impl Fast for Standardised {
    /// mean, q and t of every row.
    fn saved(&self, args: &[Shape]) -> usize {
        3 * args[0].rows()
    }

    fn forward(
        &self,
        args: &[View<f32>],
        outs: &mut [&mut [f32]],
        saved: &mut [f32],
        _scratch: &mut [f32],
    ) {
        let [weight, gain] = [args[0], args[1]];
        let (cols, eps) = (weight.shape.cols(), self.eps as f32);
        let per_divisor = 1.0 / self.divisor(cols) as f32;
        let (inside, y) = (self.root == Root::Inside, &mut *outs[0]);
        simd::dispatch!(|isa, cols| {
            let rows = weight.data.chunks_exact(cols).zip(y.chunks_exact_mut(cols));
            for (i, ((w, y), saved)) in rows.zip(saved.chunks_exact_mut(3)).enumerate() {
                let mean = sum(isa, w) * (1.0 / cols as f32);
                let var = sum_of_squares_around(isa, w, mean) * per_divisor;
                let [q, t] = if inside {
                    [1.0 / (var + eps).sqrt(); 2]
                } else {
                    let std = var.sqrt();
                    [1.0 / (std + eps), if std > 0.0 { 1.0 / std } else { 0.0 }]
                };
                let factor = q * gain.get(i).copied().unwrap_or(1.0);
                for (y, w) in y.iter_mut().zip(w) {
                    *y = (w - mean) * factor;
                }
                saved.copy_from_slice(&[mean, q, t]);
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
        let [weight, gain] = [args[0], args[1]];
        let cols = weight.shape.cols();
        let per_divisor = 1.0 / self.divisor(cols) as f32;
        let [dweight, dgain] = dargs else { unreachable!("two arguments") };
        let dgain = dgain.to_add();
        simd::dispatch!(|isa, cols| {
            for (i, saved) in saved.chunks_exact(3).enumerate() {
                let [mean, q, t] = [saved[0], saved[1], saved[2]];
                let row = i * cols..(i + 1) * cols;
                let (w, dy) = (&weight.data[row.clone()], &dy[row.clone()]);
                let shift = sum(isa, dy) * (1.0 / cols as f32);
                let add = |lane, [w, dy]: [f32; 2]| (w - mean).mul_add(dy, lane);
                let along = q * simd::sum_of(isa, [w, dy], add);
                if let Some(dgain) = dgain.get_mut(i) {
                    *dgain += along;
                }
                let slope = t * (along * per_divisor);
                let factor = q * gain.get(i).copied().unwrap_or(1.0);
                let elements = w.iter().zip(dy);
                dweight.put(
                    row,
                    elements.map(|(w, dy)| factor * (mean - w).mul_add(slope, dy - shift)),
                );
            }
        });
    }
}

impl Standardised {
    fn launches(&self, weight: Shape) -> RowForm {
        RowForm {
            forward: [
                "standardised_forward_narrow",
                "standardised_forward_warp",
                "standardised_forward_block",
            ],
            vjp: ["standardised_vjp_narrow", "standardised_vjp_warp", "standardised_vjp_block"],
            gamma: 1.0,
            eps: self.eps,
            choice: self.root == Root::Inside,
            divisor: self.divisor(weight.cols()),
        }
    }
}

impl Kernels for Standardised {
    fn ptx(&self) -> Ptx {
        ptx!("standardised")
    }

    /// mean, q and its slope of every row.
    fn saved(&self, args: &[Shape], _chip: &Chip) -> usize {
        3 * args[0].rows()
    }

    fn forward(&self, args: &[Shape], chip: &Chip) -> Vec<Launch> {
        self.launches(args[0]).forward(args[0], chip)
    }

    fn vjp(&self, args: &[Shape], chip: &Chip) -> Vec<Launch> {
        self.launches(args[0]).vjp(args[0], chip)
    }
}
