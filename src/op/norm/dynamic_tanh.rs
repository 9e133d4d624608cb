//! Dynamic tanh (Zhu et al. 2025, arXiv 2503.10622, equation 3): no norm, but in the place of one.
//!
//! t = tanh(alpha·x), y = weight ⊙ t + bias with one alpha for all columns, which starts at 0.5.
//! With w = weight ⊙ dy ⊙ (1 − t²):
//! dx = alpha·w, dalpha = Σ w ⊙ x over all elements, dweight = Σ dy ⊙ t, dbias = Σ dy over rows.
//!
//! No element sees another one: there is no statistic and nothing to save.

use super::launch::{self, Strips};
use crate::choice::Described;
use crate::num::Num;
use crate::op::device::{Chip, Kernels, Launch, Param, Ptx, ptx};
use crate::op::elementary::tanh;
use crate::op::simd;
use crate::op::{Arg, Fast, Grad, Op, Property, Reference, Shape, View};

/// y = weight ⊙ tanh(alpha·x) + bias.
#[derive(Debug, Clone, Copy)]
pub struct DynamicTanh;

impl Described for DynamicTanh {
    const ID: &'static str = "dynamic_tanh";
    const ABOUT: &'static str = "weight·tanh(alpha·x) + bias, one alpha (Zhu et al. 2025)";
    fn new() -> Self {
        DynamicTanh
    }
}

impl Op for DynamicTanh {
    fn id(&self) -> &'static str {
        Self::ID
    }
    fn args(&self) -> &'static [Arg] {
        const ARGS: &[Arg] = &[
            Arg::real("x"),
            Arg::weight("alpha").from(0.5),
            Arg::weight("weight").from(1.0),
            Arg::weight("bias").from(0.0),
        ];
        ARGS
    }
    fn outputs(&self, args: &[Shape]) -> Vec<Shape> {
        let cols = args[0].cols();
        assert_eq!(args[1].len(), 1, "one alpha for all columns");
        assert!(args[2].len() == cols && args[3].len() == cols, "{args:?}");
        vec![args[0]]
    }
    fn example(&self, rows: usize, cols: usize) -> Vec<Shape> {
        super::example(&[1, cols, cols], rows, cols)
    }
    fn properties(&self) -> &'static [Property] {
        &[Property::Odd, Property::PermutationEquivariant, Property::RowIndependent]
    }
    fn vjp_reads(&self, index: usize) -> bool {
        index < 3
    }
    fn kernels(&self) -> Option<&dyn Kernels> {
        Some(self)
    }
}

impl<T: Num> Reference<T> for DynamicTanh {
    fn forward(&self, args: &[View<T>], outs: &mut [&mut [T]]) {
        let (x, alpha) = (args[0], args[1].data[0]);
        let cols = x.shape.cols();
        for (i, y) in outs[0].iter_mut().enumerate() {
            let (weight, bias) = (args[2].data[i % cols], args[3].data[i % cols]);
            *y = weight * (alpha * x.data[i]).tanh() + bias;
        }
    }

    fn vjp(&self, args: &[View<T>], dy: &[T], dargs: &mut [&mut [T]]) {
        let (x, alpha, weight) = (args[0], args[1].data[0], args[2]);
        let cols = x.shape.cols();
        for (i, &dy) in dy.iter().enumerate() {
            let j = i % cols;
            let t = (alpha * x.data[i]).tanh();
            let w = weight.data[j] * dy * (T::one() - t * t);
            if let Some(dx) = dargs[0].get_mut(i) {
                *dx += alpha * w;
            }
            if let Some(dalpha) = dargs[1].first_mut() {
                *dalpha += w * x.data[i];
            }
            if let Some(dweight) = dargs[2].get_mut(j) {
                *dweight += dy * t;
            }
            if let Some(dbias) = dargs[3].get_mut(j) {
                *dbias += dy;
            }
        }
    }
}

impl Fast for DynamicTanh {
    fn forward(
        &self,
        args: &[View<f32>],
        outs: &mut [&mut [f32]],
        _saved: &mut [f32],
        _scratch: &mut [f32],
    ) {
        let [x, alpha, weight, bias] = [args[0], args[1], args[2], args[3]];
        let (cols, alpha) = (x.shape.cols(), alpha.data[0]);
        let y = &mut *outs[0];
        simd::dispatch!(|| {
            for (x, y) in x.data.chunks_exact(cols).zip(y.chunks_exact_mut(cols)) {
                for (((y, x), w), b) in y.iter_mut().zip(x).zip(weight.data).zip(bias.data) {
                    *y = tanh(alpha * x).mul_add(*w, *b);
                }
            }
        });
    }

