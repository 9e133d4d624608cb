//! Rotary positions (Su et al. 2021, arXiv 2104.09864, equation 34, the form that rotates halves).
//!
//! In every head of K channels, channel i < K/2 and channel i + K/2 of the token at place t are
//! turned by the angle θ = t·base^(−2i/K): y₁ = x₁ cos θ − x₂ sin θ, y₂ = x₂ cos θ + x₁ sin θ.
//! dx is dy turned by −θ. Turning keeps lengths, and products of queries and keys depend on the
//! difference of their places only.

use std::sync::Arc;

use super::{Arg, Fast, Law, Op, Reference, Shape, View};
use crate::num::Num;

/// Turns pairs of channels of `[batch, seq, heads·K]` by the place of the token on axis 1.
#[derive(Debug, Clone)]
pub struct Rotary {
    heads: usize,
    base: f64,
    /// Cosine and sine for every place and pair, of the fast path.
    table: Arc<Table>,
}

#[derive(Debug)]
struct Table {
    pairs: usize,
    turns: Vec<(f32, f32)>,
}

impl Rotary {
    /// The base of the paper.
    pub const BASE: f64 = 10_000.0;

    /// Rotary positions of `heads` heads of `head_width` channels for up to `longest` tokens.
    ///
    /// # Panics
    /// Where `head_width` is odd.
    pub fn new(heads: usize, head_width: usize, longest: usize) -> Self {
        assert_eq!(head_width % 2, 0, "{head_width} channels do not pair up");
        let pairs = head_width / 2;
        let angle = |t: usize, i: usize| t as f64 * Self::BASE.powf(-(i as f64) / pairs as f64);
        let turn = |t: usize, i: usize| (angle(t, i).cos() as f32, angle(t, i).sin() as f32);
        let turns = (0..longest).flat_map(|t| (0..pairs).map(move |i| turn(t, i))).collect();
        Rotary { heads, base: Self::BASE, table: Arc::new(Table { pairs, turns }) }
    }

    /// Calls `put(target, value)` for every channel of x turned forth or back.
    fn turn<T: Num>(&self, shape: Shape, x: &[T], sign: f64, mut put: impl FnMut(usize, T)) {
        let [batch, seq, width] = *shape.sizes() else { panic!("[batch, seq, width]") };
        let half = width / self.heads / 2;
        for token in 0..batch * seq {
            for head in 0..self.heads {
                for i in 0..half {
                    let place = (token % seq) as f64;
                    let theta = place * self.base.powf(-(i as f64) / half as f64);
                    let (cos, sin) = (T::num(theta.cos()), T::num(sign * theta.sin()));
                    let first = token * width + head * 2 * half + i;
                    let second = first + half;
                    put(first, x[first] * cos - x[second] * sin);
                    put(second, x[second] * cos + x[first] * sin);
                }
            }
        }
    }

    /// As [`Rotary::turn`], by the table.
    fn turn_fast(
        &self,
        shape: Shape,
        x: &[f32],
        sign: f32,
        put: impl Fn(&mut f32, f32),
        y: &mut [f32],
    ) {
        let [_, seq, width] = *shape.sizes() else { panic!("[batch, seq, width]") };
        let pairs = self.table.pairs;
        let tokens = x.chunks_exact(width).zip(y.chunks_exact_mut(width)).enumerate();
        for (token, (x, y)) in tokens {
            let place = token % seq;
            let turns = &self.table.turns[place * pairs..(place + 1) * pairs];
            let heads = x.chunks_exact(2 * pairs).zip(y.chunks_exact_mut(2 * pairs));
            for (x, y) in heads {
                let (x1, x2) = x.split_at(pairs);
                let (y1, y2) = y.split_at_mut(pairs);
                let channels = x1.iter().zip(x2).zip(y1.iter_mut().zip(y2)).zip(turns);
                for (((x1, x2), (y1, y2)), &(cos, sin)) in channels {
                    let sin = sign * sin;
                    put(y1, x1 * cos - x2 * sin);
                    put(y2, x2 * cos + x1 * sin);
                }
            }
        }
    }
}

