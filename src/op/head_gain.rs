//! One learned gain per attention head (NormFormer, Shleifer et al. 2021, arXiv 2110.09456).
//!
//! The heads stand side by side in a row: `y = gain[h]·x` on the columns of head h. `dx = gain[h]·dy`,
//! `dgain[h] = Σ dy·x` over the rows and the columns of head h.

use super::device::{Chip, ColumnSums, Kernels, Launch, Param, Ptx, ptx};
use super::simd;
use super::{Arg, Fast, Grad, Op, Property, Reference, Shape, View};
use crate::num::Num;

/// `y = gain[h]·x` on the columns of head h; the gain has one element per head.
#[derive(Debug, Clone, Copy)]
pub struct HeadGain;

impl Op for HeadGain {
    fn id(&self) -> &'static str {
        "head_gain"
    }
    fn args(&self) -> &'static [Arg] {
        const ARGS: &[Arg] = &[Arg::real("x"), Arg::weight("gain").from(1.0)];
        ARGS
    }
    fn outputs(&self, args: &[Shape]) -> Vec<Shape> {
        let heads = args[1].len();
        assert!(args[0].cols().is_multiple_of(heads), "{heads} heads of {:?}", args[0]);
        vec![args[0]]
    }
    /// Two heads where the columns are even, three where they are a multiple of three, else one.
    fn example(&self, rows: usize, cols: usize) -> Vec<Shape> {
        let heads = [2, 3].into_iter().find(|&heads| cols.is_multiple_of(heads)).unwrap_or(1);
        vec![Shape::new(&[rows, cols]), Shape::new(&[heads])]
    }
    fn properties(&self) -> &'static [Property] {
        &[Property::Linear, Property::Odd, Property::RowIndependent]
    }
    fn kernels(&self) -> Option<&dyn Kernels> {
        Some(self)
    }
}

impl<T: Num> Reference<T> for HeadGain {
    fn forward(&self, args: &[View<T>], outs: &mut [&mut [T]]) {
        let [x, gain] = [args[0], args[1]];
        let each = x.shape.cols() / gain.data.len();
        for (i, y) in outs[0].iter_mut().enumerate() {
            *y = gain.data[i / each % gain.data.len()] * x.data[i];
        }
    }
    fn vjp(&self, args: &[View<T>], dy: &[T], dargs: &mut [&mut [T]]) {
        let [x, gain] = [args[0], args[1]];
        let each = x.shape.cols() / gain.data.len();
        for (i, &dy) in dy.iter().enumerate() {
            let head = i / each % gain.data.len();
            if let Some(dx) = dargs[0].get_mut(i) {
                *dx += gain.data[head] * dy;
            }
            if let Some(dgain) = dargs[1].get_mut(head) {
                *dgain += dy * x.data[i];
            }
        }
    }
}

impl Fast for HeadGain {
    fn forward(
        &self,
        args: &[View<f32>],
        outs: &mut [&mut [f32]],
        _saved: &mut [f32],
        _scratch: &mut [f32],
    ) {
        let [x, gain] = [args[0], args[1]];
        let each = x.shape.cols() / gain.data.len();
        let y = &mut *outs[0];
        simd::dispatch!(|| {
            let heads = x.data.chunks_exact(each).zip(y.chunks_exact_mut(each));
            for ((x, y), gain) in heads.zip(gain.data.iter().cycle()) {
                for (y, x) in y.iter_mut().zip(x) {
                    *y = gain * x;
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
        let [x, gain] = [args[0], args[1]];
        let each = x.shape.cols() / gain.data.len();
        let [dx, dgain] = dargs else { unreachable!("two arguments") };
        let dgain = dgain.to_add();
        simd::dispatch!(|isa| {
            for (i, dy) in dy.chunks_exact(each).enumerate() {
                let head = i % gain.data.len();
                let place = i * each..(i + 1) * each;
                if let Some(dgain) = dgain.get_mut(head) {
                    *dgain += simd::dot(isa, dy, &x.data[place.clone()]);
                }
                dx.put(place, dy.iter().map(|dy| gain.data[head] * dy));
            }
        });
    }
}

impl HeadGain {
    fn sums(x: Shape, chip: &Chip) -> ColumnSums {
        ColumnSums::new(x.rows(), x.cols(), chip)
    }
}

impl Kernels for HeadGain {
    fn ptx(&self) -> Ptx {
        ptx!("head_gain")
    }

    /// Partial sums of dgain, column by column.
    fn scratch(&self, args: &[Shape], chip: &Chip) -> usize {
        Self::sums(args[0], chip).scratch()
    }

    fn forward(&self, args: &[Shape], chip: &Chip) -> Vec<Launch> {
        use Param::*;
        let (len, heads) = (args[0].len(), args[1].len());
        let sizes = [U64(len as u64), U32(heads as u32), U32((args[0].cols() / heads) as u32)];
        let params = [&[Arg(0), Arg(1), Out(0)], &sizes[..]].concat();
        vec![Launch::by_vectors("head_gain_forward", len, chip, &params)]
    }

    fn vjp(&self, args: &[Shape], chip: &Chip) -> Vec<Launch> {
        use Param::*;
        let (sums, heads) = (Self::sums(args[0], chip), args[1].len());
        let each = U32((args[0].cols() / heads) as u32);
        vec![
            sums.parts("head_gain_vjp", &[Arg(0), Arg(1), Dy, Grad(0), each]),
            sums.totals_of_groups("head_gain_dgain", 1, heads),
        ]
    }
}
