//! One comparison: pairs of timings until the interval of their ratio says what it is.
//!
//! *A pair* is four visits in the order ABBA or BAAB, as a coin says, so that a drift hits both
//! sides alike. A visit times one repetition and then `repeat`; a side's time is the least of its
//! two long timings less the least of its two short ones, over `repeat − 1`: what is the same for
//! any number of repetitions (the pipe, the copies, the first touch of cold memory) cancels. Noise
//! on a shared machine only ever adds, in bursts, and so the least of two is spoilt only where both
//! were hit. What is left of the bursts are outliers, and half of all pairs may be outliers before
//! a median gives way.
//!
//! *A/A first.* The base is timed against a second worker of itself. Where its interval lies beyond
//! ±3 % the machine favours one of two equal workers and can give no verdict on others.
//!
//! *A red is seen twice.* Where code and data lie in memory is drawn when a process starts, and can
//! make equal code some percent faster or slower for as long as it lives (Mytkowicz et al. 2009),
//! which no number of pairs averages out. So an interval above +3 % counts only where workers that
//! were started anew show it again, in pairs of their own.

use serde::{Deserialize, Serialize};

use super::interval::{Interval, Looks};
use crate::rng::Rng;

/// A candidate is slower when its interval lies above this ratio to the base.
pub const SLOWER: f64 = 1.03;

/// The share of the budget that the A/A run may take.
const FIRST_SHARE: f64 = 0.25;

/// Seconds that the repetitions of a long timing should take at least.
const LONG: f64 = 2e-3;

/// How many times as long as a single repetition, transport included, a long timing is at least.
const TRANSPORT: f64 = 4.0;

/// Work of which this many repetitions take no time is not done.
const MOST: usize = 1 << 24;

/// Who is timed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Worker {
    /// The implementation to compare with.
    Base,
    /// A second worker of the same.
    Twin,
    /// The implementation that is judged.
    Cand,
}

/// Whatever can be timed.
pub trait Stand {
    /// What can go wrong.
    type Error;
    /// Seconds that a worker takes for `repeat` repetitions, transport included.
    fn time(&mut self, worker: Worker, repeat: usize) -> Result<f64, Self::Error>;
    /// Starts the base and the candidate anew.
    fn restart(&mut self) -> Result<(), Self::Error>;
    /// Seconds since the comparison began.
    fn elapsed(&self) -> f64;
}

/// What pairs say.
#[derive(Debug, Clone, PartialEq)]
pub struct Settled {
    /// Where the logarithm of the second's time over the first's lies.
    pub interval: Option<Interval>,
    /// How many pairs it took.
    pub pairs: usize,
    /// Seconds of one repetition of either side: medians.
    pub seconds: [f64; 2],
}

/// How a comparison ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Decision {
    /// The interval lies above +3 %, and does again after a new start.
    Regression,
    /// The interval lies below +3 %.
    Ok,
    /// The interval still holds +3 % at the end of the budget.
    Undecided,
    /// The interval lay above +3 %, and did not after a new start.
    Unrepeated,
    /// Two workers of the base differ by more than 3 %: the machine cannot tell.
    Biased,
}

/// A comparison.
#[derive(Debug, Clone, PartialEq)]
pub struct Compared {
    /// What it says.
    pub decision: Decision,
    /// The base against itself.
    pub same: Settled,
    /// The candidate against the base, where it came to that.
    pub other: Option<Settled>,
}

/// Compares the candidate with the base, within some seconds.
pub fn compare<S: Stand>(stand: &mut S, budget: f64, mut rng: Rng) -> Result<Compared, S::Error> {
    let slower = SLOWER.ln();
    let mut settle = |stand: &mut S, sides, until, done: &dyn Fn(Interval) -> bool| {
        settle(stand, sides, until, &mut rng, done)
    };
    let same = settle(stand, [Worker::Base, Worker::Twin], FIRST_SHARE * budget, &|seen| {
        seen.low > -slower && seen.high < slower || seen.low > slower || seen.high < -slower
    })?;
    if same.interval.is_some_and(|seen| seen.low > slower || seen.high < -slower) {
        return Ok(Compared { decision: Decision::Biased, same, other: None });
    }
    let decided = |seen: Interval| seen.low > slower || seen.high < slower;
    let above = |settled: &Settled| settled.interval.is_some_and(|seen| seen.low > slower);
    let below = |settled: &Settled| settled.interval.is_some_and(|seen| seen.high < slower);
    let sides = [Worker::Base, Worker::Cand];
    let mut other = settle(stand, sides, budget, &decided)?;
    let mut decision = if below(&other) { Decision::Ok } else { Decision::Undecided };
    if above(&other) {
        stand.restart()?;
        other = settle(stand, sides, budget, &decided)?;
        decision = match () {
            () if above(&other) => Decision::Regression,
            () if below(&other) => Decision::Unrepeated,
            () => Decision::Undecided,
        };
    }
    Ok(Compared { decision, same, other: Some(other) })
}

