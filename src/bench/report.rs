//! Everything that was measured, and its picture.

use super::{Limit, PARTS, Share, StepTime};
use crate::plot::{Bar, BarTable, Bars};

/// The numbers of one benchmark.
#[derive(Debug, Clone)]
pub struct Report {
    /// Threads that "all" stands for.
    pub threads: usize,
    /// Whether it was measured for seconds only.
    pub quick: bool,
    /// What it was measured on, where that was not the CPU.
    pub device: Option<String>,
    /// Copy bandwidth, by size of the arrays.
    pub copies: Vec<Limit>,
    /// Peaks of matrix products.
    pub products: Vec<Limit>,
    /// Operators against the copy.
    pub shares: Vec<Share>,
    /// Norms that have no kernels, and were left out on a device that runs these.
    pub left_out: Vec<&'static str>,
    /// Training steps against their products.
    pub steps: Vec<StepTime>,
}

impl Report {
    /// What the picture shows of the steps, in a sentence.
    fn finding(&self) -> String {
        let ratios = || self.steps.iter().map(|step| step.one / step.floor);
        let (least, most) = (ratios().fold(f64::INFINITY, f64::min), ratios().fold(0.0, f64::max));
        match self.steps.len() {
            0 => "No training step was measured".to_string(),
            1 => format!("A training step takes {most:.1} times its matrix products"),
            _ => format!("A training step takes {least:.1} to {most:.1} times its matrix products"),
        }
    }

    /// The picture: steps split by operator, in units of their matrix products, and operators in
    /// units of the copy.
    pub fn picture(&self) -> Bars {
        let steps = self.steps.iter().map(|step| Bar {
            label: format!("{}  {}×{}", step.size.name, step.size.width, step.size.depth),
            parts: step.parts.iter().map(|part| part / step.floor).collect(),
            note: format!("{:.2}  ({} ms)", step.one / step.floor, short(1e3 * step.one)),
        });
        let shape = self.shares.last().map_or((0, 0), |share| share.shape);
        let shape = if self.shares.iter().any(|share| share.shape == (4096, 256)) {
            (4096, 256)
        } else {
            shape
        };
        let operators = self.shares.iter().filter(|share| share.shape == shape).map(|share| Bar {
            label: share.name.to_string(),
            parts: vec![share.forward, share.both],
            note: format!("{:.0}, {:.0} %", 100.0 * share.forward, 100.0 * share.both),
        });
        let limit = |limits: &[Limit]| limits.first().map_or(0.0, |limit| limit.one / 1e9);
        let memory = self.copies.last().map_or(0.0, |limit| limit.one / 1e9);
        let (where_, cache) = match &self.device {
            None => ("One thread", "L2"),
            Some(name) => (&**name, "memory"),
        };
        let quick = if self.quick { " Measured for seconds only (--quick)." } else { "" };
        Bars {
            title: self.finding(),
            subtitle: format!(
                "{where_}, f32. This machine multiplies {:.0} Gflop/s and copies {:.0} GB/s from \
                 {cache}, {memory:.0} GB/s from the farthest arrays measured.{quick}",
                limit(&self.products),
                limit(&self.copies),
            ),
            tables: vec![
                BarTable {
                    title: "Time of a step over that of its products".to_string(),
                    parts: PARTS.map(str::to_string).to_vec(),
                    bars: steps.collect(),
                    reference: Some((1.0, "products alone".to_string())),
                    beside: false,
                },
                BarTable {
                    title: format!("Speed over that of a copy, {} × {}", shape.0, shape.1),
                    parts: vec!["forward".to_string(), "forward and vjp".to_string()],
                    bars: operators.collect(),
                    reference: Some((1.0, "a copy of the same bytes".to_string())),
                    beside: true,
                },
            ],
            notes: vec![
                "Sizes by width × depth. Products: every product of the step by itself, factors in \
                 the cache; shorter bars are nearer. Copy: longer bars are nearer."
                    .to_string(),
            ],
            size: (1900, 1100),
        }
    }
}

/// Three digits or all before the point.
fn short(number: f64) -> String {
    if number < 10.0 { format!("{number:.1}") } else { format!("{number:.0}") }
}
