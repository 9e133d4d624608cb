//! ScaleNorm (Nguyen & Salazar 2019, arXiv 1910.05895, equation 5).
//!
//! y = weight·u, u = x/max(‖x‖, eps) with the Euclidean norm over the last axis and one weight
//! for all columns, which starts at √width. Where ‖x‖ > eps:
//! dx = weight/‖x‖·(dy − u·⟨u, dy⟩), else dx = weight/eps·dy; dweight = Σ ⟨u, dy⟩, a sum over rows.
//!
//! At ‖x‖ = eps the two branches of dx differ; the flat one is taken, as for a norm held constant.

use super::launch::{self, Rows};
use crate::choice::Described;
use crate::num::Num;
use crate::op::device::{Chip, Kernels, Launch, Param, Ptx, ptx};
use crate::op::simd::{self, dot};
use crate::op::{Arg, Fast, Grad, Op, Property, Reference, Shape, View};

/// y = weight·x/max(‖x‖, eps) over the last axis, with one weight.
#[derive(Debug, Clone, Copy)]
pub struct ScaleNorm {
    /// The least that x is divided by, in the units of x.
    pub eps: f64,
}

impl Described for ScaleNorm {
    const ID: &'static str = "scale_norm";
    const ABOUT: &'static str = "weight·x/max(‖x‖, eps), one weight (Nguyen & Salazar 2019)";
    fn new() -> Self {
        ScaleNorm { eps: 1e-5 }
    }
}

impl Op for ScaleNorm {
    fn id(&self) -> &'static str {
        Self::ID
    }
    fn args(&self) -> &'static [Arg] {
        const ARGS: &[Arg] = &[Arg::real("x"), Arg::weight("weight").from_sqrt_width()];
        ARGS
    }
    crate::constants! { dyn Op; eps: NotNegative }
    fn outputs(&self, args: &[Shape]) -> Vec<Shape> {
        assert_eq!(args[1].len(), 1, "one weight for all columns");
        vec![args[0]]
    }
    fn example(&self, rows: usize, cols: usize) -> Vec<Shape> {
        super::example(&[1], rows, cols)
    }
    fn properties(&self) -> &'static [Property] {
        use Property::*;
        &[ScaleInvariant, Odd, PermutationEquivariant, RowIndependent]
    }
    fn kernels(&self) -> Option<&dyn Kernels> {
        Some(self)
    }
}

impl<T: Num> Reference<T> for ScaleNorm {
    fn forward(&self, args: &[View<T>], outs: &mut [&mut [T]]) {
        let (x, weight) = (args[0], args[1].data[0]);
        let cols = x.shape.cols();
        for i in 0..x.shape.rows() {
            let length = norm(x.row(i)).larger(T::num(self.eps));
            for (j, &v) in x.row(i).iter().enumerate() {
                outs[0][i * cols + j] = weight * (v / length);
            }
        }
    }

    fn vjp(&self, args: &[View<T>], dy: &[T], dargs: &mut [&mut [T]]) {
        let (x, weight) = (args[0], args[1].data[0]);
        let cols = x.shape.cols();
        for i in 0..x.shape.rows() {
            let (norm, eps) = (norm(x.row(i)), T::num(self.eps));
            let length = norm.larger(eps);
            let unit: Vec<T> = x.row(i).iter().map(|&v| v / length).collect();
            let dy = &dy[i * cols..(i + 1) * cols];
            let mut projection = T::zero();
            for j in 0..cols {
                projection += unit[j] * dy[j];
            }
            for j in 0..cols {
                let along = if norm > eps { unit[j] * projection } else { T::zero() };
                if let Some(dx) = dargs[0].get_mut(i * cols + j) {
                    *dx += weight / length * (dy[j] - along);
                }
            }
            if let Some(dweight) = dargs[1].first_mut() {
                *dweight += projection;
            }
        }
    }
}

/// ‖x‖. Its derivative at 0 is not defined, and not used: there eps is larger.
fn norm<T: Num>(x: &[T]) -> T {
    let mut square = T::zero();
    for &v in x {
        square += v * v;
    }
    square.sqrt()
}

