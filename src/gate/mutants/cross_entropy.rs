//! Cross entropy, wrong in the ways in which it has been.

use super::softmax::{greatest, total};
use super::{Control, Mutant, Mutation};
use crate::check::call::Dir;
use crate::check::spec::operator::{Named, Problem};
use crate::check::tensor::Dtype;
use crate::num::Num;

const fn mutant(id: &'static str, class: &'static str, about: &'static str) -> Mutant {
    Mutant::new("cross_entropy", id, class, about)
}

pub const MUTANTS: &[Mutant] = &[
    mutant("ce_nomax", "precision", "the logarithm of a sum of raw exponentials"),
    mutant("ce_log_of_softmax", "precision", "the logarithm of a share that has underflowed"),
    mutant("ce_ls_ignored", "loss", "the smoothing term counts ignored rows"),
    mutant("ce_ls_others", "loss", "the smoothing goes to the V − 1 other classes"),
    mutant("ce_ls_sum", "loss", "the smoothing term is a sum over classes, not their mean"),
    mutant("ce_ls_dropped", "loss", "label_smoothing is not passed on"),
    mutant("ce_ls_added", "loss", "the smoothing term is added to the whole loss"),
    mutant("ce_mean_all_rows", "loss", "ignored rows count in the mean"),
    mutant("ce_mean_classes", "loss", "the mean is over rows and classes"),
    mutant("ce_sum_for_mean", "loss", "the sum where the mean is declared"),
    mutant("ce_mean_for_sum", "loss", "the mean where the sum is declared"),
    mutant("accum_mean_of_means", "loss", "the mean of the means of two halves"),
    mutant("ce_next_label", "loss", "the label is taken one too far"),
    mutant("ce_byte_labels", "loss", "labels are kept in 8 bits"),
    mutant("ce_ignore_fixed", "loss", "ignore_index is −100 whatever is asked for"),
    mutant("ce_ignored_mul", "loss", "ignored rows are multiplied by 0"),
    mutant("ce_empty_nan", "loss", "the mean over no rows is 0/0"),
    mutant("ce_padding", "tile", "the padding lanes of a ragged vocabulary hold logits of 0"),
    mutant("ce_tail_8", "tile", "classes beyond the last multiple of 8 miss in the sum"),
    mutant("ce_clamped", "precision", "shares are clamped at 10⁻⁸ before the logarithm"),
    mutant("ce_accepts_strays", "loss", "a label that is none is answered"),
    mutant("ce_stale", "determinism", "from the second call on losses add to the last ones"),
    mutant("ceb_nomax", "precision", "shares from raw exponentials"),
    mutant("ceb_none_scalar", "backward", "every row is multiplied by the first of dloss"),
    mutant("ceb_mask_mul", "backward", "gradients of ignored rows are multiplied by 0"),
    mutant("ceb_no_dloss", "backward", "dloss is taken to be 1"),
    mutant("ceb_no_mean", "backward", "not divided by the number of kept rows"),
    mutant("ceb_mean_all_rows", "backward", "divided by the number of all rows"),
    mutant("ceb_none_mean", "backward", "without a reduction still divided by the rows"),
    mutant("ceb_no_label", "backward", "the share alone, without the label's 1"),
    mutant("ceb_ls_dropped", "backward", "label_smoothing is not passed on"),
    mutant("ceb_ls_half", "backward", "the label keeps 1 though the classes have s/V each"),
    mutant("ceb_ignored_rows", "backward", "ignored rows have a gradient"),
    mutant("ceb_next_label", "loss", "the label is taken one too far"),
    mutant("ceb_byte_labels", "backward", "labels are kept in 8 bits"),
    mutant("ceb_label_only", "backward", "a gradient at the label only"),
    mutant("ceb_in_place", "alias", "logits are overwritten while the sum still needs them"),
    mutant("ce_classes_49152", "size", "classes beyond 49152 taken for padding"),
    mutant("ce_ignore_default", "argument", "an ignore_index of 0 taken for none given"),
    mutant("ce_label_half", "precision", "labels held in half precision"),
];

