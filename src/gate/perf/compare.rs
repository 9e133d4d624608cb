//! A comparison: pairs of fresh processes until the interval of their ratio says what it is.
//!
//! *A pair of processes is the unit.* Where code and data lie in memory, and what the allocator has
//! seen, is drawn when a process starts and can make equal code some percent faster or slower, at
//! times half or twice as fast, for as long as it lives (Mytkowicz et al. 2009). No number of
//! timings of the same two processes averages that out; pairs of new ones do. Which of the two is
//! started first, what each of them is asked before it is timed, and how large its environment is
//! are drawn anew for every pair, for both sides alike.
//!
//! *A pair gives one ratio per problem.* A side is visited in quads, in the order ABBA or BAAB as a
//! coin says, so that a drift hits both alike. A visit times one repetition and then `repeat`; a
//! side's time is the least of its long timings less the least of its short ones, over
//! `repeat − 1`: what is the same for any number of repetitions (the pipe, the copies, the first
//! touch of cold memory) cancels. Noise on a shared machine comes in bursts and only ever adds, so a
//! least is spoilt only where every timing was hit. About as long is spent on timing a pair as on
//! starting it, which is near the best use of a budget where processes differ about as much as
//! timings do.
//!
//! All problems of a run are put to the same pairs, those that are decided left out.

use serde::{Deserialize, Serialize};

use super::interval::{Interval, Looks, interval};
use crate::rng::Rng;

/// A candidate is slower when its interval lies above this ratio to the base, and faster when it
/// lies below one over it.
pub const SLOWER: f64 = 1.03;

/// Quads of a pair and problem: at least, and at most.
const QUADS: (usize, usize) = (2, 16);

/// The most calls that a side is asked before it is timed, beyond one of every problem.
const STIRRING: usize = 3;

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
pub enum Side {
    /// The implementation to compare with.
    Base,
    /// The implementation that is judged.
    Cand,
}

/// Both sides.
pub const SIDES: [Side; 2] = [Side::Base, Side::Cand];

/// Whatever can be started and timed.
pub trait Stand {
    /// What can go wrong for good.
    type Error;
    /// Ends the pair of processes that runs and starts a new one, `first` before the other.
    fn pair(&mut self, first: Side) -> Result<(), Self::Error>;
    /// Seconds that a side takes for `repeat` repetitions of a problem, transport included; NaN
    /// where its answer is wrong, so that the problem is given up.
    fn time(&mut self, side: Side, problem: usize, repeat: usize) -> Result<f64, Self::Error>;
    /// Seconds since the comparison began.
    fn elapsed(&self) -> f64;
}

/// How a comparison ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Decision {
    /// The interval lies above +3 %.
    Slower,
    /// The interval lies below −3 %.
    Faster,
    /// The interval lies below +3 %.
    Ok,
    /// The interval still holds +3 % at the end of the budget.
    Undecided,
    /// An answer was wrong.
    GivenUp,
}

/// What the pairs say of one problem.
#[derive(Debug, Clone, PartialEq)]
pub struct Compared {
    /// What it comes to.
    pub decision: Decision,
    /// Where the logarithm of the candidate's time over the base's lies.
    pub interval: Option<Interval>,
    /// How many pairs of processes it took.
    pub pairs: usize,
    /// Seconds of one repetition of either side: medians over the pairs.
    pub seconds: [f64; 2],
}

/// One problem under way.
#[derive(Debug, Default)]
struct Problem {
    /// Repetitions of a long timing, known from the first pair on.
    repeats: Option<[usize; 2]>,
    /// Seconds of either side, of every pair.
    pairs: Vec<[f64; 2]>,
    looks: Looks,
    looked: usize,
    interval: Option<Interval>,
    decision: Option<Decision>,
}

impl Problem {
    fn look(&mut self) {
        self.looked = self.pairs.len();
        let logs: Vec<f64> = self.pairs.iter().map(|pair| (pair[1] / pair[0]).ln()).collect();
        self.interval = interval(&logs, self.looks.look()).or(self.interval);
        let slower = SLOWER.ln();
        self.decision = match self.interval {
            Some(seen) if seen.low > slower => Some(Decision::Slower),
            Some(seen) if seen.high < -slower => Some(Decision::Faster),
            Some(seen) if seen.high < slower => Some(Decision::Ok),
            _ => None,
        };
    }

    fn compared(self) -> Compared {
        Compared {
            decision: self.decision.unwrap_or(Decision::Undecided),
            interval: self.interval,
            pairs: self.pairs.len(),
            seconds: [0, 1].map(|side| median(self.pairs.iter().map(|pair| pair[side]).collect())),
        }
    }
}

