//! A program on a device, with the buffers of one pass.

use std::borrow::Cow;
use std::ops::Range;
use std::sync::Arc;

use super::{Action, Backend, Memory, Observer, Pass, Place, Plan, Seen};
use crate::program::{Id, Program};

/// A program with the buffers of one pass. Nothing is allocated after it is made.
#[derive(Debug)]
pub struct Runner<B: Backend> {
    backend: B,
    program: Arc<Program>,
    plan: Arc<Plan>,
    slots: Vec<B::Buffer>,
    scratch: B::Buffer,
    /// Whether the gradients of the weights count as zero, whatever their buffer holds.
    cleared: bool,
}

impl<B: Backend> Runner<B> {
    /// Makes a program ready for training passes; `segment` layers per checkpoint, 0 for none.
    pub fn training(backend: B, program: Arc<Program>, segment: usize) -> Self {
        let plan = Arc::new(Plan::new(&backend, &program, true, segment));
        Self::with_plan(backend, program, plan)
    }

    /// Makes a program ready for forward passes only, in far less memory.
    pub fn inference(backend: B, program: Arc<Program>) -> Self {
        let plan = Arc::new(Plan::new(&backend, &program, false, 0));
        Self::with_plan(backend, program, plan)
    }

    /// Another one of the same program and plan, with buffers of its own.
    pub fn sibling(&self) -> Self {
        Self::with_plan(self.backend.clone(), self.program.clone(), self.plan.clone())
    }

    fn with_plan(backend: B, program: Arc<Program>, plan: Arc<Plan>) -> Self {
        let lens: Vec<usize> = std::iter::once(plan.scratch).chain(plan.slots.clone()).collect();
        let mut slots = backend.allocate(&lens);
        let scratch = slots.remove(0);
        Runner { backend, program, plan, slots, scratch, cleared: true }
    }

    /// The program.
    pub fn program(&self) -> &Arc<Program> {
        &self.program
    }

    /// The plan.
    pub fn plan(&self) -> &Plan {
        &self.plan
    }

    /// The buffer of an input, to be filled before a pass.
    ///
    /// # Panics
    /// Where `id` is not an input.
    pub fn input(&mut self, id: Id) -> &mut B::Buffer {
        let slot = self.plan.inputs[&id.index()];
        &mut self.slots[slot]
    }

    /// Sets all gradients to zero, as far as the next backward pass can tell.
    pub fn clear(&mut self) {
        self.cleared = true;
    }

    /// Runs forward. Parameters and states are in the order of [`Program::weights`] and
    /// [`Program::states`].
    pub fn forward(
        &mut self,
        parameters: &B::Buffer,
        states: &B::Buffer,
        observer: &mut impl Observer<B>,
    ) {
        self.forward_steps(0..self.plan.forward, parameters, states, observer);
    }

    /// Runs some steps of a forward pass, of which those before have run: parameters that no step
    /// before reads may have changed in between.
    pub fn forward_steps(
        &mut self,
        steps: Range<usize>,
        parameters: &B::Buffer,
        states: &B::Buffer,
        observer: &mut impl Observer<B>,
    ) {
        let plan = self.plan.clone();
        for t in steps {
            self.act(&plan, t, parameters, states, None, observer);
        }
    }

    /// Runs backward from the gradient of the last step's first output, `dy`. What the weights'
    /// gradients are is added to `gradients`, unless [`Runner::clear`] came before.
    ///
    /// # Panics
    /// On a runner made for inference.
    pub fn backward(
        &mut self,
        parameters: &B::Buffer,
        states: &B::Buffer,
        dy: &B::Buffer,
        gradients: &mut B::Buffer,
        observer: &mut impl Observer<B>,
    ) {
        let plan = self.plan.clone();
        assert!(plan.forward < plan.actions.len(), "this runner was made for inference");
        for t in plan.forward..plan.actions.len() {
            if t == plan.from_loss {
                let slot = plan.actions[t].outs[0];
                self.backend.copy(dy, 0..self.output_len(), &mut self.slots[slot], 0);
            }
            self.act(&plan, t, parameters, states, Some(gradients), observer);
        }
        self.cleared = false;
    }

