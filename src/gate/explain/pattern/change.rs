//! What was done to the numbers that are wrong.

use super::Sides;
use crate::check::trial::Trial;
use crate::num::show::digits;

/// A change in words, and its kind, which is the same where only a constant differs.
pub struct Change {
    pub kind: &'static str,
    pub words: String,
}

/// The least elements that a constant is read from.
const FEW: usize = 2;

/// What every wrong element has in common with what it should be.
pub fn of(sides: &Sides, trial: &Trial, earlier: Option<&Trial>) -> Option<Change> {
    let change = |kind, words: String| Some(Change { kind, words });
    let named = |kind: &'static str, words: &str| change(kind, words.to_string());
    let count = sides.places().count();
    if count == 0 {
        return None;
    }
    let got = |i: usize| sides.got[i];
    if sides.places().all(|i| got(i).is_nan()) {
        return named("nan", "NaN");
    }
    if sides.places().all(|i| got(i).is_infinite()) {
        return named("infinite", "infinite");
    }
    if sides.places().all(|i| !got(i).is_finite()) {
        return named("not finite", "no finite number");
    }
    if sides.places().all(|i| got(i) == 0.0) {
        return named("zero", "0 in place of a value");
    }
    if sides.places().all(|i| sides.want[i] == 0.0) {
        return named("not zero", "a value in place of 0");
    }
    if count < FEW {
        return None;
    }
    if sides.all(|i| -sides.want[i]) {
        return named("sign", "the sign is wrong");
    }
    if let Some(name) = copied(sides, trial) {
        return change("copy", format!("a copy of {name}"));
    }
    if let Some(earlier) = earlier.and_then(|earlier| stale(sides, trial, earlier)) {
        return named("stale", earlier);
    }
    if let Some(words) = moved(sides) {
        return named(words, words);
    }
    if sides.places().all(|i| got(i) == got(sides.places().next().unwrap_or(0))) {
        let first = got(sides.places().next()?);
        return change("constant", format!("{} everywhere", digits(first, 4)));
    }
    if let Some(factor) = factor(sides) {
        return change("factor", format!("{} times what it should be", digits(factor, 4)));
    }
    if let Some(shift) = shift(sides) {
        let word = if shift > 0.0 { "too large" } else { "too small" };
        return change("shift", format!("{word} by {}", digits(shift.abs(), 4)));
    }
    if let Some(power) = power(sides) {
        return change("power", format!("the power {} of what it should be", digits(power, 3)));
    }
    if by_row(sides, factor) {
        return named("factor by row", "each row times a factor of its own");
    }
    if by_row(sides, shift) {
        return named("shift by row", "each row shifted by a constant of its own");
    }
    if by_column(sides, factor) {
        return named("factor by column", "each column times a factor of its own");
    }
    None
}

/// The factor that makes of what should be what came.
fn factor(sides: &Sides) -> Option<f64> {
    // The element with the sharpest bound tells the factor best.
    let sharp = |i: &usize| (sides.bound[*i] / sides.want[*i]).abs();
    let usable = sides.places().filter(|i| sides.want[*i] != 0.0 && sharp(i).is_finite());
    let best = usable.min_by(|a, b| sharp(a).total_cmp(&sharp(b)))?;
    let factor = sides.got[best] / sides.want[best];
    let lone = sides.places().count() < FEW;
    (!lone && factor.is_finite() && sides.all(|i| factor * sides.want[i])).then_some(factor)
}

/// What is added to what should be.
fn shift(sides: &Sides) -> Option<f64> {
    let best = sides.places().min_by(|&a, &b| sides.bound[a].total_cmp(&sides.bound[b]))?;
    let shift = sides.got[best] - sides.want[best];
    let room = |i: usize| sides.bound[i] + sides.bound[best];
    let lone = sides.places().count() < FEW;
    let holds = |i: usize| (sides.got[i] - sides.want[i] - shift).abs() <= room(i);
    // A shift that bounds cannot tell from none is none.
    let told = sides.places().all(|i| shift.abs() > 4.0 * room(i));
    (!lone && shift.is_finite() && told && sides.places().all(holds)).then_some(shift)
}

/// got = ±|want|^p, for numbers of which at least two differ much.
fn power(sides: &Sides) -> Option<f64> {
    let logs = sides.places().filter(|&i| sides.want[i] != 0.0 && sides.got[i] != 0.0);
    let logs: Vec<(f64, f64)> =
        logs.map(|i| (sides.want[i].abs().ln(), sides.got[i].abs().ln())).collect();
    let far = logs.iter().copied().max_by(|a, b| a.0.abs().total_cmp(&b.0.abs()))?;
    let power =
        [0.5, 2.0, -1.0, -0.5, 3.0].into_iter().find(|p| (far.1 - p * far.0).abs() < 1e-3)?;
    let holds = |&(want, got): &(f64, f64)| (got - power * want).abs() <= 1e-3 * (1.0 + want.abs());
    (logs.len() > 3 && far.0.abs() > 0.5 && logs.iter().all(holds)).then_some(power)
}

