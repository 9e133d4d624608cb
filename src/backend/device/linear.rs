//! The linear map by a machine's library of products, where it has one.

use super::launches::{Operands, run};
use super::machine::{Machine, Product};
use crate::op::Shape;
use crate::op::device::Kernels;

/// Rows and columns of x, and the number of outputs.
fn sizes(shapes: &[Shape]) -> [usize; 3] {
    [shapes[0].rows(), shapes[0].cols(), shapes[1].rows()]
}

/// y = x·wᵀ + bias; false where the machine has no library for it.
pub fn forward<M: Machine>(machine: &M, shapes: &[Shape], tensors: &Operands<M::Memory>) -> bool {
    let [rows, cols, outs] = sizes(shapes);
    let [Some(x), Some(weight), bias] = tensors.args[..] else { return false };
    machine.multiply(&[Product {
        rows,
        cols: outs,
        depth: cols,
        left: x,
        left_across: false,
        right: weight,
        right_across: true,
        bias,
        to: tensors.outs[0],
        adds: false,
    }])
}

/// dx = dy·w and dw = dyᵀ·x by the library, the gradient of the bias by our own kernels; false where the
/// machine has no library for it.
pub fn vjp<M: Machine>(
    machine: &M,
    kernels: &dyn Kernels,
    shapes: &[Shape],
    tensors: &Operands<M::Memory>,
) -> bool {
    let [rows, cols, outs] = sizes(shapes);
    let ([Some(x), Some(weight), _], [dx, dweight, dbias], Some(dy)) =
        (&tensors.args[..], &tensors.grads[..], tensors.dy)
    else {
        return false;
    };
    let dx = dx.map(|(to, adds)| Product {
        rows,
        cols,
        depth: outs,
        left: dy,
        left_across: false,
        right: *weight,
        right_across: false,
        bias: None,
        to,
        adds,
    });
    let dweight = dweight.map(|(to, adds)| Product {
        rows: outs,
        cols,
        depth: rows,
        left: dy,
        left_across: true,
        right: *x,
        right_across: false,
        bias: None,
        to,
        adds,
    });
    let products: Vec<Product<M::Memory>> = dx.into_iter().chain(dweight).collect();
    let done = machine.multiply(&products);
    if done && dbias.is_some() {
        let chip = machine.chip();
        let mut launches = kernels.vjp(shapes, &chip);
        launches.retain(|launch| launch.kernel.starts_with("linear_dbias"));
        run(machine, kernels.ptx().of(&chip), &launches, tensors);
    }
    done
}
