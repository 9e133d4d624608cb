//! Sinkhorn's iterations: a square matrix of logits to one whose rows and columns sum to one (Sinkhorn
//! & Knopp 1967; as the mixing matrix of residual streams in mHC, Xie et al. 2025, arXiv 2512.24880).
//!
//! L = x; then again and again Lᵢⱼ −= ln Σᵢ e^Lᵢⱼ down the columns and Lᵢⱼ −= ln Σⱼ e^Lᵢⱼ along the
//! rows; y = e^L. Rows sum to one exactly, columns the better the more iterations there are. In
//! logarithms no sum can vanish. Backward through L′ = L − lse(L): dL = dL′ − e^L′·Σ dL′.

use super::device::{Chip, Kernels, Launch, Param, Ptx, ptx};
use super::{Arg, Fast, Grad, Op, Property, Reference, Shape, View};
use crate::num::Num;

/// The largest matrix, in rows: as many streams as a stack mixes.
pub const MOST_ROWS: usize = super::weighted_sum::MOST_TERMS;

/// y = e^L, L = x after so many normalisations of its columns and its rows.
#[derive(Debug, Clone, Copy)]
pub struct Sinkhorn {
    /// Normalisations of the columns, each followed by one of the rows.
    pub iterations: usize,
}

/// The elements of line `line` of an n × n matrix: a column before, a row behind.
fn line(n: usize, half: usize, line: usize) -> impl Iterator<Item = usize> + Clone {
    let rows = half % 2 == 1;
    (0..n).map(move |i| if rows { line * n + i } else { i * n + line })
}

impl Op for Sinkhorn {
    fn id(&self) -> &'static str {
        "sinkhorn"
    }
    fn args(&self) -> &'static [Arg] {
        const ARGS: &[Arg] = &[Arg::weight("x")];
        ARGS
    }
    crate::constants! { dyn Op; iterations: Count }
    fn outputs(&self, args: &[Shape]) -> Vec<Shape> {
        let n = args[0].cols();
        assert!(args[0].sizes() == [n, n] && n <= MOST_ROWS, "a matrix of {:?}", args[0]);
        vec![args[0]]
    }
    /// A square of as many columns as there may be.
    fn example(&self, _rows: usize, cols: usize) -> Vec<Shape> {
        let n = cols.min(MOST_ROWS);
        vec![Shape::new(&[n, n])]
    }
    fn properties(&self) -> &'static [Property] {
        &[Property::PermutationEquivariant, Property::RowsSumToOne]
    }
    fn kernels(&self) -> Option<&dyn Kernels> {
        Some(self)
    }
}

impl Sinkhorn {
    /// e^L after every half of an iteration.
    fn halves<T: Num>(&self, x: View<T>) -> Vec<Vec<T>> {
        let n = x.shape.cols();
        let mut logs = x.data.to_vec();
        let half = |half: usize| {
            for l in 0..n {
                let places = line(n, half, l);
                let first = logs[places.clone().next().expect("no empty line")];
                let largest = places.clone().fold(first, |max, i| max.larger(logs[i]));
                let sum = T::sum(places.clone().map(|i| (logs[i] - largest).exp()));
                let lse = largest + sum.ln();
                places.for_each(|i| logs[i] -= lse);
            }
            logs.iter().map(|log| log.exp()).collect()
        };
        (0..2 * self.iterations).map(half).collect()
    }
}

impl<T: Num> Reference<T> for Sinkhorn {
    fn forward(&self, args: &[View<T>], outs: &mut [&mut [T]]) {
        outs[0].copy_from_slice(self.halves(args[0]).last().expect("at least one iteration"));
    }
    fn vjp(&self, args: &[View<T>], dy: &[T], dargs: &mut [&mut [T]]) {
        let n = args[0].shape.cols();
        let halves = self.halves(args[0]);
        let last = halves.last().expect("at least one iteration");
        let mut d: Vec<T> = last.iter().zip(dy).map(|(&y, &dy)| y * dy).collect();
        for (half, p) in halves.iter().enumerate().rev() {
            for l in 0..n {
                let total = T::sum(line(n, half, l).map(|i| d[i]));
                line(n, half, l).for_each(|i| d[i] -= p[i] * total);
            }
        }
        for (dx, d) in dargs[0].iter_mut().zip(d) {
            *dx += d;
        }
    }
}

