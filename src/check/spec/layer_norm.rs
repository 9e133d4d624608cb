//! `layer_norm` (Ba, Kiros & Hinton 2016, arXiv 1607.06450, equation 3).
//!
//! y = (x − mean)/√(var + eps)·weight + bias over the last `normalized_dims` axes; with
//! w = weight·dy and s = 1/√(var + eps): dx = s·(w − mean(w) − x̂·mean(w·x̂)).

use super::case::Case;
use super::exact_rows::Row;
use super::norm::{columns, standardize};
use super::operator::{
    Attr, Axis, Fill, Formula, Named, Operator, Problem, Role, Setting, Slot, number,
};
use crate::check::call::{Attrs, Call, Dir};
use crate::check::tensor::{Dtype, Tensor, Tensors};
use crate::num::Dd;
use crate::num::Num;

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
            Attr {
                name: "eps",
                values: &[Num(1e-5), Num(1e-12), Num(1e-6), Num(0.0), Num(1e-3), Num(4.0)],
            },
            Attr { name: "normalized_dims", values: &[Int(1), Int(2), Int(3)] },
        ]
    }
    fn variants(&self) -> &'static [(&'static str, [&'static str; 2])] {
        &[("layer_norm.eps", ["inside", "outside"])]
    }
    fn slots(&self, case: &Case) -> Vec<Slot> {
        let (shape, own) = shapes(case);
        vec![
            Slot::new("x", &shape, Role::Data, Fill::RowsOf(case.size("cols"))).varied(case),
            Slot::param("weight", &own).optional(),
            Slot::param("bias", &own).optional(),
        ]
    }
    fn defined(&self, case: &Case) -> bool {
        case.num("eps") > 0.0 || case.size("cols") > 1 && case.varied("x", case.size("cols"))
    }
    fn reach(&self, case: &Case, tensor: &str) -> Option<i32> {
        super::norm::reach(case, tensor)
    }
    fn batched(&self, _: &Attrs) -> Option<Vec<String>> {
        Some(vec!["x".into(), "dy".into()])
    }
    fn beyond(&self, call: &Call, answer: &Tensors) -> Vec<String> {
        let y = answer.get("y").filter(|_| call.dir == Dir::Fwd);
        y.and_then(|y| cancels(call, y)).into_iter().collect()
    }
}

/// The shape of x and of what is normalised: with more axes, the columns are cut by their smallest
/// factors.
fn shapes(case: &Case) -> (Vec<usize>, Vec<usize>) {
    let (rows, cols) = (case.size("rows"), case.size("cols"));
    let (mut own, mut rest) = (Vec::new(), cols);
    for _ in 1..case.num("normalized_dims") as usize {
        let outer = (2..=rest).find(|factor| rest % factor == 0).unwrap_or(1);
        own.push(outer);
        rest /= outer;
    }
    own.push(rest);
    ([&[rows], own.as_slice()].concat(), own)
}

impl<R: Num> Formula<R> for LayerNorm {
    fn forward(&self, p: &Problem<R>) -> Vec<Named<R>> {
        let x = p.get("x");
        let cols = width(p);
        let (weight, bias) = (p.opt("weight"), p.opt("bias"));
        let y = x.data.chunks_exact(cols).flat_map(|row| {
            let xhat =
                standardize(row, p.num("eps"), p.declares("layer_norm.eps", "outside")).xhat();
            xhat.into_iter().enumerate().map(move |(j, xhat)| {
                let y = weight.map_or(xhat, |weight| xhat * weight.data[j]);
                bias.map_or(y, |bias| y + bias.data[j])
            })
        });
        vec![Named::new("y", &x.shape, y.collect())]
    }

    fn backward(&self, p: &Problem<R>) -> Vec<Named<R>> {
        let (x, dy) = (p.get("x"), p.get("dy"));
        let cols = width(p);
        let weight = p.opt("weight");
        let mut dx = Vec::with_capacity(x.data.len());
        let mut by_row = Vec::new();
        for (x, dy) in x.data.chunks_exact(cols).zip(dy.data.chunks_exact(cols)) {
            let row = standardize(x, p.num("eps"), p.declares("layer_norm.eps", "outside"));
            let weighted = |j: usize| weight.map_or(dy[j], |weight| weight.data[j] * dy[j]);
            let w: Vec<R> = (0..cols).map(weighted).collect();
            dx.extend(row.backward(x, &w));
            by_row.push((dy, row.folded(x)));
        }
        let mut answer = vec![Named::new("dx", &x.shape, dx)];
        if let Some(weight) = weight {
            let dweight = columns(p, by_row.len(), cols, |i, j| by_row[i].0[j] * by_row[i].1[j]);
            answer.push(Named::new("dweight", &weight.shape, dweight));
        }
        if let Some(bias) = p.opt("bias") {
            let dbias = columns(p, by_row.len(), cols, |i, j| by_row[i].0[j]);
            answer.push(Named::new("dbias", &bias.shape, dbias));
        }
        answer
    }
}

/// Elements that are normalised together.
fn width<R: Num>(p: &Problem<R>) -> usize {
    let x = p.get("x");
    x.shape[x.shape.len() - p.int("normalized_dims") as usize..].iter().product()
}

/// In words, where an exact row has more than its last roundings.
fn cancels(call: &Call, y: &Tensor) -> Option<String> {
    // Below 32 bits the rounding of y hides those of the accumulator.
    if call.dtype.bytes() < 4 {
        return None;
    }
    let x = &call.tensors["x"];
    let dims = number(&call.attrs, "normalized_dims") as usize;
    let cols: usize = x.shape[x.shape.len() - dims..].iter().product();
    let affine = |name: &str| call.tensors.get(name).map(|tensor| tensor.values.as_slice());
    let rows = x.values.chunks_exact(cols).zip(y.values.chunks_exact(cols));
    let residues = rows.enumerate().filter_map(|(i, (x, y))| {
        let (weight, bias) = (affine("weight"), affine("bias"));
        let eps = number(&call.attrs, "eps");
        let row = Row { x, weight, bias, y, eps, dtype: call.dtype };
        let residue =
            if call.dtype == Dtype::F64 { row.residue::<Dd>() } else { row.residue::<f64>() };
        residue.map(|(ratio, j)| (ratio, i * cols + j))
    });
    let (ratio, at) = residues.max_by(|a, b| a.0.total_cmp(&b.0))?;
    (ratio > 1.0).then(|| {
        format!(
            "y[{at}] is {ratio:.1} times its last roundings off a row that is exact but for one \
             shift and one scale: it cancels"
        )
    })
}
