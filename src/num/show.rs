//! Numbers for a reader, in no more digits than tell something.

/// Two lists in as few digits as tell apart what is not the same.
pub fn both(got: &[f64], want: &[f64]) -> (String, String) {
    let show = |values: &[f64], figures: usize| -> Vec<String> {
        values.iter().map(|&value| digits(value, figures)).collect()
    };
    let told = |figures: &usize| {
        let pairs = show(got, *figures).into_iter().zip(show(want, *figures));
        got.iter()
            .zip(want)
            .zip(pairs)
            .all(|((a, b), (x, y))| a == b || x != y || (a.is_nan() && b.is_nan()))
    };
    let figures = (6..17).find(told).unwrap_or(17);
    let show = |values| format!("[{}]", show(values, figures).join(", "));
    (show(got), show(want))
}

/// A number and another in as few digits as tell them apart.
pub fn apart(got: f64, want: f64) -> (String, String) {
    let (got, want) = both(&[got], &[want]);
    (bare(&got), bare(&want))
}

/// A bound or a quotient: two digits.
pub fn short(value: f64) -> String {
    digits(value, 2)
}

/// A number in at most so many significant digits, as short as that allows.
pub fn digits(value: f64, figures: usize) -> String {
    if value == 0.0 {
        return if value.is_sign_negative() { "-0".into() } else { "0".into() };
    }
    if !value.is_finite() {
        return value.to_string();
    }
    let rounded = format!("{value:.*e}", figures.max(1) - 1);
    let (mantissa, exponent) = rounded.split_once('e').unwrap_or((&rounded, "0"));
    // What was rounded to 17 digits may be the same number in fewer.
    let shortest = format!("{value:e}");
    let (mantissa, exponent) = match shortest.split_once('e') {
        Some((short, exponent)) if short.len() <= mantissa.len() => (short, exponent),
        _ => (mantissa, exponent),
    };
    let mantissa = match mantissa.contains('.') {
        true => mantissa.trim_end_matches('0').trim_end_matches('.'),
        false => mantissa,
    };
    let exponent: i32 = exponent.parse().unwrap_or(0);
    if (-3..6).contains(&exponent) {
        let places = mantissa.bytes().filter(u8::is_ascii_digit).count() as i32 - 1 - exponent;
        let number: f64 = format!("{mantissa}e{exponent}").parse().unwrap_or(value);
        format!("{number:.*}", places.max(0) as usize)
    } else {
        format!("{mantissa}e{exponent}")
    }
}

/// A list of one number without its brackets.
pub fn bare(list: &str) -> String {
    list.trim_matches(['[', ']']).to_string()
}
