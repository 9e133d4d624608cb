//! Group normalisation (Wu & He 2018, arXiv 1803.08494, section 3) of a row's columns.
//!
//! The columns fall into groups of neighbours, of m columns each. Over each group of each row:
//! μ = mean(x), σ² = mean((x − μ)²), s = 1/√(σ² + eps), x̂ = (x − μ)·s; y = weight ⊙ x̂ + bias with a
//! weight and a bias per column. With w = weight ⊙ dy and means over the group:
//! dx = s·(w − mean(w) − x̂·mean(w ⊙ x̂)), dweight = Σ dy ⊙ x̂, dbias = Σ dy, sums over rows.
//!
//! One group is layer_norm. As many groups as columns is the end that in images is called instance
//! norm, whose instance is one channel of one picture with all of its places. A row here is a token
//! and has one place: an instance is a single number, x̂ is 0, and the bias is all that is left.

use super::launch::{self, Rows, Strips};
use crate::choice::Described;
use crate::num::Num;
use crate::op::device::{Chip, Kernels, Launch, Param, Ptx, ptx};
use crate::op::simd::{self, sum, sum_of_squares_around};
use crate::op::{Arg, Fast, Grad, Op, Property, Reference, Shape, View};

/// Normalisation of groups of neighbouring columns of a row.
#[derive(Debug, Clone, Copy)]
pub struct GroupNorm {
    /// Groups of a row, a divisor of its width.
    pub groups: usize,
    /// Added to the variance, in the units of x squared.
    pub eps: f64,
}

impl Described for GroupNorm {
    const ID: &'static str = "group_norm";
    const ABOUT: &'static str =
        "(x − mean)/√(var + eps)·weight + bias, mean and var of groups of columns (Wu & He 2018)";
    fn new() -> Self {
        GroupNorm { groups: 8, eps: 1e-5 }
    }
}

impl Op for GroupNorm {
    fn id(&self) -> &'static str {
        Self::ID
    }
    fn args(&self) -> &'static [Arg] {
        const ARGS: &[Arg] =
            &[Arg::real("x"), Arg::weight("weight").from(1.0), Arg::weight("bias").from(0.0)];
        ARGS
    }
    crate::constants! { dyn Op; groups: Count, eps: NotNegative }
    fn outputs(&self, args: &[Shape]) -> Vec<Shape> {
        let cols = args[0].cols();
        assert!(cols.is_multiple_of(self.groups), "{} groups of {cols} columns", self.groups);
        assert!(args[1].len() == cols && args[2].len() == cols, "{args:?}");
        vec![args[0]]
    }
    /// Whole columns in every group.
    fn example(&self, rows: usize, cols: usize) -> Vec<Shape> {
        let cols = cols.next_multiple_of(self.groups);
        super::example(&[cols, cols], rows, cols)
    }
    fn properties(&self) -> &'static [Property] {
        use Property::*;
        &[ShiftInvariant, ScaleInvariant, Odd, RowIndependent]
    }
    fn vjp_reads(&self, index: usize) -> bool {
        index < 2
    }
    fn kernels(&self) -> Option<&dyn Kernels> {
        Some(self)
    }
}

impl<T: Num> Reference<T> for GroupNorm {
    fn forward(&self, args: &[View<T>], outs: &mut [&mut [T]]) {
        let [x, weight, bias] = [args[0], args[1], args[2]];
        let cols = x.shape.cols();
        let members = cols / self.groups;
        for (group, values) in x.data.chunks(members).enumerate() {
            let (xhat, _) = normalized(values, self.eps);
            for (k, &xhat) in xhat.iter().enumerate() {
                let at = group * members + k;
                outs[0][at] = weight.data[at % cols] * xhat + bias.data[at % cols];
            }
        }
    }

    fn vjp(&self, args: &[View<T>], dy: &[T], dargs: &mut [&mut [T]]) {
        let [x, weight] = [args[0], args[1]];
        let cols = x.shape.cols();
        let members = cols / self.groups;
        let n = T::count(members);
        for (group, values) in x.data.chunks(members).enumerate() {
            let (xhat, rstd) = normalized(values, self.eps);
            let first = group * members;
            let w = |k: usize| weight.data[(first + k) % cols] * dy[first + k];
            let (mut mean, mut projection) = (T::zero(), T::zero());
            for (k, &xhat) in xhat.iter().enumerate() {
                mean += w(k);
                projection += w(k) * xhat;
            }
            for (k, &xhat) in xhat.iter().enumerate() {
                let (at, j) = (first + k, (first + k) % cols);
                if let Some(dx) = dargs[0].get_mut(at) {
                    *dx += rstd * (w(k) - mean / n - xhat * (projection / n));
                }
                if let Some(dweight) = dargs[1].get_mut(j) {
                    *dweight += dy[at] * xhat;
                }
                if let Some(dbias) = dargs[2].get_mut(j) {
                    *dbias += dy[at];
                }
            }
        }
    }
}

