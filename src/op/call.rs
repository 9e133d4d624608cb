//! One call of an operator, with all its buffers.

use super::{Fast, Grad, Op, Reference, Shape, View};
use crate::num::Num;

/// The arguments of a call, what comes out of it, and the space that it works in.
///
/// Whatever calls one operator by itself (checks, benches, adapters) does so through this; a stack
/// has its buffers planned as a whole ([`crate::backend`]).
#[derive(Debug, Clone)]
pub struct Call<T = f32> {
    /// The shapes of the arguments.
    pub shapes: Vec<Shape>,
    /// The arguments.
    pub args: Vec<Vec<T>>,
    /// The outputs, NaN before a forward pass.
    pub outs: Vec<Vec<T>>,
    /// The gradient of the first output.
    pub dy: Vec<T>,
    /// The gradient of every argument, 0 before a backward pass; empty where it has none or where
    /// nobody wants it.
    pub grads: Vec<Vec<T>>,
    /// What a fast forward pass leaves for the backward pass.
    saved: Vec<T>,
    scratch: Vec<T>,
}

impl<T: Num> Call<T> {
    /// A call with arguments of these shapes and the gradient `dy`; every gradient is wanted.
    pub fn new(op: &(impl Op + ?Sized), shapes: &[Shape], args: Vec<Vec<T>>, dy: Vec<T>) -> Self {
        let poison = |shape: &Shape| vec![T::num(f64::NAN); shape.len()];
        let grads = op.args().iter().zip(&args).map(|(arg, values)| match arg.kind {
            kind if kind.differentiable() => vec![T::zero(); values.len()],
            _ => Vec::new(),
        });
        Call {
            shapes: shapes.to_vec(),
            outs: op.outputs(shapes).iter().map(poison).collect(),
            dy,
            grads: grads.collect(),
            saved: Vec::new(),
            scratch: Vec::new(),
            args,
        }
    }

    /// The forward pass of the reference.
    pub fn reference_forward(&mut self, op: &(impl Reference<T> + ?Sized)) {
        op.forward(&views(&self.shapes, &self.args), &mut slices(&mut self.outs));
    }

    /// The backward pass of the reference; it adds to the gradients.
    pub fn reference_vjp(&mut self, op: &(impl Reference<T> + ?Sized)) {
        let args = views(&self.shapes, &self.args);
        op.vjp(&args, &self.dy, &mut slices(&mut self.grads));
    }
}

impl Call<f32> {
    /// The forward pass of the fast path.
    pub fn forward(&mut self, op: &dyn Op) {
        self.saved.resize(op.saved(&self.shapes), f32::NAN);
        self.scratch.resize(op.scratch(&self.shapes), f32::NAN);
        let args = views(&self.shapes, &self.args);
        let outs = &mut slices(&mut self.outs);
        Fast::forward(op, &args, outs, &mut self.saved, &mut self.scratch);
    }

    /// The backward pass of the fast path, after [`Call::forward`]; it adds to the gradients.
    pub fn vjp(&mut self, op: &dyn Op) {
        self.vjp_into(op, false);
    }

    /// The same, setting the gradients whatever they held.
    pub fn fresh_vjp(&mut self, op: &dyn Op) {
        self.vjp_into(op, true);
    }

    fn vjp_into(&mut self, op: &dyn Op, fresh: bool) {
        let grad = if fresh { Grad::fresh } else { Grad::onto };
        let args = views(&self.shapes, &self.args);
        let mut grads: Vec<Grad> = (self.grads.iter_mut())
            .map(|data| if data.is_empty() { Grad::unwanted() } else { grad(data) })
            .collect();
        Fast::vjp(op, &args, &self.dy, &self.saved, &mut grads, &mut self.scratch);
    }

    /// Fills the working space, of which nothing lives from one pass to the next, with NaN.
    pub fn poison_scratch(&mut self) {
        self.scratch.fill(f32::NAN);
    }

    /// Bytes that the forward and the backward pass read or write, every tensor once.
    pub fn bytes(&self, op: &dyn Op) -> [usize; 2] {
        let size = |tensors: &[Vec<f32>]| 4 * tensors.iter().map(Vec::len).sum::<usize>();
        let read = (0..self.args.len()).filter(|&index| op.vjp_reads(index));
        let read: usize = read.map(|index| 4 * self.args[index].len()).sum();
        [size(&self.args) + size(&self.outs), read + 4 * self.dy.len() + size(&self.grads)]
    }
}

fn views<'a, T>(shapes: &[Shape], tensors: &'a [Vec<T>]) -> Vec<View<'a, T>> {
    shapes.iter().zip(tensors).map(|(&shape, data)| View::new(shape, data)).collect()
}

fn slices<T>(tensors: &mut [Vec<T>]) -> Vec<&mut [T]> {
    tensors.iter_mut().map(Vec::as_mut_slice).collect()
}
