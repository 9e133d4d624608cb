//! Where an answer is wrong: the columns, the rows, or what the inputs have there.

use super::Sides;
use crate::check::trial::Trial;

/// Where every wrong element is and no right one, `in columns from 64 on`; nothing where all are
/// wrong or no rule is simple.
pub fn of(sides: &Sides, trial: &Trial) -> Option<String> {
    let total = sides.wrong.len();
    let count = sides.places().count();
    if count == 0 || total < 2 {
        return None;
    }
    let cols = sides.cols();
    let rows = total / cols;
    if count == total {
        return Some("everywhere".to_string());
    }
    let by_column = line(sides, cols, |i| i % cols);
    let by_row = line(sides, rows, |i| i / cols);
    let columns = (cols > 1).then(|| rule("column", &by_column)).flatten();
    let whole_rows = (rows > 1).then(|| rule("row", &by_row)).flatten();
    // A value can be right by chance, so that a rule says where wrong ones are, and that nearly all
    // there are wrong.
    if let Some(words) = columns.or(whole_rows) {
        return Some(words);
    }
    if let Some(words) = given(sides, trial) {
        return Some(words);
    }
    if count == 1 {
        let at = sides.places().next()?;
        return Some(format!("in one element of {total}, the {}", nth(at)));
    }
    let (columns, touched) = (some(&by_column), some(&by_row));
    match (touched, columns) {
        (r, _) if rows > 3 && 4 * r <= rows && 2 * count >= r * cols => {
            Some(format!("in {r} of {rows} rows"))
        }
        (_, c) if cols > 3 && 4 * c <= cols && 2 * count >= c * rows => {
            Some(format!("in {c} of {cols} columns"))
        }
        _ => Some(format!("in {count} of {total} elements")),
    }
}

fn nth(at: usize) -> String {
    if at == 0 { "first".to_string() } else { format!("one at {at}") }
}

fn some(lines: &[(usize, usize)]) -> usize {
    lines.iter().filter(|(wrong, _)| *wrong > 0).count()
}

/// How many elements of every line are wrong, of how many.
fn line(sides: &Sides, lines: usize, of: impl Fn(usize) -> usize) -> Vec<(usize, usize)> {
    let mut counts = vec![(0, 0); lines];
    for (i, &wrong) in sides.wrong.iter().enumerate() {
        counts[of(i)].0 += usize::from(wrong);
        counts[of(i)].1 += 1;
    }
    counts
}

/// The simplest statement about the numbers of lines that holds every wrong element, and nearly no
/// right one.
fn rule(name: &str, lines: &[(usize, usize)]) -> Option<String> {
    let n = lines.len();
    let fits = |claim: &dyn Fn(usize) -> bool| {
        let within = lines.iter().enumerate().filter(|(i, _)| claim(*i));
        let (wrong, all) = within.fold((0, 0), |(w, a), (_, line)| (w + line.0, a + line.1));
        let outside: usize =
            lines.iter().enumerate().filter(|(i, _)| !claim(*i)).map(|(_, line)| line.0).sum();
        outside == 0 && wrong * 10 >= all * 9
    };
    let hit: Vec<usize> = (0..n).filter(|&i| lines[i].0 > 0).collect();
    let (first, last) = (*hit.first()?, *hit.last()?);
    if hit.len() == n {
        return None;
    }
    if first == last && fits(&|i| i == first) {
        return Some(match first {
            0 => format!("in the first {name}"),
            i if i + 1 == n => format!("in the last {name} of {n}"),
            i => format!("in {name} {i} of {n}"),
        });
    }
    if last + 1 == n && fits(&|i| i >= first) {
        return Some(format!("in {name}s from {first} on, of {n}"));
    }
    if first == 0 && fits(&|i| i <= last) {
        return Some(format!("in {name}s up to {last}, of {n}"));
    }
    for modulus in [2, 4, 8, 16, 32, 64, 128, 256, 512, 3, 5, 6, 7] {
        if 2 * modulus > n {
            continue;
        }
        let half = modulus / 2;
        // The largest remainder that holds: right values at its edge may be right by chance.
        for remainder in (0..modulus).rev() {
            if modulus <= 8 && fits(&|i| i % modulus == remainder) {
                return Some(format!("in {name}s with {name} % {modulus} = {remainder}"));
            }
            if remainder > 0 && fits(&|i| i % modulus >= remainder) {
                return Some(format!("in {name}s with {name} % {modulus} ≥ {remainder}"));
            }
        }
        if half > 0 && fits(&|i| i % modulus < half) {
            return Some(format!("in {name}s with {name} % {modulus} < {half}"));
        }
    }
    if fits(&|i| (first..=last).contains(&i)) {
        return Some(format!("in {name}s {first} to {last} of {n}"));
    }
    None
}

/// What an input of the same shape has where the answer is wrong and nowhere else.
fn given(sides: &Sides, trial: &Trial) -> Option<String> {
    type Has = fn(f64) -> bool;
    const KINDS: [(&str, Has); 6] = [
        ("is 0", |v| v == 0.0),
        ("is negative", |v| v < 0.0),
        ("is positive", |v| v > 0.0),
        ("is no finite number", |v| !v.is_finite()),
        ("is below −1", |v| v < -1.0),
        ("is above 1", |v| v > 1.0),
    ];
    let cols = sides.cols();
    for (name, tensor) in &trial.call.tensors {
        let count = tensor.values.len();
        // Elements, rows or columns of the answer.
        let at: Box<dyn Fn(usize) -> usize> = match count {
            n if n == sides.wrong.len() => Box::new(|i| i),
            n if n == cols && n > 1 => Box::new(move |i| i % cols),
            n if n > 1 && n * cols == sides.wrong.len() => Box::new(move |i| i / cols),
            _ => continue,
        };
        for (words, has) in KINDS {
            let told = |i: usize| has(tensor.values[at(i)]);
            let outside = sides.places().any(|i| !told(i));
            let all = (0..sides.wrong.len()).filter(|&i| told(i)).count();
            if !outside && 10 * sides.places().count() >= 9 * all && all < sides.wrong.len() {
                return Some(format!("where {name} {words}"));
            }
        }
    }
    None
}