/// Takes pairs until a look is decisive or the clock says `until`.
fn settle<S: Stand>(
    stand: &mut S,
    sides: [Worker; 2],
    until: f64,
    rng: &mut Rng,
    done: &dyn Fn(Interval) -> bool,
) -> Result<Settled, S::Error> {
    let repeats = calibrate(stand, sides, until)?;
    let (mut looks, mut seen, mut looked) = (Looks::default(), None, 0);
    let (mut logs, mut seconds) = (Vec::new(), [Vec::new(), Vec::new()]);
    while stand.elapsed() < until {
        let pair = pair(stand, sides, repeats, rng.below(2))?;
        logs.push((pair[1] / pair[0]).ln());
        (0..2).for_each(|side| seconds[side].push(pair[side]));
        if logs.len() == looks.next_at() {
            looked = logs.len();
            seen = looks.look(&logs);
            if seen.is_some_and(done) {
                break;
            }
        }
    }
    if logs.len() > looked && !seen.is_some_and(done) {
        seen = looks.look(&logs).or(seen);
    }
    Ok(Settled { interval: seen, pairs: logs.len(), seconds: seconds.map(median) })
}

/// Seconds of one repetition of either side, from one pair; `first` goes first and last.
fn pair<S: Stand>(
    stand: &mut S,
    sides: [Worker; 2],
    repeats: [usize; 2],
    first: usize,
) -> Result<[f64; 2], S::Error> {
    let (mut short, mut long) = ([f64::INFINITY; 2], [f64::INFINITY; 2]);
    for side in [first, 1 - first, 1 - first, first] {
        short[side] = short[side].min(stand.time(sides[side], 1)?);
        long[side] = long[side].min(stand.time(sides[side], repeats[side])?);
    }
    // A burst during both short timings can leave less than nothing: an outlier like any other.
    let each = |side: usize| (long[side] - short[side]) / (repeats[side] - 1) as f64;
    Ok([0, 1].map(|side| each(side).max(f64::MIN_POSITIVE)))
}

/// How many repetitions either side's long timings have.
///
/// The same number for both unless one is more than twice as fast: equal sides are then treated
/// equally, and what a longer timing catches more of is no difference between them.
fn calibrate<S: Stand>(
    stand: &mut S,
    sides: [Worker; 2],
    until: f64,
) -> Result<[usize; 2], S::Error> {
    let mut repeats = [2; 2];
    for (worker, repeat) in sides.into_iter().zip(&mut repeats) {
        // The first call pays for cold caches and pages.
        stand.time(worker, 1)?;
        loop {
            let mut least = [f64::INFINITY; 2];
            for _ in 0..3 {
                least[0] = least[0].min(stand.time(worker, 1)?);
                least[1] = least[1].min(stand.time(worker, *repeat)?);
            }
            let (work, wanted) = (least[1] - least[0], LONG.max(TRANSPORT * least[0]));
            if work >= wanted || *repeat >= MOST || stand.elapsed() > until {
                break;
            }
            let factor = (1.1 * wanted / work.max(1e-9)).ceil().clamp(2.0, 16.0);
            *repeat = (*repeat * factor as usize).min(MOST);
        }
    }
    let most = repeats[0].max(repeats[1]);
    Ok(if most <= 2 * repeats[0].min(repeats[1]) { [most; 2] } else { repeats })
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    let n = values.len();
    if n == 0 { f64::NAN } else { (values[(n - 1) / 2] + values[n / 2]) / 2.0 }
}
