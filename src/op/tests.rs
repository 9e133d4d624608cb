//! Checks that every operator of the registry passes, whatever it computes.
//!
//! The reference's vjp is compared with its own derivative at dual numbers; the fast path is
//! compared with the reference, each output within a multiple of its own unit of rounding error,
//! measured by reading the reference at numbers that round at random.

use super::*;
use crate::rng::Rng;

/// Rows and columns around the edges of the lanes.
const SIZES: [(usize, usize); 10] =
    [(1, 1), (3, 1), (2, 2), (3, 15), (2, 16), (3, 17), (2, 63), (3, 64), (2, 65), (3, 257)];

/// Readings at random rounding per output, and multiples of their spread that are allowed.
const READINGS: u64 = 12;
const BUDGET: f64 = 6.0;

/// A problem: values for the arguments of an operator, representable in `f32`.
pub(crate) struct Problem {
    pub shapes: Vec<Shape>,
    pub values: Vec<Vec<f64>>,
}

impl Problem {
    /// Normal values in what is learned or differentiated, legal ones elsewhere.
    fn draw(op: &dyn Op, rows: usize, cols: usize, rng: &mut Rng) -> Self {
        let shapes = op.example(rows, cols);
        let draw = |arg: &Arg, rng: &mut Rng| match arg.kind {
            Kind::Real | Kind::Weight => rng.normal(),
            Kind::State if arg.name.ends_with("var") => rng.normal().abs() + 0.1,
            Kind::State => rng.normal(),
            Kind::Index => rng.below(op.index_limit(&shapes)) as f64,
            Kind::Mask => f64::from(rng.below(4) > 0),
            Kind::Clock => 0.0,
        };
        let values = op
            .args()
            .iter()
            .zip(&shapes)
            .map(|(arg, shape)| (0..shape.len()).map(|_| draw(arg, rng) as f32 as f64).collect())
            .collect();
        Problem { shapes, values }
    }

    fn read<T: Num>(&self, number: impl Fn(usize, usize, f64) -> T) -> Vec<Vec<T>> {
        let argument = |(a, values): (usize, &Vec<f64>)| {
            values.iter().enumerate().map(|(i, &v)| number(a, i, v)).collect()
        };
        self.values.iter().enumerate().map(argument).collect()
    }

    fn views<'a, T>(&self, values: &'a [Vec<T>]) -> Vec<View<'a, T>> {
        self.shapes.iter().zip(values).map(|(&shape, v)| View::new(shape, v)).collect()
    }
}

fn slices<T>(buffers: &mut [Vec<T>]) -> Vec<&mut [T]> {
    buffers.iter_mut().map(|b| b.as_mut_slice()).collect()
}

/// Outputs of the reference at some number.
pub(crate) fn reference_forward<T: Num>(
    op: &(impl Reference<T> + Op + ?Sized),
    problem: &Problem,
    number: impl Fn(usize, usize, f64) -> T,
) -> Vec<Vec<T>> {
    let values = problem.read(number);
    let mut outs: Vec<Vec<T>> =
        op.outputs(&problem.shapes).iter().map(|s| vec![T::num(f64::NAN); s.len()]).collect();
    Reference::<T>::forward(op, &problem.views(&values), &mut slices(&mut outs));
    outs
}

/// Gradients of the reference at some number; empty where there is no gradient.
pub(crate) fn reference_vjp<T: Num>(
    op: &(impl Reference<T> + Op + ?Sized),
    problem: &Problem,
    dy: &[f64],
    number: impl Fn(usize, usize, f64) -> T,
) -> Vec<Vec<T>> {
    let values = problem.read(number);
    let dy: Vec<T> = dy.iter().map(|&v| T::num(v)).collect();
    let mut dargs: Vec<Vec<T>> = empty_gradients(op, problem, T::zero());
    Reference::<T>::vjp(op, &problem.views(&values), &dy, &mut slices(&mut dargs));
    dargs
}

fn empty_gradients<T: Copy>(op: &(impl Op + ?Sized), problem: &Problem, zero: T) -> Vec<Vec<T>> {
    let len = |(arg, shape): (&Arg, &Shape)| {
        vec![zero; if arg.kind.differentiable() { shape.len() } else { 0 }]
    };
    op.args().iter().zip(&problem.shapes).map(len).collect()
}

