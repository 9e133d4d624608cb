//! Tokens and positions become vectors.
//!
//! [`Embedding`]: `y[b, t] = weight[tokens[b, t]]`; `dweight[v]` = Σ dy over the places that hold v.
//! [`AddPositions`]: `y[b, t] = x[b, t] + weight[t]`, learned positions (Vaswani et al. 2017, section
//! 3.5; Gehring et al. 2017, arXiv 1705.03122); dx = dy, `dweight[t] = Σ_b dy[b, t]`.
//! Neither scales: the stack decides on factors.

use super::device::{Chip, Kernels, Launch, Param, Ptx, WARP, ptx};
use super::simd;
use super::{Arg, Fast, Grad, Kind, Op, Property, Reference, Shape, View};
use crate::num::Num;

/// The row of a table for every token.
#[derive(Debug, Clone, Copy)]
pub struct Embedding;

/// The token at a place, which must be a row of the table.
#[inline(always)]
fn token<T: Num>(tokens: &[T], place: usize, vocabulary: usize) -> usize {
    let token = tokens[place].index();
    assert!(
        tokens[place].value() == token as f64 && token < vocabulary,
        "token {:?} at place {place} for a vocabulary of {vocabulary}",
        tokens[place]
    );
    token
}

impl Op for Embedding {
    fn id(&self) -> &'static str {
        "embedding"
    }
    fn args(&self) -> &'static [Arg] {
        const ARGS: &[Arg] = &[Arg::new("tokens", Kind::Index), Arg::weight("weight")];
        ARGS
    }
    fn outputs(&self, args: &[Shape]) -> Vec<Shape> {
        let ([batch, seq], [_, width]) = (args[0].sizes(), args[1].sizes()) else {
            panic!("tokens of {:?}, a weight of {:?}", args[0], args[1])
        };
        vec![Shape::new(&[*batch, *seq, *width])]
    }
    /// Fewer rows in the table than places, so that tokens repeat.
    fn example(&self, rows: usize, cols: usize) -> Vec<Shape> {
        vec![Shape::new(&[2, rows]), Shape::new(&[rows.div_ceil(2) + 1, cols])]
    }
    fn index_limit(&self, args: &[Shape]) -> usize {
        args[1].rows()
    }
    fn vjp_reads(&self, index: usize) -> bool {
        index == 0
    }
    fn kernels(&self) -> Option<&dyn Kernels> {
        Some(self)
    }
}

impl<T: Num> Reference<T> for Embedding {
    fn forward(&self, args: &[View<T>], outs: &mut [&mut [T]]) {
        let [tokens, weight] = [args[0], args[1]];
        let cols = weight.shape.cols();
        for i in 0..tokens.data.len() {
            let v = token(tokens.data, i, weight.shape.rows());
            for j in 0..cols {
                outs[0][i * cols + j] = weight.data[v * cols + j];
            }
        }
    }
    fn vjp(&self, args: &[View<T>], dy: &[T], dargs: &mut [&mut [T]]) {
        let tokens = args[0].data;
        let cols = dy.len() / tokens.len();
        for i in 0..tokens.len() {
            for j in 0..cols {
                if let Some(dweight) = dargs[1].get_mut(tokens[i].index() * cols + j) {
                    *dweight += dy[i * cols + j];
                }
            }
        }
    }
}

impl Fast for Embedding {
    fn forward(
        &self,
        args: &[View<f32>],
        outs: &mut [&mut [f32]],
        _saved: &mut [f32],
        _scratch: &mut [f32],
    ) {
        let [tokens, weight] = [args[0], args[1]];
        let (vocabulary, cols) = (weight.shape.rows(), weight.shape.cols());
        for (i, y) in outs[0].chunks_exact_mut(cols).enumerate() {
            y.copy_from_slice(weight.row(token(tokens.data, i, vocabulary)));
        }
    }
    fn vjp(
        &self,
        args: &[View<f32>],
        dy: &[f32],
        _saved: &[f32],
        dargs: &mut [Grad],
        _scratch: &mut [f32],
    ) {
        let tokens = args[0].data;
        let cols = dy.len() / tokens.len();
        let dweight = dargs[1].to_add();
        if dweight.is_empty() {
            return;
        }
        // Places are taken in order, so the sum over repeated tokens has one order as well.
        simd::dispatch!(|| {
            for (dy, token) in dy.chunks_exact(cols).zip(tokens) {
                let token = token.index();
                simd::add(&mut dweight[token * cols..(token + 1) * cols], dy);
            }
        });
    }
}

