//! Dynamic erf (arXiv 2512.10938): no norm, but in the place of one.
//!
//! e = erf(alpha·x + shift), y = weight ⊙ e + bias with one alpha and one shift for all columns, which
//! start at 0.5 and 0. With w = weight ⊙ dy ⊙ 2/√π·exp(−(alpha·x + shift)²):
//! dx = alpha·w, dalpha = Σ w ⊙ x and dshift = Σ w over all elements, dweight = Σ dy ⊙ e and
//! dbias = Σ dy over rows.
//!
//! No element sees another one: there is no statistic and nothing to save.

use std::f32::consts::FRAC_2_SQRT_PI;

use super::launch::{self, Strips};
use crate::choice::Described;
use crate::num::Num;
use crate::op::device::{Chip, Kernels, Launch, Param, Ptx, ptx};
use crate::op::elementary::erf;
use crate::op::simd;
use crate::op::{Arg, Fast, Grad, Op, Property, Reference, Shape, View};

/// y = weight ⊙ erf(alpha·x + shift) + bias.
#[derive(Debug, Clone, Copy)]
pub struct Derf;

impl Described for Derf {
    const ID: &'static str = "derf";
    const ABOUT: &'static str =
        "weight·erf(alpha·x + shift) + bias, one alpha and one shift (arXiv 2512.10938)";
    fn new() -> Self {
        Derf
    }
}

impl Op for Derf {
    fn id(&self) -> &'static str {
        Self::ID
    }
    fn args(&self) -> &'static [Arg] {
        const ARGS: &[Arg] = &[
            Arg::real("x"),
            Arg::weight("alpha").from(0.5),
            Arg::weight("shift").from(0.0),
            Arg::weight("weight").from(1.0),
            Arg::weight("bias").from(0.0),
        ];
        ARGS
    }
    fn outputs(&self, args: &[Shape]) -> Vec<Shape> {
        let cols = args[0].cols();
        assert!(
            args[1].len() == 1 && args[2].len() == 1,
            "one alpha and one shift for all columns"
        );
        assert!(args[3].len() == cols && args[4].len() == cols, "{args:?}");
        vec![args[0]]
    }
    fn example(&self, rows: usize, cols: usize) -> Vec<Shape> {
        super::example(&[1, 1, cols, cols], rows, cols)
    }
    fn properties(&self) -> &'static [Property] {
        &[Property::PermutationEquivariant, Property::RowIndependent]
    }
    fn vjp_reads(&self, index: usize) -> bool {
        index < 4
    }
    fn kernels(&self) -> Option<&dyn Kernels> {
        Some(self)
    }
}

impl<T: Num> Reference<T> for Derf {
    fn forward(&self, args: &[View<T>], outs: &mut [&mut [T]]) {
        let (x, alpha, shift) = (args[0], args[1].data[0], args[2].data[0]);
        let cols = x.shape.cols();
        for (i, y) in outs[0].iter_mut().enumerate() {
            let (weight, bias) = (args[3].data[i % cols], args[4].data[i % cols]);
            *y = weight * (alpha * x.data[i] + shift).erf() + bias;
        }
    }

    fn vjp(&self, args: &[View<T>], dy: &[T], dargs: &mut [&mut [T]]) {
        let (x, alpha, shift, weight) = (args[0], args[1].data[0], args[2].data[0], args[3]);
        let cols = x.shape.cols();
        let steepest = T::num(std::f64::consts::FRAC_2_SQRT_PI);
        for (i, &dy) in dy.iter().enumerate() {
            let j = i % cols;
            let u = alpha * x.data[i] + shift;
            let w = weight.data[j] * dy * (steepest * (-(u * u)).exp());
            if let Some(dx) = dargs[0].get_mut(i) {
                *dx += alpha * w;
            }
            if let Some(dalpha) = dargs[1].first_mut() {
                *dalpha += w * x.data[i];
            }
            if let Some(dshift) = dargs[2].first_mut() {
                *dshift += w;
            }
            if let Some(dweight) = dargs[3].get_mut(j) {
                *dweight += dy * u.erf();
            }
            if let Some(dbias) = dargs[4].get_mut(j) {
                *dbias += dy;
            }
        }
    }
}

