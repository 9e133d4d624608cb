//! Records to pictures: one function per picture.

use std::path::Path;

use super::Error;
use super::data::{Arm, Data, Run};
use super::laws::line;
use crate::config::{Checkpoint, RunConfig};
use crate::plot::{Axis, Cell, Lines, Map, Maps, Mark, Panels, Reference, Scale, Series, Stroke};
use crate::record::Outcome;
use crate::stack::Wiring;

/// A picture that was drawn: its file and what it is about.
#[derive(Debug, Clone)]
pub(super) struct Picture {
    pub file: &'static str,
    pub caption: String,
    /// The command that makes the runs behind it.
    pub part: &'static str,
}

/// Draws every picture into `folder`.
pub(super) fn draw(data: &Data, folder: &Path) -> Result<Vec<Picture>, Error> {
    let mut pictures = Vec::new();
    let mut note = |file: &'static str, part: &'static str, caption: &str| {
        pictures.push(Picture { file, caption: caption.to_string(), part });
        folder.join(file)
    };
    let arms = data.arms();

    let panels = loss(data, &arms);
    panels.save(note("1-loss.png", "wirings", "Training loss over steps, by wiring"))?;
    let maps = outcomes(data);
    maps.save(note("2-outcomes.png", "map", "Outcome of every wiring under every init and norm"))?;
    let lines = rates(data);
    lines.save(note(
        "3-learning-rate.png",
        "rates",
        "Largest stable learning rate against depth",
    ))?;
    let panels = by_layer(&arms, &GRADIENT);
    panels.save(note("4-gradient.png", "wirings", "Gradient norm by block"))?;
    let panels = by_layer(&arms, &RMS);
    panels.save(note("5-stream.png", "wirings", "RMS of the residual stream by block"))?;
    let panels = similarity(&arms);
    panels.save(note(
        "6-similarity.png",
        "wirings",
        "Token cosine and angular distance by block",
    ))?;
    let panels = by_layer(&arms, &ENTROPY);
    panels.save(note("7-attention.png", "wirings", "Attention entropy by block"))?;
    let panels = cost(data);
    panels.save(note("8-cost.png", "cost", "Time and activation memory against depth"))?;
    Ok(pictures)
}

/// The mark of an outcome.
pub(super) fn mark(outcome: &Outcome) -> Mark {
    match outcome {
        Outcome::Ok => Mark::Ok,
        Outcome::Spike { .. } => Mark::Spike,
        Outcome::Unfinished => Mark::Unfinished,
        Outcome::Stuck => Mark::Stuck,
        Outcome::Collapsed => Mark::Collapsed,
        Outcome::Diverged { .. } => Mark::Diverged,
        Outcome::NonFinite { .. } => Mark::NonFinite,
    }
}

fn worst(arm: &Arm) -> Mark {
    arm.runs.iter().map(|run| mark(&run.summary.outcome)).max().unwrap_or(Mark::Ok)
}

/// What the runs of a picture have in common.
fn subtitle(config: Option<&RunConfig>) -> String {
    config.map_or_else(String::new, |c| {
        format!(
            "{} blocks of width {}, {} heads, sequences of {} × {}, {} at {}, {} steps, {}",
            c.depth,
            c.width,
            c.heads,
            c.seq,
            c.batch,
            c.optimizer.id(),
            c.lr,
            c.steps,
            text_name(c)
        )
    })
}

/// What is learned, for people.
pub(super) fn text_name(config: &RunConfig) -> String {
    if config.text.is_empty() {
        "bytes of the embedded Latin text".to_string()
    } else {
        let name = Path::new(&config.text).file_name().map(|name| name.to_string_lossy());
        format!("bytes of {}", name.unwrap_or_default())
    }
}

/// A wiring keeps its look; a second arm of the same wiring gets one of its own.
fn style(arm: &Arm) -> String {
    let config = arm.config();
    let plain = config.warmup == 0
        && (config.init.id() == "xavier_normal" || config.wiring == Wiring::Deepnorm);
    if plain { config.wiring.id().to_string() } else { arm.label() }
}

fn series(arm: &Arm, curve: impl Fn(&Run) -> Vec<(f64, f64)>) -> Series {
    let (points, band) = arm.curve(curve);
    Series { style_key: style(arm), band, ..Series::new(arm.label(), points) }
}

