//! The page of all claims: one line a claim.

use std::fmt::Write;

use super::Entry;
use crate::experiment::Claim;
use crate::statistics::{Decision, Verdict};

/// What became of the claims of one file.
#[derive(Debug, Clone)]
pub struct Judged {
    /// The file.
    pub entry: Entry,
    /// Runs that are not finished.
    pub unfinished: usize,
    /// Whether its text is another than the registered one; nothing where it is not registered.
    pub changed: Option<bool>,
    /// The files of its pictures.
    pub pictures: Vec<String>,
    /// Every claim and its verdict.
    pub claims: Vec<(Claim, Decision)>,
}

impl Judged {
    /// The name of a claim among those of its file: `L01a`.
    fn name(&self, at: usize) -> String {
        match self.claims.len() {
            1 => self.entry.id.to_string(),
            _ => format!("{}{}", self.entry.id, char::from(b'a' + at as u8)),
        }
    }

    /// A line for a terminal: name, verdict, statement.
    pub fn lines(&self) -> String {
        let lines = self.claims.iter().enumerate().map(|(i, (claim, decision))| {
            let verdict = verdict(decision);
            format!("{:<5} {verdict:<13} {}\n", self.name(i), claim.statement)
        });
        lines.collect()
    }

    /// The same for a program.
    pub fn json(&self) -> Vec<serde_json::Value> {
        let claims = self.claims.iter().enumerate().map(|(i, (claim, decision))| {
            serde_json::json!({
                "claim": self.name(i),
                "tier": self.entry.tier.id(),
                "statement": claim.statement,
                "source": claim.source,
                "verdict": decision.verdict.id(),
                "effect": decision.effect,
                "interval": decision.interval,
                "p": decision.p,
                "level": decision.level,
                "n": decision.n,
                "measured": claim.measured(decision),
                "why": decision.why,
                "would_change": decision.would_change,
                "unfinished": self.unfinished,
                "rule_changed": self.changed,
            })
        });
        claims.collect()
    }

    fn rows(&self, out: &mut String) {
        let id = self.entry.id;
        let cell = |text: &str| text.replace('|', "\\|");
        let mut notes = String::new();
        if self.unfinished > 0 {
            let _ = write!(notes, "; {} runs are not finished", self.unfinished);
        }
        match self.changed {
            Some(true) => notes += "; **the rule was changed after it was registered**",
            None => notes += "; not registered",
            Some(false) => {}
        }
        for (i, (claim, decision)) in self.claims.iter().enumerate() {
            let picture = match self.pictures.get(i).or(self.pictures.first()) {
                Some(file) => format!("[picture](claims/{id}/{file})"),
                None => String::new(),
            };
            let _ = writeln!(
                out,
                "| [{}](claims/{id}/report.md) | **{}** | {} *({})* | {}{notes} | {picture} |",
                self.name(i),
                verdict(decision),
                cell(&claim.statement),
                cell(&claim.source),
                cell(&claim.measured(decision)),
            );
        }
    }

    /// The page of some files, those of the tutorial literature (S) first.
    pub fn page(all: &[Judged]) -> String {
        let claims = || all.iter().flat_map(|judged| &judged.claims);
        let count = |verdict: Verdict| claims().filter(|(_, d)| d.verdict == verdict).count();
        let counts = [
            Verdict::Supported,
            Verdict::Refuted,
            Verdict::Nuanced,
            Verdict::Inconclusive,
            Verdict::NotAssessed,
        ];
        let counts =
            counts.map(|verdict| format!("{} {}", count(verdict), verdict.id().replace('_', " ")));
        let mut out = format!(
            "# What is said about norms and depth, and what these runs say\n\n\
             {} claims: {}. Made by `plummet claims run`; every claim is a file of `claims/`, whose SHA-256 is \
             written down when it is first run, and judged by a rule whose error rates are measured (docs/statistics.md). \
             A verdict is about the sizes, steps and data of its runs, which its page names: small stacks, on \
             two cores. Claims of one file are held to one level together (Holm). The page of a claim has \
             its pictures, every arm, what the verdict rests on, and what would change it.\n\n",
            claims().count(),
            counts.join(", ")
        );
        let tutorial = |judged: &Judged| judged.entry.id.starts_with('S');
        for (title, of_tutorial) in [("What tutorials say", true), ("What papers say", false)] {
            let _ = write!(
                out,
                "## {title}\n\n| claim | verdict | statement | measured | picture |\n|---|---|---|---|---|\n"
            );
            for judged in all.iter().filter(|judged| tutorial(judged) == of_tutorial) {
                judged.rows(&mut out);
            }
            out.push('\n');
        }
        out
    }
}

fn verdict(decision: &Decision) -> String {
    decision.verdict.id().replace('_', " ").to_uppercase()
}
