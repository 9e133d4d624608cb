//! `dropout` (Srivastava et al. 2014; inverted: kept values are scaled by 1/(1−p)).
//!
//! y = x ⊙ mask/(1−p), dx = dy ⊙ mask/(1−p), each element of the mask 0 with probability p; p = 1
//! gives zeros, and without training y = x. One seed has one mask.

use super::case::Case;
use super::operator::{Attr, Axis, Fill, Formula, Named, Operator, Problem, Role, Setting, Slot};
use super::random::kept_or_dropped;
use crate::check::call::{Attrs, Call};
use crate::check::tensor::{Dtype, Tensors};
use crate::num::Num;

pub struct Dropout;

impl Operator for Dropout {
    fn name(&self) -> &'static str {
        "dropout"
    }
    fn dtypes(&self) -> &'static [Dtype] {
        &Dtype::REAL
    }
    fn axes(&self) -> &'static [Axis] {
        &[
            Axis { name: "rows", sizes: &[1, 2, 3, 7, 8, 33, 64] },
            Axis { name: "cols", sizes: &[1, 2, 3, 7, 31, 32, 33, 50, 127, 128, 129, 1000, 1025] },
        ]
    }
    fn attrs(&self) -> &'static [Attr] {
        ATTRS
    }
    fn slots(&self, case: &Case) -> Vec<Slot> {
        vec![kept_finite(&[case.size("rows"), case.size("cols")])]
    }
    fn attributes(&self, case: &Case) -> Attrs {
        seeded(case)
    }
    fn reach(&self, case: &Case, _: &str) -> Option<i32> {
        (case.dtype != Dtype::F16).then_some(60)
    }
    fn beyond(&self, call: &Call, answer: &Tensors) -> Vec<String> {
        kept_or_dropped(call, answer)
    }
    fn random(&self) -> bool {
        true
    }
}

impl<R: Num> Formula<R> for Dropout {
    fn forward(&self, p: &Problem<R>) -> Vec<Named<R>> {
        vec![thinned(p, "x", "y")]
    }
    fn backward(&self, p: &Problem<R>) -> Vec<Named<R>> {
        vec![thinned(p, "dy", "dx")]
    }
}

pub const ATTRS: &[Attr] = {
    use Setting::{Bool, Num};
    &[
        Attr { name: "p", values: &[Num(0.5), Num(0.1), Num(0.0), Num(0.9), Num(1.0)] },
        Attr { name: "training", values: &[Bool(true), Bool(false)] },
    ]
};

/// x, of which ten times as much is still finite in every dtype.
pub fn kept_finite(shape: &[usize]) -> Slot {
    Slot::new("x", shape, Role::Data, Fill::Within(6000.0))
}

/// The attributes of a case and the seed of its mask.
pub fn seeded(case: &Case) -> Attrs {
    let mut attrs = case.attrs.clone();
    attrs.insert("seed".into(), (case.seed % (1 << 53)).into());
    attrs
}

/// What may be left of a tensor: all of it, nothing, or what a mask decides that nobody knows.
pub fn thinned<R: Num>(p: &Problem<R>, given: &str, name: &str) -> Named<R> {
    let (given, rate) = (p.get(given), p.num("p"));
    let left = given.data.iter().map(|&x| {
        if !p.flag("training") || rate == 0.0 {
            x
        } else if rate == 1.0 || x.value() == 0.0 {
            R::zero()
        } else {
            R::zero().loosened(f64::INFINITY)
        }
    });
    Named::new(name, &given.shape, left.collect())
}