const fn control(id: &'static str, about: &'static str) -> Control {
    Control { id, op: "cross_entropy", about }
}

pub const CONTROLS: &[Control] = &[
    control("ce_mean_shift", "logits are first shifted by their mean"),
    control("ce_twice", "log-softmax is applied twice"),
    control("ce_log_z", "m and log Σ in one number, for loss and shares"),
    control("ce_pairwise", "sums in pairs"),
    control("ce_reversed", "sums from the last element"),
    control("ce_wide", "sums in f64"),
    control("ce_smooth_logits", "the smoothing term from the sum of logits"),
];

struct Row<'a, R> {
    x: &'a [R],
    /// The class, for a row that counts.
    label: Option<usize>,
}

pub fn answer<R: Num>(p: &Problem<R>, t: Mutation) -> Vec<Named<R>> {
    let classes = p.get("logits").cols();
    let fixed = t.is("ce_ignore_fixed");
    let ignored = if fixed { -100 } else { p.int("ignore_index") };
    let mut rows = Vec::new();
    for (x, label) in p.get("logits").data.chunks(classes).zip(&p.get("target").data) {
        let label = label.value() as i64;
        let class = match t.id {
            "ce_next_label" | "ceb_next_label" => (label.max(0) as usize + 1) % classes,
            "ce_byte_labels" | "ceb_byte_labels" => label.max(0) as usize % 256 % classes,
            "ce_label_half" => (Dtype::F16.round(label.max(0) as f64) as usize).min(classes - 1),
            _ => (label.max(0) as usize).min(classes - 1),
        };
        rows.push(Row { x, label: (label != ignored).then_some(class) });
    }
    match p.call.dir {
        Dir::Fwd => forward(p, &rows, t),
        Dir::Bwd => backward(p, &rows, t),
    }
}

/// log pⱼ of every class.
fn log_shares<R: Num>(x: &[R], t: Mutation) -> Vec<R> {
    let n = x.len();
    let shifted: Vec<R>;
    let mut x = x;
    if t.is("ce_mean_shift") {
        let mean = total(x, t) / R::count(n);
        shifted = x.iter().map(|&x| x - mean).collect();
        x = &shifted;
    }
    let most = if t.is("ce_nomax") || t.is("ceb_nomax") { R::zero() } else { greatest(x) };
    let each: Vec<R> = x.iter().map(|&x| (x - most).exp()).collect();
    let mut sum = match t.id {
        "ce_tail_8" if n > 8 => total(&each[..n / 8 * 8], t),
        "ceb_in_place" => total(&each[..n / 2 + 1], t),
        _ => total(&each, t),
    };
    if t.is("ce_padding") {
        sum += R::count(n.next_multiple_of(32) - n) * (-most).exp();
    }
    let log_z = most + sum.ln();
    x.iter()
        .zip(&each)
        .map(|(&x, &e)| match t.id {
            "ce_log_of_softmax" => (e / sum).ln(),
            "ce_clamped" => (e / sum).larger(R::num(1e-8)).ln(),
            "ce_log_z" | "ce_smooth_logits" => x - log_z,
            _ => (x - most) - sum.ln(),
        })
        .collect()
}

