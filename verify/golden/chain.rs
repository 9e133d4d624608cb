//! Operators one after another as one operator, for values of whole sublayers.

use plummet::num::{Bound, Dd, Dual, Stochastic};
use plummet::op::{Arg, Fast, Grad, Op, Reference, Shape, SharedOp, View};

/// Marks an optional argument that a step leaves out.
pub const ABSENT: usize = usize::MAX;

/// Steps over numbered values: the arguments first, then the output of every step.
#[derive(Debug)]
pub struct Chain {
    pub args: &'static [Arg],
    pub steps: Vec<(SharedOp, Vec<usize>)>,
}

/// The shape and the elements of every value so far.
type Values<T> = Vec<(Shape, Vec<T>)>;

impl Chain {
    fn shapes(&self, args: &[Shape]) -> Vec<Shape> {
        let mut shapes = args.to_vec();
        for (op, inputs) in &self.steps {
            let inputs: Vec<Shape> = inputs.iter().map(|&i| pick(&shapes, i)).collect();
            shapes.push(op.outputs(&inputs)[0]);
        }
        shapes
    }

    fn values<T: Copy + Default>(
        &self,
        args: &[View<T>],
        run: impl Fn(&dyn Op, &[View<T>], &mut [&mut [T]]),
    ) -> Values<T> {
        let shapes = self.shapes(&args.iter().map(|arg| arg.shape).collect::<Vec<Shape>>());
        let mut values: Values<T> = args.iter().map(|arg| (arg.shape, arg.data.to_vec())).collect();
        for ((op, inputs), &shape) in self.steps.iter().zip(&shapes[args.len()..]) {
            let mut y = vec![T::default(); shape.len()];
            run(&**op, &views(&values, inputs), &mut [&mut y]);
            values.push((shape, y));
        }
        values
    }

    /// From the last step to the first; `run(op, args, dy, dargs)` adds to the gradients.
    fn pull<T: Copy + Default + std::ops::AddAssign>(
        &self,
        values: &Values<T>,
        dy: &[T],
        dargs: &mut [&mut [T]],
        run: impl Fn(&dyn Op, &[View<T>], &[T], &mut [&mut [T]]),
    ) {
        let mut grads: Vec<Vec<T>> =
            values.iter().map(|(shape, _)| vec![T::default(); shape.len()]).collect();
        grads.last_mut().expect("a step").copy_from_slice(dy);
        for (step, (op, inputs)) in self.steps.iter().enumerate().rev() {
            let dy = grads[self.args.len() + step].clone();
            let mut parts: Vec<Vec<T>> = inputs
                .iter()
                .map(|&i| grads.get(i).map_or(vec![], |g| vec![T::default(); g.len()]))
                .collect();
            let mut slices: Vec<&mut [T]> = parts.iter_mut().map(Vec::as_mut_slice).collect();
            run(&**op, &views(values, inputs), &dy, &mut slices);
            for (&input, part) in inputs.iter().zip(&parts) {
                if let Some(grad) = grads.get_mut(input) {
                    grad.iter_mut().zip(part).for_each(|(grad, part)| *grad += *part);
                }
            }
        }
        for (darg, grad) in dargs.iter_mut().zip(&grads) {
            darg.iter_mut().zip(grad).for_each(|(darg, grad)| *darg += *grad);
        }
    }
}

fn pick(shapes: &[Shape], index: usize) -> Shape {
    shapes.get(index).copied().unwrap_or(Shape::ABSENT)
}

fn views<'a, T>(values: &'a Values<T>, inputs: &[usize]) -> Vec<View<'a, T>> {
    let view = |&i: &usize| values.get(i).map_or(View::absent(), |(s, data)| View::new(*s, data));
    inputs.iter().map(view).collect()
}

impl Op for Chain {
    fn id(&self) -> &'static str {
        "chain"
    }
    fn args(&self) -> &'static [Arg] {
        self.args
    }
    fn outputs(&self, args: &[Shape]) -> Vec<Shape> {
        vec![*self.shapes(args).last().expect("a step")]
    }
    fn example(&self, _rows: usize, _cols: usize) -> Vec<Shape> {
        unimplemented!("a chain is given its problem")
    }
}

macro_rules! readings {
    ($($number:ty),+) => {$(
        impl Reference<$number> for Chain {
            fn forward(&self, args: &[View<$number>], outs: &mut [&mut [$number]]) {
                let run = |op: &dyn Op, args: &[View<$number>], outs: &mut [&mut [$number]]| {
                    Reference::<$number>::forward(op, args, outs)
                };
                outs[0].copy_from_slice(&self.values(args, run).pop().expect("a step").1);
            }
            fn vjp(&self, args: &[View<$number>], dy: &[$number], dargs: &mut [&mut [$number]]) {
                let values = self.values(args, |op, args, outs| {
                    Reference::<$number>::forward(op, args, outs)
                });
                self.pull(&values, dy, dargs, |op, args, dy, dargs| {
                    Reference::<$number>::vjp(op, args, dy, dargs)
                });
            }
        }
    )+};
}
readings!(f64, Dual, Stochastic, Bound, Bound<Dd>);

/// Forward of one step, and what it saves.
fn fast(op: &dyn Op, args: &[View<f32>], outs: &mut [&mut [f32]]) -> Vec<f32> {
    let shapes: Vec<Shape> = args.iter().map(|arg| arg.shape).collect();
    let mut saved = vec![f32::NAN; op.saved(&shapes)];
    let mut scratch = vec![f32::NAN; op.scratch(&shapes)];
    Fast::forward(op, args, outs, &mut saved, &mut scratch);
    saved
}

impl Fast for Chain {
    fn forward(
        &self,
        args: &[View<f32>],
        outs: &mut [&mut [f32]],
        _saved: &mut [f32],
        _scratch: &mut [f32],
    ) {
        let values = self.values(args, |op, args, outs| drop(fast(op, args, outs)));
        outs[0].copy_from_slice(&values.last().expect("a step").1);
    }
    fn vjp(
        &self,
        args: &[View<f32>],
        dy: &[f32],
        _saved: &[f32],
        dargs: &mut [Grad],
        _scratch: &mut [f32],
    ) {
        let values = self.values(args, |op, args, outs| drop(fast(op, args, outs)));
        let mut sums: Vec<&mut [f32]> = dargs.iter_mut().map(|d| d.to_add()).collect();
        self.pull(&values, dy, &mut sums, |op, args, dy, dargs| {
            let shapes: Vec<Shape> = args.iter().map(|arg| arg.shape).collect();
            let mut y = vec![f32::NAN; op.outputs(&shapes)[0].len()];
            let saved = fast(op, args, &mut [&mut y]);
            let mut scratch = vec![f32::NAN; op.scratch(&shapes)];
            let mut dargs: Vec<Grad> = dargs.iter_mut().map(|d| Grad::onto(d)).collect();
            Fast::vjp(op, args, dy, &saved, &mut dargs, &mut scratch);
        });
    }
}
