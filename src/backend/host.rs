//! A program on the CPU: one thread, no allocation after the plan is made.

use std::sync::Arc;

use super::buffer::Buffer;
use super::element::Element;
use super::plan::{Action, First, Pass, Place, Plan};
use crate::num::Num;
use crate::op::{Grad, MAX_ARGS, Shape, View};
use crate::program::{Id, Program, Step};

/// Sees every value when it is computed and every gradient when it is complete.
pub trait Observer<T> {
    /// A step has run forward.
    fn computed(&mut self, _program: &Program, _step: &Step, _args: &[View<T>], _outs: &[&[T]]) {}
    /// The gradient of a step's first output is complete.
    fn gradient(&mut self, _program: &Program, _value: Id, _gradient: &[T]) {}
}

/// Nobody looks.
#[derive(Debug, Clone, Copy)]
pub struct Unobserved;

impl<T> Observer<T> for Unobserved {}

/// A program with the buffers of one pass over one shard.
#[derive(Debug)]
pub struct Host<T> {
    program: Arc<Program>,
    plan: Arc<Plan>,
    slots: Vec<Buffer<T>>,
    scratch: Buffer<T>,
    gradients: Buffer<T>,
    /// Whether the gradients of the weights count as zero, whatever their vector holds.
    cleared: bool,
}

impl<T: Element> Host<T> {
    /// Makes a program ready for training passes; `segment` layers per checkpoint, 0 for none.
    pub fn training(program: Arc<Program>, segment: usize) -> Self {
        let mut host = Self::borrowing(program, segment);
        host.gradients = Buffer::zeros(host.plan.weights, 1);
        host
    }

    /// As [`Host::training`], with no vector for the gradients of the weights: one is lent to it
    /// before it runs backward, see [`Host::swap_gradients`].
    pub fn borrowing(program: Arc<Program>, segment: usize) -> Self {
        let plan = Arc::new(Plan::new::<T>(&program, true, segment));
        Self::with_plan(program, plan)
    }

    /// Makes a program ready for forward passes only, in far less memory.
    pub fn inference(program: Arc<Program>) -> Self {
        let plan = Arc::new(Plan::new::<T>(&program, false, 0));
        Self::with_plan(program, plan)
    }

    /// Elements of all buffers that [`Host::training`] would make, gradients of weights left out.
    pub fn activations(program: &Program, segment: usize) -> usize {
        Plan::new::<T>(program, true, segment).elements()
    }

    /// Another host for the same program, with buffers of its own; gradients are lent to it.
    pub fn sibling(&self) -> Self {
        Self::with_plan(self.program.clone(), self.plan.clone())
    }

    fn with_plan(program: Arc<Program>, plan: Arc<Plan>) -> Self {
        let lens = std::iter::once(plan.scratch).chain(plan.slots.iter().copied());
        let mut slots = Buffer::several(lens);
        let scratch = slots.remove(0);
        Host { slots, scratch, gradients: Buffer::default(), cleared: true, program, plan }
    }

    /// The program.
    pub fn program(&self) -> &Arc<Program> {
        &self.program
    }

    /// The plan.
    pub fn plan(&self) -> &Plan {
        &self.plan
    }

    /// The buffer of an input, to be set before a pass.
    ///
    /// # Panics
    /// Where `id` is not an input.
    pub fn input(&mut self, id: Id) -> &mut [T] {
        let slot = self.plan.inputs[&id.index()];
        &mut self.slots[slot]
    }

    /// The gradients of all weights, in the order of [`Program::weights`]: sums over the passes
    /// since [`Host::clear`].
    pub fn gradients(&self) -> &[T] {
        &self.gradients
    }

    /// Exchanges the vector of gradients for another, of the same length or of none: so one host
    /// can run the shards of a batch in turn.
    pub fn swap_gradients(&mut self, with: &mut Buffer<T>) {
        std::mem::swap(&mut self.gradients, with);
    }

    /// Sets all gradients to zero, as far as the next backward pass can tell.
    pub fn clear(&mut self) {
        self.cleared = true;
    }

    /// Runs forward and returns the loss.
    pub fn forward(&mut self, weights: &[T], states: &[T], observer: &mut impl Observer<T>) -> T {
        assert_eq!((weights.len(), states.len()), (self.plan.weights, self.plan.states));
        let plan = self.plan.clone();
        for t in 0..plan.forward {
            self.act(&plan, t, weights, states, &[], observer);
        }
        self.output()[0]
    }

    /// Runs action `t`, whichever pass it belongs to.
    fn act(
        &mut self,
        plan: &Plan,
        t: usize,
        weights: &[T],
        states: &[T],
        dy: &[T],
        observer: &mut impl Observer<T>,
    ) {
        self.fetch_next(t, weights);
        let action = &plan.actions[t];
        match action.pass {
            Pass::Forward => self.run_forward(action, weights, states, observer),
            Pass::Recompute => self.run_forward(action, weights, states, &mut Unobserved),
            Pass::Backward => {
                if t == plan.from_loss {
                    let gradient = &mut self.slots[action.outs[0]];
                    match dy {
                        [same] => gradient.fill(*same),
                        each => gradient.copy_from_slice(each),
                    }
                }
                self.run_backward(action, weights, states, observer);
            }
        }
    }