/// The rows that hold wrong elements, each looked at alone; true where `of` holds in each and any has
/// more than one wrong element.
fn by_row(sides: &Sides, of: impl Fn(&Sides) -> Option<f64>) -> bool {
    let cols = sides.cols();
    lines(sides, &of, |i| i / cols)
}

fn by_column(sides: &Sides, of: impl Fn(&Sides) -> Option<f64>) -> bool {
    let cols = sides.cols();
    lines(sides, &of, |i| i % cols)
}

fn lines(
    sides: &Sides,
    of: &impl Fn(&Sides) -> Option<f64>,
    line: impl Fn(usize) -> usize,
) -> bool {
    let mut wrong: Vec<usize> = sides.places().map(&line).collect();
    wrong.sort_unstable();
    let total = wrong.len();
    wrong.dedup();
    // Two elements always have a common factor of sorts; four by line do not by chance.
    let dense = total >= 3 * wrong.len() && wrong.len() > 1;
    dense
        && wrong.iter().all(|&own| {
            let wrong = (0..sides.wrong.len()).map(|i| sides.wrong[i] && line(i) == own).collect();
            let part = Sides { wrong, ..*sides };
            part.places().count() == 1 || of(&part).is_some()
        })
}

/// The input whose elements stand where the answer belongs.
fn copied(sides: &Sides, trial: &Trial) -> Option<String> {
    let same = |values: &[f64]| {
        values.len() == sides.got.len() && sides.places().all(|i| sides.got[i] == values[i])
    };
    let mut inputs = trial.call.tensors.iter();
    let (name, _) = inputs.find(|(_, tensor)| same(&tensor.values))?;
    Some(name.clone())
}

/// Elements that an earlier answer had at these places.
fn stale(sides: &Sides, trial: &Trial, earlier: &Trial) -> Option<&'static str> {
    let name = trial.flaw.as_ref()?.tensor.as_ref()?;
    let old = &earlier.answer.as_ref()?.get(name)?.values;
    let mut places = sides.places();
    let same = places.all(|i| old.get(i) == Some(&sides.got[i]));
    same.then_some("values of the answer before")
}

/// Right values in another order.
fn moved(sides: &Sides) -> Option<&'static str> {
    let (cols, count) = (sides.cols(), sides.got.len());
    let holds = |from: &dyn Fn(usize) -> usize| {
        sides.places().all(|i| {
            let from = from(i);
            let room = sides.bound[i].max(sides.bound[from]);
            (sides.got[i] - sides.want[from]).abs() <= room
        })
    };
    let rows = count / cols;
    if cols > 1 && rows > 1 {
        // Of a stack of matrices each is looked at alone.
        let tall = if sides.shape.len() > 1 { sides.shape[sides.shape.len() - 2] } else { rows };
        let area = (tall * cols).max(1);
        let transposed = |i: usize| {
            let (matrix, i) = (i / area, i % area);
            matrix * area + i % tall * cols + i / tall
        };
        if tall > 1 && holds(&transposed) {
            return Some("transposed");
        }
        if holds(&|i| (rows - 1 - i / cols) * cols + i % cols) {
            return Some("the rows in reverse order");
        }
        if (1..rows.min(9)).any(|by| holds(&|i| (i + by * cols) % count)) {
            return Some("values of another row");
        }
    }
    if cols > 1 {
        if holds(&|i| i / cols * cols + (cols - 1 - i % cols)) {
            return Some("each row in reverse order");
        }
        let half = cols / 2;
        let near = (1..cols.min(9)).chain([half, cols - 1]).filter(|&by| by > 0);
        let mut near = near;
        if near.any(|by| holds(&|i| i / cols * cols + (i % cols + by) % cols)) {
            return Some("values of another column");
        }
        if permuted(sides) {
            return Some("the values of each row in another order");
        }
    }
    None
}

/// True where every row has the values that it should have, in whatever order.
fn permuted(sides: &Sides) -> bool {
    let cols = sides.cols();
    let rows = sides.got.chunks(cols).zip(sides.want.chunks(cols)).zip(sides.bound.chunks(cols));
    let mut rows = rows.filter(|((got, want), _)| got != want);
    cols > 3
        && rows.all(|((got, want), bound)| {
            let sorted = |values: &[f64]| {
                let mut sorted = values.to_vec();
                sorted.sort_by(f64::total_cmp);
                sorted
            };
            let room = bound.iter().copied().fold(0.0, f64::max);
            let spread = want.iter().fold(0.0f64, |most, v| most.max(v.abs()));
            let pairs = sorted(got).into_iter().zip(sorted(want));
            room < 0.01 * spread && pairs.into_iter().all(|(a, b)| (a - b).abs() <= room)
        })
}
