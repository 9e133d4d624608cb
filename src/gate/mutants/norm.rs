//! Sums and moments in the forms that right and wrong norms have them in.

use crate::check::spec::operator::{Problem, View};
use crate::check::tensor::Dtype;
use crate::num::Num;

/// What follows the operator's prefix in the name of a mutation: `welford` of `ln_welford`.
pub fn form(id: &str) -> &str {
    id.split_once('_').map_or("", |(_, form)| form)
}

/// Σ terms, in the order that a form says.
pub fn sum<R: Num>(terms: &[R], form: &str) -> R {
    let plain = |terms: &mut dyn Iterator<Item = R>| {
        let mut sum = R::zero();
        terms.for_each(|term| sum += term);
        sum
    };
    match form {
        "reversed" => plain(&mut terms.iter().rev().copied()),
        "pairwise" if terms.len() > 2 => {
            let (left, right) = terms.split_at(terms.len() / 2);
            sum(left, form) + sum(right, form)
        }
        "lanes8" => lanes::<R, 8>(terms),
        "lanes16" => lanes::<R, 16>(terms),
        "wide" => R::num(terms.iter().map(|term| term.value()).sum()),
        "sum16" => terms.iter().fold(R::zero(), |sum, &term| (sum + term).narrow(Dtype::Bf16)),
        _ => plain(&mut terms.iter().copied()),
    }
}

fn lanes<R: Num, const N: usize>(terms: &[R]) -> R {
    let mut lanes = [R::zero(); N];
    for chunk in terms.chunks(N) {
        lanes.iter_mut().zip(chunk).for_each(|(lane, &term)| *lane += term);
    }
    let mut width = N;
    while width > 1 {
        width /= 2;
        for i in 0..width {
            let upper = lanes[i + width];
            lanes[i] += upper;
        }
    }
    lanes[0]
}

/// Mean and biased variance.
pub fn moments<R: Num>(x: &[R], form: &str) -> (R, R) {
    let n = R::count(x.len());
    match form {
        "welford" => welford(x),
        "chunked" => chunked(x),
        "one_pass" | "clipped" => {
            let mean = sum(x, form) / n;
            let var = sum(&x.iter().map(|&x| x * x).collect::<Vec<R>>(), form) / n - mean * mean;
            (mean, if form == "clipped" { var.larger(R::zero()) } else { var })
        }
        _ => {
            let mean = sum(x, form) / n;
            let squares: Vec<R> = x.iter().map(|&x| (x - mean) * (x - mean)).collect();
            (mean, sum(&squares, form) / n)
        }
    }
}

/// Welford's update, one element at a time (Welford 1962).
fn welford<R: Num>(x: &[R]) -> (R, R) {
    let (mut mean, mut squares) = (R::zero(), R::zero());
    for (i, &x) in x.iter().enumerate() {
        let delta = x - mean;
        mean += delta / R::count(i + 1);
        squares += delta * (x - mean);
    }
    (mean, squares / R::count(x.len()))
}

/// Welford's update in chunks of 16, merged (Chan, Golub & LeVeque 1979).
fn chunked<R: Num>(x: &[R]) -> (R, R) {
    let (mut mean, mut squares, mut count) = (R::zero(), R::zero(), 0);
    for chunk in x.chunks(16) {
        let (own, var) = welford(chunk);
        let (a, b) = (R::count(count), R::count(chunk.len()));
        let delta = own - mean;
        mean += delta * (b / (a + b));
        squares += var * b + delta * delta * (a * (b / (a + b)));
        count += chunk.len();
    }
    (mean, squares / R::count(x.len()))
}

/// 1/√v.
pub fn rsqrt<R: Num>(v: R, form: &str) -> R {
    match form {
        // Correctly rounded in f32, to one unit in f64.
        "power" => R::num(v.value().powf(-0.5)),
        // As an instruction of 12 bits, without the step of Newton that belongs after it.
        "fast_rsqrt" => R::num(1.0 - 2f64.powi(-12)) / v.sqrt(),
        _ => R::one() / v.sqrt(),
    }
}

/// a·b + c in one rounding.
pub fn fused<R: Num>(a: R, b: R, c: R) -> R {
    R::num(a.value().mul_add(b.value(), c.value()))
}

/// Σ over rows at each column, of terms that are row-major; in blocks of rows, of which each is
/// summed apart.
pub fn columns<R: Num>(terms: &[R], cols: usize, block: usize) -> Vec<R> {
    let mut total = vec![R::zero(); cols];
    for block in terms.chunks(cols * block) {
        let mut part = vec![R::zero(); cols];
        for row in block.chunks_exact(cols) {
            part.iter_mut().zip(row).for_each(|(sum, &term)| *sum += term);
        }
        total.iter_mut().zip(part).for_each(|(sum, part)| *sum += part);
    }
    total
}

/// The same, of which every term and every partial sum is stored in the dtype of the call.
pub fn columns_stored<R: Num>(terms: &[R], cols: usize, dtype: Dtype) -> Vec<R> {
    let mut total = vec![R::zero(); cols];
    for row in terms.chunks_exact(cols) {
        total
            .iter_mut()
            .zip(row)
            .for_each(|(sum, &term)| *sum = (*sum + term.narrow(dtype)).narrow(dtype));
    }
    total
}

/// The values of a tensor, `none` where it is absent.
pub fn or<R: Num>(p: &Problem<R>, name: &str, count: usize, none: f64) -> Vec<R> {
    p.opt(name).map_or_else(|| vec![R::num(none); count], |view: &View<R>| view.data.clone())
}
