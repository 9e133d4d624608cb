//! What the norms have in common.

use super::case::Case;
use super::operator::{Axis, Problem};
use crate::num::Num;

/// Rows and columns at and beside registers, blocks and grids.
pub const AXES: &[Axis] = &[
    Axis { name: "rows", sizes: &[1, 2, 3, 7, 8, 13, 33, 64, 127, 257, 65539] },
    Axis {
        name: "cols",
        sizes: &[
            1, 2, 3, 7, 31, 32, 33, 50, 127, 128, 129, 255, 256, 257, 768, 1000, 1023, 1024, 1025,
            2049, 5120, 65537,
        ],
    },
];

/// The same of norms whose rows see each other. Five tensors have a column: of 65537 they would leave
/// no room for rows. One row, which half of the cases of batch_norm must refuse, comes thrice as often as
/// other numbers.
pub const BATCH_AXES: &[Axis] = &[
    Axis { name: "rows", sizes: &[1, 1, 1, 2, 3, 7, 8, 13, 33, 64, 127, 257, 65539] },
    Axis { name: AXES[1].name, sizes: AXES[1].sizes.split_at(AXES[1].sizes.len() - 1).0 },
];

/// How large the tensors of a norm come, as a power of two: sums of squares of x, times rstd³, stay
/// numbers. With an eps of 0, squares must not vanish either.
pub fn reach(case: &Case, tensor: &str) -> Option<i32> {
    match (case.attrs.get("eps").and_then(|eps| eps.as_f64()), tensor) {
        (Some(0.0), _) => None,
        (Some(_), "x") => Some(30),
        _ => Some(60),
    }
}

/// A row whose mean is taken off and whose variance is made one.
pub struct Standard<R> {
    /// x − mean.
    pub centred: Vec<R>,
    /// Σ(x − mean)²/n.
    pub var: R,
    /// 1/√(var + eps), or 1/(√var + eps).
    pub rstd: R,
}

/// Standardises a row, as in the paper.
pub fn standardize<R: Num>(x: &[R], eps: f64, outside: bool) -> Standard<R> {
    let mean = R::mean(x);
    let centred: Vec<R> = x.iter().map(|&x| x - mean).collect();
    let var = R::sum(centred.iter().map(|&c| c.square())) / R::count(x.len());
    let eps = R::num(eps);
    let std = if outside { var.sqrt() + eps } else { (var + eps).sqrt() };
    Standard { centred, var, rstd: R::one() / std }
}

impl<R: Num> Standard<R> {
    /// x̂ = (x − mean)·rstd.
    pub fn xhat(&self) -> Vec<R> {
        self.centred.iter().map(|&c| c * self.rstd).collect()
    }

    /// x̂ where it may be formed as x·rstd − mean·rstd, which rounds where the terms are large: of a
    /// number that is its own mean too, where a fused multiply-add rounds one of the terms only.
    pub fn folded(&self, x: &[R]) -> Vec<R> {
        let terms = x.iter().zip(&self.centred);
        terms.map(|(&x, &c)| c.loosened(apart(x, c)) * self.rstd).collect()
    }

    /// dx = rstd·(w − mean(w) − x̂·mean(w·x̂)) of w = weight·dy.
    ///
    /// A right implementation may write it as a·w + b·x + c with b from Σw·x − mean·Σw. Its sums
    /// err as a mean of a general row does, so they are read with such a mean here; b times what
    /// is left of b·x − b·mean errs by the roundings of two terms only. Another, such as one made
    /// by automatic differentiation, takes the mean of rstd·w, which rounds where w does not.
    pub fn backward(&self, x: &[R], w: &[R]) -> Vec<R> {
        let n = R::count(x.len());
        let mean = R::mean(w);
        let slope = if x.len() == 1 {
            w[0] * self.centred[0] * self.rstd
        } else {
            let general = R::sum(x.iter().copied()) / n;
            let xhat = x.iter().map(|&x| (x - general).loosened(apart(x, x - general)) * self.rstd);
            R::sum(w.iter().zip(xhat).map(|(&w, xhat)| w * xhat)) / n
        };
        let rounded: Vec<R> = w.iter().map(|&w| w.loosened(w.value().abs())).collect();
        let rounded_mean = R::sum(rounded.iter().copied()) / n;
        let terms = w.iter().zip(&rounded).zip(self.folded(x));
        let dx = terms.map(|((&w, &rounded), xhat)| {
            let last = xhat * slope;
            (self.rstd * (w - mean - last)).or(self.rstd * (rounded - rounded_mean - last))
        });
        dx.collect()
    }
}

/// |x| + |mean|.
fn apart<R: Num>(x: R, centred: R) -> f64 {
    x.value().abs() + (x.value() - centred.value()).abs()
}

/// Σ over the rows of a term at each column.
pub fn columns<R: Num>(
    p: &Problem<R>,
    rows: usize,
    cols: usize,
    term: impl Fn(usize, usize) -> R,
) -> Vec<R> {
    let times: Vec<usize> = (0..rows).map(|i| p.times("rows", i)).collect();
    (0..cols).map(|j| R::sum_of((0..rows).map(|i| (term(i, j), times[i])))).collect()
}

/// The columns of a row-major matrix.
pub fn transposed<R: Copy>(data: &[R], cols: usize) -> Vec<Vec<R>> {
    (0..cols).map(|j| data.iter().skip(j).step_by(cols).copied().collect()).collect()
}
