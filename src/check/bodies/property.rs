//! One function per [`Property`], for both bodies of an operator.
//!
//! A property compares two calls, each of which may be off by its own budget, so what it compares may
//! be off by the sum. For that to be all, what is done to the arguments must be exact: activations
//! are first rounded to 12 bits below their largest element, so that sums of and products with
//! small whole numbers are representable in `f32`.

use super::{Budget, Case, Path, Results, Subject, Verdict};
use crate::op::{Arg, Kind, Op, Property, Shape};
use crate::rng::Rng;

/// Checks one property on a problem whose activations it replaces by coarser ones.
pub fn holds(stated: Property, op: &dyn Op, case: &Case) -> Verdict {
    let case = &coarse(op, case);
    match stated {
        Property::ShiftInvariant => shift_invariant(op, case),
        Property::ScaleInvariant => scale_invariant(op, case),
        Property::Odd => odd(op, case),
        Property::PermutationEquivariant => permutation_equivariant(op, case),
        Property::RowIndependent => row_independent(op, case),
        Property::Linear => linear(op, case),
        Property::RowsSumToOne => rows_sum_to_one(op, case),
        Property::Causal => causal(op, case),
    }
}

/// A problem, its budget, and what both bodies make of it.
struct Call {
    budget: Budget,
    results: [Results; 2],
}

impl Call {
    fn new(op: &dyn Op, case: &Case) -> Call {
        Call {
            budget: Budget::measure(op, case),
            results: Path::ALL.map(|path| path.run(op, case)),
        }
    }

    /// Outputs, then gradients, of one body.
    fn tensors(&self, path: Path) -> Vec<&Vec<f64>> {
        let results = &self.results[path as usize];
        results.outs.iter().chain(&results.grads).collect()
    }

    fn allowed(&self) -> Vec<&Vec<f64>> {
        self.budget.allowed.outs.iter().chain(&self.budget.allowed.grads).collect()
    }
}

/// An element of a tensor of the other call, and the factor that it is multiplied by.
type Place = (usize, f64);

/// Compares the tensors of two calls, element i of the one with `place(tensor, i)` of the other.
fn compare(
    (op, case, check): (&dyn Op, &Case, &str),
    [one, other]: [&Call; 2],
    tensors: impl Iterator<Item = usize> + Clone,
    place: impl Fn(usize, usize) -> Place,
) -> Verdict {
    for path in Path::ALL {
        let subject = Subject { op, case, check, path };
        for t in tensors.clone() {
            let element = |i: usize| {
                let (at, factor) = place(t, i);
                let allowed = one.allowed()[t][i] + factor.abs() * other.allowed()[t][at];
                let want = factor * other.tensors(path)[t][at];
                (one.tensors(path)[t][i], want, path.unit() * allowed)
            };
            subject.compare(&format!("tensor {t}"), one.tensors(path)[t].len(), element)?;
        }
    }
    Ok(())
}

/// Rounds the activations, and what a property is about, to 12 bits below the largest element of each.
fn coarse(op: &dyn Op, case: &Case) -> Case {
    let mut case = case.clone();
    for (index, (arg, values)) in op.args().iter().zip(&mut case.values).enumerate() {
        if arg.kind == Kind::Real || (arg.kind == Kind::Weight && index == 0) {
            round_below(largest(values), values);
        }
    }
    case
}

fn largest(values: &[f64]) -> f64 {
    values.iter().fold(0.0, |m, v| m.max(v.abs()))
}

fn round_below(largest: f64, values: &mut [f64]) {
    let step = power_of_two(largest) * 2f64.powi(-11);
    values.iter_mut().for_each(|v| *v = (*v / step).round() * step);
}

/// The power of two at or below a magnitude; 1 for 0.
fn power_of_two(magnitude: f64) -> f64 {
    if magnitude == 0.0 { 1.0 } else { 2f64.powf(magnitude.log2().floor()) }
}

