//! Records to Markdown: what is seen, the numbers behind it, and how to make them again.

use std::fmt::{Result, Write};

use super::data::Data;
use super::figures::{Picture, inits, norms, subtitle, text_name};
use super::findings::largest::Largest;
use super::findings::words::{conditions, count, number};
use super::findings::{map, rates, warmups, wirings};
use super::laws::{exponent, laws, line};
use crate::config::Checkpoint;
use crate::experiment::Run;
use crate::experiment::arm::{Arm, arms};
use crate::experiment::html::Page;

/// A share of explained variance from which a line may be called one.
const STRAIGHT: f64 = 0.99;

/// `stability.md`.
pub(super) fn markdown(data: &Data, pictures: &[Picture], command: &str) -> String {
    let mut text = String::new();
    write(&mut text, data, pictures, command).expect("writing to a string does not fail");
    text
}

/// `stability.html`.
pub(super) fn page(data: &Data, pictures: &[Picture]) -> String {
    let (main, warm, all) = (arms(&data.wirings), arms(&data.warmups), arms(&data.map));
    let sentence = |title: String| (!title.is_empty()).then(|| format!("{title}."));
    let findings = [
        wirings::sentence(&main),
        sentence(warmups::title(&warm)),
        sentence(map::title(&inits(&all), "init")),
        sentence(map::title(&norms(&all), "norm")),
        sentence(rates::title(&arms(&data.rates))),
        cost(data),
    ];
    let parts = [&data.wirings, &data.warmups, &data.map, &data.rates, &data.laws, &data.cost];
    let page = Page {
        title: "Which deep Transformers train, and why",
        subtitle: "The stability survey: every run below was trained by one command",
        findings: findings.into_iter().flatten().collect(),
        verdicts: Vec::new(),
        figures: pictures.iter().map(|picture| picture.chart.describe()).collect(),
        runs: parts.into_iter().flatten().collect(),
    };
    page.write()
}

fn write(out: &mut String, data: &Data, pictures: &[Picture], command: &str) -> Result {
    writeln!(out, "# Which deep Transformers train, and why\n")?;
    writeln!(
        out,
        "Made by `{command}`. Runs are kept in its store; the pictures are drawn again from there by `plummet report`. \
        Every finding holds on every seed that was run, for the rates and steps that it names, and for nothing else: \
        a plateau of some hundred steps may end later. `plummet survey --thorough` says which findings outlast longer runs.\n"
    )?;
    let find = |name: &str| pictures.iter().find(|picture| picture.file.ends_with(name));
    let show = |out: &mut String, name: &str| match find(name) {
        Some(picture) => writeln!(out, "![{}]({})\n", picture.caption, picture.file),
        None => Ok(()),
    };
    let main = arms(&data.wirings);
    chapter(out, "Sixteen blocks, by wiring and initialisation", &main)?;
    paragraph(out, wirings::sentence(&main))?;
    show(out, "1-loss.png")?;
    wirings_table(out, &main)?;

    let warm = arms(&data.warmups);
    chapter(out, "Learning rate or warm-up: which decides?", &warm)?;
    paragraph(out, Some(format!("{}.", warmups::title(&warm))))?;
    paragraph(out, warmups::sentence(&warm))?;
    show(out, "2-warm-up.png")?;
    warmups_table(out, &warm)?;

    let all = arms(&data.map);
    let (inits, norms) = (inits(&all), norms(&all));
    chapter(out, "Wirings under inits and norms", &all)?;
    for (arms, other) in [(&inits, "init"), (&norms, "norm")] {
        paragraph(out, Some(format!("{}.", map::title(arms, other))))?;
    }
    paragraph(out, map::unfinished(&all))?;
    show(out, "3-outcomes.png")?;

    let grown = arms(&data.rates);
    chapter(out, "Learning rate against depth", &grown)?;
    paragraph(out, Some(format!("{}.", rates::title(&grown))))?;
    show(out, "4-learning-rate.png")?;
    rates_table(out, &grown)?;

    writeln!(out, "## Laws of depth before training\n")?;
    laws_table(out, data)?;
    writeln!(out, "## Inside, and what it costs\n")?;
    paragraph(out, cost(data))?;
    for picture in pictures.iter().filter(|picture| picture.file.as_str() >= "5") {
        show(out, &picture.file)?;
    }

    writeln!(out, "## How to make these runs\n")?;
    commands(out, data, pictures)?;
    writeln!(
        out,
        "\nWhat no flag says is a default: bytes as tokens, no positions, embeddings N(0, 1) unless the init says otherwise, a norm on the embedding for post_ln, deepnorm and peri_ln, a final norm for the pre-type wirings, an untied head, ReLU feed-forward of 4·width without biases, AdamW with β (0.9, 0.95), clip 1, no weight decay, 95 % of the bytes for training."
    )
}