/// x̂ and 1/√(var + eps) of one group.
fn normalized<T: Num>(x: &[T], eps: f64) -> (Vec<T>, T) {
    let n = T::count(x.len());
    let mut mean = T::zero();
    for &v in x {
        mean += v;
    }
    mean = mean / n;
    let mut var = T::zero();
    for &v in x {
        var += (v - mean) * (v - mean);
    }
    let rstd = T::one() / (var / n + T::num(eps)).sqrt();
    (x.iter().map(|&v| (v - mean) * rstd).collect(), rstd)
}

impl Fast for GroupNorm {
    /// mean and rstd of every group.
    fn saved(&self, args: &[Shape]) -> usize {
        2 * args[0].rows() * self.groups
    }
    /// x̂ of a row.
    fn scratch(&self, args: &[Shape]) -> usize {
        args[0].cols()
    }

    fn forward(
        &self,
        args: &[View<f32>],
        outs: &mut [&mut [f32]],
        saved: &mut [f32],
        _scratch: &mut [f32],
    ) {
        let [x, weight, bias] = [args[0], args[1], args[2]];
        let (members, eps) = (x.shape.cols() / self.groups, self.eps as f32);
        let y = &mut *outs[0];
        simd::dispatch!(|isa, members| {
            let per_member = 1.0 / members as f32;
            let weights = weight.data.chunks_exact(members).cycle();
            let affine = weights.zip(bias.data.chunks_exact(members).cycle());
            let groups = x.data.chunks_exact(members).zip(y.chunks_exact_mut(members));
            let saved = saved.chunks_exact_mut(2);
            for (((x, y), saved), (weight, bias)) in groups.zip(saved).zip(affine) {
                let mean = sum(isa, x) * per_member;
                let var = sum_of_squares_around(isa, x, mean) * per_member;
                let rstd = 1.0 / (var + eps).sqrt();
                for (((y, x), weight), bias) in y.iter_mut().zip(x).zip(weight).zip(bias) {
                    *y = ((x - mean) * rstd).mul_add(*weight, *bias);
                }
                saved.copy_from_slice(&[mean, rstd]);
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
        let [x, weight] = [args[0], args[1]];
        let (cols, members) = (x.shape.cols(), x.shape.cols() / self.groups);
        let [dx, dweight, dbias] = dargs else { unreachable!("three arguments") };
        let (dweight, dbias) = (dweight.to_add(), dbias.to_add());
        let xhat = &mut scratch[..cols];
        simd::dispatch!(|isa, members| {
            let per_member = 1.0 / members as f32;
            let rows = x.data.chunks_exact(cols).zip(dy.chunks_exact(cols));
            let saved = saved.chunks_exact(2 * self.groups);
            for (i, ((x, dy), saved)) in rows.zip(saved).enumerate() {
                for (group, saved) in saved.chunks_exact(2).enumerate() {
                    let [mean, rstd] = [saved[0], saved[1]];
                    let inside = group * members..(group + 1) * members;
                    let [dy, weight] = [dy, weight.data].map(|all| &all[inside.clone()]);
                    let xhat = &mut xhat[inside.clone()];
                    for (xhat, x) in xhat.iter_mut().zip(&x[inside.clone()]) {
                        *xhat = (x - mean) * rstd;
                    }
                    let xhat = &*xhat;
                    let shift = simd::dot(isa, dy, weight) * per_member;
                    let add = |lane, [dy, weight, xhat]: [f32; 3]| xhat.mul_add(dy * weight, lane);
                    let slope = simd::sum_of(isa, [dy, weight, xhat], add) * per_member;
                    let elements = dy.iter().zip(weight).zip(xhat);
                    dx.put(
                        i * cols + inside.start..i * cols + inside.end,
                        elements.map(|((dy, weight), xhat)| {
                            rstd * xhat.mul_add(-slope, dy * weight - shift)
                        }),
                    );
                }
                for ((dweight, dy), xhat) in dweight.iter_mut().zip(dy).zip(&*xhat) {
                    *dweight = dy.mul_add(*xhat, *dweight);
                }
                simd::add(dbias, dy);
            }
        });
    }
}

impl GroupNorm {
    /// x with a row for every group.
    fn rows(&self, x: Shape) -> Shape {
        Shape::new(&[x.rows() * self.groups, x.cols() / self.groups])
    }
}

impl Kernels for GroupNorm {
    fn ptx(&self) -> Ptx {
        ptx!("group_norm")
    }

    /// mean and rstd of every group.
    fn saved(&self, args: &[Shape], _chip: &Chip) -> usize {
        2 * args[0].rows() * self.groups
    }

    /// Two rows of partial sums for every group of rows, of dweight and of dbias.
    fn scratch(&self, args: &[Shape], chip: &Chip) -> usize {
        2 * args[0].cols() * Strips::of(args[0], chip).groups
    }

    fn forward(&self, args: &[Shape], chip: &Chip) -> Vec<Launch> {
        use Param::*;
        const KERNELS: launch::Names =
            ["group_norm_forward_narrow", "group_norm_forward_warp", "group_norm_forward_block"];
        let rows = Rows::of(self.rows(args[0]), chip);
        let tensors = [Arg(0), Arg(1), Arg(2), Out(0), Saved(0)];
        let constants = [launch::count(self.groups), F32(self.eps as f32)];
        let params = [&tensors[..], &rows.sizes(), &constants].concat();
        vec![rows.each(KERNELS, &params)]
    }

    fn vjp(&self, args: &[Shape], chip: &Chip) -> Vec<Launch> {
        use Param::*;
        const KERNELS: launch::Names =
            ["group_norm_vjp_narrow", "group_norm_vjp_warp", "group_norm_vjp_block"];
        let rows = Rows::of(self.rows(args[0]), chip);
        let tensors = [Arg(0), Arg(1), Dy, Saved(0), Grad(0)];
        let dx = [&tensors[..], &rows.sizes(), &[launch::count(self.groups)]].concat();
        let (strips, cols) = (Strips::of(args[0], chip), args[0].cols());
        let members = launch::count(cols / self.groups);
        let add = [&[Arg(0), Dy, Saved(0), Scratch(0)], &strips.sizes()[..], &[members]].concat();
        let sizes = [launch::count(strips.groups), launch::count(cols)];
        let dweight = [&[Scratch(0), Grad(1), Grad(2)], &sizes[..]].concat();
        vec![
            rows.each(KERNELS, &dx),
            strips.pass("group_norm_parts", &add),
            launch::columns("group_norm_dweight", strips.groups, 2 * cols, &dweight),
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::bodies::{Case, Path, Rows};
    use crate::op::norm::LayerNorm;

    /// The sums of one group run in the order of layer_norm, and give its bits but for the products
    /// of the gradient, which the reference forms alike.
    #[test]
    fn one_group_is_layer_norm() {
        let (group, layer) = (GroupNorm { groups: 1, eps: 1e-5 }, LayerNorm { eps: 1e-5 });
        let case = Case::draw(&group, Rows::Normal, 5, 17, 1);
        assert_eq!(Path::Reference.run(&group, &case), Path::Reference.run(&layer, &case));
        assert_eq!(Path::Fast.run(&group, &case).outs, Path::Fast.run(&layer, &case).outs);
    }

    /// Groups of a row are the rows of a layer_norm without weight and bias.
    #[test]
    fn groups_are_rows() {
        let (group, layer) = (GroupNorm { groups: 4, eps: 1e-5 }, LayerNorm { eps: 1e-5 });
        let mut case = Case::draw(&group, Rows::Mixed, 5, 12, 1);
        case.values[1].fill(1.0);
        case.values[2].fill(0.0);
        let mut rows = Case::draw(&layer, Rows::Mixed, 20, 3, 1).without(1).without(2);
        (rows.values[0], rows.dy) = (case.values[0].clone(), case.dy.clone());
        let [group, layer] = [(&group as &dyn Op, &case), (&layer, &rows)]
            .map(|(op, case)| Path::Reference.run(op, case));
        assert_eq!((&group.outs[0], &group.grads[0]), (&layer.outs[0], &layer.grads[0]));
    }

    #[test]
    fn an_instance_of_one_number_leaves_the_bias() {
        let op = GroupNorm { groups: 6, eps: 1e-5 };
        let case = Case::draw(&op, Rows::Normal, 4, 6, 1);
        for results in Path::ALL.map(|path| path.run(&op, &case)) {
            assert!(results.outs[0].chunks(6).all(|row| row == case.values[2]));
            assert!(results.grads[0].iter().all(|&dx| dx == 0.0));
        }
    }

    #[test]
    #[should_panic(expected = "8 groups of 12 columns")]
    fn groups_are_of_one_size() {
        let own = Shape::new(&[12]);
        GroupNorm::new().outputs(&[Shape::new(&[1, 12]), own, own]);
    }
}
