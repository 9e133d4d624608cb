//! An operator whose fast path is its kernels: so they pass through every check that the CPU's
//! fast paths pass through, and through the gate.

use half::{bf16, f16};

use super::launches::{Operands, run};
use super::machine::Machine;
use crate::choice::Constant;
use crate::num::{Bound, Dd, Dtype, Dual, Stochastic};
use crate::op::device::{Chip, Kernels};
use crate::op::{Arg, Fast, Grad, Op, Property, Reference, Shape, SharedOp, View};
use crate::setting::Invalid;

/// An operator on a machine, which takes and gives numbers as what is stored of them.
#[derive(Debug, Clone)]
pub struct OnMachine<M> {
    op: SharedOp,
    machine: M,
    storage: Dtype,
}

impl<M: Machine + 'static> OnMachine<M> {
    /// The operator on the machine; none where it has no kernels.
    pub fn new(op: SharedOp, machine: M) -> Option<Self> {
        op.kernels()?;
        Some(OnMachine { op, machine, storage: Dtype::F32 })
    }

    /// The same operator with another storage of activations, learned tensors and their gradients: one
    /// of [`STORAGES`](crate::op::device::STORAGES).
    pub fn storing(self, storage: Dtype) -> Self {
        OnMachine { storage, ..self }
    }

    fn chip(&self) -> Chip {
        self.machine.chip().storing(self.storage)
    }

    fn kernels(&self) -> &dyn Kernels {
        self.op.kernels().expect("it has been seen to have some")
    }

    /// Room for so many numbers.
    fn space(&self, len: usize, dtype: Dtype) -> M::Memory {
        self.machine.allocate(len * dtype.bytes(), false)
    }

    fn upload(&self, numbers: &[f32], dtype: Dtype) -> M::Memory {
        let memory = self.space(numbers.len(), dtype);
        self.machine.write(&memory, 0, &to_bytes(numbers, dtype));
        memory
    }

    fn download(&self, memory: &M::Memory, numbers: &mut [f32], dtype: Dtype) {
        let mut bytes = vec![0; numbers.len() * dtype.bytes()];
        self.machine.read(memory, 0, &mut bytes);
        // A fault leaves nothing to compare, and says more than any number.
        if let Some(failure) = self.machine.failure() {
            panic!("{failure}");
        }
        from_bytes(&bytes, numbers, dtype);
    }
}

/// Numbers as they are stored.
fn to_bytes(numbers: &[f32], dtype: Dtype) -> Vec<u8> {
    match dtype {
        Dtype::Bf16 => numbers.iter().flat_map(|&x| bf16::from_f32(x).to_le_bytes()).collect(),
        Dtype::F16 => numbers.iter().flat_map(|&x| f16::from_f32(x).to_le_bytes()).collect(),
        _ => numbers.iter().flat_map(|x| x.to_le_bytes()).collect(),
    }
}

/// Stored numbers as they are.
fn from_bytes(bytes: &[u8], numbers: &mut [f32], dtype: Dtype) {
    let halves = numbers.iter_mut().zip(bytes.as_chunks::<2>().0);
    match dtype {
        Dtype::Bf16 => halves.for_each(|(x, &bytes)| *x = bf16::from_le_bytes(bytes).to_f32()),
        Dtype::F16 => halves.for_each(|(x, &bytes)| *x = f16::from_le_bytes(bytes).to_f32()),
        _ => {
            let words = numbers.iter_mut().zip(bytes.as_chunks::<4>().0);
            words.for_each(|(x, &bytes)| *x = f32::from_le_bytes(bytes));
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
        let machine = self.machine.clone();
        Ok(std::sync::Arc::new(OnMachine { op, machine, storage: self.storage }))
    }
    fn properties(&self) -> &'static [Property] {
        self.op.properties()
    }
    fn vjp_reads(&self, index: usize) -> bool {
        self.op.vjp_reads(index)
    }
    fn argument_dtype(&self, index: usize) -> Dtype {
        if self.args()[index].kind.differentiable() { self.storage } else { Dtype::F32 }
    }
    fn output_dtype(&self, index: usize) -> Dtype {
        if self.kernels().keeps_f32(index) { Dtype::F32 } else { self.storage }
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
        self.kernels().saved(args, &self.chip())
    }

    fn forward(
        &self,
        args: &[View<f32>],
        outs: &mut [&mut [f32]],
        saved: &mut [f32],
        _scratch: &mut [f32],
    ) {
        let (kernels, chip) = (self.kernels(), self.chip());
        let shapes: Vec<Shape> = args.iter().map(|arg| arg.shape).collect();
        let arguments: Vec<M::Memory> = (args.iter().enumerate())
            .map(|(i, arg)| self.upload(arg.data, self.argument_dtype(i)))
            .collect();
        let results: Vec<M::Memory> = (outs.iter().enumerate())
            .map(|(i, out)| self.space(out.len(), self.output_dtype(i)))
            .collect();
        // Not all of what is saved must be written; what a vjp reads of the rest is no number.
        let kept = self.upload(&vec![f32::NAN; saved.len()], Dtype::F32);
        let scratch = self.space(kernels.scratch(&shapes, &chip), Dtype::F32);
        let there = |(arg, memory)| (!View::is_absent(arg)).then_some((memory, 0));
        run(
            &self.machine,
            kernels.ptx().of(&chip),
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
        for (i, (out, memory)) in outs.iter_mut().zip(&results).enumerate() {
            self.download(memory, out, self.output_dtype(i));
        }
        self.download(&kept, saved, Dtype::F32);
    }

    fn vjp(
        &self,
        args: &[View<f32>],
        dy: &[f32],
        saved: &[f32],
        dargs: &mut [Grad],
        _scratch: &mut [f32],
    ) {
        let (kernels, chip) = (self.kernels(), self.chip());
        let shapes: Vec<Shape> = args.iter().map(|arg| arg.shape).collect();
        let arguments: Vec<Option<M::Memory>> = (args.iter().enumerate())
            // What a vjp says it does not read is not there.
            .map(|(i, arg)| {
                let read = !arg.is_absent() && self.vjp_reads(i);
                read.then(|| self.upload(arg.data, self.argument_dtype(i)))
            })
            .collect();
        let scratch = self.space(kernels.scratch(&shapes, &chip), Dtype::F32);
        let (dy, kept) = (self.upload(dy, self.output_dtype(0)), self.upload(saved, Dtype::F32));
        let gradients: Vec<Option<(M::Memory, bool)>> = (dargs.iter_mut().enumerate())
            .map(|(i, darg)| {
                let (data, adds) = darg.raw();
                let start = |adds| match adds {
                    true => self.upload(data, self.argument_dtype(i)),
                    false => self.space(data.len(), self.argument_dtype(i)),
                };
                (!data.is_empty()).then(|| (start(adds), adds))
            })
            .collect();
        run(
            &self.machine,
            kernels.ptx().of(&chip),
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
        for (i, (darg, gradient)) in dargs.iter_mut().zip(&gradients).enumerate() {
            if let Some((memory, _)) = gradient {
                self.download(memory, darg.raw().0, self.argument_dtype(i));
            }
        }
    }
}
