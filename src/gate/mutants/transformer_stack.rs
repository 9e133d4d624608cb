//! A stack from tokens to the loss, wrong in the ways in which it has been.

use super::layers::{Block, Grads, Matrix, Net, Norm};
use super::{Control, Mutant, Mutation};
use crate::check::call::Dir;
use crate::check::spec::operator::{Named, Problem};
use crate::num::Num;

const fn mutant(id: &'static str, class: &'static str, about: &'static str) -> Mutant {
    Mutant::new("transformer_stack", id, class, about)
}

pub const MUTANTS: &[Mutant] = &[
    mutant("stack_skip_normed", "wiring", "pre_ln adds the branch to the normed stream"),
    mutant("stack_alpha_forgotten", "wiring", "deepnorm without alpha"),
    mutant("stack_norm2_of_norm1", "wiring", "the second norm uses the affine map of the first"),
    mutant("stack_final_norm_forgotten", "wiring", "the final norm is not applied"),
    mutant(
        "stack_final_norm_always",
        "wiring",
        "a final norm without affine map where there is none",
    ),
    mutant(
        "stack_final_norm_centred",
        "wiring",
        "the final norm is a layer_norm under rms_norm too",
    ),
    mutant("stack_positions_forgotten", "wiring", "positions are not added"),
    mutant("stack_positions_late", "wiring", "position t reads row t + 1"),
    mutant("stack_embedding_scaled", "wiring", "embeddings times the root of the width"),
    mutant("stack_head_always_tied", "wiring", "logits from the embedding though there is a head"),
    mutant("stack_first_block_for_all", "wiring", "every block reads the tensors of the first"),
    mutant("stack_depth_less_one", "wiring", "the last block is left out"),
    mutant("stack_causal_missing", "mask", "no causal mask"),
    mutant("stack_gate_ignored", "activation", "the gate of the feed-forward is ignored"),
    mutant("stack_eps_fixed", "epsilon", "eps is 1e-5 whatever is asked"),
    mutant("stack_targets_shifted", "loss", "the targets are shifted by one"),
    mutant("stack_mean_of_all_rows", "loss", "the mean counts ignored rows"),
    mutant("stack_ignored_counted", "loss", "ignored rows are trained on as class 0"),
    mutant(
        "stack_accepts_strangers",
        "loss",
        "a target that is no token is taken for the last one",
    ),
    mutant("stack_dloss_ignored", "backward", "gradients as if dloss were 1"),
    mutant(
        "stack_tied_gradient_lost",
        "backward",
        "the gradient of a tied head does not reach the embedding",
    ),
    mutant(
        "stack_embedding_overwritten",
        "backward",
        "a repeated token's gradient overwrites the one before",
    ),
    mutant(
        "stack_positions_of_one_sample",
        "backward",
        "positions collect from the last sample only",
    ),
    mutant("stack_last_block_frozen", "backward", "the last block has zero gradients"),
    mutant("stack_skip_gradient_lost", "backward", "the gradient of the skip is dropped"),
    mutant(
        "stack_branch_gradient_lost",
        "backward",
        "the gradient through the norm is not added to the skip's",
    ),
    mutant(
        "stack_kv_gradient_of_one_head",
        "backward",
        "k and v collect from the last query head of a group only",
    ),
    mutant("stack_gradients_kept", "determinism", "gradients add up over calls"),
    mutant(
        "stack_stale_rstd",
        "backward",
        "from the second call on, backward reads a deviation that is not this call's",
    ),
];

pub const CONTROLS: &[Control] = &[
    Control { id: "stack_pairwise", op: "transformer_stack", about: "sums by halves" },
    Control { id: "stack_wide", op: "transformer_stack", about: "sums kept in f64" },
    Control { id: "stack_backwards", op: "transformer_stack", about: "sums from the last term" },
    Control { id: "stack_fused_qkv", op: "transformer_stack", about: "one product for q, k and v" },
];

