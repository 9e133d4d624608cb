//! Binary cross-entropy, wrong in the ways in which it has been.

use super::mean_loss::{self, joined, of_the_mean, other_sums};
use super::{Control, Mutant, Mutation};
use crate::check::spec::operator::{Named, Problem};
use crate::num::Num;

const fn mutant(id: &'static str, class: &'static str, about: &'static str) -> Mutant {
    Mutant::new("binary_cross_entropy", id, class, about)
}

pub const MUTANTS: &[Mutant] = &joined::<_, 8, 9, 17>(
    of_the_mean!("binary_cross_entropy", "bce"),
    [
        mutant("bce_of_sigmoid", "precision", "logarithms of a share that has underflowed"),
        mutant("bce_clamped", "precision", "logarithms of shares clamped at 10⁻⁷"),
        mutant("bce_exp", "precision", "ln(1 + eˣ), which overflows"),
        mutant("bce_one_side", "precision", "ln(1 + e⁻ˣ) below 0 too, beside max(x, 0)"),
        mutant("bce_hits_only", "loss", "−t·ln σ(x) without the other class"),
        mutant("bce_hard", "loss", "targets rounded to 0 or 1"),
        mutant("bceb_no_target", "backward", "σ(x) without the target"),
        mutant("bceb_squared", "backward", "times σ(x)·(1 − σ(x)), as under a squared error"),
        mutant("bceb_hard", "backward", "targets rounded to 0 or 1"),
    ],
);

pub const CONTROLS: &[Control] = &joined::<_, 4, 2, 6>(
    other_sums!("binary_cross_entropy", "bce"),
    [
        Control {
            op: "binary_cross_entropy",
            id: "bce_lacking",
            about: "|x| times what the target lacks, for max(x, 0) − x·t",
        },
        Control {
            op: "binary_cross_entropy", id: "bceb_by_tanh", about: "σ(x) as ½(1 + tanh ½x)"
        },
    ],
);

pub fn answer<R: Num>(p: &Problem<R>, t: Mutation) -> Vec<Named<R>> {
    let (half, one) = (R::num(0.5), R::one());
    let sigmoid = |x: R| {
        if t.is("bceb_by_tanh") {
            return half * (one + (half * x).tanh());
        }
        let e = (-x.abs()).exp();
        if x > R::zero() { one / (one + e) } else { e / (one + e) }
    };
    let hard = |y: R, fault| if t.is(fault) { (y - half).step() } else { y };
    let cost = |[x]: [R; 1], y: R| {
        let (y, tail) = (hard(y, "bce_hard"), (one + (-x.abs()).exp()).ln());
        match t.id {
            "bce_of_sigmoid" => -(y * sigmoid(x).ln() + (one - y) * (one - sigmoid(x)).ln()),
            "bce_clamped" => {
                let log = |share: R| share.larger(R::num(1e-7)).ln();
                -(y * log(sigmoid(x)) + (one - y) * log(one - sigmoid(x)))
            }
            "bce_exp" => (one + x.exp()).ln() - x * y,
            "bce_one_side" => x.larger(R::zero()) - x * y + (one + (-x).exp()).ln(),
            "bce_hits_only" => y * (tail + (-x).larger(R::zero())),
            "bce_lacking" => tail + x.abs() * if x > R::zero() { one - y } else { y },
            _ => x.larger(R::zero()) - x * y + tail,
        }
    };
    let slope = |[x]: [R; 1], y: R| {
        let s = sigmoid(x);
        [match t.id {
            "bceb_no_target" => s,
            "bceb_squared" => (s - y) * s * (one - s),
            _ => s - hard(y, "bceb_hard"),
        }]
    };
    mean_loss::answer(p, t, "logits", cost, slope)
}
