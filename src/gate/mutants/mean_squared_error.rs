//! The mean squared error, wrong in the ways in which it can be.

use super::mean_loss::{self, joined, of_the_mean, other_sums};
use super::{Control, Mutant, Mutation};
use crate::check::spec::operator::{Named, Problem};
use crate::num::Num;

const fn mutant(id: &'static str, class: &'static str, about: &'static str) -> Mutant {
    Mutant::new("mean_squared_error", id, class, about)
}

pub const MUTANTS: &[Mutant] = &joined::<_, 8, 5, 13>(
    of_the_mean!("mean_squared_error", "mse"),
    [
        mutant("mse_half", "loss", "half of the mean of squares"),
        mutant("mse_expanded", "precision", "p² − 2pt + t², the square multiplied out"),
        mutant("mse_root", "loss", "the root of the squares"),
        mutant("mseb_no_two", "backward", "without the factor 2"),
        mutant("mseb_of_root", "backward", "the sign of the difference alone"),
    ],
);

pub const CONTROLS: &[Control] = &joined::<_, 4, 1, 5>(
    other_sums!("mean_squared_error", "mse"),
    [Control {
        op: "mean_squared_error",
        id: "mse_turned",
        about: "squares of target less prediction",
    }],
);

pub fn answer<R: Num>(p: &Problem<R>, t: Mutation) -> Vec<Named<R>> {
    let two = R::num(2.0);
    let cost = |[own]: [R; 1], y: R| {
        let difference = own - y;
        match t.id {
            "mse_half" => difference * difference / two,
            "mse_root" => difference.abs(),
            "mse_expanded" => own * own - two * own * y + y * y,
            "mse_turned" => (y - own) * (y - own),
            _ => difference * difference,
        }
    };
    let slope = |[own]: [R; 1], y: R| {
        let difference = own - y;
        [match t.id {
            "mseb_no_two" => difference,
            "mseb_of_root" => difference.step() - (-difference).step(),
            _ => two * difference,
        }]
    };
    mean_loss::answer(p, t, "prediction", cost, slope)
}
