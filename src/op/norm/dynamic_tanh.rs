//! Dynamic tanh (Zhu et al. 2025, arXiv 2503.10622, equation 3): no norm, but in the place of one.
//!
//! t = tanh(alpha·x), y = weight ⊙ t + bias with one alpha for all columns, which starts at 0.5.
//! With w = weight ⊙ dy ⊙ (1 − t²):
//! dx = alpha·w, dalpha = Σ w ⊙ x over all elements, dweight = Σ dy ⊙ t, dbias = Σ dy over rows.
//!
//! No element sees another one: there is no statistic and nothing to save.

use super::super::elementary::tanh;
use super::super::simd::{self, dot};
use super::super::{Arg, Fast, Grad, Law, Op, Reference, Shape, View};
use super::Norm;
use crate::num::Num;

/// y = weight ⊙ tanh(alpha·x) + bias.
#[derive(Debug, Clone, Copy)]
pub struct DynamicTanh;

impl Norm for DynamicTanh {
    const ID: &'static str = "dynamic_tanh";
    const ABOUT: &'static str = "weight·tanh(alpha·x) + bias, one alpha (Zhu et al. 2025)";
    fn new(_training: bool) -> Self {
        DynamicTanh
    }
}

impl Op for DynamicTanh {
    fn id(&self) -> &'static str {
        Self::ID
    }
    fn args(&self) -> &'static [Arg] {
        const ARGS: &[Arg] = &[
            Arg::real("x"),
            Arg::weight("alpha").from(0.5),
            Arg::weight("weight").from(1.0),
            Arg::weight("bias").from(0.0),
        ];
        ARGS
    }
    fn outputs(&self, args: &[Shape]) -> Vec<Shape> {
        let cols = args[0].cols();
        assert_eq!(args[1].len(), 1, "one alpha for all columns");
        assert!(args[2].len() == cols && args[3].len() == cols, "{args:?}");
        vec![args[0]]
    }
    fn example(&self, rows: usize, cols: usize) -> Vec<Shape> {
        super::example(&[1, cols, cols], rows, cols)
    }
    fn laws(&self) -> &'static [Law] {
        &[Law::Odd, Law::PermutationEquivariant, Law::RowIndependent]
    }
    fn vjp_reads(&self, index: usize) -> bool {
        index < 3
    }
}

impl<T: Num> Reference<T> for DynamicTanh {
    fn forward(&self, args: &[View<T>], outs: &mut [&mut [T]]) {
        let (x, alpha) = (args[0], args[1].data[0]);
        let cols = x.shape.cols();
        for (i, y) in outs[0].iter_mut().enumerate() {
            let (weight, bias) = (args[2].data[i % cols], args[3].data[i % cols]);
            *y = weight * (alpha * x.data[i]).tanh() + bias;
        }
    }

    fn vjp(&self, args: &[View<T>], dy: &[T], dargs: &mut [&mut [T]]) {
        let (x, alpha, weight) = (args[0], args[1].data[0], args[2]);
        let cols = x.shape.cols();
        for (i, &dy) in dy.iter().enumerate() {
            let j = i % cols;
            let t = (alpha * x.data[i]).tanh();
            let w = weight.data[j] * dy * (T::one() - t * t);
            if let Some(dx) = dargs[0].get_mut(i) {
                *dx += alpha * w;
            }
            if let Some(dalpha) = dargs[1].first_mut() {
                *dalpha += w * x.data[i];
            }
            if let Some(dweight) = dargs[2].get_mut(j) {
                *dweight += dy * t;
            }
            if let Some(dbias) = dargs[3].get_mut(j) {
                *dbias += dy;
            }
        }
    }
}

impl Fast for DynamicTanh {
    fn forward(
        &self,
        args: &[View<f32>],
        outs: &mut [&mut [f32]],
        _saved: &mut [f32],
        _scratch: &mut [f32],
    ) {
        let [x, alpha, weight, bias] = [args[0], args[1], args[2], args[3]];
        let (cols, alpha) = (x.shape.cols(), alpha.data[0]);
        let y = &mut *outs[0];
        simd::dispatch!(|| {
            for (x, y) in x.data.chunks_exact(cols).zip(y.chunks_exact_mut(cols)) {
                for (y, x) in y.iter_mut().zip(x) {
                    *y = tanh(alpha * x);
                }
                simd::scale_shift(y, weight.data, bias.data);
            }
        });
    }

    fn vjp(
        &self,
        args: &[View<f32>],
        dy: &[f32],
        _saved: &[f32],
        dargs: &mut [Grad],
        scratch: &mut [f32],
    ) {
        let [x, alpha, weight] = [args[0], args[1], args[2]];
        let (cols, alpha) = (x.shape.cols(), alpha.data[0]);
        let [dx, dalpha, dweight, dbias] = dargs else { unreachable!("four arguments") };
        let (dx, dalpha) = (dx.to_add(), dalpha.to_add());
        let (dweight, dbias) = (dweight.to_add(), dbias.to_add());
        let (t, w) = scratch.split_at_mut(cols);
        simd::dispatch!(|| {
            for (i, dy) in dy.chunks_exact(cols).enumerate() {
                let x = x.row(i);
                for (t, x) in t.iter_mut().zip(x) {
                    *t = tanh(alpha * x);
                }
                for (((w, weight), dy), t) in w.iter_mut().zip(weight.data).zip(dy).zip(&*t) {
                    *w = weight * dy * (1.0 - t * t);
                }
                if let Some(dalpha) = dalpha.first_mut() {
                    *dalpha += dot(w, x);
                }
                simd::add_product(dweight, dy, t);
                simd::add(dbias, dy);
                let dx = dx.get_mut(i * cols..(i + 1) * cols).unwrap_or_default();
                simd::add_scaled(dx, alpha, w);
            }
        });
    }

    fn scratch(&self, args: &[Shape]) -> usize {
        2 * args[0].cols()
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::trial::Trial;
    use super::*;

    /// tanh(½ ln 3) = ½, with slope ¾.
    #[test]
    fn golden_numbers() {
        let mut trial = Trial::new(&DynamicTanh, &DynamicTanh.example(1, 1));
        let x = f64::from(3f32.ln());
        trial.args = vec![vec![x], vec![0.5], vec![4.0], vec![-1.0]];
        trial.dy = vec![1.0];
        for results in [trial.reference(), trial.fast()] {
            let got = results.dargs.iter().flatten().chain(&results.y);
            for (got, want) in got.zip([1.5, 3.0 * x, 0.5, 1.0, 1.0]) {
                assert!((got - want).abs() < 1e-6, "{got} is not {want}");
            }
        }
    }
}
