//! One comparison: pairs of timings until the interval of their ratio says what it is.
//!
//! *A quad* is four visits in the order ABBA or BAAB, as a coin says, so that a drift hits both
//! sides alike. A visit times one repetition and then `repeat`.
//!
//! *A pair* is some quads. A side's time is the least of its long timings less the least of its
//! short ones, over `repeat − 1`: what is the same for any number of repetitions (the pipe, the
//! copies, the first touch of cold memory) cancels. Noise on a shared machine comes in bursts and
//! only ever adds, so a least is spoilt only where every timing was hit; the pairs that are spoilt
//! are outliers, and half of all pairs may be outliers before their median gives way. Short timings
//! are hit more seldom than long ones; how many quads make the best pair depends on the noise.
//!
//! *A/A first.* The base is timed against a second worker of itself, which says two things. Where
//! the interval lies beyond ±3 % the machine favours one of two equal workers and can give no
//! verdict on others. And the number of quads in a pair that made this interval narrowest is the
//! one that is taken then: chosen on pairs that do not count, it costs no confidence.
//!
//! *A red is seen twice.* Where code and data lie in memory is drawn when a process starts, and can
//! make equal code some percent faster or slower for as long as it lives (Mytkowicz et al. 2009),
//! which no number of pairs averages out. So once an interval lies above +3 % the workers are
//! started anew, and it is a regression when the median of a quarter as many new pairs alone lies
//! there too. This only ever takes a red back, so it costs no confidence either.

use serde::{Deserialize, Serialize};

use super::interval::{FIRST, Interval, Looks, interval};
use crate::rng::Rng;

/// A candidate is slower when its interval lies above this ratio to the base.
pub const SLOWER: f64 = 1.03;

/// The share of the budget that the A/A run may take.
const FIRST_SHARE: f64 = 0.25;

/// How many quads may make a pair.
const QUADS: [usize; 4] = [1, 2, 4, 8];

/// Of the budget, the share after which a red has to have been seen once: the rest is a quarter of
/// it, which is what new workers need to repeat it.
const LAST_SHARE: f64 = 0.8;

/// Pairs of new workers that repeat a red at least: half of what the first look has.
const AGAIN: usize = 8;

/// Seconds that the repetitions of a long timing take at least: thousands of times what a clock
/// resolves, and a small part of what a scheduler hands out at once, so that most are undisturbed
/// even where ten others want the same core.
const LONG: f64 = 3e-4;

/// How many times as long as a single repetition, transport included, they take at least: what
/// varies in the transport is then a quarter of its size in the ratio.
const TRANSPORT: f64 = 4.0;

/// Work of which this many repetitions take no time is not done.
const MOST: usize = 1 << 24;

/// Seconds that no clock tells from none.
const NOTHING: f64 = 1e-15;

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
    /// How many quads made a pair.
    pub quads: usize,
    /// Seconds of one repetition of either side: medians.
    pub seconds: [f64; 2],
}

/// How a comparison ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Decision {
    /// The interval lies above +3 %, and so do the pairs after a new start.
    Regression,
    /// The interval lies below +3 %.
    Ok,
    /// The interval still holds +3 % at the end of the budget.
    Undecided,
    /// The interval lies above +3 %, but the pairs after a new start do not.
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
    let same = same(stand, FIRST_SHARE * budget, &mut rng)?;
    if same.interval.is_some_and(|seen| seen.low > slower || seen.high < -slower) {
        return Ok(Compared { decision: Decision::Biased, same, other: None });
    }
    let (decision, other) = other(stand, budget, same.quads, &mut rng)?;
    Ok(Compared { decision, same, other: Some(other) })
}

/// The base against itself, until two workers of it are known to differ by less than 3 %, or by
/// more.
fn same<S: Stand>(stand: &mut S, until: f64, rng: &mut Rng) -> Result<Settled, S::Error> {
    let sides = [Worker::Base, Worker::Twin];
    let repeats = calibrate(stand, sides, until)?;
    let (mut quads, mut looks) = (Vec::new(), Looks::default());
    let mut settled = Settled { interval: None, pairs: 0, quads: 1, seconds: [f64::NAN; 2] };
    loop {
        let over = stand.elapsed() >= until;
        if quads.len() == looks.next_at() || (over && quads.len() > settled.pairs * settled.quads) {
            // Each way to make pairs has its part of what this look may miss.
            let miss = looks.look() / QUADS.len() as f64;
            // The rest of the budget has to suffice for two looks.
            let most = (quads.len() as f64 * (1.0 / FIRST_SHARE - 1.0)) as usize / (2 * FIRST);
            let ways = QUADS.into_iter().filter(|&way| way <= most.max(1)).map(|way| {
                let pairs: Vec<[f64; 2]> =
                    quads.chunks_exact(way).map(|quads| seconds(quads, repeats)).collect();
                let interval = interval(&logs(&pairs), miss);
                Settled { interval, pairs: pairs.len(), quads: way, seconds: medians(&pairs) }
            });
            let width = |way: &Settled| way.interval.map_or(f64::INFINITY, |i| i.high - i.low);
            settled = ways.min_by(|a, b| width(a).total_cmp(&width(b))).expect("some way");
            let slower = SLOWER.ln();
            let told = |seen: Interval| {
                (seen.low > -slower && seen.high < slower)
                    || seen.low > slower
                    || seen.high < -slower
            };
            if settled.interval.is_some_and(told) {
                return Ok(settled);
            }
        }
        if over {
            return Ok(settled);
        }
        quads.push(quad(stand, sides, repeats, rng.below(2))?);
    }
}