/// Outputs and gradients of the fast path, in buffers that start as NaN where it must overwrite.
pub(crate) fn fast(
    op: &(impl Op + ?Sized),
    problem: &Problem,
    dy: &[f64],
) -> (Vec<Vec<f32>>, Vec<Vec<f32>>) {
    let values = problem.read(|_, _, v| v as f32);
    let views = problem.views(&values);
    let dy: Vec<f32> = dy.iter().map(|&v| v as f32).collect();
    let mut outs: Vec<Vec<f32>> =
        op.outputs(&problem.shapes).iter().map(|s| vec![f32::NAN; s.len()]).collect();
    let mut saved = vec![f32::NAN; op.saved(&problem.shapes)];
    let mut scratch = vec![f32::NAN; op.scratch(&problem.shapes)];
    Fast::forward(op, &views, &mut slices(&mut outs), &mut saved, &mut scratch);
    let mut dargs = empty_gradients(op, problem, 0.0f32);
    scratch.fill(f32::NAN);
    Fast::vjp(op, &views, &dy, &saved, &mut slices(&mut dargs), &mut scratch);

    // A gradient that nobody wants changes no other.
    for unwanted in 0..dargs.len() {
        let mut others = empty_gradients(op, problem, 0.0f32);
        others[unwanted].clear();
        Fast::vjp(op, &views, &dy, &saved, &mut slices(&mut others), &mut scratch);
        for (a, (got, want)) in others.iter().zip(&dargs).enumerate() {
            assert!(a == unwanted || same_bits(got, want), "{op:?} without gradient {unwanted}");
        }
    }
    // A second call adds.
    let mut twice = dargs.clone();
    Fast::vjp(op, &views, &dy, &saved, &mut slices(&mut twice), &mut scratch);
    for (twice, once) in twice.iter().flatten().zip(dargs.iter().flatten()) {
        let close = (twice - 2.0 * once).abs() <= 1e-4 * (1.0 + once.abs()) * problem.len() as f32;
        assert!(close || once.is_nan(), "{op:?}: {once} became {twice}");
    }
    (outs, dargs)
}

impl Problem {
    fn len(&self) -> usize {
        self.shapes.iter().map(Shape::len).sum()
    }
}

fn same_bits(a: &[f32], b: &[f32]) -> bool {
    a.len() == b.len() && a.iter().zip(b).all(|(a, b)| a.to_bits() == b.to_bits())
}

/// Asserts that every `got` is within the budget that random roundings of the reference set it.
fn within_budget(what: &str, got: &[Vec<f32>], truth: &[Vec<f64>], readings: &[Vec<Vec<Wobble>>]) {
    for (a, (got, truth)) in got.iter().zip(truth).enumerate() {
        assert_eq!(got.len(), truth.len(), "{what} {a}");
        for (i, (&got, &truth)) in got.iter().zip(truth).enumerate() {
            let spread = readings.iter().map(|r| (r[a][i].0 - truth).abs()).fold(0.0f64, f64::max);
            let unit = f64::from(f32::EPSILON) * truth.abs() + f64::from(f32::MIN_POSITIVE);
            let bound = BUDGET * spread + 3.0 * unit;
            let error = (f64::from(got) - truth).abs();
            assert!(
                error <= bound,
                "{what} {a}[{i}] = {got:e}, not {truth:e}: {error:e} > {bound:e}"
            );
        }
    }
}

/// Fast against reference, forward and vjp, for one problem.
pub(crate) fn agree(op: &dyn Op, problem: &Problem, dy: &[f64]) {
    let plain = |_: usize, _: usize, v: f64| v;
    let wobbly = |_: usize, _: usize, v: f64| Wobble(v);
    let (outs, dargs) = fast(op, problem, dy);
    let (mut forward, mut vjp) = (Vec::new(), Vec::new());
    for seed in 0..READINGS {
        Wobble::seed(seed);
        forward.push(reference_forward(op, problem, wobbly));
        vjp.push(reference_vjp(op, problem, dy, wobbly));
    }
    let what = format!("{op:?} at {:?}:", problem.shapes);
    within_budget(
        &format!("{what} output"),
        &outs,
        &reference_forward(op, problem, plain),
        &forward,
    );
    within_budget(
        &format!("{what} gradient"),
        &dargs,
        &reference_vjp(op, problem, dy, plain),
        &vjp,
    );
}

fn upstream(op: &dyn Op, problem: &Problem, rng: &mut Rng) -> Vec<f64> {
    let len = op.outputs(&problem.shapes)[0].len();
    (0..len).map(|_| rng.normal() as f32 as f64).collect()
}

#[test]
fn fast_agrees_with_reference() {
    for op in all() {
        let mut rng = Rng::new(1).named(op.id());
        for (rows, cols) in SIZES {
            let problem = Problem::draw(&*op, rows, cols, &mut rng);
            let dy = upstream(&*op, &problem, &mut rng);
            agree(&*op, &problem, &dy);
        }
    }
}

#[test]
fn reference_vjp_is_the_derivative() {
    for op in all() {
        let mut rng = Rng::new(2).named(op.id());
        for (rows, cols) in SIZES {
            let problem = Problem::draw(&*op, rows, cols, &mut rng);
            let dy = upstream(&*op, &problem, &mut rng);
            let dargs = reference_vjp(&*op, &problem, &dy, |_, _, v| v);
            let directions: Vec<Vec<f64>> =
                dargs.iter().map(|d| d.iter().map(|_| rng.normal()).collect()).collect();
            let direction = |a: usize, i: usize| directions[a].get(i).copied().unwrap_or(0.0);
            let y = reference_forward(&*op, &problem, |a, i, v| Dual::new(v, direction(a, i)));

            let terms = || y[0].iter().zip(&dy).map(|(y, dy)| y.d * dy);
            let derivative: f64 = terms().sum();
            let adjoint: f64 =
                dargs.iter().flatten().zip(directions.iter().flatten()).map(|(d, v)| d * v).sum();
            let scale = 1e-300 + terms().map(f64::abs).sum::<f64>();
            assert!(
                (derivative - adjoint).abs() <= 1e-12 * scale,
                "{op:?} at {:?}: {derivative} against {adjoint}",
                problem.shapes
            );
        }
    }
}
