//! Xavier, uniform (Glorot & Bengio 2010, equation 16): U(±√(6/(in + out))).

use super::{Draw, Matrix, Scheme};
use crate::choice::Described;

/// U(±gain·√(6/(in + out))).
#[derive(Debug, Clone, Copy)]
pub struct XavierUniform {
    /// Factor of the standard deviation.
    pub gain: f64,
}

impl Described for XavierUniform {
    const ID: &'static str = "xavier_uniform";
    const ABOUT: &'static str = "U(±√(6/(in+out))) (Glorot & Bengio 2010)";
    fn new() -> Self {
        XavierUniform { gain: 1.0 }
    }
}

impl Scheme for XavierUniform {
    crate::constants! { dyn Scheme; gain: NotNegative }
    fn matrix(&self, m: Matrix) -> Draw {
        Draw::uniform(self.gain * m.xavier())
    }
}
