//! Clipping by the global norm, wrong in the ways in which it has been.

use super::{Control, Mutant, Mutation};
use crate::check::spec::operator::{Named, Problem};
use crate::num::Num;

const fn mutant(id: &'static str, about: &'static str) -> Mutant {
    Mutant::new("clip_grad_norm", id, "optimizer", about)
}

const fn control(id: &'static str, about: &'static str) -> Control {
    Control { id, op: "clip_grad_norm", about }
}

pub const MUTANTS: &[Mutant] = &[
    mutant("clip_scaled", "norm of gradients that are still scaled"),
    mutant("clip_no_eps", "no 1e-6 beside the norm"),
    mutant("clip_per_tensor", "each tensor clipped by its own norm"),
    mutant("clip_no_root", "the squared norm"),
    mutant("clip_max", "the largest magnitude for the norm"),
    mutant("clip_sum", "the sum of magnitudes for the norm"),
    mutant("clip_norm_after", "the norm after clipping returned"),
    mutant("clip_always", "scaled to max_norm from below, too"),
    mutant("clip_not_unscaled", "outputs left scaled"),
    mutant("clip_unscaled_twice", "unscaled twice"),
    mutant("clip_never", "never scaled"),
    mutant("clip_first_only", "norm of the first tensor only"),
    mutant("clip_by_value", "every element clamped to max_norm"),
    mutant("clip_sum_of_norms", "norms of the tensors added up"),
    Mutant::new("clip_grad_norm", "clip_cols_65536", "size", "columns beyond 65536 read as 0"),
    mutant("clip_max_default", "a max_norm of 0 taken for none given"),
    mutant("clip_overflow", "squares of large gradients overflow"),
];

pub const CONTROLS: &[Control] = &[
    control("clip_two_stage", "the norm of the tensors' norms"),
    control("clip_reciprocal", "unscaled by a product, scaled by a reciprocal, summed backwards"),
];

fn norm<R: Num>(values: impl DoubleEndedIterator<Item = R> + Clone, t: Mutation) -> R {
    let largest = values.clone().fold(R::zero(), |largest, x| largest.larger(x.abs()));
    // A power of two near the largest, so that no square overflows and none that counts underflows.
    let exponent = largest.value().log2().floor();
    let usual = exponent.abs() < 40.0 || !exponent.is_finite() || t.is("clip_overflow");
    let unit = if usual { R::one() } else { R::num(exponent.exp2()) };
    let mut sum = R::zero();
    let mut add = |x: R| {
        let x = x / unit;
        sum += if t.is("clip_sum") { x.abs() } else { x * x };
    };
    if t.is("clip_reciprocal") {
        values.rev().for_each(&mut add);
    } else {
        values.for_each(&mut add);
    }
    match t.id {
        "clip_max" => largest,
        "clip_sum" => sum * unit,
        "clip_no_root" => sum * unit * unit,
        _ => sum.sqrt() * unit,
    }
}

pub fn answer<R: Num>(p: &Problem<R>, t: Mutation) -> Vec<Named<R>> {
    let (limit, scale) = (R::num(p.num("max_norm")), R::num(p.num("loss_scale")));
    let unscale = |g: R| match t.id {
        "clip_reciprocal" => g * (R::one() / scale),
        "clip_unscaled_twice" => g / scale / scale,
        _ => g / scale,
    };
    let given: Vec<(&str, Vec<usize>, Vec<R>)> =
        p.tensors().map(|(name, g)| (name, g.shape.clone(), g.data.clone())).collect();
    let unscaled: Vec<Vec<R>> =
        given.iter().map(|(_, _, g)| g.iter().map(|&g| unscale(g)).collect()).collect();
    let each: Vec<R> = unscaled.iter().map(|g| norm(g.iter().copied(), t)).collect();
    let total = match t.id {
        "clip_scaled" => norm(given.iter().flat_map(|(_, _, g)| g.iter().copied()), t),
        "clip_first_only" => each[0],
        "clip_two_stage" => norm(each.iter().copied(), t),
        "clip_sum_of_norms" => R::sum(each.iter().copied()),
        _ => norm(unscaled.iter().flatten().copied(), t),
    };
    let factor = |norm: R| {
        let eps = if t.is("clip_no_eps") { R::zero() } else { R::num(1e-6) };
        let ratio = match t.is("clip_reciprocal") {
            true => limit * (R::one() / (norm + eps)),
            false => limit / (norm + eps),
        };
        match t.id {
            "clip_never" | "clip_by_value" => R::one(),
            "clip_always" => ratio,
            _ if ratio < R::one() => ratio,
            _ => R::one(),
        }
    };
    let mut answer = Vec::new();
    let mut after = Vec::new();
    for (i, (name, shape, raw)) in given.iter().enumerate() {
        let factor = factor(if t.is("clip_per_tensor") { each[i] } else { total });
        let values = if t.is("clip_not_unscaled") { raw } else { &unscaled[i] };
        let clipped: Vec<R> = match t.is("clip_by_value") {
            true => values.iter().map(|&g| -(-g.larger(-limit)).larger(-limit)).collect(),
            false => values.iter().map(|&g| g * factor).collect(),
        };
        after.extend_from_slice(&clipped);
        answer.push(Named::new(*name, shape, clipped));
    }
    let total = if t.is("clip_norm_after") { norm(after.into_iter(), t) } else { total };
    answer.push(Named::new("norm", &[], vec![total]));
    answer
}
