//! What to run when, and where each value lives.
//!
//! A plan is a list of actions (a step forward, forward again, or backward) and a table of slots:
//! buffers that values share whose lifetimes do not overlap. Without checkpointing the actions are
//! all steps forward, then all backward. With checkpointing (Chen et al. 2016) the layers fall
//! into segments; only what crosses a boundary stays alive, and a segment runs forward again just
//! before it runs backward. Both come from the same liveness analysis, so the memory of a run is
//! known before it starts.

use std::collections::HashMap;
use std::ops::Range;

use super::Backend;
use crate::op::{MAX_ARGS, Shape};
use crate::program::{Id, Program, Source};

/// Where an argument is found.
#[derive(Debug, Clone, PartialEq)]
pub enum Place {
    /// Nowhere: an optional argument that is not there, a gradient that nobody wants.
    Nowhere,
    /// In the parameter vector (or, for a gradient, in the vector of gradients).
    Weight(Range<usize>),
    /// In the vector of states.
    State(Range<usize>),
    /// In a slot.
    Slot(usize),
}

/// Which way an action runs its step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pass {
    /// Forward.
    Forward,
    /// Forward once more, to have values back that were dropped.
    Recompute,
    /// Backward.
    Backward,
}

/// Whether an action is the first one to write a gradient.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum First {
    /// Another one was before.
    No,
    /// Of a value: the first in every pass.
    OfPass,
    /// Of a weight, which collects over the passes of a step: the first in the first pass.
    OfStep,
}

/// One step run one way, with every place resolved.
#[derive(Debug)]
pub struct Action {
    /// Which step of the program.
    pub step: usize,
    /// Which way.
    pub pass: Pass,
    /// The arguments.
    pub args: Vec<Place>,
    /// Their shapes.
    pub shapes: Vec<Shape>,
    /// The slots forward of the outputs, backward of the gradient of the first output.
    pub outs: Vec<usize>,
    /// The slot of what the operator keeps from forward to backward.
    pub saved: Option<usize>,
    /// Length of the working space that the operator asks for.
    pub scratch: usize,
    /// Backward: where the gradients go.
    pub dargs: Vec<Place>,
    /// Backward: for which of them this action is the first.
    pub first: Vec<First>,
}

impl Action {
    /// Whether the gradient of an argument is overwritten, not added to, when the gradients of the
    /// weights are `cleared`.
    pub fn fresh(&self, arg: usize, cleared: bool) -> bool {
        match self.first.get(arg) {
            Some(First::OfPass) => true,
            Some(First::OfStep) => cleared,
            _ => false,
        }
    }
}

/// A program made ready to run.
#[derive(Debug)]
pub struct Plan {
    pub(super) actions: Vec<Action>,
    /// Length of every slot.
    pub(super) slots: Vec<usize>,
    /// Longest scratch that any step asks for.
    pub(super) scratch: usize,
    /// Where the inputs lie, by value index.
    pub(super) inputs: HashMap<usize, usize>,
    /// Actions of the forward pass; recomputation and the backward pass are behind them.
    pub(super) forward: usize,
    /// Index of the first backward action, which reads the gradient of the loss.
    pub(super) from_loss: usize,
    /// See [`Backend::padding`].
    padding: usize,
}

/// What an operator asks for beside its arguments and outputs, in elements.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Room {
    /// Kept from forward to backward.
    pub saved: usize,
    /// Working space.
    pub scratch: usize,
}

/// A buffer request: alive from one action to another.
struct Lifetime {
    len: usize,
    from: usize,
    to: usize,
    slot: usize,
}

/// What all plans of one program have in common, so that many can be compared at little cost.
#[derive(Debug)]
pub struct Planner<'a> {
    program: &'a Program,
    shapes: Vec<Vec<Shape>>,
    /// Elements that each step keeps from forward to backward.
    saved: Vec<usize>,
    /// Elements of working space that each step asks for.
    scratch: Vec<usize>,
    /// The steps that hand a gradient on.
    runs: Vec<bool>,
    has_gradient: Vec<bool>,
    /// See [`Backend::padding`].
    padding: usize,
}

