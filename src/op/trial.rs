//! A problem of one operator with random or given values, for the unit tests.

use super::{Arg, Fast, Grad, Kind, Num, Op, Reference, Shape, View, Wobble};
use crate::rng::Rng;

/// The unit roundoff of `f32`.
const UNIT: f64 = 1.0 / (1 << 24) as f64;

/// Readings of a reference with random rounding, and how many times their spread is allowed.
const READINGS: u64 = 12;
const BUDGET: f64 = 6.0;

/// Outputs and gradients of one pass forward and back.
#[derive(Debug)]
pub struct Results<T = f64> {
    /// The first output.
    pub y: Vec<T>,
    /// The other outputs.
    pub others: Vec<Vec<T>>,
    /// The gradient of every argument, empty where there is none.
    pub dargs: Vec<Vec<T>>,
}

impl<T: Copy> Results<T> {
    fn new(outs: Vec<Vec<T>>, dargs: Vec<Vec<T>>) -> Self {
        let mut outs = outs.into_iter();
        Results { y: outs.next().expect("an output"), others: outs.collect(), dargs }
    }

    /// The same results, each number by itself, tensor after tensor.
    fn tensors(&self) -> impl Iterator<Item = &Vec<T>> {
        std::iter::once(&self.y).chain(&self.others).chain(&self.dargs)
    }
}

/// An operator, its arguments and the gradient of its output, all representable in `f32`.
#[derive(Debug)]
pub struct Trial<'a> {
    op: &'a dyn Op,
    /// The shapes of the arguments.
    pub shapes: Vec<Shape>,
    /// The arguments.
    pub args: Vec<Vec<f64>>,
    /// The gradient of the output.
    pub dy: Vec<f64>,
}

impl<'a> Trial<'a> {
    /// Normal values, random whole numbers and a random mask; at the first step.
    pub fn new(op: &'a dyn Op, shapes: &[Shape]) -> Self {
        let mut rng = Rng::new(1).named(op.id());
        let limit = op.index_limit(shapes);
        let mut values = |kind, positive, n| {
            let mut value = || match kind {
                Kind::Index => rng.below(limit) as f64,
                Kind::Mask => rng.below(2) as f64,
                Kind::Clock => 0.0,
                _ if positive => f64::from(rng.normal().abs() as f32 + 0.1),
                _ => rng.normal() as f32 as f64,
            };
            (0..n).map(|_| value()).collect::<Vec<f64>>()
        };
        let variance = |arg: &Arg| arg.kind == Kind::State && arg.name.ends_with("var");
        let args = op.args().iter().zip(shapes);
        let args = args.map(|(arg, shape)| values(arg.kind, variance(arg), shape.len())).collect();
        let dy = values(Kind::Real, false, op.outputs(shapes)[0].len());
        Trial { op, shapes: shapes.to_vec(), args, dy }
    }

    /// The results of the reference at `f64`.
    pub fn reference(&self) -> Results {
        self.reference_at(self.op, |_, _, value| value)
    }

    /// The results of the reference at any number, made from argument, place and value.
    fn reference_at<T: Num>(
        &self,
        op: &(impl Reference<T> + ?Sized),
        number: impl Fn(usize, usize, f64) -> T,
    ) -> Results<T> {
        let read = |(a, values): (usize, &Vec<f64>)| -> Vec<T> {
            values.iter().enumerate().map(|(i, &v)| number(a, i, v)).collect()
        };
        let args: Vec<Vec<T>> = self.args.iter().enumerate().map(read).collect();
        let args = self.views(&args);
        let dy: Vec<T> = self.dy.iter().map(|&v| T::num(v)).collect();
        let mut outs = self.outputs(T::num(f64::NAN));
        let mut dargs = self.gradients(T::zero());
        op.forward(&args, &mut slices(&mut outs));
        op.vjp(&args, &dy, &mut slices(&mut dargs));
        Results::new(outs, dargs)
    }

    /// The results of the fast path, from buffers that hold rubbish; asserts that a gradient does
    /// not depend on which others are wanted, and that a second pass adds to the first.
    pub fn fast(&self) -> Results {
        let narrow = |x: &Vec<f64>| x.iter().map(|&v| v as f32).collect::<Vec<f32>>();
        let args: Vec<Vec<f32>> = self.args.iter().map(narrow).collect();
        let (args, dy) = (self.views(&args), narrow(&self.dy));
        let mut outs = self.outputs(f32::NAN);
        let mut saved = vec![f32::NAN; self.op.saved(&self.shapes)];
        let mut scratch = vec![f32::NAN; self.op.scratch(&self.shapes)];
        Fast::forward(self.op, &args, &mut slices(&mut outs), &mut saved, &mut scratch);
        let mut vjp = |dargs: &mut [Vec<f32>]| {
            scratch.fill(f32::NAN);
            let mut dargs: Vec<Grad> = dargs.iter_mut().map(|d| Grad::onto(d)).collect();
            Fast::vjp(self.op, &args, &dy, &saved, &mut dargs, &mut scratch);
        };
        let mut dargs: Vec<Vec<f32>> = self.gradients(0.0);
        vjp(&mut dargs);
        for wanted in 0..dargs.len() {
            let mut alone: Vec<Vec<f32>> = vec![Vec::new(); dargs.len()];
            alone[wanted] = vec![0.0; dargs[wanted].len()];
            vjp(&mut alone);
            let bits = |x: &[f32]| x.iter().map(|v| v.to_bits()).collect::<Vec<u32>>();
            assert_eq!(bits(&alone[wanted]), bits(&dargs[wanted]), "{:?}", self.op);
        }
        let mut twice = dargs.clone();
        vjp(&mut twice);
        for (once, twice) in dargs.iter().zip(&twice) {
            // A sum that goes on from the first one rounds as the largest of its terms does.
            let largest = once.iter().fold(1.0f32, |m, v| m.max(v.abs()));
            for (once, twice) in once.iter().zip(twice) {
                let close = (twice - 2.0 * once).abs() <= 1e-4 * largest;
                assert!(close || once.is_nan(), "{:?}: {once}, then {twice}", self.op);
            }
        }
        let widen = |x: Vec<Vec<f32>>| -> Vec<Vec<f64>> {
            x.iter().map(|x| x.iter().map(|&v| f64::from(v)).collect()).collect()
        };
        Results::new(widen(outs), widen(dargs))
    }