/// Compares the candidate with the base on some problems, within some seconds; `told` hears after
/// every pair which share of the problems is decided and which of the time is spent.
pub fn compare<S: Stand>(
    stand: &mut S,
    problems: usize,
    budget: f64,
    mut rng: Rng,
    told: &mut dyn FnMut(f64),
) -> Result<Vec<Compared>, S::Error> {
    let mut all: Vec<Problem> = (0..problems).map(|_| Problem::default()).collect();
    let mut longest = 0.0f64;
    loop {
        let mut open: Vec<usize> = (0..problems).filter(|&i| all[i].decision.is_none()).collect();
        told((1.0 - open.len() as f64 / problems as f64).max(stand.elapsed() / budget).min(1.0));
        // A pair that would not be done in time is not begun.
        if open.is_empty() || stand.elapsed() + longest > budget {
            break;
        }
        let began = stand.elapsed();
        stand.pair(SIDES[rng.below(2)])?;
        let share = (stand.elapsed() - began) / open.len() as f64;
        for side in SIDES {
            stir(stand, side, &open, &mut rng)?;
        }
        shuffle(&mut open, &mut rng);
        for &i in &open {
            let problem = &mut all[i];
            match timed(stand, i, &mut problem.repeats, share, &mut rng)? {
                Some(seconds) => problem.pairs.push(seconds),
                None => problem.decision = Some(Decision::GivenUp),
            }
            if problem.decision.is_none() && problem.pairs.len() == problem.looks.next_at() {
                problem.look();
            }
        }
        longest = longest.max(stand.elapsed() - began);
    }
    for problem in all.iter_mut().filter(|problem| problem.decision.is_none()) {
        if problem.pairs.len() > problem.looked {
            problem.look();
        }
    }
    Ok(all.into_iter().map(Problem::compared).collect())
}

/// Asks every problem once and some of them again, in an order of its own: what an allocator has
/// seen before it is timed is another thing in every process.
fn stir<S: Stand>(
    stand: &mut S,
    side: Side,
    open: &[usize],
    rng: &mut Rng,
) -> Result<(), S::Error> {
    let mut calls = open.to_vec();
    for _ in 0..rng.below(STIRRING + 1) {
        calls.push(open[rng.below(open.len())]);
    }
    shuffle(&mut calls, rng);
    for problem in calls {
        stand.time(side, problem, 1)?;
    }
    Ok(())
}

/// Seconds of one repetition of either side in this pair; nothing where an answer is wrong.
fn timed<S: Stand>(
    stand: &mut S,
    problem: usize,
    repeats: &mut Option<[usize; 2]>,
    share: f64,
    rng: &mut Rng,
) -> Result<Option<[f64; 2]>, S::Error> {
    let repeats = match *repeats {
        Some(known) => known,
        None => *repeats.insert(calibrate(stand, problem)?),
    };
    let began = stand.elapsed();
    let (mut short, mut long) = ([f64::INFINITY; 2], [f64::INFINITY; 2]);
    let mut quads = 0;
    while quads < QUADS.0 || (quads < QUADS.1 && stand.elapsed() - began < share) {
        let first = rng.below(2);
        for side in [first, 1 - first, 1 - first, first] {
            let one = stand.time(SIDES[side], problem, 1)?;
            let many = stand.time(SIDES[side], problem, repeats[side])?;
            if one.is_nan() || many.is_nan() {
                return Ok(None);
            }
            short[side] = short[side].min(one);
            long[side] = long[side].min(many);
        }
        quads += 1;
    }
    // A burst in every short timing can leave less than nothing: an outlier like any other.
    let one = |side: usize| (long[side] - short[side]) / (repeats[side] - 1) as f64;
    Ok(Some([0, 1].map(|side| one(side).max(NOTHING))))
}

/// How many repetitions either side's long timings have.
///
/// The same number for both unless one is more than twice as fast: equal sides are then treated
/// equally, and what a longer timing catches more of is no difference between them.
fn calibrate<S: Stand>(stand: &mut S, problem: usize) -> Result<[usize; 2], S::Error> {
    let mut repeats = [2; 2];
    for (side, repeat) in SIDES.into_iter().zip(&mut repeats) {
        loop {
            let mut least = [f64::INFINITY; 2];
            for _ in 0..3 {
                least[0] = least[0].min(stand.time(side, problem, 1)?);
                least[1] = least[1].min(stand.time(side, problem, *repeat)?);
            }
            let (work, wanted) = (least[1] - least[0], LONG.max(TRANSPORT * least[0]));
            // A wrong answer has no time, and ends it.
            if work.is_nan() || work >= wanted || *repeat >= MOST {
                break;
            }
            let factor = (1.1 * wanted / work.max(1e-9)).ceil().clamp(2.0, 64.0);
            *repeat = (*repeat * factor as usize).min(MOST);
        }
    }
    let most = repeats[0].max(repeats[1]);
    Ok(if most <= 2 * repeats[0].min(repeats[1]) { [most; 2] } else { repeats })
}

fn shuffle(values: &mut [usize], rng: &mut Rng) {
    for i in (1..values.len()).rev() {
        values.swap(i, rng.below(i + 1));
    }
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    let n = values.len();
    if n == 0 { f64::NAN } else { (values[(n - 1) / 2] + values[n / 2]) / 2.0 }
}
