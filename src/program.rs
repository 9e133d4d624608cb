//! A stack as a straight list of steps over named values.
//!
//! A step applies one operator; the list replayed from the end, with every vjp adding, is the
//! backward pass, right under any fan-out. Values carry a name, a layer and a site, so that a
//! probe needs no hook, and a rewrite of the list (checkpointing, reuse of memory) needs no tape.

use std::fmt;

use crate::op::{Kind, Op, Shape, SharedOp};

/// A value of a [`Program`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Id(usize);

impl Id {
    /// Stands for an optional argument that is not there.
    pub const ABSENT: Id = Id(usize::MAX);
    /// The position in [`Program::values`].
    pub fn index(self) -> usize {
        self.0
    }
}

/// What a weight does in the stack: the distribution that it is drawn from depends on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Role {
    /// Query projection.
    Query,
    /// Key projection.
    Key,
    /// Value projection.
    Value,
    /// Output projection of attention.
    Out,
    /// First feed-forward matrix.
    Up,
    /// Gate of a gated feed-forward.
    Gate,
    /// Last feed-forward matrix.
    Down,
    /// Token embedding.
    Embed,
    /// The linear map from patches to the first stream.
    Patches,
    /// Learned positions.
    Positions,
    /// The matrix from the last stream to the logits.
    Head,
}

/// What a weight or a state starts at.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Start {
    /// From the distribution that the stack's initialisation has for this role.
    Drawn(Role),
    /// Every element the same constant.
    Value(f64),
    /// 1 once in every row and 0 elsewhere: in the first row at this column, in the next one column
    /// on; from 0 the identity.
    OneHot(usize),
    /// The lengths of the rows of another weight, as it starts.
    RowLengths(Id),
}

/// Where a value comes from.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Source {
    /// Set before every pass: tokens, targets, the clock.
    Input,
    /// Learned.
    Weight(Start),
    /// Carried from step to step without gradient.
    State(Start),
    /// The output of a step.
    Step(usize),
}

/// A named tensor of a program.
#[derive(Debug, Clone)]
pub struct Value {
    /// Unique; parameters are named as in published checkpoints (`blocks.3.attn.q.weight`).
    pub name: String,
    /// The part of the name behind the block: the same in every layer (`attn.q.weight`, `stream`).
    pub site: String,
    /// Sizes.
    pub shape: Shape,
    /// 0 for the embedding, i + 1 for `blocks.i`, none for what belongs to no layer.
    pub layer: Option<usize>,
    /// Where it comes from.
    pub source: Source,
}

/// One application of an operator.
#[derive(Debug, Clone)]
pub struct Step {
    /// What is applied.
    pub op: SharedOp,
    /// To what; [`Id::ABSENT`] where an optional argument is not there.
    pub args: Vec<Id>,
    /// What comes out; the first has the gradient.
    pub outs: Vec<Id>,
}

/// A state takes over a computed value when a training step ends.
#[derive(Debug, Clone, Copy)]
pub struct Carry {
    /// The computed value.
    pub from: Id,
    /// The state.
    pub to: Id,
}

/// A straight list of steps over named values; the last step's first output is the loss.
#[derive(Debug, Clone, Default)]
pub struct Program {
    values: Vec<Value>,
    steps: Vec<Step>,
    carries: Vec<Carry>,
    prefix: String,
    layer: Option<usize>,
}

impl Program {
    /// An empty program.
    pub fn new() -> Self {
        Self::default()
    }

    /// Puts what is added from here on into a layer, its names behind `prefix`.
    pub fn enter(&mut self, prefix: &str, layer: Option<usize>) {
        self.prefix = prefix.to_string();
        self.layer = layer;
    }

    /// A value that is set before every pass.
    pub fn input(&mut self, site: &str, shape: &[usize]) -> Id {
        self.value(site, Shape::new(shape), Source::Input)
    }

    /// A learned value.
    pub fn weight(&mut self, site: &str, shape: &[usize], start: Start) -> Id {
        self.value(site, Shape::new(shape), Source::Weight(start))
    }

    /// A value that is carried from step to step without gradient.
    pub fn state(&mut self, site: &str, shape: &[usize], start: Start) -> Id {
        self.value(site, Shape::new(shape), Source::State(start))
    }

    /// Applies an operator and returns its first output, named `site`.
    pub fn apply(&mut self, site: &str, op: impl Op + 'static, args: &[Id]) -> Id {
        self.apply_shared(site, std::sync::Arc::new(op), args)[0]
    }

    /// Applies an operator and returns all its outputs; the further ones are named `site.1`, ….
    ///
    /// # Panics
    /// Where the arguments do not fit the operator, or one value stands in two places (its
    /// gradient would have two writers).
    pub fn apply_shared(&mut self, site: &str, op: SharedOp, args: &[Id]) -> Vec<Id> {
        let declared = op.args();
        assert_eq!(args.len(), declared.len(), "{} takes {} arguments", op.id(), declared.len());
        for (i, (&id, arg)) in args.iter().zip(declared).enumerate() {
            assert!(id != Id::ABSENT || arg.optional, "{}.{} is needed", op.id(), arg.name);
            assert!(
                id == Id::ABSENT || !args[..i].contains(&id),
                "{} reads one value twice",
                op.id()
            );
        }
        let shapes: Vec<Shape> = args.iter().map(|&id| self.shape(id)).collect();
        let step = self.steps.len();
        let outs = (op.outputs(&shapes).into_iter().enumerate())
            .map(|(i, shape)| {
                let site = if i == 0 { site.to_string() } else { format!("{site}.{i}") };
                self.value(&site, shape, Source::Step(step))
            })
            .collect::<Vec<_>>();
        self.steps.push(Step { op, args: args.to_vec(), outs: outs.clone() });
        outs
    }

