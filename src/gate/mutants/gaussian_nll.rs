//! The likelihood of normal distributions, wrong in the ways in which it has been.

use super::mean_loss::{self, joined, of_the_mean, other_sums};
use super::{Control, Mutant, Mutation};
use crate::check::call::Dir;
use crate::check::spec::operator::{Named, Problem};
use crate::num::Num;

const fn mutant(id: &'static str, class: &'static str, about: &'static str) -> Mutant {
    Mutant::new("gaussian_nll", id, class, about)
}

pub const MUTANTS: &[Mutant] = &joined::<_, 8, 12, 20>(
    of_the_mean!("gaussian_nll", "gnll"),
    [
        mutant("gnll_no_constant", "loss", "without ½ln 2π"),
        mutant(
            "gnll_log_variance",
            "loss",
            "the log scale taken for the logarithm of the variance",
        ),
        mutant("gnll_variance", "loss", "the log scale taken for the logarithm of 1/σ"),
        mutant("gnll_no_half", "loss", "z² without ½"),
        mutant("gnll_no_scale", "loss", "without the log scale itself"),
        mutant("gnll_swapped", "loss", "log scale before location"),
        mutant("gnll_expanded", "precision", "(y − μ)² multiplied out"),
        mutant("gnll_floor", "precision", "σ held above 0.1"),
        mutant("gnllb_no_one", "backward", "dscale without its 1"),
        mutant("gnllb_no_rate", "backward", "dlocation without 1/σ"),
        mutant("gnllb_floor", "backward", "σ held above 0.1"),
        mutant("gnllb_log_variance", "backward", "half of dscale"),
    ],
);

pub const CONTROLS: &[Control] = &joined::<_, 4, 2, 6>(
    other_sums!("gaussian_nll", "gnll"),
    [
        Control {
            op: "gaussian_nll",
            id: "gnll_by_variance",
            about: "½(ln 2πσ² + (y − μ)²/σ²) with σ² = e²ˢ",
        },
        Control {
            op: "gaussian_nll",
            id: "gnllb_by_variance",
            about: "dlocation as (μ − y)/σ², dscale as 1 − (y − μ)²/σ²",
        },
    ],
);

pub fn answer<R: Num>(p: &Problem<R>, t: Mutation) -> Vec<Named<R>> {
    let (half, one) = (R::num(0.5), R::one());
    let tau = R::num(std::f64::consts::TAU);
    let read = |[location, log_scale]: [R; 2]| match t.id {
        "gnll_swapped" => [log_scale, location],
        "gnll_log_variance" => [location, half * log_scale],
        "gnll_variance" => [location, -log_scale],
        "gnll_floor" if p.call.dir == Dir::Fwd => [location, log_scale.larger(R::num(0.1f64.ln()))],
        "gnllb_floor" if p.call.dir == Dir::Bwd => {
            [location, log_scale.larger(R::num(0.1f64.ln()))]
        }
        _ => [location, log_scale],
    };
    let cost = |numbers: [R; 2], y: R| {
        let [location, log_scale] = read(numbers);
        let (distance, z) = (y - location, (y - location) / log_scale.exp());
        let square = z * z * if t.is("gnll_no_half") { one } else { half };
        match t.id {
            "gnll_no_constant" => log_scale + square,
            "gnll_no_scale" => square + half * tau.ln(),
            "gnll_expanded" => {
                let square = y * y - (y + y) * location + location * location;
                let variance = (log_scale + log_scale).exp();
                log_scale + half * square / variance + half * tau.ln()
            }
            "gnll_by_variance" => {
                let variance = (log_scale + log_scale).exp();
                half * ((tau * variance).ln() + distance * distance / variance)
            }
            _ => log_scale + square + half * tau.ln(),
        }
    };
    let slopes = |numbers: [R; 2], y: R| {
        let [location, log_scale] = read(numbers);
        let (distance, rate) = (y - location, (-log_scale).exp());
        let z = distance * rate;
        match t.id {
            "gnllb_no_one" => [-z * rate, -z * z],
            "gnllb_no_rate" => [-z, one - z * z],
            "gnllb_log_variance" => [-z * rate, half * (one - z * z)],
            "gnllb_by_variance" => {
                let variance = (log_scale + log_scale).exp();
                [-distance / variance, one - distance * distance / variance]
            }
            _ => [-z * rate, one - z * z],
        }
    };
    mean_loss::answer(p, t, "prediction", cost, slopes)
}
