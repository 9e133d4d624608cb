//! Floats of 16 bits: binary16 and bfloat16.

use super::float::{FloatOp, Mode, eval_exact, saturate};
use super::round::{Round, odd, two_sum};

/// One of the two formats.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Format {
    F16,
    Bf16,
}

impl Format {
    fn mantissa(self) -> i32 {
        match self {
            Self::F16 => 10,
            Self::Bf16 => 7,
        }
    }

    fn bias(self) -> i32 {
        match self {
            Self::F16 => 15,
            Self::Bf16 => 127,
        }
    }

    fn infinity(self) -> u16 {
        match self {
            Self::F16 => 0x7c00,
            Self::Bf16 => 0x7f80,
        }
    }

    /// The value of the bits.
    pub fn decode(self, bits: u16) -> f64 {
        if self == Self::Bf16 {
            return f64::from(f32::from_bits(u32::from(bits) << 16));
        }
        let magnitude = bits & 0x7fff;
        let fraction = f64::from(magnitude & 0x3ff);
        let value = match magnitude >> 10 {
            0 => fraction * 2_f64.powi(-24),
            31 if magnitude == 0x7c00 => f64::INFINITY,
            31 => f64::NAN,
            exponent => (1024.0 + fraction) * 2_f64.powi(i32::from(exponent) - 25),
        };
        if bits & 0x8000 == 0 { value } else { -value }
    }

    /// The bits of the value rounded to this format.
    pub fn encode(self, value: f64, round: Round) -> u16 {
        let sign = if value.is_sign_negative() { 0x8000 } else { 0 };
        let size = value.abs();
        if value.is_nan() {
            return 0x7fff;
        }
        if size == 0.0 {
            return sign;
        }
        if size.is_infinite() {
            return sign | self.infinity();
        }
        let (mantissa, least) = (self.mantissa(), 1 - self.bias());
        // Subnormal doubles lie below every exponent of interest.
        let exponent = ((size.to_bits() >> 52) as i32 - 1023).max(least);
        let steps = size * 2_f64.powi(mantissa - exponent);
        let away = match round {
            Round::Nearest => steps.round_ties_even(),
            Round::Zero => steps.floor(),
            Round::Down => {
                if sign == 0 {
                    steps.floor()
                } else {
                    steps.ceil()
                }
            }
            Round::Up => {
                if sign == 0 {
                    steps.ceil()
                } else {
                    steps.floor()
                }
            }
        };
        // A carry out of the mantissa raises the exponent by itself.
        let bits = away as i64 + (i64::from(exponent - least) << mantissa);
        if bits >= i64::from(self.infinity()) {
            let inward = match round {
                Round::Nearest => false,
                Round::Zero => true,
                Round::Down => sign == 0,
                Round::Up => sign != 0,
            };
            return sign | (self.infinity() - u16::from(inward));
        }
        sign | bits as u16
    }
}

pub(super) fn eval(op: FloatOp, format: Format, packed: bool, mode: Mode, s: &[u64; 4]) -> u64 {
    let one = |shift: u32| {
        let part = |v: u64| (v >> shift) as u16;
        let value = single(op, format, mode, part(s[0]), part(s[1]), part(s[2]));
        u64::from(value) << shift
    };
    if packed { one(0) | one(16) } else { one(0) }
}

fn single(op: FloatOp, format: Format, mode: Mode, a: u16, b: u16, c: u16) -> u16 {
    match op {
        FloatOp::Abs => return a & 0x7fff,
        FloatOp::Neg => return a ^ 0x8000,
        FloatOp::CopySign => return (b & 0x7fff) | (a & 0x8000),
        _ => {}
    }
    let number = |bits| flush(format.decode(bits), format, mode.ftz);
    let (a, b, c) = (number(a), number(b), number(c));
    // Products of two are exact doubles; sums are rounded to odd, so that one rounding is left.
    let (value, lack) = match op {
        FloatOp::Add => two_sum(a, b),
        FloatOp::Sub => two_sum(a, -b),
        FloatOp::Mul => (a * b, 0.0),
        FloatOp::Fma => two_sum(a * b, c),
        FloatOp::Div => (a / b, 0.0),
        FloatOp::Sqrt => (a.sqrt(), 0.0),
        FloatOp::Rcp => (1.0 / a, 0.0),
        _ => (eval_exact(op, a, b).unwrap_or(f64::NAN), 0.0),
    };
    let value = odd(value, lack);
    let value = if mode.sat { saturate(value) } else { value };
    let bits = format.encode(value, mode.round);
    if mode.ftz && bits & format.infinity() == 0 { bits & 0x8000 } else { bits }
}

fn flush(value: f64, format: Format, ftz: bool) -> f64 {
    let least = 2_f64.powi(1 - format.bias());
    if ftz && value.abs() < least { 0_f64.copysign(value) } else { value }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_half_survives_the_way_there_and_back() {
        for format in [Format::F16, Format::Bf16] {
            for bits in 0..=u16::MAX {
                let value = format.decode(bits);
                if !value.is_nan() {
                    assert_eq!(format.encode(value, Round::Nearest), bits, "{format:?} {bits:x}");
                }
            }
        }
    }

    #[test]
    fn ties_go_to_even_and_the_rest_to_the_nearest() {
        let f16 = |v| Format::F16.encode(v, Round::Nearest);
        assert_eq!(f16(65519.0), 0x7bff);
        assert_eq!(f16(65520.0), 0x7c00);
        assert_eq!(f16(2_f64.powi(-25)), 0);
        assert_eq!(f16(2_f64.powi(-25) * 1.001), 1);
        assert_eq!(Format::F16.encode(1e9, Round::Zero), 0x7bff);
        assert_eq!(Format::Bf16.encode(1.0 + 2_f64.powi(-8), Round::Nearest), 0x3f80);
        assert_eq!(Format::Bf16.encode(1.0 + 3.0 * 2_f64.powi(-8), Round::Nearest), 0x3f82);
    }
}
