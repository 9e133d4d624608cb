//! `plummet report`: the pictures again, from the store.

use std::path::Path;

use clap::{Arg, ArgMatches};

use super::{Outcome, answer, one, open_read, survey};
use crate::survey::Survey;

pub(super) fn args() -> Vec<Arg> {
    survey::args()
}

pub(super) fn run(matches: &ArgMatches) -> Outcome {
    let survey = Survey::new(&survey::over(matches))?;
    let store = open_read(one(matches, "store"))?;
    let folder = Path::new(one(matches, "reports"));
    survey::writable("reports", folder)?;
    survey.report(&store, folder, &survey::command(matches))?;
    answer(&format!("{}\n", folder.join("stability.md").display()))
}
