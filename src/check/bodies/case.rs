//! Problems: shapes and values for the arguments of an operator.
//!
//! Every value is representable in what the fast path stores it as, so that the reference and the fast
//! path see the same problem, and every case is a function of the operator, the kind of rows, the sizes and the
//! seed, which its origin states.

pub use crate::check::spec::case::Rows;

use crate::check::spec::fill;
use crate::num::{Dtype, Num};
use crate::op::{Arg, Call, Kind, Op, Shape, Values};
use crate::rng::Rng;

/// Rows and columns at and beside the widths of registers and blocks.
pub const SIZES: [(usize, usize); 11] = [
    (1, 1),
    (3, 1),
    (2, 2),
    (3, 3),
    (3, 15),
    (2, 16),
    (3, 17),
    (2, 63),
    (33, 5),
    (2, 65),
    (2, 257),
];

/// One problem for an operator.
#[derive(Debug, Clone)]
pub struct Case {
    /// The shapes of the arguments.
    pub shapes: Vec<Shape>,
    /// The arguments.
    pub values: Vec<Vec<f64>>,
    /// The gradient of the first output.
    pub dy: Vec<f64>,
    /// What every gradient holds before vjp adds to it.
    pub start: f64,
    /// Which gradients somebody wants.
    pub wanted: Vec<bool>,
    /// Kind of rows, sizes and seed, for whoever has to repeat it.
    pub origin: String,
}

impl Case {
    /// The example of the operator at `rows` × `cols`, its activations of a kind.
    pub fn draw(op: &dyn Op, kind: Rows, rows: usize, cols: usize, seed: u64) -> Case {
        let mut case = Case::of(op, &op.example(rows, cols), kind, seed);
        case.origin = format!("{kind:?} rows, {rows} × {cols}, seed {seed}: {:?}", case.shapes);
        case
    }

    /// Arguments of given shapes, the activations of a kind.
    pub fn of(op: &dyn Op, shapes: &[Shape], kind: Rows, seed: u64) -> Case {
        let mut rng = Rng::new(seed).named(op.id());
        let limit = op.index_limit(shapes);
        let pairs = op.args().iter().zip(shapes);
        let values = pairs.clone().enumerate().map(|(i, (arg, shape))| {
            argument(arg, *shape, kind, limit, op.argument_dtype(i), &mut rng)
        });
        let values = values.collect();
        // Upstream gradients with and without a mean, never all alike.
        let mean = rng.below(2) as f64;
        let dtype = op.output_dtype(0);
        let dy = (0..op.outputs(shapes)[0].len()).map(|_| dtype.round(mean + rng.normal()));
        Case {
            shapes: shapes.to_vec(),
            values,
            dy: dy.collect(),
            start: 0.0,
            wanted: pairs.map(|(arg, s)| arg.kind.differentiable() && !s.is_empty()).collect(),
            origin: format!("{kind:?} rows, seed {seed}: {shapes:?}"),
        }
    }

    /// The same problem without the optional argument `index`.
    pub fn without(mut self, index: usize) -> Case {
        self.shapes[index] = Shape::ABSENT;
        self.values[index].clear();
        self.wanted[index] = false;
        self.origin += &format!(", argument {index} absent");
        self
    }

    /// The same problem with gradients that hold `start` before.
    pub fn starting_at(mut self, start: f64) -> Case {
        self.start = start;
        self.origin += &format!(", gradients from {start}");
        self
    }

    /// A call with these values of the arguments, read at `number(argument, index, value)`, and
    /// with the gradients that somebody wants.
    pub fn call<T: Num>(
        &self,
        op: &(impl Op + ?Sized),
        values: &[Vec<f64>],
        number: impl Fn(usize, usize, f64) -> T,
    ) -> Call<T> {
        let dy = self.dy.iter().map(|&dy| T::num(dy)).collect();
        let mut call = Call::new(op, &self.shapes, read(values, number), dy);
        for (grad, &wanted) in call.grads.iter_mut().zip(&self.wanted) {
            if wanted {
                grad.fill(T::num(self.start));
            } else {
                grad.clear();
            }
        }
        call
    }

    /// Number of elements in all arguments.
    pub fn len(&self) -> usize {
        self.shapes.iter().map(Shape::len).sum()
    }

    /// True where no argument has an element.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The largest magnitude of a finite argument and of dy, at least 1.
    pub fn largest(&self) -> f64 {
        let all = self.values.iter().flatten().chain(&self.dy);
        all.map(|v| v.abs()).filter(|v| v.is_finite()).fold(1.0, f64::max)
    }
}

/// Values of arguments, each read at `number(argument, index, value)`.
pub(super) fn read<T>(values: &[Vec<f64>], number: impl Fn(usize, usize, f64) -> T) -> Vec<Vec<T>> {
    let argument = |(a, values): (usize, &Vec<f64>)| -> Vec<T> {
        values.iter().enumerate().map(|(i, &v)| number(a, i, v)).collect()
    };
    values.iter().enumerate().map(argument).collect()
}

/// The nearest `f32`.
pub fn narrow(value: f64) -> f64 {
    value as f32 as f64
}

fn argument(
    arg: &Arg,
    shape: Shape,
    kind: Rows,
    limit: usize,
    dtype: Dtype,
    rng: &mut Rng,
) -> Vec<f64> {
    let mut each = |draw: &mut dyn FnMut(&mut Rng) -> f64| -> Vec<f64> {
        (0..shape.len()).map(|_| dtype.round(draw(rng))).collect()
    };
    match arg.kind {
        Kind::Real if !shape.is_empty() => {
            let rows = (0..shape.rows()).flat_map(|_| {
                let mut row = fill::row(kind, shape.cols(), dtype, rng);
                let largest = row.iter().fold(0.0f64, |m, v| m.max(v.abs()));
                if arg.values == Values::Exponent && largest > 4.0 {
                    row.iter_mut().for_each(|v| *v *= 4.0 / largest);
                }
                row
            });
            rows.map(|value| dtype.round(value)).collect()
        }
        // Every eighth weight is 0: a factor that is forgotten or divided by shows there.
        Kind::Real | Kind::Weight => {
            each(&mut |rng| if rng.below(8) == 0 && shape.len() > 1 { 0.0 } else { rng.normal() })
        }
        Kind::State if arg.values == Values::Positive => each(&mut |rng| rng.normal().abs() + 0.1),
        Kind::State => each(&mut |rng| rng.normal()),
        Kind::Index => each(&mut |rng| rng.below(limit) as f64),
        Kind::Mask => each(&mut |rng| f64::from(rng.below(4) > 0)),
        Kind::Clock => each(&mut |rng| rng.below(100) as f64),
    }
}
