//! [`Ramp`]: y = αx with α = min(1, t/over) in step t, counted from 1: what warms up the branches of a
//! stack instead of its learning rate (BranchNorm, Liu et al. 2023, arXiv 2305.02790). dx = α·dy. The
//! clock counts steps from 0.

use super::device::{Chip, Kernels, Launch, Param, Ptx, ptx};
use super::simd;
use super::{Arg, Fast, Grad, Kind, Op, Property, Reference, Shape, View};
use crate::num::Num;

/// y = x·min(1, t/over) in step t, counted from 1.
#[derive(Debug, Clone, Copy)]
pub struct Ramp {
    /// Steps until the factor is 1.
    pub over: usize,
}

impl Ramp {
    fn factor<T: Num>(&self, clock: &View<T>) -> f64 {
        ((clock.data[0].index() + 1) as f64 / self.over as f64).min(1.0)
    }
}

impl Op for Ramp {
    fn id(&self) -> &'static str {
        "ramp"
    }
    fn args(&self) -> &'static [Arg] {
        const ARGS: &[Arg] = &[Arg::real("x"), Arg::new("clock", Kind::Clock)];
        ARGS
    }
    crate::constants! { dyn Op; over: Count }
    fn outputs(&self, args: &[Shape]) -> Vec<Shape> {
        assert_eq!(args[1].len(), 2, "the clock is the step and the first sample");
        vec![args[0]]
    }
    fn example(&self, rows: usize, cols: usize) -> Vec<Shape> {
        vec![Shape::new(&[rows, 2, cols]), Shape::new(&[2])]
    }
    fn properties(&self) -> &'static [Property] {
        use Property::*;
        &[Linear, Odd, PermutationEquivariant, RowIndependent]
    }
    fn vjp_reads(&self, index: usize) -> bool {
        index == 1
    }
    fn kernels(&self) -> Option<&dyn Kernels> {
        Some(self)
    }
}

impl<T: Num> Reference<T> for Ramp {
    fn forward(&self, args: &[View<T>], outs: &mut [&mut [T]]) {
        for (i, y) in outs[0].iter_mut().enumerate() {
            *y = T::num(self.factor(&args[1])) * args[0].data[i];
        }
    }
    fn vjp(&self, args: &[View<T>], dy: &[T], dargs: &mut [&mut [T]]) {
        for (dx, &dy) in dargs[0].iter_mut().zip(dy) {
            *dx += T::num(self.factor(&args[1])) * dy;
        }
    }
}

impl Fast for Ramp {
    fn forward(
        &self,
        args: &[View<f32>],
        outs: &mut [&mut [f32]],
        _saved: &mut [f32],
        _scratch: &mut [f32],
    ) {
        let factor = self.factor(&args[1]) as f32;
        simd::dispatch!(|| {
            for (y, x) in outs[0].iter_mut().zip(args[0].data) {
                *y = factor * x;
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
        let factor = self.factor(&args[1]) as f32;
        simd::dispatch!(|| dargs[0].put(0..dy.len(), dy.iter().map(|dy| factor * dy)));
    }
}

impl Ramp {
    /// The kernel, which both passes share, on the tensors of one of them.
    fn launch(&self, x: Shape, chip: &Chip, tensors: &[Param]) -> Vec<Launch> {
        let sizes = [x.len(), self.over].map(|n| Param::U64(n as u64));
        vec![Launch::by_vectors("ramp_apply", x.len(), chip, &[tensors, &sizes].concat())]
    }
}

impl Kernels for Ramp {
    fn ptx(&self) -> Ptx {
        ptx!("ramp")
    }

    fn forward(&self, args: &[Shape], chip: &Chip) -> Vec<Launch> {
        use Param::*;
        self.launch(args[0], chip, &[Arg(0), Arg(1), Out(0), U32(0)])
    }

    fn vjp(&self, args: &[Shape], chip: &Chip) -> Vec<Launch> {
        use Param::*;
        self.launch(args[0], chip, &[Dy, Arg(1), Grad(0)])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_factor_rises_to_one_and_stays() {
        for (step, factor) in [(0.0, 0.25), (1.0, 0.5), (3.0, 1.0), (4.0, 1.0), (400.0, 1.0)] {
            let (x, clock) = ([2.0f64, -4.0], [step, 7.0]);
            let args = [View::new(Shape::new(&[1, 1, 2]), &x), View::new(Shape::new(&[2]), &clock)];
            let mut y = [0.0; 2];
            Reference::forward(&Ramp { over: 4 }, &args, &mut [&mut y]);
            assert_eq!(y, [2.0 * factor, -4.0 * factor]);
        }
    }
}
