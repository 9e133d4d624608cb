//! Activations f(x) and gated activations f(gate) ⊙ up, element by element.
//!
//! relu x = max(x, 0); gelu x = x·Φ(x) with Φ(x) = ½(1 + erf(x/√2)) (Hendrycks & Gimpel 2016,
//! arXiv 1606.08415); gelu_tanh x = ½x(1 + tanh u), u = √(2/π)(x + 0.044715x³); silu x = x·σ(x)
//! (Elfwing et al. 2017, arXiv 1702.03118). dx = f'(x) ⊙ dy with relu' = 1 for x > 0, else 0;
//! gelu' = Φ + xφ; silu' = σ + xσ(1 − σ). y = f(gate) ⊙ up is the gated form (Shazeer 2020,
//! arXiv 2002.05202): dgate = f'(gate) ⊙ up ⊙ dy, dup = f(gate) ⊙ dy.
//!
//! The reference writes 1 + erf z as erfc(−z), the fast path takes Φ from its tail on either side,
//! and both write ½(1 + tanh u) as σ(2u): the same numbers without the cancellation for negative
//! x. So every function is relatively accurate, to some units of rounding
//! of its exponent, until it underflows; the contract is an absolute error of a few u·|x|.

use std::hint::select_unpredictable as select;
use std::ops::Range;

use super::device::{Chip, Kernels, Launch, Param, Ptx, ptx};
use super::elementary::{exp, exp_nonpositive, normal_tail};
use super::simd;
use super::{Arg, Fast, Grad, Op, Property, Reference, Shape, View};
use crate::num::Num;

crate::choices! {
    /// The nonlinearities.
    Function {
        /// max(x, 0).
        Relu = "relu",
        /// x·Φ(x), by erf.
        Gelu = "gelu",
        /// The approximation of gelu by tanh.
        GeluTanh = "gelu_tanh",
        /// x/(1 + e⁻ˣ).
        Silu = "silu",
    }
}

/// √(2/π) and the factor of x³ in the approximation of gelu.
const GELU_SLOPE: f64 = 0.797_884_560_802_865_4;
const GELU_CUBE: f64 = 0.044715;

impl Function {
    /// f(x), as in the papers.
    fn value<T: Num>(self, x: T) -> T {
        let (one, half) = (T::one(), T::num(0.5));
        match self {
            // Written so that a NaN is not less than anything and comes out again.
            Function::Relu => {
                if x <= T::zero() {
                    T::zero()
                } else {
                    x
                }
            }
            Function::Gelu => half * x * (-x / T::num(2.0).sqrt()).erfc(),
            Function::GeluTanh => x / (one + (-gelu_argument(x)).exp()),
            Function::Silu => x / (one + (-x).exp()),
        }
    }

    /// f'(x).
    fn slope<T: Num>(self, x: T) -> T {
        let (one, half) = (T::one(), T::num(0.5));
        match self {
            Function::Relu => {
                if x <= T::zero() {
                    T::zero()
                } else {
                    one
                }
            }
            Function::Gelu => {
                let density = (-(x * x) * half).exp() / T::num(std::f64::consts::TAU).sqrt();
                half * (-x / T::num(2.0).sqrt()).erfc() + x * density
            }
            Function::GeluTanh => {
                let sigmoid = one / (one + (-gelu_argument(x)).exp());
                // Far out the curve is flat or straight, and x² may be beyond all numbers.
                if sigmoid == T::zero() || sigmoid == one {
                    return sigmoid;
                }
                let inner = T::num(2.0 * GELU_SLOPE) * (one + T::num(3.0 * GELU_CUBE) * x * x);
                sigmoid * (one + x * (one - sigmoid) * inner)
            }
            Function::Silu => {
                let sigmoid = one / (one + (-x).exp());
                sigmoid * (one + x * (one - sigmoid))
            }
        }
    }
}

/// 2u.
fn gelu_argument<T: Num>(x: T) -> T {
    T::num(2.0 * GELU_SLOPE) * (x + T::num(GELU_CUBE) * x * x * x)
}

/// y = f(x).
#[derive(Debug, Clone, Copy)]
pub struct Activation {
    /// f.
    pub function: Function,
}

impl Op for Activation {
    fn id(&self) -> &'static str {
        "activation"
    }
    fn args(&self) -> &'static [Arg] {
        const ARGS: &[Arg] = &[Arg::real("x")];
        ARGS
    }
    crate::constants! { dyn Op; function: Any }
    fn outputs(&self, args: &[Shape]) -> Vec<Shape> {
        vec![args[0]]
    }
    fn example(&self, rows: usize, cols: usize) -> Vec<Shape> {
        vec![Shape::new(&[rows, cols])]
    }
    fn properties(&self) -> &'static [Property] {
        &[Property::PermutationEquivariant, Property::RowIndependent]
    }
    fn kernels(&self) -> Option<&dyn Kernels> {
        Some(self)
    }
}

