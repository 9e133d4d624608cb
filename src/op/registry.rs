//! The one list of operators that every check iterates over.

use std::sync::Arc;

use super::norm;
use super::residual::{GainedResidual, Residual, Scale};
use super::{Op, SharedOp};

/// Every operator, once per variant that behaves differently.
pub fn all() -> Vec<SharedOp> {
    let mut ops: Vec<SharedOp> = norm::ALL.iter().map(|entry| (entry.make)(true)).collect();
    ops.extend([
        shared(Residual { alpha: 1.7, beta: 0.6 }),
        shared(GainedResidual),
        shared(Scale { factor: 0.3 }),
    ]);
    ops
}

fn shared(op: impl Op + 'static) -> SharedOp {
    Arc::new(op)
}
