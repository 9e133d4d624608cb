//! Places and labels of ticks.

/// A labelled place on an axis.
#[derive(Clone, Debug, PartialEq)]
pub struct Tick {
    /// The value at the tick.
    pub value: f64,
    /// Its label.
    pub label: String,
}

/// No axis carries more ticks than this, whatever the data.
const MOST: usize = 60;

/// Ticks at steps of 1, 2 or 5 times a power of ten, at most about `most` of them.
///
/// With `whole` the step is at least one, for axes that count things.
#[must_use]
pub fn linear(low: f64, high: f64, most: usize, whole: bool) -> Vec<Tick> {
    let most = most.clamp(2, MOST);
    if !(low < high && (high - low).is_finite()) {
        return Vec::new();
    }
    let rough = (high - low) / most as f64;
    let mut exponent = libm::floor(libm::log10(rough)) as i32;
    let mut digit = 1;
    for candidate in [1, 2, 5, 10] {
        digit = candidate;
        if f64::from(candidate) * power(exponent) >= rough * (1.0 - 1e-9) {
            break;
        }
    }
    if digit == 10 {
        (digit, exponent) = (1, exponent + 1);
    }
    if whole && exponent < 0 {
        (digit, exponent) = (1, 0);
    }
    let step = f64::from(digit) * power(exponent);
    let (first, last) = (libm::ceil(low / step - 1e-6), libm::floor(high / step + 1e-6));
    let count = last - first;
    if !(count >= 0.0 && count <= MOST as f64) {
        return Vec::new();
    }
    let largest = low.abs().max(high.abs());
    (0..=count as usize)
        .map(|i| {
            let value = (first + i as f64) * step;
            Tick { value, label: label(value, exponent, largest) }
        })
        .collect()
}

/// The label of a multiple of `10^exponent` on an axis that reaches to `largest`.
fn label(value: f64, exponent: i32, largest: f64) -> String {
    if value == 0.0 {
        return "0".to_owned();
    }
    if largest >= 1e7 || exponent < -4 {
        let top = libm::floor(libm::log10(largest)) as i32;
        let digits = (top - exponent).clamp(0, 6) as usize;
        let mantissa = signed(format!("{:.digits$}", value / power(top)));
        let mantissa = match mantissa.split_once('.') {
            Some((whole, part)) if part.bytes().all(|b| b == b'0') => whole.to_owned(),
            _ => mantissa,
        };
        return match mantissa.as_str() {
            "1" => tens(top),
            _ => format!("{mantissa}×{}", tens(top)),
        };
    }
    let decimals = (-exponent).max(0) as usize;
    signed(grouped(&format!("{value:.decimals$}")))
}

/// Ticks at powers of ten, with 2 and 5 in between where there is room.
#[must_use]
pub fn log10(low: f64, high: f64, most: usize) -> Vec<Tick> {
    if !(low > 0.0 && low < high && high.is_finite()) {
        return Vec::new();
    }
    let first = libm::floor(libm::log10(low)) as i32;
    let last = libm::ceil(libm::log10(high)) as i32;
    let plain = first >= -4 && last <= 5;
    let inside = |value: f64| value >= low * (1.0 - 1e-9) && value <= high * (1.0 + 1e-9);
    let all: [&[u8]; 3] = [&[1, 2, 5], &[1, 3], &[1]];
    let mut denser = Vec::new();
    for digits in all {
        let ticks: Vec<_> = (first..=last)
            .flat_map(|exponent| digits.iter().map(move |&digit| (digit, exponent)))
            .filter(|&(digit, exponent)| inside(f64::from(digit) * power(exponent)))
            .map(|(digit, exponent)| Tick {
                value: f64::from(digit) * power(exponent),
                label: match (plain, digit) {
                    (true, _) => {
                        let decimals = (-exponent).max(0) as usize;
                        grouped(&format!("{:.decimals$}", f64::from(digit) * power(exponent)))
                    }
                    (false, 1) => tens(exponent),
                    (false, _) => format!("{digit}×{}", tens(exponent)),
                },
            })
            .collect();
        if ticks.len() < 2 {
            // One tick gives no scale: rather some more than there is room for.
            return if denser.is_empty() { linear(low, high, most, false) } else { denser };
        }
        if ticks.len() <= most {
            return ticks;
        }
        denser = ticks;
    }
    let exponents: Vec<i32> = (first..=last).filter(|&e| inside(power(e))).collect();
    every(exponents[0], exponents[exponents.len() - 1], most)
        .map(|exponent| Tick {
            value: power(exponent),
            label: if plain { grouped(&format!("{}", power(exponent))) } else { tens(exponent) },
        })
        .collect()
}

