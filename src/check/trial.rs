//! One case put to a target, and what is wrong with the answer.

use super::call::{Broken, Call, Candidate, Reply, Served};
use super::flaw::{Fault, Flaw, describe};
use super::judge::{Grade, Graded, Judged, judge};
use super::oracle::{self, Expected};
use super::reading::Reading;
use super::spec::case::Case;
use super::spec::repeated::{self, Large};
use super::tensor::Tensors;

/// Elements beyond which a trial keeps no tensors: what is kept is for readers and for models.
const KEPT: usize = 300_000;

/// A case, its answer and the verdict.
#[derive(Debug, Clone)]
pub struct Trial {
    /// The case.
    pub case: Case,
    /// What was asked.
    pub call: Call,
    /// The right answer with its bounds; nothing for what must be refused.
    pub expected: Vec<Expected>,
    /// The answer, where there is one.
    pub answer: Option<Tensors>,
    /// Every tensor judged.
    pub graded: Vec<Graded>,
    /// What is wrong with it.
    pub flaw: Option<Flaw>,
}

impl Trial {
    /// True where the target answered, and said that it does not or cannot.
    pub fn refused(&self) -> bool {
        let wrong = self.flaw.as_ref().is_some_and(|flaw| flaw.fault == Fault::Wrong);
        wrong && self.answer.is_none()
    }
    /// True where the target was not asked, since time was up: there is nothing to judge.
    pub fn late(&self) -> bool {
        self.flaw.as_ref().is_some_and(|flaw| flaw.message == Broken::Late.to_string())
    }
    /// The worst grade.
    pub fn grade(&self) -> Grade {
        match self.flaw {
            Some(_) => Grade::Fail,
            None => self.graded.iter().map(|g| g.grade).max().unwrap_or(Grade::A),
        }
    }
}

/// Puts a case to a target; the right answer is worked out meanwhile.
pub fn put(candidate: &mut dyn Candidate, served: &Served, case: &Case) -> Trial {
    if repeated::holds(case) {
        return put_large(candidate, served, case);
    }
    let call = case.call();
    let refuse = case.operator().must_refuse(&call);
    let reading = Reading::of(served, case.dtype);
    let (expected, reply) = std::thread::scope(|scope| {
        let expected = scope.spawn(|| match refuse {
            true => Vec::new(),
            false => oracle::expect(&call, &reading),
        });
        let reply = candidate.run(&call);
        (expected.join().expect("the oracle answers every case"), reply)
    });
    assess(case, call, expected, reply)
}

/// Puts a problem of production size to a target.
fn put_large(candidate: &mut dyn Candidate, served: &Served, case: &Case) -> Trial {
    let large = Large::new(case);
    let (expected, reply) = std::thread::scope(|scope| {
        let expected = scope.spawn(|| large.expect(served));
        let reply = candidate.run(&large.call);
        (expected.join().expect("the oracle answers every case"), reply)
    });
    let (graded, flaw) = large.verdict(served, &expected, &reply);
    let answer = match reply {
        Ok(Reply::Ok(answer)) => Some(answer),
        _ => None,
    };
    let count = |tensors: &Tensors| tensors.values().map(|t| t.values.len()).sum::<usize>();
    let small = count(&large.call.tensors) + answer.as_ref().map_or(0, count) <= KEPT;
    let expected = if small { large.spread(&expected) } else { Vec::new() };
    let mut call = large.call;
    if !small {
        call.tensors.clear();
    }
    // That there was an answer is kept, and no more.
    let answer = answer.map(|answer| if small { answer } else { Tensors::new() });
    Trial { case: case.clone(), call, expected, answer, graded, flaw }
}

/// Judges an answer.
pub fn assess(
    case: &Case,
    call: Call,
    expected: Vec<Expected>,
    reply: Result<Reply, Broken>,
) -> Trial {
    let (graded, flaw) = verdict(case, &call, &expected, &reply);
    let answer = match reply {
        Ok(Reply::Ok(answer)) => Some(answer),
        _ => None,
    };
    Trial { case: case.clone(), call, expected, answer, graded, flaw }
}

/// Every tensor of an answer graded, and what is wrong with it.
pub fn verdict(
    case: &Case,
    call: &Call,
    expected: &[Expected],
    reply: &Result<Reply, Broken>,
) -> (Vec<Graded>, Option<Flaw>) {
    let reply = match reply {
        Ok(reply) => reply,
        Err(broken) => return (Vec::new(), Some(Flaw::from(broken))),
    };
    let graded = match judge(call, expected, reply) {
        Judged::Wrong(why) => return (Vec::new(), Some(Flaw::wrong(why))),
        Judged::Graded(graded) => graded,
    };
    let failed = graded.iter().filter(|g| g.grade == Grade::Fail);
    // The first tensor of the specification's order that fails; its worst element.
    let first = failed.clone().next().map(|g| Flaw {
        tensor: Some(g.tensor.clone()),
        graded: Some(g.clone()),
        ..Flaw::wrong(describe(g, failed.count()))
    });
    let beyond = || match reply {
        Reply::Ok(answer) if expected.iter().any(|expected| !expected.composed) => {
            case.operator().beyond(call, answer).into_iter().next().map(Flaw::wrong)
        }
        _ => None,
    };
    let flaw = first.or_else(beyond);
    (graded, flaw)
}

/// A case with its right answer, which any number of candidates can be held to.
pub struct Question {
    /// The case.
    pub case: Case,
    asked: Asked,
    served: Served,
    expected: Vec<Expected>,
}

/// What a question asks.
enum Asked {
    Call(Call),
    Large(Box<Large>),
}

impl Question {
    /// Draws the tensors of a case and reads the oracle.
    pub fn new(case: Case, served: &Served) -> Question {
        let own = served.clone();
        if repeated::holds(&case) {
            let large = Box::new(Large::new(&case));
            let expected = large.expect(served);
            return Question { case, asked: Asked::Large(large), served: own, expected };
        }
        let call = case.call();
        let expected = match case.operator().must_refuse(&call) {
            true => Vec::new(),
            false => oracle::expect(&call, &Reading::of(served, case.dtype)),
        };
        Question { case, asked: Asked::Call(call), served: own, expected }
    }
    /// What is wrong with a candidate's answer.
    pub fn ask(&self, candidate: &mut dyn Candidate) -> Option<Flaw> {
        match &self.asked {
            Asked::Call(call) => verdict(&self.case, call, &self.expected, &candidate.run(call)).1,
            Asked::Large(large) => {
                large.verdict(&self.served, &self.expected, &candidate.run(&large.call)).1
            }
        }
    }
}
