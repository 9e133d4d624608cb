//! The stability survey: a handful of sweeps, nine pictures and a report.
//!
//! Each experiment is a TOML file beside this one, the same that `plummet sweep` reads. Pictures
//! are functions of records: they are drawn from the store and train nothing. What titles and
//! reports say is computed from the runs (`findings`); the longer form runs the same experiments
//! again at greater length, and says which findings last (`against`).

mod against;
mod data;
mod figures;
mod findings;
mod laws;
#[cfg(test)]
mod made_up;
mod report;
mod thorough;

use std::path::{Path, PathBuf};

pub use crate::experiment::Run;
pub use data::Data;

use crate::setting::Invalid;
use crate::store::{Store, StoreError};
use crate::sweep::Sweep;

/// The experiments, each a sweep.
#[derive(Debug, Clone)]
pub struct Survey {
    /// Which wirings train 16 blocks.
    pub wirings: Sweep,
    /// Learning rate against warm-up, by wiring.
    pub warmups: Sweep,
    /// Wirings under initialisations and norms.
    pub map: Sweep,
    /// Learning rates against depth.
    pub rates: Sweep,
    /// Depth laws at initialisation.
    pub laws: Sweep,
    /// Time and memory against depth.
    pub cost: Sweep,
}

impl Survey {
    /// The survey with some fields set for all runs (the text, say).
    ///
    /// # Errors
    /// Where a setting does not hold.
    pub fn new(over: &[(String, String)]) -> Result<Survey, Invalid> {
        let part = |name: &str, text: &str| Sweep::parse(name, text, over);
        Ok(Survey {
            wirings: part("wirings", include_str!("wirings.toml"))?,
            warmups: part("warmups", include_str!("warmups.toml"))?,
            map: part("map", include_str!("map.toml"))?,
            rates: part("rates", include_str!("rates.toml"))?,
            laws: part("laws", include_str!("laws.toml"))?,
            cost: part("cost", include_str!("cost.toml"))?,
        })
    }

    /// The experiments that train, again in longer runs on three seeds; the others as they are.
    ///
    /// # Errors
    /// Where a setting does not hold.
    pub fn thorough(over: &[(String, String)]) -> Result<Survey, Invalid> {
        let part = |name: &str, text: &str| Sweep::parse(name, text, over);
        Ok(Survey {
            wirings: part("thorough wirings", include_str!("thorough/wirings.toml"))?,
            warmups: part("thorough warmups", include_str!("thorough/warmups.toml"))?,
            map: part("thorough map", include_str!("thorough/map.toml"))?,
            rates: part("thorough rates", include_str!("thorough/rates.toml"))?,
            ..Survey::new(over)?
        })
    }

    /// The sweeps in the order in which they are run: what is timed runs first, on a fresh machine.
    pub fn parts(&self) -> [&Sweep; 6] {
        [&self.cost, &self.laws, &self.wirings, &self.warmups, &self.map, &self.rates]
    }

    /// Draws the pictures behind one of [`Survey::parts`], which has just been run, and names them.
    ///
    /// # Errors
    /// As [`Survey::report`].
    pub fn draw(&self, part: &Sweep, store: &Store, folder: &Path) -> Result<Vec<PathBuf>, Error> {
        create(folder)?;
        let longer = part.name.strip_prefix(figures::LONGER).map(str::trim);
        let data = Data::load(self, store)?;
        let name = longer.unwrap_or(&part.name);
        let pictures = figures::draw(&data, Some(name), longer.is_some(), folder)?;
        Ok(pictures.into_iter().map(|picture| folder.join(picture.file)).collect())
    }

    /// Draws every picture and writes `stability.md` and `stability.html` into `folder`.
    ///
    /// # Errors
    /// Where the store cannot be read or a file cannot be written.
    pub fn report(&self, store: &Store, folder: &Path, command: &str) -> Result<(), Error> {
        create(folder)?;
        let data = Data::load(self, store)?;
        let pictures = figures::draw(&data, None, false, folder)?;
        write(&folder.join("stability.html"), &report::page(&data, &pictures))?;
        write(&folder.join("stability.md"), &report::markdown(&data, &pictures, command))
    }

    /// Draws the pictures of the longer runs and writes `thorough.md` into `folder`: what they
    /// confirm and overturn of `self`.
    ///
    /// # Errors
    /// As [`Survey::report`].
    pub fn report_thorough(
        &self,
        longer: &Survey,
        store: &Store,
        folder: &Path,
        command: &str,
    ) -> Result<(), Error> {
        create(folder)?;
        let (short, long) = (Data::load(self, store)?, Data::load(longer, store)?);
        let pictures = figures::draw(&long, None, true, folder)?;
        let text = thorough::markdown(&short, &long, &pictures, command);
        write(&folder.join("thorough.md"), &text)
    }
}

fn create(folder: &Path) -> Result<(), Error> {
    std::fs::create_dir_all(folder).map_err(|error| refusal(folder, &error))
}

fn write(path: &Path, text: &str) -> Result<(), Error> {
    std::fs::write(path, text).map_err(|error| refusal(path, &error))
}

fn refusal(path: &Path, error: &std::io::Error) -> Error {
    Error(format!("reports = {}: allowed is a folder to write to ({error})", path.display()))
}

/// Why the report could not be made, in one line.
#[derive(Debug)]
pub struct Error(String);

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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_runs_there_are_reports_that_claim_nothing() {
        let place = tempfile::tempdir().unwrap();
        let store = Store::open(place.path().join("runs.sqlite")).unwrap();
        let (short, long) = (Survey::new(&[]).unwrap(), Survey::thorough(&[]).unwrap());
        let folder = place.path().join("reports");
        short.report(&store, &folder, "plummet").unwrap();
        short.report_thorough(&long, &store, &folder, "plummet survey --thorough").unwrap();
        for file in ["stability.md", "thorough.md"] {
            let text = std::fs::read_to_string(folder.join(file)).unwrap();
            assert!(!text.contains("NaN") && !text.contains("inf "), "{text}");
        }
        assert!(folder.join("stability.html").exists());
        assert!(folder.join("2-warm-up.png").exists());
        assert!(folder.join("thorough-4-learning-rate.png").exists());
    }

    #[test]
    fn reports_of_made_up_runs_say_what_those_runs_do() {
        let place = tempfile::tempdir().unwrap();
        let (short, long) = (Survey::new(&[]).unwrap(), Survey::thorough(&[]).unwrap());
        let data = |survey| made_up::data(survey, made_up::plausible);
        let (short, long) = (data(&short), data(&long));
        let pictures = figures::draw(&short, None, false, place.path()).unwrap();
        let text = report::markdown(&short, &pictures, "plummet");
        assert!(
            text.contains("pre_ln, post_ln (normal_02) and deepnorm train; post_ln (xavier"),
            "{text}"
        );
        assert!(text.contains("Unfinished, and so not known to train or not: 9 pairs (batch_norm"));
        assert!(text.contains("went over their text 3.5 times, so that held-out losses"));
        let pictures = figures::draw(&long, None, true, place.path()).unwrap();
        let text = thorough::markdown(&short, &long, &pictures, "plummet survey --thorough");
        assert!(text.contains("| holds at that rate only | `plummet train"), "{text}");
    }
}
