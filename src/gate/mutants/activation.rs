//! Activations, wrong in the ways in which they have been.

use super::{Control, Mutant, Mutation};
use crate::check::call::Dir;
use crate::check::spec::operator::{Named, Problem};
use crate::num::Num;

const fn mutant(id: &'static str, class: &'static str, about: &'static str) -> Mutant {
    Mutant::new("activation", id, class, about)
}

pub const MUTANTS: &[Mutant] = &[
    mutant("gelu_swap", "activation", "the tanh form where gelu by erf is declared"),
    mutant("gelu_tanh_swap", "activation", "gelu by erf where the tanh form is declared"),
    mutant("gelu_tanh_exp", "precision", "tanh u as (e²ᵘ − 1)/(e²ᵘ + 1), which overflows"),
    mutant("gelu_no_x", "activation", "the factor x is missing"),
    mutant("gelu_constant_tanh", "activation", "tanh of the constant √(2/π) alone"),
    mutant("gelu_sigmoid", "activation", "gelu as x·σ(1.702x)"),
    mutant("gelu_unscaled_erf", "activation", "erf(x) for erf(x/√2)"),
    mutant("gelu_cubic_rounded", "activation", "0.0447 for 0.044715"),
    mutant("gelu_cubic_of_product", "activation", "x + (0.044715·x)³ in the tanh form"),
    mutant("gelu_cut", "activation", "gelu(x) = x from x > 3 on"),
    mutant("silu_exp", "precision", "x·eˣ/(1 + eˣ), which overflows"),
    mutant("silu_is_gelu", "activation", "gelu where silu is declared"),
    mutant("silu_is_sigmoid", "activation", "σ(x) without the factor x"),
    mutant("silu_negated", "activation", "x·σ(−x)"),
    mutant("relu_leaky", "activation", "a slope of 0.01 below 0"),
    mutant("relu_six", "activation", "relu clamped at 6"),
    mutant("act_tail_8", "tile", "what follows the last multiple of 8 stays as it was"),
    mutant("act_stale", "determinism", "from the second call on the answer is added to itself"),
    mutant("relub_at_zero", "backward", "derivative 1 of relu at 0"),
    mutant("relub_leaky", "backward", "a slope of 0.01 below 0 in the derivative alone"),
    mutant("gelub_swap", "backward", "the derivative of the tanh form for gelu by erf"),
    mutant("gelub_tanh_swap", "backward", "the derivative of gelu by erf for the tanh form"),
    mutant("gelub_no_density", "backward", "Φ(x) without x·φ(x)"),
    mutant("gelub_density_unscaled", "backward", "the density of x without 1/√(2π)"),
    mutant("gelub_no_cubic", "backward", "the inner derivative of the tanh form without its cubic"),
    mutant("gelub_cosh", "precision", "sech² as 4/(eᵘ + e⁻ᵘ)², times what overflowed"),
    mutant("silub_no_x", "backward", "σ(x) without x·σ(x)·(1 − σ(x))"),
    mutant("silub_sigmoid", "backward", "the derivative of σ alone"),
    mutant("actb_no_dy", "backward", "the slope without the upstream gradient"),
    mutant("actb_of_output", "backward", "the slope at f(x) instead of at x"),
    mutant("act_cols_2048", "size", "columns beyond 2048 not written"),
];

const fn control(id: &'static str, about: &'static str) -> Control {
    Control { id, op: "activation", about }
}

pub const CONTROLS: &[Control] = &[
    control("gelu_by_erf", "½x(1 + erf(x/√2))"),
    control("gelu_factored", "the cubic of the tanh form as x·(1 + 0.044715x²)"),
    control("gelu_by_sigmoid", "the tanh form as x·σ(2u)"),
    control("sigmoid_by_tanh", "σ(x) as ½(1 + tanh ½x)"),
    control("sigmoid_by_exp", "σ(x) as 1/(1 + e⁻ˣ) on both sides"),
];

pub fn answer<R: Num>(p: &Problem<R>, t: Mutation) -> Vec<Named<R>> {
    let (x, f) = (p.get("x"), p.word("fn"));
    if p.call.dir == Dir::Bwd {
        let dy = &p.get("dy").data;
        let dx = x.data.iter().zip(dy).map(|(&x, &dy)| match t.id {
            "actb_no_dy" => slope(f, x, t),
            "actb_of_output" => dy * slope(f, value(f, x, t), t),
            _ => dy * slope(f, x, t),
        });
        return vec![Named::new("dx", &x.shape, dx.collect())];
    }
    let whole = if t.is("act_tail_8") { x.data.len() / 8 * 8 } else { x.data.len() };
    let y = x.data.iter().enumerate().map(|(i, &x)| {
        let y = if i < whole { value(f, x, t) } else { x };
        if t.is("act_stale") && t.calls > 0 { y + y } else { y }
    });
    vec![Named::new("y", &x.shape, y.collect())]
}

