//! A Transformer block, wrong in the ways in which it has been.

use super::layers::{Block, Grads, Matrix, Net};
use super::{Control, Mutant, Mutation};
use crate::check::call::Dir;
use crate::check::spec::operator::{Named, Problem};
use crate::num::Num;

const fn mutant(id: &'static str, class: &'static str, about: &'static str) -> Mutant {
    Mutant::new("transformer_block", id, class, about)
}

pub const MUTANTS: &[Mutant] = &[
    mutant("block_skip_normed", "wiring", "pre_ln adds the branch to the normed stream"),
    mutant("block_post_as_pre", "wiring", "post_ln wired as pre_ln"),
    mutant("block_norm_forgotten", "wiring", "no norm anywhere"),
    mutant("block_alpha_on_branch", "wiring", "alpha multiplies the branch, not the stream"),
    mutant("block_alpha_forgotten", "wiring", "deepnorm without alpha"),
    mutant("block_alpha_on_both", "wiring", "alpha multiplies stream and branch"),
    mutant("block_alpha_always", "wiring", "alpha in every wiring"),
    mutant("block_norm2_of_norm1", "wiring", "the second norm uses the affine map of the first"),
    mutant("block_branches_swapped", "wiring", "feed-forward first, then attention"),
    mutant(
        "block_norm2_of_x",
        "wiring",
        "the second sublayer reads the block's input, not the sum",
    ),
    mutant("block_skip_of_sum", "wiring", "the second skip takes the sum before the first norm"),
    mutant("block_rms_centred", "statistics", "rms_norm subtracts the mean"),
    mutant("block_eps_fixed", "epsilon", "eps is 1e-5 whatever is asked"),
    mutant("block_out_bias_forgotten", "wiring", "the bias of attn.out is not added"),
    mutant("block_ffn_bias_forgotten", "wiring", "the biases of the feed-forward are not added"),
    mutant("block_qkv_bias_forgotten", "wiring", "the biases of q, k and v are not added"),
    mutant("block_kv_modulo", "mask", "query head h reads key head h mod kv_heads"),
    mutant("block_heads_interleaved", "axis", "head h is channels h, h + heads, …"),
    mutant("block_scale_of_width", "wiring", "scores over the root of the width, not of a head's"),
    mutant("block_scale_missing", "wiring", "scores are not scaled"),
    mutant("block_causal_missing", "mask", "no causal mask"),
    mutant("block_causal_strict", "mask", "a position does not see itself"),
    mutant("block_gate_ignored", "activation", "the gate of the feed-forward is ignored"),
    mutant("block_gate_and_up_swapped", "activation", "fn(up·x) ⊙ gate·x"),
    mutant("block_gelu_as_tanh", "activation", "the tanh form where erf is asked"),
    mutant("block_skip_gradient_lost", "backward", "the gradient of the skip is dropped"),
    mutant(
        "block_branch_gradient_lost",
        "backward",
        "the gradient through the norm is not added to the skip's",
    ),
    mutant("block_branch_gradient_twice", "backward", "the gradient of the branch counts twice"),
    mutant("block_alpha_not_in_backward", "backward", "backward leaves alpha out"),
    mutant(
        "block_softmax_elementwise",
        "backward",
        "the softmax's gradient taken element by element",
    ),
    mutant("block_dk_unscaled", "backward", "the gradient of k lacks the scale of the scores"),
    mutant("block_v_gradient_lost", "backward", "the gradient through v does not reach x"),
    mutant(
        "block_kv_gradient_of_one_head",
        "backward",
        "k and v collect from the last query head of a group only",
    ),
    mutant(
        "block_bias_gradient_of_one_row",
        "backward",
        "the gradients of biases hold the first row only",
    ),
    mutant(
        "block_statistics_constant",
        "backward",
        "mean and deviation taken for constants in backward",
    ),
    mutant(
        "block_stale_rstd",
        "backward",
        "from the second call on, backward reads a deviation that is not this call's",
    ),
];

pub const CONTROLS: &[Control] = &[
    Control { id: "block_pairwise", op: "transformer_block", about: "sums by halves" },
    Control { id: "block_wide", op: "transformer_block", about: "sums kept in f64" },
    Control { id: "block_backwards", op: "transformer_block", about: "sums from the last term" },
    Control { id: "block_fused_qkv", op: "transformer_block", about: "one product for q, k and v" },
];

pub fn answer<R: Num>(p: &Problem<R>, t: Mutation) -> Vec<Named<R>> {
    let t = Mutation { id: t.id.strip_prefix("block_").unwrap_or(""), ..t };
    let shape = &p.get("x").shape;
    let block = Block { net: Net { p, t, read: "", write: "" }, seq: shape[1] };
    let (y, kept) = block.forward(&Matrix::of(p, "x"));
    if p.call.dir == Dir::Fwd {
        return vec![Named::new("y", shape, y.data)];
    }
    let mut grads = Grads::zeros(p, &["x", "dy"]);
    let dx = block.backward(&kept, &Matrix::of(p, "dy"), &mut grads);
    let dx = Named::new("dx", shape, dx.data);
    std::iter::once(dx).chain(grads.outputs()).collect()
}
