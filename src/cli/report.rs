//! `plummet report`: the pictures again, from the store.

use std::path::Path;

use clap::{Arg, ArgMatches};

use super::{Outcome, one, open_read, survey, sweep, writable};
use crate::setting::Invalid;
use crate::store::{Filter, Store};
use crate::train::Library;

pub(super) fn args() -> Vec<Arg> {
    survey::args().into_iter().chain([sweep::files(false)]).collect()
}

pub(super) fn run(matches: &ArgMatches) -> Outcome {
    if matches.contains_id("file") {
        return sweep::report(matches);
    }
    let over = survey::over(matches, &mut Library::default())?;
    let forms = survey::forms(matches, &over)?;
    let store = open_read(one(matches, "store"))?;
    if let Some((_, digest)) = over.iter().find(|(name, _)| name == "text-sha256") {
        known(&store, one(matches, "text"), digest)?;
    }
    writable("reports", Path::new(one(matches, "reports")))?;
    survey::report(matches, &forms, &store)
}

/// A text that the store has no run of makes an empty report, which nobody asks for.
fn known(store: &Store, path: &str, digest: &str) -> Outcome {
    let runs = store.runs(&Filter::default())?;
    if runs.iter().any(|run| run.config["text-sha256"] == *digest) {
        return Ok(());
    }
    let named = runs.iter().filter(|run| run.config["text"] == *path).count();
    let allowed = match named {
        0 => "a text that the store has runs of".to_string(),
        _ => format!("the content that the {named} runs of this name had; it has changed since"),
    };
    Err(Invalid::new("text", path, allowed).into())
}
