//! What trains, by learning rate and warm-up: the picture of the question that decides.

use super::tables::{Table, by_count};
use super::words::subtitle;
use crate::experiment::arm::{Arm, arms, share};
use crate::plot::{Axis, Maps};
use crate::survey::data::Data;
use crate::survey::findings::{warmups, words::distinct, words::names};

pub(super) fn warmups(data: &Data) -> Maps {
    let mut arms = arms(&data.warmups);
    arms.sort_by_key(|arm| arm.config().warmup);
    // The rows keep the order of the sweep's wirings, the columns that of the warm-ups.
    let order = names(&arms);
    let name = |arm: &Arm| {
        let own = |other: &&Arm| other.config() == arm.config();
        let found = order.iter().find(|(_, group)| group.iter().any(&own));
        found.map_or_else(String::new, |(name, _)| name.clone())
    };
    let maps = distinct(arms.iter().map(|arm| arm.config().lr)).into_iter().map(|lr| {
        let own: Vec<&Arm> = arms.iter().filter(|arm| arm.config().lr == lr).collect();
        let table = Table {
            title: format!("lr {lr}"),
            rows: ("wiring", &name),
            columns: ("warm-up, share of the run", &|arm| share(arm.config())),
            ground: &by_count,
        };
        table.map(&own, &arms)
    });
    Maps {
        title: warmups::title(&arms),
        subtitle: subtitle(&arms),
        maps: maps.collect(),
        value: Axis::new("mean held-out loss (nats per byte)"),
        notes: std::iter::once(
            "Below the loss, the number of seeds that learned from context.".to_string(),
        )
        .chain(warmups::sentence(&arms))
        .collect(),
        size: (2000, 1000),
        ..Maps::default()
    }
}
