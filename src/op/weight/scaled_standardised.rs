//! Scaled weight standardisation (Brock, De & Smith 2021, arXiv 2101.08692).
//!
//! Of every row of W, of n columns: c = W − mean(W), y = gamma·gain·c·r with r = 1/√max(n·var, eps), or
//! 1/√(n·(var + eps)) where eps is added. With v = gamma·gain·dy and h = c·r:
//! dW = r·(v − mean(v) − h·Σ(v ⊙ h)), at the floor without the last term; dgain = gamma·Σ dy ⊙ h.
//!
//! A row has the length gamma·gain: what it gives keeps the variance of what it reads. The authors' code
//! has the floor, with 1e-4, and multiplies activations by gamma; timm adds eps, 1e-6, and multiplies
//! weights by gamma, as here. Behind relu gamma is 1.7139588594436646, behind gelu 1.7015043497085571, behind
//! silu 1.7881293296813965.

use std::sync::Arc;

use super::Form;
use super::launch::RowForm;
use crate::choice::Described;
use crate::num::Num;
use crate::op::device::{Chip, Kernels, Launch, Ptx, ptx};
use crate::op::simd::{self, sum, sum_of_squares_around};
use crate::op::{Arg, Fast, Grad, Op, Property, Reference, Shape, SharedOp, View};

crate::choices! {
    /// What eps does.
    Floor {
        /// n·var is no less than eps.
        Floor = "floor",
        /// eps is added to var.
        Added = "added",
    }
}

/// Every row of a matrix less its mean, over its length, times gamma and its gain.
#[derive(Debug, Clone, Copy)]
pub struct ScaledStandardised {
    /// In the units of W squared.
    pub eps: f64,
    /// What eps does.
    pub floor: Floor,
    /// What the activation before takes from the deviation.
    pub gamma: f64,
}

impl Described for ScaledStandardised {
    const ID: &'static str = "scaled_standardised";
    const ABOUT: &'static str =
        "gamma·(W − mean)/√max(n·var, eps)·gain of every row, gain from 1 (Brock et al. 2021)";
    fn new() -> Self {
        ScaledStandardised { eps: 1e-4, floor: Floor::Floor, gamma: 1.0 }
    }
}

impl Form for ScaledStandardised {
    crate::constants! { dyn Form; eps: NotNegative, floor: Any, gamma: Finite }
    fn operators(&self) -> Vec<SharedOp> {
        vec![Arc::new(*self)]
    }
}