const ROOT_2_OVER_PI: f64 = 0.797_884_560_802_865_4;

fn sigmoid<R: Num>(x: R, t: Mutation) -> R {
    let one = R::one();
    match t.id {
        "silu_exp" => x.exp() / (one + x.exp()),
        "sigmoid_by_tanh" => R::num(0.5) * (one + (R::num(0.5) * x).tanh()),
        "sigmoid_by_exp" => one / (one + (-x).exp()),
        _ if x > R::zero() => one / (one + (-x).exp()),
        _ => {
            let small = x.exp();
            small / (one + small)
        }
    }
}

/// √(2/π)·(x + 0.044715x³).
fn inner<R: Num>(x: R, t: Mutation) -> R {
    let cubic = R::num(if t.is("gelu_cubic_rounded") { 0.0447 } else { 0.044715 });
    R::num(ROOT_2_OVER_PI)
        * match t.id {
            "gelu_factored" => x * (R::one() + cubic * x * x),
            "gelu_cubic_of_product" => x + (cubic * x) * (cubic * x) * (cubic * x),
            _ => x + cubic * (x * x * x),
        }
}

pub(super) fn value<R: Num>(f: &str, x: R, t: Mutation) -> R {
    let (half, one) = (R::num(0.5), R::one());
    let f = match (f, t.id) {
        ("gelu", "gelu_swap") => "gelu_tanh",
        ("gelu_tanh", "gelu_tanh_swap") | ("silu", "silu_is_gelu") => "gelu",
        _ => f,
    };
    match f {
        "relu" => match t.id {
            "relu_leaky" if x < R::zero() => R::num(0.01) * x,
            "relu_six" if x > R::num(6.0) => R::num(6.0),
            _ => x.larger(R::zero()),
        },
        "silu" => match t.id {
            "silu_is_sigmoid" => sigmoid(x, t),
            "silu_negated" => x * sigmoid(-x, t),
            _ => x * sigmoid(x, t),
        },
        "gelu" => match t.id {
            "gelu_sigmoid" => x * sigmoid(R::num(1.702) * x, t),
            "gelu_no_x" => half * (one + (x / R::num(2.0).sqrt()).erf()),
            "gelu_unscaled_erf" => half * x * (one + x.erf()),
            "gelu_cut" if x > R::num(3.0) => x,
            "gelu_by_erf" => half * x * (one + (x / R::num(2.0).sqrt()).erf()),
            _ => half * x * (-x * R::num(std::f64::consts::FRAC_1_SQRT_2)).erfc(),
        },
        _ => {
            let u = inner(x, t);
            let tanh = match t.id {
                "gelu_tanh_exp" => {
                    let grown = (u + u).exp();
                    (grown - one) / (grown + one)
                }
                "gelu_constant_tanh" => R::num(ROOT_2_OVER_PI).tanh(),
                "gelu_by_sigmoid" => return x * sigmoid(u + u, t),
                _ => u.tanh(),
            };
            if t.is("gelu_no_x") { half * (one + tanh) } else { half * x * (one + tanh) }
        }
    }
}

pub(super) fn slope<R: Num>(f: &str, x: R, t: Mutation) -> R {
    let (half, one) = (R::num(0.5), R::one());
    let f = match (f, t.id) {
        ("gelu", "gelub_swap") => "gelu_tanh",
        ("gelu_tanh", "gelub_tanh_swap") => "gelu",
        _ => f,
    };
    match f {
        "relu" => match t.id {
            "relub_at_zero" if x >= R::zero() => one,
            "relub_leaky" if x < R::zero() => R::num(0.01),
            _ if x > R::zero() => one,
            _ => R::zero(),
        },
        "silu" => {
            let s = sigmoid(x, t);
            match t.id {
                "silub_no_x" => s,
                "silub_sigmoid" => s * (one - s),
                _ => s * (one + x * (one - s)),
            }
        }
        "gelu" => {
            let below = half * (-x * R::num(std::f64::consts::FRAC_1_SQRT_2)).erfc();
            let mut density = (-(half * x * x)).exp();
            if !t.is("gelub_density_unscaled") {
                density = density * R::num(half_root());
            }
            if t.is("gelub_no_density") { below } else { below + x * density }
        }
        _ => {
            let u = inner(x, t);
            let tanh = u.tanh();
            let square = R::num(if t.is("gelub_no_cubic") { 0.0 } else { 3.0 * 0.044715 }) * x * x;
            let rise = R::num(ROOT_2_OVER_PI) * (one + square);
            let flat = if t.is("gelub_cosh") {
                let twice = u.exp() + (-u).exp();
                twice / (twice * twice * twice) * R::num(4.0)
            } else {
                one - tanh * tanh
            };
            half * (one + tanh) + half * x * flat * rise
        }
    }
}

/// 1/√(2π).
fn half_root() -> f64 {
    0.5 * ROOT_2_OVER_PI
}
