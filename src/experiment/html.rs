//! An experiment as one HTML file that needs no network: its pictures with values under the pointer, its
//! verdicts, and a table of runs that filters, sorts and draws what is ticked.
//!
//! The page is a template with a style, a script and its data; the script draws.

use serde_json::{Value, json};

use super::figures::{Drawn, Scene};
use super::quantity::loss_unit;
use super::run::Run;
use super::{Experiment, label};
use crate::config::RunConfig;
use crate::plot::thinned;
use crate::statistics::Decision;

const TEMPLATE: &str = include_str!("html/page.html");
const STYLE: &str = include_str!("html/page.css");
const SCRIPT: &str = include_str!("html/page.js");

/// What stands on a page.
pub(crate) struct Page<'a> {
    /// The question.
    pub title: &'a str,
    /// What all runs share.
    pub subtitle: &'a str,
    /// Some sentences, computed from the runs.
    pub findings: Vec<String>,
    /// The verdicts about claims, as data.
    pub verdicts: Vec<Value>,
    /// The pictures, as data.
    pub figures: Vec<Value>,
    /// The runs of the table.
    pub runs: Vec<&'a Run>,
}

impl Page<'_> {
    /// The page as HTML.
    pub fn write(&self) -> String {
        let configs = || self.runs.iter().map(|run| &run.config);
        let (fields, telling) = (label::varying(configs()), label::telling(configs()));
        let rows = self.runs.iter().enumerate().map(|(at, run)| row(at, run, &fields, &telling));
        let data = json!({
            "subtitle": self.subtitle,
            "findings": self.findings,
            "verdicts": self.verdicts,
            "figures": self.figures,
            "fields": fields,
            "unit": loss_unit(self.runs.first().map_or(&RunConfig::default(), |run| &run.config)),
            "runs": rows.collect::<Vec<_>>(),
        });
        // Nothing of the data can end its element, and an entity stands for what could begin one.
        let data = data.to_string().replace('<', "\\u003c");
        let title = self.title.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
        let mut page = String::new();
        for part in TEMPLATE.split("{{") {
            let (hole, rest) = part.split_once("}}").unwrap_or(("", part));
            page += match hole {
                "title" => &title,
                "style" => STYLE,
                "data" => &data,
                "script" => SCRIPT,
                _ => "",
            };
            page += rest;
        }
        page
    }
}

/// `report.html`.
pub(super) fn page(
    experiment: &Experiment,
    runs: &[Run],
    decisions: &[Decision],
    findings: &[String],
    pictures: &[Drawn],
) -> String {
    let name = &experiment.sweep.name;
    let claims = experiment.claims.iter().zip(decisions);
    let verdicts = claims.map(|(claim, decision)| {
        json!({
            "verdict": decision.verdict.id(),
            "statement": claim.statement,
            "source": claim.source,
            "measured": claim.measured(decision),
            "would_change": decision.would_change,
        })
    });
    let subtitle = if runs.is_empty() { String::new() } else { Scene::new(runs).subtitle() };
    let page = Page {
        title: if experiment.title.is_empty() { name } else { &experiment.title },
        subtitle: &subtitle,
        // The verdicts stand by themselves.
        findings: findings.iter().skip(decisions.len()).cloned().collect(),
        verdicts: verdicts.collect(),
        figures: pictures.iter().map(|drawn| drawn.chart.describe()).collect(),
        runs: runs.iter().collect(),
    };
    page.write()
}

fn row(at: usize, run: &Run, fields: &[&str], telling: &[&str]) -> Value {
    let (config, summary) = (&run.config, &run.summary);
    let values: serde_json::Map<String, Value> = fields
        .iter()
        .map(|field| (field.to_string(), label::value(config, field).into()))
        .collect();
    let command = format!("plummet train {}", config.flags());
    let name = label::of(config, telling);
    let text = format!("{name} {command} {}", summary.outcome.id()).to_lowercase();
    let curve: Vec<(f64, f64)> = run.steps.iter().map(|row| (row.step as f64, row.loss)).collect();
    let held: Vec<(f64, f64)> =
        run.steps.iter().filter_map(|row| Some((row.step as f64, row.val_loss?))).collect();
    json!({
        "at": at,
        "label": name,
        "values": values,
        "seed": config.seed,
        "outcome": summary.outcome.id(),
        "val": summary.val_loss,
        "loss": summary.loss,
        "steps": summary.steps,
        "seconds": (100.0 * summary.seconds).round() / 100.0,
        "command": command.trim_end(),
        "text": text,
        "curve": thinned(&curve),
        "held": thinned(&held),
    })
}
