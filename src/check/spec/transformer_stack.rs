//! `transformer_stack`: tokens to the mean loss, through any number of blocks.
//!
//! x = embed[token] + positions[t], the blocks, the final norm where there is one, logits = x·headᵀ
//! where `head.weight` is that of the embedding if it is absent (Press & Wolf 2017, arXiv
//! 1608.05859), and the cross entropy of the targets that are not `ignore_index`.

use super::case::Case;
use super::layers::{
    Block, Branch, Gradients, Linear, Norm, Normed, Param, Passed, Rows, Sums, cross_entropy,
};
use super::operator::{
    Attr, Axis, Fill, Formula, Named, Operator, Problem, Role, Setting, Slot, number,
};
use super::transformer_block::{
    ALPHA, CAUSAL, EPS, FUNCTION, GROUP, HEAD_WIDTH, HIDDEN, KV_HEADS, NORM, WIRING, block_slots,
    matrix, norm_slots, width, with_heads,
};
use crate::check::call::{Attrs, Call};
use crate::num::Num;

pub struct TransformerStack;

impl Operator for TransformerStack {
    fn name(&self) -> &'static str {
        "transformer_stack"
    }
    fn axes(&self) -> &'static [Axis] {
        &[
            Axis { name: "batch", sizes: &[1, 2, 3] },
            Axis { name: "seq", sizes: &[1, 2, 3, 5, 9] },
            KV_HEADS,
            GROUP,
            HEAD_WIDTH,
            HIDDEN,
            Axis { name: "depth", sizes: &[1, 2, 3, 4] },
            Axis { name: "vocab", sizes: &[5, 17, 50, 300] },
            Axis { name: "longest", sizes: &[9, 11] },
        ]
    }
    fn attrs(&self) -> &'static [Attr] {
        use Setting::Int;
        &[
            NORM,
            WIRING,
            FUNCTION,
            CAUSAL,
            ALPHA,
            EPS,
            Attr { name: "ignore_index", values: &[Int(-100), Int(0), Int(-1), Int(2)] },
        ]
    }
    fn attributes(&self, case: &Case) -> Attrs {
        let mut attrs = with_heads(case);
        attrs.insert("depth".into(), case.size("depth").into());
        attrs
    }
    fn slots(&self, case: &Case) -> Vec<Slot> {
        let (d, vocab) = (width(case), case.size("vocab"));
        let shape = [case.size("batch"), case.size("seq")];
        let ignored = case.num("ignore_index") as i64;
        // Now and then a target is no token, which must be refused.
        let targets = match case.seed % 8 {
            0 => Fill::Below(2 * vocab),
            _ => Fill::Labels { classes: vocab, ignored },
        };
        let table =
            |name: &str, rows: usize| Slot::new(name, &[rows, d], Role::Param, Fill::Normal(1.0));
        let mut slots = vec![
            Slot::new("tokens", &shape, Role::Index, Fill::Below(vocab)),
            Slot::new("targets", &shape, Role::Index, targets),
            table("embed.weight", vocab),
            table("positions.weight", case.size("longest")).optional(),
        ];
        for i in 0..case.size("depth") {
            slots.extend(block_slots(case, &format!("blocks.{i}."), "blocks.0."));
        }
        let norm = norm_slots(case, "norm").into_iter().enumerate();
        slots.extend(norm.map(|(i, slot)| match i {
            0 => slot.optional(),
            _ => slot.with("norm.weight"),
        }));
        slots.push(matrix("head.weight".into(), vocab, d).optional());
        slots
    }
    fn upstream(&self, _: &Case) -> (&'static str, Vec<usize>) {
        ("dloss", Vec::new())
    }
    /// The parts of a block meet magnitudes by themselves: a block of large ones attends to one key.
    fn reach(&self, _: &Case, _: &str) -> Option<i32> {
        None
    }
    fn longest_sum(&self, call: &Call) -> Option<usize> {
        super::layers::longest_sum(call)
    }
    fn must_refuse(&self, call: &Call) -> bool {
        let ignored = number(&call.attrs, "ignore_index");
        let vocab = call.tensors["embed.weight"].shape[0] as f64;
        let targets = &call.tensors["targets"].values;
        targets.iter().any(|&t| t != ignored && !(0.0..vocab).contains(&t))
    }
}

