//! Partial root mean square normalisation (Zhang & Sennrich 2019, arXiv 1910.07467, section 4).
//!
//! The root mean square is estimated from the first k = ⌈share·width⌉ columns:
//! s = 1/√(mean of x² over those + eps), y = weight ⊙ x·s over all columns. With w = weight ⊙ dy and
//! p = Σ w ⊙ x·s over all columns: dx = s·(w − x·s·p/k) in the first k columns, s·w in the others;
//! dweight = Σ dy ⊙ x·s, a sum over rows.
//!
//! The paper rounds the count up and has no eps; its code rounds down, where a narrow row has no
//! column left, and adds eps to the root (as [`super::RmsNormOutside`]).

use super::launch;
use crate::choice::Described;
use crate::num::Num;
use crate::op::device::{Chip, Kernels, Launch, Ptx, ptx};
use crate::op::simd::{self, dot};
use crate::op::{Arg, Fast, Grad, Op, Property, Reference, Shape, View};

/// Root mean square normalisation by the first columns of a row.
#[derive(Debug, Clone, Copy)]
pub struct PartialRmsNorm {
    /// The share of the columns that the root mean square is made of; at least one is.
    pub share: f64,
    /// Added to the mean square, in the units of x squared.
    pub eps: f64,
}

impl Described for PartialRmsNorm {
    const ID: &'static str = "partial_rms_norm";
    const ABOUT: &'static str =
        "x/√(mean(x²) + eps)·weight, mean over a share of the columns (Zhang & Sennrich 2019)";
    fn new() -> Self {
        PartialRmsNorm { share: 0.0625, eps: 1e-6 }
    }
}

impl Op for PartialRmsNorm {
    fn id(&self) -> &'static str {
        Self::ID
    }
    fn args(&self) -> &'static [Arg] {
        const ARGS: &[Arg] = &[Arg::real("x"), Arg::weight("weight").from(1.0)];
        ARGS
    }
    crate::constants! { dyn Op; share: Share, eps: NotNegative }
    fn outputs(&self, args: &[Shape]) -> Vec<Shape> {
        assert_eq!(args[1].len(), args[0].cols(), "{args:?}");
        vec![args[0]]
    }
    fn example(&self, rows: usize, cols: usize) -> Vec<Shape> {
        super::example(&[cols], rows, cols)
    }
    fn properties(&self) -> &'static [Property] {
        use Property::*;
        &[ScaleInvariant, Odd, RowIndependent]
    }
    fn kernels(&self) -> Option<&dyn Kernels> {
        Some(self)
    }
}

impl PartialRmsNorm {
    /// How many of the columns are seen.
    fn seen(&self, cols: usize) -> usize {
        ((self.share * cols as f64).ceil() as usize).clamp(1, cols)
    }

    /// 1/√(mean(x²) + eps) of the columns of a row that are seen.
    fn scale<T: Num>(&self, x: &[T]) -> T {
        let seen = self.seen(x.len());
        let mut square = T::zero();
        for &v in &x[..seen] {
            square += v * v;
        }
        T::one() / (square / T::count(seen) + T::num(self.eps)).sqrt()
    }
}

impl<T: Num> Reference<T> for PartialRmsNorm {
    fn forward(&self, args: &[View<T>], outs: &mut [&mut [T]]) {
        let [x, weight] = [args[0], args[1]];
        let cols = x.shape.cols();
        for i in 0..x.shape.rows() {
            let scale = self.scale(x.row(i));
            for j in 0..cols {
                outs[0][i * cols + j] = weight.data[j] * (x.row(i)[j] * scale);
            }
        }
    }

    fn vjp(&self, args: &[View<T>], dy: &[T], dargs: &mut [&mut [T]]) {
        let [x, weight] = [args[0], args[1]];
        let cols = x.shape.cols();
        let seen = self.seen(cols);
        for i in 0..x.shape.rows() {
            let (row, dy) = (x.row(i), &dy[i * cols..(i + 1) * cols]);
            let scale = self.scale(row);
            let mut projection = T::zero();
            for j in 0..cols {
                projection += weight.data[j] * dy[j] * (row[j] * scale);
            }
            let mean = projection / T::count(seen);
            for j in 0..cols {
                let along = if j < seen { row[j] * scale * mean } else { T::zero() };
                if let Some(dx) = dargs[0].get_mut(i * cols + j) {
                    *dx += scale * (weight.data[j] * dy[j] - along);
                }
                if let Some(dweight) = dargs[1].get_mut(j) {
                    *dweight += dy[j] * (row[j] * scale);
                }
            }
        }
    }
}

