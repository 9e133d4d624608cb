//! What PyTorch gives a linear layer that nobody initialises: `kaiming_uniform_` with a = √5, which is
//! U(±1/√in), a third of the variance of LeCun's and a sixth of Kaiming's for ReLU.
//!
//! Biases, where there are any, start at 0 as everywhere here, and not from the same distribution.

use super::{Draw, Matrix, Scheme};
use crate::choice::Described;

/// U(±1/√in).
#[derive(Debug, Clone, Copy)]
pub struct TorchDefault;

impl Described for TorchDefault {
    const ID: &'static str = "torch_default";
    const ABOUT: &'static str = "U(±1/√in), what torch.nn.Linear starts at";
    fn new() -> Self {
        TorchDefault
    }
}

impl Scheme for TorchDefault {
    fn matrix(&self, m: Matrix) -> Draw {
        Draw::Uniform { bound: (1.0 / m.fan_in).sqrt() }
    }
}
