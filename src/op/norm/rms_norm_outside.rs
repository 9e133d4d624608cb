//! Root mean square normalisation with eps outside of the root, as its authors published it
//! (Zhang & Sennrich 2019, arXiv 1910.07467; their code adds eps to the root, the paper has none).
//!
//! r = √mean(x²), q = 1/(r + eps), y = weight ⊙ x·q over the last axis. With w = weight ⊙ dy:
//! dx = q·(w − x/r·q·mean(w ⊙ x)), dweight = Σ dy ⊙ x·q, a sum over rows.
//!
//! At x = 0 the term of the root vanishes with x, and dx = w/eps: that is the derivative there along
//! every direction.

use super::launch;
use crate::choice::Described;
use crate::num::Num;
use crate::op::device::{Chip, Kernels, Launch, Ptx, ptx};
use crate::op::simd::{self, dot};
use crate::op::{Arg, Fast, Grad, Op, Property, Reference, Shape, View};

/// y = weight ⊙ x/(√mean(x²) + eps) over the last axis.
#[derive(Debug, Clone, Copy)]
pub struct RmsNormOutside {
    /// Added to the root mean square, in the units of x.
    pub eps: f64,
}

impl Described for RmsNormOutside {
    const ID: &'static str = "rms_norm_outside";
    const ABOUT: &'static str =
        "x/(√mean(x²) + eps)·weight: rms_norm as its authors' code has it (Zhang & Sennrich 2019)";
    fn new() -> Self {
        RmsNormOutside { eps: 1e-8 }
    }
}

impl Op for RmsNormOutside {
    fn id(&self) -> &'static str {
        Self::ID
    }
    fn args(&self) -> &'static [Arg] {
        const ARGS: &[Arg] = &[Arg::real("x"), Arg::weight("weight").from(1.0)];
        ARGS
    }
    crate::constants! { dyn Op; eps: NotNegative }
    fn outputs(&self, args: &[Shape]) -> Vec<Shape> {
        assert_eq!(args[1].len(), args[0].cols(), "{args:?}");
        vec![args[0]]
    }
    fn example(&self, rows: usize, cols: usize) -> Vec<Shape> {
        super::example(&[cols], rows, cols)
    }
    fn properties(&self) -> &'static [Property] {
        use Property::*;
        &[ScaleInvariant, Odd, PermutationEquivariant, RowIndependent]
    }
    fn kernels(&self) -> Option<&dyn Kernels> {
        Some(self)
    }
}

impl<T: Num> Reference<T> for RmsNormOutside {
    fn forward(&self, args: &[View<T>], outs: &mut [&mut [T]]) {
        let [x, weight] = [args[0], args[1]];
        let cols = x.shape.cols();
        for i in 0..x.shape.rows() {
            let divisor = root(x.row(i)) + T::num(self.eps);
            for j in 0..cols {
                outs[0][i * cols + j] = weight.data[j] * (x.row(i)[j] / divisor);
            }
        }
    }

    fn vjp(&self, args: &[View<T>], dy: &[T], dargs: &mut [&mut [T]]) {
        let [x, weight] = [args[0], args[1]];
        let cols = x.shape.cols();
        for i in 0..x.shape.rows() {
            let (row, dy) = (x.row(i), &dy[i * cols..(i + 1) * cols]);
            let root = root(row);
            let divisor = root + T::num(self.eps);
            let mut along = T::zero();
            for j in 0..cols {
                along += weight.data[j] * dy[j] * (row[j] / divisor);
            }
            let mean = along / T::count(cols);
            for j in 0..cols {
                let turned = if root > T::zero() { row[j] / root * mean } else { T::zero() };
                if let Some(dx) = dargs[0].get_mut(i * cols + j) {
                    *dx += (weight.data[j] * dy[j] - turned) / divisor;
                }
                if let Some(dweight) = dargs[1].get_mut(j) {
                    *dweight += dy[j] * (row[j] / divisor);
                }
            }
        }
    }
}

