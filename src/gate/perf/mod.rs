//! Is another implementation slower than the one it is to replace?
//!
//! Base and candidate are two live workers that are asked the same calls in turn; every answer is
//! checked against the oracle, the timed ones too, so that nothing is timed that was not checked.
//! [`compare`] says how pairs are taken and when a verdict stands, [`interval`] why it may be
//! looked at while more pairs come in, [`subjects`] which problems are timed. Times of another run
//! or of another machine are never compared.
//!
//! *Implausible.* A call reads its inputs and writes its outputs: in less time than their bytes
//! need at the machine's copy bandwidth it cannot have been done. The bandwidth is the best of any
//! cache, of all cores together, and doubled, since a core may load twice for every store; so only
//! what skips its work (a remembered answer, a repetition that is left out) falls below.

pub mod compare;
pub mod interval;
pub mod subjects;

use std::fmt;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use self::compare::{Compared, Decision, Settled, Stand, Worker};
use super::call::{Broken, Call, Candidate, Hello, Identity, Reply};
use super::case::Case;
use super::judge::{Grade, Judged, judge};
use super::oracle::{self, Expected};
use super::tensor::Tensors;
use crate::config::Invalid;
use crate::rng::Rng;

/// What to time, and for how long.
#[derive(Debug, Clone)]
pub struct Options {
    /// Operators, as `layer_norm` or `layer_norm:bwd:f32`; all that both sides serve if empty.
    pub ops: Vec<String>,
    /// Sizes, as `rows=64,cols=768`; a small and a large problem if empty.
    pub sizes: Vec<String>,
    /// How long one comparison may take.
    pub budget: Duration,
    /// Bytes per second that no target exceeds; of the processor, measured, if not stated.
    pub bandwidth: Option<f64>,
    /// Seed of the order of pairs.
    pub seed: u64,
}

impl Default for Options {
    fn default() -> Self {
        let budget = Duration::from_secs(30);
        Options { ops: Vec::new(), sizes: Vec::new(), budget, bandwidth: None, seed: 1 }
    }
}

/// The workers of a comparison.
pub struct Workers<'a> {
    /// What is compared with.
    pub base: &'a mut dyn Candidate,
    /// A second worker of it.
    pub twin: &'a mut dyn Candidate,
    /// What is judged.
    pub cand: &'a mut dyn Candidate,
}

/// What a comparison says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// An answer is wrong.
    Wrong,
    /// Slower: the interval of the ratio lies above 1.03. Exit code 4.
    Regression,
    /// Not slower by 3 %.
    Ok,
    /// It cannot be told on this machine in this time. Exit code 5.
    Inconclusive,
    /// Faster than bytes can be moved, so the work was not done. Exit code 5.
    Implausible,
}

/// The time of one worker over that of another.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Ratio {
    /// Seconds of one repetition of the base: the median.
    pub base_seconds: f64,
    /// The same of the other.
    pub cand_seconds: f64,
    /// The median ratio.
    pub ratio: f64,
    /// The lower end of its 99 % interval, all looks together.
    pub low: f64,
    /// The upper end.
    pub high: f64,
    /// Pairs of timings.
    pub pairs: usize,
}

/// One case, timed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Timing {
    /// `op:dir:dtype`.
    pub subject: String,
    /// The case.
    pub case: String,
    /// The base against a second worker of itself; nothing where there were too few pairs.
    pub same: Option<Ratio>,
    /// The candidate against the base; nothing where it did not come to that.
    pub other: Option<Ratio>,
    /// What it says.
    pub verdict: Verdict,
    /// Why, in words.
    pub why: String,
}

/// A finished run of `gate perf`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// Who is compared with.
    pub base: Identity,
    /// Who is judged.
    pub cand: Identity,
    /// The budget of one comparison.
    pub budget_seconds: f64,
    /// Bytes per second that no target exceeds.
    pub bandwidth: f64,
    /// Every case.
    pub timings: Vec<Timing>,
    /// Who broke, and how, where one did: the run ends there.
    pub broken: Option<(String, Broken)>,
}

