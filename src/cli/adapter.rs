//! `plummet adapter`: Plummet's own operators, or a shared library, as a target of the gate.

use std::path::Path;

use clap::{Arg, ArgMatches};

use super::{Outcome, one};
use crate::check::tensor::Dtype;
use crate::gate::builtin::Builtin;
use crate::gate::wire::{library, server};
use crate::setting::{Invalid, Setting};

pub(super) fn args() -> Vec<Arg> {
    let value = |name: &'static str, what: &'static str, help: &'static str| {
        Arg::new(name).long(name).value_name(what).help(help)
    };
    vec![
        value("backend", "cpu|cuda_interpreted", "What works the operators out")
            .default_value("cpu"),
        value(
            "dtype",
            "f32|f64|bf16|f16",
            "cpu: f32, the fast path and the default, or f64, the reference; cuda_interpreted: what is stored, all of f32, bf16 and f16 by default",
        ),
        value("lib", "FILE", "A shared library with the C interface of plummet.h, in their place"),
    ]
}

pub(super) fn run(matches: &ArgMatches) -> Outcome {
    if let Some(path) = matches.get_one::<String>("lib") {
        return Ok(library::serve_stdio(Path::new(path))?);
    }
    let backend = one(matches, "backend");
    let dtype = matches.get_one::<String>("dtype");
    let read =
        |text: &String| Dtype::read(text).map_err(|allowed| Invalid::new("dtype", text, allowed));
    let dtype = dtype.map(read).transpose()?;
    let mut builtin = match backend {
        "cpu" => Builtin::new(dtype.unwrap_or(Dtype::F32))?,
        "cuda_interpreted" => Builtin::interpreted(dtype)?,
        _ => return Err(Invalid::new("backend", backend, "cpu, cuda_interpreted").into()),
    };
    Ok(server::serve_stdio(&mut builtin)?)
}
