//! Rotary position embedding (Su et al. 2021, arXiv 2104.09864, equation 34).
//!
//! In a head of K channels, channels i and i + K/2 of position t are a point of the plane that is
//! turned by the angle t·θ_i with θ_i = 10000^(−2i/K):
//! y_i = x_i·cos − x_{i+K/2}·sin, y_{i+K/2} = x_{i+K/2}·cos + x_i·sin.
//! dx is dy turned by the opposite angle. The pairing by halves is that of GPT-NeoX and LLaMA; the
//! paper pairs neighbours, which is the same up to a permutation of the channels.
//!
//! In a cube of places, position t = (t₂·edge + t₁)·edge + t₀, each third of a head's pairs is turned
//! by a coordinate of its own: pair i = a·K/6 + j by the angle t_a·10000^(−6j/K). It is the axial form
//! for images (Heo et al. 2024, arXiv 2403.13298) with three axes instead of two.

use std::sync::Arc;

use super::device::{Chip, Kernels, Launch, Param, Ptx, ptx};
use super::simd;
use super::{Arg, Fast, Grad, Op, Property, Reference, Shape, View};
use crate::num::Num;

/// Rotary positions on x of `[batch, seq, heads·head_width]`, from position 0.
#[derive(Debug, Clone)]
pub struct Rotary {
    head_width: usize,
    /// Edge of the cube that the positions lie in, where they do.
    edge: Option<usize>,
    /// Per position K/2 cosines, then K/2 sines, for the fast path.
    table: Arc<[f32]>,
}

/// The angle of a pair of channels at a position.
fn angle(position: usize, pair: usize, head_width: usize, edge: Option<usize>) -> f64 {
    let Some(edge) = edge else {
        return position as f64 * Rotary::BASE.powf(-2.0 * pair as f64 / head_width as f64);
    };
    let third = head_width / 6;
    let coordinate = position / edge.pow((pair / third) as u32) % edge;
    angle(coordinate, pair % third, head_width / 3, None)
}

impl Rotary {
    /// The first pair turns by one radian per position, the last by nearly the inverse of this.
    pub const BASE: f64 = 10_000.0;

    /// For heads of an even width, and sequences of at most `longest` positions.
    pub fn new(head_width: usize, longest: usize) -> Self {
        assert!(
            head_width > 0 && head_width.is_multiple_of(2),
            "a head of {head_width} has no halves"
        );
        Rotary::with_table(head_width, longest, None)
    }

    /// For heads whose width is a multiple of 6, and sequences of edge³ positions in a cube, the
    /// first coordinate varying fastest.
    pub fn in_cube(head_width: usize, edge: usize) -> Self {
        assert!(
            head_width > 0 && head_width.is_multiple_of(6),
            "a head of {head_width} has no thirds of pairs"
        );
        Rotary::with_table(head_width, edge.pow(3), Some(edge))
    }

    fn with_table(head_width: usize, longest: usize, edge: Option<usize>) -> Self {
        let row = |t| {
            let angles = move |i| angle(t, i, head_width, edge);
            let half = move || (0..head_width / 2).map(angles);
            half().map(f64::cos).chain(half().map(f64::sin)).map(|v| v as f32)
        };
        Rotary { head_width, edge, table: (0..longest).flat_map(row).collect() }
    }

    fn longest(&self) -> usize {
        self.table.len() / self.head_width
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
        let [_, seq, width] = *args[0].sizes() else { panic!("x of {:?}", args[0]) };
        assert_eq!(width % self.head_width, 0, "x {:?}, heads of {}", args[0], self.head_width);
        assert!(seq <= self.longest(), "x {:?}, a table of {}", args[0], self.longest());
        vec![args[0]]
    }
    /// As many samples as the table is too short for one.
    fn example(&self, rows: usize, cols: usize) -> Vec<Shape> {
        let batch = rows.div_ceil(self.longest());
        let heads = cols.div_ceil(self.head_width);
        vec![Shape::new(&[batch, rows.div_ceil(batch), heads * self.head_width])]
    }
    fn properties(&self) -> &'static [Property] {
        &[Property::Linear, Property::Odd, Property::Causal, Property::RowIndependent]
    }
    fn vjp_reads(&self, _index: usize) -> bool {
        false
    }
    fn kernels(&self) -> Option<&dyn Kernels> {
        Some(self)
    }
}