/// A chapter and what its runs share.
pub(super) fn chapter(out: &mut String, heading: &str, arms: &[Arm]) -> Result {
    writeln!(out, "## {heading}\n")?;
    paragraph(out, (!arms.is_empty()).then(|| format!("All runs: {}.", subtitle(arms))))
}

pub(super) fn paragraph(out: &mut String, text: Option<String>) -> Result {
    text.map_or(Ok(()), |text| writeln!(out, "{text}\n"))
}

/// The table of the readme: it can be copied from here.
pub(super) fn wirings_table(out: &mut String, arms: &[Arm]) -> Result {
    let Some(first) = arms.first() else { return Ok(()) };
    let (c, s) = (first.config(), &first.runs[0].summary);
    let runs: Vec<&Run> = arms.iter().flat_map(|arm| arm.runs.iter().copied()).collect();
    writeln!(
        out,
        "| {} of width {}, {} | lr | steps | held-out loss | training loss | token cosine | the seeds |",
        count(c.depth, "block"),
        c.width,
        conditions(runs)
    )?;
    writeln!(out, "|---|---:|---:|---:|---:|---:|---|")?;
    for arm in arms {
        let (held_out, low, high) = arm.over_seeds(|run| run.summary.val_loss);
        let spread = match arm.runs.len() {
            1 => String::new(),
            _ => format!(" ({} – {})", number(low, 2), number(high, 2)),
        };
        writeln!(
            out,
            "| {} | {} | {} | {}{spread} | {} | {} | {} |",
            arm.label(),
            arm.config().lr,
            arm.config().steps,
            number(held_out, 2),
            number(arm.over_seeds(|run| run.summary.loss).0, 2),
            number(arm.over_seeds(|run| run.summary.token_cosine).0, 2),
            arm.tally().words()
        )?;
    }
    writeln!(
        out,
        "| *what needs no context* | | | *{}* | *{}* | | |",
        number(s.val_baseline, 2),
        number(s.reference(&s.baseline).unwrap_or(f64::NAN), 2)
    )?;
    writeln!(
        out,
        "\nLearned: {}. Nats per byte at the end, means over the seeds (smallest – largest); the training loss is that of the last 20 steps, the token cosine that of the last block.{}\n",
        text_name(c),
        wirings::passes_sentence(arms.iter().flat_map(|arm| &arm.runs).map(|r| r.summary.passes))
    )
}

pub(super) fn warmups_table(out: &mut String, arms: &[Arm]) -> Result {
    let rows = warmups::rows(arms);
    let Some(first) = rows.first() else { return Ok(()) };
    let heads: Vec<String> =
        first.ladders.iter().map(|(share, _)| format!("{share} of warm-up")).collect();
    writeln!(
        out,
        "| wiring | cells that train | largest rate that trains on every seed: {} | best cell by held-out loss | all runs |",
        heads.join(" | ")
    )?;
    writeln!(out, "|---|---:|{}---|---|", "---:|".repeat(heads.len()))?;
    for row in &rows {
        let ladders: Vec<String> =
            row.ladders.iter().map(|(_, ladder)| Largest::of(ladder).show()).collect();
        writeln!(
            out,
            "| {} | {} of {} | {} | {} | {} |",
            row.name,
            row.trained.0,
            row.trained.1,
            ladders.join(" | "),
            row.best,
            row.tally.words()
        )?;
    }
    let passes = arms.iter().flat_map(|arm| &arm.runs).map(|run| run.summary.passes);
    writeln!(out, "\n{}\n", wirings::passes_sentence(passes).trim())
}

