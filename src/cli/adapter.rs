//! `plummet adapter`: Plummet's own operators, or a shared library, as a target of the gate.

use std::path::Path;

use clap::{Arg, ArgMatches};

use super::{Outcome, one};
use crate::check::tensor::Dtype;
use crate::gate::builtin::Builtin;
use crate::gate::wire::{library, server};
use crate::setting::Invalid;

pub(super) fn args() -> Vec<Arg> {
    let value = |name: &'static str, what: &'static str, help: &'static str| {
        Arg::new(name).long(name).value_name(what).help(help)
    };
    vec![
        value("backend", "cpu|cuda_interpreted", "What works the operators out")
            .default_value("cpu"),
        value("dtype", "f32|f64", "f32: the fast path; f64: the reference").default_value("f32"),
        value("lib", "FILE", "A shared library with the C interface of plummet.h, in their place"),
    ]
}

pub(super) fn run(matches: &ArgMatches) -> Outcome {
    if let Some(path) = matches.get_one::<String>("lib") {
        return Ok(library::serve_stdio(Path::new(path))?);
    }
    let backend = one(matches, "backend");
    let dtype = match one(matches, "dtype") {
        "f32" => Dtype::F32,
        "f64" => Dtype::F64,
        other => return Err(Invalid::new("dtype", other, "f32, f64").into()),
    };
    let mut builtin = match (backend, dtype) {
        ("cpu", dtype) => Builtin::new(dtype)?,
        ("cuda_interpreted", Dtype::F32) => Builtin::interpreted(),
        ("cuda_interpreted", other) => return Err(Invalid::new("dtype", other, "f32").into()),
        _ => return Err(Invalid::new("backend", backend, "cpu, cuda_interpreted").into()),
    };
    Ok(server::serve_stdio(&mut builtin)?)
}
