//! Logic, shifts, fields and permutations of bits.

use super::integer::{cut, signed};

/// An operation on bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum BitOp {
    And,
    Or,
    Xor,
    Not,
    /// `cnot`: one for zero, else zero.
    IsZero,
    Shl,
    Shr {
        signed: bool,
    },
    /// `shf`: the shift of two words seen as one.
    Funnel {
        left: bool,
        clamp: bool,
    },
    /// `lop3` by its table.
    Lop3(u8),
    /// `bfe`.
    Extract {
        signed: bool,
    },
    /// `bfi`.
    Insert,
    /// `prmt` in its plain mode.
    Permute,
    CountLeadingZeros,
    CountOnes,
    Reverse,
    /// `bfind`: the place of the highest bit, or the shift that brings it there.
    Find {
        signed: bool,
        shift: bool,
    },
}

#[inline(always)]
pub(super) fn eval(op: BitOp, bits: u32, s: &[u64; 4]) -> u64 {
    let [a, b, c, d] = *s;
    match op {
        BitOp::And => cut(a & b, bits),
        BitOp::Or => cut(a | b, bits),
        BitOp::Xor => cut(a ^ b, bits),
        BitOp::Not => cut(!a, bits),
        BitOp::IsZero => u64::from(cut(a, bits) == 0),
        BitOp::Shl => {
            let by = b as u32;
            if by >= bits { 0 } else { cut(a << by, bits) }
        }
        BitOp::Shr { signed: true } => {
            let by = (b as u32).min(bits - 1);
            cut((signed(a, bits) >> by) as u64, bits)
        }
        BitOp::Shr { signed: false } => {
            let by = b as u32;
            if by >= bits { 0 } else { cut(a, bits) >> by }
        }
        BitOp::Funnel { left, clamp } => {
            let by = if clamp { (c as u32).min(32) } else { c as u32 & 31 };
            let both = (cut(b, 32) << 32) | cut(a, 32);
            if left {
                cut(((u128::from(both) << by) >> 32) as u64, 32)
            } else {
                cut(both >> by, 32)
            }
        }
        BitOp::Lop3(table) => {
            let mut out = 0;
            for entry in 0..8_u32 {
                if table >> entry & 1 == 1 {
                    let pick =
                        |word: u64, bit: u32| if entry >> bit & 1 == 1 { word } else { !word };
                    out |= pick(a, 2) & pick(b, 1) & pick(c, 0);
                }
            }
            cut(out, bits)
        }
        BitOp::Extract { signed: is_signed } => extract(a, b, c, bits, is_signed),
        BitOp::Insert => {
            let (at, length) = ((c & 0xff) as u32, (d & 0xff) as u32);
            if at >= bits {
                return cut(b, bits);
            }
            let mask = cut(cut(u64::MAX, length) << at, bits);
            cut((b & !mask) | ((a << at) & mask), bits)
        }
        BitOp::Permute => permute(a, b, c),
        BitOp::CountLeadingZeros => u64::from(cut(a, bits).leading_zeros() - (64 - bits)),
        BitOp::CountOnes => u64::from(cut(a, bits).count_ones()),
        BitOp::Reverse => cut(a, bits).reverse_bits() >> (64 - bits),
        BitOp::Find { signed: is_signed, shift } => {
            let negative = is_signed && signed(a, bits) < 0;
            let value = cut(if negative { !a } else { a }, bits);
            match value.checked_ilog2() {
                None => 0xffff_ffff,
                Some(place) if shift => u64::from(bits - 1 - place),
                Some(place) => u64::from(place),
            }
        }
    }
}

fn extract(a: u64, at: u64, length: u64, bits: u32, is_signed: bool) -> u64 {
    let (at, length) = ((at & 0xff) as u32, (length & 0xff) as u32);
    if length == 0 {
        return 0;
    }
    let wide = if is_signed { signed(a, bits) } else { cut(a, bits) as i64 };
    let moved = if is_signed {
        (wide >> at.min(63)) as u64
    } else {
        (wide as u64).checked_shr(at).unwrap_or(0)
    };
    if length >= 64 {
        return cut(moved, bits);
    }
    // A field that runs past the end takes its sign from the last bit there is.
    let field = cut(moved, length);
    cut(if is_signed { signed(field, length.min(64)) as u64 } else { field }, bits)
}

fn permute(a: u64, b: u64, selector: u64) -> u64 {
    let bytes = (cut(b, 32) << 32) | cut(a, 32);
    (0..4).fold(0, |out, i| {
        let nibble = selector >> (4 * i) & 15;
        let byte = bytes >> (8 * (nibble & 7)) & 0xff;
        // The fourth bit asks for the byte's sign in every bit.
        let byte = match (nibble & 8, byte & 0x80) {
            (0, _) => byte,
            (_, 0) => 0,
            _ => 0xff,
        };
        out | byte << (8 * i)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_permutations_and_shifts_are_those_of_the_manual() {
        assert_eq!(eval(BitOp::Permute, 32, &[0x4433_2211, 0x8877_6655, 0x5140, 0]), 0x6622_5511);
        assert_eq!(eval(BitOp::Permute, 32, &[0x80, 0, 0x8888, 0]), 0xffff_ffff);
        assert_eq!(eval(BitOp::Extract { signed: true }, 32, &[0xf0, 4, 4, 0]), 0xffff_ffff);
        assert_eq!(eval(BitOp::Extract { signed: false }, 32, &[0xf0, 4, 4, 0]), 0xf);
        assert_eq!(eval(BitOp::Insert, 64, &[1, 2, 32, 32]), 0x1_0000_0002);
        assert_eq!(eval(BitOp::Shl, 32, &[1, 40, 0, 0]), 0);
        assert_eq!(eval(BitOp::Shr { signed: true }, 32, &[0x8000_0000, 99, 0, 0]), 0xffff_ffff);
        assert_eq!(eval(BitOp::Funnel { left: true, clamp: false }, 32, &[1 << 31, 1, 1, 0]), 3);
        assert_eq!(eval(BitOp::Funnel { left: false, clamp: true }, 32, &[7, 9, 32, 0]), 9);
        assert_eq!(eval(BitOp::Lop3(0x96), 32, &[1, 2, 4, 0]), 7);
        assert_eq!(eval(BitOp::CountLeadingZeros, 32, &[1, 0, 0, 0]), 31);
        assert_eq!(eval(BitOp::Reverse, 32, &[1, 0, 0, 0]), 0x8000_0000);
        let find = BitOp::Find { signed: false, shift: true };
        assert_eq!(eval(find, 32, &[1, 0, 0, 0]), 31);
    }
}
