//! Stage 6: answers that are random numbers, of which only the distribution is known.
//!
//! Every test has a *proven* bound on the probability that a right target looks as bad as this one
//! does: none is a normal quantile that holds for many samples only. With n samples:
//!
//! - a share of independent events: the tail of the binomial distribution, summed up;
//! - the mean of any independent numbers within [0, 1] of mean q: P(mean beyond x) ≤ e^(−n·KL(x‖q))
//!   on either side (Hoeffding 1963, theorem 1);
//! - the mean of standard normal numbers, or of uniform ones of variance 1, which are sub-Gaussian
//!   with that variance since sinh(t)/t ≤ e^(t²/6): P(|mean| ≥ x) ≤ 2e^(−n·x²/2);
//! - the mean square r of standard normal numbers (χ²): P ≤ e^(−n·(r − 1 − ln r)/2) on either side;
//!   that of uniform ones as a mean within [0, 1];
//! - the largest of uniform magnitudes below a: P(max ≤ m) = (m/a)ⁿ exactly;
//! - the distance D of the empirical distribution function from the right one: P ≤ 2e^(−2n·D²)
//!   (Dvoretzky, Kiefer & Wolfowitz 1956; the constant of Massart 1990), which tells normal from
//!   uniform as kurtosis does, whose own tails for normal numbers have no such bound;
//! - a sum of independent terms, each within a range rᵢ: P(off by t) ≤ 2e^(−2t²/Σrᵢ²) (Hoeffding,
//!   theorem 2);
//! - a count of events that each happen with a bounded probability, whatever happened before them:
//!   Chernoff's bound of a sum of independent ones.
//!
//! Independence is tested by events that are independent themselves: fair signs that are compared
//! along a path (s₁s₂, s₂s₃, … of fair independent signs are fair and independent), or pairs that
//! share no element where they are not fair.
//!
//! Numbers made of 23 or 24 bits, as in `f32`, are uniform but for 2⁻²²: a distance, a rate and the
//! share of a tail may be off by that.
//!
//! A finding has a probability below [`LEVEL`] = 10⁻¹¹. A whole run makes fewer than 10⁵ tests, so
//! by Bonferroni's inequality a right target is accused with a probability below 10⁻⁶.
//!
//! The tests go from cheap to dear, and end at the first that finds something: single matrices and
//! masks (`weights`, `masks`), what they have to do with each other (`joint`, `seeds`), and
//! crowds of millions (`crowd`) for faults that are small or rare. [`power`] says how small and
//! how rare.

mod bounds;
mod crowd;
mod evidence;
mod joint;
mod masks;
pub mod power;
mod seeds;
mod weights;

use std::time::{Duration, Instant};

use serde_json::Value;

use crate::check::call::{Broken, Call, Candidate, Dir, Reply, Served};
use crate::check::judge::{Grade, Judged, judge};
use crate::check::oracle;
use crate::check::reading::Reading;
use crate::check::scope::{self, Scope};
use crate::check::spec;
use crate::check::spec::case::{Case, Rows, Upstream};
use crate::check::spec::operator::Operator;
use crate::check::tensor::{Dtype, Tensor, Tensors};

pub use evidence::{Evidence, Finding};

/// The largest probability under which a right target is accused by one test.
pub const LEVEL: f64 = 1e-11;

/// The probability below which a crowd is suspicious: another one, of its own, then decides.
pub const WEAK: f64 = 1e-3;

/// By how much a probability may be off where uniform numbers are made of 23 bits.
const GRID: f64 = 1.0 / (1 << 22) as f64;

/// How much is asked.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Effort {
    /// Numbers of one matrix or mask.
    pub elements: usize,
    /// Numbers of one scheme or rate, in several calls.
    pub crowd: usize,
    /// Normal weights of all schemes together.
    pub rare: usize,
    /// How long crowds may take: those of a slow target are smaller.
    pub patience: Duration,
    /// When there is no time left for another one, whatever is missing.
    pub until: Option<Instant>,
}

impl Effort {
    /// What a check does: an infinite weight in 2²⁴ is found with a probability of 1 − e⁻⁵.
    pub const FULL: Effort = Effort {
        elements: 1 << 14,
        crowd: 1 << 22,
        rare: 5 << 24,
        patience: Duration::from_secs(25),
        until: None,
    };
    /// The same with small crowds.
    pub const QUICK: Effort = Effort { crowd: 1 << 15, rare: 1 << 17, ..Effort::FULL };
}

/// Every test of an operator whose answers are random; nothing for the others.
pub fn evidence(
    candidate: &mut dyn Candidate,
    op: &str,
    served: &Served,
    seed: u64,
    effort: Effort,
) -> Result<Evidence, Broken> {
    let mut stage = Stage::new(candidate, served, seed, effort);
    let Some(operator) = spec::find(op).filter(|operator| operator.random()) else {
        return Ok(stage.evidence);
    };
    type Part<'a> = fn(&mut Stage<'a>, &'static dyn Operator) -> Result<(), Broken>;
    let parts: [Part; 3] = match op {
        "init" => [Stage::weights, Stage::seeds, Stage::crowds_of_weights],
        _ => [Stage::masks, Stage::seeds, Stage::crowds_of_masks],
    };
    for part in parts {
        // What is wrong in what is cheap needs no crowd.
        if stage.evidence.findings.is_empty() {
            part(&mut stage, operator)?;
        }
    }
    Ok(stage.evidence)
}