impl Op for Rotary {
    fn id(&self) -> &'static str {
        "rotary"
    }
    fn args(&self) -> &'static [Arg] {
        const ARGS: &[Arg] = &[Arg::real("x")];
        ARGS
    }
    fn outputs(&self, args: &[Shape]) -> Vec<Shape> {
        let [_, seq, width] = *args[0].sizes() else { panic!("x is [batch, seq, heads·K]") };
        assert_eq!(width, self.heads * self.table.pairs * 2, "{} heads", self.heads);
        let longest = self.table.turns.len() / self.table.pairs;
        assert!(seq <= longest, "{seq} tokens, made for {longest}");
        vec![args[0]]
    }
    /// As many tokens as rows, up to the length that the operator was made for.
    fn example(&self, rows: usize, _cols: usize) -> Vec<Shape> {
        let longest = self.table.turns.len() / self.table.pairs;
        vec![Shape::new(&[2, rows.min(longest), self.heads * self.table.pairs * 2])]
    }
    fn laws(&self) -> &'static [Law] {
        use Law::*;
        &[Linear, Odd, Causal]
    }
    fn vjp_reads(&self, _index: usize) -> bool {
        false
    }
}

impl<T: Num> Reference<T> for Rotary {
    fn forward(&self, args: &[View<T>], outs: &mut [&mut [T]]) {
        self.turn(args[0].shape, args[0].data, 1.0, |i, value| outs[0][i] = value);
    }
    fn vjp(&self, args: &[View<T>], dy: &[T], dargs: &mut [&mut [T]]) {
        if !dargs[0].is_empty() {
            self.turn(args[0].shape, dy, -1.0, |i, value| dargs[0][i] += value);
        }
    }
}

impl Fast for Rotary {
    fn forward(
        &self,
        args: &[View<f32>],
        outs: &mut [&mut [f32]],
        _saved: &mut [f32],
        _scratch: &mut [f32],
    ) {
        self.turn_fast(args[0].shape, args[0].data, 1.0, |y, value| *y = value, outs[0]);
    }
    fn vjp(
        &self,
        args: &[View<f32>],
        dy: &[f32],
        _saved: &[f32],
        dargs: &mut [&mut [f32]],
        _scratch: &mut [f32],
    ) {
        if !dargs[0].is_empty() {
            self.turn_fast(args[0].shape, dy, -1.0, |dx, value| *dx += value, dargs[0]);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::Rng;

    fn turned(x: &[f64], seq: usize) -> Vec<f64> {
        let mut y = vec![0.0; x.len()];
        let shape = Shape::new(&[1, seq, x.len() / seq]);
        let rotary = Rotary::new(1, x.len() / seq, seq);
        Reference::<f64>::forward(&rotary, &[View::new(shape, x)], &mut [&mut y]);
        y
    }

    #[test]
    fn lengths_stay_and_products_depend_on_the_distance_only() {
        let mut rng = Rng::new(5);
        let (q, k): (Vec<f64>, Vec<f64>) = (0..8).map(|_| (rng.normal(), rng.normal())).unzip();
        let seq = 12;
        let at = |x: &[f64]| turned(&x.repeat(seq), seq);
        let dot = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
        let (qs, ks) = (at(&q), at(&k));
        let row = |x: &[f64], t: usize| x[t * 8..(t + 1) * 8].to_vec();
        for t in 0..seq - 3 {
            assert!((dot(&row(&qs, t), &row(&qs, t)) - dot(&q, &q)).abs() < 1e-12);
            let near = dot(&row(&qs, t + 3), &row(&ks, t));
            assert!((near - dot(&row(&qs, 3), &row(&ks, 0))).abs() < 1e-12);
        }
    }
}