/// What a plan takes, gradients of weights left out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Need {
    /// Elements of all slots.
    pub slots: usize,
    /// Elements of the longest scratch.
    pub scratch: usize,
    /// Bytes of the plan itself.
    pub structure: usize,
}

impl<'a> Planner<'a> {
    /// A planner for `program` on a backend.
    pub fn new(backend: &impl Backend, program: &'a Program) -> Self {
        let shapes: Vec<Vec<Shape>> = (program.steps().iter())
            .map(|step| step.args.iter().map(|&id| program.shape(id)).collect())
            .collect();
        let steps = program.steps().iter().zip(&shapes);
        let (saved, scratch) = (steps.map(|(step, shapes)| backend.room(&*step.op, shapes)))
            .map(|room| (room.saved, room.scratch))
            .unzip();
        let (runs, has_gradient) = (backward_steps(program), program.differentiable());
        let padding = backend.padding();
        Planner { program, shapes, saved, scratch, runs, has_gradient, padding }
    }

    /// What a training pass takes with `segment` layers per checkpointing segment, 0 for none.
    /// Agrees with the plan to the element, but resolves no action.
    pub fn training(&self, segment: usize) -> Need {
        self.need(true, segment)
    }

    /// What a forward pass takes.
    pub fn inference(&self) -> Need {
        self.need(false, 0)
    }

    fn need(&self, backward: bool, segment: usize) -> Need {
        let order = self.order(backward, segment);
        let mut layout = Layout::new(self, &order, &mut |_| {});
        let slots = layout.assign(order.len());
        let actions = order.iter().map(|&(s, pass)| {
            let step = &self.program.steps()[s];
            let backward = pass == Pass::Backward;
            let each = size_of::<Place>() + size_of::<Shape>();
            let gradient = if backward { size_of::<Place>() + size_of::<First>() } else { 0 };
            let outs = if backward { 1 } else { step.outs.len() };
            size_of::<Action>() + step.args.len() * (each + gradient) + outs * size_of::<usize>()
        });
        Need {
            // A plan that no machine could hold must still say so, instead of wrapping around.
            slots: all(&slots, self.padding),
            scratch: self.scratch.iter().copied().max().unwrap_or(0),
            structure: actions.sum::<usize>() + size_of_val(&slots[..]),
        }
    }
}

impl Plan {
    /// Plans one forward and, if `backward`, one backward pass.
    ///
    /// `segment` is the number of layers per checkpointing segment; 0 keeps every value.
    pub(super) fn new(
        backend: &impl Backend,
        program: &Program,
        backward: bool,
        segment: usize,
    ) -> Plan {
        let planner = Planner::new(backend, program);
        let order = planner.order(backward, segment);
        let mut uses = Vec::with_capacity(order.len());
        let layout = Layout::new(&planner, &order, &mut |used| uses.push(used));
        layout.finish(&planner, order, &uses)
    }

    /// Number of elements of all slots and the scratch: everything but parameters, their
    /// gradients and the states.
    pub fn elements(&self) -> usize {
        // A plan that no machine could hold must still say so, instead of wrapping around.
        all(&self.slots, self.padding).saturating_add(self.scratch)
    }
}

/// Elements of all slots, and what each takes beyond them.
fn all(slots: &[usize], padding: usize) -> usize {
    slots.iter().fold(0, |sum: usize, &len| sum.saturating_add(len + padding))
}

/// The values that a step's pass reads.
fn reads(program: &Program, step: usize, pass: Pass) -> impl Iterator<Item = Id> + '_ {
    let step = &program.steps()[step];
    let wanted = move |index: usize| pass != Pass::Backward || step.op.vjp_reads(index);
    let args = step.args.iter().enumerate();
    args.filter(move |&(index, &id)| id != Id::ABSENT && wanted(index)).map(|(_, &id)| id)
}