pub fn answer<R: Num>(p: &Problem<R>, t: Mutation) -> Vec<Named<R>> {
    let t = Mutation { id: t.id.strip_prefix("stack_").unwrap_or(""), ..t };
    let (seq, depth) = (p.get("tokens").shape[1], p.int("depth") as usize);
    let index = |name: &str| -> Vec<i64> {
        p.get(name).data.iter().map(|index| index.value() as i64).collect()
    };
    let (tokens, mut targets) = (index("tokens"), index("targets"));
    if t.is("targets_shifted") {
        targets.rotate_left(1);
    }
    let embed = Matrix::of(p, "embed.weight");
    let (d, vocab) = (embed.cols, embed.rows());
    let net = Net { p, t, read: "", write: "" };

    // From tokens to the first stream.
    let mut x = Matrix::zeros(tokens.len(), d);
    let factor = R::num(if t.is("embedding_scaled") { (d as f64).sqrt() } else { 1.0 });
    let place = |row: usize, longest: usize| match t.is("positions_late") {
        true => (row % seq + 1) % longest,
        false => row % seq,
    };
    let positions = p.opt("positions.weight").filter(|_| !t.is("positions_forgotten"));
    for (r, &token) in tokens.iter().enumerate() {
        for j in 0..d {
            x.row_mut(r)[j] = factor * embed.row(token as usize)[j];
            if let Some(positions) = positions {
                x.row_mut(r)[j] += positions.data[place(r, positions.shape[0]) * d + j];
            }
        }
    }

    // The blocks.
    let names: Vec<String> = (0..depth).map(|i| format!("blocks.{i}.")).collect();
    let block = |i: usize| {
        let read = if t.is("first_block_for_all") { &names[0] } else { &names[i] };
        Block { net: Net { read, write: &names[i], ..net }, seq }
    };
    let used = if t.is("depth_less_one") { depth - 1 } else { depth };
    let mut kept = Vec::new();
    for i in 0..used {
        let (y, passed) = block(i).forward(&x);
        kept.push(passed);
        x = y;
    }

    // The final norm, the head and the loss.
    let mut norm = Norm::named(&net, "norm");
    norm.centred |= t.is("final_norm_centred");
    let mut normed = None;
    if p.opt("norm.weight").is_some() && !t.is("final_norm_forgotten") {
        let (y, rows) = net.norm(&norm, &x);
        (x, normed) = (y, Some(rows));
    } else if t.is("final_norm_always") && p.opt("norm.weight").is_none() {
        x = unit_rows(&x);
    }
    let tied = p.opt("head.weight").is_none() || t.is("head_always_tied");
    let name = if tied { "embed.weight" } else { "head.weight" };
    let head = Matrix::of(p, name);
    let logits = net.linear(&x, &head, None);
    let ignored = p.int("ignore_index");
    let class = |target: i64| match target {
        target if target == ignored && t.is("ignored_counted") => Some(0),
        target if target == ignored => None,
        target => Some((target.max(0) as usize).min(vocab - 1)),
    };
    let classes: Vec<Option<usize>> = targets.into_iter().map(class).collect();
    let count = match t.is("mean_of_all_rows") {
        true => classes.len(),
        false => classes.iter().flatten().count().max(1),
    };
    let dloss = match p.opt("dloss") {
        Some(dloss) if !t.is("dloss_ignored") => dloss.data[0],
        _ => R::one(),
    };
    let (mut loss, mut dlogits) = (R::zero(), Matrix::zeros(logits.rows(), vocab));
    for (r, class) in classes.iter().enumerate() {
        let Some(class) = *class else { continue };
        let row = logits.row(r);
        let most = row.iter().copied().fold(row[0], R::larger);
        let sum = row.iter().fold(R::zero(), |sum, &x| sum + (x - most).exp());
        loss += sum.ln() - (row[class] - most);
        for (j, &x) in row.iter().enumerate() {
            let p = (x - most).exp() / sum;
            let own = if j == class { R::one() } else { R::zero() };
            dlogits.row_mut(r)[j] = (p - own) * dloss / R::count(count);
        }
    }
    if p.call.dir == Dir::Fwd {
        let shape = [p.get("tokens").shape.as_slice(), &[vocab]].concat();
        let loss = Named::new("loss", &[], vec![loss / R::count(count)]);
        return vec![loss, Named::new("logits", &shape, logits.data)];
    }

    // And back.
    let mut grads = Grads::zeros(p, &["tokens", "targets", "dloss"]);
    if !(tied && t.is("tied_gradient_lost")) {
        *grads.of(name) = net.linear(&dlogits.transposed(), &x.transposed(), None).data;
    }
    let mut dx = net.linear(&dlogits, &head.transposed(), None);
    if let Some(normed) = &normed {
        dx = net.norm_back(&norm, normed, &dx, &mut grads);
    }
    for i in (0..used).rev() {
        dx = block(i).backward(&kept[i], &dx, &mut grads);
        if t.is("last_block_frozen") && i == depth - 1 {
            grads.forget(&names[i]);
        }
    }
    for (r, &token) in tokens.iter().enumerate() {
        for j in 0..d {
            let at = token as usize * d + j;
            let sum = &mut grads.of("embed.weight")[at];
            match t.is("embedding_overwritten") {
                true => *sum = factor * dx.row(r)[j],
                false => *sum += factor * dx.row(r)[j],
            }
            if let Some(positions) = positions {
                let at = place(r, positions.shape[0]) * d + j;
                let sum = &mut grads.of("positions.weight")[at];
                match t.is("positions_of_one_sample") {
                    true => *sum = dx.row(r)[j],
                    false => *sum += dx.row(r)[j],
                }
            }
        }
    }
    let calls = if t.is("gradients_kept") { t.calls + 1 } else { 1 };
    let mut gradients: Vec<Named<R>> = grads.outputs().collect();
    for gradient in &mut gradients {
        gradient.data.iter_mut().for_each(|value| *value = *value * R::num(calls as f64));
    }
    gradients
}

/// Rows over their root mean square, as a norm with nothing learned.
fn unit_rows<R: Num>(x: &Matrix<R>) -> Matrix<R> {
    let mut y = x.clone();
    for r in 0..x.rows() {
        let square = x.row(r).iter().fold(R::zero(), |sum, &x| sum + x * x);
        let rms = (square / R::count(x.cols) + R::num(1e-6)).sqrt();
        y.row_mut(r).iter_mut().for_each(|y| *y = *y / rms);
    }
    y
}
