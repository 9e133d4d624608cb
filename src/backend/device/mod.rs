//! A device that runs kernels: the same plan, the same calls, on a [`Machine`].
//!
//! Which kernels an operator launches is its own affair ([`crate::op::device`]); here are the places
//! of its tensors in the machine's memory, and the kernels of a training step that belong to no operator.

#[cfg(feature = "cuda")]
mod cuda;
mod interpreted;
mod launches;
mod linear;
mod machine;
mod operator;
mod pace;
mod prepared;
#[cfg(feature = "cuda")]
mod products;
mod recording;

use std::borrow::Cow;
use std::ops::Range;

#[cfg(feature = "cuda")]
pub use cuda::Cuda;
pub use interpreted::Interpreted;
pub use machine::{Machine, Product, Value};
pub use operator::OnMachine;
pub use pace::Pace;
pub use prepared::Prepared;
pub use recording::Recording;

use self::launches::{Operands, run};
use super::{Action, Backend, Memory, Pass, Place, Room, Rule, Stretch, Update};
use crate::op::device::{Kernels, Launch, Param};
use crate::op::linear::Linear;
use crate::op::{Op, Shape};

/// Kernels of the sum of gradients and of the optimisers.
const UPDATE: &str = include_str!("update.ptx");
/// Threads of a block that forms a sum.
const THREADS: u32 = 256;

/// A machine that programs run on, in `f32`.
#[derive(Debug, Clone)]
pub struct Device<M> {
    machine: M,
}

impl<M: Machine> Device<M> {
    /// Programs on this machine.
    pub fn new(machine: M) -> Self {
        Device { machine }
    }

    /// Runs a kernel of [`UPDATE`] over these tensors.
    fn launch(&self, launch: Launch, args: Vec<Option<launches::Place<M::Memory>>>) {
        let Some(&Some((any, _))) = args.first() else { return };
        let (outs, grads) = (Vec::new(), Vec::new());
        let operands = Operands { args, outs, dy: None, grads, saved: any, scratch: any };
        run(&self.machine, UPDATE, &[launch], &operands);
    }
}

/// Numbers in a machine's memory.
#[derive(Debug)]
pub struct Vector<M: Machine> {
    memory: M::Memory,
    len: usize,
}

impl<M: Machine> Vector<M> {
    fn at(&self, element: usize) -> launches::Place<'_, M::Memory> {
        (&self.memory, element * size_of::<f32>())
    }
}

/// The norm of a gradient as one `f64`, the partial sums that it is formed from, and the losses of
/// its step, side by side in memory.
#[derive(Debug)]
pub struct Norm<M: Machine> {
    memory: Option<M::Memory>,
    parts: usize,
    losses: usize,
}

impl<M: Machine> Default for Norm<M> {
    fn default() -> Self {
        Norm { memory: None, parts: 0, losses: 0 }
    }
}

fn kernels(op: &dyn Op) -> &dyn Kernels {
    op.kernels().unwrap_or_else(|| panic!("{} has no kernels: see Backend::runs", op.id()))
}

fn is_linear(op: &dyn Op) -> bool {
    op.id() == Linear.id()
}

impl<M: Machine> Backend for Device<M> {
    type Number = f32;
    type Buffer = Vector<M>;
    type Norm = Norm<M>;
    type Pace = Pace<M>;
    type Recording = Recording<M>;

    fn lanes(&self, _threads: usize) -> usize {
        1
    }

    fn room(&self, op: &dyn Op, shapes: &[Shape]) -> Room {
        let (kernels, chip) = (kernels(op), self.machine.chip());
        Room { saved: kernels.saved(shapes, &chip), scratch: kernels.scratch(shapes, &chip) }
    }

    fn allocate(&self, lens: &[usize]) -> Vec<Vector<M>> {
        let vector = |&len: &usize| {
            let memory = self.machine.allocate(len * size_of::<f32>(), true);
            Vector { memory, len }
        };
        lens.iter().map(vector).collect()
    }

