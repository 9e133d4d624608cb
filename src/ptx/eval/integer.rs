//! Integer arithmetic of every width, and sums with carry.

/// An operation on integers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum IntOp {
    Add,
    /// The sum, held within the range of the type.
    AddSaturating,
    Sub,
    SubSaturating,
    MulLo,
    MulHi,
    MulWide,
    MadLo,
    MadHi,
    MadWide,
    Mul24,
    Mad24,
    Div,
    Rem,
    Min,
    Max,
    Abs,
    Neg,
    /// The third plus the distance of the first two.
    Sad,
    /// The third plus four products of bytes; whether the second's bytes are signed.
    Dp4a(bool),
}

/// The low bits of a word.
pub(crate) fn cut(value: u64, bits: u32) -> u64 {
    if bits >= 64 { value } else { value & ((1 << bits) - 1) }
}

/// The low bits of a word as a signed number.
pub(crate) fn signed(value: u64, bits: u32) -> i64 {
    let unused = 64 - bits.min(64);
    ((value << unused) as i64) >> unused
}

/// The low bits of a word as the number that they mean.
pub(crate) fn number(value: u64, bits: u32, is_signed: bool) -> i128 {
    if is_signed { i128::from(signed(value, bits)) } else { i128::from(cut(value, bits)) }
}

/// The least and the greatest number of a type.
pub(crate) fn range(bits: u32, is_signed: bool) -> (i128, i128) {
    if is_signed { (-(1 << (bits - 1)), (1 << (bits - 1)) - 1) } else { (0, (1 << bits) - 1) }
}

#[inline(always)]
pub(super) fn eval(op: IntOp, bits: u32, is_signed: bool, s: &[u64; 4]) -> u64 {
    // The commonest of all need no more than wrapping words.
    match op {
        IntOp::Add => return cut(s[0].wrapping_add(s[1]), bits),
        IntOp::Sub => return cut(s[0].wrapping_sub(s[1]), bits),
        IntOp::MulLo => return cut(s[0].wrapping_mul(s[1]), bits),
        IntOp::MadLo => return cut(s[0].wrapping_mul(s[1]).wrapping_add(s[2]), bits),
        _ => {}
    }
    let a = number(s[0], bits, is_signed);
    let b = number(s[1], bits, is_signed);
    let c = number(s[2], bits, is_signed);
    let (low, high) = range(bits, is_signed);
    // Products of unsigned 64-bit numbers pass the greatest i128, but not its bits.
    let product = a.wrapping_mul(b);
    let upper = if is_signed { product >> bits } else { (product as u128 >> bits) as i128 };
    let value = match op {
        IntOp::Add | IntOp::Sub | IntOp::MulLo | IntOp::MadLo => 0,
        IntOp::AddSaturating => (a + b).clamp(low, high),
        IntOp::SubSaturating => (a - b).clamp(low, high),
        IntOp::MulHi => upper,
        IntOp::MadHi => upper + c,
        IntOp::MulWide => return cut(product as u64, 2 * bits),
        IntOp::MadWide => {
            return cut((product as u64).wrapping_add(s[2]), 2 * bits);
        }
        IntOp::Mul24 | IntOp::Mad24 => {
            let product = number(s[0], 24, is_signed) * number(s[1], 24, is_signed);
            product + if op == IntOp::Mad24 { c } else { 0 }
        }
        // What PTX leaves open: every bit of a quotient by zero is one, as chips answer.
        IntOp::Div => a.checked_div(b).unwrap_or(-1),
        IntOp::Rem => a.checked_rem(b).unwrap_or(a),
        IntOp::Min => a.min(b),
        IntOp::Max => a.max(b),
        IntOp::Abs => a.abs(),
        IntOp::Neg => -a,
        IntOp::Sad => c + (a - b).abs(),
        IntOp::Dp4a(second) => {
            let product =
                |i: u32| number(s[0] >> (8 * i), 8, is_signed) * number(s[1] >> (8 * i), 8, second);
            c + (0..4).map(product).sum::<i128>()
        }
    };
    cut(value as u64, bits)
}

/// Arithmetic that hands on a carry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Carry {
    pub op: CarryOp,
    pub bits: u32,
    pub is_signed: bool,
    /// How many sources stand before the carry that comes in; `None` if none comes in.
    pub carry_at: Option<usize>,
}

/// What is summed with a carry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum CarryOp {
    Add,
    Sub,
    MadLo,
    MadHi,
}

impl Carry {
    /// The value and the carry that goes out.
    pub fn eval(&self, s: &[u64; 4]) -> (u64, u64) {
        let carry = self.carry_at.map_or(0, |at| u128::from(s[at] & 1));
        let number = |v| u128::from(cut(v, self.bits));
        let (a, b, c) = (number(s[0]), number(s[1]), number(s[2]));
        let (left, right) = match self.op {
            CarryOp::Add => (a, b),
            CarryOp::Sub => {
                let value = a.wrapping_sub(b).wrapping_sub(carry);
                return (cut(value as u64, self.bits), u64::from(a < b + carry));
            }
            CarryOp::MadLo => (u128::from(cut((a * b) as u64, self.bits)), c),
            CarryOp::MadHi => {
                let high = eval(IntOp::MulHi, self.bits, self.is_signed, s);
                (u128::from(high), c)
            }
        };
        let sum = left + right + carry;
        (cut(sum as u64, self.bits), (sum >> self.bits) as u64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_high_half_of_a_product_is_exact() {
        let max = u64::MAX;
        assert_eq!(eval(IntOp::MulHi, 64, false, &[max, max, 0, 0]), max - 1);
        assert_eq!(eval(IntOp::MulHi, 64, true, &[max, max, 0, 0]), 0);
        assert_eq!(eval(IntOp::MulHi, 32, true, &[0x8000_0000, 2, 0, 0]), 0xffff_ffff);
        assert_eq!(eval(IntOp::MulWide, 32, true, &[0xffff_ffff, 3, 0, 0]), (-3_i64) as u64);
    }

    #[test]
    fn carries_run_through() {
        let add = Carry { op: CarryOp::Add, bits: 32, is_signed: false, carry_at: Some(2) };
        assert_eq!(add.eval(&[0xffff_ffff, 0, 1, 0]), (0, 1));
        let sub = Carry { op: CarryOp::Sub, bits: 32, is_signed: false, carry_at: None };
        assert_eq!(sub.eval(&[0, 1, 0, 0]), (0xffff_ffff, 1));
    }
}
