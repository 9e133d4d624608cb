//! The likelihood of Student distributions, wrong in the ways in which it can be.

use super::mean_loss::{self, joined, of_the_mean, other_sums};
use super::{Control, Mutant, Mutation};
use crate::check::spec::operator::{Named, Problem};
use crate::num::Num;

const fn mutant(id: &'static str, class: &'static str, about: &'static str) -> Mutant {
    Mutant::new("student_nll", id, class, about)
}

pub const MUTANTS: &[Mutant] = &joined::<_, 8, 14, 22>(
    of_the_mean!("student_nll", "snll"),
    [
        mutant("snll_no_gamma", "loss", "without the gamma functions"),
        mutant("snll_gamma_turned", "loss", "the gamma functions in each other's place"),
        mutant("snll_no_pi", "loss", "½ln ν for ½ln νπ"),
        mutant("snll_power", "loss", "the power ½ν for ½(ν + 1)"),
        mutant("snll_no_division", "loss", "ln(1 + z²) for ln(1 + z²/ν)"),
        mutant("snll_nu_from_one", "loss", "ν from 1 up, not from 2"),
        mutant("snll_nu_exp", "loss", "ν = 2 + eʳ"),
        mutant("snll_expanded", "precision", "(y − μ)² multiplied out"),
        mutant("snll_normal", "loss", "the normal distribution for any ν"),
        mutant("snllb_no_gamma", "backward", "dr without the digamma functions"),
        mutant("snllb_no_sigmoid", "backward", "the slope of ν for that of r"),
        mutant("snllb_no_nu", "backward", "dr of 0"),
        mutant("snllb_weight", "backward", "w = ν/(ν + z²)"),
        mutant("snllb_normal", "backward", "w = 1 for location and scale"),
    ],
);

pub const CONTROLS: &[Control] = &joined::<_, 4, 2, 6>(
    other_sums!("student_nll", "snll"),
    [
        Control {
            op: "student_nll",
            id: "snll_logarithms",
            about: "ln(1 + z²/ν) as ln(ν + z²) − ln ν",
        },
        Control {
            op: "student_nll",
            id: "snllb_shares",
            about: "w·z²/ν as (1 + 1/ν) less (1 + 1/ν)/(1 + z²/ν)",
        },
    ],
);

/// ψ(x) for x > 0: the recurrence, then the series.
fn digamma(mut x: f64) -> f64 {
    let mut poles = 0.0;
    while x < 20.0 {
        poles += 1.0 / x;
        x += 1.0;
    }
    let s = 1.0 / (x * x);
    x.ln() - 0.5 / x - s * (1.0 / 12.0 - s * (1.0 / 120.0 - s * (1.0 / 252.0 - s / 240.0))) - poles
}

pub fn answer<R: Num>(p: &Problem<R>, t: Mutation) -> Vec<Named<R>> {
    let (half, one) = (R::num(0.5), R::one());
    let read = |[location, log_scale, r]: [R; 3], y: R| {
        let softplus = r.larger(R::zero()) + (one + (-r.abs()).exp()).ln();
        let nu = match t.id {
            "snll_nu_from_one" => one + softplus,
            "snll_nu_exp" => R::num(2.0) + r.exp(),
            _ => R::num(2.0) + softplus,
        };
        ((y - location) / log_scale.exp(), nu)
    };
    let cost = |numbers: [R; 3], y: R| {
        let (z, nu) = read(numbers, y);
        let square = match t.id {
            "snll_expanded" => {
                let [location, log_scale, _] = numbers;
                let square = y * y - (y + y) * location + location * location;
                square / (log_scale + log_scale).exp()
            }
            _ => z * z,
        };
        let at = |x: R| R::num(libm::lgamma(x.value()));
        let gamma = match t.id {
            "snll_no_gamma" => R::zero(),
            "snll_gamma_turned" => at(half * (nu + one)) - at(half * nu),
            _ => at(half * nu) - at(half * (nu + one)),
        };
        let pi = if t.is("snll_no_pi") { 1.0 } else { std::f64::consts::PI };
        let power = half * if t.is("snll_power") { nu } else { nu + one };
        let tail = match t.id {
            "snll_normal" => {
                return numbers[1] + half * square + half * R::num(std::f64::consts::TAU).ln();
            }
            "snll_no_division" => (one + square).ln(),
            "snll_logarithms" => (nu + square).ln() - nu.ln(),
            _ => (one + square / nu).ln(),
        };
        numbers[1] + half * (R::num(pi) * nu).ln() + gamma + power * tail
    };
    let slopes = |numbers: [R; 3], y: R| {
        let (z, nu) = read(numbers, y);
        let rate = (-numbers[1]).exp();
        let w = match t.id {
            "snllb_weight" => nu / (nu + z * z),
            "snllb_normal" => one,
            _ => (nu + one) / (nu + z * z),
        };
        let at = |x: R| R::num(digamma(x.value()));
        let gamma = match t.id {
            "snllb_no_gamma" => R::zero(),
            _ => at(half * nu) - at(half * (nu + one)),
        };
        let ratio = z * z / nu;
        let fall = match t.id {
            "snllb_shares" => (one + one / nu) - (one + one / nu) / (one + ratio),
            _ => (nu + one) / (nu + z * z) * ratio,
        };
        let dnu = half * (one / nu + gamma + (one + ratio).ln() - fall);
        let dr = match t.id {
            "snllb_no_sigmoid" => dnu,
            "snllb_no_nu" => R::zero(),
            _ => dnu / (one + (-numbers[2]).exp()),
        };
        [-(w * z * rate), one - w * z * z, dr]
    };
    mean_loss::answer(p, t, "prediction", cost, slopes)
}
