//! A norm of every head by itself: x of `[.., heads·K]` is read as rows of K (QK-norm: Dehghani et al.
//! 2023, arXiv 2302.05442, section 2.1).
//!
//! y is the norm of x in this shape, forward and backward: nothing is moved, and all heads share
//! the tensors of the norm.

use std::fmt;

use super::device::{Chip, Kernels, Launch, Ptx};
use super::{Arg, Fast, Grad, MAX_ARGS, Op, Property, Reference, Shape, SharedOp, View};
use crate::choice::{Allowed, Constant};
use crate::num::Num;
use crate::setting::Invalid;

/// A norm over the features of one head.
#[derive(Clone)]
pub struct PerHead {
    /// Features of a head, K.
    pub head_width: usize,
    /// The norm, whose statistics are of one row.
    pub norm: SharedOp,
}

impl PerHead {
    /// The shape of x as the norm sees it.
    fn rows(&self, x: Shape) -> Shape {
        assert!(x.cols().is_multiple_of(self.head_width), "{x:?} in heads of {}", self.head_width);
        Shape::new(&[x.len() / self.head_width, self.head_width])
    }

    /// The shapes as the norm sees them.
    fn shapes(&self, args: &[Shape]) -> Vec<Shape> {
        [&[self.rows(args[0])], &args[1..]].concat()
    }

    /// Calls `run` with the arguments as the norm sees them; nothing is allocated for it.
    fn seen<T: Num>(&self, args: &[View<T>], run: impl FnOnce(&[View<T>])) {
        let mut seen = [View::absent(); MAX_ARGS];
        seen[..args.len()].copy_from_slice(args);
        seen[0] = View::new(self.rows(args[0].shape), args[0].data);
        run(&seen[..args.len()]);
    }
}

/// The norm stands behind its head, as a constant is one number.
impl fmt::Debug for PerHead {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PerHead {{ head_width: {} }} of {:?}", self.head_width, self.norm)
    }
}

impl Op for PerHead {
    fn id(&self) -> &'static str {
        "per_head"
    }
    fn args(&self) -> &'static [Arg] {
        self.norm.args()
    }
    fn outputs(&self, args: &[Shape]) -> Vec<Shape> {
        let mut outs = self.norm.outputs(&self.shapes(args));
        outs[0] = args[0];
        outs
    }
    /// Two heads at least.
    fn example(&self, rows: usize, cols: usize) -> Vec<Shape> {
        let mut shapes = self.norm.example(rows, self.head_width);
        let heads = cols.div_ceil(self.head_width).max(2);
        shapes[0] = Shape::new(&[rows, heads * self.head_width]);
        shapes
    }
    fn consts(&self) -> Vec<Constant> {
        let mut consts = vec![Constant {
            name: "head_width",
            value: self.head_width.to_string(),
            allowed: Allowed::Count.words::<usize>(),
            kind: Allowed::Count,
        }];
        consts.extend(self.norm.consts());
        consts
    }
    fn with(&self, name: &str, value: &str) -> Result<SharedOp, Invalid> {
        let mut changed = self.clone();
        if name == "head_width" {
            let read = Allowed::Count.read(value);
            changed.head_width = read.map_err(|allowed| Invalid::new(name, value, allowed))?;
        } else {
            changed.norm = self.norm.with(name, value)?;
        }
        Ok(std::sync::Arc::new(changed))
    }
    fn properties(&self) -> &'static [Property] {
        let by_row = self.norm.properties().contains(&Property::RowIndependent);
        if by_row { &[Property::RowIndependent] } else { &[] }
    }
    fn vjp_reads(&self, index: usize) -> bool {
        self.norm.vjp_reads(index)
    }
    fn kernels(&self) -> Option<&dyn Kernels> {
        self.norm.kernels().is_some().then_some(self)
    }
}

impl<T: Num> Reference<T> for PerHead
where
    dyn Op: Reference<T>,
{
    fn forward(&self, args: &[View<T>], outs: &mut [&mut [T]]) {
        self.seen(args, |args| Reference::<T>::forward(&*self.norm, args, outs));
    }
    fn vjp(&self, args: &[View<T>], dy: &[T], dargs: &mut [&mut [T]]) {
        self.seen(args, |args| Reference::<T>::vjp(&*self.norm, args, dy, dargs));
    }
}

impl Fast for PerHead {
    fn saved(&self, args: &[Shape]) -> usize {
        Fast::saved(&*self.norm, &self.shapes(args))
    }
    fn scratch(&self, args: &[Shape]) -> usize {
        Fast::scratch(&*self.norm, &self.shapes(args))
    }
    fn forward(
        &self,
        args: &[View<f32>],
        outs: &mut [&mut [f32]],
        saved: &mut [f32],
        scratch: &mut [f32],
    ) {
        self.seen(args, |args| Fast::forward(&*self.norm, args, outs, saved, scratch));
    }
    fn vjp(
        &self,
        args: &[View<f32>],
        dy: &[f32],
        saved: &[f32],
        dargs: &mut [Grad],
        scratch: &mut [f32],
    ) {
        self.seen(args, |args| Fast::vjp(&*self.norm, args, dy, saved, dargs, scratch));
    }
}

impl PerHead {
    fn kernels_of_norm(&self) -> &dyn Kernels {
        self.norm.kernels().expect("asked of a norm that has kernels")
    }
}

impl Kernels for PerHead {
    fn ptx(&self) -> Ptx {
        self.kernels_of_norm().ptx()
    }
    fn keeps_f32(&self, index: usize) -> bool {
        self.kernels_of_norm().keeps_f32(index)
    }
    fn saved(&self, args: &[Shape], chip: &Chip) -> usize {
        self.kernels_of_norm().saved(&self.shapes(args), chip)
    }
    fn scratch(&self, args: &[Shape], chip: &Chip) -> usize {
        self.kernels_of_norm().scratch(&self.shapes(args), chip)
    }
    fn forward(&self, args: &[Shape], chip: &Chip) -> Vec<Launch> {
        self.kernels_of_norm().forward(&self.shapes(args), chip)
    }
    fn vjp(&self, args: &[Shape], chip: &Chip) -> Vec<Launch> {
        self.kernels_of_norm().vjp(&self.shapes(args), chip)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::bodies::{Case, Path, Rows};
    use crate::choice::Described;
    use crate::op::norm::RmsNorm;

    #[test]
    fn heads_are_rows() {
        let norm = RmsNorm::new();
        let heads = PerHead { head_width: 5, norm: std::sync::Arc::new(norm) };
        let case = Case::draw(&heads, Rows::Mixed, 3, 15, 1);
        let mut rows = Case::draw(&norm, Rows::Mixed, 9, 5, 1);
        (rows.values, rows.dy) = (case.values.clone(), case.dy.clone());
        for path in Path::ALL {
            assert_eq!(path.run(&heads, &case), path.run(&norm, &rows));
        }
    }
}
