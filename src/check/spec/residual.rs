//! `residual`: a linear branch beside the stream, with one `layer_norm` where the wiring has it.
//!
//! pre_ln x + f(n(x)) (Xiong et al. 2020, arXiv 2002.04745); post_ln n(x + f(x)) (Vaswani et al.
//! 2017); deepnorm n(alpha·x + f(x)) (Wang et al. 2022, arXiv 2203.00555); sandwich_ln
//! x + n(f(n(x))) (Ding et al. 2021, arXiv 2105.13290); f(x) = x·branchᵀ.

use super::case::Case;
use super::layers::{Gradients, Linear, Norm, Param, Rows, Sublayer, Wiring, rows};
use super::operator::{Attr, Axis, Fill, Formula, Named, Operator, Problem, Role, Setting, Slot};
use crate::check::call::Attrs;
use crate::num::Num;

pub struct Residual;

impl Operator for Residual {
    fn name(&self) -> &'static str {
        "residual"
    }
    fn axes(&self) -> &'static [Axis] {
        &[
            Axis { name: "rows", sizes: &[1, 2, 3, 7, 17] },
            Axis { name: "width", sizes: &[1, 2, 3, 4, 7, 8, 16, 31, 33, 64] },
        ]
    }
    fn attrs(&self) -> &'static [Attr] {
        use Setting::{Num, Word};
        const WIRINGS: &[Setting] =
            &[Word("pre_ln"), Word("post_ln"), Word("deepnorm"), Word("sandwich_ln")];
        &[
            Attr { name: "wiring", values: WIRINGS },
            Attr { name: "alpha", values: &[Num(1.0), Num(2.25), Num(0.0), Num(-0.5)] },
            Attr { name: "eps", values: &[Num(1e-5), Num(1e-3), Num(0.1)] },
        ]
    }
    fn slots(&self, case: &Case) -> Vec<Slot> {
        let (rows, width) = (case.size("rows"), case.size("width"));
        let matrix = Fill::Normal((width as f64).powf(-0.5));
        vec![
            Slot::data("x", &[rows, width]),
            Slot::new("branch", &[width, width], Role::Param, matrix),
            Slot::param("norm_weight", &[width]),
            Slot::param("norm_bias", &[width]),
        ]
    }
    fn reach(&self, _: &Case, tensor: &str) -> Option<i32> {
        // What is normed is a sum of products.
        if matches!(tensor, "x" | "branch") { Some(30) } else { Some(60) }
    }
    fn batched(&self, _: &Attrs) -> Option<Vec<String>> {
        Some(vec!["x".into(), "dy".into()])
    }
}

fn sublayer<'a, R: Num>(p: &'a Problem<R>) -> Sublayer<'a, R, Linear<'a, R>> {
    Sublayer {
        wiring: Wiring::of(p),
        norm: Norm::layer(p, "norm_weight", "norm_bias"),
        branch: Linear::of(Param::get(p, "branch")),
    }
}

impl<R: Num> Formula<R> for Residual {
    fn forward(&self, p: &Problem<R>) -> Vec<Named<R>> {
        let x = p.get("x");
        let (y, _) = sublayer(p).forward(&rows(x));
        vec![Named::new("y", &x.shape, y.concat())]
    }
    fn backward(&self, p: &Problem<R>) -> Vec<Named<R>> {
        let (x, dy) = (p.get("x"), rows(p.get("dy")));
        let (_, kept) = sublayer(p).forward(&rows(x));
        let mut grads = Gradients::new();
        let dx: Rows<R> = sublayer(p).backward(&kept, &dy, &mut grads);
        let dx = Named::new("dx", &x.shape, dx.concat());
        std::iter::once(dx).chain(grads.outputs()).collect()
    }
}
