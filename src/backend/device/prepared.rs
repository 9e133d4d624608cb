//! One operator with its tensors on a machine, to be run again and again: what a benchmark times.

use super::launches::{Operands, run};
use super::machine::Machine;
use crate::op::device::Kernels;
use crate::op::{Shape, SharedOp};

/// An operator with its tensors on a machine. Every gradient is wanted, and overwritten.
#[derive(Debug)]
pub struct Prepared<M: Machine> {
    op: SharedOp,
    machine: M,
    shapes: Vec<Shape>,
    args: Vec<Option<M::Memory>>,
    outs: Vec<M::Memory>,
    dy: M::Memory,
    grads: Vec<Option<M::Memory>>,
    saved: M::Memory,
    scratch: M::Memory,
}

impl<M: Machine> Prepared<M> {
    /// The operator at these shapes, its tensors filled with numbers from 0.5 to 1.5; none where it
    /// has no kernels.
    pub fn new(op: SharedOp, shapes: &[Shape], machine: M) -> Option<Self> {
        let (kernels, chip) = (op.kernels()?, machine.chip());
        let space = |len: usize| machine.allocate(size_of::<f32>() * len, true);
        let filled = |shape: &Shape| {
            let number = |i: usize| 0.5 + (i * 40_503 % 65_521) as f32 / 65_521.0;
            let bytes: Vec<u8> = (0..shape.len()).flat_map(|i| number(i).to_le_bytes()).collect();
            let memory = machine.allocate(bytes.len(), false);
            machine.write(&memory, 0, &bytes);
            memory
        };
        let there = |shape: &Shape| !shape.is_empty();
        let outs = op.outputs(shapes);
        let arguments = op.args().iter().zip(shapes);
        let wanted = arguments.map(|(arg, shape)| arg.kind.differentiable() && there(shape));
        Some(Prepared {
            args: shapes.iter().map(|shape| there(shape).then(|| filled(shape))).collect(),
            grads: (wanted.zip(shapes))
                .map(|(wanted, shape)| wanted.then(|| space(shape.len())))
                .collect(),
            dy: filled(&outs[0]),
            outs: outs.iter().map(|shape| space(shape.len())).collect(),
            saved: space(kernels.saved(shapes, &chip)),
            scratch: space(kernels.scratch(shapes, &chip)),
            shapes: shapes.to_vec(),
            op,
            machine,
        })
    }

    fn kernels(&self) -> &dyn Kernels {
        self.op.kernels().expect("it has been seen to have some")
    }

    /// Runs it forward.
    pub fn forward(&self) {
        let chip = self.machine.chip();
        let launches = self.kernels().forward(&self.shapes, &chip);
        let operands = Operands {
            args: self.args.iter().map(|arg| arg.as_ref().map(|arg| (arg, 0))).collect(),
            outs: self.outs.iter().map(|out| (out, 0)).collect(),
            dy: None,
            grads: Vec::new(),
            saved: &self.saved,
            scratch: &self.scratch,
        };
        run(&self.machine, self.kernels().ptx().of(&chip), &launches, &operands);
    }

    /// Runs it backward.
    pub fn vjp(&self) {
        let chip = self.machine.chip();
        let launches = self.kernels().vjp(&self.shapes, &chip);
        let args = self.args.iter().enumerate();
        let read = args.map(|(i, arg)| arg.as_ref().filter(|_| self.op.vjp_reads(i)));
        let operands = Operands {
            args: read.map(|arg| arg.map(|arg| (arg, 0))).collect(),
            outs: Vec::new(),
            dy: Some((&self.dy, 0)),
            grads: (self.grads.iter())
                .map(|gradient| gradient.as_ref().map(|memory| ((memory, 0), false)))
                .collect(),
            saved: &self.saved,
            scratch: &self.scratch,
        };
        run(&self.machine, self.kernels().ptx().of(&chip), &launches, &operands);
    }

    /// Bytes that either pass reads or writes, every tensor of its formula once.
    pub fn bytes(&self) -> [usize; 2] {
        let size = |shape: &Shape| size_of::<f32>() * shape.len();
        let outs = self.op.outputs(&self.shapes);
        let forward = self.shapes.iter().chain(&outs).map(size).sum();
        let read = self.shapes.iter().enumerate().filter(|(i, _)| self.op.vjp_reads(*i));
        let written = self.shapes.iter().zip(&self.grads).filter(|(_, grad)| grad.is_some());
        let vjp = read.map(|(_, shape)| shape).chain(written.map(|(shape, _)| shape)).map(size);
        [forward, vjp.sum::<usize>() + size(&outs[0])]
    }
}
