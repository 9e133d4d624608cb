//! `plummet` alone: the stability survey.

use std::path::Path;

use clap::{Arg, ArgMatches};

use super::progress::Bars;
use super::{Failure, Outcome, answer, one, open, signals, store_arg};
use crate::config::RunConfig;
use crate::survey::Survey;
use crate::train::Library;

pub(super) fn args() -> Vec<Arg> {
    let value = |name: &'static str, help: &'static str| {
        Arg::new(name).long(name).value_name("VALUE").help(help)
    };
    vec![
        value("text", "File whose bytes are learned (default: the embedded Latin text)"),
        value("threads", "Worker threads (default: one per core)"),
        store_arg(),
        value("reports", "Folder for pictures and stability.md").default_value("reports"),
    ]
}

pub(super) fn run(matches: &ArgMatches) -> Outcome {
    let mut library = Library::default();
    let survey = Survey::new(&over(matches, &mut library)?)?;
    let folder = Path::new(one(matches, "reports"));
    writable("reports", folder)?;
    let store = open(one(matches, "store"))?;
    let bars = Bars::new(survey.parts().iter().flat_map(|part| &part.runs));
    // The runs are the survey's own: only the text can be not what was meant.
    bars.expect_any_start();
    if let Some(run) = survey.parts().iter().find_map(|part| part.runs.first()) {
        let mut warnings = library.warnings(run)?;
        warnings.retain(|warning| warning.field == "text");
        bars.warn(&[warnings]);
    }
    signals::watch();
    let mut failed = Ok(());
    for part in survey.parts() {
        failed = super::sweep::run_all(part, &mut library, &store, &bars).map(|_| ());
        if failed.is_err() {
            break;
        }
    }
    bars.finish();
    failed?;
    survey.report(&store, folder, &command(matches))?;
    answer(&format!("{}\n", folder.join("stability.md").display()))
}

/// The fields that the command line sets for all runs; a text is known by its content.
pub(super) fn over(
    matches: &ArgMatches,
    library: &mut Library,
) -> Result<Vec<(String, String)>, Failure> {
    let mut fields = Vec::new();
    for name in ["text", "threads"] {
        if let Ok(Some(value)) = matches.try_get_one::<String>(name) {
            fields.push((name.to_string(), value.clone()));
        }
    }
    let given = fields.iter().map(|(name, text)| (name.as_str(), text.as_str()));
    let config = library.resolved(&RunConfig::from_settings(given)?)?;
    fields.extend(config.text.sha256.map(|digest| ("text-sha256".to_string(), digest)));
    Ok(fields)
}

/// The command that makes the same report, for the report.
pub(super) fn command(matches: &ArgMatches) -> String {
    let text = one(matches, "text");
    if text.is_empty() { "plummet".to_string() } else { format!("plummet --text {text}") }
}

/// A folder that cannot be written to is an error before minutes of work, not after.
pub(super) fn writable(field: &str, folder: &Path) -> Outcome {
    let refuse = |error: std::io::Error| {
        let allowed = "a folder to write to";
        Failure(format!("{field} = {}: allowed is {allowed} ({error})", folder.display()))
    };
    std::fs::create_dir_all(folder).map_err(refuse)?;
    let probe = folder.join(".plummet-writable");
    std::fs::write(&probe, b"").map_err(refuse)?;
    std::fs::remove_file(&probe).map_err(refuse)
}
