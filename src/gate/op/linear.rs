//! `linear`: y = x·weightᵀ + bias, weight of shape [out, in].
//!
//! dx = dy·weight, dweight = dyᵀ·x, dbias = Σ dy over the rows.

use crate::gate::call::Call;
use crate::gate::case::Case;
use crate::gate::number::Real;
use crate::gate::operator::{Axis, Formula, Named, Operator, Problem, Slot, View};

pub struct Linear;

impl Operator for Linear {
    fn name(&self) -> &'static str {
        "linear"
    }
    fn axes(&self) -> &'static [Axis] {
        &[
            Axis { name: "batch", sizes: &[1, 2, 3] },
            Axis { name: "rows", sizes: &[1, 2, 3, 5, 7, 8, 9, 16, 17, 33, 64, 65, 257] },
            Axis {
                name: "in",
                sizes: &[1, 2, 3, 7, 8, 9, 15, 16, 17, 31, 32, 33, 50, 65, 129, 257],
            },
            Axis {
                name: "out",
                sizes: &[1, 2, 3, 7, 8, 9, 15, 16, 17, 31, 32, 33, 50, 65, 129, 257],
            },
        ]
    }
    fn slots(&self, case: &Case) -> Vec<Slot> {
        let (inputs, outputs) = (case.size("in"), case.size("out"));
        let shape = super::softmax::leading(case, &[case.size("rows"), inputs]);
        vec![
            Slot::data("x", &shape),
            Slot::param("weight", &[outputs, inputs]),
            Slot::param("bias", &[outputs]).optional(),
        ]
    }
    fn work(&self, case: &Case) -> usize {
        2 * ["batch", "rows", "in", "out"].map(|axis| case.size(axis)).iter().product::<usize>()
    }
    fn upstream(&self, case: &Case) -> (&'static str, Vec<usize>) {
        ("dy", super::softmax::leading(case, &[case.size("rows"), case.size("out")]))
    }
    fn batched(&self, _: &Call) -> Option<Vec<String>> {
        Some(vec!["x".into(), "dy".into()])
    }
}

impl<R: Real> Formula<R> for Linear {
    fn forward(&self, p: &Problem<R>) -> Vec<Named<R>> {
        let (x, weight) = (p.get("x"), p.get("weight"));
        let y = product(x, weight, p.opt("bias"));
        let shape = [&x.shape[..x.shape.len() - 1], &weight.shape[..1]].concat();
        vec![Named::new("y", &shape, y)]
    }

    fn backward(&self, p: &Problem<R>) -> Vec<Named<R>> {
        let (x, weight, dy) = (p.get("x"), p.get("weight"), p.get("dy"));
        let mut answer = vec![
            Named::new("dx", &x.shape, through(dy, weight)),
            Named::new("dweight", &weight.shape, across(dy, x)),
        ];
        if let Some(bias) = p.opt("bias") {
            let column = |o: usize| R::sum(dy.rows().map(|dy| dy[o]));
            let dbias = (0..bias.data.len()).map(column).collect();
            answer.push(Named::new("dbias", &bias.shape, dbias));
        }
        answer
    }
}

/// x·wᵀ + bias.
pub(super) fn product<R: Real>(x: &View<R>, weight: &View<R>, bias: Option<&View<R>>) -> Vec<R> {
    let rows = x.rows().flat_map(|x| {
        weight.rows().enumerate().map(move |(o, weight)| {
            let terms = x.iter().zip(weight).map(|(&x, &weight)| x * weight);
            R::sum(terms.chain(bias.map(|bias| bias.data[o])))
        })
    });
    rows.collect()
}

/// dy·w: what reaches the input of a product x·wᵀ.
pub(super) fn through<R: Real>(dy: &View<R>, weight: &View<R>) -> Vec<R> {
    let rows = dy.rows().flat_map(|dy| {
        (0..weight.cols())
            .map(move |i| R::sum(dy.iter().zip(weight.rows()).map(|(&dy, weight)| dy * weight[i])))
    });
    rows.collect()
}

/// dyᵀ·x: what reaches the weight of a product x·wᵀ.
pub(super) fn across<R: Real>(dy: &View<R>, x: &View<R>) -> Vec<R> {
    let weights = (0..dy.cols()).flat_map(|o| {
        (0..x.cols()).map(move |i| R::sum(dy.rows().zip(x.rows()).map(|(dy, x)| dy[o] * x[i])))
    });
    weights.collect()
}
