//! Feed-forward layers, wrong in the ways in which they have been.

use super::activation::{slope, value};
use super::softmax::total;
use super::{Control, Mutant, Mutation};
use crate::check::call::Dir;
use crate::check::spec::operator::{Named, Problem};
use crate::num::Num;

const fn mutant(id: &'static str, class: &'static str, about: &'static str) -> Mutant {
    Mutant::new("feed_forward", id, class, about)
}

pub const MUTANTS: &[Mutant] = &[
    mutant("ff_gate_up_swapped", "wiring", "the activation is on up instead of on gate"),
    mutant("ff_product_inside", "wiring", "f(gate·x ⊙ up·x): a parenthesis too far"),
    mutant("ff_gate_ignored", "wiring", "the gate is not used"),
    mutant("ff_gate_added", "wiring", "f(gate·x) + up·x"),
    mutant("ff_both_active", "wiring", "f on both branches"),
    mutant("ff_linear", "activation", "no activation at all"),
    mutant("ff_active_last", "wiring", "the activation after down instead of before"),
    mutant("ff_fn_ignored", "activation", "silu whatever is asked for"),
    mutant("ff_relu_without_gate", "activation", "relu where there is no gate"),
    mutant("ff_hidden_tail", "tile", "hidden units beyond the last multiple of 8 are dropped"),
    mutant("ff_stale", "determinism", "from the second call on the answer is added to itself"),
    mutant("ffb_dgate_no_slope", "backward", "dgate without the activation's derivative"),
    mutant("ffb_dgate_no_up", "backward", "dgate without the factor up·x"),
    mutant("ffb_dup_no_gate", "backward", "dup without the factor f(gate·x)"),
    mutant("ffb_ddown_of_up", "backward", "ddown from up·x instead of what down is applied to"),
    mutant("ffb_dx_one_branch", "backward", "dx through up only"),
    mutant("ffb_slope_of_output", "backward", "the derivative at f(x) instead of at x"),
    mutant("ffb_last_rows", "tile", "rows beyond the last multiple of 8 miss in dup and ddown"),
    mutant("ffb_dweight_mean", "backward", "gradients of weights divided by the number of rows"),
    mutant("ffb_stale", "determinism", "from the second call on ddown is added to itself"),
    mutant(
        "ff_wide_hidden_tail",
        "size",
        "hidden features beyond a multiple of 128 lost where there are more than 1024",
    ),
];

const fn control(id: &'static str, about: &'static str) -> Control {
    Control { id, op: "feed_forward", about }
}

pub const CONTROLS: &[Control] = &[
    control("ff_pairwise", "sums in pairs"),
    control("ff_reversed", "sums from the last element"),
    control("ff_wide", "sums in f64"),
];

pub fn answer<R: Num>(p: &Problem<R>, t: Mutation) -> Vec<Named<R>> {
    match p.call.dir {
        Dir::Fwd => forward(p, t),
        Dir::Bwd => backward(p, t),
    }
}

/// a·bᵀ of [rows, inner] and [cols, inner].
fn times<R: Num>(a: &[R], b: &[R], inner: usize, t: Mutation) -> Vec<R> {
    let mut product = Vec::with_capacity(a.len() / inner * (b.len() / inner));
    for a in a.chunks(inner) {
        for b in b.chunks(inner) {
            product.push(total(&a.iter().zip(b).map(|(&a, &b)| a * b).collect::<Vec<R>>(), t));
        }
    }
    product
}

fn transposed<R: Num>(a: &[R], cols: usize) -> Vec<R> {
    (0..cols).flat_map(|j| a.chunks(cols).map(move |row| row[j])).collect()
}

/// The value at the place between the products.
fn active<R: Num>(f: &str, up: R, gate: Option<R>, t: Mutation) -> R {
    let f = match (t.id, gate) {
        ("ff_fn_ignored", _) => "silu",
        ("ff_relu_without_gate", None) => "relu",
        _ => f,
    };
    let on = |x: R| value(f, x, t);
    match (t.id, gate) {
        ("ff_linear", gate) => gate.map_or(up, |gate| gate * up),
        ("ff_active_last", gate) => gate.map_or(up, |gate| gate * up),
        (_, None) => on(up),
        ("ff_gate_up_swapped", Some(gate)) => gate * on(up),
        ("ff_product_inside", Some(gate)) => on(gate * up),
        ("ff_gate_ignored", Some(_)) => on(up),
        ("ff_gate_added", Some(gate)) => on(gate) + up,
        ("ff_both_active", Some(gate)) => on(gate) * on(up),
        (_, Some(gate)) => on(gate) * up,
    }
}