impl Fast for PartialRmsNorm {
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
        let [x, weight] = [args[0], args[1]];
        let (cols, eps) = (x.shape.cols(), self.eps as f32);
        let seen = self.seen(cols);
        let y = &mut *outs[0];
        simd::dispatch!(|isa, cols| {
            let rows = x.data.chunks_exact(cols).zip(y.chunks_exact_mut(cols));
            for ((x, y), saved) in rows.zip(&mut *saved) {
                let square = dot(isa, &x[..seen], &x[..seen]);
                *saved = 1.0 / (square * (1.0 / seen as f32) + eps).sqrt();
                for ((y, x), weight) in y.iter_mut().zip(x).zip(&weight.data[..cols]) {
                    *y = x * *saved * weight;
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
        let [x, weight] = [args[0], args[1]];
        let (rows, cols) = (x.shape.rows(), x.shape.cols());
        let seen = self.seen(cols);
        let [dx, dweight] = dargs else { unreachable!("two arguments") };
        let dweight = dweight.to_add();
        simd::dispatch!(|isa, cols| for block in simd::row_blocks(rows, cols) {
            let weight = &weight.data[..cols];
            for i in block.clone() {
                let row = i * cols..(i + 1) * cols;
                let (x, dy, scale) = (&x.data[row.clone()], &dy[row.clone()], saved[i]);
                let add = |lane, [x, dy, weight]: [f32; 3]| x.mul_add(dy * weight, lane);
                let along = simd::sum_of(isa, [x, dy, weight], add);
                let slope = -scale * (scale * (scale * (along * (1.0 / seen as f32))));
                let elements = x.iter().zip(dy).zip(weight);
                let plain = |((_, dy), weight): ((&f32, &f32), &f32)| scale * (dy * weight);
                let turned =
                    |((x, dy), weight): ((&f32, &f32), &f32)| scale.mul_add(dy * weight, x * slope);
                let cut = row.start + seen;
                dx.put(row.start..cut, elements.clone().take(seen).map(turned));
                dx.put(cut..row.end, elements.skip(seen).map(plain));
            }
            simd::add_columns(dweight, block, [x.data, dy], [], |sum, i, [x, dy], []| {
                dy.mul_add(x * saved[i], sum)
            });
        });
    }
}

impl PartialRmsNorm {
    fn launches(&self, x: Shape) -> launch::Scaled {
        launch::Scaled {
            forward: [
                "partial_rms_norm_forward_narrow",
                "partial_rms_norm_forward_warp",
                "partial_rms_norm_forward_block",
            ],
            vjp: [
                "partial_rms_norm_vjp_narrow",
                "partial_rms_norm_vjp_warp",
                "partial_rms_norm_vjp_block",
            ],
            dweight: Some("partial_rms_norm_dweight"),
            eps: self.eps,
            seen: self.seen(x.cols()),
        }
    }
}

impl Kernels for PartialRmsNorm {
    fn ptx(&self) -> Ptx {
        ptx!("partial_rms_norm")
    }

    /// The scale of every row.
    fn saved(&self, args: &[Shape], _chip: &Chip) -> usize {
        args[0].rows()
    }

    fn scratch(&self, args: &[Shape], chip: &Chip) -> usize {
        self.launches(args[0]).scratch(args[0], chip)
    }

    fn forward(&self, args: &[Shape], chip: &Chip) -> Vec<Launch> {
        self.launches(args[0]).forward(args[0], chip)
    }

    fn vjp(&self, args: &[Shape], chip: &Chip) -> Vec<Launch> {
        self.launches(args[0]).vjp(args[0], chip)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::bodies::{Case, Path, Rows};
    use crate::op::norm::RmsNorm;

    #[test]
    fn the_count_is_rounded_up() {
        for (share, cols, seen) in [
            (0.0625, 64, 4),
            (0.0625, 65, 5),
            (0.0625, 3, 1),
            (0.0, 5, 1),
            (1.0, 5, 5),
            (0.5, 1, 1),
        ] {
            assert_eq!(PartialRmsNorm { share, ..PartialRmsNorm::new() }.seen(cols), seen);
        }
    }

    #[test]
    fn of_all_columns_it_is_rms_norm() {
        let (partial, whole) =
            (PartialRmsNorm { share: 1.0, ..PartialRmsNorm::new() }, RmsNorm::new());
        let case = Case::draw(&partial, Rows::Normal, 5, 17, 1);
        for path in Path::ALL {
            let (partial, whole) = (path.run(&partial, &case), path.run(&whole, &case));
            for ((name, a), (_, b)) in partial.named().zip(whole.named()) {
                for (a, b) in a.iter().zip(b) {
                    // Products in another order: a rounding or two.
                    let close = 4.0 * 2f64.powi(-24) * path.unit() * (1.0 + b.abs());
                    assert!((a - b).abs() <= close, "{path:?} {name}: {a}, {b}");
                }
            }
        }
    }

    /// x = (3, 4) seen by its first column: s = 1/3; w = (1, 1), p = 7/3.
    #[test]
    fn only_columns_that_are_seen_turn_the_gradient() {
        let op = PartialRmsNorm { share: 0.5, eps: 0.0 };
        let mut case = Case::of(&op, &op.example(1, 2), Rows::Normal, 1);
        case.values = vec![vec![3.0, 4.0], vec![1.0, 1.0]];
        case.dy = vec![1.0, 1.0];
        for results in Path::ALL.map(|path| path.run(&op, &case)) {
            let got = results.outs[0].iter().chain(&results.grads[0]);
            for (got, want) in got.zip([1.0, 4.0 / 3.0, -4.0 / 9.0, 1.0 / 3.0]) {
                assert!((got - want).abs() < 1e-6, "{got} is not {want}");
            }
        }
    }
}
