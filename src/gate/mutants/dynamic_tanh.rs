//! Dynamic tanh, wrong in the ways in which it can be.

use super::norm::{columns, columns_stored, form, sum};
use super::{Control, Mutant, Mutation};
use crate::check::call::Dir;
use crate::check::spec::operator::{Named, Problem};
use crate::num::Num;

const fn mutant(id: &'static str, class: &'static str, about: &'static str) -> Mutant {
    Mutant::new("dynamic_tanh", id, class, about)
}

const fn control(id: &'static str, about: &'static str) -> Control {
    Control { id, op: "dynamic_tanh", about }
}

pub const MUTANTS: &[Mutant] = &[
    mutant("dyt_alpha_out", "activation", "alpha·tanh(x) in place of tanh(alpha·x)"),
    mutant("dyt_alpha_positive", "activation", "the absolute value of alpha"),
    mutant("dyt_exp", "activation", "tanh as (e²ᶻ − 1)/(e²ᶻ + 1), which overflows"),
    mutant("dyt_clamped", "activation", "tanh as alpha·x held within ±1"),
    mutant("dyt_bias_inside", "axis", "bias added before the weight"),
    mutant("dyt_weight_shifted", "axis", "weight of the next column"),
    mutant("dytb_no_alpha", "backward", "dx without alpha"),
    mutant("dytb_dalpha_weight", "backward", "dalpha without the weight"),
    mutant("dytb_dalpha_row", "backward", "dalpha from the last row only"),
    mutant("dytb_dalpha_mean", "backward", "dalpha averaged over the elements"),
    mutant("dytb_linear", "backward", "1 − t in place of 1 − t²"),
    mutant("dytb_raw", "backward", "dweight from x in place of tanh"),
    mutant("dytb_dbias16", "precision", "dweight and dbias accumulated in 16 bits"),
    mutant("dyt_cols_4096", "size", "columns beyond 4096 not written"),
];

pub const CONTROLS: &[Control] = &[
    control("dyt_pairwise", "sums in pairs of pairs"),
    control("dyt_wide", "sums in f64"),
    control("dyt_reversed", "sums from the last element"),
    control("dytb_factored", "1 − t² as (1 − t)·(1 + t)"),
    control("dytb_blocks", "dweight and dbias in blocks of 5 rows"),
];

pub fn answer<R: Num>(p: &Problem<R>, t: Mutation) -> Vec<Named<R>> {
    let x = p.get("x");
    let (cols, rows) = (x.cols(), x.data.len() / x.cols());
    let (alphas, weights, biases) = (p.get("alpha"), p.get("weight"), p.get("bias"));
    let (mut alpha, mut weight) = (alphas.data[0], weights.data.clone());
    match t.id {
        "dyt_alpha_positive" => alpha = alpha.abs(),
        "dyt_weight_shifted" => weight.rotate_left(1),
        _ => {}
    }
    let tanh = |&x: &R| match t.id {
        "dyt_alpha_out" => alpha * x.tanh(),
        "dyt_exp" => {
            let e = (alpha * x + alpha * x).exp();
            (e - R::one()) / (e + R::one())
        }
        "dyt_clamped" => -(-R::one()).larger(-(alpha * x).larger(-R::one())),
        _ => (alpha * x).tanh(),
    };
    let tanh: Vec<R> = x.data.iter().map(tanh).collect();
    if p.call.dir == Dir::Fwd {
        let y = tanh.iter().enumerate().map(|(i, &tanh)| match t.id {
            "dyt_bias_inside" => weight[i % cols] * (tanh + biases.data[i % cols]),
            _ => weight[i % cols] * tanh + biases.data[i % cols],
        });
        return vec![Named::new("y", &x.shape, y.collect())];
    }
    let dy = &p.get("dy").data;
    let one = R::one();
    let slope = |tanh: R| match t.id {
        "dytb_linear" => one - tanh,
        "dytb_factored" => (one - tanh) * (one + tanh),
        _ => one - tanh * tanh,
    };
    let all = 0..x.data.len();
    let dx = all.clone().map(|i| {
        let g = dy[i] * weight[i % cols] * slope(tanh[i]);
        if t.is("dytb_no_alpha") { g } else { g * alpha }
    });
    let first = if t.is("dytb_dalpha_row") { (rows - 1) * cols } else { 0 };
    let by_alpha: Vec<R> = (first..x.data.len())
        .map(|i| {
            let weight = if t.is("dytb_dalpha_weight") { one } else { weight[i % cols] };
            dy[i] * weight * slope(tanh[i]) * x.data[i]
        })
        .collect();
    let mut dalpha = sum(&by_alpha, form(t.id));
    if t.is("dytb_dalpha_mean") {
        dalpha = dalpha / R::count(x.data.len());
    }
    let over_rows = |terms: Vec<R>| match t.id {
        "dytb_dbias16" => columns_stored(&terms, cols, p.call.dtype),
        "dytb_blocks" => columns(&terms, cols, 5),
        _ => columns(&terms, cols, rows),
    };
    let factor = |i: usize| if t.is("dytb_raw") { x.data[i] } else { tanh[i] };
    vec![
        Named::new("dx", &x.shape, dx.collect()),
        Named::new("dalpha", &alphas.shape, vec![dalpha]),
        Named::new("dweight", &weights.shape, over_rows(all.map(|i| dy[i] * factor(i)).collect())),
        Named::new("dbias", &biases.shape, over_rows(dy.clone())),
    ]
}