pub(super) fn rates_table(out: &mut String, arms: &[Arm]) -> Result {
    let rows = rates::rows(arms);
    let Some(first) = rows.first() else { return Ok(()) };
    let heads: Vec<String> =
        first.depths.iter().map(|depth| format!("{} blocks", depth.blocks)).collect();
    writeln!(out, "| largest rate that learns stably | {} | with depth it |", heads.join(" | "))?;
    writeln!(out, "|---|{}---|", "---:|".repeat(heads.len()))?;
    for row in &rows {
        let cell = |depth: &rates::Depth| {
            let unstable: Vec<String> = depth.unstable.iter().map(f64::to_string).collect();
            let learns = Largest::of(&depth.learns).show();
            match unstable.is_empty() {
                true => learns,
                false => format!("{learns}; unstable: {}", unstable.join(", ")),
            }
        };
        let cells: Vec<String> = row.depths.iter().map(cell).collect();
        writeln!(out, "| {} | {} | {} |", row.wiring.id(), cells.join(" | "), row.shift().show())?;
    }
    writeln!(out)
}

fn laws_table(out: &mut String, data: &Data) -> Result {
    if let Some(run) = data.laws.first() {
        let c = &run.config;
        writeln!(
            out,
            "Width {}, {} heads, sequences of {} × {}, three seeds, no step. Exponents are slopes of logarithms over the depths: of the gradient norm of the last feed-forward matrix, and of the mean square of the last residual stream.\n",
            c.width, c.heads, c.seq, c.batch
        )?;
    }
    let known = laws(data);
    let depths: Vec<String> = known
        .first()
        .map_or(Vec::new(), |law| law.squares.iter().map(|(depth, _)| depth.to_string()).collect());
    writeln!(
        out,
        "| wiring | exponent of the gradient | exponent of the stream | mean square of the last stream at depth {} |",
        depths.join(", ")
    )?;
    writeln!(out, "|---|---:|---:|---:|")?;
    let signed = |value: Option<f64>| value.map_or("–".to_string(), |v| format!("{v:+.2}"));
    for law in known {
        let squares: Vec<String> = law.squares.iter().map(|(_, s)| format!("{s:.2}")).collect();
        writeln!(
            out,
            "| {} | {} | {} | {} |",
            law.wiring.id(),
            signed(law.gradient),
            signed(law.stream),
            squares.join(", ")
        )?;
    }
    writeln!(out)
}

/// What a block costs; called linear only where the line explains nearly all of it.
fn cost(data: &Data) -> Option<String> {
    let points = |checkpoint: Checkpoint, metric: &str| -> Vec<(f64, f64)> {
        let runs = data.cost.iter().filter(|run| run.config.checkpoint == checkpoint);
        runs.filter_map(|run| Some((run.config.depth as f64, run.cost(metric)?))).collect()
    };
    let time = line(&points(Checkpoint::None, "fastest_step_ms"))?;
    let memory = line(&points(Checkpoint::None, "activation_bytes"))?;
    let power = exponent(&points(Checkpoint::Auto, "activation_bytes"))?;
    let shape = |r2: f64| if r2 > STRAIGHT { "linear in depth" } else { "not linear in depth" };
    Some(format!(
        "A block of width {} takes {:.2} ms of a training step ({}, R² {:.4}) and {:.2} MiB of activations ({}, R² {:.4}); with checkpoints every √depth blocks the activations grow with exponent {power:.2}.",
        data.cost.first()?.config.width,
        time.slope,
        shape(time.r2),
        time.r2,
        memory.slope / (1 << 20) as f64,
        shape(memory.r2),
        memory.r2
    ))
}

pub(super) fn commands(out: &mut String, data: &Data, pictures: &[Picture]) -> Result {
    writeln!(out, "| picture | shows | experiment | one of its runs |")?;
    writeln!(out, "|---|---|---|---|")?;
    for picture in pictures {
        let runs = match picture.part {
            "wirings" => &data.wirings,
            "warmups" => &data.warmups,
            "map" => &data.map,
            "rates" => &data.rates,
            _ => &data.cost,
        };
        let example = runs.first().map_or(String::new(), |run| run.config.flags());
        let thorough = if picture.file.starts_with("thorough") { "thorough/" } else { "" };
        writeln!(
            out,
            "| [{0}]({0}) | {1} | [{thorough}{2}.toml](../src/survey/{thorough}{2}.toml) | `{3}` |",
            picture.file,
            picture.caption,
            picture.part,
            format!("plummet train {example}").trim_end()
        )?;
    }
    Ok(())
}
