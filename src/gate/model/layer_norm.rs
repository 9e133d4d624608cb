//! Layer normalisation, wrong in the ways in which it has been.

use super::{Control, Mutant, Twist};
use crate::gate::call::Dir;
use crate::gate::number::Real;
use crate::gate::operator::{Named, Problem};

const fn mutant(id: &'static str, class: &'static str, about: &'static str) -> Mutant {
    Mutant::new("layer_norm", id, class, about)
}

pub const MUTANTS: &[Mutant] = &[
    mutant("ln_one_pass", "cancellation", "variance from mean(x²) − mean², in one pass"),
    mutant("ln_eps_out", "epsilon", "eps added outside of the square root"),
    mutant("ln_folded", "cancellation", "y as x·rstd − mean·rstd, which cancels"),
    mutant("ln_mean_twice", "backward", "mean(dy·weight) subtracted twice"),
];

pub const CONTROLS: &[Control] = &[
    Control { id: "ln_welford", op: "layer_norm", about: "mean and variance by Welford's update" },
    Control { id: "ln_reversed", op: "layer_norm", about: "sums from the last element" },
];

pub fn answer<R: Real>(p: &Problem<R>, t: Twist) -> Vec<Named<R>> {
    match p.call.dir {
        Dir::Fwd => forward(p, t),
        Dir::Bwd => backward(p, t),
    }
}

struct Row<R> {
    mean: R,
    centred: Vec<R>,
    rstd: R,
}

fn row<R: Real>(x: &[R], p: &Problem<R>, t: Twist) -> Row<R> {
    let n = R::count(x.len());
    let eps = R::num(p.num("eps"));
    let mut mean = R::zero();
    if t.is("ln_reversed") {
        x.iter().rev().for_each(|&x| mean += x);
    } else {
        x.iter().for_each(|&x| mean += x);
    }
    mean = mean / n;
    let mut var = R::zero();
    if t.is("ln_one_pass") {
        var = R::sum(x.iter().map(|&x| x * x)) / n - mean * mean;
    } else if t.is("ln_welford") {
        mean = R::zero();
        for (i, &x) in x.iter().enumerate() {
            let delta = x - mean;
            mean += delta / R::count(i + 1);
            var += delta * (x - mean);
        }
        var = var / n;
    } else {
        x.iter().for_each(|&x| var += (x - mean) * (x - mean));
        var = var / n;
    }
    let std = if t.is("ln_eps_out") { var.sqrt() + eps } else { (var + eps).sqrt() };
    Row { mean, centred: x.iter().map(|&x| x - mean).collect(), rstd: R::one() / std }
}

fn width<R: Real>(p: &Problem<R>) -> usize {
    let x = p.get("x");
    x.shape[x.shape.len() - p.int("normalized_dims") as usize..].iter().product()
}

fn forward<R: Real>(p: &Problem<R>, t: Twist) -> Vec<Named<R>> {
    let x = p.get("x");
    let mut y = Vec::with_capacity(x.data.len());
    for x in x.data.chunks_exact(width(p)) {
        let Row { mean, centred, rstd } = row(x, p, t);
        for j in 0..x.len() {
            let mut value =
                if t.is("ln_folded") { x[j] * rstd - mean * rstd } else { centred[j] * rstd };
            if let Some(weight) = p.opt("weight") {
                value = value * weight.data[j];
            }
            if let Some(bias) = p.opt("bias") {
                value += bias.data[j];
            }
            y.push(value);
        }
    }
    vec![Named::new("y", &x.shape, y)]
}

fn backward<R: Real>(p: &Problem<R>, t: Twist) -> Vec<Named<R>> {
    let (x, dy) = (p.get("x"), p.get("dy"));
    let cols = width(p);
    let n = R::count(cols);
    let mut dx = Vec::with_capacity(x.data.len());
    let (mut dweight, mut dbias) = (vec![R::zero(); cols], vec![R::zero(); cols]);
    for (x, dy) in x.data.chunks_exact(cols).zip(dy.data.chunks_exact(cols)) {
        let Row { centred, rstd, .. } = row(x, p, t);
        let (mut mean, mut slope) = (R::zero(), R::zero());
        let w = |j: usize| p.opt("weight").map_or(dy[j], |weight| weight.data[j] * dy[j]);
        for j in 0..cols {
            mean += w(j);
            slope += w(j) * centred[j] * rstd;
            dweight[j] += dy[j] * centred[j] * rstd;
            dbias[j] += dy[j];
        }
        let times = R::num(if t.is("ln_mean_twice") { 2.0 } else { 1.0 });
        for j in 0..cols {
            let xhat = centred[j] * rstd;
            dx.push(rstd * (w(j) - times * mean / n - xhat * slope / n));
        }
    }
    let mut answer = vec![Named::new("dx", &x.shape, dx)];
    if let Some(weight) = p.opt("weight") {
        answer.push(Named::new("dweight", &weight.shape, dweight));
    }
    if let Some(bias) = p.opt("bias") {
        answer.push(Named::new("dbias", &bias.shape, dbias));
    }
    answer
}
