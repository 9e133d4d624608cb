//! Root mean square normalisation, wrong in the ways in which it has been.

use super::norm::{columns, columns_stored, form, rsqrt, sum};
use super::{Control, Mutant, Mutation};
use crate::check::call::Dir;
use crate::check::spec::operator::{Named, Problem};
use crate::num::Num;

const fn mutant(id: &'static str, class: &'static str, about: &'static str) -> Mutant {
    Mutant::new("rms_norm", id, class, about)
}

const fn control(id: &'static str, about: &'static str) -> Control {
    Control { id, op: "rms_norm", about }
}

pub const MUTANTS: &[Mutant] = &[
    mutant("rms_eps_out", "epsilon", "eps added outside of the square root"),
    mutant("rms_eps_hard", "epsilon", "eps hard-coded to 1e-5"),
    mutant("rms_eps_none", "epsilon", "eps forgotten"),
    mutant("rms_eps_sum", "epsilon", "eps added to the sum of squares"),
    mutant("rms_maxscale", "epsilon", "eps added after a division by max |x|"),
    mutant("rms_centred", "statistics", "the variance in place of the mean square"),
    mutant("rms_unbiased", "statistics", "the sum of squares divided by n − 1"),
    mutant("rms_norm2", "statistics", "divided by ‖x‖, not by the root mean square"),
    mutant("rms_tail", "tile", "elements beyond a multiple of 4 left out of the sum of squares"),
    mutant("rms_groups", "tile", "rows of 257 to 1024 add the partial sums of two groups twice"),
    mutant("rms_square16", "precision", "squares in 16 bits"),
    mutant("rms_sum16", "precision", "the sum of squares in 16 bits"),
    Mutant { native: true, ..mutant("rms_native16", "precision", "everything in 16 bits") },
    Mutant {
        only: Some(Dir::Fwd),
        ..mutant("rms_offset16", "precision", "offset + weight formed in 16 bits")
    },
    Mutant {
        only: Some(Dir::Fwd),
        ..mutant("rms_cast_late", "precision", "multiplied by the weight before it is rounded")
    },
    Mutant {
        only: Some(Dir::Fwd),
        ..mutant("rms_cast_early", "precision", "rounded before it is multiplied by the weight")
    },
    mutant("rms_fast_rsqrt", "precision", "1/√ to 12 bits"),
    mutant("rms_no_offset", "attribute", "forward without the offset"),
    mutant("rmsb_no_offset", "backward", "backward without the offset"),
    mutant("rmsb_no_slope", "backward", "dx without the term of the mean square"),
    mutant("rmsb_weighted_twice", "backward", "weight squared in the term of the mean square"),
    mutant("rmsb_saved_var", "backward", "the mean square saved in place of 1/√"),
    mutant("rmsb_raw", "backward", "dweight from x in place of x̂"),
    mutant("rmsb_inplace", "alias", "dx written over dy before dy is read"),
    Mutant {
        only: Some(Dir::Bwd),
        ..mutant("rmsb_dweight16", "precision", "dweight accumulated in 16 bits")
    },
    mutant("rms_rows_lanes", "promise", "the sum of squares in 16 lanes among 4 rows and more"),
    mutant("rms_one_in_40", "intermittent", "half of one answer in 40 not written"),
    mutant("rms_cached_by_shape", "intermittent", "attributes kept from the first call of a shape"),
    mutant("rmsb_row_blocks", "tile", "rows beyond a multiple of 16 left out of dweight"),
    mutant("rms_cols_8192", "size", "columns beyond 8192 read as 0"),
    mutant("rms_rows_65535", "size", "rows beyond 65535 not written"),
    mutant("rms_eps_default", "argument", "an eps of 0 taken for none given"),
    mutant("rms_offset_flag", "argument", "any offset but 0 taken for 1"),
];

pub const CONTROLS: &[Control] = &[
    control("rms_pairwise", "sums in pairs of pairs"),
    control("rms_lanes8", "sums in 8 lanes"),
    control("rms_lanes16", "sums in 16 lanes"),
    control("rms_wide", "sums in f64"),
    control("rms_reversed", "sums from the last element"),
    control("rms_power", "power −½ in place of a root and a quotient"),
    control("rms_scaled", "divided by a power of two near max |x| or √eps first, and eps with it"),
    control("rmsb_cube", "dx as rstd·g − x·rstd³·mean(g·x)"),
    control("rmsb_blocks", "dweight in blocks of 5 rows"),
];

pub fn answer<R: Num>(p: &Problem<R>, t: Mutation) -> Vec<Named<R>> {
    match p.call.dir {
        Dir::Fwd => forward(p, t),
        Dir::Bwd => backward(p, t),
    }
}

