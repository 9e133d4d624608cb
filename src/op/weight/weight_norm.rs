//! Weight normalisation (Salimans & Kingma 2016, arXiv 1602.07868, equations 2 and 3).
//!
//! Of every row V of the matrix: u = V/max(‖V‖, eps), y = gain·u. Where ‖V‖ > eps:
//! dV = gain/‖V‖·(dy − u·⟨u, dy⟩), else gain/eps·dy; dgain = ⟨u, dy⟩.
//!
//! The gain starts at ‖V‖, so that y starts as the matrix that was drawn (as in PyTorch); the
//! paper starts it from a batch of data, and neither has an eps.

use std::sync::Arc;

use super::Form;
use super::launch::RowForm;
use crate::choice::Described;
use crate::num::Num;
use crate::op::device::{Chip, Kernels, Launch, Ptx, ptx};
use crate::op::simd::{self, dot};
use crate::op::{Arg, Fast, Grad, Op, Property, Reference, Shape, SharedOp, View};

/// Every row of a matrix over its length, times its gain.
#[derive(Debug, Clone, Copy)]
pub struct WeightNorm {
    /// The least that a row is divided by, in the units of V.
    pub eps: f64,
}

impl Described for WeightNorm {
    const ID: &'static str = "weight_norm";
    const ABOUT: &'static str = "V/‖V‖·gain of every row, gain from ‖V‖ (Salimans & Kingma 2016)";
    fn new() -> Self {
        WeightNorm { eps: 1e-12 }
    }
}

impl Form for WeightNorm {
    crate::constants! { dyn Form; eps: NotNegative }
    fn operators(&self) -> Vec<SharedOp> {
        vec![Arc::new(*self)]
    }
}

impl Op for WeightNorm {
    fn id(&self) -> &'static str {
        Self::ID
    }
    fn args(&self) -> &'static [Arg] {
        const ARGS: &[Arg] = &[Arg::weight("weight"), Arg::weight("gain").from_row_lengths()];
        ARGS
    }
    crate::constants! { dyn Op; eps: NotNegative }
    fn outputs(&self, args: &[Shape]) -> Vec<Shape> {
        assert_eq!(args[1].len(), args[0].rows(), "{args:?}");
        vec![args[0]]
    }
    fn example(&self, rows: usize, cols: usize) -> Vec<Shape> {
        super::example(&[rows], rows, cols)
    }
    fn properties(&self) -> &'static [Property] {
        &[Property::ScaleInvariant, Property::Odd, Property::RowIndependent]
    }
    fn kernels(&self) -> Option<&dyn Kernels> {
        Some(self)
    }
}

impl<T: Num> Reference<T> for WeightNorm {
    fn forward(&self, args: &[View<T>], outs: &mut [&mut [T]]) {
        let [weight, gain] = [args[0], args[1]];
        let cols = weight.shape.cols();
        for i in 0..weight.shape.rows() {
            let length = length(weight.row(i)).larger(T::num(self.eps));
            for j in 0..cols {
                outs[0][i * cols + j] = gain.data[i] * (weight.row(i)[j] / length);
            }
        }
    }

    fn vjp(&self, args: &[View<T>], dy: &[T], dargs: &mut [&mut [T]]) {
        let [weight, gain] = [args[0], args[1]];
        let cols = weight.shape.cols();
        for i in 0..weight.shape.rows() {
            let (norm, eps) = (length(weight.row(i)), T::num(self.eps));
            let length = norm.larger(eps);
            let unit: Vec<T> = weight.row(i).iter().map(|&v| v / length).collect();
            let dy = &dy[i * cols..(i + 1) * cols];
            let mut along = T::zero();
            for j in 0..cols {
                along += unit[j] * dy[j];
            }
            for j in 0..cols {
                let turned = if norm > eps { unit[j] * along } else { T::zero() };
                if let Some(dweight) = dargs[0].get_mut(i * cols + j) {
                    *dweight += gain.data[i] / length * (dy[j] - turned);
                }
            }
            if let Some(dgain) = dargs[1].get_mut(i) {
                *dgain += along;
            }
        }
    }
}

/// ‖V‖. Its derivative at 0 is not defined, and not used: there eps is larger.
fn length<T: Num>(row: &[T]) -> T {
    let mut square = T::zero();
    for &v in row {
        square += v * v;
    }
    square.sqrt()
}

impl Fast for WeightNorm {
    /// 1/max(‖V‖, eps) of every row.
    fn saved(&self, args: &[Shape]) -> usize {
        args[0].rows()
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
        let y = &mut *outs[0];
        simd::dispatch!(|isa, cols| {
            let rows = weight.data.chunks_exact(cols).zip(y.chunks_exact_mut(cols));
            for (((v, y), gain), saved) in rows.zip(gain.data).zip(&mut *saved) {
                let norm = dot(isa, v, v).sqrt();
                // A NaN is not below eps, and stays.
                *saved = 1.0 / if norm < eps { eps } else { norm };
                for (y, v) in y.iter_mut().zip(v) {
                    *y = gain * (v * *saved);
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
        _scratch: &mut [f32],
    ) {
        let [weight, gain] = [args[0], args[1]];
        let (cols, flat) = (weight.shape.cols(), 1.0 / self.eps as f32);
        let [dweight, dgain] = dargs else { unreachable!("two arguments") };
        let dgain = dgain.to_add();
        simd::dispatch!(|isa, cols| {
            for (i, (&inverse, gain)) in saved.iter().zip(gain.data).enumerate() {
                let row = i * cols..(i + 1) * cols;
                let (v, dy) = (&weight.data[row.clone()], &dy[row.clone()]);
                let along = dot(isa, v, dy) * inverse;
                if let Some(dgain) = dgain.get_mut(i) {
                    *dgain += along;
                }
                let turned = if inverse == flat { 0.0 } else { along };
                let factor = gain * inverse;
                let slope = -factor * (inverse * turned);
                let elements = v.iter().zip(dy);
                dweight.put(row, elements.map(|(v, dy)| factor.mul_add(*dy, v * slope)));
            }
        });
    }
}

impl WeightNorm {
    fn launches(&self) -> RowForm {
        RowForm {
            forward: [
                "weight_norm_forward_narrow",
                "weight_norm_forward_warp",
                "weight_norm_forward_block",
            ],
            vjp: ["weight_norm_vjp_narrow", "weight_norm_vjp_warp", "weight_norm_vjp_block"],
            gamma: 1.0,
            eps: self.eps,
            choice: false,
            divisor: 1,
        }
    }
}

impl Kernels for WeightNorm {
    fn ptx(&self) -> Ptx {
        ptx!("weight_norm")
    }

    /// mean, q and its slope of every row.
    fn saved(&self, args: &[Shape], _chip: &Chip) -> usize {
        3 * args[0].rows()
    }

    fn forward(&self, args: &[Shape], chip: &Chip) -> Vec<Launch> {
        self.launches().forward(args[0], chip)
    }

    fn vjp(&self, args: &[Shape], chip: &Chip) -> Vec<Launch> {
        self.launches().vjp(args[0], chip)
    }
}
