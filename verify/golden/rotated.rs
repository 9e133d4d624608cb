//! Rotary positions for `[batch, heads, seq, K]` from a place on.

use plummet::num::{Bound, Dd, Dual, Stochastic};
use plummet::op::rotary::Rotary;
use plummet::op::{Arg, Fast, Grad, Op, Reference, Shape, View};

/// Our rotary turns `[batch, seq, heads·K]` from place 0 on: the tensor is laid out so, behind
/// `offset` tokens of zeros, and laid back.
#[derive(Debug)]
pub struct HeadMajor {
    pub rotary: Rotary,
    pub offset: usize,
}

impl HeadMajor {
    /// The shape for [`Rotary`], and where every element of ours lies in it.
    fn places(&self, shape: Shape) -> (Shape, Vec<usize>) {
        let [batch, heads, seq, width] = *shape.sizes() else { panic!("four axes") };
        let all = self.offset + seq;
        let place = |i: usize| {
            let (c, t, h, b) =
                (i % width, i / width % seq, i / width / seq % heads, i / width / seq / heads);
            ((b * all + self.offset + t) * heads + h) * width + c
        };
        (Shape::new(&[batch, all, heads * width]), (0..shape.len()).map(place).collect())
    }

    fn through<T: Copy + Default>(
        &self,
        shape: Shape,
        from: &[T],
        run: impl Fn(Shape, &[T], &mut [T]),
        mut put: impl FnMut(usize, T),
    ) {
        let (tokens, places) = self.places(shape);
        let mut x = vec![T::default(); tokens.len()];
        places.iter().zip(from).for_each(|(&at, &v)| x[at] = v);
        let mut y = vec![T::default(); tokens.len()];
        run(tokens, &x, &mut y);
        places.iter().enumerate().for_each(|(i, &at)| put(i, y[at]));
    }
}

impl Op for HeadMajor {
    fn id(&self) -> &'static str {
        "rotary_head_major"
    }
    fn args(&self) -> &'static [Arg] {
        const ARGS: &[Arg] = &[Arg::real("x")];
        ARGS
    }
    fn outputs(&self, args: &[Shape]) -> Vec<Shape> {
        vec![args[0]]
    }
    fn example(&self, _rows: usize, _cols: usize) -> Vec<Shape> {
        unimplemented!("it is given its problem")
    }
}

macro_rules! readings {
    ($($number:ty),+) => {$(
        impl Reference<$number> for HeadMajor {
            fn forward(&self, args: &[View<$number>], outs: &mut [&mut [$number]]) {
                let run = |shape, x: &[$number], y: &mut [$number]| {
                    Reference::<$number>::forward(&self.rotary, &[View::new(shape, x)], &mut [y])
                };
                self.through(args[0].shape, args[0].data, run, |i, value| outs[0][i] = value);
            }
            fn vjp(&self, args: &[View<$number>], dy: &[$number], dargs: &mut [&mut [$number]]) {
                let run = |shape, dy: &[$number], dx: &mut [$number]| {
                    Reference::<$number>::vjp(&self.rotary, &[View::new(shape, dy)], dy, &mut [dx])
                };
                self.through(args[0].shape, dy, run, |i, value| dargs[0][i] += value);
            }
        }
    )+};
}
readings!(f64, Dual, Stochastic, Bound, Bound<Dd>);

impl Fast for HeadMajor {
    fn forward(
        &self,
        args: &[View<f32>],
        outs: &mut [&mut [f32]],
        _saved: &mut [f32],
        _scratch: &mut [f32],
    ) {
        let run = |shape, x: &[f32], y: &mut [f32]| {
            Fast::forward(&self.rotary, &[View::new(shape, x)], &mut [y], &mut [], &mut [])
        };
        self.through(args[0].shape, args[0].data, run, |i, value| outs[0][i] = value);
    }
    fn vjp(
        &self,
        args: &[View<f32>],
        dy: &[f32],
        _saved: &[f32],
        dargs: &mut [Grad],
        _scratch: &mut [f32],
    ) {
        // The values of x are not read, only its shape.
        let run = |shape, dy: &[f32], dx: &mut [f32]| {
            let (args, mut dargs) = ([View::new(shape, dy)], [Grad::onto(dx)]);
            Fast::vjp(&self.rotary, &args, dy, &[], &mut dargs, &mut [])
        };
        let dx = dargs[0].to_add();
        self.through(args[0].shape, dy, run, |i, value| dx[i] += value);
    }
}
