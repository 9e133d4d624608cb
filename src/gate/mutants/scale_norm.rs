//! Scale normalisation, wrong in the ways in which it can be.

use super::norm::{form, sum};
use super::{Control, Mutant, Mutation};
use crate::check::call::Dir;
use crate::check::spec::operator::{Named, Problem};
use crate::num::Num;

const fn mutant(id: &'static str, class: &'static str, about: &'static str) -> Mutant {
    Mutant::new("scale_norm", id, class, about)
}

const fn control(id: &'static str, about: &'static str) -> Control {
    Control { id, op: "scale_norm", about }
}

pub const MUTANTS: &[Mutant] = &[
    mutant("scale_eps_added", "epsilon", "divided by ‖x‖ + eps"),
    mutant("scale_eps_inside", "epsilon", "divided by √(Σx² + eps)"),
    mutant("scale_eps_none", "epsilon", "eps forgotten"),
    mutant("scale_eps_squared", "epsilon", "Σx² held above eps, not ‖x‖"),
    mutant("scale_rms", "statistics", "divided by the root mean square"),
    mutant("scale_l1", "statistics", "divided by Σ|x|"),
    mutant("scale_sum16", "precision", "the sum of squares in 16 bits"),
    mutant("scale_tail", "tile", "elements beyond a multiple of 32 left out of the norm"),
    mutant("scaleb_no_slope", "backward", "dx without the term of the norm"),
    mutant("scaleb_unweighted", "backward", "weight not applied in dx"),
    Mutant {
        only: Some(Dir::Bwd),
        ..mutant("scaleb_below_eps", "backward", "below eps, dx as above it")
    },
    mutant("scaleb_raw", "backward", "dweight from x in place of x/‖x‖"),
    mutant("scaleb_last_row", "tile", "dweight without the last row"),
    mutant("sn_cols_4096", "size", "columns beyond 4096 read as 0"),
    mutant("scale_eps_default", "argument", "an eps of 0 taken for none given"),
];

pub const CONTROLS: &[Control] = &[
    control("scale_pairwise", "sums in pairs of pairs"),
    control("scale_lanes8", "sums in 8 lanes"),
    control("scale_wide", "sums in f64"),
    control("scale_reversed", "sums from the last element"),
    control("scale_reciprocal", "multiplied by weight·(1/‖x‖)"),
    control("scaleb_cube", "dx as weight/‖x‖·dy − x·weight/‖x‖³·Σ dy·x"),
];

pub fn answer<R: Num>(p: &Problem<R>, t: Mutation) -> Vec<Named<R>> {
    let x = p.get("x");
    let (weight, eps) = (p.get("weight"), R::num(p.num("eps")));
    let scale = weight.data[0];
    let cols = x.cols();
    let product = |a: &[R], b: &[R]| -> Vec<R> { a.iter().zip(b).map(|(&a, &b)| a * b).collect() };
    let mut outputs = Vec::with_capacity(x.data.len());
    let mut dweights = Vec::new();
    let dys = p.opt("dy").unwrap_or(x);
    for (x, dy) in x.rows().zip(dys.rows()) {
        let seen = if t.is("scale_tail") && cols > 32 { cols / 32 * 32 } else { cols };
        let squares = product(&x[..seen], &x[..seen]);
        let total = match t.id {
            "scale_sum16" => squares.iter().fold(R::zero(), |s, &x| (s + x).narrow(p.call.dtype)),
            _ => sum(&squares, form(t.id)),
        };
        let norm = match t.id {
            "scale_rms" => (total / R::count(cols)).sqrt(),
            "scale_l1" => sum(&x.iter().map(|x| x.abs()).collect::<Vec<R>>(), ""),
            _ => total.sqrt(),
        };
        let divisor = match t.id {
            "scale_eps_added" => norm + eps,
            "scale_eps_inside" => (total + eps).sqrt(),
            "scale_eps_none" => norm,
            "scale_eps_squared" => total.larger(eps).sqrt(),
            _ => norm.larger(eps),
        };
        if p.call.dir == Dir::Fwd {
            let by = scale * (R::one() / divisor);
            let reciprocal = t.is("scale_reciprocal");
            outputs
                .extend(x.iter().map(|&x| if reciprocal { x * by } else { scale * x / divisor }));
            continue;
        }
        let xhat: Vec<R> = x.iter().map(|&x| x / divisor).collect();
        let factor = if t.is("scaleb_raw") { x } else { &xhat };
        dweights.push(sum(&product(dy, factor), form(t.id)));
        let below = norm <= eps && !t.is("scaleb_below_eps");
        let along = sum(&product(dy, &xhat), form(t.id));
        let along = if below || t.is("scaleb_no_slope") { R::zero() } else { along };
        let scale = if t.is("scaleb_unweighted") { R::one() } else { scale };
        let cube = scale / divisor / divisor * along;
        outputs.extend((0..cols).map(|j| match t.id {
            "scaleb_cube" => scale / divisor * dy[j] - x[j] * cube,
            _ => scale / divisor * (dy[j] - xhat[j] * along),
        }));
    }
    if p.call.dir == Dir::Fwd {
        return vec![Named::new("y", &x.shape, outputs)];
    }
    if t.is("scaleb_last_row") && dweights.len() > 1 {
        dweights.pop();
    }
    let dweight = sum(&dweights, form(t.id));
    vec![Named::new("dx", &x.shape, outputs), Named::new("dweight", &weight.shape, vec![dweight])]
}