    fn vjp(
        &self,
        args: &[View<f32>],
        dy: &[f32],
        _saved: &[f32],
        dargs: &mut [Grad],
        scratch: &mut [f32],
    ) {
        let [x, alpha, weight] = [args[0], args[1], args[2]];
        let (rows, cols, alpha) = (x.shape.rows(), x.shape.cols(), alpha.data[0]);
        let [dx, dalpha, dweight, dbias] = dargs else { unreachable!("four arguments") };
        let (dalpha, dweight, dbias) = (dalpha.to_add(), dweight.to_add(), dbias.to_add());
        // The tanh of a block of rows, which its three gradients share.
        let t = &mut scratch[..simd::rows_at_once(cols) * cols];
        simd::dispatch!(|isa| for block in simd::row_blocks(rows, cols) {
            let start = block.start;
            let inside = start * cols..block.end * cols;
            for (t, x) in t.iter_mut().zip(&x.data[inside.clone()]) {
                *t = tanh(alpha * x);
            }
            for i in block.clone() {
                let row = i * cols..(i + 1) * cols;
                let (x, dy) = (&x.data[row.clone()], &dy[row.clone()]);
                let t = &t[(i - start) * cols..][..cols];
                let w = |t: f32, dy: f32, weight: f32| weight * dy * t.mul_add(-t, 1.0);
                if let Some(dalpha) = dalpha.first_mut() {
                    let add =
                        |lane, [x, t, dy, weight]: [f32; 4]| w(t, dy, weight).mul_add(x, lane);
                    *dalpha += simd::sum_of(isa, [x, t, dy, weight.data], add);
                }
                let elements = t.iter().zip(dy).zip(weight.data);
                dx.put(row, elements.map(|((t, dy), weight)| alpha * w(*t, *dy, *weight)));
            }
            let (t, dy) = (&t[..inside.len()], &dy[inside]);
            let block = 0..block.len();
            simd::add_columns(dweight, block.clone(), [t, dy], [], |sum, _, [t, dy], []| {
                dy.mul_add(t, sum)
            });
            simd::add_columns(dbias, block, [dy], [], |sum, _, [dy], []| sum + dy);
        });
    }

    fn scratch(&self, args: &[Shape]) -> usize {
        simd::rows_at_once(args[0].cols()) * args[0].cols()
    }
}

impl Kernels for DynamicTanh {
    fn ptx(&self) -> Ptx {
        ptx!("dynamic_tanh")
    }

    /// Two rows of partial sums for every group of rows, of dweight and of dbias, and a partial sum
    /// for every block, of dalpha.
    fn scratch(&self, args: &[Shape], chip: &Chip) -> usize {
        let strips = Strips::of(args[0], chip);
        2 * args[0].cols() * strips.groups + strips.blocks()
    }

    fn forward(&self, args: &[Shape], chip: &Chip) -> Vec<Launch> {
        use Param::*;
        let strips = Strips::of(args[0], chip);
        let tensors = [Arg(0), Arg(1), Arg(2), Arg(3), Out(0)];
        let params = [&tensors[..], &strips.sizes()].concat();
        vec![strips.pass("dynamic_tanh_forward", &params)]
    }

    fn vjp(&self, args: &[Shape], chip: &Chip) -> Vec<Launch> {
        use Param::*;
        let (strips, cols) = (Strips::of(args[0], chip), args[0].cols());
        let alphas = Scratch(2 * cols * strips.groups);
        let tensors = [Arg(0), Arg(1), Arg(2), Dy, Grad(0), Scratch(0), alphas];
        let params = [&tensors[..], &strips.sizes()].concat();
        let groups = launch::count(strips.groups);
        let sums = [Scratch(0), Grad(2), Grad(3), groups, launch::count(cols)];
        let totals = [alphas, launch::count(strips.blocks()), Grad(1)];
        vec![
            strips.pass("dynamic_tanh_vjp", &params),
            launch::columns("dynamic_tanh_dweight", strips.groups, 2 * cols, &sums),
            launch::total("dynamic_tanh_dalpha", strips.blocks(), &totals),
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::bodies::{Case, Path, Rows};

    /// tanh(½ ln 3) = ½, with slope ¾.
    #[test]
    fn golden_numbers() {
        let mut case = Case::of(&DynamicTanh, &DynamicTanh.example(1, 1), Rows::Normal, 1);
        let x = f64::from(3f32.ln());
        case.values = vec![vec![x], vec![0.5], vec![4.0], vec![-1.0]];
        case.dy = vec![1.0];
        for results in Path::ALL.map(|path| path.run(&DynamicTanh, &case)) {
            let got = results.grads.iter().flatten().chain(&results.outs[0]);
            for (got, want) in got.zip([1.5, 3.0 * x, 0.5, 1.0, 1.0]) {
                assert!((got - want).abs() < 1e-6, "{got} is not {want}");
            }
        }
    }
}
