//! `lr_schedule`: a linear warm-up (Goyal et al. 2017, arXiv 1706.02677), then a constant, linear
//! or cosine (Loshchilov & Hutter 2017, arXiv 1608.03983) decay to 0.
//!
//! Step s < warmup has lr·(s+1)/warmup; then, with f = (s − warmup)/max(total − warmup, 1) kept
//! within [0, 1]: constant lr, linear lr·(1−f), cosine lr·½(1 + cos πf).

use std::f64::consts::PI;

use super::case::Case;
use super::operator::{Attr, Axis, Fill, Formula, Named, Operator, Problem, Role, Setting, Slot};
use crate::check::call::Dir;
use crate::num::Num;

pub struct LrSchedule;

impl Operator for LrSchedule {
    fn name(&self) -> &'static str {
        "lr_schedule"
    }
    fn dirs(&self) -> &'static [Dir] {
        &[Dir::Fwd]
    }
    fn axes(&self) -> &'static [Axis] {
        &[Axis { name: "steps", sizes: &[1, 2, 3, 8, 13, 33, 130] }]
    }
    fn attrs(&self) -> &'static [Attr] {
        use Setting::{Int, Num, Word};
        const TOTALS: &[Setting] =
            &[Int(100), Int(1), Int(2), Int(0), Int(11), Int(25), Int(5_000_000_000)];
        &[
            Attr { name: "kind", values: &[Word("cosine"), Word("linear"), Word("constant")] },
            Attr { name: "lr", values: &[Num(1e-3), Num(1.0), Num(0.0), Num(0.3)] },
            Attr { name: "warmup", values: &[Int(10), Int(0), Int(1), Int(2)] },
            Attr { name: "total", values: TOTALS },
        ]
    }
    fn slots(&self, case: &Case) -> Vec<Slot> {
        vec![Slot::new("step", &[case.size("steps")], Role::Index, Fill::Steps)]
    }
}

impl<R: Num> Formula<R> for LrSchedule {
    fn forward(&self, p: &Problem<R>) -> Vec<Named<R>> {
        let step = p.get("step");
        let rate = step.data.iter().map(|&s| {
            // The argument of the cosine carries three roundings of a number up to π, which the
            // steepest place makes 6u of a cosine, halved; its own rounding, that of 1 + cos, of lr
            // and of the product add 5u; as much again is for the cosine of this file.
            at(s, p).loosened(6.0 * p.num("lr"))
        });
        vec![Named::new("lr", &step.shape, rate.collect())]
    }
}

fn at<R: Num>(s: R, p: &Problem<R>) -> R {
    let [lr, warmup, total] = ["lr", "warmup", "total"].map(|name| R::num(p.num(name)));
    if s < warmup {
        return lr * (s + R::one()) / warmup;
    }
    let done = (s - warmup) / (total - warmup).larger(R::one());
    let f = if done > R::one() { R::one() } else { done };
    match p.word("kind") {
        "linear" => lr * (R::one() - f),
        "cosine" => lr * R::num(0.5 * (1.0 + (PI * f.value()).cos())),
        _ => lr,
    }
}
