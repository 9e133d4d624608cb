//! `layer_norm` (Ba, Kiros & Hinton 2016, arXiv 1607.06450, equation 3).
//!
//! y = (x − mean)/√(var + eps)·weight + bias over the last `normalized_dims` axes; with
//! w = weight·dy and s = 1/√(var + eps): dx = s·(w − mean(w) − x̂·mean(w·x̂)).

use crate::gate::call::Attrs;
use crate::gate::case::Case;
use crate::gate::number::Real;
use crate::gate::operator::{Attr, Axis, Formula, Named, Operator, Problem, Setting, Slot};
use crate::gate::tensor::Dtype;

pub struct LayerNorm;

impl Operator for LayerNorm {
    fn name(&self) -> &'static str {
        "layer_norm"
    }
    fn dtypes(&self) -> &'static [Dtype] {
        &Dtype::REAL
    }
    fn axes(&self) -> &'static [Axis] {
        super::norm::AXES
    }
    fn attrs(&self) -> &'static [Attr] {
        use Setting::{Int, Num};
        &[
            Attr { name: "eps", values: &[Num(1e-5), Num(1e-12), Num(1e-3), Num(0.1)] },
            Attr { name: "normalized_dims", values: &[Int(1), Int(2)] },
        ]
    }
    fn variants(&self) -> &'static [(&'static str, [&'static str; 2])] {
        &[("eps", ["inside", "outside"])]
    }
    fn slots(&self, case: &Case) -> Vec<Slot> {
        let (shape, own) = shapes(case);
        vec![
            Slot::data("x", &shape),
            Slot::param("weight", &own).optional(),
            Slot::param("bias", &own).optional(),
        ]
    }
    fn attributes(&self, case: &Case) -> Attrs {
        case.attrs.clone()
    }
    fn batched(&self, _: &crate::gate::call::Call) -> Option<Vec<String>> {
        Some(vec!["x".into(), "dy".into()])
    }
}

/// The shape of x and of what is normalised: with two axes, the columns are cut in two.
fn shapes(case: &Case) -> (Vec<usize>, Vec<usize>) {
    let (rows, cols) = (case.size("rows"), case.size("cols"));
    let outer = (2..=cols).find(|factor| cols % factor == 0).unwrap_or(1);
    let own = match case.num("normalized_dims") as usize {
        1 => vec![cols],
        _ => vec![outer, cols / outer],
    };
    ([&[rows], own.as_slice()].concat(), own)
}

impl<R: Real> Formula<R> for LayerNorm {
    fn forward(&self, p: &Problem<R>) -> Vec<Named<R>> {
        let x = p.get("x");
        let cols = width(p);
        let y = x.data.chunks_exact(cols).flat_map(|row| {
            let (centred, rstd) = normalized(row, p);
            (0..cols).map(move |j| {
                let mut y = centred[j] * rstd;
                if let Some(weight) = p.opt("weight") {
                    y = y * weight.data[j];
                }
                if let Some(bias) = p.opt("bias") {
                    y += bias.data[j];
                }
                y
            })
        });
        vec![Named::new("y", &x.shape, y.collect())]
    }

    fn backward(&self, p: &Problem<R>) -> Vec<Named<R>> {
        let (x, dy) = (p.get("x"), p.get("dy"));
        let cols = width(p);
        let n = R::count(cols);
        let mut dx = Vec::with_capacity(x.data.len());
        let mut by_row = Vec::new();
        for (x, dy) in x.data.chunks_exact(cols).zip(dy.data.chunks_exact(cols)) {
            let (centred, rstd) = normalized(x, p);
            let xhat: Vec<R> = centred.iter().map(|&c| c * rstd).collect();
            let weight = p.opt("weight");
            let w: Vec<R> =
                (0..cols).map(|j| weight.map_or(dy[j], |weight| weight.data[j] * dy[j])).collect();
            let mean = R::sum(w.iter().copied()) / n;
            let slope = R::dot(&w, &xhat) / n;
            dx.extend((0..cols).map(|j| rstd * (w[j] - mean - xhat[j] * slope)));
            by_row.push((dy, xhat));
        }
        let mut answer = vec![Named::new("dx", &x.shape, dx)];
        let column = |term: &dyn Fn(&(&[R], Vec<R>), usize) -> R| -> Vec<R> {
            (0..cols).map(|j| R::sum(by_row.iter().map(|row| term(row, j)))).collect()
        };
        if let Some(weight) = p.opt("weight") {
            let dweight = column(&|(dy, xhat), j| dy[j] * xhat[j]);
            answer.push(Named::new("dweight", &weight.shape, dweight));
        }
        if let Some(bias) = p.opt("bias") {
            answer.push(Named::new("dbias", &bias.shape, column(&|(dy, _), j| dy[j])));
        }
        answer
    }
}

/// Elements that are normalised together.
fn width<R: Real>(p: &Problem<R>) -> usize {
    let x = p.get("x");
    x.shape[x.shape.len() - p.int("normalized_dims") as usize..].iter().product()
}

/// x − mean and 1/√(var + eps), or 1/(√var + eps) where that is declared.
fn normalized<R: Real>(row: &[R], p: &Problem<R>) -> (Vec<R>, R) {
    let n = R::count(row.len());
    let mean = R::sum(row.iter().copied()) / n;
    let centred: Vec<R> = row.iter().map(|&x| x - mean).collect();
    let var = R::sum(centred.iter().map(|&c| c.square())) / n;
    let eps = R::num(p.num("eps"));
    let std = if p.declares("eps", "outside") { var.sqrt() + eps } else { (var + eps).sqrt() };
    (centred, R::one() / std)
}
