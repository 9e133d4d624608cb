//! One block: its two branches, and the pieces that a wiring puts together.

use std::sync::Arc;

use super::architecture::cube_root;
use super::{Architecture, FeedForward, Positions, Streams, Survival};
use crate::op::activation::{Activation, Gated};
use crate::op::attention::Attention;
use crate::op::dropout::{DropPath, Dropout, Survivors};
use crate::op::head_gain::HeadGain;
use crate::op::linear::Linear;
use crate::op::per_head::PerHead;
use crate::op::ramp::Ramp;
use crate::op::residual::{GainedResidual, Residual, Scale};
use crate::op::rotary::Rotary;
use crate::op::shift_noise::ShiftNoise;
use crate::op::{Initial, Kind, SharedOp};
use crate::program::{Id, Program, Role, Start};

/// A program in the making.
pub struct Builder<'a> {
    /// What has been built so far.
    pub program: Program,
    /// What it is built from.
    pub stack: &'a Architecture,
    /// The input that random operators draw from, where there are any.
    pub clock: Option<Id>,
    training: bool,
    samples: usize,
    /// Number of random operators so far: each draws from a stream of its own.
    random: u64,
}

/// Which of a block's two branches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Branch {
    /// Attention, site `attn`.
    Attention,
    /// Feed-forward, site `ffn`.
    FeedForward,
}

/// A place inside of a branch that a wiring may change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// The queries, before they are rotated.
    Query,
    /// The keys, before they are rotated.
    Key,
    /// The values.
    Value,
    /// What attention reads to its output matrix, the heads side by side.
    Mixed,
    /// What the feed-forward reads to its last matrix.
    Hidden,
}

/// One sublayer in the making: what a [`Wiring`](super::Wiring) is written with.
pub struct Sublayer<'b, 'a> {
    builder: &'b mut Builder<'a>,
    branch: Branch,
    layer: usize,
}

impl<'a> Builder<'a> {
    /// Nothing yet, of a stack over `samples` sequences; `training` switches on what is dropped and
    /// the statistics of the batch.
    pub fn new(stack: &'a Architecture, samples: usize, training: bool) -> Self {
        Builder { program: Program::new(), stack, clock: None, training, samples, random: 0 }
    }

    /// Sequences of a pass.
    pub(super) fn samples(&self) -> usize {
        self.samples
    }

    /// Both sublayers of block `layer`, counted from 1.
    pub fn block(&mut self, layer: usize, x: Streams) -> Streams {
        let wiring = &self.stack.wiring;
        let mut sublayer = Sublayer { builder: self, branch: Branch::Attention, layer };
        let x = wiring.wire(&mut sublayer, x);
        sublayer.builder.program.call(x.first(), "mid");
        sublayer.branch = Branch::FeedForward;
        let x = wiring.wire(&mut sublayer, x);
        self.program.call(x.first(), "stream");
        x
    }

    /// A norm whose output is `name` and whose tensors are named behind it.
    pub fn norm(&mut self, name: &str, x: Id) -> Id {
        let width = self.program.shape(x).cols();
        self.norm_by(name, self.stack.norm.operator(self.training), width, x)
    }

    /// The same over the features of every head by itself.
    pub fn head_norm(&mut self, name: &str, x: Id) -> Id {
        let head_width = self.stack.width / self.stack.heads;
        let norm = self.stack.norm.operator(self.training);
        self.norm_by(name, Arc::new(PerHead { head_width, norm }), head_width, x)
    }

    /// A norm over `width` features.
    pub(super) fn norm_by(&mut self, name: &str, op: SharedOp, width: usize, x: Id) -> Id {
        let outs = self.with_own(name, op, &[x], width, self.stack.learns_norms);
        self.noise(&format!("{name}.noisy"), outs[0])
    }