    /// Asks for what the action after number `t` reads and writes, to be there when it runs: a
    /// deep stack comes by a value once in a pass, and the hardware sees no pattern in it.
    fn fetch_next(&self, t: usize, weights: &[T]) {
        let Some(next) = self.plan.actions.get(t + 1) else { return };
        for place in &next.args {
            match place {
                Place::Weight(range) => fetch(&weights[range.clone()]),
                Place::Slot(slot) if next.pass == Pass::Backward => fetch(&self.slots[*slot]),
                // Forward, the arguments have just been computed.
                _ => {}
            }
        }
        match next.pass {
            Pass::Backward => {
                for place in &next.dargs {
                    if let Place::Weight(range) = place {
                        fetch(&self.gradients[range.clone()]);
                    }
                }
            }
            _ => next.outs.iter().for_each(|&slot| fetch(&self.slots[slot])),
        }
    }

    /// The output of the last step, after a forward pass.
    pub fn output(&self) -> &[T] {
        &self.slots[self.plan.actions[self.plan.forward - 1].outs[0]]
    }

    /// Runs backward from a gradient of the loss; the gradients of the weights are added to.
    ///
    /// # Panics
    /// On a host made for inference, and on one that has been lent no gradients.
    pub fn backward(
        &mut self,
        weights: &[T],
        states: &[T],
        dloss: T,
        observer: &mut impl Observer<T>,
    ) {
        self.backward_from(weights, states, &[dloss], observer);
    }

    /// As [`Host::backward`], from the gradient of every element of the last output.
    ///
    /// # Panics
    /// On a host made for inference, on one that has been lent no gradients, and on a gradient of
    /// another length.
    pub fn backward_from(
        &mut self,
        weights: &[T],
        states: &[T],
        dy: &[T],
        observer: &mut impl Observer<T>,
    ) {
        let plan = self.plan.clone();
        assert!(plan.forward < plan.actions.len(), "this host was made for inference");
        assert_eq!(self.gradients.len(), plan.weights, "gradients were lent to this host");
        for t in plan.forward..plan.actions.len() {
            self.act(&plan, t, weights, states, dy, observer);
        }
        self.cleared = false;
    }

