//! The ledger: what the field says about norms and depth, each statement an experiment with a rule.
//!
//! A file of `claims/` is an [`Experiment`] with one or more `[claim]`s. Its text is registered by
//! its SHA-256 before its runs ([`Registered`]): a rule that is changed after them is shown as such.

mod kept;
mod page;
mod registered;

use std::path::Path;

pub use page::Judged;
pub use registered::Registered;

use crate::experiment::{Error, Experiment};
use crate::setting::Invalid;
use crate::store::Store;
use kept::Kept;

/// What a claim costs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tier {
    /// Stacks at initialisation: seconds.
    Init,
    /// Small stacks that are trained: minutes on two cores.
    Laptop,
}

impl Tier {
    /// Every tier by its name.
    pub const ALL: [(&'static str, Tier); 2] = [("init", Tier::Init), ("laptop", Tier::Laptop)];

    /// Its name.
    pub fn id(self) -> &'static str {
        Tier::ALL[self as usize].0
    }
}

/// A file of claims.
#[derive(Debug, Clone, Copy)]
pub struct Entry {
    /// Its name, under which the statements are known.
    pub id: &'static str,
    /// What it costs.
    pub tier: Tier,
    /// The file.
    pub text: &'static str,
}

macro_rules! ledger {
    ($($tier:ident $folder:literal: $($id:literal)+;)+) => {
        /// Every file of claims, in the order in which they are read.
        pub const ALL: &[Entry] = &[$($(Entry {
            id: $id,
            tier: Tier::$tier,
            text: include_str!(concat!("../../claims/", $folder, "/", $id, ".toml")),
        },)+)+];
    };
}

ledger! {
    Init "init":
        "S03" "S09" "S10" "S18" "S19" "S26"
        "L01" "L02" "L05" "L06" "L08" "L11" "L15" "L16" "L18" "L39" "D01";
    Laptop "laptop":
        "S01" "S04" "S05" "S07" "S08" "S11" "S12" "S14" "S17" "S20" "S21" "S22" "S23" "S24" "S29"
        "S30" "S31" "L12" "L13" "L17" "L19" "L20" "L21" "L25";
}

impl Entry {
    /// The entry of a name.
    ///
    /// # Errors
    /// Where there is none.
    pub fn named(name: &str) -> Result<&'static Entry, Invalid> {
        let found = ALL.iter().find(|entry| entry.id.eq_ignore_ascii_case(name));
        found.ok_or_else(|| {
            let names: Vec<&str> = ALL.iter().map(|entry| entry.id).collect();
            Invalid::new("claim", name, format!("one of {}", names.join(", ")))
        })
    }

    /// What it runs and claims.
    ///
    /// # Errors
    /// Where a setting from outside does not hold.
    pub fn experiment(&self, over: &[(String, String)]) -> Result<Experiment, Invalid> {
        Experiment::parse(self.id, self.text, over)
    }
}

/// Decides claims from a store, and writes pictures, their pages and the page of all of them. What the
/// store has not all runs of is as it was judged before, where it was.
///
/// # Errors
/// Where the store cannot be read, or the folder not written to.
pub fn report(entries: &[&Entry], store: &Store, folder: &Path) -> Result<Vec<Judged>, Error> {
    let registered = Registered::load(folder);
    entries.iter().map(|entry| judge(entry, &registered, store, folder)).collect()
}

fn judge(
    entry: &Entry,
    registered: &Registered,
    store: &Store,
    folder: &Path,
) -> Result<Judged, Error> {
    let experiment = entry.experiment(&[]).map_err(|error| Error::new(error.to_string()))?;
    let own = folder.join("claims").join(entry.id);
    let (all, runs) = (experiment.sweep.runs.len(), experiment.runs(store)?);
    let mut judged = Judged {
        entry: *entry,
        unfinished: experiment.unfinished(&runs),
        changed: registered.changed(entry),
        pictures: Vec::new(),
        claims: Vec::new(),
    };
    let kept = || Kept::load(&own, entry).and_then(|kept| kept.read(&experiment.claims));
    if let Some((decisions, pictures)) = (judged.unfinished > 0).then(kept).flatten() {
        judged.claims = experiment.claims.into_iter().zip(decisions).collect();
        return Ok(Judged { unfinished: 0, pictures, ..judged });
    }
    if judged.unfinished > 0 {
        // Some of the runs may be those of other claims: of a part no verdict is given.
        let decisions = experiment.decide(&[]);
        judged.claims = experiment.claims.into_iter().zip(decisions).collect();
        return Ok(judged);
    }
    let report = experiment.report(store, &own)?;
    let names = report.files.iter().filter(|file| file.extension() == Some("png".as_ref()));
    let names = names.filter_map(|file| Some(file.file_name()?.to_string_lossy().into_owned()));
    judged.pictures = names.collect();
    judged.claims = experiment.claims.into_iter().zip(report.decisions).collect();
    Kept::save(&judged, all, &own).map_err(|error| {
        let folder = folder.display();
        Error::new(format!("reports = {folder}: allowed is a folder to write to ({error})"))
    })?;
    Ok(judged)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_file_of_claims_is_on_the_list_and_claims_something() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("claims");
        let mut files = Vec::new();
        for (name, tier) in Tier::ALL {
            for entry in std::fs::read_dir(root.join(name)).unwrap() {
                let path = entry.unwrap().path();
                files.push((path.file_stem().unwrap().to_string_lossy().into_owned(), tier.id()));
            }
        }
        let mut listed: Vec<(String, &str)> =
            ALL.iter().map(|entry| (entry.id.to_string(), entry.tier.id())).collect();
        files.sort();
        listed.sort();
        assert_eq!(files, listed);
        for entry in ALL {
            let experiment = entry.experiment(&[]).unwrap_or_else(|e| panic!("{}: {e}", entry.id));
            assert!(!experiment.claims.is_empty() && !experiment.title.is_empty(), "{}", entry.id);
            let steps = experiment.sweep.runs.iter().map(|run| run.steps).max();
            assert_eq!(steps == Some(0), entry.tier == Tier::Init, "{}", entry.id);
            for claim in &experiment.claims {
                assert!(!claim.source.is_empty(), "{}: {}", entry.id, claim.statement);
            }
        }
    }
}
