//! Records to Markdown: what is seen, the numbers behind it, and how to make them again.

use std::fmt::Write;

use super::data::{Arm, Data};
use super::figures::{Picture, mark, text_name};
use super::laws::{exponent, laws, line};
use crate::config::Checkpoint;

pub(super) fn markdown(data: &Data, pictures: &[Picture], command: &str) -> String {
    let mut text = String::new();
    write(&mut text, data, pictures, command).expect("writing to a string does not fail");
    text
}

fn write(out: &mut String, data: &Data, pictures: &[Picture], command: &str) -> std::fmt::Result {
    let arms = data.arms();
    writeln!(out, "# Which deep Transformers train, and why\n")?;
    writeln!(
        out,
        "Made by `{command}`. Runs are kept in its store; the pictures are drawn again from there by `plummet report`.\n"
    )?;
    for sentence in seen(data, &arms) {
        writeln!(out, "{sentence}\n")?;
    }
    writeln!(out, "![Training loss over steps, by wiring](1-loss.png)\n")?;

    writeln!(out, "## Sixteen blocks, by wiring and initialisation\n")?;
    if let Some(arm) = arms.first() {
        let summary = &arm.runs[0].summary;
        writeln!(
            out,
            "Learned: {}. Unigram entropy {:.3}, bigram entropy {:.3} nats. Loss is the mean of the last 20 steps, mean over the seeds (smallest – largest); token cosine is that of the last block at the end of training.\n",
            text_name(arm.config()),
            summary.unigram_entropy,
            summary.bigram_entropy
        )?;
    }
    writeln!(out, "| wiring, init | seeds | loss | held-out | token cosine | outcome |")?;
    writeln!(out, "|---|---:|---:|---:|---:|---|")?;
    for arm in &arms {
        let (loss, low, high) = arm.over_seeds(|run| run.summary.loss);
        let (held_out, _, _) = arm.over_seeds(|run| run.summary.val_loss);
        let (cosine, _, _) = arm.over_seeds(|run| run.summary.token_cosine);
        let spread =
            if arm.runs.len() > 1 { format!(" ({low:.3} – {high:.3})") } else { String::new() };
        let mut outcomes: Vec<String> =
            arm.runs.iter().map(|run| run.summary.outcome.to_string()).collect();
        outcomes.dedup();
        writeln!(
            out,
            "| {} | {} | {loss:.3}{spread} | {held_out:.3} | {cosine:.3} | {} |",
            arm.label(),
            arm.runs.len(),
            outcomes.join("; ")
        )?;
    }

    writeln!(out, "\n## Laws of depth before training\n")?;
    if let Some(run) = data.laws.first() {
        let c = &run.config;
        writeln!(
            out,
            "Width {}, {} heads, sequences of {} × {}, three seeds, no step. Exponents are slopes of logarithms over depths 8 to 64: of the gradient norm of the last feed-forward matrix, and of the mean square of the last residual stream.\n",
            c.width, c.heads, c.seq, c.batch
        )?;
    }
    writeln!(
        out,
        "| wiring | exponent of the gradient | exponent of the stream | mean square of the last stream at depth 8, 16, 32, 64 |"
    )?;
    writeln!(out, "|---|---:|---:|---:|")?;
    let number = |value: Option<f64>| value.map_or("–".to_string(), |v| format!("{v:+.2}"));
    for law in laws(data) {
        let squares: Vec<String> = law.squares.iter().map(|(_, s)| format!("{s:.2}")).collect();
        writeln!(
            out,
            "| {} | {} | {} | {} |",
            law.wiring.id(),
            number(law.gradient),
            number(law.stream),
            squares.join(", ")
        )?;
    }

    writeln!(out, "\n## Pictures\n")?;
    for picture in pictures.iter().skip(1) {
        writeln!(out, "![{}]({})\n", picture.caption, picture.file)?;
    }

    writeln!(out, "## How to make these runs\n")?;
    writeln!(out, "| picture | shows | experiment | one of its runs |")?;
    writeln!(out, "|---|---|---|---|")?;
    for picture in pictures {
        let runs = match picture.part {
            "wirings" => &data.wirings,
            "map" => &data.map,
            "rates" => &data.rates,
            _ => &data.cost,
        };
        let example = runs.first().map_or(String::new(), |run| run.config.flags());
        writeln!(
            out,
            "| [{0}]({0}) | {1} | [{2}.toml](../src/survey/{2}.toml) | `{3}` |",
            picture.file,
            picture.caption,
            picture.part,
            format!("plummet train {example}").trim_end()
        )?;
    }
    writeln!(
        out,
        "\nWhat no flag says is a default: bytes as tokens, no positions, embeddings N(0, 1) unless the init says otherwise, a norm on the embedding for post_ln, deepnorm and peri_ln, a final norm for the pre-type wirings, an untied head, ReLU feed-forward of 4·width without biases, AdamW with β (0.9, 0.95), clip 1, no weight decay, 95 % of the bytes for training."
    )
}

