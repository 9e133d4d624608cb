//! `cross_entropy`: with log pⱼ = xⱼ − m − log Σₖ e^(xₖ − m), a row of label t loses
//! (1 − s)·(−log p_t) + s·mean_j(−log pⱼ), s the label smoothing (Szegedy et al. 2016, arXiv
//! 1512.00567).
//!
//! dxⱼ = g·(pⱼ − (1 − s)·[j = t] − s/V), g = dloss over the number of kept rows for the mean. An
//! ignored row adds exactly 0 to both, whatever its logits.

use super::case::Case;
use super::operator::{Attr, Axis, Fill, Formula, Named, Operator, Problem, Role};
use super::operator::{Ignored, Setting, Slot, number};
use super::softmax::{exponentials, largest};
use crate::check::call::{Attrs, Call};
use crate::num::Num;

pub struct CrossEntropy;

impl Operator for CrossEntropy {
    fn name(&self) -> &'static str {
        "cross_entropy"
    }
    fn axes(&self) -> &'static [Axis] {
        &[
            Axis { name: "rows", sizes: &[1, 2, 3, 5, 7, 8, 13, 33, 65, 257] },
            Axis {
                name: "vocab",
                sizes: &[
                    1, 2, 3, 7, 8, 31, 32, 33, 50, 127, 128, 129, 255, 256, 257, 300, 1000, 4099,
                    5003,
                ],
            },
        ]
    }
    fn attrs(&self) -> &'static [Attr] {
        use Setting::{Int, Num, Word};
        &[
            Attr {
                name: "ignore_index",
                values: &[Int(-100), Int(0), Int(-1), Int(2), Int(-1 << 40)],
            },
            Attr { name: "label_smoothing", values: &[Num(0.0), Num(0.1), Num(1.0)] },
            // The mean twice: it has most to go wrong.
            Attr {
                name: "reduction",
                values: &[Word("mean"), Word("sum"), Word("mean"), Word("none")],
            },
        ]
    }
    fn variants(&self) -> &'static [(&'static str, [&'static str; 2])] {
        &[("cross_entropy.empty_mean", ["zero", "nan"])]
    }
    fn slots(&self, case: &Case) -> Vec<Slot> {
        let (rows, classes) = (case.size("rows"), case.size("vocab"));
        // A mean over no rows is the one thing that needs them all ignored.
        let all = if case.attrs["reduction"] == "mean" { 3 } else { 16 };
        let ignored = Ignored { seed: case.seed, all };
        let label = case.num("ignore_index") as i64;
        let targets = Fill::Targets { classes, label, ignored };
        vec![
            Slot::new("logits", &[rows, classes], Role::Data, Fill::Logits(ignored)),
            Slot::new("target", &[rows], Role::Index, targets),
        ]
    }
    fn work(&self, case: &Case) -> usize {
        // An exponential of a double-double is worth some products.
        8 * case.size("rows") * case.size("vocab")
    }
    fn upstream(&self, case: &Case) -> (&'static str, Vec<usize>) {
        let by_row = unreduced(&case.attrs);
        ("dloss", if by_row { vec![case.size("rows")] } else { Vec::new() })
    }
    fn reach(&self, _: &Case, tensor: &str) -> Option<i32> {
        if tensor == "logits" { Some(90) } else { Some(60) }
    }
    fn must_refuse(&self, call: &Call) -> bool {
        let classes = call.tensors["logits"].shape[1] as f64;
        let ignored = number(&call.attrs, "ignore_index");
        let label = |&label: &f64| label == ignored || (0.0..classes).contains(&label);
        !call.tensors["target"].values.iter().all(label)
    }
    fn batched(&self, attrs: &Attrs) -> Option<Vec<String>> {
        let by_row = || ["logits", "target", "dloss"].map(String::from).to_vec();
        unreduced(attrs).then(by_row)
    }
}

fn unreduced(attrs: &Attrs) -> bool {
    attrs["reduction"] == "none"
}

/// The rows in order: the logits and the label, nothing for an ignored row.
fn rows<'a, R: Num>(p: &'a Problem<R>) -> impl Iterator<Item = (&'a [R], Option<usize>)> {
    let ignored = p.num("ignore_index");
    let label = move |label: &R| (label.value() != ignored).then(|| label.index());
    p.get("logits").rows().zip(p.get("target").data.iter().map(label))
}

/// m, the largest of a row.
fn top<R: Num>(row: &[R]) -> R {
    row.iter().copied().reduce(R::larger).expect("a row has a class")
}

