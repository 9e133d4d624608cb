//! An experiment is one file: what to run, and what to draw of it.
//!
//! ```toml
//! title = "Does the norm's place decide which rates train?"
//! depth = 16
//! seed = [1, 2, 3]
//! wiring = ["pre_ln", "post_ln"]
//! lr = { from = 1e-4, to = 1e-2, per-decade = 2 }
//!
//! [[figure]]                         # all but the runs may be left out
//! kind = "best"
//! x = "lr"
//! ```
//!
//! A `[claim]` says what the runs are about and which rule decides it ([`Claim`]).
//! The runs are those of a [`Sweep`]. Without a `[[figure]]`, pictures are chosen from what varies
//! ([`figure::chosen`]). Pictures and reports are functions of the store: they train nothing.

pub(crate) mod arm;
mod claim;
mod exponents;
pub mod figure;
mod figures;
pub(crate) mod html;
mod judge;
mod label;
mod quantity;
mod report;
mod run;

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use toml::Value;

pub use claim::{Claim, Rule, Select};
pub use figure::{Figure, Kind};
pub use figures::{Chart, Drawn};
pub use quantity::Quantity;
pub use run::Run;

use crate::config::RunConfig;
use crate::setting::Invalid;
use crate::statistics::Decision;
use crate::statistics::family::holm;
use crate::store::{Filter, Store, StoreError};
use crate::sweep::{self, Sweep};

/// Runs, and the pictures of them.
#[derive(Debug, Clone)]
pub struct Experiment {
    /// The question, or what it is about; empty where the file does not say.
    pub title: String,
    /// What to run.
    pub sweep: Sweep,
    /// What to draw, where the file says so.
    pub figures: Vec<Figure>,
    /// What is claimed of them.
    pub claims: Vec<Claim>,
}

impl Experiment {
    /// Reads a file; settings from outside (the command line) go over those of the file.
    ///
    /// # Errors
    /// Where the file cannot be read, is no TOML, or a field does not hold: with the line, where
    /// one can be named.
    pub fn load(path: &Path, over: &[(String, String)]) -> Result<Experiment, Invalid> {
        let shown = path.display().to_string();
        let text = std::fs::read_to_string(path).map_err(|error| {
            Invalid::new("sweep", &shown, format!("a readable TOML file ({error})"))
        })?;
        let name = path.file_stem().map_or(shown.clone(), |s| s.to_string_lossy().into_owned());
        Experiment::parse(&name, &text, over).map_err(|error| match &*error.field {
            "sweep" => Invalid { value: shown, ..error },
            // What the command line says is on no line of the file.
            field if over.iter().any(|(name, _)| name == field) => error,
            _ => match line_of(&text, &error) {
                Some(line) => {
                    let allowed = format!("{} ({shown}, line {line})", error.allowed);
                    Invalid { allowed, ..error }
                }
                None => Invalid { allowed: format!("{} ({shown})", error.allowed), ..error },
            },
        })
    }

    /// Reads the text of a file.
    ///
    /// # Errors
    /// As [`Experiment::load`].
    pub fn parse(name: &str, text: &str, over: &[(String, String)]) -> Result<Experiment, Invalid> {
        let mut table = sweep::table(name, text)?;
        let title = match table.remove("title") {
            None => String::new(),
            Some(Value::String(title)) => title,
            Some(other) => return Err(Invalid::new("title", other, "a text")),
        };
        let figures = sweep::tables(&mut table, "figure")?;
        let claims = match table.remove("claim") {
            Some(Value::Table(one)) => vec![one],
            Some(several) => {
                table.insert("claim".to_string(), several);
                sweep::tables(&mut table, "claim")?
            }
            None => Vec::new(),
        };
        let sweep = Sweep::of(name, table, over)?;
        let figures = figures.iter().map(|table| Figure::read(table, &sweep.runs));
        let figures = figures.collect::<Result<_, _>>()?;
        let claims = claims.iter().map(|table| Claim::read(table, &sweep.runs));
        let claims = claims.collect::<Result<_, _>>()?;
        Ok(Experiment { title, sweep, figures, claims })
    }

