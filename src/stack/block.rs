//! One block: its two branches, and the pieces that a wiring puts together.

use super::architecture::cube_root;
use super::{Architecture, FeedForward, Positions, Streams, Survival};
use crate::op::activation::{Activation, Gated};
use crate::op::attention::Attention;
use crate::op::dropout::{DropPath, Dropout};
use crate::op::linear::Linear;
use crate::op::residual::{GainedResidual, Residual, Scale};
use crate::op::rotary::Rotary;
use crate::op::{Initial, Kind};
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
        let op = self.stack.norm.operator(self.training);
        let example = op.example(2, width);
        let mut args = vec![x];
        for (arg, shape) in op.args().iter().zip(&example).skip(1) {
            let start = Start::Value(match arg.initial {
                Initial::Value(value) => value,
                Initial::SqrtWidth => (width as f64).sqrt(),
                Initial::Drawn => unreachable!("a norm says what its {} starts at", arg.name),
            });
            let tensor = format!("{name}.{}", arg.name);
            args.push(match arg.kind {
                Kind::Weight => self.program.weight(&tensor, shape.sizes(), start),
                _ => self.program.state(&tensor, shape.sizes(), start),
            });
        }
        let states: Vec<Id> = (op.args().iter().zip(&args))
            .filter(|(arg, _)| arg.kind == Kind::State)
            .map(|(_, &id)| id)
            .collect();
        let outs = self.program.apply_shared(name, op, &args);
        if self.training {
            for (&from, &to) in outs[1..].iter().zip(&states) {
                self.program.carry(from, to);
            }
        }
        outs[0]
    }

    /// x + f, named `name`.
    pub fn add(&mut self, name: &str, x: Id, f: Id) -> Id {
        self.program.apply(name, Residual::PLAIN, &[x, f])
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

    fn random_seed(&mut self) -> u64 {
        self.random += 1;
        crate::rng::mix(self.stack.seed ^ crate::rng::mix(self.random))
    }

    fn linear(&mut self, name: &str, x: Id, features: usize, role: Role) -> Id {
        let shape = [features, self.program.shape(x).cols()];
        let weight = self.program.weight(&format!("{name}.weight"), &shape, Start::Drawn(role));
        let bias = if self.stack.biases.contains(&name) {
            self.program.weight(&format!("{name}.bias"), &[features], Start::Value(0.0))
        } else {
            Id::ABSENT
        };
        self.program.apply(name, Linear, &[x, weight, bias])
    }

    fn attention(&mut self, x: Id) -> Id {
        let stack = self.stack;
        let (heads, kv_heads) = (stack.heads, stack.kv_heads);
        let head_width = stack.width / heads;
        let mut q = self.linear("attn.q", x, stack.width, Role::Query);
        let mut k = self.linear("attn.k", x, kv_heads * head_width, Role::Key);
        let v = self.linear("attn.v", x, kv_heads * head_width, Role::Value);
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
        let attention = Attention { kv_heads, causal: stack.causal, ..Attention::causal(heads) };
        let mixed = self.program.apply("attn.mixed", attention, &[q, k, v, Id::ABSENT, Id::ABSENT]);
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
        self.linear("ffn.down", hidden, stack.width, Role::Down)
    }

    fn drop_path(&mut self, site: &str, layer: usize, x: Id) -> Id {
        let stack = self.stack;
        let p = match stack.survival {
            Survival::Linear => stack.stochastic_depth * layer as f64 / stack.depth as f64,
            Survival::Uniform => stack.stochastic_depth,
        };
        if p == 0.0 || !self.training {
            return x;
        }
        let drop_path = DropPath { p, seed: self.random_seed(), training: true };
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
