//! Softmax, wrong in the ways in which it has been.

use super::{Control, Mutant, Mutation};
use crate::check::call::Dir;
use crate::check::spec::operator::{Named, Problem};
use crate::num::Num;

const fn mutant(id: &'static str, class: &'static str, about: &'static str) -> Mutant {
    Mutant::new("softmax", id, class, about)
}

pub const MUTANTS: &[Mutant] = &[
    mutant("sm_nomax", "precision", "exponentials of the raw scores overflow"),
    mutant("online_neginf", "mask", "the running maximum of −∞ enters the rescale factor"),
    mutant("sm_padding_zero", "tile", "the padding lanes of a ragged tail hold scores of 0"),
    mutant("sm_truncated", "tile", "only the first 1024 scores of a row enter the sum"),
    mutant("sm_wrong_axis", "axis", "softmax over the rows instead of the columns"),
    mutant("sm_whole_tensor", "axis", "one sum for all rows"),
    mutant("sm_exp_clipped", "precision", "exponents are clipped at −10"),
    mutant("sm_empty_uniform", "mask", "a row of −∞ gives equal shares"),
    mutant("sm_empty_nan", "mask", "a row of −∞ gives NaN"),
    mutant("sm_first_tile_max", "tile", "the maximum is that of the first 256 scores"),
    mutant("sm_absmax", "precision", "the largest magnitude is subtracted, not the maximum"),
    mutant("sm_quiet", "statistics", "1 is added to the sum of exponentials"),
    mutant("sm_tail_8", "tile", "scores beyond the last multiple of 8 are left out of the sum"),
    mutant("sm_atomics", "promise", "the order of the sum changes from call to call"),
    mutant("sm_one_in_10", "intermittent", "half of one answer in 10 not written"),
    mutant("sm_stale_max", "determinism", "the running maximum is not reset from row to row"),
    mutant("sm_stale_sum", "determinism", "from the second call on the sum starts at 1"),
    mutant("sm_base_two", "statistics", "2ˣ for eˣ"),
    mutant("sm_mean_for_sum", "statistics", "divided by the mean of exponentials"),
    Mutant { native: true, ..mutant("sm_native", "precision", "sums in the storage dtype") },
    mutant("smb_elementwise", "backward", "y·(1 − y)·dy, element by element"),
    mutant("smb_no_row_sum", "backward", "y·dy without the row's sum"),
    mutant("smb_sum_of_dy", "backward", "the row's sum is of dy, not of y·dy"),
    mutant("smb_row_sum_bare", "backward", "y·dy − Σ y·dy, the sum not weighted by y"),
    mutant("smb_mean", "backward", "the mean of y·dy for its sum"),
    mutant("smb_long_rows", "tile", "only the first 1024 of a row enter Σ y·dy"),
    mutant("smb_in_place", "alias", "dy is overwritten by y·dy before the difference"),
    mutant("smb_stale", "determinism", "from the second call on Σ y·dy counts twice"),
    mutant("sm_classes_65536", "size", "scores beyond 65536 taken for padding"),
    mutant("smb_classes_49152", "size", "upstream gradients beyond 49152 classes read as 0"),
];

const fn control(id: &'static str, about: &'static str) -> Control {
    Control { id, op: "softmax", about }
}

pub const CONTROLS: &[Control] = &[
    control("sm_online", "one pass in blocks of 32, sums rescaled to the running maximum"),
    control("sm_pairwise", "sums in pairs"),
    control("sm_reversed", "sums from the last element"),
    control("sm_wide", "sums in f64"),
    control("sm_exp2", "exponentials as powers of 2"),
    control("sm_other_shift", "the maximum less 5 is subtracted"),
    control("smb_two_products", "dx as y·dy − y·Σ y·dy"),
];

pub fn answer<R: Num>(p: &Problem<R>, t: Mutation) -> Vec<Named<R>> {
    let x = p.get("x");
    let cols = x.cols();
    let y = forward(&x.data, cols, t);
    if p.call.dir == Dir::Fwd {
        return vec![Named::new("y", &x.shape, y)];
    }
    let dy = &p.get("dy").data;
    let mut dx = Vec::with_capacity(y.len());
    for (y, dy) in y.chunks(cols).zip(dy.chunks(cols)) {
        slopes(y, dy, t, &mut dx);
    }
    vec![Named::new("dx", &x.shape, dx)]
}

fn slopes<R: Num>(y: &[R], dy: &[R], t: Mutation, dx: &mut Vec<R>) {
    let terms: Vec<R> = y.iter().zip(dy).map(|(&y, &dy)| y * dy).collect();
    let mut mean = match t.id {
        "smb_no_row_sum" => R::zero(),
        "smb_sum_of_dy" => total(dy, t),
        "smb_mean" => total(&terms, t) / R::count(y.len()),
        "smb_long_rows" => total(&terms[..y.len().min(1024)], t),
        _ => total(&terms, t),
    };
    if t.is("smb_stale") && t.calls > 0 {
        mean += mean;
    }
    for j in 0..y.len() {
        dx.push(match t.id {
            "smb_elementwise" => y[j] * (R::one() - y[j]) * dy[j],
            "smb_row_sum_bare" => y[j] * dy[j] - mean,
            "smb_two_products" => y[j] * dy[j] - y[j] * mean,
            "smb_in_place" => y[j] * (terms[j] - mean),
            _ => y[j] * (dy[j] - mean),
        });
    }
}

