//! From a scheme to numbers: the weights of a program, drawn one by one.

use std::collections::HashMap;
use std::ops::Range;

use faer::Mat;
use rayon::prelude::*;

use super::{Init, Matrix};
use crate::op::Shape;
use crate::program::{Program, Role, Start, Value};
use crate::rng::Rng;

/// How the elements of one weight are drawn.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Draw {
    /// N(0, std²).
    Normal {
        /// Standard deviation.
        std: f64,
    },
    /// N(0, std²), drawn again where it is beyond so many deviations, which narrows it.
    Truncated {
        /// Standard deviation before anything is cut off.
        std: f64,
        /// Deviations from 0 on either side that are kept.
        at: f64,
    },
    /// N(0, std²) in the upper half of the rows, and minus that in the lower.
    MirroredRows {
        /// Standard deviation.
        std: f64,
    },
    /// N(0, std²) in the left half of the columns, and minus that in the right.
    MirroredCols {
        /// Standard deviation.
        std: f64,
    },
    /// U(±bound).
    Uniform {
        /// Half the width of the interval.
        bound: f64,
    },
    /// Orthonormal rows (or columns, where there are fewer).
    Orthogonal,
}

impl Draw {
    /// The uniform distribution of a standard deviation: its bound is √3 times that.
    pub fn uniform(std: f64) -> Draw {
        Draw::Uniform { bound: 3f64.sqrt() * std }
    }
}

impl Init {
    /// How a weight of `shape` `[out, in]` is drawn in block `layer`, counted from 1, of a stack of
    /// `depth`; `embed_std` overrides the deviation of embedding and positions.
    pub fn draw(
        &self,
        role: Role,
        shape: Shape,
        (layer, depth): (usize, usize),
        embed_std: Option<f64>,
    ) -> Draw {
        let (fan_in, fan_out) = (shape.cols() as f64, shape.rows() as f64);
        let (layer, depth) = (layer as f64, depth as f64);
        if matches!(role, Role::Embed | Role::Positions) {
            let std = embed_std.unwrap_or_else(|| self.embedding_std(fan_in, depth));
            return Draw::Normal { std };
        }
        self.matrix(Matrix { role, fan_in, fan_out, layer, depth })
    }

    /// The weights of `program`, in the order of [`Program::weights`], for one seed.
    ///
    /// A weight depends on the seed and its own name only.
    pub fn weights(
        &self,
        program: &Program,
        depth: usize,
        embed_std: Option<f64>,
        seed: u64,
    ) -> Vec<f64> {
        let rng = Rng::new(seed).named("weights");
        let mut weights = vec![0.0; program.parameters()];
        let mut rest = &mut weights[..];
        let mut parts = Vec::new();
        for (_, value) in program.weights() {
            let (part, others) = rest.split_at_mut(value.shape.len());
            parts.push((value, part));
            rest = others;
        }
        parts.into_par_iter().for_each(|(value, part)| match start(value) {
            // Of what is drawn here: below.
            Start::RowLengths(_) => {}
            Start::Value(constant) => part.fill(constant),
            Start::OneHot(column) => {
                part.fill(0.0);
                let cols = value.shape.cols();
                for (row, weights) in part.chunks_exact_mut(cols).enumerate() {
                    weights[(row + column) % cols] = 1.0;
                }
            }
            Start::Drawn(role) => {
                let place = (value.layer.unwrap_or(0), depth);
                let draw = self.draw(role, value.shape, place, embed_std);
                draw.fill(value.shape, rng.named(&value.name), part);
            }
        });
        fill_row_lengths(program, &mut weights);
        weights
    }
}

/// Fills what starts at the lengths of the rows of another weight, which has been drawn.
fn fill_row_lengths(program: &Program, weights: &mut [f64]) {
    let (mut places, mut at) = (HashMap::new(), 0);
    for (id, value) in program.weights() {
        let place = at..at + value.shape.len();
        at = place.end;
        if let Start::RowLengths(of) = start(value) {
            let matrix: &Range<usize> = &places[&of];
            let rows = weights[matrix.clone()].chunks_exact(program.shape(of).cols());
            let lengths: Vec<f64> =
                rows.map(|row| row.iter().map(|w| w * w).sum::<f64>().sqrt()).collect();
            weights[place.clone()].copy_from_slice(&lengths);
        }
        places.insert(id, place);
    }
}