    /// Applies an operator to its first arguments. The others are tensors of its own, named behind `name`
    /// and as large as in its example of this size; what it carries is taken over in training.
    fn with_own(
        &mut self,
        name: &str,
        op: SharedOp,
        given: &[Id],
        width: usize,
        learns: bool,
    ) -> Vec<Id> {
        let x = self.program.shape(given[0]);
        let example = op.example(x.rows(), x.cols());
        let (mut args, mut states) = (given.to_vec(), Vec::new());
        for (arg, shape) in op.args().iter().zip(&example).skip(given.len()) {
            let start = match arg.initial {
                Initial::Value(value) => Start::Value(value),
                Initial::SqrtWidth => Start::Value((width as f64).sqrt()),
                Initial::RowLengths => Start::RowLengths(given[0]),
                Initial::Drawn => unreachable!("{} says what its {} starts at", op.id(), arg.name),
            };
            let tensor = format!("{name}.{}", arg.name);
            args.push(match arg.kind {
                Kind::Weight if learns => self.program.weight(&tensor, shape.sizes(), start),
                _ => self.program.state(&tensor, shape.sizes(), start),
            });
            if arg.kind == Kind::State {
                states.extend(args.last());
            }
        }
        let outs = self.program.apply_shared(name, op, &args);
        if self.training {
            for (&from, &to) in outs[1..].iter().zip(&states) {
                self.program.carry(from, to);
            }
        }
        outs
    }

    /// x + f, named `name`.
    pub fn add(&mut self, name: &str, x: Id, f: Id) -> Id {
        self.program.apply(name, Residual::PLAIN, &[x, f])
    }

    /// x, every head's columns times a learned gain from 1.
    pub fn head_gain(&mut self, name: &str, x: Id) -> Id {
        let weight = format!("{name}.weight");
        let gain = self.program.weight(&weight, &[self.stack.heads], Start::Value(1.0));
        self.program.apply(name, HeadGain, &[x, gain])
    }

    /// What the wiring makes of a place inside of a branch.
    fn inside(&mut self, part: Part, x: Id) -> Id {
        let wiring = &self.stack.wiring;
        wiring.inside(self, part, x)
    }

    /// Dropout of the elements of x, where the configuration asks for it.
    pub fn dropout(&mut self, site: &str, x: Id) -> Id {
        let p = self.stack.dropout;
        if p == 0.0 || !self.training {
            return x;
        }
        let dropout = Dropout { p, seed: self.random_seed(), training: true };
        self.program.apply(site, dropout, &[x, self.clock.expect("set before the blocks")])
    }

    /// factor·x, named `site`; x itself where that is the same.
    pub(super) fn scale(&mut self, site: &str, factor: f64, x: Id) -> Id {
        if factor == 1.0 { x } else { self.program.apply(site, Scale { factor }, &[x]) }
    }

    /// A branch times the factor that its warm-up has reached, where there is one.
    fn warm_up(&mut self, site: &str, x: Id) -> Id {
        let over = self.stack.residual_warmup;
        match self.clock {
            Some(clock) if over > 0 => self.program.apply(site, Ramp { over }, &[x, clock]),
            _ => x,
        }
    }

    /// What a norm leaves with noise of a new mean and variance at every step, where that is asked for.
    fn noise(&mut self, site: &str, x: Id) -> Id {
        let size = self.stack.norm_noise;
        match self.clock {
            Some(clock) if size > 0.0 && self.training => {
                let noise = ShiftNoise { size, seed: self.random_seed() };
                self.program.apply(site, noise, &[x, clock])
            }
            _ => x,
        }
    }

    fn random_seed(&mut self) -> u64 {
        self.random += 1;
        crate::rng::mix(self.stack.seed ^ crate::rng::mix(self.random))
    }

    fn linear(&mut self, name: &str, x: Id, features: usize, role: Role) -> Id {
        let shape = [features, self.program.shape(x).cols()];
        let tensor = format!("{name}.weight");
        let weight = self.program.weight(&tensor, &shape, Start::Drawn(role));
        let weight = self.formed(&tensor, weight);
        let bias = if self.stack.biases.contains(&name) {
            self.program.weight(&format!("{name}.bias"), &[features], Start::Value(0.0))
        } else {
            Id::ABSENT
        };
        self.program.apply(name, Linear, &[x, weight, bias])
    }

