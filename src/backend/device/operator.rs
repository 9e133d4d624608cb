//! An operator whose fast path is its kernels: so they pass through every check that the CPU's
//! fast paths pass through, and through the gate.

use super::launches::{Operands, run};
use super::machine::Machine;
use crate::choice::Constant;
use crate::num::{Bound, Dd, Dual, Stochastic};
use crate::op::{Arg, Fast, Grad, Op, Property, Reference, Shape, SharedOp, View};
use crate::setting::Invalid;

/// An operator on a machine.
#[derive(Debug, Clone)]
pub struct OnMachine<M> {
    op: SharedOp,
    machine: M,
}

impl<M: Machine + 'static> OnMachine<M> {
    /// The operator on the machine; none where it has no kernels.
    pub fn new(op: SharedOp, machine: M) -> Option<Self> {
        op.kernels()?;
        Some(OnMachine { op, machine })
    }

    fn kernels(&self) -> &dyn crate::op::device::Kernels {
        self.op.kernels().expect("it has been seen to have some")
    }

    fn upload(&self, numbers: &[f32]) -> M::Memory {
        let memory = self.machine.allocate(size_of_val(numbers), false);
        let bytes: Vec<u8> = numbers.iter().flat_map(|x| x.to_le_bytes()).collect();
        self.machine.write(&memory, 0, &bytes);
        memory
    }

    fn download(&self, memory: &M::Memory, numbers: &mut [f32]) {
        let mut bytes = vec![0; size_of_val(numbers)];
        self.machine.read(memory, 0, &mut bytes);
        // A fault leaves nothing to compare, and says more than any number.
        if let Some(failure) = self.machine.failure() {
            panic!("{failure}");
        }
        for (number, bytes) in numbers.iter_mut().zip(bytes.as_chunks::<4>().0) {
            *number = f32::from_le_bytes(*bytes);
        }
    }
}

impl<M: Machine + 'static> Op for OnMachine<M> {
    fn id(&self) -> &'static str {
        self.op.id()
    }
    fn args(&self) -> &'static [Arg] {
        self.op.args()
    }
    fn outputs(&self, args: &[Shape]) -> Vec<Shape> {
        self.op.outputs(args)
    }
    fn example(&self, rows: usize, cols: usize) -> Vec<Shape> {
        self.op.example(rows, cols)
    }
    fn index_limit(&self, args: &[Shape]) -> usize {
        self.op.index_limit(args)
    }
    fn consts(&self) -> Vec<Constant> {
        self.op.consts()
    }
    fn with(&self, name: &str, value: &str) -> Result<SharedOp, Invalid> {
        let op = self.op.with(name, value)?;
        Ok(std::sync::Arc::new(OnMachine { op, machine: self.machine.clone() }))
    }
    fn properties(&self) -> &'static [Property] {
        self.op.properties()
    }
    fn vjp_reads(&self, index: usize) -> bool {
        self.op.vjp_reads(index)
    }
}

macro_rules! reference_of_the_operator {
    ($($number:ty),+) => {$(
        impl<M: Machine + 'static> Reference<$number> for OnMachine<M> {
            fn forward(&self, args: &[View<$number>], outs: &mut [&mut [$number]]) {
                Reference::<$number>::forward(&*self.op, args, outs);
            }
            fn vjp(&self, args: &[View<$number>], dy: &[$number], dargs: &mut [&mut [$number]]) {
                Reference::<$number>::vjp(&*self.op, args, dy, dargs);
            }
        }
    )+};
}
reference_of_the_operator!(f64, Dual, Stochastic, Bound, Bound<Dd>);

impl<M: Machine + 'static> Fast for OnMachine<M> {
    fn saved(&self, args: &[Shape]) -> usize {
        self.kernels().saved(args, &self.machine.chip())
    }

    fn forward(
        &self,
        args: &[View<f32>],
        outs: &mut [&mut [f32]],
        saved: &mut [f32],
        _scratch: &mut [f32],
    ) {
        let (kernels, chip) = (self.kernels(), self.machine.chip());
        let shapes: Vec<Shape> = args.iter().map(|arg| arg.shape).collect();
        let space = |len: usize| self.machine.allocate(size_of::<f32>() * len, false);
        let arguments: Vec<M::Memory> = args.iter().map(|arg| self.upload(arg.data)).collect();
        let results: Vec<M::Memory> = outs.iter().map(|out| space(out.len())).collect();
        // Not all of what is saved must be written; what a vjp reads of the rest is no number.
        let kept = self.upload(&vec![f32::NAN; saved.len()]);
        let scratch = space(kernels.scratch(&shapes, &chip));
        let there = |(arg, memory)| (!View::is_absent(arg)).then_some((memory, 0));
        run(
            &self.machine,
            kernels.ptx(),
            &kernels.forward(&shapes, &chip),
            &Operands {
                args: args.iter().zip(&arguments).map(there).collect(),
                outs: results.iter().map(|memory| (memory, 0)).collect(),
                dy: None,
                grads: Vec::new(),
                saved: &kept,
                scratch: &scratch,
            },
        );
        for (out, memory) in outs.iter_mut().zip(&results) {
            self.download(memory, out);
        }
        self.download(&kept, saved);
    }

    fn vjp(
        &self,
        args: &[View<f32>],
        dy: &[f32],
        saved: &[f32],
        dargs: &mut [Grad],
        _scratch: &mut [f32],
    ) {
        let (kernels, chip) = (self.kernels(), self.machine.chip());
        let shapes: Vec<Shape> = args.iter().map(|arg| arg.shape).collect();
        let arguments: Vec<Option<M::Memory>> = (args.iter().enumerate())
            // What a vjp says it does not read is not there.
            .map(|(i, arg)| (!arg.is_absent() && self.vjp_reads(i)).then(|| self.upload(arg.data)))
            .collect();
        let scratch =
            self.machine.allocate(size_of::<f32>() * kernels.scratch(&shapes, &chip), false);
        let (dy, kept) = (self.upload(dy), self.upload(saved));
        let gradients: Vec<Option<(M::Memory, bool)>> = (dargs.iter_mut())
            .map(|darg| {
                let (data, adds) = darg.raw();
                let start = |adds| match adds {
                    true => self.upload(data),
                    false => self.machine.allocate(size_of_val(data), false),
                };
                (!data.is_empty()).then(|| (start(adds), adds))
            })
            .collect();
        run(
            &self.machine,
            kernels.ptx(),
            &kernels.vjp(&shapes, &chip),
            &Operands {
                args: arguments.iter().map(|memory| memory.as_ref().map(|m| (m, 0))).collect(),
                outs: Vec::new(),
                dy: Some((&dy, 0)),
                grads: (gradients.iter())
                    .map(|gradient| gradient.as_ref().map(|(memory, adds)| ((memory, 0), *adds)))
                    .collect(),
                saved: &kept,
                scratch: &scratch,
            },
        );
        for (darg, gradient) in dargs.iter_mut().zip(&gradients) {
            if let Some((memory, _)) = gradient {
                self.download(memory, darg.raw().0);
            }
        }
    }
}
