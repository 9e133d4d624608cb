//! One answer against the oracle, element by element.

use serde::{Deserialize, Serialize};

use super::call::{Call, Reply};
use super::oracle::Expected;
use super::tensor::{Dtype, Tensor, Tensors};
use crate::num::spelled::every_number;

/// How good an answer is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Grade {
    /// Within the statistical bound, which grows with √n.
    A,
    /// Within the worst-case bound, which grows with n.
    B,
    /// Beyond.
    Fail,
}

/// One tensor of an answer, judged.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Graded {
    /// The tensor.
    pub tensor: String,
    /// How good it is.
    pub grade: Grade,
    /// The largest |got − truth| / bound, of the worst-case bound.
    #[serde(with = "every_number")]
    pub q: f64,
    /// The same of the statistical bound: what accuracy is compared by.
    #[serde(with = "every_number")]
    pub q_statistical: f64,
    /// The element that is furthest off.
    pub at: usize,
    /// What came there.
    #[serde(with = "every_number")]
    pub got: f64,
    /// What should have.
    #[serde(with = "every_number")]
    pub want: f64,
    /// By how much it may be off.
    #[serde(with = "every_number")]
    pub bound: f64,
    /// The share of elements that are too ill-conditioned to bound.
    pub unbounded: f64,
}

/// What an answer is worth.
#[derive(Debug, Clone, PartialEq)]
pub enum Judged {
    /// Every tensor of the right name, shape and dtype, graded.
    Graded(Vec<Graded>),
    /// It is not the answer to this question: in words.
    Wrong(String),
}

impl Judged {
    /// The worst grade.
    pub fn grade(&self) -> Grade {
        match self {
            Judged::Wrong(_) => Grade::Fail,
            Judged::Graded(graded) => graded.iter().map(|g| g.grade).max().unwrap_or(Grade::A),
        }
    }
    /// True where the answer is wrong.
    pub fn fails(&self) -> bool {
        self.grade() == Grade::Fail
    }
}

/// A tensor of a full answer: its name, shape and dtype.
pub type Wanted<'a> = (&'a str, Vec<usize>, Dtype);

/// Judges a reply to a call; `expected` holds the tensors of a full answer.
pub fn judge(call: &Call, expected: &[Expected], reply: &Reply) -> Judged {
    let full: Vec<Wanted> =
        expected.iter().map(|e| (e.name.as_str(), e.shape.clone(), e.dtype)).collect();
    let answer = match answered(call, &full, reply) {
        Ok(Some(answer)) => answer,
        Ok(None) => return Judged::Graded(Vec::new()),
        Err(wrong) => return Judged::Wrong(wrong),
    };
    let wanted = expected.iter().filter(|expected| call.want.contains(&expected.name));
    Judged::Graded(wanted.map(|expected| grade(expected, &answer[&expected.name])).collect())
}

/// The tensors of a reply, each of the right name, shape and dtype; nothing where the call is rightly
/// refused. Otherwise what is wrong, in words.
pub fn answered<'a>(
    call: &Call,
    full: &[Wanted],
    reply: &'a Reply,
) -> Result<Option<&'a Tensors>, String> {
    let operator = super::spec::find(&call.op).expect("a call is of an operator");
    let refuse = operator.must_refuse(call);
    let answer = match reply {
        Reply::Error(_) if refuse => return Ok(None),
        _ if refuse => return Err("answered what must be refused with an error".into()),
        Reply::Ok(answer) => answer,
        Reply::Unsupported(why) => {
            return Err(format!("answered unsupported to what it declares: {why}"));
        }
        Reply::Error(why) => return Err(format!("answered error: {why}")),
    };
    for name in &call.want {
        let Some((_, shape, dtype)) = full.iter().find(|(own, _, _)| own == name) else {
            return Err(format!("{name} is no output of {}", call.op));
        };
        match answer.get(name) {
            None => return Err(format!("tensor {name} is missing")),
            Some(got) if got.shape != *shape => {
                let (got, want) = (&got.shape, shape);
                return Err(format!("{name} has shape {got:?}, not {want:?}"));
            }
            Some(got) if got.dtype != *dtype => {
                let (got, want) = (got.dtype, dtype);
                return Err(format!("{name} has dtype {got}, not {want}"));
            }
            Some(_) => {}
        }
    }
    if let Some(name) = answer.keys().find(|name| !call.want.contains(name)) {
        return Err(format!("tensor {name} was not asked for"));
    }
    Ok(Some(answer))
}

