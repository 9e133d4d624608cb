//! How a number type runs an operator: `f32` by its fast path, others by its reference.

use crate::num::{Dual, Num, Stochastic};
use crate::op::{Fast, Grad, MAX_ARGS, Op, Reference, Shape, View};

/// A number that a host can run programs with.
pub trait Element: Num {
    /// See [`Fast::saved`].
    fn saved(_op: &dyn Op, _shapes: &[Shape]) -> usize {
        0
    }
    /// See [`Fast::scratch`].
    fn scratch(_op: &dyn Op, _shapes: &[Shape]) -> usize {
        0
    }
    /// See [`Fast::forward`].
    fn forward(
        op: &dyn Op,
        args: &[View<Self>],
        outs: &mut [&mut [Self]],
        saved: &mut [Self],
        scratch: &mut [Self],
    );
    /// See [`Fast::vjp`].
    fn vjp(
        op: &dyn Op,
        args: &[View<Self>],
        dy: &[Self],
        saved: &[Self],
        dargs: &mut [Grad<Self>],
        scratch: &mut [Self],
    );
}

impl Element for f32 {
    fn saved(op: &dyn Op, shapes: &[Shape]) -> usize {
        Fast::saved(op, shapes)
    }
    fn scratch(op: &dyn Op, shapes: &[Shape]) -> usize {
        Fast::scratch(op, shapes)
    }
    fn forward(
        op: &dyn Op,
        args: &[View<f32>],
        outs: &mut [&mut [f32]],
        saved: &mut [f32],
        scratch: &mut [f32],
    ) {
        Fast::forward(op, args, outs, saved, scratch);
    }
    fn vjp(
        op: &dyn Op,
        args: &[View<f32>],
        dy: &[f32],
        saved: &[f32],
        dargs: &mut [Grad],
        scratch: &mut [f32],
    ) {
        Fast::vjp(op, args, dy, saved, dargs, scratch);
    }
}

macro_rules! reference_element {
    ($($number:ty),+) => {$(
        impl Element for $number {
            fn forward(
                op: &dyn Op,
                args: &[View<Self>],
                outs: &mut [&mut [Self]],
                _saved: &mut [Self],
                _scratch: &mut [Self],
            ) {
                Reference::<Self>::forward(op, args, outs);
            }
            fn vjp(
                op: &dyn Op,
                args: &[View<Self>],
                dy: &[Self],
                _saved: &[Self],
                dargs: &mut [Grad<Self>],
                _scratch: &mut [Self],
            ) {
                let count = dargs.len();
                let mut sums: [&mut [Self]; MAX_ARGS] = Default::default();
                for (sum, grad) in sums.iter_mut().zip(dargs.iter_mut()) {
                    *sum = grad.to_add();
                }
                Reference::<Self>::vjp(op, args, dy, &mut sums[..count]);
            }
        }
    )+};
}
reference_element!(f64, Dual, Stochastic);