/// The steps that hand a gradient on.
fn backward_steps(program: &Program) -> Vec<bool> {
    let has = program.differentiable();
    let mut reached = vec![false; program.values().len()];
    reached[program.loss().index()] = true;
    let mut runs = vec![false; program.steps().len()];
    for (i, step) in program.steps().iter().enumerate().rev() {
        let out = step.outs[0].index();
        runs[i] = reached[out] && has[out];
        if runs[i] {
            for (index, &id) in step.args.iter().enumerate() {
                if id != Id::ABSENT && program.kind(i, index).differentiable() {
                    reached[id.index()] = true;
                }
            }
        }
    }
    runs
}

impl Planner<'_> {
    /// The order of actions.
    fn order(&self, backward: bool, segment: usize) -> Vec<(usize, Pass)> {
        let (program, saved, runs) = (self.program, &self.saved, &self.runs);
        let steps = program.steps();
        let mut order: Vec<(usize, Pass)> = (0..steps.len()).map(|s| (s, Pass::Forward)).collect();
        if !backward {
            return order;
        }
        let forward = order.len();
        let segments = segments(program, segment);
        for (i, range) in segments.iter().enumerate().rev() {
            if i + 1 < segments.len() {
                order.extend(range.clone().map(|s| (s, Pass::Recompute)));
            }
            order.extend(range.clone().rev().filter(|&s| runs[s]).map(|s| (s, Pass::Backward)));
        }

        // What is run again only to be dropped is not run again.
        let mut wanted = vec![false; program.values().len()];
        let mut wanted_saved = vec![false; steps.len()];
        let mut keep = vec![true; order.len()];
        for (t, &(s, pass)) in order.iter().enumerate().skip(forward).rev() {
            if pass == Pass::Backward {
                wanted_saved[s] = saved[s] > 0;
            } else {
                keep[t] = wanted_saved[s] || steps[s].outs.iter().any(|id| wanted[id.index()]);
                if !keep[t] {
                    continue;
                }
                wanted_saved[s] = false;
                steps[s].outs.iter().for_each(|id| wanted[id.index()] = false);
            }
            reads(program, s, pass).for_each(|id| wanted[id.index()] = true);
        }
        let mut keep = keep.iter();
        order.retain(|_| *keep.next().expect("one flag per action"));
        order
    }
}

/// Cuts the steps into segments of `size` layers; what belongs to no layer joins its neighbour.
fn segments(program: &Program, size: usize) -> Vec<Range<usize>> {
    let steps = program.steps();
    let mut cuts = vec![0];
    if size > 0 {
        let mut last = 0;
        for (s, step) in steps.iter().enumerate() {
            let layer = program.get(step.outs[0]).layer.unwrap_or(last);
            if layer > last && layer > 1 && (layer - 1).is_multiple_of(size) {
                cuts.push(s);
            }
            last = layer;
        }
    }
    cuts.push(steps.len());
    cuts.windows(2).map(|cut| cut[0]..cut[1]).collect()
}

/// The lifetimes of all buffers.
struct Layout {
    lifetimes: Vec<Lifetime>,
    /// Of the inputs, by value index.
    inputs: HashMap<usize, usize>,
}

/// Which lifetimes an action uses.
struct Uses {
    /// Of each argument's value; none for weights and states.
    args: [Option<usize>; MAX_ARGS],
    /// Forward: of the outputs. Backward: of dy.
    outs: [Option<usize>; MAX_ARGS],
    /// Of what forward leaves for backward.
    saved: Option<usize>,
    /// Of each argument's gradient, and whether the action is the first to write it.
    dargs: [Option<usize>; MAX_ARGS],
    first: [bool; MAX_ARGS],
}

