//! The linear map of a layer.
//!
//! y = x·Wᵀ + b with x of `[..., in]`, weight of `[out, in]` and an optional bias of `[out]`.
//! dx = dy·W, dW = dyᵀ·x and db = Σ dy, sums over rows.
//!
//! The weight is stored by outputs, as in PyTorch, so that one output is one contiguous row.

use faer::linalg::matmul::matmul;
use faer::{Accum, MatMut, MatRef, Par};

use super::device::{Chip, ColumnSums, Kernels, Launch, Param, Ptx, ptx};
use super::simd;
use super::{Arg, Fast, Grad, Op, Property, Reference, Shape, View};
use crate::num::Num;

/// y = x·weightᵀ + bias over the last axis; the bias is optional.
#[derive(Debug, Clone, Copy)]
pub struct Linear;

impl Op for Linear {
    fn id(&self) -> &'static str {
        "linear"
    }
    fn args(&self) -> &'static [Arg] {
        const ARGS: &[Arg] =
            &[Arg::real("x"), Arg::weight("weight"), Arg::weight("bias").from(0.0).optional()];
        ARGS
    }
    fn outputs(&self, args: &[Shape]) -> Vec<Shape> {
        let [out, width] = *args[1].sizes() else { panic!("a weight of {:?}", args[1]) };
        assert_eq!(width, args[0].cols(), "weight {:?} for x {:?}", args[1], args[0]);
        assert!(args[2].is_empty() || args[2].len() == out, "bias {:?} for {out}", args[2]);
        vec![args[0].with_cols(out)]
    }
    /// One more output than inputs, so that a transposed weight cannot pass.
    fn example(&self, rows: usize, cols: usize) -> Vec<Shape> {
        vec![Shape::new(&[rows, cols]), Shape::new(&[cols + 1, cols]), Shape::new(&[cols + 1])]
    }
    fn properties(&self) -> &'static [Property] {
        &[Property::Linear, Property::Odd]
    }
    fn vjp_reads(&self, index: usize) -> bool {
        index < 2
    }
    fn kernels(&self) -> Option<&dyn Kernels> {
        Some(self)
    }
}

impl<T: Num> Reference<T> for Linear {
    fn forward(&self, args: &[View<T>], outs: &mut [&mut [T]]) {
        let [x, weight, bias] = [args[0], args[1], args[2]];
        let out = weight.shape.rows();
        for i in 0..x.shape.rows() {
            for o in 0..out {
                let mut sum = T::zero();
                for j in 0..x.shape.cols() {
                    sum += x.row(i)[j] * weight.row(o)[j];
                }
                outs[0][i * out + o] = bias.get(o).map_or(sum, |&b| sum + b);
            }
        }
    }

    fn vjp(&self, args: &[View<T>], dy: &[T], dargs: &mut [&mut [T]]) {
        let [x, weight] = [args[0], args[1]];
        let (cols, out) = (x.shape.cols(), weight.shape.rows());
        for i in 0..x.shape.rows() {
            for o in 0..out {
                let dy = dy[i * out + o];
                for j in 0..cols {
                    if let Some(dx) = dargs[0].get_mut(i * cols + j) {
                        *dx += dy * weight.row(o)[j];
                    }
                    if let Some(dweight) = dargs[1].get_mut(o * cols + j) {
                        *dweight += dy * x.row(i)[j];
                    }
                }
                if let Some(dbias) = dargs[2].get_mut(o) {
                    *dbias += dy;
                }
            }
        }
    }
}

impl Fast for Linear {
    fn forward(
        &self,
        args: &[View<f32>],
        outs: &mut [&mut [f32]],
        _saved: &mut [f32],
        _scratch: &mut [f32],
    ) {
        let [x, weight, bias] = [args[0], args[1], args[2]];
        let (rows, cols, out) = (x.shape.rows(), x.shape.cols(), weight.shape.rows());
        let y = &mut *outs[0];
        // The product adds to a y that starts at the bias, which saves a pass over y afterwards.
        let accum = if bias.is_absent() { Accum::Replace } else { Accum::Add };
        if !bias.is_absent() {
            for y in y.chunks_exact_mut(out) {
                y.copy_from_slice(bias.data);
            }
        }
        matmul(
            MatMut::from_row_major_slice_mut(y, rows, out),
            accum,
            MatRef::from_row_major_slice(x.data, rows, cols),
            MatRef::from_row_major_slice(weight.data, out, cols).transpose(),
            1.0,
            Par::Seq,
        );
    }

    fn vjp(
        &self,
        args: &[View<f32>],
        dy: &[f32],
        _saved: &[f32],
        dargs: &mut [Grad],
        _scratch: &mut [f32],
    ) {
        let [x, weight] = [args[0], args[1]];
        let (rows, cols, out) = (x.shape.rows(), x.shape.cols(), weight.shape.rows());
        let [dx, dweight, dbias] = dargs else { unreachable!("three arguments") };
        let dy_rows = MatRef::from_row_major_slice(dy, rows, out);
        if !dx.is_empty() {
            let weight = MatRef::from_row_major_slice(weight.data, out, cols);
            let (dx, accum) = matrix(dx, rows, cols);
            matmul(dx, accum, dy_rows, weight, 1.0, Par::Seq);
        }
        if !dweight.is_empty() {
            let x = MatRef::from_row_major_slice(x.data, rows, cols);
            let (dweight, accum) = matrix(dweight, out, cols);
            matmul(dweight, accum, dy_rows.transpose(), x, 1.0, Par::Seq);
        }
        if !dbias.is_empty() {
            let dbias = dbias.to_add();
            simd::dispatch!(|| {
                for dy in dy.chunks_exact(out) {
                    simd::add(dbias, dy);
                }
            });
        }
    }
}

