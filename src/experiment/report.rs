//! Runs to Markdown: what was found, the pictures, and every arm with its numbers and its command.

use std::fmt::Write;

use super::figures::{Drawn, Scene, short};
use super::quantity::loss_unit;
use super::run::Run;
use super::{Experiment, Kind, exponents, label};
use crate::statistics::Decision;

/// What was found, in up to three sentences.
pub(super) fn findings(
    experiment: &Experiment,
    runs: &[Run],
    decisions: &[Decision],
) -> Vec<String> {
    let all = experiment.sweep.runs.len();
    if runs.is_empty() {
        return vec![format!("None of {all} runs is finished.")];
    }
    let scene = Scene::new(runs);
    let claims = experiment.claims.iter().zip(decisions);
    let mut found: Vec<String> = claims
        .map(|(claim, decision)| {
            let verdict = decision.verdict.id().to_uppercase().replace('_', " ");
            format!("{verdict}: {} ({}).", claim.statement, claim.measured(decision))
        })
        .collect();
    found.push(format!("{}.", scene.finding()));
    match experiment.unfinished(runs) {
        0 => {}
        more => found.push(format!("{more} of {all} runs are not finished.")),
    }
    let mixed = scene.arms.iter().filter(|arm| {
        let tally = arm.tally();
        tally.trained > 0 && tally.trained < tally.runs()
    });
    let mixed: Vec<String> = mixed.map(|arm| scene.label(arm)).collect();
    match mixed.as_slice() {
        [] => {}
        [one] => found.push(format!("Seeds disagree on whether {one} trains.")),
        more => found.push(format!("Seeds disagree on whether {} arms train.", more.len())),
    }
    let summary = &runs[0].summary;
    let same = runs.iter().all(|run| run.summary.val_baseline == summary.val_baseline);
    if same && summary.val_baseline.is_finite() {
        found.push(format!(
            "What learns nothing from context pays {} {} held out ({}).",
            short(summary.val_baseline),
            loss_unit(&runs[0].config),
            summary.baseline
        ));
    }
    found
}

/// `report.md`.
pub(super) fn markdown(
    experiment: &Experiment,
    runs: &[Run],
    decisions: &[Decision],
    findings: &[String],
    pictures: &[Drawn],
) -> String {
    let name = &experiment.sweep.name;
    let title = if experiment.title.is_empty() { name } else { &experiment.title };
    let mut out = format!("# {title}\n\n");
    for finding in findings {
        let _ = writeln!(out, "- {finding}");
    }
    verdicts(&mut out, experiment, runs, decisions);
    if runs.is_empty() {
        return out;
    }
    let scene = Scene::new(runs);
    for Drawn { file, title, figure, .. } in pictures {
        let _ = write!(out, "\n## {title}\n\n![{title}]({file})\n");
        let over = figure.x.as_ref().filter(|_| figure.kind == Kind::Best);
        let powers = over.filter(|_| !figure.quantity.is_loss());
        if let Some(table) = powers.and_then(|x| exponents::table(&scene, x, &figure.quantity)) {
            let _ = write!(out, "\n{table}");
        }
    }
    let unit = loss_unit(scene.config());
    let _ = write!(
        out,
        "\n## The arms\n\n{}. Losses in {unit}: means over the seeds (smallest – largest).\n\n\
         | arm | seeds | held-out loss | training loss | seconds a run | the first seed again |\n\
         |---|---|---:|---:|---:|---|\n",
        scene.subtitle()
    );
    for arm in &scene.arms {
        let (mean, low, high) = arm.over_seeds(|run| run.summary.val_loss);
        let spread = match arm.runs.len() {
            1 => String::new(),
            _ => format!(" ({} – {})", short(low), short(high)),
        };
        let _ = writeln!(
            out,
            "| {} | {} | {}{spread} | {} | {} | `plummet train {}` |",
            label::of(arm.config(), &scene.telling),
            arm.tally().words(),
            short(mean),
            short(arm.over_seeds(|run| run.summary.loss).0),
            short(arm.over_seeds(|run| run.summary.seconds).0),
            arm.config().flags().replace('|', "\\|")
        );
    }
    out
}

/// What every verdict rests on.
fn verdicts(out: &mut String, experiment: &Experiment, runs: &[Run], decisions: &[Decision]) {
    for (claim, decision) in experiment.claims.iter().zip(decisions) {
        let verdict = decision.verdict.id().to_uppercase().replace('_', " ");
        let _ = write!(out, "\n**{verdict}**: {}", claim.statement);
        if !claim.source.is_empty() {
            let _ = write!(out, " *({})*", claim.source);
        }
        let _ = writeln!(out, "\n");
        let _ = writeln!(out, "- Measured: {}.", claim.measured(decision));
        let _ = writeln!(out, "- It rests on: {}.", decision.why);
        for edge in claim.at_the_edge(runs) {
            let _ = writeln!(out, "- A better rate may lie beyond the grid: {edge}.");
        }
        let _ = writeln!(out, "- Another verdict would need: {}.", decision.would_change);
    }
}
