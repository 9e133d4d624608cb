//! Checks that every operator of the registry passes, whatever it computes.

use super::all;
use super::trial::{SIZES, Trial};

#[test]
fn fast_agrees_with_reference() {
    for op in all() {
        for (i, &cols) in SIZES.iter().chain(&[257]).enumerate() {
            Trial::new(&*op, &op.example(1 + i % 3, cols)).within_budget();
        }
    }
}

#[test]
fn reference_vjp_is_the_derivative() {
    for op in all() {
        for (i, &cols) in SIZES.iter().chain(&[257]).enumerate() {
            Trial::new(&*op, &op.example(1 + i % 3, cols)).derivative_agrees();
        }
    }
}

/// Rows on which careless formulas lose everything: constant, far from 0, nearly constant, of one
/// spike, zero, tiny, and where eps decides.
#[test]
fn fast_agrees_with_reference_on_hard_rows() {
    const ROWS: [fn(f64, usize) -> f64; 8] = [
        |_, _| 2.7,
        |v, _| 1e4 + v,
        |v, _| 1e4 + 1e-2 * v,
        |v, i| if i == 5 { 1e4 } else { v },
        |_, _| 0.0,
        |v, _| 1e-3 * v,
        |v, _| 1e-6 * v,
        |v, i| if i % 2 == 0 { 30.0 * v } else { -0.0 },
    ];
    let ops = all().into_iter().filter(|op| op.args()[0].name == "x" || op.id() == "gated");
    for op in ops {
        for cols in [7, 16, 65] {
            let mut trial = Trial::new(&*op, &op.example(ROWS.len(), cols));
            let width = trial.shapes[0].cols();
            for (i, x) in trial.args[0].iter_mut().enumerate() {
                *x = f64::from(ROWS[i / width % ROWS.len()](*x, i % width) as f32);
            }
            trial.within_budget();
        }
    }
}
