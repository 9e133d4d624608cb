//! Is another implementation slower than the one it is to replace?
//!
//! Base and candidate are started anew, pair after pair, and asked the same calls in turn; every
//! answer is checked against the oracle, the timed ones too, so that nothing is timed that was not
//! checked. [`compare`] says how a pair gives a ratio and when a verdict stands, [`interval`] why it
//! may be looked at while more pairs come in, [`subjects`] which problems are timed. Times of
//! another run or of another machine are never compared.
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

use self::compare::{Compared, Decision, Side, Stand};
use crate::check::call::{Broken, Call, Candidate, Hello, Identity, Reply};
use crate::check::judge::{Grade, Judged, judge};
use crate::check::oracle::{self, Expected};
use crate::check::reading::Reading;
use crate::check::spec::case::Case;
use crate::check::tensor::Tensors;
use crate::rng::Rng;
use crate::setting::Invalid;

/// What to time, and for how long.
#[derive(Debug, Clone)]
pub struct Options {
    /// Operators, as `layer_norm` or `layer_norm:bwd:f32`; all that both sides serve if empty.
    pub ops: Vec<String>,
    /// Sizes, as `rows=64,cols=768`; a small and a large problem if empty.
    pub sizes: Vec<String>,
    /// How long one problem may take; those of a run share what they have.
    pub budget: Duration,
    /// Bytes per second that no target exceeds; of the processor, measured, if not stated.
    pub bandwidth: Option<f64>,
    /// Seed of the order of starts and visits.
    pub seed: u64,
}

impl Default for Options {
    fn default() -> Self {
        let budget = Duration::from_secs(30);
        Options { ops: Vec::new(), sizes: Vec::new(), budget, bandwidth: None, seed: 1 }
    }
}

/// Starts a process of one side; told the bytes to put into its environment, which move its stack.
pub type Start<'a> = &'a dyn Fn(usize) -> Result<Box<dyn Candidate>, Broken>;

/// What a comparison says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// An answer is wrong.
    Wrong,
    /// Slower: the interval of the ratio lies above 1.03. Exit code 4.
    Regression,
    /// Faster: the interval of the ratio lies below 1/1.03.
    Faster,
    /// Not slower by 3 %.
    Ok,
    /// It cannot be told on this machine in this time. Exit code 5.
    Inconclusive,
    /// Faster than bytes can be moved, so the work was not done. Exit code 5.
    Implausible,
}

/// The time of the candidate over that of the base.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Ratio {
    /// Seconds of one repetition of the base: the median over the pairs.
    pub base_seconds: f64,
    /// The same of the candidate.
    pub cand_seconds: f64,
    /// The middle of the ratios.
    pub ratio: f64,
    /// The lower end of its 99 % interval, all looks together.
    pub low: f64,
    /// The upper end.
    pub high: f64,
    /// Pairs of processes.
    pub pairs: usize,
}

/// One case, timed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Timing {
    /// `op:dir:dtype`.
    pub subject: String,
    /// The case.
    pub case: String,
    /// The candidate against the base; nothing where there were too few pairs.
    pub ratio: Option<Ratio>,
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
    /// The budget of one problem.
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

/// Times every case that both sides serve; `told` hears which share of the work is done.
pub fn perf(
    base: Start,
    cand: Start,
    options: &Options,
    told: &mut dyn FnMut(f64),
) -> Result<Report, Unusable> {
    let said = |who: &str, start: Start| {
        let hello = start(0).and_then(|mut worker| worker.hello());
        hello.map_err(|broken| Unusable::Broken(who.to_string(), broken))
    };
    let hellos = [said("base", base)?, said("cand", cand)?];
    let cases = subjects::cases(&hellos[0], &hellos[1], &options.ops, &options.sizes);
    let cases = cases.map_err(Unusable::Invalid)?;
    let problems: Vec<Problem> = cases.iter().map(|case| Problem::new(case, &hellos)).collect();
    let bandwidth = options.bandwidth.unwrap_or_else(bandwidth);
    let rng = Rng::new(options.seed).named("perf");
    let mut live = Live {
        starts: [base, cand],
        workers: [None, None],
        problems,
        rng: rng.named("environment"),
        began: Instant::now(),
    };
    let budget = options.budget.as_secs_f64() * cases.len() as f64;
    let compared = compare::compare(&mut live, cases.len(), budget, rng, told);
    let (timings, broken) = match compared {
        Ok(compared) => {
            let each = live.problems.iter().zip(&cases).zip(&compared);
            let timings = each.map(|((problem, case), compared)| {
                let (verdict, why) = problem.verdict(compared, bandwidth);
                let dtypes = (case.dtype, case.params_dtype);
                let subject = subjects::subject(case.op, case.dir, dtypes);
                Timing { subject, case: case.to_string(), ratio: ratio(compared), verdict, why }
            });
            (timings.collect(), None)
        }
        Err((who, broken)) => (Vec::new(), Some((who.to_string(), broken))),
    };
    let [base, cand] = hellos.map(|hello| hello.identity);
    let budget_seconds = options.budget.as_secs_f64();
    Ok(Report { base, cand, budget_seconds, bandwidth, timings, broken })
}

/// Twice the bytes per second that all cores together copy within a cache.
fn bandwidth() -> f64 {
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build();
    let limits = pool.map(|pool| crate::bench::copies(true, &pool)).unwrap_or_default();
    2.0 * limits.iter().map(|limit| limit.all.max(limit.one)).fold(0.0, f64::max)
}

