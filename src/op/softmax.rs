//! Softmax over the last axis (Bridle 1990).
//!
//! m = max x, e = exp(x − m), y = e/Σe. A row of −∞ alone, where nothing may be attended to, has
//! y = 0. dx = y ⊙ (dy − Σ y ⊙ dy).
//!
//! Subtracting m changes nothing in exact arithmetic and keeps e from overflowing: the largest is
//! 1, so that Σe is at least 1.

use super::device::{Chip, Kernels, Launch, Param, Ptx, WARP, ptx};
use super::elementary::exp_nonpositive;
use super::simd::{self, dot, max, sum};
use super::{Arg, Fast, Grad, Op, Property, Reference, Shape, View};
use crate::num::Num;

/// y = exp(x)/Σ exp(x) over the last axis.
#[derive(Debug, Clone, Copy)]
pub struct Softmax;

impl Op for Softmax {
    fn id(&self) -> &'static str {
        "softmax"
    }
    fn args(&self) -> &'static [Arg] {
        const ARGS: &[Arg] = &[Arg::real("x")];
        ARGS
    }
    fn outputs(&self, args: &[Shape]) -> Vec<Shape> {
        vec![args[0]]
    }
    fn example(&self, rows: usize, cols: usize) -> Vec<Shape> {
        vec![Shape::new(&[rows, cols])]
    }
    fn properties(&self) -> &'static [Property] {
        use Property::*;
        &[ShiftInvariant, PermutationEquivariant, RowIndependent, RowsSumToOne]
    }
    fn kernels(&self) -> Option<&dyn Kernels> {
        Some(self)
    }
}

impl<T: Num> Reference<T> for Softmax {
    fn forward(&self, args: &[View<T>], outs: &mut [&mut [T]]) {
        let cols = args[0].shape.cols();
        for i in 0..args[0].shape.rows() {
            outs[0][i * cols..(i + 1) * cols].copy_from_slice(&softmax(args[0].row(i)));
        }
    }

    fn vjp(&self, args: &[View<T>], dy: &[T], dargs: &mut [&mut [T]]) {
        let cols = args[0].shape.cols();
        for (i, dx) in dargs[0].chunks_exact_mut(cols).enumerate() {
            let y = softmax(args[0].row(i));
            let dy = &dy[i * cols..(i + 1) * cols];
            let mut projection = T::zero();
            for j in 0..cols {
                projection += y[j] * dy[j];
            }
            for j in 0..cols {
                dx[j] += y[j] * (dy[j] - projection);
            }
        }
    }
}

/// The softmax of one row.
fn softmax<T: Num>(x: &[T]) -> Vec<T> {
    let mut largest = x[0];
    for &v in x {
        largest = largest.larger(v);
    }
    if x.iter().all(|v| v.value() == f64::NEG_INFINITY) {
        return vec![T::zero(); x.len()];
    }
    let e: Vec<T> = x.iter().map(|&v| (v - largest).exp()).collect();
    let mut total = T::zero();
    for &e in &e {
        total += e;
    }
    e.iter().map(|&e| e / total).collect()
}

impl Fast for Softmax {
    /// What is subtracted and 1/Σe, of every row.
    fn saved(&self, args: &[Shape]) -> usize {
        2 * args[0].rows()
    }

    fn forward(
        &self,
        args: &[View<f32>],
        outs: &mut [&mut [f32]],
        saved: &mut [f32],
        _scratch: &mut [f32],
    ) {
        let cols = args[0].shape.cols();
        let y = &mut *outs[0];
        simd::dispatch!(|isa, cols| {
            let rows = args[0].data.chunks_exact(cols).zip(y.chunks_exact_mut(cols));
            for ((x, y), saved) in rows.zip(saved.chunks_exact_mut(2)) {
                // A row of −∞ keeps its −∞ and sums to 0; −∞ − (−∞) would be NaN.
                let largest = max(isa, x);
                let shift = if largest == f32::NEG_INFINITY { 0.0 } else { largest };
                for (y, x) in y.iter_mut().zip(x) {
                    *y = exp_nonpositive(x - shift);
                }
                let total = sum(isa, y);
                let scale = if total == 0.0 { 0.0 } else { 1.0 / total };
                for y in y {
                    *y *= scale;
                }
                saved.copy_from_slice(&[shift, scale]);
            }
        });
    }

