//! Batch normalisation, wrong in the ways in which it has been.

use super::norm::{form, moments, rsqrt, sum};
use super::{Control, Mutant, Mutation};
use crate::check::call::Dir;
use crate::check::spec::operator::{Named, Problem};
use crate::num::Num;

const fn mutant(id: &'static str, class: &'static str, about: &'static str) -> Mutant {
    Mutant::new("batch_norm", id, class, about)
}

const fn control(id: &'static str, about: &'static str) -> Control {
    Control { id, op: "batch_norm", about }
}

pub const MUTANTS: &[Mutant] = &[
    mutant("bn_biased", "statistics", "running_var from the biased variance"),
    mutant("bn_unbiased", "statistics", "normalised by the unbiased variance"),
    mutant("bn_m1_accepts", "statistics", "one value per channel not refused in training"),
    mutant("bn_momentum", "statistics", "momentum given to the old statistics"),
    mutant("bn_unmoved", "statistics", "running statistics not updated"),
    mutant("bn_running_std", "statistics", "running_var holds the standard deviation"),
    mutant("bn_eval_moves", "statistics", "running statistics updated in evaluation too"),
    mutant("bn_eval_batch", "statistics", "evaluation by the statistics of the batch"),
    mutant("bn_train_running", "statistics", "training by the running statistics"),
    mutant("bn_eps_out", "epsilon", "eps added outside of the square root"),
    mutant("bn_eps_none", "epsilon", "eps forgotten"),
    mutant("bn_running_eps", "epsilon", "eps added to running_var"),
    mutant("bn_one_pass", "cancellation", "variance in one pass"),
    mutant("bn_axis", "axis", "statistics of the next channel"),
    mutant("bn_last_row", "tile", "the last row left out of the mean"),
    mutant("bn_rows_65535", "tile", "rows beyond 65535 not processed"),
    Mutant { native: true, ..mutant("bn_native16", "precision", "everything in 16 bits") },
    mutant("bnb_constants", "backward", "in training, statistics treated as constants"),
    mutant("bnb_eval_slopes", "backward", "in evaluation, statistics differentiated"),
    mutant("bnb_unweighted", "backward", "weight not applied in dx"),
    mutant("bnb_raw", "backward", "dweight from x in place of x̂"),
    mutant("bnb_accumulates", "alias", "from the second call on, gradients added to the last ones"),
    mutant("bn_row_16_bits", "size", "rows beyond 65536 read as those from 0 on"),
    mutant("bn_eps_default", "argument", "an eps of 0 taken for none given"),
    mutant("bn_momentum_default", "argument", "a momentum of 0 taken for none given"),
];

pub const CONTROLS: &[Control] = &[
    control("bn_welford", "mean and variance by Welford's update"),
    control("bn_chunked", "Welford's update in chunks, merged"),
    control("bn_pairwise", "sums in pairs of pairs"),
    control("bn_lanes8", "sums in 8 lanes"),
    control("bn_wide", "sums in f64"),
    control("bn_reversed", "sums from the last element"),
    control("bn_power", "power −½ in place of a root and a quotient"),
    control("bn_folded", "y as a·x + b"),
    control("bn_towards", "running statistics as old + momentum·(batch − old)"),
];

