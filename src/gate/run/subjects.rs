//! What a run goes through: the rows that a target declares, and those that it does not.

use std::collections::BTreeMap;

use super::Options;
use crate::check::call::{Dir, Hello, Served};
use crate::check::spec;
use crate::check::spec::operator::Operator;
use crate::check::tensor::Dtype;
use crate::gate::report::Row;

/// One operator, pass and pair of dtypes to look at.
pub(in crate::gate) struct Subject {
    pub(in crate::gate) operator: &'static dyn Operator,
    pub(in crate::gate) served: Served,
    pub(in crate::gate) dir: Dir,
    pub(in crate::gate) dtypes: (Dtype, Dtype),
    /// True for the first of its operator, which the checks of whole operators ride on.
    pub(super) first: bool,
}

impl Subject {
    /// Its row of a report, before anything was asked.
    pub(super) fn row(&self) -> Row {
        Row {
            op: self.operator.name().to_string(),
            dir: self.dir,
            dtype: self.dtypes.0,
            params_dtype: self.dtypes.1,
            cases: 0,
            grade_a: 0,
            grade_b: 0,
            failed: 0,
            ill_conditioned: 0,
            vacuous: 0,
            q: BTreeMap::new(),
            q_statistical: BTreeMap::new(),
        }
    }
}

/// The rows to look at, and the names of those that the manifest leaves out.
pub(super) fn subjects(hello: &Hello, options: &Options) -> (Vec<String>, Vec<Subject>) {
    let (mut skipped, mut subjects) = (Vec::new(), Vec::new());
    for operator in spec::all() {
        let Some(served) = hello.ops.get(operator.name()) else { continue };
        let mut first = true;
        // A wrong forward is why its backward is wrong, and `f32` tells most readers most.
        let (mut dirs, mut pairs) = (served.dirs(), served.dtypes());
        dirs.sort();
        pairs.sort_by_key(|&dtypes| dtypes != (Dtype::F32, Dtype::F32));
        for dir in dirs {
            for &dtypes in &pairs {
                if !wanted(options, operator.name(), dir, dtypes.0) {
                    continue;
                }
                let served = served.clone();
                let subject = Subject { operator, served, dir, dtypes, first };
                let name = subject.row().name();
                if options.manifest.skip(&name).is_some() {
                    skipped.push(name);
                } else {
                    subjects.push(subject);
                    first = false;
                }
            }
        }
    }
    (skipped, subjects)
}

fn wanted(options: &Options, op: &str, dir: Dir, dtype: Dtype) -> bool {
    options.filters.is_empty() || options.filters.iter().any(|f| f.takes(op, dir, dtype))
}

/// What the specification has and the target does not declare.
pub(super) fn uncovered(hello: &Hello, options: &Options) -> Vec<String> {
    let mut missing = Vec::new();
    for operator in spec::all() {
        let name = operator.name();
        let served = hello.ops.get(name);
        for &dir in operator.dirs() {
            for &dtype in operator.dtypes() {
                let covered = served.is_some_and(|served| {
                    served.dirs().contains(&dir) && served.dtypes().iter().any(|d| d.0 == dtype)
                });
                if !covered && wanted(options, name, dir, dtype) {
                    missing.push(format!("{name}:{dir}:{dtype}"));
                }
            }
        }
    }
    missing
}
