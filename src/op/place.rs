//! One place of every sequence: `y[b] = x[b, place]`; `dx[b, place] = dy[b]`, and 0 elsewhere.
//!
//! What a head reads that says something of one place only.

use super::device::{Chip, Kernels, Launch, Param, Ptx, ptx};
use super::{Arg, Fast, Grad, Op, Property, Reference, Shape, View};
use crate::num::Num;

/// `[batch, seq, width]` to `[batch, 1, width]`.
#[derive(Debug, Clone, Copy)]
pub struct AtPlace {
    /// Which place, counted from 0.
    pub place: usize,
}

impl AtPlace {
    /// Where the row of sample `b` begins in x.
    fn start(&self, x: Shape, b: usize) -> usize {
        (b * x.sizes()[1] + self.place) * x.cols()
    }
}

impl Op for AtPlace {
    fn id(&self) -> &'static str {
        "at_place"
    }
    fn args(&self) -> &'static [Arg] {
        const ARGS: &[Arg] = &[Arg::real("x")];
        ARGS
    }
    crate::constants! { dyn Op; place: Any }
    fn outputs(&self, args: &[Shape]) -> Vec<Shape> {
        let [batch, seq, width] = *args[0].sizes() else { panic!("x of {:?}", args[0]) };
        assert!(self.place < seq, "place {} of {seq}", self.place);
        vec![Shape::new(&[batch, 1, width])]
    }
    /// Places before and behind the one that is read.
    fn example(&self, rows: usize, cols: usize) -> Vec<Shape> {
        vec![Shape::new(&[rows, self.place + 2, cols])]
    }
    fn properties(&self) -> &'static [Property] {
        &[Property::Linear, Property::Odd]
    }
    fn vjp_reads(&self, _index: usize) -> bool {
        false
    }
    fn kernels(&self) -> Option<&dyn Kernels> {
        Some(self)
    }
}

impl<T: Num> Reference<T> for AtPlace {
    fn forward(&self, args: &[View<T>], outs: &mut [&mut [T]]) {
        let cols = args[0].shape.cols();
        for (i, y) in outs[0].iter_mut().enumerate() {
            *y = args[0].data[self.start(args[0].shape, i / cols) + i % cols];
        }
    }
    fn vjp(&self, args: &[View<T>], dy: &[T], dargs: &mut [&mut [T]]) {
        let cols = args[0].shape.cols();
        for (i, &dy) in dy.iter().enumerate() {
            if let Some(dx) = dargs[0].get_mut(self.start(args[0].shape, i / cols) + i % cols) {
                *dx += dy;
            }
        }
    }
}

impl Fast for AtPlace {
    fn forward(
        &self,
        args: &[View<f32>],
        outs: &mut [&mut [f32]],
        _saved: &mut [f32],
        _scratch: &mut [f32],
    ) {
        let (x, cols) = (args[0], args[0].shape.cols());
        for (b, y) in outs[0].chunks_exact_mut(cols).enumerate() {
            y.copy_from_slice(&x.data[self.start(x.shape, b)..][..cols]);
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
        let (x, dx) = (args[0].shape, dargs[0].to_add());
        if dx.is_empty() {
            return;
        }
        for (b, dy) in dy.chunks_exact(x.cols()).enumerate() {
            let row = &mut dx[self.start(x, b)..][..x.cols()];
            row.iter_mut().zip(dy).for_each(|(dx, dy)| *dx += dy);
        }
    }
}

impl AtPlace {
    /// Numbers of a row, of a sample, and where the row begins in the sample.
    fn sizes(&self, x: Shape) -> [Param; 3] {
        let cols = x.cols();
        [cols, x.sizes()[1] * cols, self.place * cols].map(|size| Param::U64(size as u64))
    }
}

impl Kernels for AtPlace {
    fn ptx(&self) -> Ptx {
        ptx!("place")
    }

    fn forward(&self, args: &[Shape], _chip: &Chip) -> Vec<Launch> {
        use Param::*;
        let len = args[0].sizes()[0] * args[0].cols();
        let params = [&[Arg(0), Out(0), U64(len as u64)][..], &self.sizes(args[0])].concat();
        vec![Launch::each("at_place_forward", len, &params)]
    }

    fn vjp(&self, args: &[Shape], _chip: &Chip) -> Vec<Launch> {
        use Param::*;
        let len = args[0].len();
        let params = [&[Dy, Grad(0), U64(len as u64)][..], &self.sizes(args[0])].concat();
        vec![Launch::each("at_place_dx", len, &params)]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::bodies::{Case, Path, Rows};

    #[test]
    fn a_place_is_read_and_gets_the_whole_gradient() {
        let op = AtPlace { place: 1 };
        let mut case = Case::of(&op, &[Shape::new(&[2, 3, 2])], Rows::Normal, 1);
        case.values[0] = (0..12).map(f64::from).collect();
        case.dy = vec![5.0, 6.0, 7.0, 8.0];
        for path in Path::ALL {
            let results = path.run(&op, &case);
            assert_eq!(results.outs[0], [2.0, 3.0, 8.0, 9.0]);
            let dx = [0.0, 0.0, 5.0, 6.0, 0.0, 0.0, 0.0, 0.0, 7.0, 8.0, 0.0, 0.0];
            assert_eq!(results.grads[0], dx);
        }
    }

    #[test]
    #[should_panic(expected = "place 3 of 3")]
    fn a_place_behind_the_last_asserts() {
        AtPlace { place: 3 }.outputs(&[Shape::new(&[1, 3, 2])]);
    }
}