    /// The runs that are finished.
    ///
    /// # Errors
    /// Where the store cannot be read.
    pub fn runs(&self, store: &Store) -> Result<Vec<Run>, StoreError> {
        let records = store.runs(&Filter::default())?;
        let runs = self.sweep.runs.iter().map(|run| Run::load(run, store, &records, true));
        Ok(runs.collect::<Result<Vec<_>, _>>()?.into_iter().flatten().collect())
    }

    /// How many runs are still to be done before the experiment is finished, of a search those that it
    /// asks for next.
    pub fn unfinished(&self, runs: &[Run]) -> usize {
        let outcomes: HashMap<String, &Run> =
            runs.iter().map(|run| (run.config.id(), run)).collect();
        let outcome = |run: &RunConfig| Some(outcomes.get(&run.id())?.summary.outcome.clone());
        self.sweep.due(&outcome).len()
    }

    /// Draws the pictures and writes `report.md` and `report.html` into `folder`.
    ///
    /// # Errors
    /// Where the store cannot be read, or the folder not written to.
    pub fn report(&self, store: &Store, folder: &Path) -> Result<Report, Error> {
        let refused = |error: std::io::Error| {
            let folder = folder.display();
            Error(format!("reports = {folder}: allowed is a folder to write to ({error})"))
        };
        std::fs::create_dir_all(folder).map_err(refused)?;
        let runs = self.runs(store)?;
        let pictures = figures::draw(self, &runs);
        for picture in &pictures {
            picture.chart.render().save(folder.join(&picture.file))?;
        }
        let decisions = self.decide(&runs);
        let findings = report::findings(self, &runs, &decisions);
        let page = folder.join("report.md");
        let text = report::markdown(self, &runs, &decisions, &findings, &pictures);
        std::fs::write(&page, text).map_err(refused)?;
        let html = folder.join("report.html");
        let text = html::page(self, &runs, &decisions, &findings, &pictures);
        std::fs::write(&html, text).map_err(refused)?;
        let files = pictures.iter().map(|picture| folder.join(&picture.file));
        Ok(Report { decisions, findings, files: files.chain([page, html]).collect() })
    }

    /// What the runs say of every claim; several are held to one level together. A claim whose rule
    /// cannot take their figures, because some are missing, say, is not assessed.
    pub fn decide(&self, runs: &[Run]) -> Vec<Decision> {
        let decide = |claim: &Claim| {
            claim.decide(runs).unwrap_or_else(|error| Decision {
                why: format!("the rule has not what it needs: {error}"),
                ..Decision::not_assessed()
            })
        };
        holm(self.claims.iter().map(decide).collect())
    }
}

/// What was found, and where it lies.
#[derive(Debug, Clone)]
pub struct Report {
    /// What the runs say of every claim.
    pub decisions: Vec<Decision>,
    /// Some sentences, computed from the runs.
    pub findings: Vec<String>,
    /// Pictures and page.
    pub files: Vec<PathBuf>,
}

/// Where the key of an error stands in a file: the line that has the value too, or else the first.
fn line_of(text: &str, error: &Invalid) -> Option<usize> {
    let key = if error.field == "field" { &error.value } else { &error.field };
    let named = |line: &str| {
        let line = line.trim_start().trim_start_matches(['[', '"', '\'']);
        let rest = line.strip_prefix(key.as_str());
        rest.is_some_and(|rest| rest.trim_start().starts_with(['=', ']', '"', '\'', '.']))
    };
    let lines = || text.lines().enumerate().filter(|(_, line)| named(line));
    let with_value = lines().find(|(_, line)| line.contains(&error.value));
    with_value.or_else(|| lines().next()).map(|(at, _)| at + 1)
}

/// Why a report could not be made, in one line.
#[derive(Debug)]
pub struct Error(String);

impl Error {
    /// One line.
    pub(crate) fn new(line: String) -> Self {
        Error(line)
    }
}

impl std::fmt::Display for Error {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Error {}

impl From<StoreError> for Error {
    fn from(error: StoreError) -> Self {
        Error(error.to_string())
    }
}
impl From<crate::plot::Error> for Error {
    fn from(error: crate::plot::Error) -> Self {
        Error(error.to_string())
    }
}
