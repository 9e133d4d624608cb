//! One step of the power iteration towards the largest singular value of a matrix, as Miyato et al. 2018
//! (arXiv 1802.05957, algorithm 1) use it.
//!
//! v = W·u/‖W·u‖, then u' = Wᵀ·v/‖Wᵀ·v‖. u is carried from step to step; nothing has a gradient.
//! A length below 1e-12 counts as that.

use crate::num::Num;
use crate::op::device::{Chip, ColumnSums, Kernels, Launch, Param, Ptx, WARP, ptx};
use crate::op::simd::{self, dot};
use crate::op::{Arg, Fast, Grad, Kind, Op, Reference, Shape, View};

/// From W `[out, in]` and u `[in]` to v `[out]` and the next u.
#[derive(Debug, Clone, Copy)]
pub struct PowerIteration;

/// The least that is divided by.
const LEAST: f64 = 1e-12;

impl Op for PowerIteration {
    fn id(&self) -> &'static str {
        "power_iteration"
    }
    /// u starts at ones, which a matrix that was drawn does not send to 0.
    fn args(&self) -> &'static [Arg] {
        const ARGS: &[Arg] =
            &[Arg::new("weight", Kind::State), Arg::new("u", Kind::State).from(1.0)];
        ARGS
    }
    fn outputs(&self, args: &[Shape]) -> Vec<Shape> {
        assert_eq!(args[1].len(), args[0].cols(), "{args:?}");
        vec![Shape::new(&[args[0].rows()]), args[1]]
    }
    fn example(&self, rows: usize, cols: usize) -> Vec<Shape> {
        super::example(&[cols], rows, cols)
    }
    fn vjp_reads(&self, _index: usize) -> bool {
        false
    }
    fn kernels(&self) -> Option<&dyn Kernels> {
        Some(self)
    }
}

impl<T: Num> Reference<T> for PowerIteration {
    fn forward(&self, args: &[View<T>], outs: &mut [&mut [T]]) {
        let (rows, cols) = (args[0].shape.rows(), args[0].shape.cols());
        // No derivative passes, whichever number this is read at.
        let weight: Vec<T> = args[0].data.iter().map(|w| w.held()).collect();
        let u: Vec<T> = args[1].data.iter().map(|u| u.held()).collect();
        let [v, next] = outs else { unreachable!("two outputs") };
        for i in 0..rows {
            v[i] = T::zero();
            for j in 0..cols {
                v[i] += weight[i * cols + j] * u[j];
            }
        }
        to_unit(v);
        for j in 0..cols {
            next[j] = T::zero();
            for i in 0..rows {
                next[j] += weight[i * cols + j] * v[i];
            }
        }
        to_unit(next);
    }

    fn vjp(&self, _args: &[View<T>], _dy: &[T], _dargs: &mut [&mut [T]]) {}
}

/// x over its length.
fn to_unit<T: Num>(x: &mut [T]) {
    let mut square = T::zero();
    for &v in &*x {
        square += v * v;
    }
    let length = square.sqrt().larger(T::num(LEAST));
    for v in x {
        *v = *v / length;
    }
}

impl Fast for PowerIteration {
    fn forward(
        &self,
        args: &[View<f32>],
        outs: &mut [&mut [f32]],
        _saved: &mut [f32],
        _scratch: &mut [f32],
    ) {
        let [weight, u] = [args[0], args[1]];
        let cols = weight.shape.cols();
        let [v, next] = outs else { unreachable!("two outputs") };
        simd::dispatch!(|isa, cols| {
            for (v, row) in v.iter_mut().zip(weight.data.chunks_exact(cols)) {
                *v = dot(isa, row, u.data);
            }
            let inverse = 1.0 / dot(isa, v, v).sqrt().max(LEAST as f32);
            v.iter_mut().for_each(|v| *v *= inverse);
            next.fill(0.0);
            for (v, row) in v.iter().zip(weight.data.chunks_exact(cols)) {
                for (next, w) in next.iter_mut().zip(row) {
                    *next = w.mul_add(*v, *next);
                }
            }
            let inverse = 1.0 / dot(isa, next, next).sqrt().max(LEAST as f32);
            next.iter_mut().for_each(|next| *next *= inverse);
        });
    }

    fn vjp(
        &self,
        _args: &[View<f32>],
        _dy: &[f32],
        _saved: &[f32],
        _dargs: &mut [Grad],
        _scratch: &mut [f32],
    ) {
    }
}

/// They are with those of [`super::SigmaReparam`].
impl Kernels for PowerIteration {
    fn ptx(&self) -> Ptx {
        ptx!("sigma_reparam")
    }

    fn keeps_f32(&self, _index: usize) -> bool {
        true
    }

    /// Partial sums of Wᵀ·v.
    fn scratch(&self, args: &[Shape], chip: &Chip) -> usize {
        sums(args[0], chip).scratch()
    }

    fn forward(&self, args: &[Shape], chip: &Chip) -> Vec<Launch> {
        use Param::*;
        let (rows, cols) = (args[0].rows(), args[0].cols());
        let (sums, least) = (sums(args[0], chip), F32(LEAST as f32));
        let product = [Arg(0), Arg(1), Out(0), U64(rows as u64), U32(cols as u32)];
        let unit = |out: usize, len: usize| {
            Launch::new("power_iteration_unit", 1, 1024, &[Out(out), U32(len as u32), least])
        };
        vec![
            Launch::each("power_iteration_rows", rows * WARP as usize, &product),
            unit(0, rows),
            sums.parts("power_iteration_columns", &[Arg(0), Out(0)]),
            sums.output("power_iteration_next", 1),
            unit(1, cols),
        ]
    }

    fn vjp(&self, _args: &[Shape], _chip: &Chip) -> Vec<Launch> {
        Vec::new()
    }
}

/// How the sums over the rows of the matrix are formed.
fn sums(weight: Shape, chip: &Chip) -> ColumnSums {
    ColumnSums::new(weight.rows(), weight.cols(), chip)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::bodies::{Case, Path, Rows};

    /// Of a diagonal matrix u comes to the axis of the largest entry, by the square of the ratio a step.
    #[test]
    fn it_comes_to_the_largest_singular_value() {
        let mut case = Case::of(&PowerIteration, &PowerIteration.example(2, 2), Rows::Normal, 1);
        case.values[0] = vec![2.0, 0.0, 0.0, -1.0];
        for path in Path::ALL {
            case.values[1] = vec![1.0, 1.0];
            for step in 1..10 {
                let outs = path.run(&PowerIteration, &case).outs;
                let ratio = outs[1][1] / outs[1][0];
                let want = 0.25f64.powi(step);
                assert!((ratio - want).abs() < 1e-5 * want, "{path:?}: {ratio}, {want}");
                case.values[1].clone_from(&outs[1]);
            }
        }
    }
}
