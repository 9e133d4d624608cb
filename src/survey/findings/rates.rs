//! Learning rate against depth: the largest rate that learns stably, and the rates at which something breaks.

use super::largest::{Ladder, Shift, shifts};
use super::words::{distinct, range};
use crate::experiment::Run;
use crate::experiment::arm::{Arm, wirings};
use crate::record::Outcome;
use crate::stack::Wiring;

/// Tokens this alike have collapsed.
const ALIKE: f64 = 0.99;

/// What a rate does to a stack. To be slow is not to be unstable.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Bearing {
    /// It learns from context, without spikes.
    Learns,
    /// Nothing breaks, but it has not learned from context by the end.
    Slow,
    /// The loss diverges, spikes beyond its noise, or comes to rest with all tokens alike.
    Unstable,
}

/// What one run shows.
pub(crate) fn bearing(run: &Run) -> Bearing {
    match run.summary.outcome {
        Outcome::Ok => Bearing::Learns,
        Outcome::Unfinished => Bearing::Slow,
        Outcome::Stuck if run.summary.token_cosine > ALIKE => Bearing::Unstable,
        Outcome::Stuck => Bearing::Slow,
        Outcome::Spike { .. }
        | Outcome::Collapsed
        | Outcome::Diverged { .. }
        | Outcome::NonFinite { .. } => Bearing::Unstable,
    }
}

/// The worst that a seed shows.
pub(crate) fn worst(arm: &Arm) -> Bearing {
    arm.runs.iter().map(|run| bearing(run)).max().unwrap_or(Bearing::Slow)
}

/// The rates of one wiring, by depth.
#[derive(Debug, Clone)]
pub(crate) struct Row {
    pub wiring: Wiring,
    pub depths: Vec<Depth>,
}

/// What the rates do to a stack of one depth.
#[derive(Debug, Clone)]
pub(crate) struct Depth {
    pub blocks: usize,
    /// Whether each rate learns on every seed.
    pub learns: Ladder,
    /// The rates that are unstable on some seed, from the smallest.
    pub unstable: Vec<f64>,
}

impl Row {
    /// From the shallowest to the deepest stack.
    pub fn shift(&self) -> Shift {
        match (self.depths.first(), self.depths.last()) {
            (Some(first), Some(last)) if first.blocks < last.blocks => {
                Shift::between(&first.learns, &last.learns)
            }
            _ => Shift::Unknown,
        }
    }
}

/// One row for every wiring that was run.
pub(crate) fn rows(arms: &[Arm]) -> Vec<Row> {
    let mut rows = Vec::new();
    for wiring in wirings(arms) {
        let own: Vec<&Arm> = arms.iter().filter(|arm| arm.config().wiring == wiring).collect();
        let depths = distinct(own.iter().map(|arm| arm.config().depth as f64));
        let of = |depth: f64| {
            let at: Vec<&&Arm> =
                own.iter().filter(|arm| arm.config().depth as f64 == depth).collect();
            let learns = |arm: &&&Arm| (arm.config().lr, Some(worst(arm) == Bearing::Learns));
            let unstable = at.iter().filter(|arm| worst(arm) == Bearing::Unstable);
            Depth {
                blocks: depth as usize,
                learns: at.iter().map(learns).collect(),
                unstable: distinct(unstable.map(|arm| arm.config().lr)),
            }
        };
        if !own.is_empty() {
            rows.push(Row { wiring, depths: depths.into_iter().map(of).collect() });
        }
    }
    rows
}

/// How the largest rate that learns stably goes with depth.
pub(crate) fn title(arms: &[Arm]) -> String {
    let depths = distinct(arms.iter().map(|arm| arm.config().depth as f64));
    let (Some(shallow), Some(deep)) = (depths.first(), depths.last()) else {
        return "How large a learning rate can a deep stack bear?".to_string();
    };
    let steps = range(arms.iter().map(|arm| arm.config().steps as f64));
    if shallow == deep {
        return format!("How large a learning rate can {deep} blocks bear in {steps} steps?");
    }
    let found: Vec<(String, Shift)> =
        rows(arms).iter().map(|row| (row.wiring.id().to_string(), row.shift())).collect();
    format!("In {steps} steps, from depth {shallow} to {deep}, {}", shifts(&found, "learns stably"))
}
