//! What happens inside: gradients, the stream and attention, block by block.

use super::words::{series, subtitle};
use crate::experiment::Run;
use crate::experiment::arm::Arm;
use crate::plot::{Axis, Lines, Panels, Scale, Series};

/// A quantity that two panels show by block: before training and at its end.
pub(super) struct ByLayer {
    title: &'static str,
    site: &'static str,
    metric: &'static str,
    label: &'static str,
    scale: Scale,
    range: Option<(f64, f64)>,
}

pub(super) const GRADIENT: ByLayer = ByLayer {
    title: "Where does the gradient go? Its norm by block, at the feed-forward output matrix",
    site: "ffn.down.weight",
    metric: "grad_norm",
    label: "gradient norm of ffn.down.weight",
    scale: Scale::Log10,
    range: None,
};
pub(super) const RMS: ByLayer = ByLayer {
    title: "Does the residual stream grow? Its magnitude after each block",
    site: "stream",
    metric: "rms",
    label: "RMS of the residual stream",
    scale: Scale::Log10,
    range: None,
};
pub(super) const ENTROPY: ByLayer = ByLayer {
    title: "Does attention choose? Its entropy as a share of that of equal weights",
    site: "attn",
    metric: "entropy",
    label: "attention entropy / log of visible keys",
    scale: Scale::Linear,
    range: Some((0.0, 1.02)),
};

pub(super) fn by_layer(arms: &[Arm], what: &ByLayer) -> Panels {
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
            series: arms
                .iter()
                .map(|arm| Series { markers: true, ..series(arm, arms, curve) })
                .collect(),
            ..Lines::default()
        }
    };
    Panels {
        title: what.title.to_string(),
        subtitle: subtitle(arms),
        panels: vec![panel("at initialisation", false), panel("after training", true)],
        same_y: true,
        ..Panels::default()
    }
}

pub(super) fn similarity(arms: &[Arm]) -> Panels {
    let panel = |title: &str, metric: &'static str, label: &str, range: Option<(f64, f64)>| {
        let mut y = Axis::new(label);
        y.range = range;
        let curve = |run: &Run| run.by_layer(run.summary.steps, "stream", metric);
        Lines {
            title: title.to_string(),
            x: Axis::new("block"),
            y,
            series: arms
                .iter()
                .map(|arm| Series { markers: true, ..series(arm, arms, curve) })
                .collect(),
            ..Lines::default()
        }
    };
    Panels {
        title: "Do tokens stay different, and do blocks do something?".to_string(),
        subtitle: subtitle(arms),
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
