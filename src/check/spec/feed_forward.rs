//! `feed_forward`: down·f(up·x), or with a gate down·(f(gate·x) ⊙ (up·x)) (Shazeer 2020, arXiv
//! 2002.05202).
//!
//! With a = f(gate·x) ⊙ (up·x) and da = downᵀ·dy, the gate sees da ⊙ (up·x) ⊙ f′(gate·x) and up
//! sees da ⊙ f(gate·x); without a gate up sees da ⊙ f′(up·x).

use super::activation::{FUNCTIONS, slope, value};
use super::case::Case;
use super::linear::{across, product, product_of, through};
use super::operator::{Attr, Axis, Formula, Named, Operator, Problem, Slot, View};
use crate::check::call::Attrs;
use crate::num::Num;

pub struct FeedForward;

impl Operator for FeedForward {
    fn name(&self) -> &'static str {
        "feed_forward"
    }
    fn axes(&self) -> &'static [Axis] {
        &[
            Axis { name: "batch", sizes: &[1, 2, 3] },
            Axis { name: "rows", sizes: &[1, 2, 3, 5, 7, 8, 9, 17, 33, 65] },
            Axis { name: "width", sizes: &[1, 2, 3, 7, 8, 9, 16, 17, 31, 32, 33, 65] },
            Axis { name: "hidden", sizes: &[1, 2, 3, 7, 8, 9, 16, 17, 31, 32, 33, 65, 129, 520] },
        ]
    }
    fn attrs(&self) -> &'static [Attr] {
        &[FUNCTIONS]
    }
    fn slots(&self, case: &Case) -> Vec<Slot> {
        let (width, hidden) = (case.size("width"), case.size("hidden"));
        vec![
            Slot::data("x", &super::softmax::leading(case, &[case.size("rows"), width])),
            Slot::param("up", &[hidden, width]),
            Slot::param("down", &[width, hidden]),
            Slot::param("gate", &[hidden, width]).optional(),
        ]
    }
    fn work(&self, case: &Case) -> usize {
        let axes = ["batch", "rows", "width", "hidden"];
        6 * axes.map(|axis| case.size(axis)).iter().product::<usize>()
    }
    fn reach(&self, _: &Case, tensor: &str) -> Option<i32> {
        // A derivative may form the square, or the cube, of a product.
        if tensor == "dy" { Some(60) } else { Some(30) }
    }
    fn batched(&self, _: &Attrs) -> Option<Vec<String>> {
        Some(vec!["x".into(), "dy".into()])
    }
}

/// What lies between the products, of shape [rows, hidden].
struct Hidden<R> {
    up: View<R>,
    gate: Option<View<R>>,
    active: View<R>,
}

fn hidden<R: Num>(p: &Problem<R>) -> Hidden<R> {
    let x = p.get("x");
    let view = |data: Vec<R>| View { shape: vec![x.rows().count(), p.get("up").shape[0]], data };
    let up = view(product(x, p.get("up"), None));
    let gate = p.opt("gate").map(|gate| view(product(x, gate, None)));
    let f = |&x: &R| value(p.word("fn"), x);
    let active = match &gate {
        Some(gate) => gate.data.iter().zip(&up.data).map(|(g, &u)| f(g) * u).collect(),
        None => up.data.iter().map(f).collect(),
    };
    Hidden { active: view(active), up, gate }
}

impl<R: Num> Formula<R> for FeedForward {
    fn forward(&self, p: &Problem<R>) -> Vec<Named<R>> {
        let times = |h: usize| p.times("hidden", h);
        let y = product_of(&hidden(p).active, p.get("down"), None, times);
        vec![Named::new("y", &p.get("x").shape, y)]
    }

    fn backward(&self, p: &Problem<R>) -> Vec<Named<R>> {
        let (x, dy, function) = (p.get("x"), p.get("dy"), p.word("fn"));
        let Hidden { up, gate, active } = hidden(p);
        let da = through(dy, p.get("down"), |_| 1);
        let view = |data: Vec<R>| View { shape: up.shape.clone(), data };
        let each = |of: &dyn Fn(usize) -> R| view((0..da.len()).map(of).collect());
        let dup = match &gate {
            Some(gate) => each(&|i| da[i] * value(function, gate.data[i])),
            None => each(&|i| da[i] * slope(function, up.data[i])),
        };
        let dgate =
            gate.as_ref().map(|gate| each(&|i| da[i] * up.data[i] * slope(function, gate.data[i])));
        // x is reached through both products; one sum, in any order.
        let dx = dy.rows().enumerate().flat_map(|(r, _)| {
            let (dup, dgate) = (&dup, &dgate);
            (0..x.cols()).map(move |i| {
                let reach = |d: &View<R>, weight: &View<R>| -> Vec<(R, usize)> {
                    let cols = d.cols();
                    (0..cols)
                        .map(|h| {
                            let term = d.data[r * cols + h] * weight.data[h * weight.cols() + i];
                            (term, p.times("hidden", h))
                        })
                        .collect()
                };
                let mut terms = reach(dup, p.get("up"));
                if let Some(dgate) = dgate {
                    terms.extend(reach(dgate, p.get("gate")));
                }
                R::sum_of(terms)
            })
        });
        let rows = |r: usize| p.times("rows", r);
        let mut answer = vec![
            Named::new("dx", &x.shape, dx.collect()),
            Named::new("dup", &p.get("up").shape, across(&dup, x, rows)),
            Named::new("ddown", &p.get("down").shape, across(dy, &active, rows)),
        ];
        if let Some(dgate) = &dgate {
            answer.push(Named::new("dgate", &p.get("gate").shape, across(dgate, x, rows)));
        }
        answer
    }
}