/// Ticks at powers of two, labelled as plain numbers while they are short.
#[must_use]
pub fn log2(low: f64, high: f64, most: usize) -> Vec<Tick> {
    if !(low > 0.0 && low < high && high.is_finite()) {
        return Vec::new();
    }
    let first = libm::ceil(libm::log2(low) - 1e-9) as i32;
    let last = libm::floor(libm::log2(high) + 1e-9) as i32;
    if last <= first {
        return linear(low, high, most, false);
    }
    every(first, last, most)
        .map(|exponent| {
            let value = libm::exp2(f64::from(exponent));
            let label = match exponent {
                -4..=16 => grouped(&format!("{value}")),
                _ => format!("2{}", superscript(exponent)),
            };
            Tick { value, label }
        })
        .collect()
}

/// Every exponent or, when these are too many, every second, third and so on, aligned to zero; one
/// tick gives no scale, so that there are two where the range has them.
fn every(first: i32, last: i32, most: usize) -> impl Iterator<Item = i32> {
    let most = most.clamp(2, MOST) as i32;
    let at = move |step: i32| (first..=last).filter(move |exponent| exponent.rem_euclid(step) == 0);
    let widest = ((last - first) / most + 1).max(1);
    let step = (1..=widest).rev().find(|&step| at(step).nth(1).is_some()).unwrap_or(1);
    at(step)
}

/// A number with three significant digits, for cells and notes.
#[must_use]
pub fn short(value: f64) -> String {
    if value.is_nan() {
        return "NaN".to_owned();
    }
    if value.is_infinite() {
        return if value > 0.0 { "∞" } else { "−∞" }.to_owned();
    }
    if value == 0.0 {
        return "0".to_owned();
    }
    // Formatting rounds first, so that 9.999 counts as 10.0 and not as 10.00.
    let rounded = format!("{value:.2e}");
    let (mantissa, exponent) = rounded.split_once('e').unwrap_or((&rounded, "0"));
    let exponent: i32 = exponent.parse().unwrap_or(0);
    if (-3..=4).contains(&exponent) {
        let decimals = (2 - exponent).clamp(0, 5) as usize;
        signed(grouped(&format!("{value:.decimals$}")))
    } else {
        let mantissa = mantissa.trim_end_matches('0').trim_end_matches('.');
        signed(format!("{mantissa}×{}", tens(exponent)))
    }
}

/// Ten to the power as text with superscripts.
fn tens(exponent: i32) -> String {
    format!("10{}", superscript(exponent))
}

fn superscript(number: i32) -> String {
    number
        .to_string()
        .chars()
        .map(|c| match c.to_digit(10) {
            Some(digit) => ['⁰', '¹', '²', '³', '⁴', '⁵', '⁶', '⁷', '⁸', '⁹'][digit as usize],
            None => '⁻',
        })
        .collect()
}

/// Puts thin spaces between groups of three digits of numbers with five digits or more.
fn grouped(number: &str) -> String {
    let (sign, digits) = match number.strip_prefix('-') {
        Some(rest) => ("-", rest),
        None => ("", number),
    };
    let (whole, part) = match digits.find('.') {
        Some(dot) => digits.split_at(dot),
        None => (digits, ""),
    };
    if whole.len() < 5 {
        return number.to_owned();
    }
    let mut out = String::from(sign);
    for (i, c) in whole.chars().enumerate() {
        if i > 0 && (whole.len() - i).is_multiple_of(3) {
            out.push('\u{2009}');
        }
        out.push(c);
    }
    out + part
}