/// `y[b, t] = x[b, t] + weight[t]`, with a table of at least as many rows as positions.
#[derive(Debug, Clone, Copy)]
pub struct AddPositions;

impl Op for AddPositions {
    fn id(&self) -> &'static str {
        "add_positions"
    }
    fn args(&self) -> &'static [Arg] {
        const ARGS: &[Arg] = &[Arg::real("x"), Arg::weight("weight")];
        ARGS
    }
    fn outputs(&self, args: &[Shape]) -> Vec<Shape> {
        let ([_, seq, width], [longest, cols]) = (args[0].sizes(), args[1].sizes()) else {
            panic!("x of {:?}, a weight of {:?}", args[0], args[1])
        };
        assert!(seq <= longest && width == cols, "x {:?}, weight {:?}", args[0], args[1]);
        vec![args[0]]
    }
    /// Two rows of the table are beyond the last position, and their gradient stays 0.
    fn example(&self, rows: usize, cols: usize) -> Vec<Shape> {
        vec![Shape::new(&[2, rows, cols]), Shape::new(&[rows + 2, cols])]
    }
    fn properties(&self) -> &'static [Property] {
        &[Property::Causal, Property::RowIndependent]
    }
    fn kernels(&self) -> Option<&dyn Kernels> {
        Some(self)
    }
}

/// The number of elements of one sample, which meet the first rows of the table.
fn sample_len(x: Shape) -> usize {
    x.sizes()[1] * x.sizes()[2]
}

impl<T: Num> Reference<T> for AddPositions {
    fn forward(&self, args: &[View<T>], outs: &mut [&mut [T]]) {
        let [x, weight] = [args[0], args[1]];
        for (i, y) in outs[0].iter_mut().enumerate() {
            *y = x.data[i] + weight.data[i % sample_len(x.shape)];
        }
    }
    fn vjp(&self, args: &[View<T>], dy: &[T], dargs: &mut [&mut [T]]) {
        for (i, &dy) in dy.iter().enumerate() {
            if let Some(dx) = dargs[0].get_mut(i) {
                *dx += dy;
            }
            if let Some(dweight) = dargs[1].get_mut(i % sample_len(args[0].shape)) {
                *dweight += dy;
            }
        }
    }
}

impl Fast for AddPositions {
    fn forward(
        &self,
        args: &[View<f32>],
        outs: &mut [&mut [f32]],
        _saved: &mut [f32],
        _scratch: &mut [f32],
    ) {
        let [x, weight] = [args[0], args[1]];
        let (y, sample) = (&mut *outs[0], sample_len(x.shape));
        simd::dispatch!(|| {
            for (y, x) in y.chunks_exact_mut(sample).zip(x.data.chunks_exact(sample)) {
                for ((y, x), weight) in y.iter_mut().zip(x).zip(weight.data) {
                    *y = x + weight;
                }
            }
        });
    }
    fn vjp(
        &self,
        args: &[View<f32>],
        dy: &[f32],
        _saved: &[f32],
        dargs: &mut [Grad],
        _scratch: &mut [f32],
    ) {
        let [dx, dweight] = dargs else { unreachable!("two arguments") };
        let dweight = dweight.to_add();
        simd::dispatch!(|| {
            dx.put(0..dy.len(), dy.iter().copied());
            for dy in dy.chunks_exact(sample_len(args[0].shape)) {
                simd::add(dweight, dy);
            }
        });
    }
}

/// Threads of a block: a warp for each of eight places, or a vector each.
const THREADS: u32 = 256;
/// Places that a block looks at before it adds the rows of those that hold its token.
const CHUNK: usize = 2048;