fn forward<R: Num>(p: &Problem<R>, t: Mutation) -> Vec<Named<R>> {
    let (x, down) = (p.get("x"), p.get("down"));
    let (width, hidden) = (down.shape[0], down.shape[1]);
    let up = times(&x.data, &p.get("up").data, width, t);
    let gate = p.opt("gate").map(|gate| times(&x.data, &gate.data, width, t));
    let mut a: Vec<R> = (0..up.len())
        .map(|i| active(p.word("fn"), up[i], gate.as_ref().map(|gate| gate[i]), t))
        .collect();
    if t.is("ff_hidden_tail") && hidden > 8 {
        a.chunks_mut(hidden).for_each(|row| row[hidden / 8 * 8..].fill(R::zero()));
    }
    let mut y = times(&a, &down.data, hidden, t);
    for y in &mut y {
        if t.is("ff_active_last") {
            *y = value(p.word("fn"), *y, t);
        }
        if t.is("ff_stale") && t.calls > 0 {
            *y = *y + *y;
        }
    }
    vec![Named::new("y", &x.shape, y)]
}

fn backward<R: Num>(p: &Problem<R>, t: Mutation) -> Vec<Named<R>> {
    let (x, down, f) = (p.get("x"), p.get("down"), p.word("fn"));
    let (width, hidden) = (down.shape[0], down.shape[1]);
    let rows = x.data.len() / width;
    let dy = &p.get("dy").data;
    let up = times(&x.data, &p.get("up").data, width, t);
    let da = times(dy, &transposed(&down.data, hidden), width, t);
    let bend = |x: R| slope(f, if t.is("ffb_slope_of_output") { value(f, x, t) } else { x }, t);
    let (mut a, mut dup, mut dgate) = (Vec::new(), Vec::new(), Vec::new());
    match p.opt("gate") {
        None => {
            for i in 0..up.len() {
                a.push(value(f, up[i], t));
                dup.push(da[i] * bend(up[i]));
            }
        }
        Some(gate) => {
            let gate = times(&x.data, &gate.data, width, t);
            for i in 0..up.len() {
                let on = value(f, gate[i], t);
                a.push(on * up[i]);
                dup.push(if t.is("ffb_dup_no_gate") { da[i] } else { da[i] * on });
                dgate.push(match t.id {
                    "ffb_dgate_no_slope" => da[i] * up[i],
                    "ffb_dgate_no_up" => da[i] * bend(gate[i]),
                    _ => da[i] * up[i] * bend(gate[i]),
                });
            }
        }
    }
    let mut dx = times(&dup, &transposed(&p.get("up").data, width), hidden, t);
    if let (Some(gate), false) = (p.opt("gate"), t.is("ffb_dx_one_branch")) {
        let more = times(&dgate, &transposed(&gate.data, width), hidden, t);
        dx.iter_mut().zip(more).for_each(|(dx, more)| *dx += more);
    }
    let counted = if t.is("ffb_last_rows") && rows > 8 { rows / 8 * 8 } else { rows };
    let weight = |d: &[R], cols: usize, input: &[R], of: usize| -> Vec<R> {
        let (d, input) = (&d[..counted * cols], &input[..counted * of]);
        let mut product = times(&transposed(d, cols), &transposed(input, of), counted, t);
        if t.is("ffb_dweight_mean") {
            product.iter_mut().for_each(|w| *w = *w / R::count(rows));
        }
        product
    };
    let mut ddown = weight(dy, width, if t.is("ffb_ddown_of_up") { &up } else { &a }, hidden);
    if t.is("ffb_stale") && t.calls > 0 {
        ddown.iter_mut().for_each(|w| *w = *w + *w);
    }
    let mut answer = vec![
        Named::new("dx", &x.shape, dx),
        Named::new("dup", &[hidden, width], weight(&dup, hidden, &x.data, width)),
        Named::new("ddown", &[width, hidden], ddown),
    ];
    if p.opt("gate").is_some() {
        let dgate = weight(&dgate, hidden, &x.data, width);
        answer.push(Named::new("dgate", &[hidden, width], dgate));
    }
    answer
}
