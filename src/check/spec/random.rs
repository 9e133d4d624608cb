//! What every single answer of dropout and stochastic depth must hold.

use serde_json::Value;

use super::operator::number;
use crate::check::call::{Call, Dir};
use crate::check::tensor::Tensors;
use crate::num::Dd;
use crate::num::Num;
use crate::num::bound::{Bound, at_unit};

/// What is wrong, in words: an element that is kept is x/(1−p), every other is 0, and samples are
/// dropped as a whole.
pub fn kept_or_dropped(call: &Call, answer: &Tensors) -> Vec<String> {
    let Some(left) = call.want.first().and_then(|name| answer.get(name)) else {
        return Vec::new();
    };
    let rate = number(&call.attrs, "p");
    if call.attrs["training"] != Value::Bool(true) || rate == 0.0 || rate == 1.0 {
        return Vec::new();
    }
    let x = &call.tensors[if call.dir == Dir::Fwd { "x" } else { "dy" }];
    let dtype = left.dtype;
    let scaled = |x: f64| {
        at_unit(dtype.accumulator().unit(), || {
            let rate = Bound::<Dd>::num(rate).loosened(rate);
            Bound::num(x) / (Bound::one() - rate)
        })
    };
    let bound_of = |want: Bound<Dd>| {
        let size = want.v.value().abs() + want.worst;
        want.worst + dtype.unit() * size + dtype.smallest_normal()
    };
    // The bound is proportional to x but for its last term, so that most elements are seen to be
    // within it at f64, whose own error is taken off.
    let one = scaled(1.0);
    let factor = 1.0 / (1.0 - rate);
    let near = (0.99 * bound_of(one) - 4.0 * f64::EPSILON * factor).max(0.0);
    for (i, (&x, &left)) in x.values.iter().zip(&left.values).enumerate() {
        if left == 0.0 || (left - x * factor).abs() <= near * x.abs() {
            continue;
        }
        let want = scaled(x);
        let error = ((Dd::num(left) - want.v).value()).abs();
        let bound = bound_of(want);
        if error > bound || error.is_nan() {
            let want = want.v.value();
            return vec![format!("[{i}] is {left:e}, neither 0 nor {want:e} ± {bound:e}")];
        }
    }
    let unit = decided_together(&call.op, &x.shape);
    for (sample, (x, left)) in x.values.chunks(unit).zip(left.values.chunks(unit)).enumerate() {
        // What may have been flushed to 0 says nothing of its fate.
        let tells = |x: f64| x.abs() > dtype.smallest_normal();
        let told = || x.iter().zip(left).filter(|(x, _)| tells(**x)).map(|(_, left)| *left);
        if told().any(|left| left == 0.0) && told().any(|left| left != 0.0) {
            return vec![format!("sample {sample} is dropped in part")];
        }
    }
    Vec::new()
}

/// How many elements share one decision.
pub fn decided_together(op: &str, shape: &[usize]) -> usize {
    if op == "drop_path" { shape[1..].iter().product() } else { 1 }
}
