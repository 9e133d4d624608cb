//! Weight standardisation, wrong in the ways in which it has been.

use super::norm::{form, moments, or, rsqrt, sum};
use super::{Control, Mutant, Mutation};
use crate::check::call::Dir;
use crate::check::spec::operator::{Named, Problem};
use crate::num::Num;

const fn mutant(id: &'static str, class: &'static str, about: &'static str) -> Mutant {
    Mutant::new("weight_standardize", id, class, about)
}

const fn control(id: &'static str, about: &'static str) -> Control {
    Control { id, op: "weight_standardize", about }
}

pub const MUTANTS: &[Mutant] = &[
    mutant("ws_axis", "axis", "statistics over the output rows"),
    mutant("ws_all", "axis", "one mean and variance for the whole matrix"),
    mutant("ws_unbiased", "statistics", "variance divided by n − 1"),
    mutant("ws_uncentred", "statistics", "mean not taken off"),
    mutant("ws_fan_in", "statistics", "divided by √(n·(var + eps)), as scaled standardisation is"),
    mutant("ws_eps_out", "epsilon", "eps added outside of the square root"),
    mutant("ws_eps_none", "epsilon", "eps forgotten"),
    mutant("ws_one_pass", "cancellation", "variance in one pass"),
    mutant("ws_gain_shifted", "axis", "gain of the next row"),
    mutant("wsb_no_gain", "backward", "gain missing in dweight"),
    mutant("wsb_no_mean", "backward", "dweight without the mean of dy"),
    mutant("wsb_no_slope", "backward", "dweight without the term of the variance"),
    mutant("wsb_raw", "backward", "dgain from the weights themselves"),
    mutant("ws_wide_tail", "size", "columns beyond 4000 not written"),
    mutant("ws_eps_default", "argument", "an eps of 0 taken for none given"),
];

pub const CONTROLS: &[Control] = &[
    control("ws_welford", "mean and variance by Welford's update"),
    control("ws_chunked", "Welford's update in chunks, merged"),
    control("ws_pairwise", "sums in pairs of pairs"),
    control("ws_wide", "sums in f64"),
    control("ws_power", "power −½ in place of a root and a quotient"),
];

pub fn answer<R: Num>(p: &Problem<R>, t: Mutation) -> Vec<Named<R>> {
    let weight = p.get("weight");
    let (cols, rows) = (weight.cols(), weight.data.len() / weight.cols());
    let mut gain = or(p, "gain", rows, 1.0);
    if t.is("ws_gain_shifted") {
        gain.rotate_left(1);
    }
    let eps = R::num(if t.is("ws_eps_none") { 0.0 } else { p.num("eps") });
    let n = R::count(cols);
    let standard = |x: &[R]| {
        let (mean, mut var) = moments(x, form(t.id));
        match t.id {
            "ws_unbiased" => var = var * n / R::count(cols.max(2) - 1),
            "ws_fan_in" => return (mean, rsqrt((var + eps) * n, "")),
            "ws_eps_out" => return (mean, R::one() / (var.sqrt() + eps)),
            _ => {}
        }
        let mean = if t.is("ws_uncentred") { R::zero() } else { mean };
        (mean, rsqrt(var + eps, form(t.id)))
    };
    let over = |j: usize| -> Vec<R> { weight.data.iter().skip(j).step_by(cols).copied().collect() };
    let statistics: Vec<(R, R)> = match t.id {
        "ws_axis" => (0..cols).map(|j| standard(&over(j))).collect(),
        "ws_all" => vec![standard(&weight.data)],
        _ => weight.rows().map(standard).collect(),
    };
    let of = |i: usize| match t.id {
        "ws_axis" => statistics[i % cols],
        "ws_all" => statistics[0],
        _ => statistics[i / cols],
    };
    let hat = |(i, &x): (usize, &R)| (x - of(i).0) * of(i).1;
    let xhat: Vec<R> = weight.data.iter().enumerate().map(hat).collect();
    if p.call.dir == Dir::Fwd {
        let y = xhat.iter().enumerate().map(|(i, &xhat)| xhat * gain[i / cols]);
        return vec![Named::new("y", &weight.shape, y.collect())];
    }
    let (mut dweight, mut dgain) = (Vec::with_capacity(weight.data.len()), Vec::new());
    for (i, dy) in p.get("dy").rows().enumerate() {
        let (row, xhat) = (weight.rows().nth(i).expect("a row"), &xhat[i * cols..(i + 1) * cols]);
        let along = |a: &[R], b: &[R]| {
            sum(&a.iter().zip(b).map(|(&a, &b)| a * b).collect::<Vec<R>>(), form(t.id))
        };
        let by = if t.is("wsb_no_gain") { R::one() } else { gain[i] };
        let w: Vec<R> = dy.iter().map(|&dy| dy * by).collect();
        let mean = if t.is("wsb_no_mean") { R::zero() } else { sum(&w, form(t.id)) / n };
        let slope = if t.is("wsb_no_slope") { R::zero() } else { along(&w, xhat) / n };
        let rstd = of(i * cols).1;
        dweight.extend((0..cols).map(|j| rstd * (w[j] - mean - xhat[j] * slope)));
        dgain.push(along(dy, if t.is("wsb_raw") { row } else { xhat }));
    }
    let mut answer = vec![Named::new("dweight", &weight.shape, dweight)];
    if let Some(own) = p.opt("gain") {
        answer.push(Named::new("dgain", &own.shape, dgain));
    }
    answer
}