    fn upload(&self, to: &mut Vector<M>, range: Range<usize>, write: impl FnOnce(&mut [f32])) {
        let mut numbers = vec![0.0f32; range.len()];
        write(&mut numbers);
        let bytes: Vec<u8> = numbers.iter().flat_map(|x| x.to_le_bytes()).collect();
        self.machine.write(&to.memory, range.start * size_of::<f32>(), &bytes);
    }

    fn download<'a>(&self, from: &'a Vector<M>, range: Range<usize>) -> Cow<'a, [f32]> {
        let mut bytes = vec![0; range.len() * size_of::<f32>()];
        self.machine.read(&from.memory, range.start * size_of::<f32>(), &mut bytes);
        bytes.as_chunks::<4>().0.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect()
    }

    fn copy(&self, from: &Vector<M>, range: Range<usize>, to: &mut Vector<M>, at: usize) {
        let [bytes, from_at, to_at] = [range.len(), range.start, at].map(|n| n * size_of::<f32>());
        if bytes > 0 {
            self.machine.copy(&from.memory, from_at, &to.memory, to_at, bytes);
        }
    }

    fn forward(&self, op: &dyn Op, action: &Action, memory: &mut Memory<Self>) {
        let (kernels, chip) = (kernels(op), self.machine.chip());
        let operands = operands(op, action, memory);
        if is_linear(op) && linear::forward(&self.machine, &action.shapes, &operands) {
            return;
        }
        let launches = kernels.forward(&action.shapes, &chip);
        run(&self.machine, kernels.ptx().of(&chip), &launches, &operands);
    }

    fn vjp(&self, op: &dyn Op, action: &Action, memory: &mut Memory<Self>) {
        let (kernels, chip) = (kernels(op), self.machine.chip());
        let operands = operands(op, action, memory);
        if is_linear(op) && linear::vjp(&self.machine, kernels, &action.shapes, &operands) {
            return;
        }
        run(&self.machine, kernels.ptx().of(&chip), &kernels.vjp(&action.shapes, &chip), &operands);
    }

    fn reduce(&self, gradients: &mut [Vector<M>], losses: &[Vector<M>], norm: &mut Norm<M>) {
        use Param::*;
        let (first, others) = gradients.split_first().expect("a step has a gradient");
        let chip = self.machine.chip();
        let (blocks, len) = (chip.multiprocessors, U64(first.len as u64));
        norm.losses = losses.iter().map(|losses| losses.len).sum();
        norm.parts = blocks as usize;
        let memory = norm.memory.get_or_insert_with(|| {
            let numbers = (1 + blocks as usize) * size_of::<f64>();
            self.machine.allocate(numbers + norm.losses * size_of::<f32>(), true)
        });
        for other in others {
            let params = [Arg(0), Arg(1), len];
            let launch = Launch::by_vectors("add_vectors", first.len, &chip, &params);
            self.launch(launch, vec![Some(first.at(0)), Some(other.at(0))]);
        }
        let (root, parts) = (Some((&*memory, 0)), Some((&*memory, size_of::<f64>())));
        let squares = [Arg(0), Arg(1), len];
        let launch = Launch::new("sum_of_squares_parts", blocks as usize, THREADS, &squares);
        self.launch(launch, vec![Some(first.at(0)), parts]);
        let launch = Launch::new("sum_of_squares", 1, THREADS, &[Arg(0), Arg(1), U32(blocks)]);
        self.launch(launch, vec![parts, root]);
        let mut at = (1 + blocks as usize) * size_of::<f64>();
        for losses in losses {
            let bytes = losses.len * size_of::<f32>();
            self.machine.copy(&losses.memory, 0, memory, at, bytes);
            at += bytes;
        }
    }

    fn read(&self, norm: &Norm<M>) -> f64 {
        let Some(memory) = &norm.memory else { return 0.0 };
        let mut bytes = [0; 8];
        self.machine.read(memory, 0, &mut bytes);
        f64::from_le_bytes(bytes)
    }

    fn set_pace(&self, to: &mut Pace<M>, pace: super::Pace, rule: &Rule, stretches: &[Stretch]) {
        to.set(&self.machine, pace, rule, stretches);
    }

    fn repeat(&self, recording: &mut Recording<M>, calls: impl FnOnce()) {
        recording.repeat(&self.machine, calls);
    }

    fn update(&self, update: Update<Self>) {
        use Param::*;
        let own;
        let norm = match &update.norm.memory {
            Some(memory) => memory,
            None => {
                own = self.machine.allocate(size_of::<f64>(), true);
                &own
            }
        };
        let losses = (1 + update.norm.parts) * size_of::<f64>();
        let losses = (update.norm.losses > 0).then_some((norm, losses));
        let judged = [Arg(2), F32(update.clip as f32), Arg(3), U32(update.norm.losses as u32)];
        let chip = self.machine.chip();
        for (i, stretch) in update.stretches.iter().enumerate() {
            let (first, len) = (stretch.range.start, stretch.range.len());
            let mut tensors =
                vec![Some(update.parameters.at(first)), Some(update.gradient.at(first))];
            tensors.extend([Some((norm, 0)), losses]);
            tensors.extend(update.pace.of(i));
            tensors.push(Some(update.m.at(first)));
            let pace = [Arg(4), Arg(5)];
            let launch = match *update.rule {
                Rule::Adamw { beta1, beta2, eps } => {
                    tensors.push(Some(update.v.at(first)));
                    let moments = [beta1, 1.0 - beta1, beta2, 1.0 - beta2];
                    let moments = moments.map(|share| F32(share as f32));
                    let eps = F32((eps * stretch.factors.eps) as f32);
                    let vectors = [Arg(0), Arg(1), Arg(6), Arg(7), U64(len as u64)];
                    let params = [&vectors[..], &judged, &moments, &pace, &[eps]].concat();
                    Launch::by_vectors("adamw", len, &chip, &params)
                }
                Rule::Muon { .. } => panic!("no kernels for Muon: see Backend::follows"),
                Rule::Sgd { beta } => {
                    let vectors = [Arg(0), Arg(1), Arg(6), U64(len as u64)];
                    let params = [&vectors[..], &judged, &[F32(beta as f32)], &pace].concat();
                    Launch::by_vectors("sgd", len, &chip, &params)
                }
            };
            self.launch(launch, tensors);
        }
    }

    fn runs(&self, op: &dyn Op) -> bool {
        op.kernels().is_some()
    }

    fn follows(&self, rule: &Rule) -> bool {
        !matches!(rule, Rule::Muon { .. })
    }

    fn name(&self) -> Option<String> {
        Some(self.machine.name())
    }

    fn free(&self) -> Option<u64> {
        self.machine.free()
    }

    fn failure(&self) -> Option<String> {
        self.machine.failure()
    }
}

