//! The gate proves itself: every mutant of the bank must die, no control may fail.

use super::call::{Call, Candidate, Dir};
use super::case::Case;
use super::judge::{Judged, judge};
use super::op;
use super::oracle::{self, Expected};
use super::plan::Plan;
use super::tensor::{Dtype, Tensors};

/// Why a candidate failed a case.
#[derive(Debug, Clone)]
pub struct Killed {
    /// How many cases it took, this one included.
    pub after: usize,
    /// The case.
    pub case: Case,
    /// What was wrong.
    pub why: String,
}

/// The cases that a candidate for one operator meets: every pass and pair of dtypes in turn.
pub fn cases(
    candidate: &mut dyn Candidate,
    op: &str,
    seed: u64,
) -> impl Iterator<Item = Case> + use<> {
    let served = candidate.hello().expect("a candidate of the bank says hello").ops;
    let served = served[op].clone();
    let operator = op::find(op).expect("the bank is of operators");
    let mut plans: Vec<Plan> = Vec::new();
    for dir in served.dirs() {
        for dtypes in served.dtypes() {
            plans.push(Plan::new(operator, &served, dir, dtypes, seed));
        }
    }
    (0..).map(move |i: usize| {
        let turn = i % plans.len();
        plans[turn].next().expect("a plan has no end")
    })
}

/// A question and its right answer, which any number of candidates can be judged by.
pub struct Question {
    /// The case.
    pub case: Case,
    /// What is asked.
    pub call: Call,
    expected: Vec<Expected>,
}

impl Question {
    /// Draws the tensors of a case and reads the oracle.
    pub fn new(case: Case) -> Question {
        let call = case.call();
        let expected = if case.operator().must_refuse(&call) {
            Vec::new()
        } else {
            oracle::expect(&call, case.dtype.accumulator(), &Default::default())
        };
        Question { case, call, expected }
    }

    /// Asks a candidate; in words where it fails.
    pub fn fails(&self, candidate: &mut dyn Candidate) -> Option<String> {
        let reply = match candidate.run(&self.call) {
            Ok(reply) => reply,
            Err(broken) => return Some(broken.to_string()),
        };
        let judged = judge(&self.call, &self.expected, &reply);
        if let Judged::Wrong(why) = &judged {
            return Some(why.clone());
        }
        if let Judged::Graded(graded) = &judged
            && let Some(worst) = graded.iter().find(|g| g.grade == super::judge::Grade::Fail)
        {
            return Some(format!(
                "{}[{}] is {:e}, not {:e}: q {:.3e}",
                worst.tensor, worst.at, worst.got, worst.want, worst.q
            ));
        }
        let empty = Tensors::new();
        let answer = if let super::call::Reply::Ok(answer) = &reply { answer } else { &empty };
        self.case.operator().beyond(&self.call, answer).into_iter().next()
    }
}

/// Judges one case; in words where it fails.
pub fn fails(candidate: &mut dyn Candidate, case: &Case) -> Option<String> {
    Question::new(case.clone()).fails(candidate)
}

/// The first case that a candidate fails, within some number of cases.
pub fn first_kill(
    candidate: &mut dyn Candidate,
    op: &str,
    seed: u64,
    limit: usize,
) -> Option<Killed> {
    let cases = cases(candidate, op, seed).take(limit);
    for (i, case) in cases.enumerate() {
        if let Some(why) = fails(candidate, &case) {
            return Some(Killed { after: i + 1, case, why });
        }
    }
    None
}

/// The dtypes and passes of a candidate, for a table.
pub fn served(dirs: &[Dir], dtypes: &[Dtype]) -> String {
    let dirs: Vec<String> = dirs.iter().map(Dir::to_string).collect();
    let dtypes: Vec<&str> = dtypes.iter().map(|dtype| dtype.name()).collect();
    format!("{} × {}", dirs.join(", "), dtypes.join(", "))
}