pub fn answer<R: Num>(p: &Problem<R>, t: Mutation) -> Vec<Named<R>> {
    let x = p.get("x");
    let (cols, rows) = (x.cols(), x.data.len() / x.cols());
    let column =
        |data: &[R], j: usize| -> Vec<R> { data.iter().skip(j).step_by(cols).copied().collect() };
    let (weight, bias) = (p.get("weight"), p.get("bias"));
    let (means, vars) = (p.get("running_mean"), p.get("running_var"));
    let (mut new_means, mut new_vars) = (means.data.clone(), vars.data.clone());
    let mut output = vec![R::zero(); x.data.len()];
    let (mut dweight, mut dbias) = (vec![R::zero(); cols], vec![R::zero(); cols]);
    for j in 0..cols {
        let own = column(&x.data, if t.is("bn_axis") { (j + 1) % cols } else { j });
        let x = column(&x.data, j);
        let batch = match t.id {
            "bn_train_running" => false,
            "bn_eval_batch" => true,
            _ => p.flag("training"),
        };
        let (mean, var) = batch_moments(&own, t);
        let n = R::count(rows);
        let unbiased = var * n / R::count(rows.max(2) - 1);
        if p.flag("training") && !t.is("bn_unmoved") || t.is("bn_eval_moves") {
            let var = match t.id {
                "bn_biased" => var,
                "bn_running_std" => unbiased.sqrt(),
                "bn_running_eps" => unbiased + R::num(p.num("eps")),
                _ => unbiased,
            };
            new_means[j] = moved(means.data[j], mean, p, t);
            new_vars[j] = moved(vars.data[j], var, p, t);
        }
        let (mean, var) = match (batch, t.id) {
            (true, "bn_unbiased") => (mean, unbiased),
            (true, _) => (mean, var),
            _ => (means.data[j], vars.data[j]),
        };
        let eps = R::num(if t.is("bn_eps_none") { 0.0 } else { p.num("eps") });
        let rstd = match t.id {
            "bn_eps_out" => R::one() / (var.sqrt() + eps),
            _ => rsqrt(var + eps, form(t.id)),
        };
        let scale = rstd * weight.data[j];
        if p.call.dir == Dir::Fwd {
            let shift = bias.data[j] - mean * scale;
            for (i, &x) in x.iter().enumerate() {
                output[i * cols + j] = match t.id {
                    "bn_folded" => x * scale + shift,
                    _ => (x - mean) * rstd * weight.data[j] + bias.data[j],
                };
            }
            continue;
        }
        let dy = column(&p.get("dy").data, j);
        let xhat: Vec<R> = x.iter().map(|&x| (x - mean) * rstd).collect();
        let along = |factor: &[R]| {
            sum(&dy.iter().zip(factor).map(|(&dy, &f)| dy * f).collect::<Vec<R>>(), form(t.id))
        };
        let total = sum(&dy, form(t.id));
        let slope = along(&xhat);
        let constants = match t.id {
            "bnb_constants" => true,
            "bnb_eval_slopes" => false,
            _ => !batch,
        };
        let scale = if t.is("bnb_unweighted") { rstd } else { scale };
        for i in 0..rows {
            let terms = dy[i] - total / n - xhat[i] * slope / n;
            output[i * cols + j] = scale * if constants { dy[i] } else { terms };
        }
        (dweight[j], dbias[j]) = (if t.is("bnb_raw") { along(&x) } else { slope }, total);
        if t.is("bnb_accumulates") && t.calls > 0 {
            (dweight[j], dbias[j]) = (dweight[j] + dweight[j], dbias[j] + dbias[j]);
        }
    }
    if t.is("bn_rows_65535") && rows > 65535 {
        output[65535 * cols..].fill(R::zero());
    }
    match p.call.dir {
        Dir::Fwd => vec![
            Named::new("y", &x.shape, output),
            Named::new("running_mean", &means.shape, new_means),
            Named::new("running_var", &vars.shape, new_vars),
        ],
        Dir::Bwd => vec![
            Named::new("dx", &x.shape, output),
            Named::new("dweight", &weight.shape, dweight),
            Named::new("dbias", &bias.shape, dbias),
        ],
    }
}

/// Mean and biased variance of a channel.
fn batch_moments<R: Num>(x: &[R], t: Mutation) -> (R, R) {
    if !t.is("bn_last_row") || x.len() == 1 {
        return moments(x, form(t.id));
    }
    let mean = sum(&x[..x.len() - 1], "") / R::count(x.len());
    let squares: Vec<R> = x.iter().map(|&x| (x - mean).square()).collect();
    (mean, sum(&squares, "") / R::count(x.len()))
}

/// A running statistic after one batch.
fn moved<R: Num>(old: R, batch: R, p: &Problem<R>, t: Mutation) -> R {
    let momentum = R::num(p.num("momentum"));
    match t.id {
        "bn_momentum" => momentum * old + (R::one() - momentum) * batch,
        "bn_towards" => old + momentum * (batch - old),
        _ => (R::one() - momentum) * old + momentum * batch,
    }
}
