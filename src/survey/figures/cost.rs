//! Time and memory against depth.

use crate::config::Checkpoint;
use crate::plot::{Axis, Lines, Panels, Series, Stroke};
use crate::survey::data::Data;
use crate::survey::laws::line;

pub(super) fn cost(data: &Data) -> Panels {
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