impl<T: Num> Reference<T> for Activation {
    fn forward(&self, args: &[View<T>], outs: &mut [&mut [T]]) {
        for (y, &x) in outs[0].iter_mut().zip(args[0].data) {
            *y = self.function.value(x);
        }
    }
    fn vjp(&self, args: &[View<T>], dy: &[T], dargs: &mut [&mut [T]]) {
        for ((dx, &x), &dy) in dargs[0].iter_mut().zip(args[0].data).zip(dy) {
            *dx += self.function.slope(x) * dy;
        }
    }
}

/// y = f(gate) ⊙ up: the middle of a gated feed-forward.
#[derive(Debug, Clone, Copy)]
pub struct Gated {
    /// f.
    pub function: Function,
}

impl Op for Gated {
    fn id(&self) -> &'static str {
        "gated"
    }
    fn args(&self) -> &'static [Arg] {
        const ARGS: &[Arg] = &[Arg::real("gate"), Arg::real("up")];
        ARGS
    }
    crate::constants! { dyn Op; function: Any }
    fn outputs(&self, args: &[Shape]) -> Vec<Shape> {
        assert_eq!(args[0], args[1], "the gate and what it gates have one shape");
        vec![args[0]]
    }
    fn example(&self, rows: usize, cols: usize) -> Vec<Shape> {
        vec![Shape::new(&[rows, cols]); 2]
    }
    fn properties(&self) -> &'static [Property] {
        &[Property::PermutationEquivariant, Property::RowIndependent]
    }
    fn kernels(&self) -> Option<&dyn Kernels> {
        Some(self)
    }
}

impl<T: Num> Reference<T> for Gated {
    fn forward(&self, args: &[View<T>], outs: &mut [&mut [T]]) {
        for (i, y) in outs[0].iter_mut().enumerate() {
            *y = self.function.value(args[0].data[i]) * args[1].data[i];
        }
    }
    fn vjp(&self, args: &[View<T>], dy: &[T], dargs: &mut [&mut [T]]) {
        let [gate, up] = [args[0].data, args[1].data];
        for (i, &dy) in dy.iter().enumerate() {
            if let Some(dgate) = dargs[0].get_mut(i) {
                *dgate += self.function.slope(gate[i]) * up[i] * dy;
            }
            if let Some(dup) = dargs[1].get_mut(i) {
                *dup += self.function.value(gate[i]) * dy;
            }
        }
    }
}

/// A nonlinearity as a type, so that a loop over it is compiled once for each.
trait Curve {
    /// f(x).
    #[inline(always)]
    fn value(x: f32) -> f32 {
        Self::both(x).0
    }
    /// f(x) and f'(x).
    fn both(x: f32) -> (f32, f32);
}

struct Relu;
struct Gelu;
struct GeluTanh;
struct Silu;

/// Evaluates an expression with `$curve` standing for the type of `$function`.
macro_rules! with_curve {
    ($function:expr, $curve:ident => $body:expr) => {
        match $function {
            Function::Relu => with_curve!(@ Relu, $curve, $body),
            Function::Gelu => with_curve!(@ Gelu, $curve, $body),
            Function::GeluTanh => with_curve!(@ GeluTanh, $curve, $body),
            Function::Silu => with_curve!(@ Silu, $curve, $body),
        }
    };
    (@ $type:ident, $curve:ident, $body:expr) => {{
        type $curve = $type;
        simd::dispatch!(|| $body)
    }};
}

impl Curve for Relu {
    #[inline(always)]
    fn both(x: f32) -> (f32, f32) {
        if x <= 0.0 { (0.0, 0.0) } else { (x, 1.0) }
    }
}

impl Curve for Gelu {
    #[inline(always)]
    fn both(x: f32) -> (f32, f32) {
        const PER_ROOT_TAU: f32 = 0.398_942_3;
        let (tail, bell) = normal_tail(x);
        let below = select(x < 0.0, tail, 1.0 - tail);
        (x * below, x.mul_add(bell * PER_ROOT_TAU, below))
    }
}

