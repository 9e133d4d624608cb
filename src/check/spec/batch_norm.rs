//! `batch_norm` (Ioffe & Szegedy 2015, arXiv 1502.03167, algorithms 1 and 2).
//!
//! Every column to mean 0 and variance 1 over the rows: in training by its own statistics, which
//! also move the running ones, new = (1 − momentum)·old + momentum·batch with the unbiased variance;
//! in evaluation by the running ones, which are constants there and stay as they are.

use super::case::Case;
use super::norm::{Standard, columns, standardize, transposed};
use super::operator::{Attr, Axis, Fill, Formula, Named, Operator, Problem, Role, Setting, Slot};
use crate::check::call::{Attrs, Call};
use crate::check::tensor::Dtype;
use crate::num::Num;

pub struct BatchNorm;

impl Operator for BatchNorm {
    fn name(&self) -> &'static str {
        "batch_norm"
    }
    fn dtypes(&self) -> &'static [Dtype] {
        &Dtype::REAL
    }
    fn axes(&self) -> &'static [Axis] {
        super::norm::BATCH_AXES
    }
    fn attrs(&self) -> &'static [Attr] {
        use Setting::{Bool, Num};
        &[
            Attr { name: "eps", values: &[Num(1e-5), Num(1e-6), Num(0.0), Num(1e-3), Num(4.0)] },
            Attr { name: "momentum", values: &[Num(0.1), Num(0.0), Num(0.01), Num(1.0)] },
            Attr { name: "training", values: &[Bool(true), Bool(false)] },
        ]
    }
    fn variants(&self) -> &'static [(&'static str, [&'static str; 2])] {
        &[("batch_norm.running_var", ["unbiased", "biased"])]
    }
    fn slots(&self, case: &Case) -> Vec<Slot> {
        let (rows, cols) = (case.size("rows"), case.size("cols"));
        vec![
            Slot::new("x", &[rows, cols], Role::Data, Fill::Columns).varied(case),
            Slot::param("weight", &[cols]),
            Slot::param("bias", &[cols]),
            Slot::new("running_mean", &[cols], Role::State, Fill::Normal(1.0)),
            Slot::new("running_var", &[cols], Role::State, Fill::Positive),
        ]
    }
    /// One value per channel has no variance.
    fn must_refuse(&self, call: &Call) -> bool {
        call.attrs["training"] == true && call.tensors["x"].shape[0] == 1
    }
    fn defined(&self, case: &Case) -> bool {
        // Elements that are stated belong to columns: no eps of 0 with them.
        case.num("eps") > 0.0 || !case.given.contains_key("x")
    }
    fn reach(&self, case: &Case, tensor: &str) -> Option<i32> {
        super::norm::reach(case, tensor)
    }
    fn batched(&self, attrs: &Attrs) -> Option<Vec<String>> {
        (attrs["training"] == false).then(|| vec!["x".into(), "dy".into()])
    }
}

impl<R: Num> Formula<R> for BatchNorm {
    fn forward(&self, p: &Problem<R>) -> Vec<Named<R>> {
        let x = p.get("x");
        let (weight, bias) = (&p.get("weight").data, &p.get("bias").data);
        let (means, vars) = (p.get("running_mean"), p.get("running_var"));
        let (mut mean, mut var) = (means.data.clone(), vars.data.clone());
        let rows = R::count(x.data.len() / x.cols());
        let momentum = R::num(p.num("momentum")).loosened(p.num("momentum"));
        let keep = R::num(1.0 - p.num("momentum")).loosened(1.0);
        let mut by_column = Vec::new();
        for (j, x) in transposed(&x.data, x.cols()).iter().enumerate() {
            let column = statistics(x, j, p);
            by_column.push(folded(x, &column, weight[j], bias[j]));
            if p.flag("training") {
                let unbiased =
                    R::sum(column.centred.iter().map(|&c| c.square())) / (rows - R::one());
                let own = if p.declares("batch_norm.running_var", "biased") {
                    column.var
                } else {
                    unbiased
                };
                mean[j] = keep * mean[j] + momentum * R::mean(x);
                var[j] = keep * var[j] + momentum * own;
            }
        }
        vec![
            Named::new(
                "y",
                &x.shape,
                transposed(&by_column.concat(), x.data.len() / x.cols()).concat(),
            ),
            Named::new("running_mean", &means.shape, mean),
            Named::new("running_var", &vars.shape, var),
        ]
    }

    fn backward(&self, p: &Problem<R>) -> Vec<Named<R>> {
        let (x, dy, weight) = (p.get("x"), p.get("dy"), p.get("weight"));
        let rows = x.data.len() / x.cols();
        let dys = transposed(&dy.data, x.cols());
        let (mut by_column, mut dweight) = (Vec::new(), Vec::new());
        for (j, x) in transposed(&x.data, x.cols()).iter().enumerate() {
            let column = statistics(x, j, p);
            let w: Vec<R> = dys[j].iter().map(|&dy| weight.data[j] * dy).collect();
            by_column.push(if p.flag("training") {
                column.backward(x, &w)
            } else {
                w.iter().map(|&w| w * column.rstd).collect()
            });
            dweight.push(R::dot(&dys[j], &column.folded(x)));
        }
        let dbias = columns(p, rows, x.cols(), |i, j| dy.data[i * x.cols() + j]);
        vec![
            Named::new("dx", &x.shape, transposed(&by_column.concat(), rows).concat()),
            Named::new("dweight", &weight.shape, dweight),
            Named::new("dbias", &p.get("bias").shape, dbias),
        ]
    }
}

/// A column by its own statistics, or by the running ones in evaluation.
fn statistics<R: Num>(x: &[R], j: usize, p: &Problem<R>) -> Standard<R> {
    if p.flag("training") {
        return standardize(x, p.num("eps"), false);
    }
    let (mean, var) = (p.get("running_mean").data[j], p.get("running_var").data[j]);
    let rstd = R::one() / (var + R::num(p.num("eps"))).sqrt();
    Standard { centred: x.iter().map(|&x| x - mean).collect(), var, rstd }
}

/// (x − mean)·rstd·weight + bias, or x·a + (bias − mean·a) with a = rstd·weight.
fn folded<R: Num>(x: &[R], column: &Standard<R>, weight: R, bias: R) -> Vec<R> {
    column.folded(x).into_iter().map(|xhat| xhat * weight + bias).collect()
}