    /// Copies what the states take over, as far as they take something over, to `next`.
    pub fn copy_carried(&self, next: &mut [T]) {
        let mut at = 0;
        let carries = self.program.carries();
        for (id, value) in self.program.states() {
            let len = value.shape.len();
            if let Some(carry) = carries.iter().find(|carry| carry.to == id) {
                next[at..at + len].copy_from_slice(&self.slots[self.carried_slot(carry.from)]);
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

    fn run_forward(
        &mut self,
        action: &Action,
        weights: &[T],
        states: &[T],
        observer: &mut impl Observer<T>,
    ) {
        let step = &self.program.steps()[action.step];
        let mut outs: [Buffer<T>; MAX_ARGS] = Default::default();
        for (out, &slot) in outs.iter_mut().zip(&action.outs) {
            *out = std::mem::take(&mut self.slots[slot]);
        }
        let mut saved =
            action.saved.map(|s| std::mem::take(&mut self.slots[s])).unwrap_or_default();
        let args = views(action, &self.slots, weights, states);
        let args = &args[..action.args.len()];
        {
            let mut out_slices = outs.each_mut().map(|out| &mut **out);
            let out_slices = &mut out_slices[..action.outs.len()];
            let scratch = &mut self.scratch[..action.scratch];
            T::forward(&*step.op, args, out_slices, &mut saved, scratch);
        }
        let out_views = outs.each_ref().map(|out| &**out);
        observer.computed(&self.program, step, args, &out_views[..action.outs.len()]);
        for (out, &slot) in outs.into_iter().zip(&action.outs) {
            self.slots[slot] = out;
        }
        if let Some(slot) = action.saved {
            self.slots[slot] = saved;
        }
    }

    fn run_backward(
        &mut self,
        action: &Action,
        weights: &[T],
        states: &[T],
        observer: &mut impl Observer<T>,
    ) {
        let step = &self.program.steps()[action.step];
        observer.gradient(&self.program, step.outs[0], &self.slots[action.outs[0]]);
        let mut taken: [Buffer<T>; MAX_ARGS] = Default::default();
        for (taken, place) in taken.iter_mut().zip(&action.dargs) {
            if let Place::Slot(slot) = place {
                *taken = std::mem::take(&mut self.slots[*slot]);
            }
        }
        {
            let mut slices = taken.each_mut().map(|taken| &mut **taken);
            lend_weights(&mut slices, &action.dargs, &mut self.gradients);
            let mut first = action.first.iter();
            let mut dargs = slices.map(|slice| match first.next() {
                Some(First::OfPass) => Grad::fresh(slice),
                Some(First::OfStep) if self.cleared => Grad::fresh(slice),
                _ => Grad::onto(slice),
            });
            let args = views(action, &self.slots, weights, states);
            let saved = action.saved.map_or(&[][..], |slot| &self.slots[slot]);
            T::vjp(
                &*step.op,
                &args[..action.args.len()],
                &self.slots[action.outs[0]],
                saved,
                &mut dargs[..action.args.len()],
                &mut self.scratch[..action.scratch],
            );
        }
        for (taken, place) in taken.into_iter().zip(&action.dargs) {
            if let Place::Slot(slot) = place {
                self.slots[*slot] = taken;
            }
        }
    }
}

/// Asks the second cache for the beginning of a buffer.
fn fetch<T>(data: &[T]) {
    /// Bytes of a line, and lines that the cache can spare.
    const LINE: usize = 64;
    const LINES: usize = 1024;
    for line in data.chunks(LINE / size_of::<T>()).take(LINES) {
        #[cfg(target_arch = "x86_64")]
        // SAFETY: a hint for an address that exists; it changes nothing.
        unsafe {
            use std::arch::x86_64::{_MM_HINT_T1, _mm_prefetch};
            _mm_prefetch::<_MM_HINT_T1>(line.as_ptr().cast());
        }
        #[cfg(not(target_arch = "x86_64"))]
        let _ = line;
    }
}

/// The arguments of an action. What a vjp does not read may be gone; its shape stays.
fn views<'a, T: Num>(
    action: &Action,
    slots: &'a [Buffer<T>],
    weights: &'a [T],
    states: &'a [T],
) -> [View<'a, T>; MAX_ARGS] {
    std::array::from_fn(|i| match action.args.get(i) {
        None | Some(Place::Nowhere) => {
            View { shape: action.shapes.get(i).copied().unwrap_or(Shape::ABSENT), data: &[] }
        }
        Some(Place::Weight(range)) => View::new(action.shapes[i], &weights[range.clone()]),
        Some(Place::State(range)) => View::new(action.shapes[i], &states[range.clone()]),
        Some(Place::Slot(slot)) => View::new(action.shapes[i], &slots[*slot]),
    })
}

/// Puts the ranges of the gradient vector into the slices that wait for them.
fn lend_weights<'a, T>(
    dargs: &mut [&'a mut [T]; MAX_ARGS],
    places: &[Place],
    mut gradients: &'a mut [T],
) {
    let mut at = 0;
    // Ranges are lent from the front, in ascending order.
    for _ in 0..places.len() {
        let next = (places.iter().enumerate())
            .filter_map(|(i, place)| match place {
                Place::Weight(range) if range.start >= at => Some((range.clone(), i)),
                _ => None,
            })
            .min_by_key(|(range, _)| range.start);
        let Some((range, i)) = next else { return };
        let (_, rest) = gradients.split_at_mut(range.start - at);
        let (lent, rest) = rest.split_at_mut(range.len());
        dargs[i] = lent;
        gradients = rest;
        at = range.end;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
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

    fn gradients(segment: usize) -> (Vec<f64>, usize) {
        let program = program();
        let mut host = Host::<f64>::training(program.clone(), segment);
        let weights: Vec<f64> = (0..20).map(|i| ((i * 7 % 11) as f64 - 4.0) / 5.0).collect();
        let x = program.find("x").unwrap();
        for (i, x) in host.input(x).iter_mut().enumerate() {
            *x = (i as f64 * 1.3).sin();
        }
        for _ in 0..2 {
            host.clear();
            host.forward(&weights, &[], &mut Unobserved);
            host.backward(&weights, &[], 0.5, &mut Unobserved);
        }
        (host.gradients().to_vec(), host.plan().elements())
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
        let program = program();
        let mut host = Host::<f64>::training(program.clone(), 0);
        let weights: Vec<f64> = (0..20).map(|i| ((i * 7 % 11) as f64 - 4.0) / 5.0).collect();
        let last = program.steps().len() - 1;
        // The loss of this little program is the sum of its last value.
        let total = |host: &mut Host<f64>, weights: &[f64]| {
            struct Sum(usize, f64);
            impl Observer<f64> for Sum {
                fn computed(
                    &mut self,
                    program: &Program,
                    step: &Step,
                    _: &[View<f64>],
                    outs: &[&[f64]],
                ) {
                    if step.outs == program.steps()[self.0].outs {
                        self.1 = outs[0].iter().sum();
                    }
                }
            }
            let mut sum = Sum(last, 0.0);
            host.forward(weights, &[], &mut sum);
            sum.1
        };
        total(&mut host, &weights);
        host.backward(&weights, &[], 1.0, &mut Unobserved);
        let exact = host.gradients().to_vec();
        for i in 0..20 {
            let h = 1e-6;
            let mut moved = weights.clone();
            moved[i] += h;
            let up = total(&mut host, &moved);
            moved[i] -= 2.0 * h;
            let slope = (up - total(&mut host, &moved)) / (2.0 * h);
            assert!((slope - exact[i]).abs() < 1e-8, "weight {i}: {} against {slope}", exact[i]);
        }
    }
}
