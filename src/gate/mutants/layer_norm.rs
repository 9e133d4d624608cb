//! Layer normalisation, wrong in the ways in which it has been.

use super::norm::{columns, columns_stored, form, fused, moments, or, rsqrt, sum};
use super::{Control, Mutant, Mutation};
use crate::check::call::Dir;
use crate::check::spec::operator::{Named, Problem};
use crate::num::Num;

const fn mutant(id: &'static str, class: &'static str, about: &'static str) -> Mutant {
    Mutant::new("layer_norm", id, class, about)
}

const fn control(id: &'static str, about: &'static str) -> Control {
    Control { id, op: "layer_norm", about }
}

pub const MUTANTS: &[Mutant] = &[
    mutant("ln_one_pass", "cancellation", "variance from mean(x²) − mean², in one pass"),
    mutant("ln_clipped", "cancellation", "variance in one pass, clipped at 0"),
    mutant("ln_folded", "cancellation", "y as x·rstd − mean·rstd, which cancels"),
    mutant("ln_eps_out", "epsilon", "eps added outside of the square root"),
    mutant("ln_eps_hard", "epsilon", "eps hard-coded to 1e-5"),
    mutant("ln_eps_none", "epsilon", "eps forgotten"),
    mutant("ln_eps_product", "epsilon", "variance multiplied by 1 + eps"),
    mutant("ln_eps_count", "epsilon", "eps added to the count"),
    mutant("lnb_eps_none", "epsilon", "eps forgotten in the backward"),
    mutant("ln_unbiased", "statistics", "variance divided by n − 1"),
    mutant("ln_axis", "axis", "statistics over the rows of the batch"),
    mutant("ln_last_axis", "axis", "of two normalized axes, only the last is"),
    mutant("ln_bias_needs_weight", "axis", "bias dropped where weight is absent"),
    mutant("ln_weight_shifted", "axis", "weight of the next column"),
    mutant("ln_last_unweighted", "tile", "weight left out at the last column"),
    mutant("ln_tail_sum", "tile", "elements beyond a multiple of 8 left out of the mean"),
    mutant("ln_tail_var", "tile", "elements beyond a multiple of 256 left out of the variance"),
    mutant("ln_tail_stale", "tile", "columns beyond a multiple of 32 not written"),
    mutant("ln_padding", "tile", "padding up to a power of two counted in the variance"),
    mutant("ln_rows_65535", "tile", "rows beyond 65535 not processed"),
    mutant("ln_square16", "precision", "squares and their sum in 16 bits"),
    mutant("ln_fast_rsqrt", "precision", "1/√ to 12 bits"),
    Mutant { native: true, ..mutant("ln_native16", "precision", "everything in 16 bits") },
    mutant("ln_stale", "determinism", "every 7th call reads statistics that were not written"),
    mutant("ln_rows_chunked", "promise", "the variance in chunks, merged, among 8 rows and more"),
    mutant("ln_one_in_10", "intermittent", "half of one answer in 10 not written"),
    mutant("ln_leaks", "intermittent", "after another shape, half of the answer before"),
    mutant("ln_mean_twice", "backward", "mean(dy·weight) subtracted twice"),
    mutant("lnb_no_mean", "backward", "dx without the mean of dy·weight"),
    mutant("lnb_no_slope", "backward", "dx without the term of the variance"),
    mutant("lnb_slope_twice", "backward", "the term of the variance subtracted twice"),
    mutant("lnb_no_rstd", "backward", "dx not divided by the standard deviation"),
    mutant("lnb_unweighted", "backward", "weight not applied in dx"),
    mutant("lnb_weighted_twice", "backward", "weight applied twice in dx"),
    mutant("lnb_weight_transposed", "backward", "dx with the weights in reverse order"),
    mutant("lnb_affine_none", "backward", "dbias 0 where weight is absent"),
    mutant("lnb_raw", "backward", "dweight from x in place of x̂"),
    mutant("lnb_bias_weighted", "backward", "dbias from dy·weight"),
    mutant("lnb_dweight_mean", "backward", "dweight and dbias averaged over the rows"),
    mutant("lnb_last_tile", "tile", "the mean of dy·weight from the last 32 columns only"),
    mutant("lnb_row_blocks", "tile", "rows beyond a multiple of 8 left out of dweight and dbias"),
    mutant("lnb_half_warp", "tile", "dweight and dbias of every second 32 columns lost"),
    mutant("lnb_saved16", "precision", "mean and rstd kept in 16 bits between the passes"),
    Mutant {
        only: Some(Dir::Bwd),
        ..mutant("lnb_dweight16", "precision", "dweight and dbias accumulated in 16 bits")
    },
    mutant("lnb_accumulates", "alias", "from the second call on, gradients added to the last ones"),
    mutant(
        "ln_wide_statistics",
        "size",
        "columns beyond a multiple of 128 left out of mean and variance where a row has more than 3072",
    ),
    mutant(
        "ln_wide_tail",
        "size",
        "columns beyond a multiple of 128 read as 0 where a row has more than 3072",
    ),
    mutant("ln_row_16_bits", "size", "rows beyond 65536 are those from 0 on"),
    mutant(
        "lnb_late_rows",
        "size",
        "rows beyond a multiple of 64 have no gradient where there are more than 2048",
    ),
    mutant("ln_eps_default", "argument", "an eps of 0 taken for none given"),
];

