//! `drop_path`: stochastic depth (Huang et al. 2016, arXiv 1603.09382), inverted.
//!
//! As `dropout`, one decision for every sample of the first axis.

use super::case::Case;
use super::dropout::{ATTRS, kept_finite, seeded, thinned};
use super::operator::{Attr, Axis, Formula, Named, Operator, Problem, Slot};
use super::random::kept_or_dropped;
use crate::check::call::{Attrs, Call};
use crate::check::tensor::{Dtype, Tensors};
use crate::num::Num;

pub struct DropPath;

impl Operator for DropPath {
    fn name(&self) -> &'static str {
        "drop_path"
    }
    fn dtypes(&self) -> &'static [Dtype] {
        &Dtype::REAL
    }
    fn axes(&self) -> &'static [Axis] {
        &[
            Axis { name: "batch", sizes: &[1, 2, 3, 7, 8, 33, 64] },
            Axis { name: "seq", sizes: &[1, 2, 5, 16] },
            Axis { name: "width", sizes: &[1, 3, 8, 33, 128] },
        ]
    }
    fn attrs(&self) -> &'static [Attr] {
        ATTRS
    }
    fn slots(&self, case: &Case) -> Vec<Slot> {
        vec![kept_finite(&["batch", "seq", "width"].map(|axis| case.size(axis)))]
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

impl<R: Num> Formula<R> for DropPath {
    fn forward(&self, p: &Problem<R>) -> Vec<Named<R>> {
        vec![thinned(p, "x", "y")]
    }
    fn backward(&self, p: &Problem<R>) -> Vec<Named<R>> {
        vec![thinned(p, "dy", "dx")]
    }
}
