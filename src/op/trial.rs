//! A problem of one operator with random or given values, for the unit tests.

use super::{Kind, Op, Shape, View};
use crate::rng::Rng;

/// The unit roundoff of `f32`.
const UNIT: f64 = 1.0 / (1 << 24) as f64;

/// Output and gradients of one pass forward and back.
#[derive(Debug)]
pub struct Results {
    /// The first output.
    pub y: Vec<f64>,
    /// The gradient of every argument, empty where there is none.
    pub dargs: Vec<Vec<f64>>,
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
    /// Normal values, random whole numbers and a random mask.
    pub fn new(op: &'a dyn Op, shapes: &[Shape]) -> Self {
        let mut rng = Rng::new(1).named(op.id());
        let limit = op.index_limit(shapes);
        let mut values = |kind, n| {
            let mut value = || match kind {
                Kind::Index => rng.below(limit) as f64,
                Kind::Mask => rng.below(2) as f64,
                _ => rng.normal() as f32 as f64,
            };
            (0..n).map(|_| value()).collect::<Vec<f64>>()
        };
        let args = op.args().iter().zip(shapes);
        let args = args.map(|(arg, shape)| values(arg.kind, shape.len())).collect();
        let dy = values(Kind::Real, op.outputs(shapes)[0].len());
        Trial { op, shapes: shapes.to_vec(), args, dy }
    }

    /// The results of the reference at `f64`.
    pub fn reference(&self) -> Results {
        let args = self.views(&self.args);
        let mut y = vec![f64::NAN; self.dy.len()];
        let mut dargs = self.gradients(0.0);
        super::Reference::<f64>::forward(self.op, &args, &mut [&mut y]);
        let mut slices: Vec<&mut [f64]> = dargs.iter_mut().map(|d| &mut d[..]).collect();
        super::Reference::<f64>::vjp(self.op, &args, &self.dy, &mut slices);
        Results { y, dargs }
    }

    /// The results of the fast path, from buffers that hold rubbish and gradients that hold ones.
    pub fn fast(&self) -> Results {
        let narrow = |x: &Vec<f64>| x.iter().map(|&v| v as f32).collect::<Vec<f32>>();
        let args: Vec<Vec<f32>> = self.args.iter().map(narrow).collect();
        let args = self.views(&args);
        let mut y = vec![f32::NAN; self.dy.len()];
        let mut saved = vec![f32::NAN; self.op.saved(&self.shapes)];
        let mut scratch = vec![f32::NAN; self.op.scratch(&self.shapes)];
        super::Fast::forward(self.op, &args, &mut [&mut y], &mut saved, &mut scratch);
        scratch.fill(f32::NAN);
        let dy = narrow(&self.dy);
        let mut dargs: Vec<Vec<f32>> = self.gradients(1.0);
        let mut slices: Vec<&mut [f32]> = dargs.iter_mut().map(|d| &mut d[..]).collect();
        super::Fast::vjp(self.op, &args, &dy, &saved, &mut slices, &mut scratch);
        // Nobody wants a gradient: nothing may be touched.
        let mut none: Vec<&mut [f32]> = args.iter().map(|_| Default::default()).collect();
        super::Fast::vjp(self.op, &args, &dy, &saved, &mut none, &mut scratch);
        let widen = |x: &[f32], start: f64| x.iter().map(|&v| v as f64 - start).collect();
        Results { y: widen(&y, 0.0), dargs: dargs.iter().map(|d| widen(d, 1.0)).collect() }
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

/// Sizes at and around the widths of registers and blocks.
pub const SIZES: [usize; 8] = [1, 2, 15, 16, 17, 63, 64, 65];