impl Report {
    /// What the run ends with: 6 or 7 where a worker broke, 1 wrong, 4 slower, 5 inconclusive.
    pub fn exit_code(&self) -> u8 {
        let any = |verdict| self.timings.iter().any(|timing| timing.verdict == verdict);
        match &self.broken {
            Some((_, Broken::Protocol(_))) => 6,
            _ if any(Verdict::Wrong) => 1,
            Some(_) => 7,
            None if any(Verdict::Regression) => 4,
            None if any(Verdict::Inconclusive) || any(Verdict::Implausible) => 5,
            None => 0,
        }
    }
}

/// Why there is no report at all.
#[derive(Debug, Clone, PartialEq)]
pub enum Unusable {
    /// What was asked for is not there.
    Invalid(Invalid),
    /// A worker did not say what it serves.
    Broken(String, Broken),
}

impl fmt::Display for Unusable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Unusable::Invalid(invalid) => invalid.fmt(f),
            Unusable::Broken(who, broken) => write!(f, "{who}: {broken}"),
        }
    }
}

/// Times every case that both sides serve; `told` hears of each when it is done.
pub fn perf(
    workers: &mut Workers,
    options: &Options,
    told: &mut dyn FnMut(&Timing),
) -> Result<Report, Unusable> {
    let said = |who: &str, worker: &mut dyn Candidate| {
        worker.hello().map_err(|broken| Unusable::Broken(who.to_string(), broken))
    };
    let base = said("base", workers.base)?;
    said("base", workers.twin)?;
    let cand = said("cand", workers.cand)?;
    let cases = subjects::cases(&base, &cand, &options.ops, &options.sizes);
    let cases = cases.map_err(Unusable::Invalid)?;
    let bandwidth = options.bandwidth.unwrap_or_else(bandwidth);
    let mut report = Report {
        base: base.identity.clone(),
        cand: cand.identity.clone(),
        budget_seconds: options.budget.as_secs_f64(),
        bandwidth,
        timings: Vec::new(),
        broken: None,
    };
    for case in &cases {
        match timed(workers, [&base, &cand], case, options, bandwidth) {
            Ok(timing) => {
                told(&timing);
                report.timings.push(timing);
            }
            Err((who, broken)) => {
                report.broken = Some((who.to_string(), broken));
                break;
            }
        }
    }
    Ok(report)
}

/// Twice the bytes per second that all cores together copy within a cache.
fn bandwidth() -> f64 {
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build();
    let limits = pool.map(|pool| crate::bench::copies(true, &pool)).unwrap_or_default();
    2.0 * limits.iter().map(|limit| limit.all.max(limit.one)).fold(0.0, f64::max)
}

/// Times one case.
fn timed(
    workers: &mut Workers,
    [base, cand]: [&Hello; 2],
    case: &Case,
    options: &Options,
    bandwidth: f64,
) -> Result<Timing, (&'static str, Broken)> {
    let call = case.call();
    let expect = |hello: &Hello| {
        let served = &hello.ops[case.op];
        oracle::expect(&call, served.accumulator(case.dtype), &served.variant)
    };
    let check = |hello: &Hello| Check { expected: expect(hello), accepted: None };
    let checks = [check(base), check(base), check(cand)];
    let size = |count: usize, dtype: super::Dtype| count * dtype.bytes();
    let read: usize = call.tensors.values().map(|t| size(t.values.len(), t.dtype)).sum();
    let written: usize = checks[0].expected.iter().map(|e| size(e.truth.len(), e.dtype)).sum();
    let floor = (read + written) as f64 / bandwidth;

    let mut live = Live { workers, call: &call, checks, began: Instant::now() };
    let rng = Rng::new(options.seed).named(&call.id);
    let (case_id, subject) =
        (call.id.clone(), subjects::subject(case.op, case.dir, (case.dtype, case.params_dtype)));
    let timing =
        |same, other, verdict, why| Timing { subject, case: case_id, same, other, verdict, why };
    match compare::compare(&mut live, options.budget.as_secs_f64(), rng) {
        Ok(compared) => {
            let (verdict, why) = verdict(&compared, floor, options.budget);
            let other = compared.other.as_ref().and_then(ratio);
            Ok(timing(ratio(&compared.same), other, verdict, why))
        }
        Err(Stop::Wrong(why)) => Ok(timing(None, None, Verdict::Wrong, why)),
        Err(Stop::Broken(who, broken)) => Err((who, broken)),
    }
}

