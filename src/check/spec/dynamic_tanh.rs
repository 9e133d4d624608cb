//! `dynamic_tanh` (Zhu, Chen, He, LeCun & Liu 2025, arXiv 2503.10622, equation 1).
//!
//! y = weight·t + bias with t = tanh(alpha·x); with g = dy·weight·(1 − t²): dx = g·alpha and
//! dalpha = Σ g·x.

use super::case::Case;
use super::operator::{Axis, Formula, Named, Operator, Problem, Slot};
use crate::check::call::Attrs;
use crate::check::tensor::Dtype;
use crate::num::Num;

pub struct DynamicTanh;

impl Operator for DynamicTanh {
    fn name(&self) -> &'static str {
        "dynamic_tanh"
    }
    fn dtypes(&self) -> &'static [Dtype] {
        &Dtype::REAL
    }
    fn axes(&self) -> &'static [Axis] {
        super::norm::AXES
    }
    fn slots(&self, case: &Case) -> Vec<Slot> {
        let (rows, cols) = (case.size("rows"), case.size("cols"));
        vec![
            Slot::data("x", &[rows, cols]),
            Slot::param("alpha", &[1]),
            Slot::param("weight", &[cols]),
            Slot::param("bias", &[cols]),
        ]
    }
    fn batched(&self, _: &Attrs) -> Option<Vec<String>> {
        Some(vec!["x".into(), "dy".into()])
    }
}

/// tanh(alpha·x), which a library has to two units in the last place.
fn squashed<R: Num>(p: &Problem<R>) -> Vec<R> {
    let alpha = p.get("alpha").data[0];
    let tanh = |&x: &R| {
        let t = (alpha * x).tanh();
        t.loosened(t.value().abs())
    };
    p.get("x").data.iter().map(tanh).collect()
}

impl<R: Num> Formula<R> for DynamicTanh {
    fn forward(&self, p: &Problem<R>) -> Vec<Named<R>> {
        let x = p.get("x");
        let (weight, bias) = (&p.get("weight").data, &p.get("bias").data);
        let cols = x.cols();
        let affine = |(i, t): (usize, R)| weight[i % cols] * t + bias[i % cols];
        vec![Named::new("y", &x.shape, squashed(p).into_iter().enumerate().map(affine).collect())]
    }

    fn backward(&self, p: &Problem<R>) -> Vec<Named<R>> {
        let (x, dy, alpha) = (p.get("x"), p.get("dy"), p.get("alpha"));
        let (weight, bias) = (p.get("weight"), p.get("bias"));
        let (cols, rows) = (x.cols(), x.data.len() / x.cols());
        let t = squashed(p);
        let slope = |i: usize| dy.data[i] * weight.data[i % cols] * (R::one() - t[i].square());
        let g: Vec<R> = (0..t.len()).map(slope).collect();
        let along = (0..g.len()).map(|i| (g[i] * x.data[i], p.times("rows", i / cols)));
        let dx = g.iter().map(|&g| g * alpha.data[0]).collect();
        let dweight =
            super::norm::columns(p, rows, cols, |i, j| dy.data[i * cols + j] * t[i * cols + j]);
        let dbias = super::norm::columns(p, rows, cols, |i, j| dy.data[i * cols + j]);
        vec![
            Named::new("dx", &x.shape, dx),
            Named::new("dalpha", &alpha.shape, vec![R::sum_of(along)]),
            Named::new("dweight", &weight.shape, dweight),
            Named::new("dbias", &bias.shape, dbias),
        ]
    }
}
