//! Fixup (Zhang, Dauphin & Ma 2019, arXiv 1901.09321): Xavier, the last matrix of every branch and the
//! head 0, and the others in a branch of m matrices L^(−1/(2m − 2)) times as wide, L = 2·depth branches.
//!
//! A feed-forward has m = 2 and attention m = 4, as the authors of DS-Init have it for a Transformer:
//! L^(−½) on up and gate, L^(−1/6) on query, key and value. It is for stacks without norms; the scalar
//! biases and factors that Fixup learns besides are no matter of how matrices start.

use super::{Draw, Matrix, Scheme};
use crate::choice::Described;
use crate::program::Role;

/// Xavier scaled by the number of branches, and 0 at the end of each.
#[derive(Debug, Clone, Copy)]
pub struct Fixup;

impl Described for Fixup {
    const ID: &'static str = "fixup";
    const ABOUT: &'static str = "xavier·(2·depth)^(−1/(2m−2)) in a branch of m, its last and the head 0 (Zhang et al. 2019)";
    fn new() -> Self {
        Fixup
    }
}

impl Scheme for Fixup {
    fn matrix(&self, m: Matrix) -> Draw {
        let branches = 2.0 * m.depth;
        let std = match m.role {
            Role::Out | Role::Down | Role::Head => 0.0,
            Role::Query | Role::Key | Role::Value => m.xavier() * branches.powf(-1.0 / 6.0),
            Role::Up | Role::Gate => m.xavier() * branches.powf(-1.0 / 2.0),
            _ => m.xavier(),
        };
        Draw::Normal { std }
    }
}
