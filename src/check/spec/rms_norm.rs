//! `rms_norm` (Zhang & Sennrich 2019, arXiv 1910.07467, equation 4).
//!
//! x̂ = x/√(mean(x²) + eps), y = x̂·(offset + weight); with g = dy·(offset + weight) and
//! s = 1/√(mean(x²) + eps): dx = s·(g − x̂·mean(g·x̂)). With `cast` "before_weight" x̂ is rounded to
//! the dtype before it is multiplied, as Llama does; derivatives pass the rounding by.

use super::case::Case;
use super::operator::{Attr, Axis, Formula, Named, Operator, Problem, Setting, Slot};
use crate::check::call::{Attrs, Call};
use crate::check::tensor::{Dtype, Tensors};
use crate::num::Num;

pub struct RmsNorm;

impl Operator for RmsNorm {
    fn name(&self) -> &'static str {
        "rms_norm"
    }
    fn dtypes(&self) -> &'static [Dtype] {
        &Dtype::REAL
    }
    fn axes(&self) -> &'static [Axis] {
        super::norm::AXES
    }
    fn attrs(&self) -> &'static [Attr] {
        use Setting::{Num, Word};
        &[
            Attr { name: "eps", values: &[Num(1e-6), Num(1e-5), Num(0.0), Num(1e-3), Num(4.0)] },
            Attr { name: "offset", values: &[Num(0.0), Num(1.0), Num(-0.75)] },
            Attr { name: "cast", values: &[Word("before_weight"), Word("after_weight")] },
        ]
    }
    fn slots(&self, case: &Case) -> Vec<Slot> {
        let (rows, cols) = (case.size("rows"), case.size("cols"));
        vec![Slot::data("x", &[rows, cols]).varied(case), Slot::param("weight", &[cols]).optional()]
    }
    fn defined(&self, case: &Case) -> bool {
        case.num("eps") > 0.0 || case.varied("x", case.size("cols"))
    }
    fn reach(&self, case: &Case, tensor: &str) -> Option<i32> {
        super::norm::reach(case, tensor)
    }
    fn batched(&self, _: &Attrs) -> Option<Vec<String>> {
        Some(vec!["x".into(), "dy".into()])
    }
    fn beyond(&self, call: &Call, answer: &Tensors) -> Vec<String> {
        super::cast::other_than_declared(call, answer).into_iter().collect()
    }
}

impl<R: Num> Formula<R> for RmsNorm {
    fn forward(&self, p: &Problem<R>) -> Vec<Named<R>> {
        let x = p.get("x");
        let gain = gain(p);
        let y = x.rows().flat_map(|x| {
            let xhat = multiplied(x, rstd(x, p), p);
            let gained = |j: usize, xhat: R| gain.as_ref().map_or(xhat, |gain| xhat * gain[j]);
            xhat.into_iter().enumerate().map(|(j, xhat)| gained(j, xhat)).collect::<Vec<R>>()
        });
        vec![Named::new("y", &x.shape, y.collect())]
    }

    fn backward(&self, p: &Problem<R>) -> Vec<Named<R>> {
        let (x, dy) = (p.get("x"), p.get("dy"));
        let gain = gain(p);
        let n = R::count(x.cols());
        let mut dx = Vec::with_capacity(x.data.len());
        let mut by_row = Vec::new();
        for (x, dy) in x.rows().zip(dy.rows()) {
            let rstd = rstd(x, p);
            let gained = |j: usize| gain.as_ref().map_or(dy[j], |gain| dy[j] * gain[j]);
            let g: Vec<R> = (0..x.len()).map(gained).collect();
            let xhat: Vec<R> = x.iter().map(|&x| x * rstd).collect();
            let slope = R::dot(&g, &xhat) / n;
            dx.extend((0..x.len()).map(|j| rstd * (g[j] - xhat[j] * slope)));
            by_row.push((dy, multiplied(x, rstd, p)));
        }
        let mut answer = vec![Named::new("dx", &x.shape, dx)];
        if let Some(weight) = p.opt("weight") {
            let term = |i: usize, j: usize| {
                let (dy, xhat) = &by_row[i];
                dy[j] * xhat[j]
            };
            let dweight = super::norm::columns(p, by_row.len(), x.cols(), term);
            answer.push(Named::new("dweight", &weight.shape, dweight));
        }
        answer
    }
}

/// offset + weight, in the accumulator.
fn gain<R: Num>(p: &Problem<R>) -> Option<Vec<R>> {
    let offset = p.num("offset");
    let formed = |w: R| if offset == 0.0 { w } else { R::num(offset) + w };
    p.opt("weight").map(|weight| weight.data.iter().map(|&w| formed(w)).collect())
}

/// 1/√(mean(x²) + eps).
fn rstd<R: Num>(x: &[R], p: &Problem<R>) -> R {
    let mean = R::sum(x.iter().map(|x| x.square())) / R::count(x.len());
    R::one() / (mean + R::num(p.num("eps"))).sqrt()
}

/// x̂ as it is multiplied by the weight.
fn multiplied<R: Num>(x: &[R], rstd: R, p: &Problem<R>) -> Vec<R> {
    let early = p.word("cast") == "before_weight";
    let cast = |xhat: R| if early { xhat.narrow(p.call.dtype) } else { xhat };
    x.iter().map(|&x| cast(x * rstd)).collect()
}