pub const CONTROLS: &[Control] = &[
    control("ln_welford", "mean and variance by Welford's update"),
    control("ln_chunked", "Welford's update in chunks, merged"),
    control("ln_pairwise", "sums in pairs of pairs"),
    control("ln_lanes8", "sums in 8 lanes"),
    control("ln_lanes16", "sums in 16 lanes"),
    control("ln_wide", "sums in f64"),
    control("ln_reversed", "sums from the last element"),
    control("ln_power", "power −½ in place of a root and a quotient"),
    control("ln_quotient", "divided by the standard deviation"),
    control("ln_minus", "(x + (−mean))·(rstd·weight) + bias"),
    control("ln_fma", "products and sums contracted"),
    control("lnb_folded", "dx as a·dy·weight + b·x + c"),
    control("lnb_blocks", "dweight and dbias in blocks of 5 rows"),
];

pub fn answer<R: Num>(p: &Problem<R>, t: Mutation) -> Vec<Named<R>> {
    match p.call.dir {
        Dir::Fwd => forward(p, t),
        Dir::Bwd => backward(p, t),
    }
}

/// Mean and rstd of a row.
fn statistics<R: Num>(x: &[R], p: &Problem<R>, t: Mutation) -> (R, R) {
    let n = x.len();
    let bwd = p.call.dir == Dir::Bwd;
    if t.is("ln_stale") && t.calls % 7 == 6 {
        return (R::zero(), R::one());
    }
    let among = p.get("x").data.len() / n;
    let order = if t.is("ln_rows_chunked") && among >= 8 { "chunked" } else { form(t.id) };
    let (mut mean, mut var) = moments(x, order);
    let spread =
        |x: &[R], mean: R| sum(&x.iter().map(|&x| (x - mean).square()).collect::<Vec<_>>(), "");
    match t.id {
        "ln_tail_sum" if n > 8 => {
            mean = sum(&x[..n / 8 * 8], "") / R::count(n);
            var = spread(x, mean) / R::count(n);
        }
        "ln_wide_statistics" if n > 3072 => {
            let seen = &x[..n / 128 * 128];
            mean = sum(seen, "") / R::count(seen.len());
            var = spread(seen, mean) / R::count(seen.len());
        }
        "ln_tail_var" if n > 256 => var = spread(&x[..n / 256 * 256], mean) / R::count(n),
        "ln_padding" => {
            let padding = R::count(n.next_power_of_two() - n);
            var += padding * mean * mean / R::count(n);
        }
        "ln_unbiased" => var = var * R::count(n) / R::count(n.max(2) - 1),
        "ln_eps_count" => var = var * R::count(n) / (R::count(n) + R::num(p.num("eps"))),
        "ln_square16" => {
            let dtype = p.call.dtype;
            let squares = x.iter().map(|&x| (x - mean).square().narrow(dtype));
            let total = squares.fold(R::zero(), |sum, square| (sum + square).narrow(dtype));
            var = total / R::count(n);
        }
        _ => {}
    }
    let eps = match t.id {
        "ln_eps_hard" => R::num(1e-5),
        "ln_eps_none" | "ln_eps_count" => R::zero(),
        "ln_eps_product" => var * R::num(p.num("eps")),
        "lnb_eps_none" if bwd => R::zero(),
        _ => R::num(p.num("eps")),
    };
    let rstd = match t.id {
        "ln_eps_out" => R::one() / (var.sqrt() + eps),
        _ => rsqrt(var + eps, form(t.id)),
    };
    if t.is("lnb_saved16") && bwd {
        return (mean.narrow(p.call.dtype), rstd.narrow(p.call.dtype));
    }
    (mean, rstd)
}

