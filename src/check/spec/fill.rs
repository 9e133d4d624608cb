//! What the tensors of a case are filled with.

use super::case::{Rows, Upstream};
use super::operator::{Fill, Slot};
use crate::check::tensor::Dtype;
use crate::rng::Rng;

/// The least standard deviation of a row without an eps: a backward may form rstd³, which must be a
/// number of every dtype that computes.
const APART: f64 = 1.0 / (1u64 << 41) as f64;

/// The elements of one tensor, before they are rounded to its dtype.
pub fn fill(slot: &Slot, kind: Rows, upstream: Upstream, dtype: Dtype, rng: &mut Rng) -> Vec<f64> {
    let count: usize = slot.shape.iter().product();
    // Without an eps, a variance must be one: rows whose sums say little of it are not asked. Beside
    // small rows it shows whether an eps was added nevertheless.
    let kind = match kind {
        Rows::Normal | Rows::Outlier | Rows::Scaled | Rows::Whole | Rows::Repeated => kind,
        _ if slot.varied => Rows::Scaled,
        _ => kind,
    };
    let cols = slot.shape.last().copied().unwrap_or(1).max(1);
    let whole = kind == Rows::Whole;
    let mut each = |draw: &mut dyn FnMut(&mut Rng) -> f64| -> Vec<f64> {
        (0..count).map(|_| draw(rng)).collect()
    };
    // The first row of a repeated problem, which may be its only one, tells whether the last is read.
    let mut first = kind == Rows::Repeated;
    let mut row = |cols: usize, rng: &mut Rng| {
        let mut row = match (std::mem::take(&mut first), kind) {
            (true, _) => edge(cols, cols - 1, rng),
            (false, Rows::Repeated) if slot.varied => row(Rows::Normal, cols, dtype, rng),
            (false, kind) => row(kind, cols, dtype, rng),
        };
        if slot.varied && is_constant(&row.iter().map(|&x| dtype.round(x)).collect::<Vec<f64>>()) {
            row[0] = if row[0] == 0.0 { 1.0 } else { 3.0 * row[0] };
        }
        if slot.varied && deviation(&row) < APART {
            row[0] += (4.0 * APART * (cols as f64).sqrt()).copysign(row[0]);
        }
        row
    };
    match slot.fill {
        Fill::Rows => (0..count / cols).flat_map(|_| row(cols, rng)).collect(),
        Fill::RowsOf(cols) => (0..count / cols).flat_map(|_| row(cols, rng)).collect(),
        Fill::Columns => {
            let columns: Vec<Vec<f64>> = (0..cols).map(|_| row(count / cols, rng)).collect();
            (0..count).map(|i| columns[i % cols][i / cols]).collect()
        }
        Fill::Within(limit) => {
            let rows = (0..count / cols).flat_map(|_| {
                let mut row = row(cols, rng);
                let largest = row.iter().fold(0.0f64, |most, value| most.max(value.abs()));
                if largest > limit {
                    row.iter_mut().for_each(|value| *value *= limit / largest);
                }
                row
            });
            rows.collect()
        }
        // Whole weights differ from one, from each other and in sign.
        Fill::Weight if whole => each(&mut |rng| [1.0, 2.0, -1.0, 3.0, 0.5, 0.0][rng.below(6)]),
        Fill::Weight => {
            each(&mut |rng| if rng.below(8) == 0 && count > 1 { 0.0 } else { rng.normal() })
        }
        Fill::Normal(std) if whole => each(&mut |rng| std * (rng.below(5) as f64 - 2.0)),
        Fill::Normal(std) => each(&mut |rng| std * rng.normal()),
        Fill::Positive if whole => each(&mut |rng| [1.0, 4.0, 0.25][rng.below(3)]),
        Fill::Positive => each(&mut |rng| rng.normal().abs() + 0.1),
        Fill::Squares if whole => each(&mut |rng| [0.0, 1.0, 4.0][rng.below(3)]),
        Fill::Squares => {
            each(&mut |rng| if rng.below(8) == 0 { 0.0 } else { rng.normal().powi(2) })
        }
        Fill::Share if whole => each(&mut |rng| [0.0, 1.0, 0.5][rng.below(3)]),
        Fill::Share => each(&mut |rng| match rng.below(6) {
            hard @ (0 | 1) => hard as f64,
            _ => rng.uniform(),
        }),
        Fill::Upstream => gradient(upstream, count, cols, rng),
        Fill::Below(limit) => each(&mut |rng| label(limit, rng)),
        Fill::Labels { classes, ignored } => each(&mut |rng| match rng.below(5) {
            0 => ignored as f64,
            _ => label(classes, rng),
        }),
        Fill::Beside(beside) => {
            let of =
                if beside.within.is_finite() { Fill::Within(beside.within) } else { Fill::Rows };
            let mut values = fill(&Slot { fill: of, ..slot.clone() }, kind, upstream, dtype, rng);
            if let Some(centre) = beside.centre() {
                for value in values.iter_mut().step_by(beside.every) {
                    *value = centre + if whole { rng.below(5) as f64 - 2.0 } else { rng.normal() };
                }
            }
            values
        }
        Fill::Reaching(limit) => {
            let mut rows: Vec<f64> = (0..count / cols).flat_map(|_| row(cols, rng)).collect();
            rows.iter_mut().for_each(|value| {
                let far = if rng.below(4) == 0 { limit } else { limit.powf(rng.uniform()) };
                match rng.below(24) {
                    0 => *value = 0.0,
                    1 => *value = far.copysign(rng.normal()),
                    // Where the curves bend and approximations are spliced.
                    2..=5 => *value = 12.0 * rng.uniform() - 6.0,
                    _ => *value = value.clamp(-limit, limit),
                }
            });
            rows
        }
        Fill::Closed => {
            let rows = (0..count / cols).flat_map(|_| {
                let mut row = row(cols, rng);
                close(&mut row, dtype, rng);
                row
            });
            rows.collect()
        }
        Fill::Logits(ignored) => {
            let broken = rng.below(2) == 0;
            let rows = (0..count / cols).flat_map(|i| {
                let mut row = row(cols, rng);
                if broken && ignored.holds(i) {
                    let garbage = [f64::NAN, f64::INFINITY, f64::NEG_INFINITY][rng.below(3)];
                    row[rng.below(cols)] = garbage;
                }
                row
            });
            rows.collect()
        }
        Fill::Targets { classes, label, ignored } => {
            let mut labels: Vec<f64> = (0..count)
                .map(|i| {
                    let class = self::label(classes, rng);
                    if ignored.holds(i) { label as f64 } else { class }
                })
                .collect();
            if rng.below(10) == 0 {
                let beyond = 2f64.powi(32) + rng.below(classes) as f64;
                let strays = [classes as f64, -1.0, classes as f64 + 256.0, -1000.0, beyond];
                labels[rng.below(count)] = strays[rng.below(5)];
            }
            labels
        }
        Fill::Mask => mask(count, cols, rng),
        Fill::Scores => {
            let rows = (0..count / cols).flat_map(|_| {
                let mut row: Vec<f64> = (0..cols).map(|_| rng.normal()).collect();
                close(&mut row, dtype, rng);
                row
            });
            rows.collect()
        }
        Fill::Steps => {
            let mut steps: Vec<f64> = (0..count).map(|i| i as f64).collect();
            if let Some(last) = steps.last_chunk_mut::<3>().filter(|_| count >= 8) {
                *last = [2f64.powi(31) + 5.0, 2f64.powi(32) + 3.0, 2f64.powi(40)];
            }
            steps
        }
    }
}

