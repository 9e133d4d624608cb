//! The forms of weights: what stands between a learned matrix and its product, one file each and one
//! line in the list below.
//!
//! A form is an operator on a matrix `[out, in]`; its other arguments are tensors of its own. The
//! inits draw the matrix that is learned, and know nothing of the form.
//!
//! A pass of a stack forms every weight once, forward and back: for one token in a pass that costs as
//! much as the product, for the thousands of a training step next to nothing; and it holds the formed
//! matrix and its gradient beside the learned one. Shards and micro-batches are passes of their own.

use std::fmt::Debug;
use std::sync::Arc;

use super::{Shape, SharedOp};
use crate::choice::{Choice, Constant};
use crate::setting::Invalid;

/// A form and its constants, as a stack is given it: `weight_norm(eps=0)`.
pub type WeightForm = Choice<dyn Form>;

/// What stands between a learned matrix and its product.
pub trait Form: Debug + Send + Sync {
    /// Its constants; see [`crate::constants`].
    fn consts(&self) -> Vec<Constant> {
        Vec::new()
    }
    /// The same with one constant changed.
    ///
    /// # Errors
    /// Where it has no such constant, or the constant does not take the value.
    fn with(&self, name: &str, _value: &str) -> Result<Arc<dyn Form>, Invalid> {
        Err(Invalid::new("constant", name, "none"))
    }
    /// The operators that make the matrix, one after the other. Each reads the learned matrix, then
    /// all that the one before it gave, then tensors of its own.
    fn operators(&self) -> Vec<SharedOp>;
}

mod launch;
pub mod power_iteration;

crate::list! { dyn Form;
    plain::Plain,
    standardised::Standardised,
    scaled_standardised::ScaledStandardised,
    weight_norm::WeightNorm,
    sigma_reparam::SigmaReparam,
}

/// The shapes of an example: a matrix of `rows` × `cols`, and tensors of these lengths.
fn example(own: &[usize], rows: usize, cols: usize) -> Vec<Shape> {
    let mut shapes = vec![Shape::new(&[rows, cols])];
    shapes.extend(own.iter().map(|&len| Shape::new(&[len])));
    shapes
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::bodies::{Case, Path, Rows};
    use crate::op::Op;

    /// What a form makes of a matrix of 5 × 7, and its gain.
    fn formed(op: &dyn Op) -> Vec<(Vec<Vec<f64>>, Vec<f64>)> {
        let case = Case::draw(op, Rows::Normal, 5, 7, 1);
        let rows = |y: &[f64]| y.chunks(7).map(<[f64]>::to_vec).collect();
        let gain = case.values.last().expect("a gain").clone();
        Path::ALL.map(|path| (rows(&path.run(op, &case).outs[0]), gain.clone())).to_vec()
    }

    fn near(got: f64, want: f64) {
        assert!((got - want).abs() < 1e-5 * (1.0 + want.abs()), "{got} is not {want}");
    }

    #[test]
    fn rows_have_the_mean_and_the_length_that_the_forms_say() {
        let standardised = Standardised { eps: 0.0, ..crate::choice::Described::new() };
        let scaled = ScaledStandardised { gamma: 1.5, ..crate::choice::Described::new() };
        let normed: WeightNorm = crate::choice::Described::new();
        let forms: [(&dyn Op, f64, bool); 3] =
            [(&standardised, 7f64.sqrt(), true), (&scaled, 1.5, true), (&normed, 1.0, false)];
        for (op, length, centred) in forms {
            for (rows, gain) in formed(op) {
                for (row, gain) in rows.iter().zip(gain) {
                    near(row.iter().map(|y| y * y).sum::<f64>().sqrt(), length * gain.abs());
                    if centred {
                        near(row.iter().sum(), 0.0);
                    }
                }
            }
        }
    }

    /// One column over a diagonal matrix: σ is the entry that u and v point at.
    #[test]
    fn sigma_reparam_divides_by_what_the_vectors_point_at() {
        let mut case = Case::of(&SigmaReparam, &SigmaReparam.example(2, 2), Rows::Normal, 1);
        case.values = vec![vec![4.0, 0.0, 0.0, -1.0], vec![1.0, 0.0], vec![1.0, 0.0], vec![3.0]];
        case.dy = vec![1.0, 0.0, 0.0, 2.0];
        for results in Path::ALL.map(|path| path.run(&SigmaReparam, &case)) {
            assert_eq!(results.outs[0], [3.0, 0.0, 0.0, -0.75]);
            // ⟨dy, W⟩ = 2, of which half a unit is taken off where σ is.
            assert_eq!(results.grads[0], [0.375, 0.0, 0.0, 1.5]);
            assert_eq!(results.grads[3], [0.5]);
        }
    }
}