/// The parts of a stack.
struct Stack<'a, R> {
    embed: Param<'a, R>,
    positions: Option<Param<'a, R>>,
    blocks: Vec<Block<'a, R>>,
    norm: Option<Norm<'a, R>>,
    head: Linear<'a, R>,
    tokens: Vec<usize>,
    targets: Vec<usize>,
    kept: Vec<bool>,
    seq: usize,
}

/// What the backward pass of a stack reads.
struct Run<R> {
    blocks: Vec<Passed<R>>,
    normed: Vec<Normed<R>>,
    last: Rows<R>,
    logits: Rows<R>,
}

impl<'a, R: Num> Stack<'a, R> {
    fn of(p: &'a Problem<R>) -> Self {
        let index =
            |name: &str| -> Vec<f64> { p.get(name).data.iter().map(|i| i.value()).collect() };
        let (seq, ignored) = (p.get("tokens").shape[1], p.num("ignore_index"));
        let (targets, vocab) = (index("targets"), p.get("embed.weight").shape[0] as f64);
        // What is no token counts for nothing here: such a call is refused.
        let counts = |&t: &f64| t != ignored && (0.0..vocab).contains(&t);
        let block = |i: i64| Block::named(p, &format!("blocks.{i}."), seq);
        let head = Param::opt(p, "head.weight").unwrap_or_else(|| Param::get(p, "embed.weight"));
        Stack {
            embed: Param::get(p, "embed.weight"),
            positions: Param::opt(p, "positions.weight"),
            blocks: (0..p.int("depth")).map(block).collect(),
            norm: p.opt("norm.weight").map(|_| Norm::named(p, "norm")),
            head: Linear::of(head),
            tokens: index("tokens").into_iter().map(|token| token as usize).collect(),
            kept: targets.iter().map(counts).collect(),
            targets: targets.into_iter().map(|target| target as usize).collect(),
            seq,
        }
    }

    fn forward(&self) -> Run<R> {
        let mut x = Sums::new(self.tokens.len(), self.embed.cols());
        for (row, &token) in self.tokens.iter().enumerate() {
            x.add_row(row, self.embed.row(token));
            if let Some(positions) = &self.positions {
                x.add_row(row, positions.row(row % self.seq));
            }
        }
        let mut x = x.total();
        let mut blocks = Vec::new();
        for block in &self.blocks {
            let (y, kept) = block.forward(&x);
            blocks.push(kept);
            x = y;
        }
        let mut normed = Vec::new();
        if let Some(norm) = &self.norm {
            (x, normed) = norm.forward(&x);
        }
        let (logits, last) = self.head.forward(&x);
        Run { blocks, normed, last, logits: logits.total() }
    }

    fn backward(&self, run: &Run<R>, dlogits: &Rows<R>) -> Gradients<R> {
        let mut grads = Gradients::new();
        let mut dx = Sums::new(self.tokens.len(), self.embed.cols());
        self.head.backward(&run.last, dlogits, &mut dx, &mut grads);
        let mut dx = dx.total();
        if let Some(norm) = &self.norm {
            dx = norm.backward(&run.normed, &dx, &mut grads);
        }
        for (block, kept) in self.blocks.iter().zip(&run.blocks).rev() {
            dx = block.backward(kept, &dx, &mut grads);
        }
        for (row, dx) in dx.iter().enumerate() {
            grads.of(&self.embed).add_row(self.tokens[row], dx);
            if let Some(positions) = &self.positions {
                grads.of(positions).add_row(row % self.seq, dx);
            }
        }
        grads
    }
}

impl<R: Num> Formula<R> for TransformerStack {
    fn forward(&self, p: &Problem<R>) -> Vec<Named<R>> {
        let stack = Stack::of(p);
        let logits = stack.forward().logits;
        let (loss, _) = cross_entropy(&logits, &stack.targets, &stack.kept, R::one());
        let shape = [p.get("tokens").shape.as_slice(), &[stack.embed.rows()]].concat();
        vec![Named::new("loss", &[], vec![loss]), Named::new("logits", &shape, logits.concat())]
    }
    fn backward(&self, p: &Problem<R>) -> Vec<Named<R>> {
        let stack = Stack::of(p);
        let run = stack.forward();
        let dloss = p.get("dloss").data[0];
        let (_, dlogits) = cross_entropy(&run.logits, &stack.targets, &stack.kept, dloss);
        stack.backward(&run, &dlogits).outputs().collect()
    }
}
