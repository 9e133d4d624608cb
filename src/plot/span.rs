//! An axis with its final range: from values to places.

use super::axis::{Axis, Scale};
use super::ticks::{self, Tick};

/// Values beyond this cannot be told from it; the limit keeps differences finite.
const LIMIT: f64 = 1e300;

/// A scale with a usable range: finite, of positive length, positive where it is logarithmic.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Span {
    pub scale: Scale,
    pub low: f64,
    pub high: f64,
}

impl Span {
    /// The fixed range of the axis or, without one, the range of the values with some free room.
    ///
    /// `from_zero` lets a linear axis whose values come near zero start there.
    pub fn new(
        axis: &Axis,
        values: impl Iterator<Item = f64>,
        room: f64,
        from_zero: bool,
    ) -> Option<Self> {
        let shown = |v: f64| v.is_finite() && (axis.scale == Scale::Linear || v > 0.0);
        let fixed = axis
            .range
            .filter(|&(low, high)| shown(low) && shown(high) && low != high)
            .map(|(low, high)| (low.min(high), low.max(high)));
        let range = fixed.or_else(|| {
            values.filter(|&v| shown(v)).fold(None, |range, v| {
                let (low, high) = range.unwrap_or((v, v));
                Some((v.min(low), v.max(high)))
            })
        })?;
        let (low, high) = if axis.scale == Scale::Linear {
            (range.0.clamp(-LIMIT, LIMIT), range.1.clamp(-LIMIT, LIMIT))
        } else {
            (range.0.clamp(1.0 / LIMIT, LIMIT), range.1.clamp(1.0 / LIMIT, LIMIT))
        };
        let span = Self { scale: axis.scale, low, high };
        let wide = span.widened();
        Some(if fixed.is_some() { wide } else { wide.padded(room, from_zero) })
    }

    /// Gives a range of no length some length.
    fn widened(self) -> Self {
        let Self { scale, low, high } = self;
        let (low, high) = match scale {
            Scale::Linear if high - low > 1e-12 * low.abs().max(high.abs()) => (low, high),
            Scale::Linear => {
                let by = if low == 0.0 { 1.0 } else { low.abs() * 0.1 };
                (low - by, high + by)
            }
            _ if high / low > 1.0 + 1e-9 => (low, high),
            _ => (low / 2.0, high * 2.0),
        };
        Self { scale, low, high }
    }

    fn padded(self, room: f64, from_zero: bool) -> Self {
        let Self { scale, low, high } = self;
        match scale {
            Scale::Linear => {
                let by = (high - low) * room;
                let zero = from_zero && low >= 0.0 && low < 0.3 * high;
                Self { scale, low: if zero { 0.0 } else { low - by }, high: high + by }
            }
            _ => {
                let by = libm::exp(libm::log(high / low) * room);
                Self { scale, low: low / by, high: high * by }
            }
        }
    }

    /// The smallest range that holds both.
    pub fn union(self, other: Self) -> Self {
        Self { scale: self.scale, low: self.low.min(other.low), high: self.high.max(other.high) }
    }

    /// Where a value lies: 0 at the low end, 1 at the high end, and beyond outside. Absent for
    /// values that this scale cannot show.
    pub fn fraction(&self, value: f64) -> Option<f64> {
        if !value.is_finite() {
            return None;
        }
        let value = value.clamp(-LIMIT, LIMIT);
        let fraction = match self.scale {
            Scale::Linear => (value - self.low) / (self.high - self.low),
            _ if value <= 0.0 => return None,
            _ => libm::log(value / self.low) / libm::log(self.high / self.low),
        };
        // Far outside is all the same, and huge coordinates would lose precision.
        fraction.is_finite().then(|| fraction.clamp(-1e6, 1e6))
    }

    /// At most about `most` labelled ticks; whole numbers only if asked for.
    pub fn ticks(&self, most: usize, whole: bool) -> Vec<Tick> {
        match self.scale {
            Scale::Linear => ticks::linear(self.low, self.high, most, whole),
            Scale::Log10 => ticks::log10(self.low, self.high, most),
            Scale::Log2 => ticks::log2(self.low, self.high, most),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn span(scale: Scale, values: &[f64]) -> Option<Span> {
        Span::new(&Axis::new("").scale(scale), values.iter().copied(), 0.05, true)
    }

    #[test]
    fn odd_values_give_a_usable_range_or_none() {
        assert_eq!(span(Scale::Linear, &[f64::NAN, f64::INFINITY]), None);
        assert_eq!(span(Scale::Log10, &[-1.0, 0.0]), None);
        for values in
            [vec![0.0], vec![3.0, 3.0], vec![f64::MAX, -f64::MAX], vec![1e-310, 1e300], vec![-5.0]]
        {
            for scale in [Scale::Linear, Scale::Log10, Scale::Log2] {
                if let Some(span) = span(scale, &values) {
                    assert!(span.low < span.high, "{values:?} {scale:?} {span:?}");
                    for &v in &values {
                        assert!(span.fraction(v).is_none_or(f64::is_finite));
                    }
                    for tick in span.ticks(6, false) {
                        assert!(tick.value.is_finite(), "{tick:?}");
                    }
                }
            }
        }
    }

    #[test]
    fn an_unusable_fixed_range_is_ignored() {
        let axis = Axis::new("").range(f64::NAN, 1.0);
        let span = Span::new(&axis, [1.0, 2.0].into_iter(), 0.0, false).unwrap();
        assert_eq!((span.low, span.high), (1.0, 2.0));
    }
}