/// The standard deviation of a row.
fn deviation(row: &[f64]) -> f64 {
    let n = row.len() as f64;
    let mean = row.iter().sum::<f64>() / n;
    (row.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / n).sqrt()
}

/// True where every element is the same, or the only one is 0.
pub fn is_constant(row: &[f64]) -> bool {
    row.iter().all(|x| *x == row[0]) && (row.len() > 1 || row.iter().all(|x| *x == 0.0))
}

/// Multiplies a tensor by a power of two, so that its largest element is 2^`exponent` or somewhat
/// more. An infinity and the least finite number stay what they are.
pub fn stretch(values: &mut [f64], exponent: i32, dtype: Dtype) {
    let moves = |value: &f64| value.abs() < dtype.largest() / 4.0;
    let largest = values.iter().filter(|v| moves(v)).fold(0.0f64, |most, v| most.max(v.abs()));
    if largest > 0.0 {
        let power = f64::from(exponent) - largest.log2().floor();
        // In two steps, since one of them may leave what f64 holds.
        let half = (power / 2.0).floor();
        let stretched = |value: f64| value * half.exp2() * (power - half).exp2();
        values.iter_mut().filter(|v| moves(v)).for_each(|value| *value = stretched(*value));
    }
}

/// A label, one in four among the last eight, whose digits are lost first.
fn label(classes: usize, rng: &mut Rng) -> f64 {
    let among = if rng.below(4) == 0 { classes.min(8) } else { classes };
    (classes - 1 - rng.below(among)) as f64
}

