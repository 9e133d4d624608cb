//! Rounding in all directions, from a sum of two doubles that is exact.

/// A direction of rounding.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Round {
    Nearest,
    Zero,
    Down,
    Up,
}

/// `a + b` as a double and what it lacks (Knuth's two-sum).
pub(crate) fn two_sum(a: f64, b: f64) -> (f64, f64) {
    let sum = a + b;
    if !sum.is_finite() {
        return (sum, 0.0);
    }
    let part = sum - a;
    (sum, (a - (sum - part)) + (b - part))
}

/// The single that `value + lack` rounds to; `lack` is less than half a step of `value`.
pub(crate) fn to_f32(value: f64, lack: f64, round: Round) -> f32 {
    if !value.is_finite() {
        return value as f32;
    }
    if round == Round::Nearest {
        return odd(value, lack) as f32;
    }
    let near = value as f32;
    let past = f64::from(near) - value; // exact: both are doubles of nearly one size
    let above = past > 0.0 || (past == 0.0 && lack < 0.0);
    let below = past < 0.0 || (past == 0.0 && lack > 0.0);
    match round {
        Round::Down if above => near.next_down(),
        Round::Up if below => near.next_up(),
        Round::Zero if above && value > 0.0 => near.next_down(),
        Round::Zero if below && value < 0.0 => near.next_up(),
        _ => near,
    }
}

/// The double that `value + lack` rounds to, in the direction given.
pub(crate) fn to_f64(value: f64, lack: f64, round: Round) -> f64 {
    match round {
        Round::Down if lack < 0.0 => value.next_down(),
        Round::Up if lack > 0.0 => value.next_up(),
        Round::Zero if lack < 0.0 && value > 0.0 => value.next_down(),
        Round::Zero if lack > 0.0 && value < 0.0 => value.next_up(),
        _ => value,
    }
}

/// `value + lack` rounded to odd: a later rounding to fewer bits is then right.
pub(crate) fn odd(value: f64, lack: f64) -> f64 {
    if lack == 0.0 || !value.is_finite() || value.to_bits() & 1 == 1 {
        return value;
    }
    if lack > 0.0 { value.next_up() } else { value.next_down() }
}

/// A single without its subnormal part, if so asked.
pub(crate) fn flush(value: f32, ftz: bool) -> f32 {
    if ftz && value.is_subnormal() { 0_f32.copysign(value) } else { value }
}

/// A double rounded to an integer.
pub(crate) fn to_integer(value: f64, round: Round) -> f64 {
    match round {
        Round::Nearest => value.round_ties_even(),
        Round::Zero => value.trunc(),
        Round::Down => value.floor(),
        Round::Up => value.ceil(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn directions_part_at_what_a_sum_lacks() {
        let (value, lack) = two_sum(1.0, 1e-20);
        assert_eq!(to_f32(value, lack, Round::Up), 1_f32.next_up());
        assert_eq!(to_f32(value, lack, Round::Down), 1.0);
        let (value, lack) = two_sum(1.0, -1e-20);
        assert_eq!(to_f32(value, lack, Round::Zero), 1_f32.next_down());
        assert_eq!(to_f32(value, lack, Round::Nearest), 1.0);
    }
}