/// Replaces the hyphen by a true minus sign.
fn signed(number: String) -> String {
    match number.strip_prefix('-') {
        Some(rest) => format!("−{rest}"),
        None => number,
    }
}

/// Ten to the power, exact to the last digit that parsing gives.
fn power(exponent: i32) -> f64 {
    format!("1e{exponent}").parse().unwrap_or(f64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(ticks: Vec<Tick>) -> Vec<String> {
        ticks.into_iter().map(|tick| tick.label).collect()
    }

    #[test]
    fn linear_steps_are_one_two_five() {
        assert_eq!(
            labels(linear(0.0, 1.0, 5, false)),
            ["0.0", "0.2", "0.4", "0.6", "0.8", "1.0"].map(|l| if l == "0.0" { "0" } else { l })
        );
        assert_eq!(labels(linear(-3.0, 12.0, 4, false)), ["0", "5", "10"]);
        assert_eq!(labels(linear(-0.5, 0.5, 2, false)), ["−0.5", "0", "0.5"]);
        assert_eq!(
            labels(linear(0.0, 20_000.0, 2, false)),
            ["0", "10\u{2009}000", "20\u{2009}000"]
        );
        assert_eq!(labels(linear(0.0, 3.0, 9, true)), ["0", "1", "2", "3"]);
    }

    #[test]
    fn a_log_axis_has_two_ticks_at_least() {
        assert_eq!(labels(log10(2e-5, 9e-4, 2)), ["3×10⁻⁵", "10⁻⁴", "3×10⁻⁴"]);
        assert!(log10(1.2, 8.0, 2).len() > 1);
        assert_eq!(labels(log10(2e-7, 9e-3, 2)), ["10⁻⁶", "10⁻⁴"]);
        assert_eq!(labels(log10(2e-7, 9e-3, 1)), ["10⁻⁶", "10⁻⁴"]);
    }

    #[test]
    fn huge_and_tiny_numbers_use_powers_of_ten() {
        assert_eq!(labels(linear(0.0, 2e300, 2, false)), ["0", "10³⁰⁰", "2×10³⁰⁰"]);
        assert_eq!(labels(linear(0.0, 2e-9, 2, false)), ["0", "10⁻⁹", "2×10⁻⁹"]);
    }

    #[test]
    fn unusable_ranges_give_no_ticks() {
        for (low, high) in [
            (1.0, 1.0),
            (2.0, 1.0),
            (f64::NAN, 1.0),
            (f64::NEG_INFINITY, f64::INFINITY),
            (1e300, 1e300 * (1.0 + 1e-15)),
        ] {
            let _ = linear(low, high, 5, false);
            let _ = log10(low, high, 5);
            let _ = log2(low, high, 5);
        }
        assert!(log10(-1.0, 10.0, 5).is_empty());
    }

    #[test]
    fn log_ticks_thin_out_with_the_range() {
        assert_eq!(labels(log10(0.001, 1.0, 4)), ["0.001", "0.01", "0.1", "1"]);
        assert_eq!(labels(log10(0.5, 20.0, 8)), ["0.5", "1", "2", "5", "10", "20"]);
        assert_eq!(labels(log10(1e-8, 1.0, 5)), ["10⁻⁸", "10⁻⁶", "10⁻⁴", "10⁻²", "10⁰"]);
        assert_eq!(labels(log2(2.0, 64.0, 9)), ["2", "4", "8", "16", "32", "64"]);
        assert!(log10(1e-300, 1e300, 8).len() <= 9);
    }

    #[test]
    fn short_keeps_three_digits() {
        assert_eq!(
            [2.4567, 0.01234, 123.4, 1e-9, -3.0, 9.999, 0.0].map(short),
            ["2.46", "0.0123", "123", "10⁻⁹", "−3.00", "10.0", "0"].map(|s| if s == "10⁻⁹" {
                "1×10⁻⁹".to_owned()
            } else {
                s.to_owned()
            })
        );
    }
}
