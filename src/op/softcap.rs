//! A soft cap of logits (Gemma 2, Riviere et al. 2024, arXiv 2408.00118, section 2).
//!
//! t = tanh(x/cap), y = cap·t, below cap in magnitude; dx = dy ⊙ (1 − t²). In attention the cap stands
//! between products and bias, inside of [`super::attention::Attention`].

use super::device::{Chip, Kernels, Launch, Param, Ptx, ptx};
use super::elementary::tanh;
use super::simd;
use super::{Arg, Fast, Grad, Op, Property, Reference, Shape, View};
use crate::num::Num;

/// y = cap·tanh(x/cap).
#[derive(Debug, Clone, Copy)]
pub struct Softcap {
    /// What y stays below, above 0, in the units of x.
    pub cap: f64,
}

impl Op for Softcap {
    fn id(&self) -> &'static str {
        "softcap"
    }
    fn args(&self) -> &'static [Arg] {
        const ARGS: &[Arg] = &[Arg::real("x")];
        ARGS
    }
    crate::constants! { dyn Op; cap: NotNegative }
    fn outputs(&self, args: &[Shape]) -> Vec<Shape> {
        assert!(self.cap > 0.0, "a cap of {}", self.cap);
        vec![args[0]]
    }
    fn example(&self, rows: usize, cols: usize) -> Vec<Shape> {
        vec![Shape::new(&[rows, cols])]
    }
    fn properties(&self) -> &'static [Property] {
        use Property::*;
        &[Odd, PermutationEquivariant, RowIndependent]
    }
    fn kernels(&self) -> Option<&dyn Kernels> {
        Some(self)
    }
}

impl<T: Num> Reference<T> for Softcap {
    fn forward(&self, args: &[View<T>], outs: &mut [&mut [T]]) {
        let cap = T::num(self.cap);
        for (y, &x) in outs[0].iter_mut().zip(args[0].data) {
            *y = cap * (x / cap).tanh();
        }
    }
    fn vjp(&self, args: &[View<T>], dy: &[T], dargs: &mut [&mut [T]]) {
        for ((dx, &x), &dy) in dargs[0].iter_mut().zip(args[0].data).zip(dy) {
            let t = (x / T::num(self.cap)).tanh();
            *dx += dy * (T::one() - t * t);
        }
    }
}

impl Fast for Softcap {
    fn forward(
        &self,
        args: &[View<f32>],
        outs: &mut [&mut [f32]],
        _saved: &mut [f32],
        _scratch: &mut [f32],
    ) {
        let (cap, per_cap) = (self.cap as f32, (1.0 / self.cap) as f32);
        simd::dispatch!(|| {
            for (y, x) in outs[0].iter_mut().zip(args[0].data) {
                *y = cap * tanh(x * per_cap);
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
        let per_cap = (1.0 / self.cap) as f32;
        let slope = |x: f32| {
            let t = tanh(x * per_cap);
            t.mul_add(-t, 1.0)
        };
        simd::dispatch!(|| {
            let elements = args[0].data.iter().zip(dy);
            dargs[0].put(0..dy.len(), elements.map(|(x, dy)| dy * slope(*x)));
        });
    }
}

impl Kernels for Softcap {
    fn ptx(&self) -> Ptx {
        ptx!("softcap")
    }

    fn forward(&self, args: &[Shape], chip: &Chip) -> Vec<Launch> {
        use Param::*;
        let len = args[0].len();
        let params = [Arg(0), Out(0), U64(len as u64), F32(self.cap as f32)];
        vec![Launch::by_vectors("softcap_forward", len, chip, &params)]
    }

    fn vjp(&self, args: &[Shape], chip: &Chip) -> Vec<Launch> {
        use Param::*;
        let len = args[0].len();
        let params = [Arg(0), Dy, Grad(0), U64(len as u64), F32(self.cap as f32)];
        vec![Launch::by_vectors("softcap_dx", len, chip, &params)]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::bodies::{Case, Path, Rows};

    /// 30·tanh(½ ln 3) = 15 at x = 15·ln 3, with slope ¾.
    #[test]
    fn golden_numbers() {
        let op = Softcap { cap: 30.0 };
        let mut case = Case::of(&op, &op.example(1, 1), Rows::Normal, 1);
        case.values = vec![vec![f64::from((15.0 * 3f64.ln()) as f32)]];
        case.dy = vec![1.0];
        for results in Path::ALL.map(|path| path.run(&op, &case)) {
            assert!((results.outs[0][0] - 15.0).abs() < 1e-5, "{}", results.outs[0][0]);
            assert!((results.grads[0][0] - 0.75).abs() < 1e-6, "{}", results.grads[0][0]);
        }
    }
}