    /// Copies what the last step computed, after a forward pass.
    pub fn copy_output(&self, to: &mut B::Buffer, at: usize) {
        self.backend.copy(&self.slots[self.output_slot()], 0..self.output_len(), to, at);
    }

    /// What the last step computed, after a forward pass: of a stack in training, its loss.
    pub fn output(&self) -> Cow<'_, [B::Number]> {
        self.backend.download(&self.slots[self.output_slot()], 0..self.output_len())
    }

    fn output_slot(&self) -> usize {
        self.plan.actions[self.plan.forward - 1].outs[0]
    }

    fn output_len(&self) -> usize {
        let last = self.plan.actions[self.plan.forward - 1].step;
        self.program.shape(self.program.steps()[last].outs[0]).len()
    }

    /// Copies what the states take over, as far as they take something over.
    pub fn copy_carried(&self, next: &mut B::Buffer) {
        let mut at = 0;
        let carries = self.program.carries();
        for (id, value) in self.program.states() {
            let len = value.shape.len();
            if let Some(carry) = carries.iter().find(|carry| carry.to == id) {
                self.backend.copy(&self.slots[self.carried_slot(carry.from)], 0..len, next, at);
            }
            at += len;
        }
    }

    fn carried_slot(&self, value: Id) -> usize {
        let actions = self.plan.actions.iter().rev().filter(|a| a.pass != Pass::Backward);
        for action in actions {
            let outs = &self.program.steps()[action.step].outs;
            if let Some(k) = outs.iter().position(|&out| out == value) {
                return action.outs[k];
            }
        }
        unreachable!("a carried value is computed")
    }

    /// Runs action `t`, whichever pass it belongs to.
    fn act(
        &mut self,
        plan: &Plan,
        t: usize,
        parameters: &B::Buffer,
        states: &B::Buffer,
        gradients: Option<&mut B::Buffer>,
        observer: &mut impl Observer<B>,
    ) {
        if let Some(next) = plan.actions.get(t + 1) {
            self.prefetch(next, parameters, gradients.as_deref());
        }
        let action = &plan.actions[t];
        let (backend, program) = (&self.backend, &*self.program);
        let mut memory = Memory {
            parameters,
            states,
            slots: &mut self.slots,
            scratch: &mut self.scratch,
            gradients,
            cleared: self.cleared,
        };
        let op = &*program.steps()[action.step].op;
        match action.pass {
            Pass::Forward => {
                backend.forward(op, action, &mut memory);
                observer.computed(&Seen { backend, program, action, memory: &memory });
            }
            Pass::Recompute => backend.forward(op, action, &mut memory),
            Pass::Backward => {
                observer.gradient(&Seen { backend, program, action, memory: &memory });
                backend.vjp(op, action, &mut memory);
            }
        }
    }

    /// Asks for what an action reads and writes, to be there when it runs: a deep stack comes by a
    /// value once in a pass, and the hardware sees no pattern in it.
    fn prefetch(&self, next: &Action, parameters: &B::Buffer, gradients: Option<&B::Buffer>) {
        let slot = |slot: usize| self.backend.prefetch(&self.slots[slot], 0..self.plan.slots[slot]);
        for place in &next.args {
            match place {
                Place::Weight(range) => self.backend.prefetch(parameters, range.clone()),
                Place::Slot(at) if next.pass == Pass::Backward => slot(*at),
                // Forward, the arguments have just been computed.
                _ => {}
            }
        }
        match (next.pass, gradients) {
            (Pass::Backward, Some(gradients)) => {
                for place in &next.dargs {
                    if let Place::Weight(range) = place {
                        self.backend.prefetch(gradients, range.clone());
                    }
                }
            }
            (Pass::Backward, None) => {}
            _ => next.outs.iter().for_each(|&at| slot(at)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backend::{Buffer, Host, Unobserved};
    use crate::op::norm::LayerNorm;
    use crate::op::residual::{Residual, Scale};
    use crate::program::Start;

    /// A value used twice, a weight used twice, a norm: ½ of everything that can go wrong.
    fn program() -> Arc<Program> {
        let mut p = Program::new();
        let x = p.input("x", &[3, 4]);
        let w = p.weight("w", &[3, 4], Start::Value(1.0));
        let g = p.weight("g", &[4], Start::Value(1.0));
        let b = p.weight("b", &[4], Start::Value(0.0));
        let mut h = p.apply("h", Residual::PLAIN, &[x, w]);
        for layer in 1..=4 {
            p.enter(&format!("blocks.{}", layer - 1), Some(layer));
            let n = p.apply("norm", LayerNorm { eps: 1e-5 }, &[h, g, b]);
            let s = p.apply("scale", Scale { factor: 0.7 }, &[n]);
            let m = p.apply("mid", Residual { alpha: 1.0, beta: 0.5 }, &[h, s]);
            h = p.apply("stream", Residual { alpha: 1.0, beta: 0.5 }, &[m, n]);
        }
        p.enter("", None);
        Arc::new(p)
    }

    fn at_its_input(segment: usize) -> Runner<Host<f64>> {
        let program = program();
        let mut runner = Runner::training(Host::new(), program.clone(), segment);
        for (i, x) in runner.input(program.find("x").unwrap()).iter_mut().enumerate() {
            *x = (i as f64 * 1.3).sin();
        }
        runner
    }

    fn weights() -> Buffer<f64> {
        (0..20).map(|i| ((i * 7 % 11) as f64 - 4.0) / 5.0).collect()
    }

    fn gradients(segment: usize) -> (Vec<f64>, usize) {
        let mut runner = at_its_input(segment);
        let (weights, states) = (weights(), Buffer::default());
        let (dy, mut gradients) = ([0.5; 12].into_iter().collect(), Buffer::zeros(20));
        for _ in 0..2 {
            runner.clear();
            runner.forward(&weights, &states, &mut Unobserved);
            runner.backward(&weights, &states, &dy, &mut gradients, &mut Unobserved);
        }
        (gradients.to_vec(), runner.plan().elements())
    }

    #[test]
    fn checkpointing_changes_memory_and_not_a_bit() {
        let (plain, all) = gradients(0);
        let (checkpointed, fewer) = gradients(2);
        assert_eq!(plain, checkpointed);
        assert!(fewer < all, "{fewer} against {all} elements");
        assert!(plain.iter().all(|g| *g != 0.0));
    }

    #[test]
    fn backward_agrees_with_differences_under_fan_out() {
        let mut runner = at_its_input(0);
        let (weights, states) = (weights(), Buffer::default());
        // The loss of this little program is the sum of its last value.
        let total = |runner: &mut Runner<Host<f64>>, weights: &[f64]| -> f64 {
            let weights = weights.iter().copied().collect();
            runner.forward(&weights, &states, &mut Unobserved);
            runner.output().iter().sum()
        };
        total(&mut runner, &weights);
        let (dy, mut exact) = ([1.0; 12].into_iter().collect(), Buffer::zeros(20));
        runner.backward(&weights, &states, &dy, &mut exact, &mut Unobserved);
        for i in 0..20 {
            let h = 1e-6;
            let mut moved = weights.to_vec();
            moved[i] += h;
            let up = total(&mut runner, &moved);
            moved[i] -= 2.0 * h;
            let slope = (up - total(&mut runner, &moved)) / (2.0 * h);
            assert!((slope - exact[i]).abs() < 1e-8, "weight {i}: {} against {slope}", exact[i]);
        }
    }
}
