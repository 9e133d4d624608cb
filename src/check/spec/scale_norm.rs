//! `scale_norm` (Nguyen & Salazar 2019, arXiv 1910.05895, equation 6).
//!
//! y = weight·x/max(‖x‖, eps). Above eps dx = weight/‖x‖·(dy − x̂·Σ dy·x̂) with x̂ = x/‖x‖; below it
//! the divisor is a constant and dx = weight·dy/eps.

use super::case::Case;
use super::operator::{Attr, Axis, Formula, Named, Operator, Problem, Setting, Slot};
use crate::check::call::Attrs;
use crate::check::tensor::Dtype;
use crate::num::Num;

pub struct ScaleNorm;

impl Operator for ScaleNorm {
    fn name(&self) -> &'static str {
        "scale_norm"
    }
    fn dtypes(&self) -> &'static [Dtype] {
        &Dtype::REAL
    }
    fn axes(&self) -> &'static [Axis] {
        super::norm::AXES
    }
    fn attrs(&self) -> &'static [Attr] {
        use Setting::Num;
        // Small, so that next to no row of another size has a norm that roundings carry across.
        &[Attr { name: "eps", values: &[Num(1e-5), Num(1e-2), Num(0.0), Num(1e-12), Num(1e-3)] }]
    }
    fn slots(&self, case: &Case) -> Vec<Slot> {
        let (rows, cols) = (case.size("rows"), case.size("cols"));
        vec![Slot::data("x", &[rows, cols]).varied(case), Slot::param("weight", &[1])]
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
}

impl<R: Num> Formula<R> for ScaleNorm {
    fn forward(&self, p: &Problem<R>) -> Vec<Named<R>> {
        let (x, weight) = (p.get("x"), p.get("weight").data[0]);
        let eps = R::num(p.num("eps"));
        let y = x.rows().flat_map(|x| {
            let divisor = norm(x).larger(eps);
            x.iter().map(move |&x| weight * x / divisor)
        });
        vec![Named::new("y", &x.shape, y.collect())]
    }

    fn backward(&self, p: &Problem<R>) -> Vec<Named<R>> {
        let (x, dy, weight) = (p.get("x"), p.get("dy"), p.get("weight"));
        let eps = R::num(p.num("eps"));
        let mut dx = Vec::with_capacity(x.data.len());
        let mut terms = Vec::with_capacity(x.data.len());
        for (i, (x, dy)) in x.rows().zip(dy.rows()).enumerate() {
            let norm = norm(x);
            let divisor = norm.larger(eps);
            let xhat: Vec<R> = x.iter().map(|&x| x / divisor).collect();
            let along = if norm > eps { R::dot(dy, &xhat) } else { R::zero() };
            let scale = weight.data[0] / divisor;
            dx.extend((0..x.len()).map(|j| scale * (dy[j] - xhat[j] * along)));
            terms.extend((0..x.len()).map(|j| (dy[j] * xhat[j], p.times("rows", i))));
        }
        vec![
            Named::new("dx", &x.shape, dx),
            Named::new("dweight", &weight.shape, vec![R::sum_of(terms)]),
        ]
    }
}

/// ‖x‖.
fn norm<R: Num>(x: &[R]) -> R {
    R::sum(x.iter().map(|x| x.square())).sqrt()
}
