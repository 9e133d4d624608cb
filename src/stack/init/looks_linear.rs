//! Looks-linear (Balduzzi et al. 2017, arXiv 1702.08591, section 4.2): the second half of up's rows is
//! minus the first, and so are down's columns, so that the feed-forward is a linear map at first.
//!
//! down·f(up·x) = D·(f(Ux) − f(−Ux)) = DU·x wherever f(z) − f(−z) = z: ReLU, GELU and SiLU alike. U is
//! N(0, 1/in) and D, which has half as many different columns, N(0, 2/in), so that DU keeps the mean
//! square; an odd row or column in the middle is 0. All else is N(0, 1/in). A gated feed-forward is not
//! linear, however it is drawn.

use super::{Draw, Matrix, Scheme};
use crate::choice::Described;
use crate::program::Role;

/// N(0, 1/in), up and down in two halves that cancel what bends.
#[derive(Debug, Clone, Copy)]
pub struct LooksLinear;

impl Described for LooksLinear {
    const ID: &'static str = "looks_linear";
    const ABOUT: &'static str =
        "up = [U; −U], down = [D, −D]: linear at first (Balduzzi et al. 2017)";
    fn new() -> Self {
        LooksLinear
    }
}

impl Scheme for LooksLinear {
    fn matrix(&self, m: Matrix) -> Draw {
        let std = (1.0 / m.fan_in).sqrt();
        match m.role {
            Role::Up => Draw::MirroredRows { std },
            Role::Down => Draw::MirroredCols { std: (2.0 / m.fan_in).sqrt() },
            _ => Draw::Normal { std },
        }
    }
}