/// 1/√(mean square + eps).
fn rstd<R: Num>(x: &[R], p: &Problem<R>, t: Mutation) -> R {
    let n = x.len();
    let eps = R::num(p.num("eps"));
    let among = p.get("x").data.len() / n;
    let order = if t.is("rms_rows_lanes") && among >= 4 { "lanes16" } else { form(t.id) };
    let seen = if t.is("rms_tail") && n > 4 { n / 4 * 4 } else { n };
    let centre = if t.is("rms_centred") { sum(x, "") / R::count(n) } else { R::zero() };
    let largest = x.iter().fold(R::zero(), |most, x| most.larger(x.abs()));
    // A power of two changes no digit. That of eps counts too: eps over the square of a tiny row's
    // largest would overflow.
    let power = largest.value().max(eps.value().sqrt());
    let power = 2f64.powi(power.log2().floor() as i32);
    let unit = match t.id {
        "rms_scaled" if power > 0.0 => R::num(power),
        "rms_maxscale" => largest,
        _ => R::one(),
    };
    let mut squares: Vec<R> = x[..seen].iter().map(|&x| ((x - centre) / unit).square()).collect();
    if t.is("rms_square16") {
        squares.iter_mut().for_each(|square| *square = square.narrow(p.call.dtype));
    }
    let mut total = match t.id {
        "rms_sum16" => squares.iter().fold(R::zero(), |sum, &s| (sum + s).narrow(p.call.dtype)),
        _ => sum(&squares, order),
    };
    if t.is("rms_groups") && (257..=1024).contains(&n) {
        total += sum(&squares[256..], "");
    }
    let count = match t.id {
        "rms_unbiased" => n.max(2) - 1,
        "rms_norm2" => 1,
        _ => n,
    };
    let mean = total / R::count(count);
    match t.id {
        "rms_eps_out" => R::one() / (mean.sqrt() + eps),
        "rms_eps_hard" => rsqrt(mean + R::num(1e-5), order),
        "rms_eps_none" => rsqrt(mean, order),
        "rms_eps_sum" => rsqrt((total + eps) / R::count(n), order),
        "rms_maxscale" => R::one() / (unit * (mean + eps).sqrt()),
        "rms_scaled" => R::one() / (unit * (mean + eps / unit / unit).sqrt()),
        "rmsb_saved_var" if p.call.dir == Dir::Bwd => mean + eps,
        _ => rsqrt(mean + eps, order),
    }
}

/// offset + weight.
fn gain<R: Num>(p: &Problem<R>, t: Mutation) -> Option<Vec<R>> {
    let forgotten = match p.call.dir {
        Dir::Fwd => t.is("rms_no_offset"),
        Dir::Bwd => t.is("rmsb_no_offset"),
    };
    let offset = if forgotten { 0.0 } else { p.num("offset") };
    let formed = |&w: &R| {
        let gain = if offset == 0.0 { w } else { w + R::num(offset) };
        if t.is("rms_offset16") { gain.narrow(p.call.params_dtype) } else { gain }
    };
    p.opt("weight").map(|weight| weight.data.iter().map(formed).collect())
}

/// x̂ as it is multiplied by the weight.
fn multiplied<R: Num>(x: &[R], rstd: R, p: &Problem<R>, t: Mutation) -> Vec<R> {
    let early = match t.id {
        "rms_cast_late" => false,
        "rms_cast_early" => true,
        _ => p.word("cast") == "before_weight",
    };
    let cast = |xhat: R| if early { xhat.narrow(p.call.dtype) } else { xhat };
    x.iter().map(|&x| cast(x * rstd)).collect()
}

fn forward<R: Num>(p: &Problem<R>, t: Mutation) -> Vec<Named<R>> {
    let x = p.get("x");
    let gain = gain(p, t);
    let mut y = Vec::with_capacity(x.data.len());
    for x in x.rows() {
        let xhat = multiplied(x, rstd(x, p, t), p, t);
        y.extend((0..x.len()).map(|j| gain.as_ref().map_or(xhat[j], |gain| xhat[j] * gain[j])));
    }
    vec![Named::new("y", &x.shape, y)]
}

fn backward<R: Num>(p: &Problem<R>, t: Mutation) -> Vec<Named<R>> {
    let (x, dy) = (p.get("x"), p.get("dy"));
    let (cols, rows) = (x.cols(), x.data.len() / x.cols());
    let gain = gain(p, t).unwrap_or_else(|| vec![R::one(); cols]);
    let n = R::count(cols);
    let (mut dx, mut terms) = (Vec::with_capacity(x.data.len()), Vec::new());
    for (x, dy) in x.rows().zip(dy.rows()) {
        let rstd = rstd(x, p, t);
        let g: Vec<R> = dy.iter().zip(&gain).map(|(&dy, &gain)| dy * gain).collect();
        let along = |factor: &dyn Fn(usize) -> R| {
            sum(&(0..cols).map(|j| g[j] * factor(j)).collect::<Vec<R>>(), form(t.id)) / n
        };
        let slope = match t.id {
            "rmsb_no_slope" => R::zero(),
            "rmsb_weighted_twice" => along(&|j| gain[j] * (x[j] * rstd)),
            _ => along(&|j| x[j] * rstd),
        };
        let cube = along(&|j| x[j]) * rstd * rstd * rstd;
        dx.extend((0..cols).map(|j| match t.id {
            "rmsb_cube" => rstd * g[j] - x[j] * cube,
            // What was dy is x by then.
            "rmsb_inplace" => rstd * (x[j] * rstd * -slope * R::num(2.0)),
            _ => rstd * (g[j] - x[j] * rstd * slope),
        }));
        let xhat = multiplied(x, rstd, p, t);
        let factor = |j: usize| if t.is("rmsb_raw") { x[j] } else { xhat[j] };
        terms.extend((0..cols).map(|j| dy[j] * factor(j)));
    }
    let mut answer = vec![Named::new("dx", &x.shape, dx)];
    if let Some(weight) = p.opt("weight") {
        let seen = if t.is("rmsb_row_blocks") && rows > 16 { rows / 16 * 16 } else { rows };
        let dweight = match t.id {
            "rmsb_dweight16" => columns_stored(&terms, cols, p.call.dtype),
            "rmsb_blocks" => columns(&terms, cols, 5),
            _ => columns(&terms[..seen * cols], cols, rows),
        };
        answer.push(Named::new("dweight", &weight.shape, dweight));
    }
    answer
}