impl Op for ScaledStandardised {
    fn id(&self) -> &'static str {
        Self::ID
    }
    fn args(&self) -> &'static [Arg] {
        const ARGS: &[Arg] = &[Arg::weight("weight"), Arg::weight("gain").from(1.0)];
        ARGS
    }
    crate::constants! { dyn Op; eps: NotNegative, floor: Any, gamma: Finite }
    fn outputs(&self, args: &[Shape]) -> Vec<Shape> {
        assert_eq!(args[1].len(), args[0].rows(), "{args:?}");
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

impl ScaledStandardised {
    /// c and r of one row, and whether r moves with it.
    fn statistics<T: Num>(&self, w: &[T]) -> (Vec<T>, T, bool) {
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
        let eps = T::num(self.eps);
        let (under_root, moves) = match self.floor {
            Floor::Floor => (squares.larger(eps), squares > eps),
            Floor::Added => (squares + T::count(w.len()) * eps, true),
        };
        (centred, T::one() / under_root.sqrt(), moves)
    }
}

impl<T: Num> Reference<T> for ScaledStandardised {
    fn forward(&self, args: &[View<T>], outs: &mut [&mut [T]]) {
        let [weight, gain] = [args[0], args[1]];
        let cols = weight.shape.cols();
        for i in 0..weight.shape.rows() {
            let (centred, r, _) = self.statistics(weight.row(i));
            let gained = T::num(self.gamma) * gain.data[i];
            for j in 0..cols {
                outs[0][i * cols + j] = gained * (centred[j] * r);
            }
        }
    }

    fn vjp(&self, args: &[View<T>], dy: &[T], dargs: &mut [&mut [T]]) {
        let [weight, gain] = [args[0], args[1]];
        let cols = weight.shape.cols();
        for i in 0..weight.shape.rows() {
            let (centred, r, moves) = self.statistics(weight.row(i));
            let dy = &dy[i * cols..(i + 1) * cols];
            let (mut total, mut along) = (T::zero(), T::zero());
            for j in 0..cols {
                total += dy[j];
                along += dy[j] * (centred[j] * r);
            }
            let (mean, gained) = (total / T::count(cols), T::num(self.gamma) * gain.data[i]);
            for j in 0..cols {
                let turned = if moves { centred[j] * r * along } else { T::zero() };
                if let Some(dweight) = dargs[0].get_mut(i * cols + j) {
                    *dweight += gained * r * (dy[j] - mean - turned);
                }
            }
            if let Some(dgain) = dargs[1].get_mut(i) {
                *dgain += T::num(self.gamma) * along;
            }
        }
    }
}

impl Fast for ScaledStandardised {
    /// mean and r of every row, and r again, or 0 at the floor.
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
        let (cols, eps, gamma) = (weight.shape.cols(), self.eps as f32, self.gamma as f32);
        let y = &mut *outs[0];
        simd::dispatch!(|isa, cols| {
            let rows = weight.data.chunks_exact(cols).zip(y.chunks_exact_mut(cols));
            let rows = rows.zip(gain.data).zip(saved.chunks_exact_mut(3));
            for (((w, y), gain), saved) in rows {
                let mean = sum(isa, w) * (1.0 / cols as f32);
                let squares = sum_of_squares_around(isa, w, mean);
                let [r, moved] = match self.floor {
                    Floor::Added => [1.0 / (cols as f32).mul_add(eps, squares).sqrt(); 2],
                    Floor::Floor if squares > eps => [1.0 / squares.sqrt(); 2],
                    Floor::Floor => [1.0 / eps.sqrt(), 0.0],
                };
                let factor = gamma * gain * r;
                for (y, w) in y.iter_mut().zip(w) {
                    *y = (w - mean) * factor;
                }
                saved.copy_from_slice(&[mean, r, moved]);
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
        let (cols, gamma) = (weight.shape.cols(), self.gamma as f32);
        let [dweight, dgain] = dargs else { unreachable!("two arguments") };
        let dgain = dgain.to_add();
        simd::dispatch!(|isa, cols| {
            for (i, (saved, gain)) in saved.chunks_exact(3).zip(gain.data).enumerate() {
                let [mean, r, moved] = [saved[0], saved[1], saved[2]];
                let row = i * cols..(i + 1) * cols;
                let (w, dy) = (&weight.data[row.clone()], &dy[row.clone()]);
                let shift = sum(isa, dy) * (1.0 / cols as f32);
                let add = |lane, [w, dy]: [f32; 2]| (w - mean).mul_add(dy, lane);
                let along = r * simd::sum_of(isa, [w, dy], add);
                if let Some(dgain) = dgain.get_mut(i) {
                    *dgain += gamma * along;
                }
                let (slope, factor) = (moved * along, gamma * gain * r);
                let elements = w.iter().zip(dy);
                dweight.put(
                    row,
                    elements.map(|(w, dy)| factor * (mean - w).mul_add(slope, dy - shift)),
                );
            }
        });
    }
}

impl ScaledStandardised {
    fn launches(&self, weight: Shape) -> RowForm {
        RowForm {
            forward: [
                "scaled_standardised_forward_narrow",
                "scaled_standardised_forward_warp",
                "scaled_standardised_forward_block",
            ],
            vjp: [
                "scaled_standardised_vjp_narrow",
                "scaled_standardised_vjp_warp",
                "scaled_standardised_vjp_block",
            ],
            gamma: self.gamma,
            eps: self.eps,
            choice: self.floor == Floor::Added,
            divisor: weight.cols(),
        }
    }
}

impl Kernels for ScaledStandardised {
    fn ptx(&self) -> Ptx {
        ptx!("scaled_standardised")
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
