//! −ln p of a target y under a Student distribution of location μ, log scale s = ln σ and ν degrees
//! of freedom, in nats, with z = (y − μ)·e^(−s):
//!
//! loss = s + ½ln νπ + ln Γ(½ν) − ln Γ(½ν + ½) + ½(ν + 1)·ln(1 + z²/ν)
//! (Lange, Little & Taylor 1989). With w = (ν + 1)/(ν + z²): dμ = −w·z·e^(−s), ds = 1 − w·z²,
//! dy = w·z·e^(−s), dν = ½(1/ν − ψ(½ν + ½) + ψ(½ν) + ln(1 + z²/ν) − w·z²/ν).
//! ν = 2 + ln(1 + e^r) of a third number r, so that there is a variance, as GluonTS has it
//! (Alexandrov et al. 2020, arXiv 1906.05264); dr = dν/(1 + e^(−r)).

use super::{half_step, mean, places, sort_gradients};
use crate::num::Num;
use crate::op::device::Kernels;
use crate::op::{Arg, Fast, Grad, Op, Reference, Shape, View};

/// ½ln π in two parts, as a double-double has it.
const HALF_LN_PI: [f64; 2] = [0.572_364_942_924_700_1, 5.132_975_581_353_913e-18];

/// The negative log-likelihood of Student distributions, in the mean over all targets.
///
/// The prediction has three numbers of every target in turn: location, log scale, and r, which the
/// degrees of freedom are made of.
#[derive(Debug, Clone, Copy)]
pub struct StudentNll;

impl StudentNll {
    /// Numbers that predict one target.
    pub const NUMBERS: usize = 3;
}

impl Op for StudentNll {
    fn id(&self) -> &'static str {
        "student_nll"
    }
    fn args(&self) -> &'static [Arg] {
        const ARGS: &[Arg] = &[Arg::real("prediction").in_exponent(), Arg::real("target")];
        ARGS
    }
    fn outputs(&self, args: &[Shape]) -> Vec<Shape> {
        super::scalar(args, Self::NUMBERS)
    }
    fn example(&self, rows: usize, cols: usize) -> Vec<Shape> {
        [Self::NUMBERS * cols, cols].map(|cols| Shape::new(&[rows, cols])).to_vec()
    }
    fn kernels(&self) -> Option<&dyn Kernels> {
        Some(self)
    }
}

/// ν of r, and its derivative.
fn degrees<T: Num>(r: T) -> (T, T) {
    let (half, one) = (T::num(0.5), T::one());
    let softplus = half * (r + r.abs()) + (one + (-r.abs()).exp()).ln();
    (T::num(2.0) + softplus, one / (one + (-r).exp()))
}

impl<T: Num> Reference<T> for StudentNll {
    fn forward(&self, args: &[View<T>], outs: &mut [&mut [T]]) {
        let (half, one) = (T::num(0.5), T::one());
        let mut sum = T::zero();
        for ([location, log_scale, r], y) in places(args) {
            let z = (y - location) * (-log_scale).exp();
            let (nu, _) = degrees(r);
            let [high, low] = HALF_LN_PI.map(T::num);
            let constant = half * nu.ln() + (high + low) - half_step::value(half * nu);
            sum += log_scale + constant + half * (nu + one) * (one + z * z / nu).ln();
        }
        outs[0][0] = sum / T::count(args[1].data.len());
    }

    fn vjp(&self, args: &[View<T>], dy: &[T], dargs: &mut [&mut [T]]) {
        let (half, one) = (T::num(0.5), T::one());
        let share = dy[0] / T::count(args[1].data.len());
        for (i, ([location, log_scale, r], y)) in places(args).enumerate() {
            let z = (y - location) * (-log_scale).exp();
            let (nu, dnu) = degrees(r);
            let w = (nu + one) / (nu + z * z);
            let slope = w * z * (-log_scale).exp();
            let spread = one / nu - half_step::slope(half * nu);
            let tail = (one + z * z / nu).ln() - w * z * z / nu;
            let slopes = [-slope, one - w * z * z, half * (spread + tail) * dnu];
            for (j, slope) in slopes.into_iter().enumerate() {
                if let Some(dprediction) = dargs[0].get_mut(3 * i + j) {
                    *dprediction += share * slope;
                }
            }
            if let Some(dtarget) = dargs[1].get_mut(i) {
                *dtarget += share * slope;
            }
        }
    }
}