/// The crowds alone, whose power is stated.
pub fn crowds(
    candidate: &mut dyn Candidate,
    op: &str,
    served: &Served,
    seed: u64,
    effort: Effort,
) -> Result<Evidence, Broken> {
    let mut stage = Stage::new(candidate, served, seed, effort);
    match spec::find(op).filter(|operator| operator.random()) {
        Some(operator) if op == "init" => stage.crowds_of_weights(operator)?,
        Some(operator) => stage.crowds_of_masks(operator)?,
        None => {}
    }
    Ok(stage.evidence)
}

struct Stage<'a> {
    candidate: &'a mut dyn Candidate,
    served: &'a Served,
    effort: Effort,
    seed: u64,
    evidence: Evidence,
}

impl<'a> Stage<'a> {
    fn new(
        candidate: &'a mut dyn Candidate,
        served: &'a Served,
        seed: u64,
        effort: Effort,
    ) -> Stage<'a> {
        // The seeds that follow on this one are served as well.
        let seed = seed % (served.limits.largest_seed() / 2 + 1);
        Stage { candidate, served, effort, seed, evidence: Evidence::default() }
    }
}

impl Stage<'_> {
    /// A case of normal numbers; attributes are what is served.
    fn case(&self, operator: &'static dyn Operator, dir: Dir, dtypes: (Dtype, Dtype)) -> Case {
        let mut case = Scope::new(operator, self.served).simplest(dir, dtypes);
        (case.kind, case.upstream, case.seed) = (Rows::Normal, Upstream::Normal, self.seed);
        // A gain of 0 leaves nothing to look at.
        let gains = self.values("gain", &[1.0.into()]);
        if let Some(gain) = gains.into_iter().find(|gain| gain.as_f64() != Some(0.0))
            && case.op == "init"
        {
            case.attrs["gain"] = gain;
        }
        case
    }

    /// The wanted values of an attribute that are served, or what is served where none is.
    fn values(&self, name: &str, wanted: &[Value]) -> Vec<Value> {
        scope::among(self.served, name, wanted)
    }

    /// Sizes within the target's limits.
    fn sized(&self, case: &mut Case, sizes: [(&'static str, usize); 2]) {
        let limits = &self.served.limits;
        let [(rows, height), (cols, width)] = sizes;
        let elements = limits.max_elements.unwrap_or(usize::MAX) / 6;
        let width = width.min(limits.max_columns.unwrap_or(width)).min(elements).max(1);
        let most = elements / width;
        case.sizes.insert(rows, height.min(most).max(1));
        case.sizes.insert(cols, width);
    }

    /// The answer to a case, if it is one that can be judged further.
    fn ask(&mut self, case: &Case) -> Result<Option<Tensor>, Broken> {
        let call = case.call();
        let reply = self.candidate.run(&call)?;
        let expected = oracle::expect(&call, &Reading::of(self.served, case.dtype));
        let wrong = match judge(&call, &expected, &reply) {
            Judged::Wrong(why) => Some((why, 0.0, 0.0, 0.0)),
            Judged::Graded(graded) => {
                graded.into_iter().find(|g| g.grade == Grade::Fail).map(|g| {
                    (format!("{}[{}] is beyond its bound", g.tensor, g.at), g.got, g.want, g.bound)
                })
            }
        };
        let mut answer = match reply {
            Reply::Ok(answer) => answer,
            _ => Tensors::new(),
        };
        let wrong = wrong.or_else(|| {
            let beyond = case.operator().beyond(&call, &answer);
            beyond.into_iter().next().map(|why| (why, 0.0, 0.0, 0.0))
        });
        match wrong {
            Some((why, got, want, bound)) => {
                self.evidence.accuse(case, why, got, want, bound);
                Ok(None)
            }
            None => Ok(answer.remove(&call.want[0])),
        }
    }

    /// What a target answers to a call that is too large for the oracle, where it has the form of
    /// an answer.
    fn ask_plainly(&mut self, case: &Case, call: &Call) -> Result<Option<Tensor>, Broken> {
        let name = &call.want[0];
        let shape = match call.tensors.values().next() {
            Some(given) => given.shape.clone(),
            None => spec::init::shape(&call.attrs),
        };
        let mut answer = match self.candidate.run(call)? {
            Reply::Ok(answer) => answer,
            Reply::Unsupported(why) | Reply::Error(why) => {
                self.evidence.accuse(case, format!("the answer is an error: {why}"), 1.0, 0.0, 0.0);
                return Ok(None);
            }
        };
        let dtype = oracle::dtype_of(call, name);
        match answer.remove(name).filter(|a| a.shape == shape && a.dtype == dtype) {
            Some(answer) => Ok(Some(answer)),
            None => {
                let what = format!("count of tensors {name} of {shape:?} and {dtype}");
                self.evidence.accuse(case, what, 0.0, 1.0, 0.0);
                Ok(None)
            }
        }
    }

    /// The dtype in which numbers come closest to how they were drawn, 32 bits for choice.
    fn finest(&self) -> (Dtype, Dtype) {
        let dtypes = self.served.dtypes();
        let rank = |dtypes: &&(Dtype, Dtype)| match dtypes.0 {
            Dtype::F32 => 0,
            Dtype::F64 => 1,
            Dtype::F16 => 2,
            _ => 3,
        };
        dtypes.iter().min_by_key(rank).copied().unwrap_or((Dtype::F32, Dtype::F32))
    }
}