fn forward<R: Num>(p: &Problem<R>, rows: &[Row<R>], t: Mutation) -> Vec<Named<R>> {
    let smoothing = p.num("label_smoothing");
    let s = R::num(if t.is("ce_ls_dropped") { 0.0 } else { smoothing });
    let classes = R::count(p.get("logits").cols());
    let loss = |row: &Row<R>| -> R {
        let Some(label) = row.label else {
            return match t.id {
                "ce_ignored_mul" => R::zero() * log_shares(row.x, t)[0],
                "ce_ls_ignored" => -s * total(&log_shares(row.x, t), t) / classes,
                _ => R::zero(),
            };
        };
        let mut log_p = log_shares(row.x, t);
        if t.is("ce_twice") {
            log_p = log_shares(&log_p, t);
        }
        let all = -total(&log_p, t);
        let own = -log_p[label];
        if smoothing == 0.0 || t.is("ce_ls_dropped") {
            return own;
        }
        match t.id {
            "ce_ls_others" => {
                let others = R::count(log_p.len().max(2) - 1);
                (R::one() - s) * own + s * (all - own) / others
            }
            "ce_ls_sum" => (R::one() - s) * own + s * all,
            "ce_ls_added" => own + s * all / classes,
            "ce_smooth_logits" => {
                let log_z = row.x[label] + own;
                (R::one() - s) * own + s * (log_z - total(row.x, t) / classes)
            }
            _ => (R::one() - s) * own + s * all / classes,
        }
    };
    let mut each: Vec<R> = rows.iter().map(loss).collect();
    if t.is("ce_stale") && t.calls > 0 {
        each.iter_mut().for_each(|loss| *loss = *loss + *loss);
    }
    let reduction = match (p.word("reduction"), t.id) {
        ("mean", "ce_sum_for_mean") => "sum",
        ("sum", "ce_mean_for_sum") => "mean",
        (other, _) => other,
    };
    if reduction == "none" {
        return vec![Named::new("loss", &[each.len()], each)];
    }
    let mean = |from: usize, to: usize| -> R {
        let kept = rows[from..to].iter().filter(|row| row.label.is_some()).count();
        let count = match t.id {
            "ce_mean_all_rows" => to - from,
            "ce_mean_classes" => kept * p.get("logits").cols(),
            _ => kept,
        };
        let sum = total(&each[from..to], t);
        if count == 0 && !t.is("ce_empty_nan") { sum } else { sum / R::count(count) }
    };
    let loss = match (reduction, rows.len()) {
        ("sum", _) => total(&each, t),
        (_, n) if n > 1 && t.is("accum_mean_of_means") => {
            (mean(0, n / 2) + mean(n / 2, n)) / R::num(2.0)
        }
        (_, n) => mean(0, n),
    };
    vec![Named::new("loss", &[], vec![loss])]
}

fn backward<R: Num>(p: &Problem<R>, rows: &[Row<R>], t: Mutation) -> Vec<Named<R>> {
    let logits = p.get("logits");
    let classes = logits.cols();
    let dloss = &p.get("dloss").data;
    let s = R::num(if t.is("ceb_ls_dropped") { 0.0 } else { p.num("label_smoothing") });
    let reduction = p.word("reduction");
    let kept = rows.iter().filter(|row| row.label.is_some()).count();
    let count = match (reduction, t.id) {
        ("mean", "ceb_no_mean") => 1,
        ("mean", "ceb_mean_all_rows") | ("none", "ceb_none_mean") => rows.len(),
        ("mean", _) => kept.max(1),
        _ => 1,
    };
    let mut dlogits = Vec::with_capacity(logits.data.len());
    for (r, row) in rows.iter().enumerate() {
        let own = if reduction == "none" && !t.is("ceb_none_scalar") { r } else { 0 };
        let mut g = if t.is("ceb_no_dloss") { R::one() } else { dloss[own] };
        g = g / R::count(count);
        let label = match (row.label, t.id) {
            (None, "ceb_mask_mul") => {
                g = R::zero();
                0
            }
            (None, "ceb_ignored_rows") => 0,
            (None, _) => {
                dlogits.extend(vec![R::zero(); classes]);
                continue;
            }
            (Some(label), _) => label,
        };
        let log_p = log_shares(row.x, t);
        for (j, &log_p) in log_p.iter().enumerate() {
            let mut slope = log_p.exp() - s / R::count(classes);
            if j == label && !t.is("ceb_no_label") {
                slope -= if t.is("ceb_ls_half") { R::one() } else { R::one() - s };
            }
            if t.is("ceb_label_only") && j != label {
                slope = R::zero();
            }
            dlogits.push(g * slope);
        }
    }
    vec![Named::new("dlogits", &logits.shape, dlogits)]
}