fn forward<R: Num>(x: &[R], cols: usize, t: Mutation) -> Vec<R> {
    if t.is("sm_wrong_axis") {
        let rows = x.len() / cols;
        let mut y = vec![R::zero(); x.len()];
        for j in 0..cols {
            let column: Vec<R> = (0..rows).map(|i| x[i * cols + j]).collect();
            let shares = row(&column, Stale::new(), t).0;
            shares.into_iter().enumerate().for_each(|(i, share)| y[i * cols + j] = share);
        }
        return y;
    }
    let width = if t.is("sm_whole_tensor") { x.len() } else { cols };
    let mut stale = Stale::new();
    let mut y = Vec::with_capacity(x.len());
    for x in x.chunks(width) {
        let (shares, after) = row(x, stale, t);
        y.extend(shares);
        stale = after;
    }
    y
}

/// The maximum so far, which a careless kernel carries from row to row.
#[derive(Clone, Copy)]
struct Stale<R>(R);

impl<R: Num> Stale<R> {
    fn new() -> Self {
        Stale(R::num(f64::NEG_INFINITY))
    }
}

pub(super) fn greatest<R: Num>(x: &[R]) -> R {
    let mut most = R::num(f64::NEG_INFINITY);
    for &x in x {
        if x > most {
            most = x;
        }
    }
    most
}

fn row<R: Num>(x: &[R], stale: Stale<R>, t: Mutation) -> (Vec<R>, Stale<R>) {
    let n = x.len();
    let low = R::num(f64::NEG_INFINITY);
    let mut most = greatest(x);
    match t.id {
        "sm_nomax" => most = R::zero(),
        "sm_first_tile_max" => most = greatest(&x[..n.min(256)]),
        "sm_absmax" if most > low => {
            most = greatest(
                &x.iter().map(|x| if *x > low { x.abs() } else { low }).collect::<Vec<R>>(),
            )
        }
        "sm_padding_zero" if !n.is_multiple_of(32) => most = most.larger(R::zero()),
        "sm_stale_max" => most = most.larger(stale.0),
        "sm_other_shift" => most -= R::num(5.0),
        _ => {}
    }
    let after = Stale(most);
    if greatest(x) == low {
        let empty = match t.id {
            "sm_empty_uniform" => R::one() / R::count(n),
            "sm_empty_nan" => R::num(f64::NAN),
            _ => R::zero(),
        };
        return (vec![empty; n], after);
    }
    if t.is("sm_online") || t.is("online_neginf") {
        return (online(x, t), after);
    }
    let each: Vec<R> = x
        .iter()
        .map(|&x| match t.id {
            "sm_exp_clipped" => (x - most).larger(R::num(-10.0)).exp(),
            "sm_base_two" => ((x - most) * R::num(std::f64::consts::LN_2)).exp(),
            "sm_exp2" => {
                let power = (x - most) * R::num(std::f64::consts::LOG2_E);
                (power * R::num(std::f64::consts::LN_2)).exp()
            }
            _ => (x - most).exp(),
        })
        .collect();
    let mut sum = match t.id {
        "sm_truncated" => total(&each[..n.min(1024)], t),
        "sm_tail_8" if n > 8 => total(&each[..n / 8 * 8], t),
        "sm_atomics" if t.calls % 2 == 1 => total(&each, Mutation { id: "sm_reversed", ..t }),
        _ => total(&each, t),
    };
    match t.id {
        "sm_padding_zero" => sum += R::count(n.next_multiple_of(32) - n) * (R::zero() - most).exp(),
        "sm_quiet" => sum += R::one(),
        "sm_stale_sum" if t.calls > 0 => sum += R::one(),
        "sm_mean_for_sum" => sum = sum / R::count(n),
        _ => {}
    }
    (each.into_iter().map(|share| share / sum).collect(), after)
}

/// One pass over blocks: the sum is rescaled where the maximum rises.
fn online<R: Num>(x: &[R], t: Mutation) -> Vec<R> {
    let (mut most, mut sum) = (R::num(f64::NEG_INFINITY), R::zero());
    for block in x.chunks(32) {
        let higher = greatest(block).larger(most);
        let safe = higher > R::num(f64::NEG_INFINITY) || t.is("online_neginf");
        let shift = if safe { higher } else { R::zero() };
        sum = sum * (most - shift).exp();
        for &x in block {
            sum += (x - shift).exp();
        }
        most = higher;
    }
    x.iter().map(|&x| (x - most).exp() / sum).collect()
}

/// A sum in the order of a control, from the first element otherwise.
pub(super) fn total<R: Num>(terms: &[R], t: Mutation) -> R {
    if t.id.ends_with("_wide") {
        return R::num(terms.iter().map(|term| term.value()).sum());
    }
    if t.id.ends_with("_pairwise") && terms.len() > 1 {
        let (left, right) = terms.split_at(terms.len() / 2);
        return total(left, t) + total(right, t);
    }
    let mut sum = R::zero();
    if t.id.ends_with("_reversed") {
        terms.iter().rev().for_each(|&term| sum += term);
    } else {
        terms.iter().for_each(|&term| sum += term);
    }
    sum
}
