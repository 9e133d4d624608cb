//! Operators against the copy of their bytes: what only passes over memory can be no faster.

use super::limits::timing;
use super::timing::interleaved;
use crate::op::activation::{Activation, Function};
use crate::op::softmax::Softmax;
use crate::op::{Fast, Grad, Kind, SharedOp, View, norm};
use crate::rng::Rng;
use std::sync::Arc;

/// How near one operator comes to the copy of as many bytes, on one thread.
#[derive(Debug, Clone)]
pub struct Share {
    /// The operator.
    pub name: &'static str,
    /// Rows and columns of its argument.
    pub shape: (usize, usize),
    /// Forward: time of the copy over time of the operator. Bytes are each argument read once and
    /// the output written once.
    pub forward: f64,
    /// Forward and vjp: of the arguments read twice, output, dy and each gradient once.
    pub both: f64,
}

/// The shapes at which operators are measured: in the second cache, in the third, in memory.
pub const SHAPES: [(usize, usize); 3] = [(1024, 64), (4096, 256), (8192, 1024)];

/// Every norm, softmax and every activation, with their names.
pub fn measured() -> Vec<(&'static str, SharedOp)> {
    let mut ops: Vec<(&'static str, SharedOp)> =
        norm::ALL.iter().map(|entry| (entry.id, (entry.make)(true))).collect();
    ops.push(("softmax", Arc::new(Softmax)));
    ops.extend(
        Function::ALL
            .map(|function| (function.id(), Arc::new(Activation { function }) as SharedOp)),
    );
    ops
}

/// Measures one operator at one shape.
pub fn share(name: &'static str, op: &SharedOp, shape: (usize, usize), quick: bool) -> Share {
    let op = &**op;
    let shapes = op.example(shape.0, shape.1);
    let kinds: Vec<Kind> = op.args().iter().map(|arg| arg.kind).collect();
    let mut rng = Rng::new(7);
    let data: Vec<Vec<f32>> = (shapes.iter().zip(&kinds))
        .map(|(shape, kind)| match kind {
            Kind::Real => (0..shape.len()).map(|_| rng.normal() as f32).collect(),
            _ => vec![1.0; shape.len()],
        })
        .collect();
    let args: Vec<View<f32>> =
        shapes.iter().zip(&data).map(|(&shape, data)| View::new(shape, data)).collect();
    let fresh = |value: f32| -> Vec<Vec<f32>> {
        op.outputs(&shapes).iter().map(|shape| vec![value; shape.len()]).collect()
    };
    let (mut outs, mut outs_again, dy) = (fresh(0.0), fresh(0.0), fresh(1.0));
    let mut saved = vec![0.0; Fast::saved(op, &shapes)];
    let mut scratch = vec![0.0; Fast::scratch(op, &shapes)];
    let (mut saved_again, mut scratch_again) = (saved.clone(), scratch.clone());
    let mut gradients: Vec<Vec<f32>> = (shapes.iter().zip(&kinds))
        .map(|(shape, kind)| vec![0.0; if kind.differentiable() { shape.len() } else { 0 }])
        .collect();

    let read: usize = shapes.iter().map(|shape| shape.len()).sum();
    let written: usize = outs.iter().map(Vec::len).sum();
    let handed: usize = gradients.iter().map(Vec::len).sum();
    let once = read + written;
    let twice = once + read + dy[0].len() + handed;
    let (from, mut to) = (vec![1f32; once / 2], vec![0f32; once / 2]);

    let mut copy = || to.copy_from_slice(&from);
    let mut forward = || {
        let mut outs: Vec<&mut [f32]> = outs.iter_mut().map(Vec::as_mut_slice).collect();
        Fast::forward(op, &args, &mut outs, &mut saved, &mut scratch);
    };
    let mut both = || {
        let mut outs: Vec<&mut [f32]> = outs_again.iter_mut().map(Vec::as_mut_slice).collect();
        Fast::forward(op, &args, &mut outs, &mut saved_again, &mut scratch_again);
        let mut grads: Vec<Grad> = (gradients.iter_mut())
            .map(|g| if g.is_empty() { Grad::unwanted() } else { Grad::fresh(g) })
            .collect();
        Fast::vjp(op, &args, &dy[0], &saved_again, &mut grads, &mut scratch_again);
    };
    let samples = interleaved(timing(quick), &mut [&mut copy, &mut forward, &mut both]);
    // The least of each: what disturbs a sample only ever makes it longer.
    let [copy, forward, both] = [0, 1, 2].map(|i| samples[i].least());
    Share { name, shape, forward: copy / forward, both: twice as f64 / once as f64 * copy / both }
}