/// A gradient as a matrix, and whether the product is added to it.
fn matrix<'a>(grad: &'a mut Grad, rows: usize, cols: usize) -> (MatMut<'a, f32>, Accum) {
    let (data, adds) = grad.raw();
    let accum = if adds { Accum::Add } else { Accum::Replace };
    (MatMut::from_row_major_slice_mut(data, rows, cols), accum)
}

/// A product of two matrices on a device: the size of the result, and the length of its sums.
struct Product {
    rows: usize,
    cols: usize,
    depth: usize,
    /// 128 × 128 elements of the result a block instead of 64 × 64.
    wide: bool,
    /// Blocks that share the result out among them.
    tiles: usize,
    /// Parts that every sum is cut into.
    splits: usize,
}

impl Product {
    /// Threads of a block.
    const THREADS: u32 = 256;
    /// Blocks of a multiprocessor that keep it busy.
    const BLOCKS: usize = 4;
    /// The shortest part of a sum that is worth a block.
    const SHORTEST: usize = 256;

    fn new([rows, cols, depth]: [usize; 3], chip: &Chip) -> Self {
        let multiprocessors = chip.multiprocessors as usize;
        let tiles = |side| rows.div_ceil(side) * cols.div_ceil(side);
        // A wide tile reads less for every product, and two of them fill a multiprocessor.
        let wide = tiles(128) >= 2 * multiprocessors;
        let tiles = tiles(if wide { 128 } else { 64 });
        let most = (depth / Self::SHORTEST).max(1);
        let splits = (Self::BLOCKS * multiprocessors / tiles).clamp(1, most);
        Product { rows, cols, depth, wide, tiles, splits }
    }

    /// Number of `f32` of the parts.
    fn scratch(&self) -> usize {
        if self.splits > 1 { self.splits * self.rows * self.cols } else { 0 }
    }

    /// The kernels, normal and wide, on the two factors, what is added, and the result; then the
    /// one that adds the parts of the sums, on all but the factors.
    fn launches(
        &self,
        [normal, wide, splits]: [&'static str; 3],
        factors: [Param; 2],
        to: &[Param],
        chip: &Chip,
    ) -> Vec<Launch> {
        use Param::*;
        let size = [U64(self.rows as u64), U64(self.cols as u64)];
        let depth = [U64(self.depth as u64), U32(self.splits as u32)];
        let params = [&factors[..], to, &[Scratch(0)], &size, &depth].concat();
        let kernel = if self.wide { wide } else { normal };
        let product = Launch::new(kernel, self.tiles * self.splits, Self::THREADS, &params);
        if self.splits == 1 {
            return vec![product];
        }
        let params = [&[Scratch(0)][..], to, &size, &[U32(self.splits as u32)]].concat();
        vec![product, Launch::by_vectors(splits, self.rows * self.cols, chip, &params)]
    }
}

impl Linear {
    /// Rows and columns of x, and the number of outputs.
    fn sizes(args: &[Shape]) -> [usize; 3] {
        [args[0].rows(), args[0].cols(), args[1].rows()]
    }
}

impl Kernels for Linear {
    fn ptx(&self) -> Ptx {
        ptx!("linear")
    }

    /// The parts of the sums of one product at a time, or the partial sums of dbias.
    fn scratch(&self, args: &[Shape], chip: &Chip) -> usize {
        let [rows, cols, out] = Self::sizes(args);
        let products = [[rows, out, cols], [rows, cols, out], [out, cols, rows]];
        let parts = products.map(|size| Product::new(size, chip).scratch());
        parts.into_iter().fold(ColumnSums::new(rows, out, chip).scratch(), usize::max)
    }

    fn forward(&self, args: &[Shape], chip: &Chip) -> Vec<Launch> {
        use Param::*;
        let [rows, cols, out] = Self::sizes(args);
        let kernels = ["linear_forward", "linear_forward_wide", "linear_forward_splits"];
        let product = Product::new([rows, out, cols], chip);
        product.launches(kernels, [Arg(0), Arg(1)], &[Arg(2), Out(0)], chip)
    }

    fn vjp(&self, args: &[Shape], chip: &Chip) -> Vec<Launch> {
        use Param::*;
        let [rows, cols, out] = Self::sizes(args);
        let (dx, dweight) = (
            ["linear_dx", "linear_dx_wide", "linear_vjp_splits"],
            ["linear_dweight", "linear_dweight_wide", "linear_vjp_splits"],
        );
        let mut launches =
            Product::new([rows, cols, out], chip).launches(dx, [Dy, Arg(1)], &[Grad(0)], chip);
        launches.extend(Product::new([out, cols, rows], chip).launches(
            dweight,
            [Dy, Arg(0)],
            &[Grad(1)],
            chip,
        ));
        let sums = ColumnSums::new(rows, out, chip);
        launches.extend([
            sums.parts("linear_dbias_parts", &[Dy, Grad(2)]),
            sums.totals("linear_dbias", 2),
        ]);
        launches
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::bodies::{Case, Rows, fast_agrees};

    #[test]
    fn leading_axes_are_rows() {
        let shapes = [Shape::new(&[2, 3, 5]), Shape::new(&[4, 5]), Shape::new(&[4])];
        assert_eq!(Linear.outputs(&shapes), [Shape::new(&[2, 3, 4])]);
        fast_agrees(&Linear, &Case::of(&Linear, &shapes, Rows::Normal, 1)).unwrap();
    }

    #[test]
    fn widths_at_the_edges_of_the_kernels_agree() {
        for n in [1, 15, 16, 17, 63, 64, 65] {
            for (rows, cols) in [(n, 16), (3, n), (n, n)] {
                fast_agrees(&Linear, &Case::draw(&Linear, Rows::Normal, rows, cols, 1)).unwrap();
            }
        }
    }
}