impl Fast for ScaleNorm {
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
        let (x, weight) = (args[0].data, args[1].data[0]);
        let cols = args[0].shape.cols();
        let eps = self.eps as f32;
        let y = &mut *outs[0];
        simd::dispatch!(|isa, cols| {
            let rows = x.chunks_exact(cols).zip(y.chunks_exact_mut(cols));
            for ((x, y), saved) in rows.zip(&mut *saved) {
                let norm = dot(isa, x, x).sqrt();
                // A NaN is not below eps, and stays.
                let inverse = 1.0 / if norm < eps { eps } else { norm };
                for (y, x) in y.iter_mut().zip(x) {
                    *y = weight * (x * inverse);
                }
                *saved = inverse;
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
        let (x, weight) = (args[0], args[1].data[0]);
        let cols = x.shape.cols();
        let flat = 1.0 / self.eps as f32;
        let [dx, dweight] = dargs else { unreachable!("two arguments") };
        let dweight = dweight.to_add();
        simd::dispatch!(|isa, cols| {
            for (i, &inverse) in saved.iter().enumerate() {
                let row = i * cols..(i + 1) * cols;
                let (x, dy) = (&x.data[row.clone()], &dy[row.clone()]);
                let projection = dot(isa, x, dy) * inverse;
                if let Some(dweight) = dweight.first_mut() {
                    *dweight += projection;
                }
                let along = if inverse == flat { 0.0 } else { projection };
                let (straight, slope) = (weight * inverse, -(weight * inverse) * (inverse * along));
                dx.put(row, x.iter().zip(dy).map(|(x, dy)| straight.mul_add(*dy, x * slope)));
            }
        });
    }
}

impl Kernels for ScaleNorm {
    fn ptx(&self) -> Ptx {
        ptx!("scale_norm")
    }

    /// ‖x‖ of every row.
    fn saved(&self, args: &[Shape], _chip: &Chip) -> usize {
        args[0].rows()
    }

    /// A partial sum for every block, of dweight.
    fn scratch(&self, args: &[Shape], chip: &Chip) -> usize {
        Rows::of(args[0], chip).blocks()
    }

    fn forward(&self, args: &[Shape], chip: &Chip) -> Vec<Launch> {
        use Param::*;
        const KERNELS: launch::Names =
            ["scale_norm_forward_narrow", "scale_norm_forward_warp", "scale_norm_forward_block"];
        let rows = Rows::of(args[0], chip);
        let tensors = [Arg(0), Arg(1), Out(0), Saved(0)];
        let params = [&tensors[..], &rows.sizes(), &[F32(self.eps as f32)]].concat();
        vec![rows.each(KERNELS, &params)]
    }

    fn vjp(&self, args: &[Shape], chip: &Chip) -> Vec<Launch> {
        use Param::*;
        const KERNELS: launch::Names =
            ["scale_norm_vjp_narrow", "scale_norm_vjp_warp", "scale_norm_vjp_block"];
        let rows = Rows::of(args[0], chip);
        let tensors = [Arg(0), Arg(1), Dy, Saved(0), Grad(0), Scratch(0)];
        let params = [&tensors[..], &rows.sizes(), &[F32(self.eps as f32)]].concat();
        let blocks = rows.blocks();
        let sums = [Scratch(0), launch::count(blocks), Grad(1)];
        vec![rows.sum(KERNELS, &params), launch::total("scale_norm_dweight", blocks, &sums)]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::bodies::{Case, Path, Rows};

    #[test]
    fn eps_is_a_floor_of_the_norm() {
        let op = ScaleNorm { eps: 1.0 };
        let mut case = Case::of(&op, &op.example(2, 2), Rows::Normal, 1);
        case.values = vec![vec![3.0, 4.0, 0.25, 0.5], vec![2.0]];
        case.dy = vec![1.0, 0.0, 1.0, 0.0];
        for results in Path::ALL.map(|path| path.run(&op, &case)) {
            let near = |a: f64, b: f64| assert!((a - b).abs() < 1e-6, "{a} is not {b}");
            for (y, want) in results.outs[0].iter().zip([1.2, 1.6, 0.5, 1.0]) {
                near(*y, want);
            }
            // Above the floor 2/5·(dy − u·⟨u, dy⟩) with u = (0.6, 0.8), below it 2·dy.
            for (dx, want) in results.grads[0].iter().zip([0.256, -0.192, 2.0, 0.0]) {
                near(*dx, want);
            }
            near(results.grads[1][0], 0.6 + 0.25);
        }
    }
}