impl<T: Num> Reference<T> for Rotary {
    fn forward(&self, args: &[View<T>], outs: &mut [&mut [T]]) {
        self.pairs(args[0].shape, |a, b, angle| {
            let (cos, sin) = (T::num(angle.cos()), T::num(angle.sin()));
            let x = args[0].data;
            outs[0][a] = x[a] * cos - x[b] * sin;
            outs[0][b] = x[b] * cos + x[a] * sin;
        });
    }
    fn vjp(&self, args: &[View<T>], dy: &[T], dargs: &mut [&mut [T]]) {
        let dx = &mut *dargs[0];
        self.pairs(args[0].shape, |a, b, angle| {
            let (cos, sin) = (T::num(angle.cos()), T::num(angle.sin()));
            if !dx.is_empty() {
                dx[a] += dy[a] * cos + dy[b] * sin;
                dx[b] += dy[b] * cos - dy[a] * sin;
            }
        });
    }
}

impl Rotary {
    /// Calls `turn` with the places of both channels of every pair, and the angle.
    fn pairs(&self, x: Shape, mut turn: impl FnMut(usize, usize, f64)) {
        let (seq, half) = (x.sizes()[1], self.head_width / 2);
        for place in 0..x.len() {
            let channel = place % self.head_width;
            if channel < half {
                let position = place / x.cols() % seq;
                turn(place, place + half, angle(position, channel, self.head_width, self.edge));
            }
        }
    }

    /// Puts x, every pair turned by its angle times `direction`, into y.
    #[inline(always)]
    fn turned(&self, shape: Shape, y: &mut Grad, x: &[f32], direction: f32) {
        let (seq, cols, width) = (shape.sizes()[1], shape.cols(), self.head_width);
        for (i, x) in x.chunks_exact(cols).enumerate() {
            let (cos, sin) = self.table[i % seq * width..][..width].split_at(width / 2);
            for (h, x) in x.chunks_exact(width).enumerate() {
                let (x0, x1) = x.split_at(width / 2);
                let pairs = || x0.iter().zip(x1).zip(cos.iter().zip(sin));
                let (start, half) = (i * cols + h * width, width / 2);
                let first = |((x0, x1), (cos, sin)): ((&f32, &f32), (&f32, &f32))| {
                    x0 * cos - x1 * (direction * sin)
                };
                let second = |((x0, x1), (cos, sin)): ((&f32, &f32), (&f32, &f32))| {
                    x1 * cos + x0 * (direction * sin)
                };
                y.put(start..start + half, pairs().map(first));
                y.put(start + half..start + width, pairs().map(second));
            }
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
        let (x, mut y) = (args[0], Grad::fresh(outs[0]));
        simd::dispatch!(|| self.turned(x.shape, &mut y, x.data, 1.0));
    }
    fn vjp(
        &self,
        args: &[View<f32>],
        dy: &[f32],
        _saved: &[f32],
        dargs: &mut [Grad],
        _scratch: &mut [f32],
    ) {
        simd::dispatch!(|| self.turned(args[0].shape, &mut dargs[0], dy, -1.0));
    }
}

impl Rotary {
    /// The launch that turns every pair of `from` by its angle times `direction`.
    fn turning(
        &self,
        x: Shape,
        chip: &Chip,
        from: Param,
        to: &[Param],
        direction: f32,
    ) -> Vec<Launch> {
        use Param::*;
        const THREADS: u32 = 256;
        /// Blocks of a multiprocessor that keep it busy.
        const BLOCKS: usize = 8;
        let [samples, seq, width] = *x.sizes() else { panic!("x of {x:?}") };
        let share = (BLOCKS * chip.multiprocessors as usize / seq).clamp(1, samples);
        let heads = width / self.head_width;
        // Without a cube all pairs belong to one axis, whose coordinate is the position.
        let (axes, edge) = self.edge.map_or((1, seq), |edge| (3, edge));
        let counts = [seq, heads, self.head_width / 2, axes, edge, share];
        let counts = counts.map(|count| U32(count as u32));
        let sizes = [&[U64(samples as u64)][..], &counts, &[F32(direction)]].concat();
        let params = [&[from], to, &sizes].concat();
        vec![Launch::new("rotary_turn", seq * share, THREADS, &params)]
    }
}

impl Kernels for Rotary {
    fn ptx(&self) -> Ptx {
        ptx!("rotary")
    }

    fn forward(&self, args: &[Shape], chip: &Chip) -> Vec<Launch> {
        self.turning(args[0], chip, Param::Arg(0), &[Param::Out(0), Param::U32(0)], 1.0)
    }