/// Running mean over `window` steps, so that lines can be told apart.
fn smooth(points: &[(f64, f64)], window: usize) -> Vec<(f64, f64)> {
    (0..points.len())
        .map(|i| {
            let from = i.saturating_sub(window - 1);
            let part = &points[from..=i];
            (points[i].0, part.iter().map(|p| p.1).sum::<f64>() / part.len() as f64)
        })
        .collect()
}

fn loss(data: &Data, arms: &[Arm]) -> Panels {
    let curve = |run: &Run| {
        let points: Vec<(f64, f64)> =
            run.steps.iter().map(|row| (row.step as f64, row.loss)).collect();
        smooth(&points, 8)
    };
    let references = arms.first().map_or_else(Vec::new, |arm| {
        let summary = &arm.runs[0].summary;
        let reference =
            |value: f64, label: &str| Reference { value, label: format!("{label} {value:.2}") };
        let mut references = vec![
            reference(summary.unigram_entropy, "unigram entropy"),
            reference(summary.bigram_entropy, "bigram entropy"),
        ];
        references.extend(summary.floor.map(|floor| reference(floor, "floor")));
        references
    });
    let low = references.iter().map(|r| r.value).fold(f64::INFINITY, f64::min);
    let finals = arms.iter().map(|arm| arm.over_seeds(|run| run.summary.loss).1);
    let low = finals.filter(|loss| loss.is_finite()).fold(low, f64::min);
    let panel = |title: String, series: Vec<Series>| Lines {
        title,
        x: Axis::new("step"),
        y: Axis::new("training loss (nats per byte)").range(low - 0.15, 5.0),
        series,
        references: references.clone(),
        ..Lines::default()
    };
    let shown = |arm: &Arm| Series { end: Some(worst(arm)), ..series(arm, curve) };
    let field: Vec<Arm> = (data.map.iter())
        .filter(|run| run.config.init.id() == "xavier_normal")
        .filter(|run| run.config.norm.0.id == "layer_norm")
        .map(|run| Arm { runs: vec![run] })
        .collect();
    let named = |arm: &Arm| Series { label: arm.config().wiring.id().to_string(), ..shown(arm) };
    let small = field.first().map_or(String::new(), |arm| {
        let c = arm.config();
        format!("every wiring, xavier_normal, width {}, lr {}", c.width, c.lr)
    });
    Panels {
        title: finding(arms),
        subtitle: subtitle(arms.first().map(Arm::config)),
        panels: vec![
            panel(
                "three seeds an arm (bands: all seeds)".to_string(),
                arms.iter().map(shown).collect(),
            ),
            panel(small, field.iter().map(named).collect()),
        ],
        shared_legend: false,
        notes: vec!["Losses are running means over 8 steps.".to_string()],
        size: (1900, 1150),
        ..Panels::default()
    }
}

/// The finding, where the runs bear it out in every seed; the question otherwise.
fn finding(arms: &[Arm]) -> String {
    let fails = |label: &str| {
        let arm = arms.iter().find(|arm| arm.label() == label)?;
        let marks = || arm.runs.iter().map(|run| mark(&run.summary.outcome));
        let (all_fail, all_train) = (marks().all(Mark::fails), marks().all(Mark::trained));
        (all_fail || all_train).then_some(all_fail)
    };
    let seen = [
        fails("post_ln, xavier_normal"),
        fails("post_ln, xavier_normal, warm-up 100"),
        fails("post_ln, normal_02"),
    ];
    if seen == [Some(true), Some(true), Some(false)] {
        "Post-LN stays at the unigram entropy: warm-up does not save it, a small init does"
    } else {
        "Which wirings learn from context, and does warm-up or the init decide?"
    }
    .to_string()
}

