//! `plummet` alone or `plummet survey`: the stability survey, short or thorough.

use std::collections::HashSet;
use std::path::Path;

use clap::{Arg, ArgMatches};

use super::progress::Bars;
use super::{Failure, Outcome, answer, flag, one, open, signals, store_arg, writable};
use crate::config::RunConfig;
use crate::store::Store;
use crate::survey::Survey;
use crate::train::Library;

pub(super) fn args() -> Vec<Arg> {
    let value = |name: &'static str, help: &'static str| {
        Arg::new(name).long(name).value_name("VALUE").help(help)
    };
    vec![
        value("text", "File whose bytes are learned (default: the embedded Latin text)"),
        value("threads", "Worker threads (default: one per core)"),
        flag(
            "thorough",
            "Run the experiments again, longer and on three seeds (some forty minutes on two cores), \
             and write what that confirms and overturns to thorough.md",
        ),
        store_arg(),
        value("reports", "Folder for pictures and stability.md").default_value("reports"),
    ]
}

pub(super) fn run(matches: &ArgMatches) -> Outcome {
    let mut library = Library::default();
    let over = over(matches, &mut library)?;
    let forms = forms(matches, &over)?;
    let folder = Path::new(one(matches, "reports"));
    writable("reports", folder)?;
    let store = open(one(matches, "store"))?;
    let mut runs: Vec<&RunConfig> = Vec::new();
    for part in forms.iter().flat_map(Survey::parts) {
        // The long form has parts of the short one.
        let known: HashSet<String> = runs.iter().map(|run| run.id()).collect();
        runs.extend(part.runs.iter().filter(|run| !known.contains(&run.id())));
    }
    let bars = Bars::new(runs.iter().copied());
    // The runs are the survey's own: only the text can be not what was meant.
    bars.expect_any_start();
    if let Some(run) = runs.first() {
        let mut warnings = library.warnings(run)?;
        warnings.retain(|warning| warning.field == "text");
        bars.warn(&[warnings]);
    }
    signals::watch();
    let mut failed = Ok(());
    'forms: for survey in &forms {
        for part in survey.parts() {
            failed = super::sweep::run_all(part, &mut library, &store, &bars, 1).map(|_| ());
            if failed.is_err() {
                break 'forms;
            }
            // A picture is there as soon as its runs are.
            for picture in survey.draw(part, &store, folder)? {
                bars.answer(&format!("{}\n", picture.display()))?;
            }
        }
    }
    bars.finish();
    failed?;
    report(matches, &forms, &store)
}

/// The short form, and the long one after it where that is asked for.
pub(super) fn forms(
    matches: &ArgMatches,
    over: &[(String, String)],
) -> Result<Vec<Survey>, Failure> {
    let mut forms = vec![Survey::new(over)?];
    if matches.get_flag("thorough") {
        forms.push(Survey::thorough(over)?);
    }
    Ok(forms)
}

/// Writes the reports of the forms and names them.
pub(super) fn report(matches: &ArgMatches, forms: &[Survey], store: &Store) -> Outcome {
    let folder = Path::new(one(matches, "reports"));
    let Some(short) = forms.first() else { return Ok(()) };
    short.report(store, folder, &command(matches, ""))?;
    let file = |name: &str| format!("{}\n", folder.join(name).display());
    let mut files = file("stability.html") + &file("stability.md");
    if let Some(long) = forms.get(1) {
        short.report_thorough(long, store, folder, &command(matches, " survey --thorough"))?;
        files += &file("thorough.md");
    }
    answer(&files)
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
fn command(matches: &ArgMatches, form: &str) -> String {
    let text = one(matches, "text");
    let text = if text.is_empty() { String::new() } else { format!(" --text {text}") };
    format!("plummet{form}{text}")
}