/// √mean(x²), flat at 0, where what it is multiplied by vanishes.
fn root<T: Num>(x: &[T]) -> T {
    let mut square = T::zero();
    for &v in x {
        square += v * v;
    }
    if square > T::zero() { (square / T::count(x.len())).sqrt() } else { T::zero() }
}

impl Fast for RmsNormOutside {
    /// √mean(x²) of every row.
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
        let y = &mut *outs[0];
        simd::dispatch!(|isa, cols| {
            let per_col = 1.0 / cols as f32;
            let rows = x.data.chunks_exact(cols).zip(y.chunks_exact_mut(cols));
            for ((x, y), saved) in rows.zip(&mut *saved) {
                *saved = (dot(isa, x, x) * per_col).sqrt();
                let inverse = 1.0 / (*saved + eps);
                for ((y, x), weight) in y.iter_mut().zip(x).zip(&weight.data[..cols]) {
                    *y = x * inverse * weight;
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
        let (rows, cols, eps) = (x.shape.rows(), x.shape.cols(), self.eps as f32);
        let [dx, dweight] = dargs else { unreachable!("two arguments") };
        let dweight = dweight.to_add();
        simd::dispatch!(|isa, cols| for block in simd::row_blocks(rows, cols) {
            let weight = &weight.data[..cols];
            for i in block.clone() {
                let row = i * cols..(i + 1) * cols;
                let (x, dy) = (&x.data[row.clone()], &dy[row.clone()]);
                let inverse = 1.0 / (saved[i] + eps);
                let add = |lane, [x, dy, weight]: [f32; 3]| x.mul_add(dy * weight, lane);
                let along = simd::sum_of(isa, [x, dy, weight], add);
                let mean = inverse * (along * (1.0 / cols as f32));
                let slope = if saved[i] > 0.0 { -inverse * (mean / saved[i]) } else { 0.0 };
                let elements = x.iter().zip(dy).zip(weight);
                let put = |((x, dy), weight): ((&f32, &f32), &f32)| {
                    inverse.mul_add(dy * weight, x * slope)
                };
                dx.put(row, elements.map(put));
            }
            simd::add_columns(dweight, block, [x.data, dy], [], |sum, i, [x, dy], []| {
                dy.mul_add(x * (1.0 / (saved[i] + eps)), sum)
            });
        });
    }
}

impl RmsNormOutside {
    fn launches(&self, x: Shape) -> launch::Scaled {
        launch::Scaled {
            forward: [
                "rms_norm_outside_forward_narrow",
                "rms_norm_outside_forward_warp",
                "rms_norm_outside_forward_block",
            ],
            vjp: [
                "rms_norm_outside_vjp_narrow",
                "rms_norm_outside_vjp_warp",
                "rms_norm_outside_vjp_block",
            ],
            dweight: Some("rms_norm_outside_dweight"),
            eps: self.eps,
            seen: x.cols(),
        }
    }
}

impl Kernels for RmsNormOutside {
    fn ptx(&self) -> Ptx {
        ptx!("rms_norm_outside")
    }

    /// √mean(x²) of every row.
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

    /// In one column y = weight·x/(|x| + eps), whose slope at 0 is weight/eps and at x > 0
    /// weight·eps/(x + eps)².
    #[test]
    fn at_zero_the_slope_is_that_of_a_division_by_eps() {
        let op = RmsNormOutside { eps: 0.5 };
        let mut case = Case::of(&op, &op.example(2, 1), Rows::Normal, 1);
        case.values = vec![vec![0.0, 1.5], vec![3.0]];
        case.dy = vec![1.0, 1.0];
        for results in Path::ALL.map(|path| path.run(&op, &case)) {
            let got = results.outs[0].iter().chain(&results.grads[0]);
            for (got, want) in got.zip([0.0, 2.25, 6.0, 0.375]) {
                assert!((got - want).abs() < 1e-6, "{got} is not {want}");
            }
        }
    }
}
