//! Orthogonal (Saxe et al. 2014, arXiv 1312.6120, section 3): orthonormal rows or columns by QR.

use super::{Draw, Matrix, Scheme};
use crate::choice::Described;

/// Orthonormal rows, or columns where there are fewer.
#[derive(Debug, Clone, Copy)]
pub struct Orthogonal;

impl Described for Orthogonal {
    const ID: &'static str = "orthogonal";
    const ABOUT: &'static str = "orthonormal rows or columns by QR (Saxe et al. 2014)";
    fn new() -> Self {
        Orthogonal
    }
}

impl Scheme for Orthogonal {
    fn matrix(&self, _: Matrix) -> Draw {
        Draw::Orthogonal
    }
}
