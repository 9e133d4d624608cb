//! The learned matrix itself.

use super::Form;
use crate::choice::Described;
use crate::op::SharedOp;

/// W: nothing between.
#[derive(Debug, Clone, Copy)]
pub struct Plain;

impl Described for Plain {
    const ID: &'static str = "plain";
    const ABOUT: &'static str = "W: the learned matrix itself";
    fn new() -> Self {
        Plain
    }
}

impl Form for Plain {
    fn operators(&self) -> Vec<SharedOp> {
        Vec::new()
    }
}