/// f(x + c·1) = f(x), row by row with another c, and rows of dx sum to 0.
pub fn shift_invariant(op: &dyn Op, case: &Case) -> Verdict {
    let mut shifted = case.clone();
    let (unit, cols) = (power_of_two(largest(&case.values[0])), case.shapes[0].cols());
    for (i, row) in shifted.values[0].chunks_mut(cols).enumerate() {
        let shift = unit * [8.0, -5.0, 3.0, 1.0][i % 4];
        row.iter_mut().for_each(|v| *v += shift);
    }
    let calls = [&Call::new(op, &shifted), &Call::new(op, case)];
    let all = 0..calls[0].allowed().len();
    compare((op, &shifted, "shift invariance"), calls, all, |_, i| (i, 1.0))?;
    orthogonal(op, case, calls[1], "rows of dx sum to 0", &vec![1.0; case.values[0].len()])
}

/// ⟨direction, dx⟩ = 0 row by row: off by no more than the budget of dx along the direction.
fn orthogonal(op: &dyn Op, case: &Case, call: &Call, check: &str, direction: &[f64]) -> Verdict {
    let cols = case.shapes[0].cols();
    for path in Path::ALL {
        let dx = &call.results[path as usize].grads[0];
        let row = |v: &[f64], i: usize| -> f64 {
            let places = i * cols..(i + 1) * cols;
            places.map(|j| v[j] * direction[j]).sum()
        };
        let magnitude: Vec<f64> = (0..dx.len())
            .map(|j| call.budget.allowed.grads[0][j] * path.unit() * direction[j].signum())
            .collect();
        let subject = Subject { op, case, check, path };
        let element = |i: usize| (row(dx, i), 0.0, row(&magnitude, i));
        subject.compare("row", dx.len() / cols, element)?;
    }
    Ok(())
}

/// f(a·x) = f(x) for a > 0, and a·dx(a·x) = dx(x), where x is so large that eps is below the
/// rounding of its square; and ⟨x, dx⟩ = 0, for a shift-invariant operator ⟨x − mean, dx⟩ = 0.
pub fn scale_invariant(op: &dyn Op, case: &Case) -> Verdict {
    const FACTOR: f64 = 24.0;
    let mut small = case.clone();
    // 2²⁴ squared is 2⁴⁸, against which an eps of 10⁻⁵ is below 2⁻⁶⁴. A row whose spread is far
    // below its largest element is not large against eps, and is drawn anew.
    let cols = case.shapes[0].cols();
    let mut rng = Rng::new(cols as u64).named("scale");
    for row in small.values[0].chunks_mut(cols) {
        row.iter_mut().for_each(|v| *v = (rng.normal() * 512.0).round() * 2f64.powi(15));
        row[0] += 2f64.powi(25);
    }
    let mut scaled = small.clone();
    scaled.values[0].iter_mut().for_each(|v| *v *= FACTOR);
    let calls = [&Call::new(op, &scaled), &Call::new(op, &small)];
    let dx = calls[0].results[0].outs.len();
    let all = 0..calls[0].allowed().len();
    let factor = |t: usize, i: usize| (i, if t == dx { 1.0 / FACTOR } else { 1.0 });
    compare((op, &scaled, "scale invariance"), calls, all, factor)?;
    let mut direction = small.values[0].clone();
    if op.properties().contains(&Property::ShiftInvariant) {
        for row in direction.chunks_mut(cols) {
            let mean = row.iter().sum::<f64>() / cols as f64;
            row.iter_mut().for_each(|v| *v -= mean);
        }
    }
    orthogonal(op, &small, calls[1], "rows of dx are orthogonal to x", &direction)
}

/// f(−x) = −f(x) without bias, and dx(−x) = dx(x).
pub fn odd(op: &dyn Op, case: &Case) -> Verdict {
    let case = &unbiased(op, case);
    let mut negative = case.clone();
    negative.values[0].iter_mut().for_each(|v| *v = -*v);
    let calls = [&Call::new(op, &negative), &Call::new(op, case)];
    let dx = calls[0].results[0].outs.len();
    let sign = |t: usize, i: usize| (i, if t == 0 { -1.0 } else { 1.0 });
    compare((op, &negative, "oddness"), calls, [0, dx].into_iter(), sign)
}