    /// Asserts that the fast path is as near to the reference as honest `f32` arithmetic is: within
    /// a multiple of the spread of readings of the reference that round at random, number by number.
    pub fn within_budget(&self) {
        let (exact, fast) = (self.reference(), self.fast());
        let readings: Vec<Results<Wobble>> = (0..READINGS)
            .map(|seed| {
                Wobble::seed(seed);
                self.reference_at(self.op, |_, _, value| Wobble(value))
            })
            .collect();
        for (t, (exact, fast)) in exact.tensors().zip(fast.tensors()).enumerate() {
            let readings: Vec<_> =
                readings.iter().map(|r| r.tensors().nth(t).expect("a tensor")).collect();
            for (i, (exact, fast)) in exact.iter().zip(fast).enumerate() {
                let spread = readings.iter().map(|r| (r[i].0 - exact).abs()).fold(0.0, f64::max);
                let unit = UNIT * exact.abs() + f64::from(f32::MIN_POSITIVE);
                let bound = BUDGET * (spread + unit);
                assert!(
                    (exact - fast).abs() <= bound,
                    "{:?} of {:?}: tensor {t}, element {i} is {fast:e}, not {exact:e} ± {bound:e}",
                    self.op,
                    self.shapes
                );
            }
        }
    }

    /// Asserts that the fast path is within so many units of the reference, measured at the
    /// largest element of each tensor, and returns the reference.
    pub fn agrees(&self, units: f64) -> Results {
        let (exact, fast) = (self.reference(), self.fast());
        let pairs = std::iter::once((&exact.y, &fast.y)).chain(exact.dargs.iter().zip(&fast.dargs));
        for (exact, fast) in pairs {
            let largest = exact.iter().fold(1.0, |m: f64, v| m.max(v.abs()));
            for (i, (exact, fast)) in exact.iter().zip(fast).enumerate() {
                let error = (exact - fast).abs() / (largest * UNIT);
                assert!(
                    error <= units,
                    "{:?} of {:?}: element {i} is {fast}, not {exact}: {error} units",
                    self.op,
                    self.shapes
                );
            }
        }
        exact
    }

    /// Asserts that the gradients of the reference are the slopes of its forward pass.
    pub fn slopes_agree(&self) {
        let exact = self.reference();
        let mut rng = Rng::new(2);
        for (index, gradient) in exact.dargs.iter().enumerate() {
            let direction: Vec<f64> = gradient.iter().map(|_| rng.normal()).collect();
            let step = 1e-5;
            let along = |t: f64| {
                let mut args = self.args.clone();
                for (x, d) in args[index].iter_mut().zip(&direction) {
                    *x += t * d;
                }
                let mut y = vec![0.0; self.dy.len()];
                super::Reference::<f64>::forward(self.op, &self.views(&args), &mut [&mut y]);
                y.iter().zip(&self.dy).map(|(y, dy)| y * dy).sum::<f64>()
            };
            let slope = (along(step) - along(-step)) / (2.0 * step);
            let stated: f64 = gradient.iter().zip(&direction).map(|(g, d)| g * d).sum();
            let scale: f64 = gradient.iter().map(|g| g * g).sum::<f64>().sqrt() + 1.0;
            assert!(
                (slope - stated).abs() < 1e-7 * scale,
                "{:?}, argument {index}: slope {slope}, stated {stated}",
                self.op
            );
        }
    }

    fn outputs<T: Clone>(&self, start: T) -> Vec<Vec<T>> {
        self.op.outputs(&self.shapes).iter().map(|s| vec![start.clone(); s.len()]).collect()
    }

    fn views<'b, T>(&self, args: &'b [Vec<T>]) -> Vec<View<'b, T>> {
        self.shapes.iter().zip(args).map(|(&shape, data)| View::new(shape, data)).collect()
    }

    fn gradients<T: Copy>(&self, start: T) -> Vec<Vec<T>> {
        let wanted =
            |kind: Kind, shape: &Shape| if kind.differentiable() { shape.len() } else { 0 };
        let args = self.op.args().iter().zip(&self.shapes);
        args.map(|(arg, shape)| vec![start; wanted(arg.kind, shape)]).collect()
    }
}

fn slices<T>(tensors: &mut [Vec<T>]) -> Vec<&mut [T]> {
    tensors.iter_mut().map(|tensor| tensor.as_mut_slice()).collect()
}

/// Sizes at and around the widths of registers and blocks.
pub const SIZES: [usize; 8] = [1, 2, 15, 16, 17, 63, 64, 65];