/// One row of a kind, such that cols·max|x|² stays within 2^±120 and within the dtype.
pub fn row(kind: Rows, cols: usize, dtype: Dtype, rng: &mut Rng) -> Vec<f64> {
    let sign = if rng.below(2) == 0 { 1.0 } else { -1.0 };
    let size = sign * 10f64.powi(1 + rng.below(4) as i32);
    let normal = |mean: f64, std: f64, rng: &mut Rng| -> Vec<f64> {
        (0..cols).map(|_| mean + std * rng.normal()).collect()
    };
    match kind {
        Rows::Normal => normal(0.0, 1.0, rng),
        Rows::BigMean => big_mean(size, cols, dtype, rng),
        Rows::TinyVariance => {
            let std = 10f64.powf(-1.0 - 3.0 * rng.uniform());
            normal(rng.below(2) as f64 * 0.125, std, rng)
        }
        Rows::Outlier => {
            let mut row = normal(0.0, 0.1, rng);
            row[rng.below(cols)] = size;
            row
        }
        Rows::Constant => constant(cols, dtype, rng),
        Rows::Scaled => {
            let most = match dtype {
                Dtype::F16 => 13,
                // A backward may form rstd³, which must stay a normal number.
                _ => (50 - (cols as f64).log2().ceil() as i32 / 2).min(39),
            };
            let least = if dtype == Dtype::F16 { -10 } else { -most };
            let power = least + rng.below((most - least + 1) as usize) as i32;
            normal(0.0, 2f64.powi(power), rng)
        }
        Rows::Mixed => row(Rows::ALL[rng.below(6)], cols, dtype, rng),
        Rows::Exact => exact(cols, dtype, rng),
        Rows::Repeated => match rng.below(6) {
            0 | 1 => {
                let edges: Vec<usize> = super::repeated::edges(cols, rng).into_iter().collect();
                edge(cols, edges.get(rng.below(edges.len().max(1))).copied().unwrap_or(0), rng)
            }
            2 => normal(0.0, 1.0, rng),
            _ => row(Rows::Mixed, cols, dtype, rng),
        },
        Rows::Whole => (0..cols).map(|_| rng.below(5) as f64 - 2.0).collect(),
    }
}

/// A mean of up to `size` standard deviations: as many as leave the dtype a quarter of one and a
/// sum in any order a sixteenth, since of a larger mean nothing is known of the variance. Every
/// second row is made of eighths, so that its sums are exact.
fn big_mean(size: f64, cols: usize, dtype: Dtype, rng: &mut Rng) -> Vec<f64> {
    let sums = 1.0 / (32.0 * cols as f64 * dtype.accumulator().unit());
    let mean = size.signum() * size.abs().min(0.25 / dtype.unit()).min(sums);
    let eighths = rng.below(2) == 0;
    let each = |value: f64| if eighths { (8.0 * value).round() / 8.0 } else { value };
    (0..cols).map(|_| each(mean + rng.normal())).collect()
}

/// Small but for one element: whoever leaves it out is far off.
fn edge(cols: usize, place: usize, rng: &mut Rng) -> Vec<f64> {
    let mut row: Vec<f64> = (0..cols).map(|_| 0.1 * rng.normal()).collect();
    row[place] = 10f64.powi(2 + rng.below(3) as i32);
    row
}

/// One value, of few digits or of many; of many only where a sum in any order has them to 2⁻⁹ of
/// √eps for the usual eps.
fn constant(cols: usize, dtype: Dtype, rng: &mut Rng) -> Vec<f64> {
    let many = rng.normal();
    let least = 2f64.powi(-9) * 1e-5f64.sqrt() / (cols as f64 * dtype.accumulator().unit());
    vec![[0.0, 1.0, 1234.0, many * least.min(1.0), 3e-3][rng.below(5)]; cols]
}

