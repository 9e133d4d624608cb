//! Every block starts as the identity: Xavier, and 0 on the last matrix of every branch (the first rule
//! of Zhang, Dauphin & Ma 2019, arXiv 1901.09321, by itself; Goyal et al. 2017, arXiv 1706.02677,
//! section 5.1, have it for the last gain of a branch).

use super::{Draw, Matrix, Scheme};
use crate::choice::Described;
use crate::program::Role;

/// Xavier, and 0 on out and down.
#[derive(Debug, Clone, Copy)]
pub struct ResidualZero;

impl Described for ResidualZero {
    const ID: &'static str = "residual_zero";
    const ABOUT: &'static str = "xavier, out and down 0 (Goyal et al. 2017, Zhang et al. 2019)";
    fn new() -> Self {
        ResidualZero
    }
}

impl Scheme for ResidualZero {
    fn matrix(&self, m: Matrix) -> Draw {
        let ends_branch = matches!(m.role, Role::Out | Role::Down);
        Draw::Normal { std: if ends_branch { 0.0 } else { m.xavier() } }
    }
}
