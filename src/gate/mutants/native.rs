//! Arithmetic in a 16-bit dtype: every operation rounded to it.

use std::cell::Cell;
use std::ops::{Add, AddAssign, Div, Mul, Neg, Sub, SubAssign};

use crate::num::{Dtype, Num};

thread_local! {
    static DTYPE: Cell<Dtype> = const { Cell::new(Dtype::Bf16) };
}

/// Reads a formula in the arithmetic of a dtype.
pub fn natively<A>(dtype: Dtype, read: impl FnOnce() -> A) -> A {
    let before = DTYPE.replace(dtype);
    let answer = read();
    DTYPE.set(before);
    answer
}

/// A number that is rounded to the dtype of [`natively`] after every operation.
#[derive(Debug, Clone, Copy, Default, PartialEq, PartialOrd)]
pub struct Native(f64);

fn rounded(value: f64) -> Native {
    Native(DTYPE.get().round(value))
}

macro_rules! operators {
    ($($trait:ident $method:ident $sign:tt),*) => {$(
        impl $trait for Native {
            type Output = Self;
            fn $method(self, other: Self) -> Self {
                rounded(self.0 $sign other.0)
            }
        }
    )*};
}
operators!(Add add +, Sub sub -, Mul mul *, Div div /);

impl Neg for Native {
    type Output = Self;
    fn neg(self) -> Self {
        Native(-self.0)
    }
}
impl AddAssign for Native {
    fn add_assign(&mut self, other: Self) {
        *self = *self + other;
    }
}
impl SubAssign for Native {
    fn sub_assign(&mut self, other: Self) {
        *self = *self - other;
    }
}

impl Num for Native {
    fn num(value: f64) -> Self {
        rounded(value)
    }
    fn value(self) -> f64 {
        self.0
    }
    fn sqrt(self) -> Self {
        rounded(self.0.sqrt())
    }
    fn exp(self) -> Self {
        rounded(self.0.exp())
    }
    fn ln(self) -> Self {
        rounded(self.0.ln())
    }
    fn tanh(self) -> Self {
        rounded(self.0.tanh())
    }
    fn erf(self) -> Self {
        rounded(libm::erf(self.0))
    }
    fn erfc(self) -> Self {
        rounded(libm::erfc(self.0))
    }
    fn abs(self) -> Self {
        Native(self.0.abs())
    }
    fn narrow(self, dtype: Dtype) -> Self {
        Native(dtype.round(self.0))
    }
}
