//! LeCun, normal (LeCun et al. 1998, Efficient BackProp, equation 16): N(0, 1/in).

use super::{Draw, Matrix, Scheme};
use crate::choice::Described;

/// N(0, gain²/in).
#[derive(Debug, Clone, Copy)]
pub struct LecunNormal {
    /// Factor of the standard deviation.
    pub gain: f64,
}

impl Described for LecunNormal {
    const ID: &'static str = "lecun_normal";
    const ABOUT: &'static str = "N(0, 1/in) (LeCun et al. 1998)";
    fn new() -> Self {
        LecunNormal { gain: 1.0 }
    }
}

impl Scheme for LecunNormal {
    crate::constants! { dyn Scheme; gain: NotNegative }
    fn matrix(&self, m: Matrix) -> Draw {
        Draw::Normal { std: self.gain * (1.0 / m.fan_in).sqrt() }
    }
}