    fn vjp(
        &self,
        args: &[View<f32>],
        dy: &[f32],
        saved: &[f32],
        dargs: &mut [Grad],
        scratch: &mut [f32],
    ) {
        let cols = args[0].shape.cols();
        let dx = &mut dargs[0];
        simd::dispatch!(|isa, cols| {
            let y = &mut scratch[..cols];
            for (i, stats) in saved.chunks_exact(2).enumerate() {
                let row = i * cols..(i + 1) * cols;
                let (x, dy) = (&args[0].data[row.clone()], &dy[row.clone()]);
                for (y, x) in y.iter_mut().zip(x) {
                    *y = exp_nonpositive(x - stats[0]) * stats[1];
                }
                let projection = dot(isa, y, dy);
                dx.put(row, y.iter().zip(dy).map(|(y, dy)| y * (dy - projection)));
            }
        });
    }

    fn scratch(&self, args: &[Shape]) -> usize {
        args[0].cols()
    }
}

/// Threads of a block, which takes a long row or a short one for every warp.
const THREADS: u32 = 256;

/// Columns up to which a warp holds a row.
const SHORT: usize = 1024;

impl Kernels for Softmax {
    fn ptx(&self) -> Ptx {
        ptx!("softmax")
    }

    /// What is subtracted and 1/Σe, of every row.
    fn saved(&self, args: &[Shape], _chip: &Chip) -> usize {
        2 * args[0].rows()
    }

    fn forward(&self, args: &[Shape], _chip: &Chip) -> Vec<Launch> {
        use Param::*;
        let tensors = [Arg(0), Out(0), Saved(0)];
        vec![by_rows(args[0], ["softmax_forward_short", "softmax_forward_long"], &tensors, &[])]
    }

    fn vjp(&self, args: &[Shape], _chip: &Chip) -> Vec<Launch> {
        use Param::*;
        let tensors = [Arg(0), Dy, Saved(0), Grad(0)];
        vec![by_rows(args[0], ["softmax_dx_short", "softmax_dx_long"], &tensors, &[])]
    }
}

/// A kernel for short rows, a warp each, or the one for long rows, a block each. Both take the
/// tensors, the number of rows where rows are short, the number of columns, and the constants.
pub(super) fn by_rows(
    x: Shape,
    [short, long]: [&'static str; 2],
    tensors: &[Param],
    constants: &[Param],
) -> Launch {
    let (rows, cols) = (x.rows(), x.cols());
    let width = Param::U32(cols as u32);
    if cols <= SHORT {
        let sizes = [Param::U64(rows as u64), width];
        let blocks = rows.div_ceil((THREADS / WARP) as usize);
        Launch::new(short, blocks, THREADS, &[tensors, &sizes, constants].concat())
    } else {
        Launch::new(long, rows, THREADS, &[tensors, &[width], constants].concat())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::bodies::{Case, Path, Rows};

    #[test]
    fn golden_rows() {
        const NONE: f64 = f64::NEG_INFINITY;
        let mut case = Case::of(&Softmax, &Softmax.example(4, 3), Rows::Normal, 1);
        let ln_3 = f64::from(3f32.ln());
        case.values[0] =
            vec![0.0, ln_3, NONE, NONE, NONE, NONE, NONE, 7.0, NONE, -3e38, 3e38, 3e38];
        let want = [0.25, 0.75, 0.0, 0.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.5, 0.5];
        for results in Path::ALL.map(|path| path.run(&Softmax, &case)) {
            for (y, want) in results.outs[0].iter().zip(want) {
                assert!((y - want).abs() < 1e-7, "{y} is not {want}");
            }
            // Where y is 0 or 1 it does not move.
            assert!(results.grads[0][2..9].iter().all(|&dx| dx == 0.0), "{:?}", results.grads);
        }
    }

    #[test]
    fn a_nan_spoils_its_row_and_no_other() {
        let mut case = Case::of(&Softmax, &Softmax.example(2, 3), Rows::Normal, 1);
        case.values[0] = vec![f64::NAN, f64::NEG_INFINITY, f64::NEG_INFINITY, 1.0, 2.0, 3.0];
        for results in Path::ALL.map(|path| path.run(&Softmax, &case)) {
            assert!(results.outs[0][..3].iter().all(|y| y.is_nan()), "{:?}", results.outs[0]);
            assert!(results.outs[0][3..].iter().all(|y| y.is_finite()));
        }
    }
}