/// Grades one tensor of the right shape and dtype.
pub fn grade(expected: &Expected, got: &Tensor) -> Graded {
    grade_at(expected, got, Some)
}

/// Grades a tensor of which element i has the truth of place(i) in `expected`, or is not graded.
pub fn grade_at(
    expected: &Expected,
    got: &Tensor,
    place: impl Fn(usize) -> Option<usize>,
) -> Graded {
    let (mut most, mut at, mut statistical, mut unbounded) = (-1.0, 0, 0.0f64, 0usize);
    for (i, &value) in got.values.iter().enumerate() {
        let Some(own) = place(i) else { continue };
        unbounded += usize::from(!expected.worst[own].is_finite());
        let q = quotient(expected, own, value, expected.worst[own]);
        statistical = statistical.max(quotient(expected, own, value, expected.statistical[own]));
        if q > most {
            (most, at) = (q, i);
        }
    }
    let count = got.values.len().max(1);
    Graded {
        tensor: expected.name.clone(),
        grade: match (most, statistical) {
            (_, q) if q <= 1.0 => Grade::A,
            (q, _) if q <= 1.0 => Grade::B,
            _ => Grade::Fail,
        },
        q: most.max(0.0),
        q_statistical: statistical,
        at,
        got: got.values.get(at).copied().unwrap_or(0.0),
        want: place(at).and_then(|at| expected.truth.get(at).copied()).unwrap_or(0.0),
        bound: place(at).and_then(|at| expected.worst.get(at).copied()).unwrap_or(0.0),
        unbounded: unbounded as f64 / count as f64,
    }
}

/// |got − truth| / bound, infinite where the class is wrong.
pub fn quotient(expected: &Expected, i: usize, got: f64, bound: f64) -> f64 {
    let truth = expected.truth[i];
    let class = |value: f64, dtype: Dtype| -> f64 {
        // What rounds beyond the largest number is an infinity.
        if value.abs() > dtype.largest() * (1.0 + dtype.unit()) {
            value.signum() * f64::INFINITY
        } else {
            value
        }
    };
    if truth.is_nan() {
        return if got.is_nan() { 0.0 } else { f64::INFINITY };
    }
    // A composition whose steps may overflow in 16 bits leaves anything, as it declares.
    if expected.composed && bound == f64::INFINITY {
        return 0.0;
    }
    if got.is_nan() {
        return f64::INFINITY;
    }
    if got == class(truth, expected.dtype) {
        return 0.0;
    }
    if bound == f64::INFINITY {
        // Of what cannot be bounded it is known that it is a number.
        let finite = class(truth, expected.dtype).is_finite();
        return if finite && got.is_infinite() { f64::INFINITY } else { 0.0 };
    }
    if got.is_infinite() || truth.is_infinite() {
        // Near the threshold of overflow both classes are right.
        let reach = truth.abs() + bound;
        let near = got.is_infinite() && reach > expected.dtype.largest();
        let beyond = truth.is_finite() && got.signum() == truth.signum() && near;
        return if beyond { 0.0 } else { f64::INFINITY };
    }
    let error = ((got - truth) - expected.rest[i]).abs();
    // An error of nothing is within a bound of nothing; anything that is no number is not.
    let q = if error == 0.0 { 0.0 } else { error / bound };
    if q.is_nan() { f64::INFINITY } else { q }
}