/// Mean and rstd of each row.
fn all_statistics<R: Num>(p: &Problem<R>, t: Mutation) -> Vec<(R, R)> {
    let (x, cols) = (&p.get("x").data, width(p, t));
    if t.is("ln_axis") {
        let over = |j: usize| x.iter().skip(j).step_by(cols).copied().collect::<Vec<R>>();
        let columns: Vec<(R, R)> = (0..cols).map(|j| statistics(&over(j), p, t)).collect();
        return x.iter().enumerate().map(|(i, _)| columns[i % cols]).collect();
    }
    x.chunks_exact(cols).map(|x| statistics(x, p, t)).collect()
}

fn width<R: Num>(p: &Problem<R>, t: Mutation) -> usize {
    let x = p.get("x");
    let dims = if t.is("ln_last_axis") { 1 } else { p.int("normalized_dims") as usize };
    x.shape[x.shape.len() - dims..].iter().product()
}

/// Where the statistics of an element are.
fn place<R: Num>(i: usize, p: &Problem<R>, t: Mutation) -> usize {
    if t.is("ln_axis") { i } else { i / width(p, t) }
}

/// The weight that a column meets.
fn weights<R: Num>(p: &Problem<R>, t: Mutation) -> Vec<R> {
    let n: usize = width(p, Mutation { id: "", calls: 0 });
    let mut weight = or(p, "weight", n, 1.0);
    match t.id {
        "ln_weight_shifted" => weight.rotate_left(1),
        "ln_last_unweighted" => weight[n - 1] = R::one(),
        _ => {}
    }
    weight
}

fn forward<R: Num>(p: &Problem<R>, t: Mutation) -> Vec<Named<R>> {
    let x = p.get("x");
    let statistics = all_statistics(p, t);
    let weight = weights(p, t);
    let cols = weight.len();
    let bias = p.opt("bias").filter(|_| !t.is("ln_bias_needs_weight") || p.opt("weight").is_some());
    let mut y = Vec::with_capacity(x.data.len());
    for (i, &x) in x.data.iter().enumerate() {
        let (mean, rstd) = statistics[place(i, p, t)];
        let (row, j) = (i / cols, i % cols);
        let unwritten = t.is("ln_rows_65535") && row >= 65535
            || t.is("ln_tail_stale") && cols > 32 && j >= cols / 32 * 32;
        if unwritten {
            y.push(if row > 0 { y[i - cols] } else { R::zero() });
            continue;
        }
        let weighted = match t.id {
            "ln_folded" => (x * rstd - mean * rstd) * weight[j],
            "ln_quotient" => (x - mean) / (R::one() / rstd) * weight[j],
            "ln_minus" => (x + -mean) * (rstd * weight[j]),
            _ => (x - mean) * rstd * weight[j],
        };
        y.push(match bias {
            Some(bias) if t.is("ln_fma") => fused((x - mean) * rstd, weight[j], bias.data[j]),
            Some(bias) => weighted + bias.data[j],
            None => weighted,
        });
    }
    vec![Named::new("y", &x.shape, y)]
}

