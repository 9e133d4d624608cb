//! `activation`: relu; gelu x·Φ(x) and gelu_tanh x·½(1 + tanh √(2/π)(x + 0.044715x³)) (Hendrycks &
//! Gimpel 2016, arXiv 1606.08415); silu x·σ(x).
//!
//! The derivative of relu at 0 is 0.

use super::case::Case;
use super::operator::{Attr, Axis, Fill, Formula, Named, Operator, Problem, Role};
use super::operator::{Setting, Slot};
use crate::check::call::{Attrs, Dir};
use crate::num::Num;

pub struct Activation;

/// The functions, the default first.
pub(super) const FUNCTIONS: Attr = Attr {
    name: "fn",
    values: &[
        Setting::Word("gelu"),
        Setting::Word("relu"),
        Setting::Word("gelu_tanh"),
        Setting::Word("silu"),
    ],
};

impl Operator for Activation {
    fn name(&self) -> &'static str {
        "activation"
    }
    fn axes(&self) -> &'static [Axis] {
        &[
            Axis { name: "batch", sizes: &[1, 2, 3] },
            Axis { name: "rows", sizes: &[1, 2, 3, 7, 33] },
            Axis { name: "cols", sizes: &[1, 2, 3, 7, 8, 31, 32, 33, 127, 128, 129, 257, 1025] },
        ]
    }
    fn attrs(&self) -> &'static [Attr] {
        &[FUNCTIONS]
    }
    fn slots(&self, case: &Case) -> Vec<Slot> {
        let shape = super::softmax::leading(case, &[case.size("rows"), case.size("cols")]);
        let largest = case.dtype.largest();
        // A derivative may form x², which has to stay a number.
        let limit = if case.dir == Dir::Fwd { largest } else { largest.sqrt() / 16.0 };
        vec![Slot::new("x", &shape, Role::Data, Fill::Reaching(limit))]
    }
    fn work(&self, case: &Case) -> usize {
        // An error function of a double-double is a series.
        16 * case.size("batch") * case.size("rows") * case.size("cols")
    }
    fn reach(&self, _: &Case, tensor: &str) -> Option<i32> {
        // x reaches the largest numbers by itself.
        if tensor == "x" { Some(0) } else { Some(60) }
    }
    fn batched(&self, _: &Attrs) -> Option<Vec<String>> {
        Some(vec!["x".into(), "dy".into()])
    }
}

impl<R: Num> Formula<R> for Activation {
    fn forward(&self, p: &Problem<R>) -> Vec<Named<R>> {
        let x = p.get("x");
        let y = x.data.iter().map(|&x| value(p.word("fn"), x)).collect();
        vec![Named::new("y", &x.shape, y)]
    }

    fn backward(&self, p: &Problem<R>) -> Vec<Named<R>> {
        let (x, dy) = (p.get("x"), p.get("dy"));
        let slopes = x.data.iter().map(|&x| slope(p.word("fn"), x));
        let dx = slopes.zip(&dy.data).map(|(slope, &dy)| dy * slope).collect();
        vec![Named::new("dx", &x.shape, dx)]
    }
}

/// Beyond this the tails of gelu and of its derivative are below every dtype's smallest number.
const FAR: f64 = 40.0;
/// tanh √(2/π)(x + 0.044715x³) is ±1 to the last bit of every dtype from here.
const SATURATED: f64 = 9.0;

/// f(x), bounded by a multiple of u·|x|: error functions and tanh are good to some units in the
/// last place of 1, not of their tails.
pub(super) fn value<R: Num>(function: &str, x: R) -> R {
    let size = x.value().abs();
    let y = match function {
        "relu" => return R::zero().larger(x),
        "silu" => x * sigmoid(x),
        _ if size > FAR => x * x.step(),
        "gelu" => x * normal_cdf(x),
        "gelu_tanh" => x * half() * (R::one() + inner(x).tanh()),
        other => panic!("{other} is no activation"),
    };
    y.loosened(size).loosened(size)
}

/// f′(x), bounded by a multiple of u beyond what its formula gives.
pub(super) fn slope<R: Num>(function: &str, x: R) -> R {
    let size = x.value().abs();
    let one = R::one();
    let slope = match function {
        "relu" => return x.step(),
        "silu" if x.value() > FAR => one,
        "silu" => {
            let s = sigmoid(x);
            // Where σ is near 1, 1 − σ has lost what σ(−x) has; by tanh it is good to units of 1.
            let other = s * (one + x * (one - s));
            (s + x * s * sigmoid(-x)).or(other).loosened(size.min(FAR))
        }
        "gelu" if size > FAR => x.step(),
        "gelu" => {
            let density = (-(x * x) * half()).exp()
                * R::num(0.5 * std::f64::consts::FRAC_2_SQRT_PI)
                * R::num(std::f64::consts::FRAC_1_SQRT_2);
            normal_cdf(x) + x * density
        }
        "gelu_tanh" if size > SATURATED => x.step(),
        "gelu_tanh" => {
            // Where the cubic is large, the last units of tanh decide; common ones err by four.
            let tanh = inner(x).tanh().loosened(4.0);
            let rise = root_2_over_pi::<R>() * (one + R::num(3.0 * CUBIC) * x * x);
            half::<R>() * (one + tanh) + half::<R>() * x * (one - tanh * tanh) * rise
        }
        other => panic!("{other} is no activation"),
    };
    slope.loosened(4.0)
}

const CUBIC: f64 = 0.044715;

fn half<R: Num>() -> R {
    R::num(0.5)
}

fn root_2_over_pi<R: Num>() -> R {
    R::num(2.0).sqrt() * R::num(0.5 * std::f64::consts::FRAC_2_SQRT_PI)
}

/// The argument of the tanh form.
fn inner<R: Num>(x: R) -> R {
    root_2_over_pi::<R>() * (x + R::num(CUBIC) * x * x * x)
}

/// Φ(x), the share of a standard normal distribution below x.
fn normal_cdf<R: Num>(x: R) -> R {
    half::<R>() * (-x / R::num(2.0).sqrt()).erfc()
}

/// σ(x) = 1/(1 + e^(−x)), from the exponential that cannot overflow.
pub(super) fn sigmoid<R: Num>(x: R) -> R {
    if x.value() < 0.0 {
        let e = x.exp();
        e / (R::one() + e)
    } else {
        R::one() / (R::one() + (-x).exp())
    }
}
