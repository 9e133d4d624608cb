//! The stability survey: a handful of sweeps, eight pictures and a report.
//!
//! Each experiment is a TOML file beside this one, the same that `plummet sweep` reads. Pictures
//! are functions of records: they are drawn from the store and train nothing.

mod data;
mod figures;
mod laws;
mod report;

use std::path::Path;

pub use data::Data;

use crate::config::Invalid;
use crate::store::{Store, StoreError};
use crate::sweep::Sweep;

/// The experiments, each a sweep.
#[derive(Debug, Clone)]
pub struct Survey {
    /// Which wirings train 16 blocks.
    pub wirings: Sweep,
    /// Every wiring under every initialisation and norm.
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
            map: part("map", include_str!("map.toml"))?,
            rates: part("rates", include_str!("rates.toml"))?,
            laws: part("laws", include_str!("laws.toml"))?,
            cost: part("cost", include_str!("cost.toml"))?,
        })
    }

    /// The sweeps in the order in which they are run: what is timed runs first, on a fresh machine.
    pub fn parts(&self) -> [&Sweep; 5] {
        [&self.cost, &self.laws, &self.wirings, &self.map, &self.rates]
    }

    /// Draws every picture and writes `stability.md` into `folder`.
    ///
    /// # Errors
    /// Where the store cannot be read or a file cannot be written.
    pub fn report(&self, store: &Store, folder: &Path, command: &str) -> Result<(), Error> {
        std::fs::create_dir_all(folder).map_err(|error| {
            Error(format!(
                "reports = {}: allowed is a folder to write to ({error})",
                folder.display()
            ))
        })?;
        let data = Data::load(self, store)?;
        let pictures = figures::draw(&data, folder)?;
        let text = report::markdown(&data, &pictures, command);
        let path = folder.join("stability.md");
        std::fs::write(&path, text).map_err(|error| {
            Error(format!(
                "reports = {}: allowed is a folder to write to ({error})",
                path.display()
            ))
        })
    }
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