fn ratio(settled: &Settled) -> Option<Ratio> {
    let seen = settled.interval?;
    Some(Ratio {
        base_seconds: settled.seconds[0],
        cand_seconds: settled.seconds[1],
        ratio: seen.median.exp(),
        low: seen.low.exp(),
        high: seen.high.exp(),
        pairs: settled.pairs,
    })
}

/// The verdict of a comparison, and why; `floor` is the least time that the bytes need.
fn verdict(compared: &Compared, floor: f64, budget: Duration) -> (Verdict, String) {
    let last = compared.other.as_ref().unwrap_or(&compared.same);
    for (who, seconds) in ["base", "cand"].iter().zip(last.seconds) {
        if seconds < floor {
            let why = format!(
                "{who} takes {} for what needs {} at the machine's bandwidth: it is not done",
                time(seconds),
                time(floor)
            );
            return (Verdict::Implausible, why);
        }
    }
    let budget = budget.as_secs_f64();
    match compared.decision {
        Decision::Regression => (Verdict::Regression, "slower, and again after a new start".into()),
        Decision::Ok => (Verdict::Ok, "not slower by 3 %".into()),
        Decision::Undecided => {
            (Verdict::Inconclusive, format!("too noisy to tell within {budget:.1} s"))
        }
        Decision::Unrepeated => {
            (Verdict::Inconclusive, "slower, which a new start has not repeated".into())
        }
        Decision::Biased => {
            (Verdict::Inconclusive, "two workers of the base differ by more than 3 %".into())
        }
    }
}

/// Why a comparison stopped.
enum Stop {
    Wrong(String),
    Broken(&'static str, Broken),
}

/// What a worker has to answer, and what it did answer and was found right.
struct Check {
    expected: Vec<Expected>,
    accepted: Option<Tensors>,
}

impl Check {
    /// In words what is wrong with an answer. Bits that were right before are right again.
    fn fault(&mut self, call: &Call, reply: Reply) -> Option<String> {
        if let (Reply::Ok(answer), Some(accepted)) = (&reply, &self.accepted) {
            let same = |(name, tensor): (&String, &super::Tensor)| {
                accepted.get(name).is_some_and(|accepted| accepted.same_bits(tensor))
            };
            if answer.len() == accepted.len() && answer.iter().all(same) {
                return None;
            }
        }
        let judged = judge(call, &self.expected, &reply);
        match &judged {
            Judged::Wrong(why) => return Some(why.clone()),
            Judged::Graded(graded) => {
                if let Some(worst) = graded.iter().find(|graded| graded.grade == Grade::Fail) {
                    let (name, at, got, want) = (&worst.tensor, worst.at, worst.got, worst.want);
                    return Some(format!("{name}[{at}] is {got:e}, not {want:e}"));
                }
            }
        }
        let Reply::Ok(answer) = reply else { return None };
        let operator = super::op::find(&call.op).expect("a call is of an operator");
        let beyond = operator.beyond(call, &answer).into_iter().next();
        self.accepted = Some(answer);
        beyond
    }
}

/// Live workers that are asked one call.
struct Live<'a, 'b> {
    workers: &'a mut Workers<'b>,
    call: &'a Call,
    checks: [Check; 3],
    began: Instant,
}

impl Live<'_, '_> {
    fn worker(&mut self, worker: Worker) -> (&'static str, &mut dyn Candidate) {
        match worker {
            Worker::Base => ("base", &mut *self.workers.base),
            Worker::Twin => ("base", &mut *self.workers.twin),
            Worker::Cand => ("cand", &mut *self.workers.cand),
        }
    }
}

impl Stand for Live<'_, '_> {
    type Error = Stop;

