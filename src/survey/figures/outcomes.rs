//! The outcome of wirings under inits and norms.

use super::tables::{Table, by_count};
use super::words::subtitle;
use crate::experiment::arm::{Arm, arms};
use crate::plot::{Axis, Maps};
use crate::setting::Setting;
use crate::survey::data::Data;
use crate::survey::findings::map;

pub(super) fn outcomes(data: &Data) -> Maps {
    let arms = arms(&data.map);
    let (inits, norms) = (inits(&arms), norms(&arms));
    let table = |title: &str, label: &str, arms: &[Arm], column: &dyn Fn(&Arm) -> String| {
        let table = Table {
            title: title.to_string(),
            rows: ("wiring", &|arm| arm.config().wiring.show()),
            columns: (label, column),
            ground: &by_count,
        };
        table.map(&arms.iter().collect::<Vec<_>>(), arms)
    };
    Maps {
        title: map::title(&inits, "init"),
        subtitle: subtitle(&arms),
        maps: vec![
            table("wiring × init (layer_norm)", "init", &inits, &init),
            table("wiring × norm (xavier_normal)", "norm", &norms, &norm),
        ],
        value: Axis::new("held-out loss (nats per byte)"),
        size: (2000, 1100),
        ..Maps::default()
    }
}

/// The arms of the table of inits.
pub(in crate::survey) fn inits<'a>(arms: &[Arm<'a>]) -> Vec<Arm<'a>> {
    arms.iter().filter(|arm| norm(arm) == "layer_norm").cloned().collect()
}

/// The arms of the table of norms: those that have a norm.
pub(in crate::survey) fn norms<'a>(arms: &[Arm<'a>]) -> Vec<Arm<'a>> {
    let normed = |arm: &&Arm| arm.config().wiring.has_norm();
    arms.iter().filter(|arm| init(arm) == "xavier_normal").filter(normed).cloned().collect()
}

pub(in crate::survey) fn init(arm: &Arm) -> String {
    arm.config().init.id().to_string()
}

pub(in crate::survey) fn norm(arm: &Arm) -> String {
    arm.config().norm.show()
}
