//! Depth-scaled initialisation (Zhang, Titov & Sennrich 2019, arXiv 1908.11365, section 4): Xavier's
//! uniform distribution, and alpha/√l times that in block l, so that later branches add less.
//!
//! The authors' code scales the variance by 1/√l where the paper scales the bound: l^(−¼) there,
//! l^(−½) in the paper and here.

use super::{Draw, Matrix, Scheme};
use crate::choice::Described;

/// U(±alpha/√l·√(6/(in + out))), l the block counted from 1.
#[derive(Debug, Clone, Copy)]
pub struct DsInit {
    /// Factor of the bound inside the blocks.
    pub alpha: f64,
}

impl Described for DsInit {
    const ID: &'static str = "ds_init";
    const ABOUT: &'static str = "xavier_uniform over √l in block l (Zhang et al. 2019)";
    fn new() -> Self {
        DsInit { alpha: 1.0 }
    }
}

impl Scheme for DsInit {
    crate::constants! { dyn Scheme; alpha: NotNegative }
    fn matrix(&self, m: Matrix) -> Draw {
        let scale = if m.in_block() { self.alpha / m.layer.sqrt() } else { 1.0 };
        Draw::uniform(scale * m.xavier())
    }
}