    /// The matrix of a product, in the form that the stack has its weights in.
    fn formed(&mut self, name: &str, weight: Id) -> Id {
        let mut given = vec![weight];
        for op in self.stack.weights.operators() {
            let width = self.program.shape(weight).cols();
            let outs = self.with_own(&format!("{name}.{}", op.id()), op, &given, width, true);
            given = [&[weight], &outs[..]].concat();
        }
        given.get(1).copied().unwrap_or(weight)
    }

    fn attention(&mut self, x: Id) -> Id {
        let stack = self.stack;
        let (heads, kv_heads) = (stack.heads, stack.kv_heads);
        let head_width = stack.width / heads;
        let q = self.linear("attn.q", x, stack.width, Role::Query);
        let k = self.linear("attn.k", x, kv_heads * head_width, Role::Key);
        let v = self.linear("attn.v", x, kv_heads * head_width, Role::Value);
        let q = self.inside(Part::Query, q);
        let k = self.inside(Part::Key, k);
        let v = self.inside(Part::Value, v);
        let ([mut q, mut k], scale) = self.qk_norm([q, k], head_width);
        let rotary = match stack.positions {
            Positions::None | Positions::Learned => None,
            Positions::Rotary => Some(Rotary::new(head_width, stack.seq)),
            Positions::Rotary3 => {
                let edge = cube_root(stack.seq).expect("the configuration has checked it");
                Some(Rotary::in_cube(head_width, edge))
            }
        };
        if let Some(rotary) = rotary {
            q = self.program.apply("attn.q.rotated", rotary.clone(), &[q]);
            k = self.program.apply("attn.k.rotated", rotary, &[k]);
        }
        let (causal, softcap) = (stack.causal, stack.softcap);
        let scale = scale.or(stack.attention_scale);
        let attention = Attention { kv_heads, causal, scale, softcap, ..Attention::causal(heads) };
        let mixed = self.program.apply("attn.mixed", attention, &[q, k, v, Id::ABSENT, Id::ABSENT]);
        let mixed = self.inside(Part::Mixed, mixed);
        self.linear("attn.out", mixed, stack.width, Role::Out)
    }

    fn feed_forward(&mut self, x: Id) -> Id {
        let stack = self.stack;
        let up = self.linear("ffn.up", x, stack.hidden, Role::Up);
        let hidden = match stack.ffn {
            FeedForward::Plain => {
                let activation = Activation { function: stack.activation };
                self.program.apply("ffn.hidden", activation, &[up])
            }
            FeedForward::Gated => {
                let gate = self.linear("ffn.gate", x, stack.hidden, Role::Gate);
                let gated = Gated { function: stack.activation };
                self.program.apply("ffn.hidden", gated, &[gate, up])
            }
        };
        let hidden = self.inside(Part::Hidden, hidden);
        self.linear("ffn.down", hidden, stack.width, Role::Down)
    }

    fn drop_path(&mut self, site: &str, layer: usize, x: Id) -> Id {
        let stack = self.stack;
        let p = match stack.survival {
            Survival::Linear => stack.stochastic_depth * layer as f64 / stack.depth as f64,
            Survival::Uniform => stack.stochastic_depth,
        };
        let scales_later = stack.survivors == Survivors::ScaledAtTest;
        if p == 0.0 || !(self.training || scales_later) {
            return x;
        }
        let drop_path = DropPath {
            p,
            seed: self.random_seed(),
            training: self.training,
            survivors: stack.survivors,
            per: stack.drop_per,
        };
        debug_assert_eq!(self.program.shape(x).sizes()[0], self.samples);
        self.program.apply(site, drop_path, &[x, self.clock.expect("set before the blocks")])
    }
}