fn ratio(compared: &Compared) -> Option<Ratio> {
    let seen = compared.interval?;
    Some(Ratio {
        base_seconds: compared.seconds[0],
        cand_seconds: compared.seconds[1],
        ratio: seen.middle.exp(),
        low: seen.low.exp(),
        high: seen.high.exp(),
        pairs: compared.pairs,
    })
}

/// A call that is timed, and what is known of its answers.
struct Problem {
    call: Call,
    checks: [Check; 2],
    /// What is wrong with an answer, once one was.
    fault: Option<String>,
}

impl Problem {
    fn new(case: &Case, hellos: &[Hello; 2]) -> Problem {
        let call = case.call();
        let check = |hello: &Hello| {
            let served = &hello.ops[case.op];
            let reading = Reading::of(served, case.dtype);
            Check { expected: oracle::expect(&call, &reading), accepted: None }
        };
        Problem { checks: [check(&hellos[0]), check(&hellos[1])], call, fault: None }
    }

    /// The bytes that a call reads and writes.
    fn bytes(&self) -> usize {
        let size = |count: usize, dtype: super::Dtype| count * dtype.bytes();
        let read = self.call.tensors.values().map(|t| size(t.values.len(), t.dtype));
        let expected = &self.checks[0].expected;
        read.sum::<usize>() + expected.iter().map(|e| size(e.truth.len(), e.dtype)).sum::<usize>()
    }

    fn verdict(&self, compared: &Compared, bandwidth: f64) -> (Verdict, String) {
        if let Some(fault) = &self.fault {
            return (Verdict::Wrong, fault.clone());
        }
        let floor = self.bytes() as f64 / bandwidth;
        for (who, seconds) in NAMES.iter().zip(compared.seconds) {
            if seconds < floor {
                let why = format!(
                    "{who} takes {} for what needs {} at the machine's bandwidth: it is not done",
                    time(seconds),
                    time(floor)
                );
                return (Verdict::Implausible, why);
            }
        }
        let percent = 100.0 * (compare::SLOWER - 1.0);
        match compared.decision {
            Decision::Slower => {
                (Verdict::Regression, format!("slower by more than {percent:.0} %"))
            }
            Decision::Faster => (Verdict::Faster, format!("faster by more than {percent:.0} %")),
            Decision::Ok => (Verdict::Ok, format!("not slower by {percent:.0} %")),
            Decision::Undecided | Decision::GivenUp => (Verdict::Inconclusive, undecided(compared)),
        }
    }
}

/// Why nothing could be told, and what might help.
fn undecided(compared: &Compared) -> String {
    let Some(seen) = compared.interval else {
        let pairs = compared.pairs;
        return format!(
            "{pairs} pairs of processes are too few to tell; a longer --budget has more"
        );
    };
    // The interval narrows with the square root of the pairs.
    let width = 50.0 * (seen.high.exp() - seen.low.exp());
    format!(
        "fresh processes differ too much to tell: ± {width:.1} % after {} pairs; a longer --budget \
         or a quieter machine narrows it",
        compared.pairs
    )
}

/// The names of the sides in messages.
const NAMES: [&str; 2] = ["base", "cand"];

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
        let operator = crate::check::spec::find(&call.op).expect("a call is of an operator");
        let beyond = operator.beyond(call, &answer).into_iter().next();
        self.accepted = Some(answer);
        beyond
    }
}

/// The pair of processes that runs.
struct Live<'a> {
    starts: [Start<'a>; 2],
    workers: [Option<Box<dyn Candidate>>; 2],
    problems: Vec<Problem>,
    rng: Rng,
    began: Instant,
}

/// The most bytes that are put into a process's environment: a page, so that its stack begins
/// anywhere within one.
const PAGE: usize = 4096;

impl Stand for Live<'_> {
    type Error = (&'static str, Broken);

    fn pair(&mut self, first: Side) -> Result<(), Self::Error> {
        self.workers = [None, None];
        let order = if first == Side::Base { [0, 1] } else { [1, 0] };
        for side in order {
            let start = self.starts[side](self.rng.below(PAGE)).and_then(|mut worker| {
                worker.hello()?;
                Ok(worker)
            });
            self.workers[side] = Some(start.map_err(|broken| (NAMES[side], broken))?);
        }
        Ok(())
    }

    fn time(&mut self, side: Side, problem: usize, repeat: usize) -> Result<f64, Self::Error> {
        let problem = &mut self.problems[problem];
        let who = NAMES[side as usize];
        let worker = self.workers[side as usize].as_mut().expect("a pair was started");
        std::thread::sleep(PAUSE);
        let start = Instant::now();
        let reply = worker.time(&problem.call, repeat);
        let seconds = start.elapsed().as_secs_f64();
        let reply = reply.map_err(|broken| (who, broken))?;
        match problem.checks[side as usize].fault(&problem.call, reply) {
            Some(why) => {
                problem.fault = Some(format!("{who}, {repeat} repetitions: {why}"));
                Ok(f64::NAN)
            }
            None => Ok(seconds),
        }
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
            Verdict::Faster => "faster",
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
        if let Some(Ratio { base_seconds, cand_seconds, ratio, low, high, pairs }) = self.ratio {
            writeln!(
                f,
                "  base to cand  {:>9} to {:>9}  {:+6.1} %  [{:+.1}, {:+.1}]  {pairs} pairs of processes",
                time(base_seconds),
                time(cand_seconds),
                percent(ratio),
                percent(low),
                percent(high),
            )?;
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
        let counts = [Wrong, Regression, Faster, Ok, Inconclusive, Implausible];
        let counts = counts.map(|verdict| format!("{} {verdict}", count(verdict)));
        write!(f, "{}", counts.join(", "))
    }
}