    fn vjp(&self, args: &[Shape], chip: &Chip) -> Vec<Launch> {
        self.turning(args[0], chip, Param::Dy, &[Param::Grad(0)], -1.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::bodies::{Case, Path, Rows, fast_agrees, gradient};

    #[test]
    fn heads_of_any_width_agree_with_the_reference() {
        for head_width in [2, 16, 30, 64] {
            let op = Rotary::new(head_width, 64);
            for rows in [1, 2, 15, 16, 17, 63, 64] {
                fast_agrees(&op, &Case::draw(&op, Rows::Normal, rows, 70, 1)).unwrap();
            }
        }
    }

    #[test]
    fn gradients_are_slopes() {
        let op = Rotary::new(6, 8);
        let case = Case::draw(&op, Rows::Normal, 5, 12, 1);
        gradient::agrees_with_differences(&op, &case).unwrap();
    }

    #[test]
    fn the_norm_of_every_head_is_kept() {
        let op = Rotary::new(8, 16);
        let case = Case::of(&op, &op.example(16, 24), Rows::Normal, 1);
        let y = Path::Reference.run(&op, &case).outs.remove(0);
        let norm = |x: &[f64]| x.iter().map(|x| x * x).sum::<f64>();
        for (x, y) in case.values[0].chunks(8).zip(y.chunks(8)) {
            assert!((norm(x) - norm(y)).abs() < 1e-12);
        }
    }

    /// ⟨R_s·a, R_t·b⟩ is a function of t − s, and a itself at position 0.
    #[test]
    fn products_depend_on_the_distance_only() {
        let op = Rotary::new(8, 16);
        let shapes = [Shape::new(&[1, 16, 8])];
        let turned = |seed: usize| {
            let mut case = Case::of(&op, &shapes, Rows::Normal, 1);
            let row = case.values[0][seed * 8..][..8].to_vec();
            case.values[0] = row.repeat(16);
            let y = Path::Reference.run(&op, &case).outs.remove(0);
            assert_eq!(y[..8], row);
            y
        };
        let (a, b) = (turned(0), turned(1));
        let product =
            |s: usize, t: usize| -> f64 { (0..8).map(|c| a[s * 8 + c] * b[t * 8 + c]).sum() };
        for shift in 0..12 {
            for (s, t) in [(0, 3), (3, 0), (2, 2)] {
                assert!((product(s, t) - product(s + shift, t + shift)).abs() < 1e-12);
            }
        }
        assert!((product(0, 3) - product(3, 0)).abs() > 1e-3);
    }

    #[test]
    fn a_head_of_two_turns_by_one_radian_per_position() {
        let op = Rotary::new(2, 3);
        let mut case = Case::of(&op, &[Shape::new(&[1, 3, 2])], Rows::Normal, 1);
        case.values[0] = [1.0, 0.0].repeat(3);
        let exact = [1.0, 0.0, 1f64.cos(), 1f64.sin(), 2f64.cos(), 2f64.sin()];
        assert_eq!(Path::Reference.run(&op, &case).outs[0], exact);
        fast_agrees(&op, &case).unwrap();
    }

    /// Moving both places of a cube by the same steps along its axes keeps their product.
    #[test]
    fn products_in_a_cube_depend_on_the_distance_along_each_axis() {
        let (edge, width) = (3, 12);
        let op = Rotary::in_cube(width, edge);
        let shapes = [Shape::new(&[1, edge.pow(3), width])];
        let turned = |seed: usize| {
            let mut case = Case::of(&op, &shapes, Rows::Normal, 1);
            let row = case.values[0][seed * width..][..width].to_vec();
            case.values[0] = row.repeat(edge.pow(3));
            Path::Reference.run(&op, &case).outs.remove(0)
        };
        let (a, b) = (turned(0), turned(1));
        let at = |[x, y, z]: [usize; 3]| ((z * edge + y) * edge + x) * width;
        let product = |s: [usize; 3], t: [usize; 3]| -> f64 {
            (0..width).map(|c| a[at(s) + c] * b[at(t) + c]).sum()
        };
        let base = product([0, 0, 0], [1, 1, 1]);
        for shift in [[1, 0, 0], [0, 1, 0], [0, 0, 1], [1, 1, 1]] {
            let moved = product(shift, shift.map(|s| s + 1));
            assert!((base - moved).abs() < 1e-12, "{shift:?}");
            let further = product([0, 0, 0], [0, 1, 2].map(|axis| 1 + shift[axis]));
            assert!((base - further).abs() > 1e-3, "{shift:?}");
        }
        fast_agrees(&op, &Case::of(&op, &shapes, Rows::Normal, 2)).unwrap();
    }

    #[test]
    #[should_panic(expected = "a table of 4")]
    fn a_sequence_beyond_the_table_asserts() {
        Rotary::new(2, 4).outputs(&[Shape::new(&[1, 5, 2])]);
    }
}
