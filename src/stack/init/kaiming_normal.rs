//! Kaiming, normal (He et al. 2015, arXiv 1502.01852, equation 10): N(0, 2/in), for ReLU.

use super::{Draw, Matrix, Scheme};
use crate::choice::Described;

/// N(0, gain²·2/in).
#[derive(Debug, Clone, Copy)]
pub struct KaimingNormal {
    /// Factor of the standard deviation.
    pub gain: f64,
}

impl Described for KaimingNormal {
    const ID: &'static str = "kaiming_normal";
    const ABOUT: &'static str = "N(0, 2/in) (He et al. 2015)";
    fn new() -> Self {
        KaimingNormal { gain: 1.0 }
    }
}

impl Scheme for KaimingNormal {
    crate::constants! { dyn Scheme; gain: NotNegative }
    fn matrix(&self, m: Matrix) -> Draw {
        Draw::Normal { std: self.gain * (2.0 / m.fan_in).sqrt() }
    }
}
