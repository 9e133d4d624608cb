//! How the kernels of forms that take a row by itself are launched (`forms.cuh`).

use crate::op::Shape;
use crate::op::device::{Chip, Launch, Param};
use crate::op::norm::launch::{Names, Rows, count};

/// A form of rows: its kernels and its constants.
#[derive(Debug, Clone, Copy)]
pub(super) struct RowForm {
    pub forward: Names,
    pub vjp: Names,
    /// What every row is multiplied by, beside its gain.
    pub gamma: f64,
    pub eps: f64,
    /// Which of two forms it is.
    pub choice: bool,
    /// What the squares of a row are divided by, where they are.
    pub divisor: usize,
}

impl RowForm {
    pub(super) fn forward(&self, weight: Shape, chip: &Chip) -> Vec<Launch> {
        use Param::*;
        let rows = Rows::of(weight, chip);
        let numbers = [self.gamma, self.eps].map(|number| F32(number as f32));
        let own = [U32(self.choice.into()), count(self.divisor)];
        let tensors = [Arg(0), Arg(1), Out(0), Saved(0)];
        let params = [&tensors[..], &rows.sizes(), &numbers, &own].concat();
        vec![rows.each(self.forward, &params)]
    }

    pub(super) fn vjp(&self, weight: Shape, chip: &Chip) -> Vec<Launch> {
        use Param::*;
        let rows = Rows::of(weight, chip);
        let tensors = [Arg(0), Arg(1), Dy, Saved(0), Grad(0), Grad(1)];
        let params = [&tensors[..], &rows.sizes(), &[F32(self.gamma as f32)]].concat();
        vec![rows.each(self.vjp, &params)]
    }
}