impl Embedding {
    /// Blocks that form the gradient of a table, and how many of them share a row of it.
    fn blocks(table: Shape, chip: &Chip) -> [usize; 2] {
        /// Blocks of a multiprocessor, so that it has enough loads under way.
        const BLOCKS: usize = 8;
        let most = BLOCKS * chip.multiprocessors as usize;
        // Columns that a warp takes side by side.
        let strip = WARP as usize * chip.vector();
        // Where there are few rows, they are shared out among blocks.
        let groups = (most / table.rows()).clamp(1, table.cols().div_ceil(strip));
        [most.min(table.rows() * groups), groups]
    }
}

impl Kernels for Embedding {
    fn ptx(&self) -> Ptx {
        ptx!("embedding")
    }

    /// A row of the table for every block, where a sum over places is formed in parts.
    fn scratch(&self, args: &[Shape], chip: &Chip) -> usize {
        let [blocks, _] = Self::blocks(args[1], chip);
        if args[0].len() > CHUNK { blocks * args[1].cols() } else { 0 }
    }

    fn forward(&self, args: &[Shape], _chip: &Chip) -> Vec<Launch> {
        use Param::*;
        let places = args[0].len();
        let [vocabulary, cols] = [args[1].rows(), args[1].cols()];
        let sizes = [U64(places as u64), U64(vocabulary as u64), U32(cols as u32)];
        let params = [&[Arg(0), Arg(1), Out(0)][..], &sizes].concat();
        vec![Launch::new("embedding_forward", places.div_ceil(8), THREADS, &params)]
    }

    fn vjp(&self, args: &[Shape], chip: &Chip) -> Vec<Launch> {
        use Param::*;
        let [places, vocabulary] = [args[0].len(), args[1].rows()].map(|n| U64(n as u64));
        let [blocks, groups] = Self::blocks(args[1], chip);
        let sizes = [places, vocabulary, U32(args[1].cols() as u32), U32(groups as u32)];
        let params = [&[Arg(0), Dy, Grad(1), Scratch(0)][..], &sizes].concat();
        vec![Launch::new("embedding_dweight", blocks, THREADS, &params)]
    }
}

impl Kernels for AddPositions {
    fn ptx(&self) -> Ptx {
        ptx!("embedding")
    }

    fn forward(&self, args: &[Shape], chip: &Chip) -> Vec<Launch> {
        use Param::*;
        let (samples, sample) = (args[0].sizes()[0], sample_len(args[0]));
        let blocks = sample.div_ceil(chip.vector() * THREADS as usize);
        let params = [Arg(0), Arg(1), Out(0), U64(sample as u64), U32(blocks as u32)];
        vec![Launch::new("add_positions_forward", samples * blocks, THREADS, &params)]
    }

    fn vjp(&self, args: &[Shape], chip: &Chip) -> Vec<Launch> {
        use Param::*;
        let (samples, sample) = (args[0].sizes()[0], sample_len(args[0]));
        let sizes = [samples, sample, args[1].len()].map(|size| U64(size as u64));
        let params = [&[Dy, Grad(0), Grad(1)][..], &sizes].concat();
        vec![Launch::by_vectors("add_positions_vjp", sample, chip, &params)]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::bodies::{Case, Path, Rows};

    fn three_tokens() -> Case {
        let shapes = [Shape::new(&[1, 3]), Shape::new(&[3, 1])];
        Case::of(&Embedding, &shapes, Rows::Normal, 1)
    }

    #[test]
    fn a_repeated_token_collects_every_place() {
        let mut case = three_tokens();
        case.values[0] = vec![2.0, 0.0, 2.0];
        case.dy = vec![1.0, 10.0, 100.0];
        for path in Path::ALL {
            assert_eq!(path.run(&Embedding, &case).grads[1], [10.0, 0.0, 101.0]);
        }
    }

    #[test]
    #[should_panic(expected = "token 3.0 at place 1 for a vocabulary of 3")]
    fn a_token_out_of_range_asserts() {
        let mut case = three_tokens();
        case.values[0][1] = 3.0;
        Path::Fast.run(&Embedding, &case);
    }
}