/// The states of `program`, in the order of [`Program::states`].
pub fn states(program: &Program) -> Vec<f64> {
    let mut states = Vec::new();
    for (_, value) in program.states() {
        if let Start::Value(constant) = start(value) {
            states.extend(std::iter::repeat_n(constant, value.shape.len()));
        }
    }
    states
}

fn start(value: &Value) -> Start {
    match value.source {
        crate::program::Source::Weight(start) | crate::program::Source::State(start) => start,
        _ => unreachable!("only weights and states start at something"),
    }
}

impl Draw {
    /// Fills a matrix of `shape`.
    pub fn fill(self, shape: Shape, mut rng: Rng, weights: &mut [f64]) {
        match self {
            Draw::Normal { std } => {
                for pair in weights.chunks_mut(2) {
                    let (a, b) = rng.normal_pair();
                    for (weight, normal) in pair.iter_mut().zip([a, b]) {
                        *weight = std * normal;
                    }
                }
            }
            Draw::Truncated { std, at } => {
                weights.fill_with(|| std * within(at, &mut rng));
            }
            Draw::MirroredRows { std } | Draw::MirroredCols { std } => {
                Draw::Normal { std }.fill(shape, rng, weights);
                mirror(shape, matches!(self, Draw::MirroredRows { .. }), weights);
            }
            Draw::Uniform { bound } => {
                weights.fill_with(|| bound * (2.0 * rng.uniform() - 1.0));
            }
            Draw::Orthogonal => orthogonal(shape, rng, weights),
        }
    }
}

/// A standard normal number that is not beyond ±`at`.
fn within(at: f64, rng: &mut Rng) -> f64 {
    loop {
        let normal = rng.normal();
        if normal.abs() <= at {
            return normal;
        }
    }
}

/// Makes the second half of the rows, or of the columns, minus the first; what stands between them 0.
fn mirror(shape: Shape, by_rows: bool, weights: &mut [f64]) {
    let (rows, cols) = (shape.rows(), shape.cols());
    let half = if by_rows { rows / 2 } else { cols / 2 };
    for place in 0..weights.len() {
        let (row, col) = (place / cols, place % cols);
        let (along, len) = if by_rows { (row, rows) } else { (col, cols) };
        if along >= len - half {
            let back = (len - half) * if by_rows { cols } else { 1 };
            weights[place] = -weights[place - back];
        } else if along >= half {
            weights[place] = 0.0;
        }
    }
}

/// The Q of a tall normal matrix, its columns' signs those of R's diagonal: uniform over the
/// orthogonal group (Mezzadri 2007); transposed where the weight is wide.
fn orthogonal(shape: Shape, mut rng: Rng, weights: &mut [f64]) {
    let (rows, cols) = (shape.rows(), shape.cols());
    let (tall, wide) = (rows.max(cols), rows.min(cols));
    let normal = Mat::from_fn(tall, wide, |_, _| rng.normal());
    let qr = normal.qr();
    let (q, r) = (qr.compute_thin_Q(), qr.thin_R());
    for (place, weight) in weights.iter_mut().enumerate() {
        let (i, j) = (place / cols, place % cols);
        let (i, j) = if rows >= cols { (i, j) } else { (j, i) };
        *weight = q[(i, j)] * if r[(j, j)] < 0.0 { -1.0 } else { 1.0 };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn orthogonal_rows_or_columns_are_orthonormal() {
        for (rows, cols) in [(6, 4), (4, 6), (5, 5), (1, 3)] {
            let mut w = vec![0.0; rows * cols];
            orthogonal(Shape::new(&[rows, cols]), Rng::new(1), &mut w);
            let (n, len) = (rows.min(cols), rows.max(cols));
            let at =
                |k: usize, l: usize| if rows < cols { w[k * cols + l] } else { w[l * cols + k] };
            for a in 0..n {
                for b in 0..n {
                    let dot: f64 = (0..len).map(|l| at(a, l) * at(b, l)).sum();
                    let want = if a == b { 1.0 } else { 0.0 };
                    assert!((dot - want).abs() < 1e-14, "{rows}×{cols}: ({a},{b}) {dot}");
                }
            }
        }
    }
}