/// Three sentences of what is seen, each with its numbers.
fn seen(data: &Data, arms: &[Arm]) -> Vec<String> {
    let find = |label: &str| arms.iter().find(|arm| arm.label() == label);
    let mut sentences = Vec::new();
    if let (Some(pre), Some(post), Some(warm), Some(small), Some(deep)) = (
        find("pre_ln, xavier_normal"),
        find("post_ln, xavier_normal"),
        find("post_ln, xavier_normal, warm-up 100"),
        find("post_ln, normal_02"),
        find("deepnorm"),
    ) {
        let loss = |arm: &Arm| arm.over_seeds(|run| run.summary.loss).0;
        let cosine = |arm: &Arm| arm.over_seeds(|run| run.summary.token_cosine).0;
        let unigram = post.runs[0].summary.unigram_entropy;
        sentences.push(format!(
            "**Loss.** With Xavier weights pre_ln reaches {:.2} nats and post_ln {:.2}, where the unigram entropy is {:.2}: its tokens are all alike (mean cosine {:.3} against {:.3} for pre_ln). 100 steps of warm-up leave it at {:.2}; initial weights of N(0, 0.02²) bring the same wiring to {:.2}, and deepnorm reaches {:.2}.",
            loss(pre), loss(post), unigram, cosine(post), cosine(pre), loss(warm), loss(small), loss(deep)
        ));
    }
    let known = laws(data);
    let law = |id: &str| known.iter().find(|law| law.wiring.id() == id);
    if let (Some(pre), Some(post), Some(scaled), Some(deep)) =
        (law("pre_ln"), law("post_ln"), law("ln_scaling"), law("deepnorm"))
    {
        let number = |value: Option<f64>| value.unwrap_or(f64::NAN);
        let last = |squares: &[(f64, f64)]| squares.last().map_or(f64::NAN, |p| p.1);
        sentences.push(format!(
            "**Depth before training.** The gradient of the last feed-forward matrix goes with depth to the power {:+.2} under pre_ln and {:+.2} under post_ln; the mean square of the stream grows with exponent {:+.2} under pre_ln, {:+.2} under ln_scaling ({:.1} at the deepest stack), and is {:.2} under deepnorm.",
            number(pre.gradient), number(post.gradient), number(pre.stream), number(scaled.stream), last(&scaled.squares), last(&deep.squares)
        ));
    }
    let trained = data.map.iter().filter(|run| mark(&run.summary.outcome).trained()).count();
    let points = |checkpoint: Checkpoint, metric: &str| -> Vec<(f64, f64)> {
        let runs = data.cost.iter().filter(|run| run.config.checkpoint == checkpoint);
        runs.filter_map(|run| Some((run.config.depth as f64, run.cost(metric)?))).collect()
    };
    let kept = points(Checkpoint::None, "activation_bytes");
    if let (Some(time), Some(memory), Some(power)) = (
        line(&points(Checkpoint::None, "fastest_step_ms")),
        line(&kept),
        exponent(&points(Checkpoint::Auto, "activation_bytes")),
    ) {
        sentences.push(format!(
            "**What trains and what it costs.** {trained} of {} short runs over wirings, inits and norms learn from context. A block of width 64 takes {:.2} ms of a training step and {:.2} MiB of activations, both linear in depth (R² {:.4} and {:.4}); with checkpoints every √depth blocks the activations grow with exponent {power:.2}.",
            data.map.len(), time.slope, memory.slope / (1 << 20) as f64, time.r2, memory.r2
        ));
    }
    sentences
}