/// The tensors of an action.
fn operands<'a, M: Machine>(
    op: &dyn Op,
    action: &Action,
    memory: &'a Memory<'_, Device<M>>,
) -> Operands<'a, M::Memory> {
    let place = |place: &Place, vector: Option<&'a Vector<M>>| match place {
        Place::Nowhere => None,
        Place::Weight(range) => vector.map(|vector| vector.at(range.start)),
        Place::State(range) => Some(memory.states.at(range.start)),
        Place::Slot(slot) => Some(memory.slots[*slot].at(0)),
    };
    let slot = |slot: usize| memory.slots[slot].at(0);
    let backward = action.pass == Pass::Backward;
    let args = action.args.iter().enumerate().map(|(i, arg)| match backward && !op.vjp_reads(i) {
        true => None,
        false => place(arg, Some(memory.parameters)),
    });
    let gradients = memory.gradients.as_deref();
    let grads = action.dargs.iter().enumerate().map(|(i, darg)| {
        place(darg, gradients).map(|place| (place, !action.fresh(i, memory.cleared)))
    });
    Operands {
        args: args.collect(),
        outs: if backward {
            Vec::new()
        } else {
            action.outs.iter().map(|&out| slot(out)).collect()
        },
        dy: backward.then(|| slot(action.outs[0])),
        grads: grads.collect(),
        saved: action.saved.map_or(&memory.scratch.memory, |saved| &memory.slots[saved].memory),
        scratch: &memory.scratch.memory,
    }
}
