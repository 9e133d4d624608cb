//! One operator of Plummet by itself, forward or forward and backward.

use plummet::op::activation::{Activation, Function};
use plummet::op::attention::Attention;
use plummet::op::softmax::Softmax;
use plummet::op::{Arg, Fast, Grad, Initial, Kind, Shape, SharedOp, View, norm};
use plummet::rng::Rng;

/// The sequence length and the heads of the attention that is measured.
const SEQ: usize = 128;
const HEADS: usize = 4;

/// An operator with all its buffers.
pub struct Trial {
    op: SharedOp,
    shapes: Vec<Shape>,
    args: Vec<Vec<f32>>,
    outs: Vec<Vec<f32>>,
    dy: Vec<f32>,
    gradients: Vec<Vec<f32>>,
    saved: Vec<f32>,
    scratch: Vec<f32>,
    backward: bool,
}

impl Trial {
    /// The operator `name` on `rows` × `cols`.
    pub fn new(name: &str, pass: &str, rows: usize, cols: usize) -> Result<Self, String> {
        let op = named(name).ok_or(format!("there is no operator {name}"))?;
        let mut shapes = match name {
            "causal_attention" => vec![Shape::new(&[rows / SEQ, SEQ, cols]); 3],
            _ => op.example(rows, cols),
        };
        shapes.resize(op.args().len(), Shape::ABSENT);
        let mut rng = Rng::new(1);
        let mut normal = |len: usize| (0..len).map(|_| rng.normal() as f32).collect::<Vec<_>>();
        let args: Vec<Vec<f32>> = (shapes.iter().zip(op.args()))
            .map(|(shape, arg)| match constant(arg, cols) {
                Some(value) => vec![value; shape.len()],
                None => normal(shape.len()),
            })
            .collect();
        let outs: Vec<Vec<f32>> =
            op.outputs(&shapes).iter().map(|shape| vec![0.0; shape.len()]).collect();
        let gradient = |(arg, data): (&Arg, &Vec<f32>)| match arg.kind.differentiable() {
            true => vec![0.0; data.len()],
            false => Vec::new(),
        };
        Ok(Trial {
            dy: normal(outs[0].len()),
            gradients: op.args().iter().zip(&args).map(gradient).collect(),
            saved: vec![0.0; op.saved(&shapes)],
            scratch: vec![0.0; op.scratch(&shapes)],
            backward: pass == "both",
            op,
            shapes,
            args,
            outs,
        })
    }

    /// Runs it once.
    pub fn call(&mut self) {
        let views: Vec<View<f32>> = self
            .shapes
            .iter()
            .zip(&self.args)
            .map(|(&shape, data)| View::new(shape, data))
            .collect();
        let mut outs: Vec<&mut [f32]> = self.outs.iter_mut().map(Vec::as_mut_slice).collect();
        let op: &dyn Fast = &*self.op;
        op.forward(&views, &mut outs, &mut self.saved, &mut self.scratch);
        if self.backward {
            vjp(op, &views, &self.dy, &self.saved, &mut self.gradients, &mut self.scratch);
        }
    }
}

/// The gradients of one call; each is the first of its value, and set.
fn vjp(
    op: &dyn Fast,
    args: &[View<f32>],
    dy: &[f32],
    saved: &[f32],
    gradients: &mut [Vec<f32>],
    scratch: &mut [f32],
) {
    let mut gradients: Vec<Grad> = gradients.iter_mut().map(|data| Grad::fresh(data)).collect();
    op.vjp(args, dy, saved, &mut gradients, scratch);
}

fn named(name: &str) -> Option<SharedOp> {
    if let Some(entry) = norm::named(name) {
        return Some((entry.make)(true));
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

/// What an argument starts at, if it is not drawn.
fn constant(arg: &Arg, cols: usize) -> Option<f32> {
    match (arg.kind, arg.initial) {
        (Kind::Weight | Kind::State, Initial::Value(value)) => Some(value as f32),
        (Kind::Weight | Kind::State, Initial::SqrtWidth) => Some((cols as f32).sqrt()),
        _ => None,
    }
}
