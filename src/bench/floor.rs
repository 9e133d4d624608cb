//! The matrix products of a program: what no implementation of a step can leave out.

use std::any::Any;
use std::collections::BTreeMap;
use std::time::Duration;

use faer::linalg::matmul::matmul;
use faer::{Accum, MatMut, MatRef, Par};

use super::timing::{Timing, interleaved};
use crate::op::attention::{Attention, Layout};
use crate::op::linear::Linear;
use crate::program::{Id, Program, Source};

/// Which factor of a product of row-major matrices is read transposed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Form {
    /// x·w.
    NN,
    /// x·wᵀ: a weight stored by outputs.
    NT,
    /// xᵀ·w: the gradient of a weight.
    TN,
}

/// One m×k by k×n product.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Product {
    /// Which factor is read transposed.
    pub form: Form,
    /// Rows of the result.
    pub m: usize,
    /// Columns of the result.
    pub n: usize,
    /// Terms of every sum.
    pub k: usize,
}

impl Product {
    /// Additions and multiplications.
    pub fn flops(self) -> f64 {
        2.0 * self.m as f64 * self.n as f64 * self.k as f64
    }
}

/// The products of one step forward and backward and how often each occurs, attention in full (no
/// half saved by causality).
///
/// Of attention two products are counted forward and four backward: what is computed a second time
/// to save memory is no part of the floor.
pub fn products(program: &Program) -> BTreeMap<Product, usize> {
    let mut found = BTreeMap::new();
    let has_gradient = program.differentiable();
    for step in program.steps() {
        let shape = |i: usize| program.shape(step.args[i]);
        let op = &*step.op as &dyn Any;
        if op.is::<Linear>() {
            let (m, k, n) = (shape(0).rows(), shape(0).cols(), shape(1).rows());
            *found.entry(Product { form: Form::NT, m, n, k }).or_default() += 1;
            if has_gradient[step.args[0].index()] {
                *found.entry(Product { form: Form::NN, m, n: k, k: n }).or_default() += 1;
            }
            if is_weight(program, step.args[1]) {
                *found.entry(Product { form: Form::TN, m: n, n: k, k: m }).or_default() += 1;
            }
        } else if let Some(attention) = op.downcast_ref::<Attention>() {
            let (heads, width, t, s) = match attention.layout {
                Layout::TokenMajor => {
                    let (q, k) = (shape(0), shape(1));
                    let heads = q.sizes()[0] * attention.heads;
                    (heads, q.cols() / attention.heads, q.sizes()[1], k.sizes()[1])
                }
                Layout::HeadMajor => {
                    let (q, k) = (shape(0), shape(1));
                    (q.sizes()[0] * q.sizes()[1], q.cols(), q.sizes()[2], k.sizes()[2])
                }
            };
            for (form, m, n, k) in [
                (Form::NT, t, s, width), // scores
                (Form::NN, t, width, s), // y
                (Form::NT, t, s, width), // dp
                (Form::NN, t, width, s), // dq
                (Form::TN, s, width, t), // dk
                (Form::TN, s, width, t), // dv
            ] {
                *found.entry(Product { form, m, n, k }).or_default() += heads;
            }
        }
    }
    found
}

fn is_weight(program: &Program, id: Id) -> bool {
    matches!(program.get(id).source, Source::Weight(_))
}

/// Seconds of one product of each kind through faer on one thread, factors in the cache.
#[derive(Debug, Clone)]
pub struct Rates {
    seconds: BTreeMap<Product, f64>,
}

impl Rates {
    /// Measures every product of a list, in turn.
    pub fn measure(products: &BTreeMap<Product, usize>) -> Self {
        let mut buffers: Vec<_> = (products.keys())
            .map(|p| (*p, vec![0.5f32; p.m * p.k], vec![0.25f32; p.k * p.n], vec![0f32; p.m * p.n]))
            .collect();
        let mut work: Vec<Box<dyn FnMut()>> = (buffers.iter_mut())
            .map(|(p, a, b, c)| Box::new(move || multiply(*p, a, b, c)) as Box<dyn FnMut()>)
            .collect();
        let mut work: Vec<&mut dyn FnMut()> =
            work.iter_mut().map(|work| &mut **work as &mut dyn FnMut()).collect();
        let timing = Timing {
            rounds: 5,
            time: Duration::from_millis(100),
            sample: Duration::from_millis(2),
        };
        let samples = interleaved(timing, &mut work);
        let seconds = products.keys().zip(samples).map(|(p, s)| (*p, s.median())).collect();
        Rates { seconds }
    }

    /// Seconds that the products of a list take one after the other.
    pub fn seconds(&self, products: &BTreeMap<Product, usize>) -> f64 {
        products.iter().map(|(p, &count)| count as f64 * self.seconds[p]).sum()
    }
}

/// c = a·b, one thread.
pub(super) fn multiply(p: Product, a: &[f32], b: &[f32], c: &mut [f32]) {
    let Product { form, m, n, k } = p;
    let (a, b) = match form {
        Form::NN => (MatRef::from_row_major_slice(a, m, k), MatRef::from_row_major_slice(b, k, n)),
        Form::NT => (
            MatRef::from_row_major_slice(a, m, k),
            MatRef::from_row_major_slice(b, n, k).transpose(),
        ),
        Form::TN => (
            MatRef::from_row_major_slice(a, k, m).transpose(),
            MatRef::from_row_major_slice(b, k, n),
        ),
    };
    let c = MatMut::from_row_major_slice_mut(c, m, n);
    matmul(c, Accum::Replace, a, b, 1.0, Par::Seq);
}
