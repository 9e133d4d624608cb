//! `clip_grad_norm` (Pascanu, Mikolov & Bengio 2013, arXiv 1211.5063, algorithm 1).
//!
//! gᵢ ← gᵢ/loss_scale; norm = ‖(g₀, g₁, …)‖₂; gᵢ ← gᵢ·min(1, max_norm/(norm + 10⁻⁶)).

use super::case::Case;
use super::operator::{Attr, Axis, Formula, Named, Operator, Problem, Setting, Slot};
use crate::check::call::Dir;
use crate::num::Num;

pub struct ClipGradNorm;

impl Operator for ClipGradNorm {
    fn name(&self) -> &'static str {
        "clip_grad_norm"
    }
    fn dirs(&self) -> &'static [Dir] {
        &[Dir::Fwd]
    }
    fn axes(&self) -> &'static [Axis] {
        &[
            Axis { name: "rows", sizes: &[1, 2, 3, 8, 33, 257] },
            Axis { name: "cols", sizes: &[1, 2, 3, 7, 31, 32, 33, 127, 256, 1000, 1025, 65537] },
            Axis { name: "tensors", sizes: &[1, 2, 3] },
        ]
    }
    fn attrs(&self) -> &'static [Attr] {
        use Setting::Num;
        &[
            Attr {
                name: "max_norm",
                values: &[Num(1.0), Num(1e-3), Num(0.0), Num(100.0), Num(1e6)],
            },
            Attr {
                name: "loss_scale",
                values: &[Num(1.0), Num(65536.0), Num(0.0625), Num(1024.0)],
            },
        ]
    }
    /// A square of a large gradient is no number, and yet its norm is.
    fn reach(&self, _: &Case, _: &str) -> Option<i32> {
        Some(90)
    }
    fn slots(&self, case: &Case) -> Vec<Slot> {
        let (rows, cols) = (case.size("rows"), case.size("cols"));
        // A matrix and the two vectors that belong to it.
        let shapes: [&[usize]; 3] = [&[rows, cols], &[cols], &[rows]];
        let slots = shapes.into_iter().enumerate().take(case.size("tensors"));
        slots.map(|(i, shape)| Slot::data(&format!("g{i}"), shape)).collect()
    }
}

impl<R: Num> Formula<R> for ClipGradNorm {
    fn forward(&self, p: &Problem<R>) -> Vec<Named<R>> {
        let scale = R::num(p.num("loss_scale"));
        let unscaled: Vec<Named<R>> = p
            .tensors()
            .map(|(name, g)| {
                Named::new(name, &g.shape, g.data.iter().map(|&g| g / scale).collect())
            })
            .collect();
        // Far from 1, squares are taken of what a power of two leaves.
        let all = || unscaled.iter().flat_map(|g| g.data.iter());
        let largest = all().map(|g| g.value().abs()).fold(0.0, f64::max);
        let far = largest.is_normal() && !(1e-60..1e60).contains(&largest);
        let power = if far { largest.log2().floor().exp2() } else { 1.0 };
        let squares = unscaled.iter().flat_map(|g| {
            let (cols, by_row) = (g.shape.get(1).copied().unwrap_or(1), g.name != "g1");
            let times = move |i: usize| if by_row { p.times("rows", i / cols) } else { 1 };
            let square = move |g: R| if far { (g / R::num(power)).square() } else { g.square() };
            g.data.iter().enumerate().map(move |(i, &g)| (square(g), times(i)))
        });
        // A square below the smallest normal number may have been flushed to 0.
        let dtype = p.call.dtype.accumulator();
        let flushed = squares.clone().map(|(_, times)| times).sum::<usize>() as f64
            * dtype.smallest_normal()
            / dtype.unit();
        let norm = R::sum_of(squares).loosened(flushed / power / power).sqrt() * R::num(power);
        // The norm of the norms of the tensors is as right, and has one rounding more.
        let norm = norm.loosened(norm.value());
        let ratio = R::num(p.num("max_norm")) / (norm + R::num(1e-6));
        // Well below the limit nothing is scaled; beside it, both sides are within the bound.
        let factor = match ratio.value() > 2.0 {
            true => R::one(),
            false => -(-R::one()).larger(-ratio),
        };
        let clip = |g: Named<R>| {
            Named::new(g.name, &g.shape, g.data.into_iter().map(|g| g * factor).collect())
        };
        let mut answer: Vec<Named<R>> = unscaled.into_iter().map(clip).collect();
        answer.push(Named::new("norm", &[], vec![norm]));
        answer
    }
}