/// Small whole steps around a large whole offset, in pairs: every partial sum is a whole number that
/// the accumulator has, the mean is the offset and the squares of what is left are exact. The
/// offset leaves a mean that is not summed, but updated, an eighth of a step.
fn exact(cols: usize, dtype: Dtype, rng: &mut Rng) -> Vec<f64> {
    let steps = if dtype.bytes() == 2 { 2 } else { 8 };
    let room = (dtype.accumulator().unit().recip() / 16.0).min(2f64.powi(23)) / cols as f64;
    let most = (room - steps as f64).max(0.0).min(dtype.unit().recip() / 4.0);
    let offset = (most * [0.0, 0.25, 1.0][rng.below(3)]).floor();
    let mut row: Vec<f64> = Vec::with_capacity(cols);
    while row.len() + 2 <= cols {
        let step = (1 + rng.below(steps)) as f64;
        row.extend([offset + step, offset - step]);
    }
    row.resize(cols, offset);
    // In an order of its own, each pair apart.
    for i in (1..cols).rev() {
        row.swap(i, rng.below(i + 1));
    }
    row
}

/// Puts −∞ or the least finite number into some rows: here and there, at the first places or
/// everywhere.
fn close(row: &mut [f64], dtype: Dtype, rng: &mut Rng) {
    let cols = row.len();
    let low = [f64::NEG_INFINITY, -dtype.largest()][rng.below(2)];
    let first = match rng.below(12) {
        0 => cols,
        1 | 2 => rng.below(cols),
        3 | 4 => {
            // Rarely the whole row, however short it is.
            let kept = rng.below(cols);
            for (j, value) in row.iter_mut().enumerate() {
                if j != kept && rng.below(3) == 0 {
                    *value = low;
                }
            }
            0
        }
        _ => 0,
    };
    // A row of nothing but the least number has lost its scores to rounding: −∞ has not.
    let low = if first == cols { f64::NEG_INFINITY } else { low };
    row[..first].fill(low);
}

fn gradient(kind: Upstream, count: usize, cols: usize, rng: &mut Rng) -> Vec<f64> {
    if count == 1 {
        // The gradient of a single number tells nothing where it is 0.
        return vec![[1.0, 2.0, -0.5, 0.1 + rng.normal().abs()][rng.below(4)]];
    }
    match kind {
        Upstream::Normal => {
            let mean = rng.below(2) as f64;
            (0..count).map(|_| mean + rng.normal()).collect()
        }
        Upstream::OneHot => {
            let mut dy = vec![0.0; count];
            for row in dy.chunks_mut(cols) {
                row[rng.below(row.len())] = 1.0;
            }
            dy
        }
        Upstream::Sparse => {
            (0..count).map(|_| if rng.below(8) == 0 { rng.normal() } else { 0.0 }).collect()
        }
        Upstream::Whole => (0..count).map(|_| rng.below(5) as f64 - 2.0).collect(),
    }
}

/// Rows that are open, partly closed, closed at their first keys, or closed altogether.
fn mask(count: usize, cols: usize, rng: &mut Rng) -> Vec<f64> {
    let mut mask = Vec::with_capacity(count);
    for _ in 0..count / cols {
        let kind = rng.below(6);
        let first = rng.below(cols + 1);
        mask.extend((0..cols).map(|j| match kind {
            0 => 1.0,
            1 => f64::from(j >= first),
            2 => 0.0,
            _ => f64::from(rng.below(3) > 0),
        }));
    }
    mask
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::spec::operator::Role;

    #[test]
    fn a_row_without_an_eps_has_a_deviation_whose_third_power_is_a_number() {
        for seed in 0..2000 {
            for cols in [2, 3, 7] {
                let mut slot = Slot::new("x", &[8, cols], Role::Data, Fill::Rows);
                slot.varied = true;
                let mut rng = Rng::new(seed);
                let x = fill(&slot, Rows::Scaled, Upstream::Whole, Dtype::F32, &mut rng);
                for row in x.chunks(cols) {
                    let rstd = 1.0 / deviation(row);
                    assert!(rstd.powi(3) < f64::from(f32::MAX), "{row:?}");
                }
            }
        }
    }
}
