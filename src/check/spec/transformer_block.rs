//! `transformer_block` (Vaswani et al. 2017, arXiv 1706.03762, section 3): attention, then
//! feed-forward, each beside the stream in the same wiring.

use super::case::Case;
use super::layers::{Block, Gradients, rows};
use super::operator::{Attr, Axis, Fill, Formula, Named, Operator, Problem, Role, Setting, Slot};
use crate::check::call::{Attrs, Call};
use crate::num::Num;

pub struct TransformerBlock;

/// The sizes of blocks: heads are `kv_heads`·`group`, the width is heads·`head_width`.
pub const KV_HEADS: Axis = Axis { name: "kv_heads", sizes: &[1, 2, 3] };
pub const GROUP: Axis = Axis { name: "group", sizes: &[1, 2] };
pub const HEAD_WIDTH: Axis = Axis { name: "head_width", sizes: &[4, 5, 8] };
pub const HIDDEN: Axis = Axis { name: "hidden", sizes: &[3, 8, 16, 33] };

/// The attributes of blocks that do not follow from sizes.
pub const NORM: Attr =
    Attr { name: "norm", values: &[Setting::Word("layer_norm"), Setting::Word("rms_norm")] };
pub const WIRING: Attr = Attr {
    name: "wiring",
    values: &[Setting::Word("pre_ln"), Setting::Word("post_ln"), Setting::Word("deepnorm")],
};
pub const FUNCTION: Attr = Attr {
    name: "fn",
    values: &[
        Setting::Word("gelu"),
        Setting::Word("relu"),
        Setting::Word("gelu_tanh"),
        Setting::Word("silu"),
    ],
};
pub const CAUSAL: Attr =
    Attr { name: "causal", values: &[Setting::Bool(true), Setting::Bool(false)] };
pub const ALPHA: Attr = Attr {
    name: "alpha",
    values: &[Setting::Num(1.0), Setting::Num(2.25), Setting::Num(0.0), Setting::Num(0.5)],
};
pub const EPS: Attr =
    Attr { name: "eps", values: &[Setting::Num(1e-5), Setting::Num(1e-3), Setting::Num(0.1)] };

impl Operator for TransformerBlock {
    fn name(&self) -> &'static str {
        "transformer_block"
    }
    fn axes(&self) -> &'static [Axis] {
        &[
            Axis { name: "batch", sizes: &[1, 2, 3] },
            Axis { name: "seq", sizes: &[1, 2, 3, 5, 9] },
            KV_HEADS,
            GROUP,
            HEAD_WIDTH,
            HIDDEN,
        ]
    }
    fn attrs(&self) -> &'static [Attr] {
        &[NORM, WIRING, FUNCTION, CAUSAL, ALPHA, EPS]
    }
    fn attributes(&self, case: &Case) -> Attrs {
        with_heads(case)
    }
    fn slots(&self, case: &Case) -> Vec<Slot> {
        let shape = [case.size("batch"), case.size("seq"), width(case)];
        // A post-norm block reads x as it is: larger rows would leave nothing but one key to see.
        let mut slots = vec![Slot::new("x", &shape, Role::Data, Fill::Within(4.0))];
        slots.extend(block_slots(case, "", ""));
        slots
    }
    /// The parts of a block meet magnitudes by themselves: a block of large ones attends to one key.
    fn reach(&self, _: &Case, _: &str) -> Option<i32> {
        None
    }
    fn longest_sum(&self, call: &Call) -> Option<usize> {
        super::layers::longest_sum(call)
    }
    fn batched(&self, _: &Attrs) -> Option<Vec<String>> {
        Some(vec!["x".into(), "dy".into()])
    }
}

/// The attributes of a case and the heads that follow from its sizes.
pub fn with_heads(case: &Case) -> Attrs {
    let mut attrs = case.attrs.clone();
    attrs.insert("heads".into(), heads(case).into());
    attrs.insert("kv_heads".into(), case.size("kv_heads").into());
    attrs
}

fn heads(case: &Case) -> usize {
    case.size("kv_heads") * case.size("group")
}

/// Features of the stream.
pub fn width(case: &Case) -> usize {
    heads(case) * case.size("head_width")
}

/// A matrix whose products are of the size of what it multiplies, or somewhat smaller.
pub fn matrix(name: String, out: usize, inner: usize) -> Slot {
    let fill = Fill::Normal((inner as f64).powf(-0.5));
    Slot::new(name, &[out, inner], Role::Param, fill)
}

/// Weight and bias of a norm; `rms_norm` has no bias.
pub fn norm_slots(case: &Case, name: &str) -> Vec<Slot> {
    let mut slots = vec![Slot::param(&format!("{name}.weight"), &[width(case)])];
    if case.attrs["norm"] == "layer_norm" {
        slots.push(Slot::param(&format!("{name}.bias"), &[width(case)]));
    }
    slots
}

/// The tensors of a block behind `prefix`; the optional ones go with those behind `first`.
pub fn block_slots(case: &Case, prefix: &str, first: &str) -> Vec<Slot> {
    let (d, hidden) = (width(case), case.size("hidden"));
    let keys = case.size("kv_heads") * case.size("head_width");
    let optional = |slot: Slot, name: &str| match prefix == first {
        true => slot.optional(),
        false => slot.with(format!("{first}{name}")),
    };
    let linear = |name: &str, out: usize, inner: usize| {
        let bias = format!("{name}.bias");
        let slot = Slot::new(format!("{prefix}{bias}"), &[out], Role::Param, Fill::Normal(0.5));
        [matrix(format!("{prefix}{name}.weight"), out, inner), optional(slot, &bias)]
    };
    let mut slots = norm_slots(case, &format!("{prefix}norm1"));
    slots.extend(norm_slots(case, &format!("{prefix}norm2")));
    slots.extend(linear("attn.q", d, d));
    slots.extend(linear("attn.k", keys, d));
    slots.extend(linear("attn.v", keys, d));
    slots.extend(linear("attn.out", d, d));
    slots.extend(linear("ffn.up", hidden, d));
    slots.extend(linear("ffn.down", d, hidden));
    let gate = "ffn.gate.weight";
    slots.push(optional(matrix(format!("{prefix}{gate}"), hidden, d), gate));
    slots
}

impl<R: Num> Formula<R> for TransformerBlock {
    fn forward(&self, p: &Problem<R>) -> Vec<Named<R>> {
        let x = p.get("x");
        let (y, _) = Block::named(p, "", x.shape[1]).forward(&rows(x));
        vec![Named::new("y", &x.shape, y.concat())]
    }
    fn backward(&self, p: &Problem<R>) -> Vec<Named<R>> {
        let (x, dy) = (p.get("x"), rows(p.get("dy")));
        let block = Block::named(p, "", x.shape[1]);
        let (_, kept) = block.forward(&rows(x));
        let mut grads = Gradients::new();
        let dx = block.backward(&kept, &dy, &mut grads);
        let dx = Named::new("dx", &x.shape, dx.concat());
        std::iter::once(dx).chain(grads.outputs()).collect()
    }
}