impl Layout {
    /// Lays out an order of actions and hands on what each of them uses.
    fn new(planner: &Planner, order: &[(usize, Pass)], used: &mut impl FnMut(Uses)) -> Layout {
        let Planner { program, saved, has_gradient, .. } = planner;
        let mut layout = Layout { lifetimes: Vec::new(), inputs: HashMap::new() };
        let values = program.values();
        let mut value: Vec<Option<usize>> = vec![None; values.len()];
        let mut gradient: Vec<Option<usize>> = vec![None; values.len()];
        let mut kept: Vec<Option<usize>> = vec![None; saved.len()];
        for (i, v) in values.iter().enumerate() {
            if v.source == Source::Input {
                // Inputs outlive the pass: they are set from outside.
                let lifetime = layout.open(v.shape.len(), 0);
                layout.lifetimes[lifetime].to = order.len();
                value[i] = Some(lifetime);
                layout.inputs.insert(i, lifetime);
            }
        }
        for (t, &(s, pass)) in order.iter().enumerate() {
            let step = &program.steps()[s];
            let backward = pass == Pass::Backward;
            let mut uses = Uses {
                args: [None; MAX_ARGS],
                outs: [None; MAX_ARGS],
                saved: None,
                dargs: [None; MAX_ARGS],
                first: [false; MAX_ARGS],
            };
            for (index, &id) in step.args.iter().enumerate() {
                let read = id != Id::ABSENT && (!backward || step.op.vjp_reads(index));
                let lifetime = if read { value[id.index()] } else { None };
                uses.args[index] = lifetime.inspect(|&l| layout.touch(l, t));
            }
            if backward {
                let y = step.outs[0].index();
                let dy = *gradient[y].get_or_insert_with(|| {
                    // Only the loss has a gradient that no action wrote.
                    layout.open(values[y].shape.len(), t)
                });
                layout.touch(dy, t);
                uses.outs[0] = Some(dy);
                for (index, &id) in step.args.iter().enumerate() {
                    let wanted = id != Id::ABSENT
                        && step.op.args()[index].kind.differentiable()
                        && has_gradient[id.index()]
                        && matches!(values[id.index()].source, Source::Step(_));
                    if wanted {
                        let i = id.index();
                        uses.first[index] = gradient[i].is_none();
                        let lifetime = *gradient[i]
                            .get_or_insert_with(|| layout.open(values[i].shape.len(), t));
                        layout.touch(lifetime, t);
                        uses.dargs[index] = Some(lifetime);
                    }
                }
                kept[s].iter().for_each(|&l| layout.touch(l, t));
            } else {
                for (out, id) in uses.outs.iter_mut().zip(&step.outs) {
                    let lifetime = layout.open(values[id.index()].shape.len(), t);
                    value[id.index()] = Some(lifetime);
                    *out = Some(lifetime);
                }
                kept[s] = (saved[s] > 0).then(|| layout.open(saved[s], t));
            }
            uses.saved = kept[s];
            used(uses);
        }
        // The loss and what the states take over are read when the pass is over.
        let carried = program.carries().iter().map(|carry| carry.from);
        for id in carried.chain([program.loss()]) {
            let lifetime = value[id.index()].expect("it was computed");
            layout.touch(lifetime, order.len());
        }
        layout
    }

    fn open(&mut self, len: usize, t: usize) -> usize {
        self.lifetimes.push(Lifetime { len, from: t, to: t, slot: usize::MAX });
        self.lifetimes.len() - 1
    }

    fn touch(&mut self, lifetime: usize, t: usize) {
        let to = &mut self.lifetimes[lifetime].to;
        *to = t.max(*to);
    }

    /// Gives every lifetime a slot of its length; the stack's few lengths make reuse near perfect.
    fn assign(&mut self, actions: usize) -> Vec<usize> {
        // Lifetimes are opened in the order of their beginnings; those that end at one action are
        // a chain, so that nothing is allocated per action.
        const END: usize = usize::MAX;
        let mut chains = vec![END; actions + 1];
        let mut next = vec![END; self.lifetimes.len()];
        for (i, lifetime) in self.lifetimes.iter().enumerate().rev() {
            next[i] = std::mem::replace(&mut chains[lifetime.to], i);
        }
        let mut slots = Vec::new();
        let mut free: HashMap<usize, Vec<usize>> = HashMap::new();
        let mut begun = 0;
        for (t, &chain) in chains.iter().enumerate() {
            while let Some(lifetime) = self.lifetimes.get_mut(begun).filter(|l| l.from == t) {
                lifetime.slot =
                    free.get_mut(&lifetime.len).and_then(Vec::pop).unwrap_or_else(|| {
                        slots.push(lifetime.len);
                        slots.len() - 1
                    });
                begun += 1;
            }
            let mut ended = chain;
            while ended != END {
                let lifetime = &self.lifetimes[ended];
                free.entry(lifetime.len).or_default().push(lifetime.slot);
                ended = next[ended];
            }
        }
        slots
    }

