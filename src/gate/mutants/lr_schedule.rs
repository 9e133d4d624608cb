//! Learning-rate schedules, wrong in the ways in which they have been.

use std::f64::consts::PI;

use super::{Control, Mutant, Mutation};
use crate::check::spec::operator::{Named, Problem};
use crate::num::Num;

const fn mutant(id: &'static str, about: &'static str) -> Mutant {
    Mutant::new("lr_schedule", id, "schedule", about)
}

const fn control(id: &'static str, about: &'static str) -> Control {
    Control { id, op: "lr_schedule", about }
}

pub const MUTANTS: &[Mutant] = &[
    mutant("lr_from_zero", "warm-up from lr(0) = 0"),
    mutant("lr_warmup_late", "warm-up over warmup + 1 steps"),
    mutant("lr_warmup_zero", "warmup 0 divides by zero"),
    mutant("lr_warmup_ignored", "no warm-up"),
    mutant("lr_warmup_forever", "warming up as long as the rate is below 1"),
    mutant("lr_decay_early", "the decay one step ahead"),
    mutant("lr_decay_total", "the decay counted over total, not total − warmup"),
    mutant("lr_decay_from_start", "the decay counted from step 0"),
    mutant("lr_never_ends", "the decay over one step too many: 0 is not reached at total"),
    mutant("lr_cosine_doubled", "the cosine without its half"),
    mutant("lr_cosine_half_way", "a quarter of the cosine's period"),
    mutant("lr_linear", "linear for cosine"),
    mutant("lr_unclamped", "not held at 0 beyond total"),
    mutant("lr_empty_decay", "total − warmup of 0 divides by zero"),
    Mutant::new("lr_schedule", "lr_step_16_bits", "size", "steps beyond 65535 start again from 0"),
    mutant("lr_default", "a rate of 0 taken for none given"),
    mutant("lr_step_32", "the step held in 32 bits"),
];

pub const CONTROLS: &[Control] = &[
    control("lr_half_angle", "the cosine decay as cos²(πf/2)"),
    control("lr_remaining", "the linear decay as the share of steps that remain"),
];

pub fn answer<R: Num>(p: &Problem<R>, t: Mutation) -> Vec<Named<R>> {
    let step = p.get("step");
    // As the oracle: what the argument of the cosine is rounded by.
    let rates = step.data.iter().map(|&s| rate(s, p, t).loosened(6.0 * p.num("lr"))).collect();
    vec![Named::new("lr", &step.shape, rates)]
}

fn rate<R: Num>(s: R, p: &Problem<R>, t: Mutation) -> R {
    let [lr, warmup, total] = ["lr", "warmup", "total"].map(|name| R::num(p.num(name)));
    let one = R::one();
    let s = if t.is("lr_step_32") { R::num(f64::from(s.value() as i64 as i32)) } else { s };
    let warming = match t.id {
        "lr_warmup_zero" => s <= warmup && warmup.value() == 0.0 || s < warmup,
        "lr_warmup_ignored" => false,
        "lr_warmup_forever" => s < warmup || warmup > R::zero() && lr < one,
        _ => s < warmup,
    };
    if warming {
        return match t.id {
            "lr_from_zero" => lr * s / warmup,
            "lr_warmup_late" => lr * (s + one) / (warmup + one),
            _ => lr * (s + one) / warmup,
        };
    }
    let done = match t.id {
        "lr_decay_early" => s + one - warmup,
        "lr_decay_from_start" => s,
        _ => s - warmup,
    };
    let span = match t.id {
        "lr_decay_total" => total.larger(one),
        "lr_never_ends" => (total - warmup).larger(one) + one,
        "lr_empty_decay" => total - warmup,
        _ => (total - warmup).larger(one),
    };
    let mut f = done / span;
    if f > one && !t.is("lr_unclamped") {
        f = one;
    }
    // Trigonometry in the width of the target, as a target's own library has it.
    let angle = (R::num(PI) * f).value();
    let kind =
        if t.is("lr_linear") && p.word("kind") == "cosine" { "linear" } else { p.word("kind") };
    match (kind, t.id) {
        ("linear", "lr_remaining") => {
            let left = span - done;
            if left > R::zero() { lr * left / span } else { R::zero() }
        }
        ("linear", _) => lr * (one - f),
        ("cosine", "lr_cosine_doubled") => lr * (one + R::num(angle.cos())),
        ("cosine", "lr_cosine_half_way") => lr * R::num((angle / 2.0).cos()),
        ("cosine", "lr_half_angle") => {
            let half = R::num((angle / 2.0).cos());
            lr * half * half
        }
        ("cosine", _) => lr * R::num(0.5) * (one + R::num(angle.cos())),
        _ => lr,
    }
}