fn outcomes(data: &Data) -> Maps {
    let names = |f: &dyn Fn(&RunConfig) -> &'static str, runs: &[&Run]| {
        let mut names: Vec<String> = Vec::new();
        for run in runs {
            let name = f(&run.config).to_string();
            if !names.contains(&name) {
                names.push(name);
            }
        }
        names
    };
    let table =
        |title: &str, label: &str, runs: &[&Run], f: &dyn Fn(&RunConfig) -> &'static str| {
            let rows = names(&|config| config.wiring.id(), runs);
            let columns = names(f, runs);
            let cells = runs.iter().map(|run| Cell {
                row: rows.iter().position(|n| n == run.config.wiring.id()).unwrap_or(usize::MAX),
                column: columns.iter().position(|n| n == f(&run.config)).unwrap_or(usize::MAX),
                value: Some(run.summary.loss),
                mark: Some(mark(&run.summary.outcome)),
            });
            Map {
                title: title.to_string(),
                row_label: "wiring".to_string(),
                column_label: label.to_string(),
                cells: cells.collect(),
                rows,
                columns,
            }
        };
    let is_layer_norm = |run: &&Run| run.config.norm.0.id == "layer_norm";
    let inits: Vec<&Run> = data.map.iter().filter(is_layer_norm).collect();
    let normed = |run: &&Run| !matches!(run.config.wiring, Wiring::NoNorm | Wiring::Rezero);
    let xavier = |run: &&Run| run.config.init.id() == "xavier_normal";
    let norms: Vec<&Run> = data.map.iter().filter(xavier).filter(normed).collect();
    let trained = inits.iter().filter(|run| mark(&run.summary.outcome).trained()).count();
    Maps {
        title: format!(
            "What trains? {trained} of {} pairs of wiring and init learn from context",
            inits.len()
        ),
        subtitle: subtitle(data.map.first().map(|run| &run.config)),
        maps: vec![
            table("wiring × init (layer_norm)", "init", &inits, &|config| config.init.id()),
            table("wiring × norm (xavier_normal)", "norm", &norms, &|config| config.norm.0.id),
        ],
        value: Axis::new("loss of the last 20 steps (nats per byte)"),
        notes: Vec::new(),
        size: (2000, 1100),
    }
}

fn rates(data: &Data) -> Lines {
    let mut series: Vec<Series> = Vec::new();
    let mut missing: Vec<String> = Vec::new();
    let wirings: Vec<Wiring> = Wiring::ALL.to_vec();
    for wiring in wirings {
        let runs: Vec<&Run> = data.rates.iter().filter(|run| run.config.wiring == wiring).collect();
        if runs.is_empty() {
            continue;
        }
        let mut depths: Vec<usize> = runs.iter().map(|run| run.config.depth).collect();
        depths.sort_unstable();
        depths.dedup();
        let mut points = Vec::new();
        for depth in depths {
            let stable = runs
                .iter()
                .filter(|run| run.config.depth == depth && mark(&run.summary.outcome).trained());
            let largest = stable.map(|run| run.config.lr).fold(f64::NAN, f64::max);
            if largest.is_nan() {
                missing.push(format!("{} at depth {depth}", wiring.id()));
            } else {
                points.push((depth as f64, largest));
            }
        }
        let init = runs[0].config.init.id();
        let label = if init == wiring.id() {
            wiring.id().to_string()
        } else {
            format!("{}, {init}", wiring.id())
        };
        series.push(Series {
            style_key: wiring.id().to_string(),
            markers: true,
            ..Series::new(label, points)
        });
    }
    let mut notes = vec![
        "Stable: the last 20 steps are below the unigram entropy by more than 0.05 nats; rates were tried in half decades from 3e-4 to 1e-1.".to_string(),
    ];
    if !missing.is_empty() {
        notes.push(format!("No rate was stable for {}.", missing.join(", ")));
    }
    let config = data.rates.first().map(|run| &run.config);
    Lines {
        title: "How large a learning rate can a deep stack bear?".to_string(),
        subtitle: config.map_or_else(String::new, |c| {
            format!(
                "width {}, {} heads, sequences of {} × {}, {} steps, no warm-up, {}",
                c.width,
                c.heads,
                c.seq,
                c.batch,
                c.steps,
                text_name(c)
            )
        }),
        x: Axis::new("depth (blocks)").scale(Scale::Log2),
        y: Axis::new("largest stable learning rate").scale(Scale::Log10),
        series,
        notes,
        ..Lines::default()
    }
}

/// A quantity that two panels show by block: before training and at its end.
struct ByLayer {
    title: &'static str,
    site: &'static str,
    metric: &'static str,
    label: &'static str,
    scale: Scale,
    range: Option<(f64, f64)>,
}

const GRADIENT: ByLayer = ByLayer {
    title: "Where does the gradient go? Its norm by block, at the feed-forward output matrix",
    site: "ffn.down.weight",
    metric: "grad_norm",
    label: "gradient norm of ffn.down.weight",
    scale: Scale::Log10,
    range: None,
};
const RMS: ByLayer = ByLayer {
    title: "Does the residual stream grow? Its magnitude after each block",
    site: "stream",
    metric: "rms",
    label: "RMS of the residual stream",
    scale: Scale::Log10,
    range: None,
};
const ENTROPY: ByLayer = ByLayer {
    title: "Does attention choose? Its entropy as a share of that of equal weights",
    site: "attn",
    metric: "entropy",
    label: "attention entropy / log of visible keys",
    scale: Scale::Linear,
    range: Some((0.0, 1.02)),
};

