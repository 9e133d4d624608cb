//! Sub-LN (Wang et al. 2022, Magneto, arXiv 2210.06423): Xavier, and √ln(2·depth) times that on
//! value, out and the feed-forward, for a stack of decoder blocks.

use super::{Draw, Matrix, Scheme};
use crate::choice::Described;
use crate::program::Role;

/// Xavier, wider on value, out, up, gate and down.
#[derive(Debug, Clone, Copy)]
pub struct SubLn;

impl Described for SubLn {
    const ID: &'static str = "sub_ln";
    const ABOUT: &'static str =
        "xavier, √ln(2·depth) on value, out, feed-forward (Wang et al. 2022)";
    fn new() -> Self {
        SubLn
    }
}

impl Scheme for SubLn {
    fn matrix(&self, m: Matrix) -> Draw {
        let std = match m.role {
            Role::Value | Role::Out | Role::Up | Role::Gate | Role::Down => {
                m.xavier() * (2.0 * m.depth).ln().sqrt()
            }
            _ => m.xavier(),
        };
        Draw::Normal { std }
    }
}