impl Curve for GeluTanh {
    /// Far out e^(−2u) is 0 or infinite, as it should be.
    #[inline(always)]
    fn value(x: f32) -> f32 {
        let argument = -x * (x * x).mul_add(Self::CUBIC, Self::LINEAR);
        x / (1.0 + exp(argument))
    }
    #[inline(always)]
    fn both(x: f32) -> (f32, f32) {
        // Far out σ(2u) is 0 or 1 whatever u is, so that x³ need not overflow.
        let near = x.clamp(-32.0, 32.0);
        let square = near * near;
        let (below, product) = sigmoid(near * square.mul_add(Self::CUBIC, Self::LINEAR));
        let inner = near * square.mul_add(3.0 * Self::CUBIC, Self::LINEAR);
        (x * below, product.mul_add(inner, below))
    }
}

impl GeluTanh {
    /// 2u = x·(LINEAR + CUBIC·x²).
    const LINEAR: f32 = (2.0 * GELU_SLOPE) as f32;
    const CUBIC: f32 = (2.0 * GELU_SLOPE * GELU_CUBE) as f32;
}

impl Curve for Silu {
    #[inline(always)]
    fn value(x: f32) -> f32 {
        x / (1.0 + exp(-x))
    }
    #[inline(always)]
    fn both(x: f32) -> (f32, f32) {
        let (below, product) = sigmoid(x);
        (x * below, x.mul_add(product, below))
    }
}

/// σ(x), and σ(x)·(1 − σ(x)), both relatively accurate: neither is a difference.
#[inline(always)]
fn sigmoid(x: f32) -> (f32, f32) {
    let small = exp_nonpositive(-x.abs());
    let larger = 1.0 / (1.0 + small);
    let smaller = small * larger;
    (select(x < 0.0, smaller, larger), smaller * larger)
}

impl Fast for Activation {
    fn forward(
        &self,
        args: &[View<f32>],
        outs: &mut [&mut [f32]],
        _saved: &mut [f32],
        _scratch: &mut [f32],
    ) {
        with_curve!(self.function, C => for (y, x) in outs[0].iter_mut().zip(args[0].data) {
            *y = C::value(*x);
        });
    }
    fn vjp(
        &self,
        args: &[View<f32>],
        dy: &[f32],
        _saved: &[f32],
        dargs: &mut [Grad],
        _scratch: &mut [f32],
    ) {
        let (x, dx) = (args[0].data, &mut dargs[0]);
        with_curve!(self.function, C => in_chunks::<C>(
            x,
            #[inline(always)]
            |chunk, _, slopes| {
                let dy = &dy[chunk.clone()];
                dx.put(chunk, slopes.iter().zip(dy).map(|(slope, dy)| slope * dy));
            },
        ));
    }
}

/// Calls `put` with a range of x, and f and f' there, until x is through.
///
/// The chunks stay in the first cache. They also keep the arithmetic of f and f' in a loop of its
/// own, written once, which the compiler inlines however long it is.
#[inline(always)]
fn in_chunks<C: Curve>(x: &[f32], mut put: impl FnMut(Range<usize>, &[f32], &[f32])) {
    let (mut values, mut slopes) = ([0.0; 512], [0.0; 512]);
    for (start, x) in (0..).step_by(512).zip(x.chunks(512)) {
        for ((value, slope), x) in values.iter_mut().zip(&mut slopes).zip(x) {
            (*value, *slope) = C::both(*x);
        }
        put(start..start + x.len(), &values[..x.len()], &slopes[..x.len()]);
    }
}

impl Fast for Gated {
    fn forward(
        &self,
        args: &[View<f32>],
        outs: &mut [&mut [f32]],
        _saved: &mut [f32],
        _scratch: &mut [f32],
    ) {
        let [gate, up] = [args[0].data, args[1].data];
        with_curve!(self.function, C => for ((y, gate), up) in outs[0].iter_mut().zip(gate).zip(up) {
            *y = C::value(*gate) * up;
        });
    }
    fn vjp(
        &self,
        args: &[View<f32>],
        dy: &[f32],
        _saved: &[f32],
        dargs: &mut [Grad],
        _scratch: &mut [f32],
    ) {
        let [gate, up] = [args[0].data, args[1].data];
        let [dgate, dup] = dargs else { unreachable!("two arguments") };
        with_curve!(self.function, C => in_chunks::<C>(
            gate,
            #[inline(always)]
            |chunk, values, slopes| {
                let (up, dy) = (&up[chunk.clone()], &dy[chunk.clone()]);
                let dgates = slopes.iter().zip(up).zip(dy);
                dgate.put(chunk.clone(), dgates.map(|((slope, up), dy)| slope * up * dy));
                dup.put(chunk, values.iter().zip(dy).map(|(value, dy)| value * dy));
            },
        ));
    }
}

impl Kernels for Activation {
    fn ptx(&self) -> Ptx {
        ptx!("activation")
    }

