//! Kaiming, uniform (He et al. 2015, arXiv 1502.01852, equation 10): U(±√(6/in)), for ReLU.

use super::{Draw, Matrix, Scheme};
use crate::choice::Described;

/// U(±gain·√(6/in)).
#[derive(Debug, Clone, Copy)]
pub struct KaimingUniform {
    /// Factor of the standard deviation.
    pub gain: f64,
}

impl Described for KaimingUniform {
    const ID: &'static str = "kaiming_uniform";
    const ABOUT: &'static str = "U(±√(6/in)) (He et al. 2015)";
    fn new() -> Self {
        KaimingUniform { gain: 1.0 }
    }
}

impl Scheme for KaimingUniform {
    crate::constants! { dyn Scheme; gain: NotNegative }
    fn matrix(&self, m: Matrix) -> Draw {
        Draw::uniform(self.gain * (2.0 / m.fan_in).sqrt())
    }
}