    fn time(&mut self, worker: Worker, repeat: usize) -> Result<f64, Stop> {
        let call = self.call;
        let (who, asked) = self.worker(worker);
        std::thread::sleep(PAUSE);
        let start = Instant::now();
        let reply = asked.time(call, repeat);
        let seconds = start.elapsed().as_secs_f64();
        let reply = reply.map_err(|broken| Stop::Broken(who, broken))?;
        match self.checks[worker as usize].fault(call, reply) {
            Some(why) => Err(Stop::Wrong(format!("{who}, {repeat} repetitions: {why}"))),
            None => Ok(seconds),
        }
    }

    fn restart(&mut self) -> Result<(), Stop> {
        for worker in [Worker::Base, Worker::Cand] {
            let (who, asked) = self.worker(worker);
            asked.restart().map_err(|broken| Stop::Broken(who, broken))?;
        }
        Ok(())
    }

    fn elapsed(&self) -> f64 {
        self.began.elapsed().as_secs_f64()
    }
}

/// A moment of rest before every timing: a scheduler lets who has rested run on undisturbed, and
/// takes the processor sooner from who has not.
const PAUSE: Duration = Duration::from_micros(100);

/// A time in a unit that suits it.
fn time(seconds: f64) -> String {
    match seconds {
        s if s < 1e-6 => format!("{:.1} ns", s * 1e9),
        s if s < 1e-3 => format!("{:.2} µs", s * 1e6),
        s if s < 1.0 => format!("{:.2} ms", s * 1e3),
        s => format!("{s:.2} s"),
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Verdict::Wrong => "WRONG",
            Verdict::Regression => "SLOWER",
            Verdict::Ok => "ok",
            Verdict::Inconclusive => "inconclusive",
            Verdict::Implausible => "IMPLAUSIBLE",
        })
    }
}

impl fmt::Display for Timing {
    /// Two lines: the verdict on the case, and what it rests on.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{:12}  {}", self.verdict.to_string(), self.case)?;
        let percent = |ratio: f64| 100.0 * (ratio - 1.0);
        let mut line = |name: &str, ratio: &Ratio| {
            let Ratio { base_seconds, cand_seconds, ratio, low, high, pairs } = *ratio;
            writeln!(
                f,
                "  {name}  {:>9} to {:>9}  {:+6.1} %  [{:+.1}, {:+.1}]  {pairs} pairs",
                time(base_seconds),
                time(cand_seconds),
                percent(ratio),
                percent(low),
                percent(high),
            )
        };
        if let Some(same) = &self.same {
            line("base to itself", same)?;
        }
        if let Some(other) = &self.other {
            line("base to cand  ", other)?;
        }
        write!(f, "  {}", self.why)
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = |who: &Identity| format!("{} {}", who.name, who.version);
        writeln!(f, "base {}, cand {}", name(&self.base), name(&self.cand))?;
        for timing in &self.timings {
            writeln!(f, "{timing}")?;
        }
        if let Some((who, broken)) = &self.broken {
            writeln!(f, "{who} broke: {broken}")?;
        }
        let count =
            |verdict| self.timings.iter().filter(|timing| timing.verdict == verdict).count();
        use Verdict::*;
        let counts = [Wrong, Regression, Ok, Inconclusive, Implausible];
        let counts = counts.map(|verdict| format!("{} {verdict}", count(verdict)));
        write!(f, "{}", counts.join(", "))
    }
}
