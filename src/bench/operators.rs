//! Operators against the copy of their bytes: what only passes over memory can be no faster.

use super::limits::timing;
use super::timing::interleaved;
use crate::check::bodies::{Case, Rows};
use crate::op::activation::{Activation, Function};
use crate::op::softmax::Softmax;
use crate::op::{SharedOp, norm};
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
    /// Forward and vjp: of what each of them reads and writes.
    pub both: f64,
}

/// The shapes at which operators are measured: in the second cache, in the third, in memory.
pub const SHAPES: [(usize, usize); 3] = [(1024, 64), (4096, 256), (8192, 1024)];

/// Every norm, softmax and every activation, with their names.
pub fn measured() -> Vec<(&'static str, SharedOp)> {
    let mut ops: Vec<(&'static str, SharedOp)> =
        norm::ALL.iter().map(|entry| (entry.id, (entry.make)())).collect();
    ops.push(("softmax", Arc::new(Softmax)));
    ops.extend(
        Function::ALL
            .iter()
            .map(|&function| (function.id(), Arc::new(Activation { function }) as SharedOp)),
    );
    ops
}

/// Measures one operator at one shape.
pub fn share(name: &'static str, op: &SharedOp, shape: (usize, usize), quick: bool) -> Share {
    let op = &**op;
    let case = Case::of(op, &op.example(shape.0, shape.1), Rows::Normal, 7);
    let call = || case.call(op, &case.values, |_, _, value| value as f32);
    let (mut once, mut again) = (call(), call());
    let [forward_bytes, vjp_bytes] = once.bytes(op);
    let floats = forward_bytes / 4;
    let (from, mut to) = (vec![1f32; floats / 2], vec![0f32; floats / 2]);

    let mut copy = || to.copy_from_slice(&from);
    let mut forward = || once.forward(op);
    let mut both = || {
        again.forward(op);
        again.fresh_vjp(op);
    };
    let samples = interleaved(timing(quick), &mut [&mut copy, &mut forward, &mut both]);
    // The least of each: what disturbs a sample only ever makes it longer.
    let [copy, forward, both] = [0, 1, 2].map(|i| samples[i].least());
    Share {
        name,
        shape,
        forward: copy / forward,
        both: (forward_bytes + vjp_bytes) as f64 / forward_bytes as f64 * copy / both,
    }
}