    /// Puts another body of every operator in its place.
    pub fn replace(&mut self, body: impl Fn(&SharedOp) -> SharedOp) {
        for step in &mut self.steps {
            step.op = body(&step.op);
        }
    }

    /// Lets a state take over a computed value when a training step ends.
    pub fn carry(&mut self, from: Id, to: Id) {
        self.carries.push(Carry { from, to });
    }

    /// Gives a value the site by which probes know it (`stream`, `attn`), in the current layer.
    pub fn call(&mut self, id: Id, site: &str) {
        let name = self.full_name(site);
        let value = &mut self.values[id.0];
        value.name = name;
        value.site = site.to_string();
    }

    fn full_name(&self, site: &str) -> String {
        if self.prefix.is_empty() { site.to_string() } else { format!("{}.{site}", self.prefix) }
    }

    fn value(&mut self, site: &str, shape: Shape, source: Source) -> Id {
        self.values.push(Value {
            name: self.full_name(site),
            site: site.to_string(),
            shape,
            layer: self.layer,
            source,
        });
        Id(self.values.len() - 1)
    }

    /// All values, in the order of their making.
    pub fn values(&self) -> &[Value] {
        &self.values
    }
    /// All steps, in order.
    pub fn steps(&self) -> &[Step] {
        &self.steps
    }
    /// What the states take over.
    pub fn carries(&self) -> &[Carry] {
        &self.carries
    }
    /// The value behind an id.
    pub fn get(&self, id: Id) -> &Value {
        &self.values[id.0]
    }
    /// The shape of a value; [`Shape::ABSENT`] for an absent one.
    pub fn shape(&self, id: Id) -> Shape {
        if id == Id::ABSENT { Shape::ABSENT } else { self.values[id.0].shape }
    }
    /// The id of the value called `name`.
    pub fn find(&self, name: &str) -> Option<Id> {
        self.values.iter().position(|value| value.name == name).map(Id)
    }
    /// Ids and values of everything learned, in order: the layout of a parameter vector.
    pub fn weights(&self) -> impl Iterator<Item = (Id, &Value)> {
        self.select(|source| matches!(source, Source::Weight(_)))
    }
    /// Ids and values of everything carried, in order: the layout of a state vector.
    pub fn states(&self) -> impl Iterator<Item = (Id, &Value)> {
        self.select(|source| matches!(source, Source::State(_)))
    }
    fn select(&self, keep: fn(&Source) -> bool) -> impl Iterator<Item = (Id, &Value)> {
        let values = self.values.iter().enumerate();
        values.filter(move |(_, value)| keep(&value.source)).map(|(i, value)| (Id(i), value))
    }
    /// The number of learned numbers.
    pub fn parameters(&self) -> usize {
        self.weights().map(|(_, value)| value.shape.len()).sum()
    }
    /// Bytes of the list itself: names, steps, operators.
    pub fn bytes(&self) -> usize {
        let values = self.values.iter().map(|v| v.name.capacity() + v.site.capacity());
        let steps = self.steps.iter().map(|step| {
            let ids = step.args.capacity() + step.outs.capacity();
            // An operator behind its two counts.
            ids * size_of::<Id>() + size_of_val(&*step.op) + 2 * size_of::<usize>()
        });
        values.sum::<usize>()
            + steps.sum::<usize>()
            + self.values.capacity() * size_of::<Value>()
            + self.steps.capacity() * size_of::<Step>()
    }
    /// The output of the last step.
    ///
    /// # Panics
    /// On a program without steps.
    pub fn loss(&self) -> Id {
        self.steps.last().expect("a program has steps").outs[0]
    }
    /// Whether each value has a gradient: it is learned, or computed from something that has one.
    pub fn differentiable(&self) -> Vec<bool> {
        let mut has = vec![false; self.values.len()];
        for (id, _) in self.weights() {
            has[id.0] = true;
        }
        for step in &self.steps {
            has[step.outs[0].0] = step
                .args
                .iter()
                .zip(step.op.args())
                .any(|(&id, arg)| id != Id::ABSENT && arg.kind.differentiable() && has[id.0]);
        }
        has
    }
    /// The kind that a step's operator declares for its argument `index`.
    pub fn kind(&self, step: usize, index: usize) -> Kind {
        self.steps[step].op.args()[index].kind
    }
}

impl fmt::Display for Program {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for step in &self.steps {
            let out = self.get(step.outs[0]);
            write!(f, "{:<28} {:?} = {:?}(", out.name, out.shape, step.op)?;
            let names = step.args.iter().filter(|&&id| id != Id::ABSENT);
            let names: Vec<&str> = names.map(|&id| self.get(id).name.as_str()).collect();
            writeln!(f, "{})", names.join(", "))?;
        }
        Ok(())
    }
}
