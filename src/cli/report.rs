//! `plummet report`: the pictures again, from the store.

use std::path::Path;

use clap::{Arg, ArgMatches};

use super::{Outcome, one, open_read, survey};

pub(super) fn args() -> Vec<Arg> {
    survey::args()
}

pub(super) fn run(matches: &ArgMatches) -> Outcome {
    let forms = survey::forms(matches)?;
    let store = open_read(one(matches, "store"))?;
    survey::writable("reports", Path::new(one(matches, "reports")))?;
    survey::report(matches, &forms, &store)
}
