//! Rows of length one (queries and keys of Henry et al. 2020, arXiv 2010.04245, section 3).
//!
//! y = x/max(‖x‖, eps) with the Euclidean norm over the last axis. Where ‖x‖ > eps:
//! dx = (dy − y·⟨y, dy⟩)/‖x‖, else dx = dy/eps, as for a norm held constant.

use super::launch;
use crate::choice::Described;
use crate::num::Num;
use crate::op::device::{Chip, Kernels, Launch, Ptx, ptx};
use crate::op::simd::{self, dot};
use crate::op::{Arg, Fast, Grad, Op, Property, Reference, Shape, View};

/// y = x/max(‖x‖, eps) over the last axis, with nothing to learn.
#[derive(Debug, Clone, Copy)]
pub struct L2Norm {
    /// The least that x is divided by, in the units of x.
    pub eps: f64,
}

impl Described for L2Norm {
    const ID: &'static str = "l2_norm";
    const ABOUT: &'static str =
        "x/max(‖x‖, eps): rows of length 1, nothing to learn (Henry et al. 2020)";
    fn new() -> Self {
        L2Norm { eps: 1e-12 }
    }
}

impl Op for L2Norm {
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

impl<T: Num> Reference<T> for L2Norm {
    fn forward(&self, args: &[View<T>], outs: &mut [&mut [T]]) {
        let x = args[0];
        let cols = x.shape.cols();
        for i in 0..x.shape.rows() {
            let length = length(x.row(i)).larger(T::num(self.eps));
            for (j, &v) in x.row(i).iter().enumerate() {
                outs[0][i * cols + j] = v / length;
            }
        }
    }

    fn vjp(&self, args: &[View<T>], dy: &[T], dargs: &mut [&mut [T]]) {
        let x = args[0];
        let cols = x.shape.cols();
        for i in 0..x.shape.rows() {
            let (norm, eps) = (length(x.row(i)), T::num(self.eps));
            let length = norm.larger(eps);
            let unit: Vec<T> = x.row(i).iter().map(|&v| v / length).collect();
            let dy = &dy[i * cols..(i + 1) * cols];
            let mut along = T::zero();
            if norm > eps {
                for j in 0..cols {
                    along += unit[j] * dy[j];
                }
            }
            for j in 0..cols {
                if let Some(dx) = dargs[0].get_mut(i * cols + j) {
                    *dx += (dy[j] - unit[j] * along) / length;
                }
            }
        }
    }
}

/// ‖x‖. Its derivative at 0 is not defined, and not used: there eps is larger.
fn length<T: Num>(x: &[T]) -> T {
    let mut square = T::zero();
    for &v in x {
        square += v * v;
    }
    square.sqrt()
}

impl Fast for L2Norm {
    /// 1/max(‖x‖, eps) of every row.
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
        let (cols, eps) = (x.shape.cols(), self.eps as f32);
        let y = &mut *outs[0];
        simd::dispatch!(|isa, cols| {
            let rows = x.data.chunks_exact(cols).zip(y.chunks_exact_mut(cols));
            for ((x, y), saved) in rows.zip(&mut *saved) {
                let norm = dot(isa, x, x).sqrt();
                // A NaN is not below eps, and stays.
                *saved = 1.0 / if norm < eps { eps } else { norm };
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
        let (cols, flat) = (x.shape.cols(), 1.0 / self.eps as f32);
        let dx = &mut dargs[0];
        simd::dispatch!(|isa, cols| {
            for (i, &inverse) in saved.iter().enumerate() {
                let row = i * cols..(i + 1) * cols;
                let (x, dy) = (&x.data[row.clone()], &dy[row.clone()]);
                let along = if inverse == flat { 0.0 } else { dot(isa, x, dy) * inverse };
                let slope = -inverse * (inverse * along);
                dx.put(row, x.iter().zip(dy).map(|(x, dy)| inverse.mul_add(*dy, x * slope)));
            }
        });
    }
}

impl L2Norm {
    fn launches(&self, x: Shape) -> launch::Scaled {
        launch::Scaled {
            forward: ["l2_norm_forward_narrow", "l2_norm_forward_warp", "l2_norm_forward_block"],
            vjp: ["l2_norm_vjp_narrow", "l2_norm_vjp_warp", "l2_norm_vjp_block"],
            dweight: None,
            eps: self.eps,
            seen: x.cols(),
        }
    }
}

impl Kernels for L2Norm {
    fn ptx(&self) -> Ptx {
        ptx!("l2_norm")
    }

    /// ‖x‖ of every row.
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