/// The candidate against the base.
fn other<S: Stand>(
    stand: &mut S,
    until: f64,
    quads: usize,
    rng: &mut Rng,
) -> Result<(Decision, Settled), S::Error> {
    let (sides, slower) = ([Worker::Base, Worker::Cand], SLOWER.ln());
    let repeats = calibrate(stand, sides, until)?;
    let (mut pairs, mut looks, mut looked) = (Vec::new(), Looks::default(), 0);
    let (mut decision, mut seen, mut red) = (Decision::Undecided, None, None);
    loop {
        let last = stand.elapsed() >= LAST_SHARE * until && red.is_none();
        let over = last || stand.elapsed() >= until;
        if pairs.len() == looks.next_at() || (over && pairs.len() > looked) {
            looked = pairs.len();
            seen = interval(&logs(&pairs), looks.look()).or(seen);
            decision = match seen {
                Some(seen) if seen.high < slower => Decision::Ok,
                Some(seen) if seen.low > slower => Decision::Unrepeated,
                _ => Decision::Undecided,
            };
            if decision == Decision::Unrepeated && red.is_none() {
                stand.restart()?;
                for worker in sides {
                    stand.time(worker, 1)?;
                }
                red = Some(pairs.len());
            }
        }
        if let (Decision::Unrepeated, Some(red)) = (decision, red)
            && pairs.len() >= red + AGAIN.max(red / 4)
            && median(logs(&pairs[red..])) > slower
        {
            decision = Decision::Regression;
        }
        let just_red = last && red.is_some();
        if (over && !just_red) || matches!(decision, Decision::Ok | Decision::Regression) {
            let (pairs, seconds) = (pairs.len(), medians(&pairs));
            return Ok((decision, Settled { interval: seen, pairs, quads, seconds }));
        }
        let pair = (0..quads).map(|_| quad(stand, sides, repeats, rng.below(2)));
        pairs.push(seconds(&pair.collect::<Result<Vec<_>, _>>()?, repeats));
    }
}

/// The least short and the least long timing of either side.
#[derive(Debug, Clone, Copy)]
struct Quad {
    short: [f64; 2],
    long: [f64; 2],
}

/// Four visits; the side `first` goes first and last.
fn quad<S: Stand>(
    stand: &mut S,
    sides: [Worker; 2],
    repeats: [usize; 2],
    first: usize,
) -> Result<Quad, S::Error> {
    let mut quad = Quad { short: [f64::INFINITY; 2], long: [f64::INFINITY; 2] };
    for side in [first, 1 - first, 1 - first, first] {
        quad.short[side] = quad.short[side].min(stand.time(sides[side], 1)?);
        quad.long[side] = quad.long[side].min(stand.time(sides[side], repeats[side])?);
    }
    Ok(quad)
}

/// Seconds of one repetition of either side, of the pair that some quads make.
fn seconds(quads: &[Quad], repeats: [usize; 2]) -> [f64; 2] {
    let least =
        |timing: &dyn Fn(&Quad) -> f64| quads.iter().map(timing).fold(f64::INFINITY, f64::min);
    [0, 1].map(|side| {
        let work = least(&|quad| quad.long[side]) - least(&|quad| quad.short[side]);
        // A burst in every short timing can leave less than nothing: an outlier like any other.
        (work / (repeats[side] - 1) as f64).max(NOTHING)
    })
}

fn logs(pairs: &[[f64; 2]]) -> Vec<f64> {
    pairs.iter().map(|pair| (pair[1] / pair[0]).ln()).collect()
}

fn medians(pairs: &[[f64; 2]]) -> [f64; 2] {
    [0, 1].map(|side| median(pairs.iter().map(|pair| pair[side]).collect()))
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
            let factor = (1.1 * wanted / work.max(1e-9)).ceil().clamp(2.0, 64.0);
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
