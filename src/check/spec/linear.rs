//! `linear`: y = x·weightᵀ + bias, weight of shape [out, in].
//!
//! dx = dy·weight, dweight = dyᵀ·x, dbias = Σ dy over the rows.

use super::case::Case;
use super::operator::{Axis, Formula, Named, Operator, Problem, Slot, View};
use crate::check::call::Attrs;
use crate::num::Num;

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
                sizes: &[1, 2, 3, 7, 8, 9, 15, 16, 17, 31, 32, 33, 50, 65, 129, 257, 1025],
            },
            Axis {
                name: "out",
                sizes: &[1, 2, 3, 7, 8, 9, 15, 16, 17, 31, 32, 33, 50, 65, 129, 257, 1025],
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
    fn batched(&self, _: &Attrs) -> Option<Vec<String>> {
        Some(vec!["x".into(), "dy".into()])
    }
}

impl<R: Num> Formula<R> for Linear {
    fn forward(&self, p: &Problem<R>) -> Vec<Named<R>> {
        let (x, weight) = (p.get("x"), p.get("weight"));
        let y = product(x, weight, p.opt("bias"));
        let shape = [&x.shape[..x.shape.len() - 1], &weight.shape[..1]].concat();
        vec![Named::new("y", &shape, y)]
    }

    fn backward(&self, p: &Problem<R>) -> Vec<Named<R>> {
        let (x, weight, dy) = (p.get("x"), p.get("weight"), p.get("dy"));
        let mut answer = vec![
            Named::new("dx", &x.shape, through(dy, weight, |o| p.times("out", o))),
            Named::new("dweight", &weight.shape, across(dy, x, |r| p.times("rows", r))),
        ];
        if let Some(bias) = p.opt("bias") {
            let terms =
                |o: usize| dy.rows().enumerate().map(move |(r, dy)| (dy[o], p.times("rows", r)));
            let column = |o: usize| R::sum_of(terms(o));
            let dbias = (0..bias.data.len()).map(column).collect();
            answer.push(Named::new("dbias", &bias.shape, dbias));
        }
        answer
    }
}

/// x·wᵀ + bias.
pub(super) fn product<R: Num>(x: &View<R>, weight: &View<R>, bias: Option<&View<R>>) -> Vec<R> {
    product_of(x, weight, bias, |_| 1)
}

/// x·wᵀ + bias, where each input is met so many times.
pub(super) fn product_of<R: Num>(
    x: &View<R>,
    weight: &View<R>,
    bias: Option<&View<R>>,
    times: impl Fn(usize) -> usize,
) -> Vec<R> {
    let times: Vec<usize> = (0..x.cols()).map(times).collect();
    let rows = x.rows().flat_map(|x| {
        let times = &times;
        weight.rows().enumerate().map(move |(o, weight)| {
            let terms = (0..x.len()).map(|i| (x[i] * weight[i], times[i]));
            R::sum_of(terms.chain(bias.map(|bias| (bias.data[o], 1))))
        })
    });
    rows.collect()
}

/// dy·w: what reaches the input of a product x·wᵀ, whose outputs are met so many times each.
pub(super) fn through<R: Num>(
    dy: &View<R>,
    weight: &View<R>,
    times: impl Fn(usize) -> usize,
) -> Vec<R> {
    let times: Vec<usize> = (0..dy.cols()).map(times).collect();
    let rows = dy.rows().flat_map(|dy| {
        let times = &times;
        let term = move |i: usize| move |(o, weight): (usize, &[R])| (dy[o] * weight[i], times[o]);
        (0..weight.cols()).map(move |i| R::sum_of(weight.rows().enumerate().map(term(i))))
    });
    rows.collect()
}

/// dyᵀ·x: what reaches the weight of a product x·wᵀ, whose rows are met so many times each.
pub(super) fn across<R: Num>(dy: &View<R>, x: &View<R>, times: impl Fn(usize) -> usize) -> Vec<R> {
    let times: Vec<usize> = (0..dy.rows().count()).map(times).collect();
    let weights = (0..dy.cols()).flat_map(|o| {
        let times = &times;
        (0..x.cols()).map(move |i| {
            let rows = dy.rows().zip(x.rows()).zip(times);
            R::sum_of(rows.map(|((dy, x), &times)| (dy[o] * x[i], times)))
        })
    });
    weights.collect()
}
