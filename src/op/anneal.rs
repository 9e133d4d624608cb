//! A branch that comes in over the first steps of training (BranchNorm, Liu et al. 2023,
//! arXiv 2305.02790).
//!
//! y = x + α·branch, α = min(1, t/T) in step t, counted from 1; dx = dy, dbranch = α·dy. The clock
//! counts steps from 0.

use super::simd;
use super::{Arg, Fast, Grad, Kind, Op, Property, Reference, Shape, View};
use crate::num::Num;

/// y = x + min(1, t/steps)·branch.
#[derive(Debug, Clone, Copy)]
pub struct AnnealedResidual {
    /// T, the step from which on the branch is whole.
    pub steps: usize,
}

impl AnnealedResidual {
    /// α at what the clock shows.
    fn factor<T: Num>(&self, clock: View<T>) -> f64 {
        ((clock.data[0].index() + 1) as f64 / self.steps as f64).min(1.0)
    }
}

impl Op for AnnealedResidual {
    fn id(&self) -> &'static str {
        "annealed_residual"
    }
    fn args(&self) -> &'static [Arg] {
        const ARGS: &[Arg] = &[Arg::real("x"), Arg::real("branch"), Arg::new("clock", Kind::Clock)];
        ARGS
    }
    crate::constants! { dyn Op; steps: Count }
    fn outputs(&self, args: &[Shape]) -> Vec<Shape> {
        assert_eq!(args[0], args[1], "the stream and the branch have one shape");
        assert_eq!(args[2].len(), 2, "the clock is the step and the first sample");
        vec![args[0]]
    }
    fn example(&self, rows: usize, cols: usize) -> Vec<Shape> {
        let x = Shape::new(&[rows, cols]);
        vec![x, x, Shape::new(&[2])]
    }
    fn properties(&self) -> &'static [Property] {
        &[Property::PermutationEquivariant, Property::RowIndependent]
    }
    fn vjp_reads(&self, index: usize) -> bool {
        index == 2
    }
}

impl<T: Num> Reference<T> for AnnealedResidual {
    fn forward(&self, args: &[View<T>], outs: &mut [&mut [T]]) {
        let factor = T::num(self.factor(args[2]));
        for (i, y) in outs[0].iter_mut().enumerate() {
            *y = args[0].data[i] + factor * args[1].data[i];
        }
    }
    fn vjp(&self, args: &[View<T>], dy: &[T], dargs: &mut [&mut [T]]) {
        let factor = T::num(self.factor(args[2]));
        for (darg, factor) in dargs.iter_mut().zip([T::one(), factor]) {
            for (d, &dy) in darg.iter_mut().zip(dy) {
                *d += factor * dy;
            }
        }
    }
}

impl Fast for AnnealedResidual {
    fn forward(
        &self,
        args: &[View<f32>],
        outs: &mut [&mut [f32]],
        _saved: &mut [f32],
        _scratch: &mut [f32],
    ) {
        let factor = self.factor(args[2]) as f32;
        let y = &mut *outs[0];
        simd::dispatch!(|| {
            for ((y, x), branch) in y.iter_mut().zip(args[0].data).zip(args[1].data) {
                *y = factor.mul_add(*branch, *x);
            }
        });
    }
    fn vjp(
        &self,
        args: &[View<f32>],
        dy: &[f32],
        _saved: &[f32],
        dargs: &mut [Grad],
        _scratch: &mut [f32],
    ) {
        let factor = self.factor(args[2]) as f32;
        let [dx, dbranch, _] = dargs else { unreachable!("three arguments") };
        simd::dispatch!(|| {
            dx.put(0..dy.len(), dy.iter().copied());
            dbranch.put(0..dy.len(), dy.iter().map(|dy| factor * dy));
        });
    }
}
