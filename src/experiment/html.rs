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

/// `report.html`.
pub(super) fn page(
    experiment: &Experiment,
    runs: &[Run],
    decisions: &[Decision],
    findings: &[String],
    pictures: &[Drawn],
) -> String {
    let name = &experiment.sweep.name;
    let title = if experiment.title.is_empty() { name } else { &experiment.title };
    let data = data(experiment, runs, decisions, findings, pictures);
    // Nothing of the data can end its element, and an entity stands for what could begin one.
    let data = data.to_string().replace('<', "\\u003c");
    let title = title.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
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

fn data(
    experiment: &Experiment,
    runs: &[Run],
    decisions: &[Decision],
    findings: &[String],
    pictures: &[Drawn],
) -> Value {
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
    let fields: Vec<&str> = label::varying(runs.iter().map(|run| &run.config));
    let telling = label::telling(runs.iter().map(|run| &run.config));
    let rows = runs.iter().enumerate().map(|(at, run)| row(at, run, &fields, &telling));
    let subtitle = if runs.is_empty() { String::new() } else { Scene::new(runs).subtitle() };
    // The verdicts stand by themselves.
    let findings = findings.iter().skip(decisions.len()).collect::<Vec<_>>();
    json!({
        "subtitle": subtitle,
        "findings": findings,
        "verdicts": verdicts.collect::<Vec<_>>(),
        "figures": pictures.iter().map(|drawn| drawn.chart.describe()).collect::<Vec<_>>(),
        "fields": fields,
        "unit": loss_unit(runs.first().map_or(&RunConfig::default(), |run| &run.config)),
        "runs": rows.collect::<Vec<_>>(),
    })
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