/// The numbers of a matrix in f64, which costs nothing at this size.
type Matrix = [f64; MOST_ROWS * MOST_ROWS];

impl Fast for Sinkhorn {
    /// e^L after every half of an iteration.
    fn saved(&self, args: &[Shape]) -> usize {
        2 * self.iterations * args[0].len()
    }

    /// By potentials: L = x − row − column, so that x is never changed.
    fn forward(
        &self,
        args: &[View<f32>],
        outs: &mut [&mut [f32]],
        saved: &mut [f32],
        _scratch: &mut [f32],
    ) {
        let (x, n) = (args[0].data, args[0].shape.cols());
        let mut potentials = [[0.0f64; MOST_ROWS]; 2];
        for (half, saved) in saved.chunks_exact_mut(x.len()).enumerate() {
            for l in 0..n {
                let others = potentials[half % 2];
                let logs = line(n, half, l).enumerate().map(|(k, i)| f64::from(x[i]) - others[k]);
                let largest = logs.clone().fold(f64::NEG_INFINITY, f64::max);
                let sum: f64 = logs.map(|log| (log - largest).exp()).sum();
                potentials[1 - half % 2][l] = largest + sum.ln();
            }
            for (i, saved) in saved.iter_mut().enumerate() {
                *saved =
                    (f64::from(x[i]) - potentials[0][i / n] - potentials[1][i % n]).exp() as f32;
            }
        }
        outs[0].copy_from_slice(&saved[saved.len() - x.len()..]);
    }

    fn vjp(
        &self,
        args: &[View<f32>],
        dy: &[f32],
        saved: &[f32],
        dargs: &mut [Grad],
        _scratch: &mut [f32],
    ) {
        let (n, len) = (args[0].shape.cols(), dy.len());
        let mut d: Matrix = [0.0; MOST_ROWS * MOST_ROWS];
        let y = &saved[saved.len() - len..];
        for (d, (y, dy)) in d.iter_mut().zip(y.iter().zip(dy)) {
            *d = f64::from(*y) * f64::from(*dy);
        }
        for (half, p) in saved.chunks_exact(len).enumerate().rev() {
            for l in 0..n {
                let total: f64 = line(n, half, l).map(|i| d[i]).sum();
                line(n, half, l).for_each(|i| d[i] -= f64::from(p[i]) * total);
            }
        }
        dargs[0].put(0..len, d.iter().map(|&d| d as f32));
    }
}

impl Sinkhorn {
    /// The one launch of a pass, on its tensors.
    fn launch(&self, kernel: &'static str, x: Shape, tensors: &[Param]) -> Vec<Launch> {
        const THREADS: u32 = 64;
        let sizes = [x.cols(), 2 * self.iterations].map(|n| Param::U32(n as u32));
        vec![Launch::new(kernel, 1, THREADS, &[tensors, &sizes].concat())]
    }
}

impl Kernels for Sinkhorn {
    fn ptx(&self) -> Ptx {
        ptx!("sinkhorn")
    }

    /// e^L after every half of an iteration.
    fn saved(&self, args: &[Shape], _chip: &Chip) -> usize {
        2 * self.iterations * args[0].len()
    }

    fn forward(&self, args: &[Shape], _chip: &Chip) -> Vec<Launch> {
        use Param::*;
        self.launch("sinkhorn_forward", args[0], &[Arg(0), Out(0), Saved(0)])
    }

    fn vjp(&self, args: &[Shape], _chip: &Chip) -> Vec<Launch> {
        use Param::*;
        self.launch("sinkhorn_dx", args[0], &[Dy, Saved(0), Grad(0)])
    }
}
