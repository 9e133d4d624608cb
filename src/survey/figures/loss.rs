//! Training loss over steps: the first picture.

use super::words::{series, subtitle};
use crate::experiment::Run;
use crate::experiment::arm::worst;
use crate::experiment::arm::{Arm, arms};
use crate::plot::{Axis, Lines, Panels, Reference, Series};
use crate::record::ReferenceLoss;
use crate::setting::Setting;
use crate::survey::data::Data;
use crate::survey::findings::wirings;

/// Steps that a loss is averaged over, so that lines can be told apart.
const WINDOW: usize = 8;

pub(super) fn loss(data: &Data) -> Panels {
    let main = arms(&data.wirings);
    let curve = |run: &Run| {
        let points: Vec<(f64, f64)> =
            run.steps.iter().map(|row| (row.step as f64, row.loss)).collect();
        smooth(&points)
    };
    let references = main.first().map_or_else(Vec::new, |arm| {
        let summary = &arm.runs[0].summary;
        let reference = |loss: &ReferenceLoss| Reference {
            value: loss.nats,
            label: format!("{} {:.2}", loss.name, loss.nats),
        };
        summary.references.iter().map(reference).collect()
    });
    let low = references.iter().map(|r| r.value).fold(f64::INFINITY, f64::min);
    let finals = main.iter().map(|arm| arm.over_seeds(|run| run.summary.loss).1);
    let low = finals.filter(|loss| loss.is_finite()).fold(low, f64::min);
    let panel = |title: String, series: Vec<Series>| Lines {
        title,
        x: Axis::new("step"),
        y: Axis::new("training loss (nats per byte)").range(low - 0.15, 5.0),
        series,
        references: references.clone(),
        ..Lines::default()
    };
    let shown = |arm: &Arm, of: &[Arm]| Series { end: Some(worst(arm)), ..series(arm, of, curve) };
    let field: Vec<Run> = (data.map.iter())
        .filter(|run| run.config.init.id() == "xavier_normal")
        .filter(|run| run.config.norm.show() == "layer_norm")
        .cloned()
        .collect();
    let field = arms(&field);
    let named =
        |arm: &Arm| Series { label: arm.config().wiring.id().to_string(), ..shown(arm, &field) };
    let small = field.first().map_or(String::new(), |arm| {
        let c = arm.config();
        format!("by wiring, xavier_normal, width {}, lr {}", c.width, c.lr)
    });
    Panels {
        title: wirings::title(&main),
        subtitle: subtitle(&main),
        panels: vec![
            panel(
                "by wiring and init (bands: all seeds)".to_string(),
                main.iter().map(|arm| shown(arm, &main)).collect(),
            ),
            panel(small, field.iter().map(named).collect()),
        ],
        shared_legend: false,
        notes: vec![format!("Losses are running means over {WINDOW} steps.")],
        // A line of the legend is as wide as half of the picture where its arms differ in much.
        size: (1900, 1150 + 45 * main.len().saturating_sub(5) as u32),
        ..Panels::default()
    }
}

fn smooth(points: &[(f64, f64)]) -> Vec<(f64, f64)> {
    (0..points.len())
        .map(|i| {
            let part = &points[i.saturating_sub(WINDOW - 1)..=i];
            (points[i].0, part.iter().map(|p| p.1).sum::<f64>() / part.len() as f64)
        })
        .collect()
}