/// The problem with its bias absent, or 0 where it may not be.
fn unbiased(op: &dyn Op, case: &Case) -> Case {
    let mut case = case.clone();
    for (index, arg) in op.args().iter().enumerate().filter(|(_, arg)| arg.name == "bias") {
        if arg.optional {
            case = case.without(index);
        } else {
            case.values[index].fill(0.0);
        }
    }
    case
}

/// Permuting the columns of x and of what has a number per column permutes y and the gradients.
pub fn permutation_equivariant(op: &dyn Op, case: &Case) -> Verdict {
    let cols = case.shapes[0].cols();
    let mut order: Vec<usize> = (0..cols).collect();
    let mut rng = Rng::new(cols as u64).named("order");
    (1..cols).rev().for_each(|i| order.swap(i, rng.below(i + 1)));

    let turns = |shape: Shape| !shape.is_empty() && shape.cols() == cols;
    let source = |i: usize| i / cols * cols + order[i % cols];
    let permute = |v: &[f64]| (0..v.len()).map(|i| v[source(i)]).collect::<Vec<f64>>();
    let argument_turns = |arg: &Arg, shape: Shape| {
        turns(shape) && matches!(arg.kind, Kind::Real | Kind::Weight | Kind::State)
    };
    let outputs = op.outputs(&case.shapes);
    let mut permuted = case.clone();
    let mut moves: Vec<bool> = outputs.iter().map(|&shape| turns(shape)).collect();
    for (index, arg) in op.args().iter().enumerate() {
        moves.push(argument_turns(arg, case.shapes[index]));
        if argument_turns(arg, case.shapes[index]) {
            permuted.values[index] = permute(&case.values[index]);
        }
    }
    if moves[0] {
        permuted.dy = permute(&case.dy);
    }
    let calls = [&Call::new(op, &permuted), &Call::new(op, case)];
    let place = |t: usize, i: usize| (if moves[t] { source(i) } else { i }, 1.0);
    let check = "equivariance under permutations";
    compare((op, &permuted, check), calls, 0..moves.len(), place)
}

/// What happens to row r of x and of dy changes no bit of another row of y and of dx.
pub fn row_independent(op: &dyn Op, case: &Case) -> Verdict {
    let cols = case.shapes[0].cols();
    let rows = case.shapes[0].rows();
    let changed_row = rows / 2;
    let mut changed = case.clone();
    for j in changed_row * cols..(changed_row + 1) * cols {
        changed.values[0][j] = 3.0 - 2.0 * changed.values[0][j] + (j % 5) as f64;
        changed.dy[j] = -changed.dy[j] - 1.0;
    }
    for path in Path::ALL {
        let (before, after) = (path.run(op, case), path.run(op, &changed));
        let subject = Subject { op, case, check: "independence of rows", path };
        let pairs =
            [("y", &after.outs[0], &before.outs[0]), ("dx", &after.grads[0], &before.grads[0])];
        for (name, after, before) in pairs {
            let kept = |i: usize| i / cols == changed_row;
            let element = |i: usize| (if kept(i) { before[i] } else { after[i] }, before[i], 0.0);
            subject.compare(name, before.len(), element)?;
        }
    }
    Ok(())
}

/// f(3x − z/2) = 3f(x) − f(z)/2 in the first argument without bias, and dx is the same everywhere.
pub fn linear(op: &dyn Op, case: &Case) -> Verdict {
    const FACTORS: [f64; 2] = [3.0, -0.5];
    let case = &unbiased(op, case);
    let (mut second, mut sum) = (case.clone(), case.clone());
    let (unit, mut rng) = (largest(&case.values[0]), Rng::new(case.len() as u64).named("linear"));
    second.values[0].iter_mut().for_each(|v| *v = unit * (2.0 * rng.uniform() - 1.0));
    round_below(unit, &mut second.values[0]);
    let both = case.values[0].iter().zip(&second.values[0]);
    sum.values[0] = both.map(|(x, z)| FACTORS[0] * x + FACTORS[1] * z).collect();

    let [x, z, sum_call] = [case, &second, &sum].map(|case| Call::new(op, case));
    for path in Path::ALL {
        let subject = Subject { op, case, check: "linearity", path };
        let [x_y, z_y, y] = [&x, &z, &sum_call].map(|call| &call.results[path as usize].outs[0]);
        let bound = |call: &Call, i: usize| call.budget.allowed.outs[0][i];
        let element = |i: usize| {
            let allowed = bound(&sum_call, i)
                + FACTORS[0].abs() * bound(&x, i)
                + FACTORS[1].abs() * bound(&z, i);
            (y[i], FACTORS[0] * x_y[i] + FACTORS[1] * z_y[i], path.unit() * allowed)
        };
        subject.compare("y", y.len(), element)?;
    }
    let dx = x.results[0].outs.len();
    compare((op, case, "a linear map has one slope"), [&x, &z], dx..dx + 1, |_, i| (i, 1.0))
}

