//! `student_nll`: mean over all targets y of
//! s + ½ln νπ + ln Γ(½ν) − ln Γ(½ν + ½) + ½(ν + 1)·ln(1 + z²/ν) with z = (y − μ)·e^(−s) and
//! ν = 2 + ln(1 + e^r), of which μ, s and r stand side by side.
//!
//! With w = (ν + 1)/(ν + z²): dμ = −g·w·z·e^(−s)/n, ds = g·(1 − w·z²)/n,
//! dr = g·½(1/ν − ψ(½ν + ½) + ψ(½ν) + ln(1 + z²/ν) − w·z²/ν)·σ(r)/n.

use super::activation::sigmoid;
use super::binary_cross_entropy::softplus;
use super::case::Case;
use super::gaussian_nll::{WITHIN, standard};
use super::mean_loss::{self, AXES, UPSTREAM};
use super::operator::{Axis, Formula, Named, Operator, Problem, Slot};
use crate::num::Num;

pub struct StudentNll;

impl Operator for StudentNll {
    fn name(&self) -> &'static str {
        "student_nll"
    }
    fn axes(&self) -> &'static [Axis] {
        AXES
    }
    fn slots(&self, case: &Case) -> Vec<Slot> {
        let targets = mean_loss::beside(case, 1, f64::INFINITY);
        mean_loss::slots(case, ("prediction", 3, mean_loss::beside(case, 3, WITHIN)), targets)
    }
    fn work(&self, case: &Case) -> usize {
        // Two gamma functions are some hundred products, of double-doubles more.
        256 * case.size("rows") * case.size("cols")
    }
    fn upstream(&self, _: &Case) -> (&'static str, Vec<usize>) {
        UPSTREAM
    }
    fn reach(&self, _: &Case, tensor: &str) -> Option<i32> {
        match tensor {
            // What is large is within the limit already.
            "prediction" => None,
            // z² is still a number, as is the sum of them all.
            "target" => Some(40),
            _ => Some(60),
        }
    }
}

/// B₂ⱼ of the series of ln Γ.
const BERNOULLI: [[f64; 2]; 12] = [
    [1.0, 6.0],
    [-1.0, 30.0],
    [1.0, 42.0],
    [-1.0, 30.0],
    [5.0, 66.0],
    [-691.0, 2730.0],
    [7.0, 6.0],
    [-3617.0, 510.0],
    [43_867.0, 798.0],
    [-174_611.0, 330.0],
    [854_513.0, 138.0],
    [-236_364_091.0, 2730.0],
];

/// Steps of the recurrence that the series stands behind.
const STEPS: usize = 8;

/// ln Γ(x) and ψ(x) for x ≥ 1, less ½ln 2π, which differences do not see, by Stirling's series
/// (Abramowitz & Stegun 6.1.40 and 6.3.18), good to 10⁻¹⁹ and less.
fn gamma<R: Num>(x: R) -> [R; 2] {
    let (mut product, mut poles) = (R::one(), R::zero());
    for i in 0..STEPS {
        product = product * (x + R::count(i));
        poles += R::one() / (x + R::count(i));
    }
    let x = x + R::count(STEPS);
    let (ln, half) = (x.ln(), R::num(0.5));
    let (mut value, mut slope) = ((x - half) * ln - x - product.ln(), ln - half / x - poles);
    let mut power = x;
    for (j, [above, below]) in (1..).zip(BERNOULLI) {
        let bernoulli = R::num(above) / R::num(below) / R::count(2 * j);
        value += bernoulli / R::count(2 * j - 1) / power;
        slope += -(bernoulli / power / x);
        power = power * x * x;
    }
    [value, slope]
}

/// z, e^(−s) and ν.
fn read<R: Num>([location, log_scale, r]: [R; 3], y: R) -> [R; 3] {
    let (rate, z) = standard(location, log_scale, y);
    [z, rate, R::num(2.0) + softplus(r)]
}

impl<R: Num> Formula<R> for StudentNll {
    fn forward(&self, p: &Problem<R>) -> Vec<Named<R>> {
        mean_loss::forward(p, "prediction", |numbers: [R; 3], y| {
            let (half, one) = (R::num(0.5), R::one());
            let [z, _, nu] = read(numbers, y);
            let ([low, _], [high, _]) = (gamma(half * nu), gamma(half * nu + half));
            // ½ln π in two parts, as a double-double has it.
            let constant = R::num(0.572_364_942_924_700_1) + R::num(5.132_975_581_353_913e-18);
            let tail = half * (nu + one) * (one + z * z / nu).ln();
            // As right is the logarithm of σ.
            let log_scale = numbers[1].loosened(1.0 + numbers[1].value().abs());
            R::sum([log_scale, half * nu.ln(), constant, low - high, tail])
        })
    }
    fn backward(&self, p: &Problem<R>) -> Vec<Named<R>> {
        mean_loss::backward(p, "prediction", |numbers: [R; 3], y| {
            let (half, one) = (R::num(0.5), R::one());
            let [z, rate, nu] = read(numbers, y);
            let w = (nu + one) / (nu + z * z);
            let ([_, low], [_, high]) = (gamma(half * nu), gamma(half * nu + half));
            let tail = (one + z * z / nu).ln() - w * z * z / nu;
            let dnu = half * (one / nu - (high - low) + tail);
            [-(w * z * rate), one - w * z * z, dnu * sigmoid(numbers[2])]
        })
    }
}
