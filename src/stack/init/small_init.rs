//! Small initialisation (Nguyen & Salazar 2019, arXiv 1910.05895, section 3.2): N(0, 2/(5·width)), what
//! Xavier is for a feed-forward of four times the width, on every matrix.

use super::{Draw, Matrix, Scheme};
use crate::choice::Described;

/// N(0, gain²·2/(5·width)).
#[derive(Debug, Clone, Copy)]
pub struct SmallInit {
    /// Factor of the standard deviation.
    pub gain: f64,
}

impl Described for SmallInit {
    const ID: &'static str = "small_init";
    const ABOUT: &'static str = "N(0, 2/(5·width)) (Nguyen & Salazar 2019)";
    fn new() -> Self {
        SmallInit { gain: 1.0 }
    }
}

impl Scheme for SmallInit {
    crate::constants! { dyn Scheme; gain: NotNegative }
    fn matrix(&self, m: Matrix) -> Draw {
        Draw::Normal { std: self.gain * (2.0 / (5.0 * m.width())).sqrt() }
    }
}