impl Sublayer<'_, '_> {
    /// f(x): attention or feed-forward, with its dropouts.
    pub fn branch(&mut self, x: Id) -> Id {
        let b = &mut *self.builder;
        let (site, f) = match self.branch {
            Branch::Attention => ("attn", b.attention(x)),
            Branch::FeedForward => ("ffn", b.feed_forward(x)),
        };
        let f = b.dropout(&format!("{site}.dropped"), f);
        let f = b.drop_path(&format!("{site}.survived"), self.layer, f);
        let f = b.scale(&format!("{site}.scaled"), b.stack.branch_factor, f);
        let f = b.warm_up(&format!("{site}.warmed"), f);
        b.program.call(f, site);
        f
    }

    /// The norm of this sublayer, `norm1` or `norm2`.
    pub fn norm(&mut self, x: Id) -> Id {
        self.builder.norm(["norm1", "norm2"][self.branch as usize], x)
    }

    /// The norm behind the branch, `norm1_out` or `norm2_out`.
    pub fn norm_out(&mut self, x: Id) -> Id {
        self.builder.norm(["norm1_out", "norm2_out"][self.branch as usize], x)
    }

    /// A norm before the branch, `norm1_in` or `norm2_in`, where that of the sublayer is elsewhere.
    pub fn norm_in(&mut self, x: Id) -> Id {
        self.builder.norm(["norm1_in", "norm2_in"][self.branch as usize], x)
    }

    /// x + f.
    pub fn add(&mut self, x: Id, f: Id) -> Id {
        self.residual(Residual::PLAIN, x, f)
    }

    /// alpha·x + beta·f.
    pub fn residual(&mut self, residual: Residual, x: Id, f: Id) -> Id {
        self.builder.program.apply(["sum1", "sum2"][self.branch as usize], residual, &[x, f])
    }

    /// r + beta·f, of a further stream.
    pub fn add_further(&mut self, r: Id, f: Id, beta: f64) -> Id {
        let site = ["further1", "further2"][self.branch as usize];
        self.builder.program.apply(site, Residual { alpha: 1.0, beta }, &[r, f])
    }

    /// x + n, for the branch to read.
    pub fn join(&mut self, x: Id, n: Id) -> Id {
        self.builder.add(["read1", "read2"][self.branch as usize], x, n)
    }

    /// α·f, where α rises from 1/`over` in the first step of training to 1.
    pub fn ramp(&mut self, f: Id, over: usize) -> Id {
        let site = ["ramp1", "ramp2"][self.branch as usize];
        let clock = self.builder.clock.expect("set before the blocks");
        self.builder.program.apply(site, Ramp { over }, &[f, clock])
    }

    /// x + gain ⊙ f with a learned gain of `len` elements.
    pub fn gained(&mut self, x: Id, f: Id, len: usize, start: Start) -> Id {
        let (gain, sum) = [("scale1", "sum1"), ("scale2", "sum2")][self.branch as usize];
        let gain = self.builder.program.weight(gain, &[len], start);
        self.builder.program.apply(sum, GainedResidual, &[x, f, gain])
    }

    /// factor·x.
    pub fn scale(&mut self, x: Id, factor: f64) -> Id {
        let site = ["norm1.scaled", "norm2.scaled"][self.branch as usize];
        self.builder.program.apply(site, Scale { factor }, &[x])
    }

    /// What has been built so far.
    pub fn program(&mut self) -> &mut Program {
        &mut self.builder.program
    }

    /// A site of this sublayer: `name1` of attention, `name2` of the feed-forward.
    pub fn site(&self, name: &str) -> String {
        format!("{name}{}", self.branch as usize + 1)
    }

    /// Which branch it is.
    pub fn kind(&self) -> Branch {
        self.branch
    }

    /// Blocks of the stack.
    pub fn depth(&self) -> usize {
        self.builder.stack.depth
    }

    /// The block, counted from 1.
    pub fn layer(&self) -> usize {
        self.layer
    }

    /// Features of the stream.
    pub fn width(&self) -> usize {
        self.builder.stack.width
    }
}