fn backward<R: Num>(p: &Problem<R>, t: Mutation) -> Vec<Named<R>> {
    let (x, dy) = (p.get("x"), p.get("dy"));
    let statistics = all_statistics(p, t);
    let mut weight = weights(p, t);
    let cols = weight.len();
    let rows = x.data.len() / cols;
    match t.id {
        "lnb_unweighted" => weight.fill(R::one()),
        "lnb_weighted_twice" => weight.iter_mut().for_each(|w| *w = *w * *w),
        "lnb_weight_transposed" => weight.reverse(),
        _ => {}
    }
    let xhats: Vec<R> = (x.data.iter().enumerate())
        .map(|(i, &x)| {
            let (mean, rstd) = statistics[place(i, p, t)];
            if t.is("ln_folded") { x * rstd - mean * rstd } else { (x - mean) * rstd }
        })
        .collect();
    let mut dx = Vec::with_capacity(x.data.len());
    for row in 0..rows {
        let of = row * cols..(row + 1) * cols;
        let (x, dy, xhat) = (&x.data[of.clone()], &dy.data[of.clone()], &xhats[of.clone()]);
        dx.extend(row_gradient(x, dy, xhat, &weight, statistics[place(of.start, p, t)], t));
        if t.is("ln_rows_65535") && row >= 65535 {
            dx[of.clone()].fill(R::zero());
        }
        if t.is("ln_tail_stale") && cols > 32 {
            dx[of][cols / 32 * 32..].fill(R::zero());
        }
    }
    let terms = |factor: &dyn Fn(usize) -> R| -> Vec<R> {
        (0..x.data.len()).map(|i| dy.data[i] * factor(i)).collect()
    };
    let over_rows = |terms: Vec<R>| -> Vec<R> {
        let seen = if t.is("lnb_row_blocks") && rows > 8 { rows / 8 * 8 } else { rows };
        let mut sum = match t.id {
            "lnb_dweight16" => columns_stored(&terms, cols, p.call.dtype),
            "lnb_blocks" => columns(&terms, cols, 5),
            _ => columns(&terms[..seen * cols], cols, rows),
        };
        for (j, sum) in sum.iter_mut().enumerate() {
            if t.is("lnb_half_warp") && j % 64 >= 32 {
                *sum = R::zero();
            }
            if t.is("lnb_dweight_mean") {
                *sum = *sum / R::count(rows);
            }
            if t.is("lnb_accumulates") && t.calls > 0 {
                *sum = *sum + *sum;
            }
        }
        sum
    };
    let mut answer = vec![Named::new("dx", &x.shape, dx)];
    if let Some(own) = p.opt("weight") {
        let factor = |i: usize| if t.is("lnb_raw") { x.data[i] } else { xhats[i] };
        answer.push(Named::new("dweight", &own.shape, over_rows(terms(&factor))));
    }
    if let Some(own) = p.opt("bias") {
        let factor = |i: usize| if t.is("lnb_bias_weighted") { weight[i % cols] } else { R::one() };
        let mut dbias = over_rows(terms(&factor));
        if t.is("lnb_affine_none") && p.opt("weight").is_none() {
            dbias.fill(R::zero());
        }
        answer.push(Named::new("dbias", &own.shape, dbias));
    }
    answer
}

fn row_gradient<R: Num>(
    x: &[R],
    dy: &[R],
    xhat: &[R],
    weight: &[R],
    (mean, rstd): (R, R),
    t: Mutation,
) -> Vec<R> {
    let cols = x.len();
    let n = R::count(cols);
    let w: Vec<R> = dy.iter().zip(weight).map(|(&dy, &weight)| dy * weight).collect();
    let product = |a: &[R], b: &[R]| -> Vec<R> { a.iter().zip(b).map(|(&a, &b)| a * b).collect() };
    let order = form(t.id);
    let total = match t.id {
        "lnb_last_tile" => sum(&w[(cols - 1) / 32 * 32..], order),
        _ => sum(&w, order),
    };
    let along = sum(&product(&w, xhat), order);
    if t.is("lnb_folded") {
        let b = (total * mean - sum(&product(&w, x), order)) * rstd * rstd * rstd / n;
        let c = -(b * mean) - total * rstd / n;
        return (0..cols).map(|j| rstd * w[j] + b * x[j] + c).collect();
    }
    let (mut first, mut second, mut by) = (total / n, along / n, rstd);
    match t.id {
        "ln_mean_twice" => first = first + first,
        "lnb_no_mean" => first = R::zero(),
        "lnb_no_slope" => second = R::zero(),
        "lnb_slope_twice" => second = second + second,
        "lnb_no_rstd" => by = R::one(),
        _ => {}
    }
    let gradient = |j: usize| {
        if t.is("ln_fma") {
            by * fused(-xhat[j], second, fused(dy[j], weight[j], -first))
        } else {
            by * (w[j] - first - xhat[j] * second)
        }
    };
    (0..cols).map(gradient).collect()
}
