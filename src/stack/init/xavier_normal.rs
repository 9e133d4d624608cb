//! Xavier, normal (Glorot & Bengio 2010, equation 12): N(0, 2/(in + out)).

use super::{Draw, Matrix, Scheme};
use crate::choice::Described;

/// N(0, gain²·2/(in + out)).
#[derive(Debug, Clone, Copy)]
pub struct XavierNormal {
    /// Factor of the standard deviation.
    pub gain: f64,
}

impl Described for XavierNormal {
    const ID: &'static str = "xavier_normal";
    const ABOUT: &'static str = "N(0, 2/(in+out)) (Glorot & Bengio 2010)";
    fn new() -> Self {
        XavierNormal { gain: 1.0 }
    }
}

impl Scheme for XavierNormal {
    crate::constants! { dyn Scheme; gain: NotNegative }
    fn matrix(&self, m: Matrix) -> Draw {
        Draw::Normal { std: self.gain * m.xavier() }
    }
}