impl Fast for Derf {
    fn forward(
        &self,
        args: &[View<f32>],
        outs: &mut [&mut [f32]],
        _saved: &mut [f32],
        _scratch: &mut [f32],
    ) {
        let [x, alpha, shift, weight, bias] = [args[0], args[1], args[2], args[3], args[4]];
        let (cols, alpha, shift) = (x.shape.cols(), alpha.data[0], shift.data[0]);
        let y = &mut *outs[0];
        simd::dispatch!(|| {
            for (x, y) in x.data.chunks_exact(cols).zip(y.chunks_exact_mut(cols)) {
                for (((y, x), w), b) in y.iter_mut().zip(x).zip(weight.data).zip(bias.data) {
                    *y = erf(alpha.mul_add(*x, shift)).0.mul_add(*w, *b);
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
        let [x, alpha, shift, weight] = [args[0], args[1], args[2], args[3]];
        let (rows, cols) = (x.shape.rows(), x.shape.cols());
        let (alpha, shift) = (alpha.data[0], shift.data[0]);
        let [dx, dalpha, dshift, dweight, dbias] = dargs else { unreachable!("five arguments") };
        let (dalpha, dshift) = (dalpha.to_add(), dshift.to_add());
        let (dweight, dbias) = (dweight.to_add(), dbias.to_add());
        // The erf of a block of rows and its slope, which its gradients share.
        let block = simd::rows_at_once(cols) * cols;
        let (value, slope) = scratch.split_at_mut(block);
        simd::dispatch!(|isa| for block in simd::row_blocks(rows, cols) {
            let start = block.start;
            let inside = start * cols..block.end * cols;
            for ((e, s), x) in value.iter_mut().zip(&mut *slope).zip(&x.data[inside.clone()]) {
                let (own, bell) = erf(alpha.mul_add(*x, shift));
                (*e, *s) = (own, FRAC_2_SQRT_PI * bell);
            }
            for i in block.clone() {
                let row = i * cols..(i + 1) * cols;
                let (x, dy) = (&x.data[row.clone()], &dy[row.clone()]);
                let s = &slope[(i - start) * cols..][..cols];
                let w = |s: f32, dy: f32, weight: f32| weight * dy * s;
                if let Some(dalpha) = dalpha.first_mut() {
                    let add =
                        |lane, [x, s, dy, weight]: [f32; 4]| w(s, dy, weight).mul_add(x, lane);
                    *dalpha += simd::sum_of(isa, [x, s, dy, weight.data], add);
                }
                if let Some(dshift) = dshift.first_mut() {
                    let add = |lane, [s, dy, weight]: [f32; 3]| lane + w(s, dy, weight);
                    *dshift += simd::sum_of(isa, [s, dy, weight.data], add);
                }
                let elements = s.iter().zip(dy).zip(weight.data);
                dx.put(row, elements.map(|((s, dy), weight)| alpha * w(*s, *dy, *weight)));
            }
            let (e, dy) = (&value[..inside.len()], &dy[inside]);
            let block = 0..block.len();
            simd::add_columns(dweight, block.clone(), [e, dy], [], |sum, _, [e, dy], []| {
                dy.mul_add(e, sum)
            });
            simd::add_columns(dbias, block, [dy], [], |sum, _, [dy], []| sum + dy);
        });
    }

    fn scratch(&self, args: &[Shape]) -> usize {
        2 * simd::rows_at_once(args[0].cols()) * args[0].cols()
    }
}

impl Kernels for Derf {
    fn ptx(&self) -> Ptx {
        ptx!("derf")
    }

    /// Two rows of partial sums for every group of rows, of dweight and of dbias, and two partial
    /// sums for every block, of dalpha and of dshift.
    fn scratch(&self, args: &[Shape], chip: &Chip) -> usize {
        let strips = Strips::of(args[0], chip);
        2 * args[0].cols() * strips.groups + 2 * strips.blocks()
    }

    fn forward(&self, args: &[Shape], chip: &Chip) -> Vec<Launch> {
        use Param::*;
        let strips = Strips::of(args[0], chip);
        let tensors = [Arg(0), Arg(1), Arg(2), Arg(3), Arg(4), Out(0)];
        let params = [&tensors[..], &strips.sizes()].concat();
        vec![strips.pass("derf_forward", &params)]
    }

    fn vjp(&self, args: &[Shape], chip: &Chip) -> Vec<Launch> {
        use Param::*;
        let (strips, cols) = (Strips::of(args[0], chip), args[0].cols());
        let alphas = 2 * cols * strips.groups;
        let [alphas, shifts] = [Scratch(alphas), Scratch(alphas + strips.blocks())];
        let tensors = [Arg(0), Arg(1), Arg(2), Arg(3), Dy, Grad(0), Scratch(0), alphas, shifts];
        let params = [&tensors[..], &strips.sizes()].concat();
        let groups = launch::count(strips.groups);
        let sums = [Scratch(0), Grad(3), Grad(4), groups, launch::count(cols)];
        let totals = [alphas, shifts, launch::count(strips.blocks()), Grad(1), Grad(2)];
        vec![
            strips.pass("derf_vjp", &params),
            launch::columns("derf_dweight", strips.groups, 2 * cols, &sums),
            launch::total("derf_dalpha", strips.blocks(), &totals),
        ]
    }
}