    fn forward(&self, args: &[Shape], chip: &Chip) -> Vec<Launch> {
        use Param::*;
        let kernel = match self.function {
            Function::Relu => "activation_relu",
            Function::Gelu => "activation_gelu",
            Function::GeluTanh => "activation_gelu_tanh",
            Function::Silu => "activation_silu",
        };
        let len = args[0].len();
        vec![Launch::by_vectors(kernel, len, chip, &[Arg(0), Out(0), U64(len as u64)])]
    }

    fn vjp(&self, args: &[Shape], chip: &Chip) -> Vec<Launch> {
        use Param::*;
        let kernel = match self.function {
            Function::Relu => "activation_relu_dx",
            Function::Gelu => "activation_gelu_dx",
            Function::GeluTanh => "activation_gelu_tanh_dx",
            Function::Silu => "activation_silu_dx",
        };
        let len = args[0].len();
        vec![Launch::by_vectors(kernel, len, chip, &[Arg(0), Dy, Grad(0), U64(len as u64)])]
    }
}

impl Kernels for Gated {
    fn ptx(&self) -> Ptx {
        ptx!("activation")
    }

    fn forward(&self, args: &[Shape], chip: &Chip) -> Vec<Launch> {
        use Param::*;
        let kernel = match self.function {
            Function::Relu => "gated_relu",
            Function::Gelu => "gated_gelu",
            Function::GeluTanh => "gated_gelu_tanh",
            Function::Silu => "gated_silu",
        };
        let len = args[0].len();
        vec![Launch::by_vectors(kernel, len, chip, &[Arg(0), Arg(1), Out(0), U64(len as u64)])]
    }

    fn vjp(&self, args: &[Shape], chip: &Chip) -> Vec<Launch> {
        use Param::*;
        let kernel = match self.function {
            Function::Relu => "gated_relu_vjp",
            Function::Gelu => "gated_gelu_vjp",
            Function::GeluTanh => "gated_gelu_tanh_vjp",
            Function::Silu => "gated_silu_vjp",
        };
        let len = args[0].len();
        let params = [Arg(0), Arg(1), Dy, Grad(0), Grad(1), U64(len as u64)];
        vec![Launch::by_vectors(kernel, len, chip, &params)]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::bodies::{Case, Path, Results, Rows};

    /// f and f' of the reference and of the fast path at given places.
    fn both(function: Function, x: &[f64]) -> [Results; 2] {
        let op = Activation { function };
        let mut case = Case::of(&op, &op.example(1, x.len()), Rows::Normal, 1);
        case.values[0] = x.to_vec();
        case.dy.fill(1.0);
        Path::ALL.map(|path| path.run(&op, &case))
    }

    /// Values of Φ, of the tanh approximation and of σ to 12 digits, in multiple precision.
    #[test]
    fn golden_numbers() {
        for (function, x, y) in [
            (Function::Relu, -2.0, 0.0),
            (Function::Relu, 2.0, 2.0),
            (Function::Gelu, 1.0, 0.841344746069),
            (Function::Gelu, -10.0, -7.61985302416e-23),
            (Function::GeluTanh, 1.0, 0.841191990608),
            (Function::Silu, 1.0, 0.731058578630),
            (Function::Silu, -20.0, -4.12230723608e-8),
        ] {
            for results in both(function, &[x]) {
                let got = results.outs[0][0];
                assert!((got - y).abs() <= 1e-5 * y.abs(), "{function:?}({x}) = {got}, not {y}");
            }
        }
    }

    #[test]
    fn far_out_they_are_straight_lines() {
        for &function in Function::ALL {
            for results in both(function, &[-1e30, -2e3, 2e3, 1e30]) {
                let y = [0.0, 0.0, f64::from(2e3f32), 1e30];
                for (got, want) in results.outs[0].iter().zip(y) {
                    assert!(
                        (got - want).abs() <= 1e-6 * want,
                        "{function:?}: {:?}",
                        results.outs[0]
                    );
                }
                assert_eq!(results.grads[0], [0.0, 0.0, 1.0, 1.0], "{function:?}");
            }
        }
    }

    #[test]
    fn nan_goes_through_and_relu_is_flat_at_zero() {
        for &function in Function::ALL {
            for results in both(function, &[f64::NAN]) {
                assert!(results.outs[0][0].is_nan(), "{function:?}");
            }
        }
        for results in both(Function::Relu, &[0.0, -0.0]) {
            assert_eq!((&results.outs[0], &results.grads[0]), (&vec![0.0; 2], &vec![0.0; 2]));
        }
    }
}