/// No element of y is negative, and rows of y sum to 1 as well as its elements are known.
pub fn rows_sum_to_one(op: &dyn Op, case: &Case) -> Verdict {
    let call = Call::new(op, case);
    let cols = case.shapes[0].cols();
    for path in Path::ALL {
        let y = &call.results[path as usize].outs[0];
        let subject = Subject { op, case, check: "rows sum to 1", path };
        subject.compare("y (not negative)", y.len(), |i| (y[i], y[i].max(0.0), 0.0))?;
        let row = |v: &[f64], i: usize| v[i * cols..(i + 1) * cols].iter().sum::<f64>();
        let allowed = |i: usize| path.unit() * row(&call.budget.allowed.outs[0], i);
        subject.compare("row", y.len() / cols, |i| (row(y, i), 1.0, allowed(i)))?;
    }
    Ok(())
}

/// What happens at place s of axis 1, counted from the end, changes no bit of y before s; and what
/// happens to dy before s changes no bit of a gradient from s on.
pub fn causal(op: &dyn Op, case: &Case) -> Verdict {
    let y_shape = op.outputs(&case.shapes)[0];
    let seq = y_shape.sizes()[1];
    for s in [1, seq / 2, seq.saturating_sub(1)] {
        let (mut future, mut past) = (case.clone(), case.clone());
        for (index, values) in future.values.iter_mut().enumerate() {
            if sequence(op, case, index) {
                let late = |i: usize| from_end(case.shapes[index], i) < seq - s.min(seq);
                let places = values.iter_mut().enumerate().filter(|(i, _)| late(*i));
                places.for_each(|(i, v)| *v = 1.5 - 0.5 * *v + (i % 3) as f64);
            }
        }
        let early = |i: usize| from_end(y_shape, i) >= seq - s.min(seq);
        let dy = past.dy.iter_mut().enumerate().filter(|(i, _)| early(*i));
        dy.for_each(|(i, dy)| *dy = 2.0 - *dy + (i % 3) as f64);
        for path in Path::ALL {
            let before = path.run(op, case);
            let subject = Subject { op, case, check: "causality", path };
            let (want, got) = (&before.outs[0], &path.run(op, &future).outs[0]);
            let element = |i: usize| (if early(i) { got[i] } else { want[i] }, want[i], 0.0);
            subject.compare(&format!("y before {s}"), want.len(), element)?;
            let after = path.run(op, &past);
            for index in (0..case.shapes.len()).filter(|&index| sequence(op, case, index)) {
                let (want, got) = (&before.grads[index], &after.grads[index]);
                let late = |i: usize| from_end(case.shapes[index], i) < seq - s.min(seq);
                let element = |i: usize| (if late(i) { got[i] } else { want[i] }, want[i], 0.0);
                subject.compare(&format!("gradient {index} from {s} on"), want.len(), element)?;
            }
        }
    }
    Ok(())
}

/// Whether an argument is an activation of `[batch, seq, width]`.
fn sequence(op: &dyn Op, case: &Case, index: usize) -> bool {
    op.args()[index].kind == Kind::Real && case.shapes[index].sizes().len() == 3
}

/// How many places of axis 1 lie behind that of element `i`.
fn from_end(shape: Shape, i: usize) -> usize {
    let [_, seq, width] = *shape.sizes() else { panic!("{shape:?} is no [batch, seq, width]") };
    seq - 1 - i / width % seq
}
