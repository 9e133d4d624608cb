//! One operator of Plummet by itself, forward or forward and backward.

use plummet::check::bodies::{Case, Rows};
use plummet::op::activation::{Activation, Function};
use plummet::op::attention::Attention;
use plummet::op::softmax::Softmax;
use plummet::op::{Call, Shape, SharedOp, norm};

/// The sequence length and the heads of the attention that is measured.
const SEQ: usize = 128;
const HEADS: usize = 4;

/// An operator with all its buffers.
pub struct Prepared {
    op: SharedOp,
    call: Call,
    backward: bool,
}

impl Prepared {
    /// The operator `name` on `rows` × `cols`.
    pub fn new(name: &str, pass: &str, rows: usize, cols: usize) -> Result<Self, String> {
        let op = named(name).ok_or(format!("there is no operator {name}"))?;
        let mut shapes = match name {
            "causal_attention" => vec![Shape::new(&[rows / SEQ, SEQ, cols]); 3],
            _ => op.example(rows, cols),
        };
        shapes.resize(op.args().len(), Shape::ABSENT);
        let case = Case::of(&*op, &shapes, Rows::Normal, 1);
        let call = case.call(&*op, &case.values, |_, _, value| value as f32);
        Ok(Prepared { op, call, backward: pass == "both" })
    }

    /// Runs it once.
    pub fn call(&mut self) {
        self.call.forward(&*self.op);
        if self.backward {
            // Each gradient is the first of its value.
            self.call.fresh_vjp(&*self.op);
        }
    }
}

/// The operator of a name.
pub fn named(name: &str) -> Option<SharedOp> {
    if let Some(entry) = norm::named(name) {
        return Some((entry.make)());
    }
    if let Some(&function) = Function::ALL.iter().find(|function| function.id() == name) {
        return Some(std::sync::Arc::new(Activation { function }));
    }
    match name {
        "softmax" => Some(std::sync::Arc::new(Softmax)),
        "causal_attention" => Some(std::sync::Arc::new(Attention::causal(HEADS))),
        _ => None,
    }
}
