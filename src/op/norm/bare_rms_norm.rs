//! Root mean square normalisation without a weight (as OLMo's and nGPT's parameter-free norms).
//!
//! s = 1/√(mean(x²) + eps), y = x·s over the last axis; dx = s·(dy − y·mean(dy ⊙ y)).
//! The linear map behind the norm can take over what a weight would do.

use super::launch;
use crate::choice::Described;
use crate::num::Num;
use crate::op::device::{Chip, Kernels, Launch, Ptx, ptx};
use crate::op::simd::{self, dot};
use crate::op::{Arg, Fast, Grad, Op, Property, Reference, Shape, View};

/// Root mean square normalisation over the last axis, with nothing to learn.
#[derive(Debug, Clone, Copy)]
pub struct BareRmsNorm {
    /// Added to the mean square, in the units of x squared.
    pub eps: f64,
}

impl Described for BareRmsNorm {
    const ID: &'static str = "bare_rms_norm";
    const ABOUT: &'static str = "x/√(mean(x²) + eps): rms_norm with nothing to learn";
    fn new() -> Self {
        BareRmsNorm { eps: 1e-6 }
    }
}

impl Op for BareRmsNorm {
    fn id(&self) -> &'static str {
        Self::ID
    }
    fn args(&self) -> &'static [Arg] {
        const ARGS: &[Arg] = &[Arg::real("x")];
        ARGS
    }
    crate::constants! { dyn Op; eps: NotNegative }
    fn outputs(&self, args: &[Shape]) -> Vec<Shape> {
        vec![args[0]]
    }
    fn example(&self, rows: usize, cols: usize) -> Vec<Shape> {
        super::example(&[], rows, cols)
    }
    fn properties(&self) -> &'static [Property] {
        use Property::*;
        &[ScaleInvariant, Odd, PermutationEquivariant, RowIndependent]
    }
    fn kernels(&self) -> Option<&dyn Kernels> {
        Some(self)
    }
}

impl<T: Num> Reference<T> for BareRmsNorm {
    fn forward(&self, args: &[View<T>], outs: &mut [&mut [T]]) {
        let x = args[0];
        let cols = x.shape.cols();
        for i in 0..x.shape.rows() {
            let scale = scale(x.row(i), self.eps);
            for j in 0..cols {
                outs[0][i * cols + j] = x.row(i)[j] * scale;
            }
        }
    }

    fn vjp(&self, args: &[View<T>], dy: &[T], dargs: &mut [&mut [T]]) {
        let x = args[0];
        let cols = x.shape.cols();
        for i in 0..x.shape.rows() {
            let scale = scale(x.row(i), self.eps);
            let mut projection = T::zero();
            for j in 0..cols {
                projection += dy[i * cols + j] * (x.row(i)[j] * scale);
            }
            let mean = projection / T::count(cols);
            for j in 0..cols {
                if let Some(dx) = dargs[0].get_mut(i * cols + j) {
                    *dx += scale * (dy[i * cols + j] - x.row(i)[j] * scale * mean);
                }
            }
        }
    }
}

/// 1/√(mean(x²) + eps) of one row.
fn scale<T: Num>(x: &[T], eps: f64) -> T {
    let mut sum = T::zero();
    for &v in x {
        sum += v * v;
    }
    T::one() / (sum / T::count(x.len()) + T::num(eps)).sqrt()
}

impl Fast for BareRmsNorm {
    /// The scale of every row.
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
        let x = args[0];
        let cols = x.shape.cols();
        let y = &mut *outs[0];
        simd::dispatch!(|isa, cols| {
            let per_col = 1.0 / cols as f32;
            let rows = x.data.chunks_exact(cols).zip(y.chunks_exact_mut(cols));
            for ((x, y), saved) in rows.zip(&mut *saved) {
                *saved = 1.0 / (dot(isa, x, x) * per_col + self.eps as f32).sqrt();
                for (y, x) in y.iter_mut().zip(x) {
                    *y = x * *saved;
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
        let x = args[0];
        let cols = x.shape.cols();
        let dx = &mut dargs[0];
        simd::dispatch!(|isa, cols| {
            let per_col = 1.0 / cols as f32;
            for (i, &scale) in saved.iter().enumerate() {
                let row = i * cols..(i + 1) * cols;
                let (x, dy) = (&x.data[row.clone()], &dy[row.clone()]);
                let slope = -scale * (scale * (scale * (dot(isa, dy, x) * per_col)));
                dx.put(row, x.iter().zip(dy).map(|(x, dy)| scale.mul_add(*dy, x * slope)));
            }
        });
    }
}

impl BareRmsNorm {
    fn launches(&self, x: Shape) -> launch::Scaled {
        launch::Scaled {
            forward: [
                "bare_rms_norm_forward_narrow",
                "bare_rms_norm_forward_warp",
                "bare_rms_norm_forward_block",
            ],
            vjp: ["bare_rms_norm_vjp_narrow", "bare_rms_norm_vjp_warp", "bare_rms_norm_vjp_block"],
            dweight: None,
            eps: self.eps,
            seen: x.cols(),
        }
    }
}

impl Kernels for BareRmsNorm {
    fn ptx(&self) -> Ptx {
        ptx!("bare_rms_norm")
    }

    /// The scale of every row.
    fn saved(&self, args: &[Shape], _chip: &Chip) -> usize {
        args[0].rows()
    }

    fn forward(&self, args: &[Shape], chip: &Chip) -> Vec<Launch> {
        self.launches(args[0]).forward(args[0], chip)
    }

    fn vjp(&self, args: &[Shape], chip: &Chip) -> Vec<Launch> {
        self.launches(args[0]).vjp(args[0], chip)
    }
}
