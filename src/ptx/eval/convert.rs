//! Conversions between all types of numbers.

use super::super::types::Type;
use super::float::{bits_f32, saturate};
use super::half::Format;
use super::integer::{cut, number, range};
use super::round::{Round, flush, to_f32, to_integer};

/// A conversion (`cvt`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Convert {
    pub to: Type,
    pub from: Type,
    pub round: Round,
    /// Whether a float is rounded to an integer (`rni` and its like).
    pub whole: bool,
    pub ftz: bool,
    pub sat: bool,
    /// Negative values, and NaN too, become zero.
    pub relu: bool,
}

impl Convert {
    /// The result; two sources are packed, the first above.
    #[inline(always)]
    pub fn eval(&self, s: &[u64; 4]) -> u64 {
        match self.to {
            Type::F16x2 => (self.half(s[0], Format::F16) << 16) | self.half(s[1], Format::F16),
            Type::Bf16x2 => (self.half(s[0], Format::Bf16) << 16) | self.half(s[1], Format::Bf16),
            Type::F16 => self.half(s[0], Format::F16),
            Type::Bf16 => self.half(s[0], Format::Bf16),
            Type::F32 => self.single(s[0]),
            Type::F64 => self.double(s[0]),
            _ if self.from.is_float() => self.integer_of_float(s[0]),
            _ => self.integer_of_integer(s[0]),
        }
    }

    /// The value of a float source, exactly.
    fn value(&self, bits: u64) -> f64 {
        match self.from {
            Type::F16 => Format::F16.decode(bits as u16),
            Type::Bf16 => Format::Bf16.decode(bits as u16),
            Type::F64 => f64::from_bits(bits),
            _ => f64::from(flush(f32::from_bits(bits as u32), self.ftz)),
        }
    }

    fn whole(&self, value: f64) -> f64 {
        if self.whole { to_integer(value, self.round) } else { value }
    }

    /// A source as a double with what it lacks: integers of 64 bits may not fit one.
    fn wide(&self, bits: u64) -> (f64, f64) {
        if self.from.is_float() {
            return (self.held(self.whole(self.value(bits))), 0.0);
        }
        let exact = number(bits, self.from.bits(), self.from.is_signed());
        let value = exact as f64;
        (value, (exact - value as i128) as f64)
    }

    fn held(&self, value: f64) -> f64 {
        let value = if self.sat { saturate(value) } else { value };
        if self.relu && (value.is_nan() || value < 0.0) { 0.0 } else { value }
    }

    fn half(&self, bits: u64, format: Format) -> u64 {
        let (value, lack) = self.wide(bits);
        u64::from(format.encode(super::round::odd(value, lack), self.round))
    }

    fn single(&self, bits: u64) -> u64 {
        // A single that stays one keeps its bits, NaN included.
        if self.from == Type::F32 && f32::from_bits(bits as u32).is_nan() && !self.sat {
            return bits_f32(f32::NAN);
        }
        let (value, lack) = self.wide(bits);
        bits_f32(flush(to_f32(value, lack, self.round), self.ftz))
    }

    fn double(&self, bits: u64) -> u64 {
        let (value, lack) = self.wide(bits);
        super::round::to_f64(value, lack, self.round).to_bits()
    }

    fn integer_of_float(&self, bits: u64) -> u64 {
        let value = to_integer(self.value(bits), self.round);
        let width = self.to.bits();
        if value.is_nan() {
            // The manual: zero among narrow types, else the highest bit alone.
            let narrow = self.from != Type::F64 && width < 64;
            return if narrow { 0 } else { 1 << (width - 1) };
        }
        let (low, high) = range(width, self.to.is_signed());
        // `as` holds what does not fit into i128 at its ends, far outside of every range.
        (value as i128).clamp(low, high) as u64
    }

    #[inline(always)]
    fn integer_of_integer(&self, bits: u64) -> u64 {
        let value = number(bits, self.from.bits(), self.from.is_signed());
        let value = if self.sat {
            let (low, high) = range(self.to.bits(), self.to.is_signed());
            value.clamp(low, high)
        } else {
            value
        };
        // A narrow signed result fills its wider register with its sign.
        number(cut(value as u64, self.to.bits()), self.to.bits(), self.to.is_signed()) as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn convert(to: Type, from: Type, round: Round) -> Convert {
        Convert { to, from, round, whole: false, ftz: false, sat: false, relu: false }
    }

    #[test]
    fn integers_of_64_bits_round_once() {
        let to = convert(Type::F32, Type::Unsigned(64), Round::Nearest);
        for value in [u64::MAX, (1 << 40) + 1, 0x8000_0080_0000_0001, 0x8000_0080_0000_0000] {
            assert_eq!(to.eval(&[value, 0, 0, 0]) as u32, (value as f32).to_bits());
        }
        let down = convert(Type::F32, Type::Unsigned(32), Round::Zero);
        assert_eq!(f32::from_bits(down.eval(&[0xffff_ffff, 0, 0, 0]) as u32), 4_294_967_040.0);
    }

    #[test]
    fn floats_beyond_an_integer_are_held_at_its_ends() {
        let to = convert(Type::Signed(32), Type::F32, Round::Zero);
        let bits = |v: f32| [u64::from(v.to_bits()), 0, 0, 0];
        assert_eq!(to.eval(&bits(1e20)) as u32 as i32, i32::MAX);
        assert_eq!(to.eval(&bits(-1.9)) as u32 as i32, -1);
        assert_eq!(to.eval(&bits(f32::NAN)), 0);
    }
}