/// A target in `f64`: one a place, beside all the features that a place has in a stack, so that
/// speed is nothing here.
#[derive(Debug, Clone, Copy)]
struct Place {
    /// e^(−s).
    rate: f64,
    z: f64,
    /// z²/ν.
    ratio: f64,
    nu: f64,
}

impl Place {
    fn new([location, log_scale, r]: [f32; 3], y: f32) -> Place {
        let rate = libm::exp(-f64::from(log_scale));
        let z = (f64::from(y) - f64::from(location)) * rate;
        let r = f64::from(r);
        let nu = 2.0 + r.max(0.0) + libm::log1p(libm::exp(-r.abs()));
        Place { rate, z, ratio: z * z / nu, nu }
    }

    fn cost(self, log_scale: f32) -> f64 {
        let Place { nu, ratio, .. } = self;
        // Beyond this the difference of the two cancels, and has its limit to all digits of f32.
        let gamma = match nu {
            nu if nu > 1e7 => -0.5 * libm::log(0.5 * nu),
            nu => libm::lgamma(0.5 * nu) - libm::lgamma(0.5 * nu + 0.5),
        };
        let tail = 0.5 * (nu + 1.0) * libm::log1p(ratio);
        f64::from(log_scale) + 0.5 * libm::log(nu) + gamma + tail
    }

    /// The slopes of location, log scale, r and target.
    fn slopes(self, r: f32) -> [f64; 4] {
        let Place { rate, z, ratio, nu } = self;
        let w = (1.0 + 1.0 / nu) / (1.0 + ratio);
        let tail = libm::log1p(ratio) - w * ratio;
        let dr = 0.5 * (1.0 / nu - 2.0 * beta(nu) + tail) / (1.0 + libm::exp(-f64::from(r)));
        [-w * z * rate, 1.0 - w * z * z, dr, w * z * rate]
    }
}

/// β(x) = Σₖ (−1)^k/(x + k) = ½(ψ(½x + ½) − ψ(½x)) (Nielsen 1906), of x ≥ 2 to some 10⁻⁹: terms up
/// to x + 9, then the series in 1/x.
fn beta(x: f64) -> f64 {
    let near: f64 = (0..5).map(|k| x + 2.0 * f64::from(k)).map(|x| 1.0 / (x * (x + 1.0))).sum();
    let x = x + 10.0;
    let s = 1.0 / (x * x);
    near + 0.5 / x + s * (0.25 - s * (0.125 - s * (0.25 - s * 1.0625)))
}

impl Fast for StudentNll {
    fn forward(
        &self,
        args: &[View<f32>],
        outs: &mut [&mut [f32]],
        _saved: &mut [f32],
        _scratch: &mut [f32],
    ) {
        let costs = places(args).map(|(numbers, y)| Place::new(numbers, y).cost(numbers[1]));
        outs[0][0] = mean(costs, HALF_LN_PI[0]);
    }

    fn vjp(
        &self,
        args: &[View<f32>],
        dy: &[f32],
        _saved: &[f32],
        dargs: &mut [Grad],
        _scratch: &mut [f32],
    ) {
        let share = f64::from(dy[0]) / args[1].data.len() as f64;
        sort_gradients(dargs, args, |(numbers, y): ([f32; 3], f32)| {
            let slopes = Place::new(numbers, y).slopes(numbers[2]);
            let [location, log_scale, r, target] = slopes.map(|slope| (share * slope) as f32);
            ([location, log_scale, r], target)
        });
    }
}