fn by_layer(arms: &[Arm], what: &ByLayer) -> Panels {
    let panel = |title: &str, end: bool| {
        let mut y = Axis::new(what.label).scale(what.scale);
        y.range = what.range;
        let curve = |run: &Run| {
            let step = if end { run.summary.steps } else { 0 };
            run.by_layer(step, what.site, what.metric)
        };
        Lines {
            title: title.to_string(),
            x: Axis::new("block"),
            y,
            series: arms.iter().map(|arm| Series { markers: true, ..series(arm, curve) }).collect(),
            ..Lines::default()
        }
    };
    Panels {
        title: what.title.to_string(),
        subtitle: subtitle(arms.first().map(Arm::config)),
        panels: vec![panel("at initialisation", false), panel("after training", true)],
        same_y: true,
        ..Panels::default()
    }
}

fn similarity(arms: &[Arm]) -> Panels {
    let panel = |title: &str, metric: &'static str, label: &str, range: Option<(f64, f64)>| {
        let mut y = Axis::new(label);
        y.range = range;
        let curve = |run: &Run| run.by_layer(run.summary.steps, "stream", metric);
        Lines {
            title: title.to_string(),
            x: Axis::new("block"),
            y,
            series: arms.iter().map(|arm| Series { markers: true, ..series(arm, curve) }).collect(),
            ..Lines::default()
        }
    };
    Panels {
        title: "Do tokens stay different, and do blocks do something?".to_string(),
        subtitle: subtitle(arms.first().map(Arm::config)),
        panels: vec![
            panel(
                "tokens within a layer, after training (1 = all alike)",
                "token_cosine",
                "mean cosine between tokens",
                Some((-0.05, 1.05)),
            ),
            panel(
                "a token across a block, after training (0 = unchanged)",
                "angular_distance",
                "angular distance (share of a half turn)",
                None,
            ),
        ],
        ..Panels::default()
    }
}

fn cost(data: &Data) -> Panels {
    let panel = |title: &str, metric: &str, unit: f64, label: &str, digits: usize| {
        let mut series = Vec::new();
        for (checkpoint, name) in
            [(Checkpoint::None, "all kept"), (Checkpoint::Auto, "checkpoints every √depth")]
        {
            let points: Vec<(f64, f64)> = (data.cost.iter())
                .filter(|run| run.config.checkpoint == checkpoint)
                .filter_map(|run| Some((run.config.depth as f64, run.cost(metric)? / unit)))
                .collect();
            let fit = (checkpoint == Checkpoint::None).then(|| line(&points)).flatten();
            series.push(Series {
                markers: true,
                stroke: if fit.is_some() { Stroke::None } else { Stroke::Styled },
                style_key: name.to_string(),
                ..Series::new(name, points.clone())
            });
            if let Some(fit) = fit {
                let at = |x: f64| (x, fit.intercept + fit.slope * x);
                let ends = points.iter().map(|p| p.0);
                let (low, high) =
                    (ends.clone().fold(f64::INFINITY, f64::min), ends.fold(0.0, f64::max));
                let formula = format!(
                    "{:.*} + {:.*}·depth (R² {:.4})",
                    digits, fit.intercept, digits, fit.slope, fit.r2
                );
                series.push(Series {
                    stroke: Stroke::Dashed,
                    style_key: name.to_string(),
                    ..Series::new(formula, vec![at(low), at(high)])
                });
            }
        }
        Lines {
            title: title.to_string(),
            x: Axis::new("depth (blocks)"),
            y: Axis::new(label),
            series,
            ..Lines::default()
        }
    };
    let config = data.cost.first().map(|run| &run.config);
    Panels {
        title: "What does a block cost?".to_string(),
        subtitle: config.map_or_else(String::new, |c| {
            format!(
                "{}, width {}, {} heads, sequences of {} × {}, f32; forward, backward and update",
                c.wiring.id(),
                c.width,
                c.heads,
                c.seq,
                c.batch
            )
        }),
        panels: vec![
            panel("time of a training step", "fastest_step_ms", 1.0, "fastest of 12 steps (ms)", 2),
            panel(
                "memory of activations",
                "activation_bytes",
                (1 << 20) as f64,
                "activations and their gradients (MiB)",
                2,
            ),
        ],
        shared_legend: false,
        ..Panels::default()
    }
}
