//! Learning rate against depth: the largest rate at which nothing breaks.

use super::super::arm::Arm;
use super::super::data::Run;
use super::largest::{Ladder, Shift, shifts};
use super::words::{distinct, range};
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

/// The rates of one wiring and whether they are stable, by depth.
#[derive(Debug, Clone)]
pub(crate) struct Row {
    pub wiring: Wiring,
    pub ladders: Vec<(usize, Ladder)>,
}

impl Row {
    /// From the shallowest to the deepest stack.
    pub fn shift(&self) -> Shift {
        match (self.ladders.first(), self.ladders.last()) {
            (Some(first), Some(last)) if first.0 < last.0 => Shift::between(&first.1, &last.1),
            _ => Shift::Unknown,
        }
    }
}

/// One row for every wiring that was run.
pub(crate) fn rows(arms: &[Arm]) -> Vec<Row> {
    let mut rows = Vec::new();
    for &wiring in Wiring::ALL {
        let own: Vec<&Arm> = arms.iter().filter(|arm| arm.config().wiring == wiring).collect();
        let depths = distinct(own.iter().map(|arm| arm.config().depth as f64));
        let ladder = |depth: f64| {
            let at = own.iter().filter(|arm| arm.config().depth as f64 == depth);
            let stable = |arm: &&Arm| (arm.config().lr, Some(worst(arm) != Bearing::Unstable));
            (depth as usize, at.map(stable).collect())
        };
        if !own.is_empty() {
            rows.push(Row { wiring, ladders: depths.into_iter().map(ladder).collect() });
        }
    }
    rows
}

/// How the largest stable rate goes with depth.
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
    format!("In {steps} steps, from depth {shallow} to {deep}, {}", shifts(&found, "stable rate"))
}
