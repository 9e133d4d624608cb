//! Learning rate against depth: stable, slow and unstable rates, apart.

use super::tables::Table;
use super::words::subtitle;
use crate::experiment::arm::wirings;
use crate::experiment::arm::{Arm, arms};
use crate::plot::{Axis, Ground, Maps};
use crate::setting::Setting;
use crate::survey::data::Data;
use crate::survey::findings::rates::{self, Bearing, worst};

pub(super) fn rates(data: &Data) -> Maps {
    let mut arms = arms(&data.rates);
    // The largest rate stands on top, the shallowest stack on the left.
    arms.sort_by(|a, b| {
        let (a, b) = (a.config(), b.config());
        b.lr.total_cmp(&a.lr).then(a.depth.cmp(&b.depth))
    });
    let ground = |arm: &Arm| {
        Some(match worst(arm) {
            Bearing::Learns => Ground::Coloured,
            Bearing::Slow => Ground::Pale,
            Bearing::Unstable => Ground::Hatched,
        })
    };
    let maps = wirings(&arms).into_iter().filter_map(|wiring| {
        let own: Vec<&Arm> = arms.iter().filter(|arm| arm.config().wiring == wiring).collect();
        let table = Table {
            title: wiring.show(),
            rows: ("lr", &|arm| arm.config().lr.to_string()),
            columns: ("blocks", &|arm| arm.config().depth.to_string()),
            ground: &ground,
        };
        (!own.is_empty()).then(|| table.map(&own, &arms))
    });
    Maps {
        title: rates::title(&arms),
        subtitle: subtitle(&arms),
        maps: maps.collect(),
        value: Axis::new("held-out loss (nats per byte)"),
        hatched: "are unstable".to_string(),
        pale: "are slow".to_string(),
        notes: vec![
            "Unstable: on some seed the loss diverges, spikes beyond its noise, or comes to rest with all tokens alike. Slow: nothing breaks, but the run ends before it learns from context.".to_string(),
        ],
        size: (2000, 1000),
    }
}
