//! Verdicts beside their pictures, so that a store that lacks the runs of a claim loses none.

use std::path::Path;

use serde::{Deserialize, Serialize};

use super::registered::digest;
use super::{Entry, Judged};
use crate::experiment::Claim;
use crate::setting::Setting;
use crate::statistics::{Decision, Verdict};

/// The file, in the folder of a claim.
const FILE: &str = "verdicts.json";

/// What was judged of one file of claims.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Kept {
    /// SHA-256 of the file that was judged.
    sha256: String,
    runs: usize,
    pictures: Vec<String>,
    verdicts: Vec<One>,
}

/// A decision; its numbers as texts, since JSON has no infinity.
#[derive(Debug, Serialize, Deserialize)]
struct One {
    statement: String,
    verdict: String,
    effect: String,
    interval: [String; 2],
    p: String,
    level: String,
    n: usize,
    why: String,
    would_change: String,
}

impl Kept {
    /// What stands in a claim's folder about the very file that is there now.
    pub(super) fn load(folder: &Path, entry: &Entry) -> Option<Kept> {
        let text = std::fs::read_to_string(folder.join(FILE)).ok()?;
        let kept: Kept = serde_json::from_str(&text).ok()?;
        (kept.sha256 == digest(entry.text)).then_some(kept)
    }

    /// Writes down what was judged from so many runs.
    pub(super) fn save(judged: &Judged, runs: usize, folder: &Path) -> std::io::Result<()> {
        let verdicts = judged.claims.iter().map(|(claim, decision)| One {
            statement: claim.statement.clone(),
            verdict: decision.verdict.id().to_string(),
            effect: decision.effect.to_string(),
            interval: decision.interval.map(|x| x.to_string()),
            p: decision.p.to_string(),
            level: decision.level.to_string(),
            n: decision.n,
            why: decision.why.clone(),
            would_change: decision.would_change.clone(),
        });
        let kept = Kept {
            sha256: digest(judged.entry.text),
            runs,
            pictures: judged.pictures.clone(),
            verdicts: verdicts.collect(),
        };
        let text = serde_json::to_string_pretty(&kept).unwrap_or_default();
        std::fs::write(folder.join(FILE), text + "\n")
    }

    /// The decisions about some claims, in their order, and the pictures; nothing where they are not
    /// about these.
    pub(super) fn read(self, claims: &[Claim]) -> Option<(Vec<Decision>, Vec<String>)> {
        let same = claims.iter().zip(&self.verdicts).all(|(a, b)| a.statement == b.statement);
        if !same || claims.len() != self.verdicts.len() {
            return None;
        }
        let number = |text: &str| text.parse::<f64>().ok();
        let decisions = self.verdicts.into_iter().map(|one| {
            Some(Decision {
                verdict: Verdict::read(&one.verdict).ok()?,
                effect: number(&one.effect)?,
                interval: [number(&one.interval[0])?, number(&one.interval[1])?],
                p: number(&one.p)?,
                level: number(&one.level)?,
                n: one.n,
                why: one.why,
                would_change: one.would_change,
            })
        });
        Some((decisions.collect::<Option<_>>()?, self.pictures))
    }
}