    fn finish(mut self, planner: &Planner, order: Vec<(usize, Pass)>, uses: &[Uses]) -> Plan {
        let program = planner.program;
        let mut slots = self.assign(order.len());
        slots.shrink_to_fit();
        let slot = |lifetime: usize| self.lifetimes[lifetime].slot;
        let mut vectors: Vec<Place> = vec![Place::Nowhere; program.values().len()];
        let (mut weights, mut states) = (0, 0);
        for (i, value) in program.values().iter().enumerate() {
            let len = value.shape.len();
            match value.source {
                Source::Weight(_) => {
                    vectors[i] = Place::Weight(weights..weights + len);
                    weights += len;
                }
                Source::State(_) => {
                    vectors[i] = Place::State(states..states + len);
                    states += len;
                }
                _ => {}
            }
        }
        let forward = order.iter().position(|&(_, pass)| pass != Pass::Forward);
        let from_loss = order.iter().position(|&(_, pass)| pass == Pass::Backward);
        let mut met = vec![false; program.values().len()];
        let mut first_of = |id: Id| {
            let weight = matches!(vectors[id.index()], Place::Weight(_));
            weight && !std::mem::replace(&mut met[id.index()], true)
        };
        let actions: Vec<Action> = (order.iter().zip(uses))
            .map(|(&(s, pass), uses)| {
                let step = &program.steps()[s];
                let place = |id: Id, lifetime: Option<usize>| match lifetime {
                    Some(lifetime) => Place::Slot(slot(lifetime)),
                    None if id == Id::ABSENT => Place::Nowhere,
                    None => vectors[id.index()].clone(),
                };
                let gradient =
                    |index: usize, id: Id, lifetime: Option<usize>| match place(id, lifetime) {
                        Place::State(_) => Place::Nowhere,
                        _ if !step.op.args()[index].kind.differentiable() => Place::Nowhere,
                        place => place,
                    };
                let ids = || step.args.iter().copied();
                // Only a backward action has gradients to put somewhere.
                let dids = || ids().take(if pass == Pass::Backward { MAX_ARGS } else { 0 });
                let outs = uses.outs.iter().flatten();
                Action {
                    step: s,
                    pass,
                    args: exact(ids().zip(uses.args).map(|(id, l)| place(id, l))),
                    shapes: planner.shapes[s].clone(),
                    outs: exact(outs.map(|&l| slot(l))),
                    saved: uses.saved.map(slot),
                    scratch: planner.scratch[s],
                    dargs: exact(
                        (dids().zip(uses.dargs).enumerate())
                            .map(|(index, (id, l))| gradient(index, id, l)),
                    ),
                    first: exact(dids().zip(uses.first).map(|(id, first)| match first {
                        true => First::OfPass,
                        false if id != Id::ABSENT && first_of(id) => First::OfStep,
                        false => First::No,
                    })),
                }
            })
            .collect();
        Plan {
            scratch: planner.scratch.iter().copied().max().unwrap_or(0),
            actions,
            inputs: self.inputs.iter().map(|(&value, &l)| (value, slot(l))).collect(),
            slots,
            forward: forward.unwrap_or(order.len()),
            from_loss: from_loss.unwrap_or(order.len()),
            padding: planner.padding,
        }
    }
}

/// A list without room to grow: plans of deep stacks hold many.
fn exact<T>(items: impl Iterator<Item = T>) -> Vec<T> {
    let mut list: Vec<T> = items.collect();
    list.shrink_to_fit();
    list
}
