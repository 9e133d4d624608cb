//! `weight_standardize` (Qiao, Wang, Liu, Shen & Yuille 2019, arXiv 1903.10520, equation 5).
//!
//! Each output row of a weight matrix to mean 0 and variance 1, times its gain:
//! y = (w − mean)/√(var + eps)·gain.

use super::case::Case;
use super::norm::standardize;
use super::operator::{Attr, Axis, Fill, Formula, Named, Operator, Problem, Role, Setting, Slot};
use crate::check::tensor::Dtype;
use crate::num::Num;

pub struct WeightStandardize;

impl Operator for WeightStandardize {
    fn name(&self) -> &'static str {
        "weight_standardize"
    }
    fn dtypes(&self) -> &'static [Dtype] {
        &Dtype::REAL
    }
    fn axes(&self) -> &'static [Axis] {
        super::norm::AXES
    }
    fn attrs(&self) -> &'static [Attr] {
        use Setting::Num;
        &[Attr { name: "eps", values: &[Num(1e-5), Num(1e-6), Num(0.0), Num(1e-3), Num(4.0)] }]
    }
    fn slots(&self, case: &Case) -> Vec<Slot> {
        let (rows, cols) = (case.size("rows"), case.size("cols"));
        vec![
            Slot::new("weight", &[rows, cols], Role::Param, Fill::Rows).varied(case),
            Slot::param("gain", &[rows]).optional(),
        ]
    }
    fn defined(&self, case: &Case) -> bool {
        case.num("eps") > 0.0 || case.size("cols") > 1 && case.varied("weight", case.size("cols"))
    }
    fn reach(&self, case: &Case, tensor: &str) -> Option<i32> {
        if tensor == "weight" { super::norm::reach(case, "x") } else { Some(60) }
    }
}

impl<R: Num> Formula<R> for WeightStandardize {
    fn forward(&self, p: &Problem<R>) -> Vec<Named<R>> {
        let weight = p.get("weight");
        let y = weight.rows().enumerate().flat_map(|(i, row)| {
            let xhat = standardize(row, p.num("eps"), false).xhat();
            let gain = p.opt("gain").map(|gain| gain.data[i]);
            xhat.into_iter().map(move |xhat| gain.map_or(xhat, |gain| xhat * gain))
        });
        vec![Named::new("y", &weight.shape, y.collect())]
    }

    fn backward(&self, p: &Problem<R>) -> Vec<Named<R>> {
        let (weight, dy) = (p.get("weight"), p.get("dy"));
        let (mut dweight, mut dgain) = (Vec::with_capacity(weight.data.len()), Vec::new());
        for (i, (row, dy)) in weight.rows().zip(dy.rows()).enumerate() {
            let standard = standardize(row, p.num("eps"), false);
            let gain = p.opt("gain").map(|gain| gain.data[i]);
            let w: Vec<R> = dy.iter().map(|&dy| gain.map_or(dy, |gain| gain * dy)).collect();
            dweight.extend(standard.backward(row, &w));
            dgain.push(R::dot(dy, &standard.folded(row)));
        }
        let mut answer = vec![Named::new("dweight", &weight.shape, dweight)];
        if let Some(gain) = p.opt("gain") {
            answer.push(Named::new("dgain", &gain.shape, dgain));
        }
        answer
    }
}