/// How far the mean of a row lies from its largest: right formulas shift by either.
fn slack<R: Num>(row: &[R]) -> f64 {
    let sum: f64 = row.iter().map(|x| x.value()).sum();
    (largest(row) - sum / row.len() as f64).abs()
}

/// e^(x − m) of every class; NaN where a label that must be refused makes a row of no numbers count.
fn masses<R: Num>(row: &[R]) -> Vec<R> {
    exponentials(row, slack(row), |_| 1).unwrap_or_else(|| vec![R::num(f64::NAN); row.len()])
}

fn loss<R: Num>(row: &[R], label: usize, plain: R, smoothing: f64) -> R {
    let (shift, slack) = (top(row), slack(row));
    let log_sum = R::sum(masses(row)).ln();
    let log_p = |x: R| (x - shift).loosened(slack) - log_sum;
    // As right, the shift and the logarithm of the sum in one number.
    let log_z = shift + log_sum;
    // A label that is none must be refused; its loss is no number.
    let Some(&wanted) = row.get(label) else { return R::num(f64::NAN) };
    let own = (-log_p(wanted)).or(log_z - wanted);
    if smoothing == 0.0 {
        return own;
    }
    let n = R::count(row.len());
    let mean = R::sum(row.iter().map(|&x| -log_p(x))) / n;
    let mean = mean.or(log_z - R::sum(row.iter().copied()) / n);
    plain * own + R::num(smoothing) * mean
}

/// Beyond this the logarithm of a sum of exponentials drowns in `f32` beside the shift.
const LARGEST_SHIFT: f64 = 8_388_608.0;

/// Each class's share, also as e^(x − log z).
fn probabilities<R: Num>(row: &[R]) -> Vec<R> {
    let (shift, masses) = (top(row), masses(row));
    let sum = R::sum(masses.iter().copied());
    let log_z = shift + sum.ln();
    let shares = masses.into_iter().map(|mass| mass / sum);
    if shift.value().abs() > LARGEST_SHIFT {
        return shares.collect();
    }
    shares.zip(row).map(|(share, &x)| share.or((x - log_z).exp())).collect()
}

/// What each kept row counts: 1 over their number for the mean.
fn weight<R: Num>(p: &Problem<R>) -> R {
    let counted = |(r, (_, label)): (usize, (_, Option<usize>))| label.map(|_| p.times("rows", r));
    let kept: usize = rows(p).enumerate().filter_map(counted).sum();
    if p.word("reduction") == "mean" && kept > 0 { R::one() / R::count(kept) } else { R::one() }
}

/// 1 − s: as right is 1 − s·(1 − 1/V) for that and the label's own part of s, which rounds at 1.
fn plain<R: Num>(p: &Problem<R>) -> R {
    let smoothing = p.num("label_smoothing");
    (R::one() - R::num(smoothing)).loosened(smoothing)
}

impl<R: Num> Formula<R> for CrossEntropy {
    fn forward(&self, p: &Problem<R>) -> Vec<Named<R>> {
        let smoothing = p.num("label_smoothing");
        let each =
            rows(p).map(|(row, label)| label.map(|label| loss(row, label, plain(p), smoothing)));
        if unreduced(&p.call.attrs) {
            let each: Vec<R> = each.map(|loss| loss.unwrap_or(R::zero())).collect();
            return vec![Named::new("loss", &[each.len()], each)];
        }
        let counted = |(r, loss): (usize, Option<R>)| loss.map(|loss| (loss, p.times("rows", r)));
        let kept: Vec<(R, usize)> = each.enumerate().filter_map(counted).collect();
        let loss = match p.word("reduction") {
            "mean" if kept.is_empty() && p.declares("cross_entropy.empty_mean", "nan") => {
                R::num(f64::NAN)
            }
            _ => R::sum_of(kept) * weight(p),
        };
        vec![Named::new("loss", &[], vec![loss])]
    }

    fn backward(&self, p: &Problem<R>) -> Vec<Named<R>> {
        let (dloss, weight) = (p.get("dloss"), weight(p));
        let classes = p.get("logits").cols();
        let s = R::num(p.num("label_smoothing"));
        let rows = rows(p).enumerate().flat_map(|(r, (row, label))| {
            let Some(label) = label else { return vec![R::zero(); classes] };
            let g = dloss.data[if unreduced(&p.call.attrs) { r } else { 0 }] * weight;
            let wanted = |j: usize| if j == label { plain(p) } else { R::zero() };
            let slope = |(j, share)| g * (share - wanted(j) - s / R::count(classes));
            probabilities(row).into_iter().enumerate().map(slope).collect()
        });
        vec![Named::new("dlogits", &p.get("logits").shape, rows.collect())]
    }
}
