//! What does a wrong target behave like?
//!
//! Every wrong model of the bank and every other side of a disputed contract is read at numbers
//! that carry their bounds, on the cases that the target has answered. The one within whose bounds
//! all of the answers lie, though not all lie within the oracle's, explains the target; of several the one
//! with the tightest bounds, which says most.

use super::call::Served;
use super::double::Dd;
use super::judge::{Grade, grade};
use super::model::{self, Twist};
use super::number::{self, Bound};
use super::operator::Problem;
use super::oracle::{self, Expected};
use super::report::Likeness;
use super::tensor::{Dtype, Tensor};
use super::trial::Trial;

/// The most answers that an explanation is held against.
const EVIDENCE: usize = 57;

/// The model that explains every one of some answers to one operator, if there is one.
pub fn diagnose(trials: &[&Trial], served: &Served) -> Option<Likeness> {
    let op = trials.first()?.case.op;
    let mut evidence: Vec<&Trial> =
        trials.iter().copied().filter(|t| t.answer.is_some() && !t.expected.is_empty()).collect();
    // What failed first, the small before the large: most models are dismissed at once.
    evidence.sort_by_key(|t| (t.flaw.is_none(), size(t)));
    evidence.truncate(EVIDENCE);
    evidence.first()?.flaw.as_ref()?;
    let is_nan =
        evidence.iter().any(|t| t.answer.iter().flatten().any(|(_, got)| holds_nan(&got.values)));
    let mut best: Option<((bool, f64), Likeness)> = None;
    let mut consider =
        |id: String, about: String, expect: &Expect, says_nan: &dyn Fn(&Trial) -> bool| {
            let Some(width) = explains(&evidence, expect) else { return };
            let odd = is_nan != evidence.iter().any(|t| says_nan(t));
            if best.as_ref().is_none_or(|(least, _)| (odd, width) < *least) {
                let count = evidence.len();
                best = Some(((odd, width), Likeness { id, about, agrees: count, cases: count }));
            }
        };
    let operator = evidence[0].case.operator();
    for (key, sides) in operator.variants() {
        for side in sides {
            let declared = served.variant.get(*key).map_or(sides[0], String::as_str);
            if declared != *side {
                let mut variant = served.variant.clone();
                variant.insert(key.to_string(), side.to_string());
                let expect =
                    |t: &Trial| oracle::expect(&t.call, served.accumulator(t.call.dtype), &variant);
                let about = format!("{key} = \"{side}\" where \"{declared}\" is declared");
                consider(format!("{key}={side}"), about, &expect, &in_truth(&expect));
            }
        }
    }
    for mutant in model::mutants(op) {
        let expect = |t: &Trial| {
            let unit = if mutant.native { t.call.dtype } else { served.accumulator(t.call.dtype) };
            of_model(t, mutant.id, unit, served)
        };
        let says_nan = |t: &Trial| {
            let answer =
                model::own_answer(&t.call, Twist { id: mutant.id, calls: 0 }, mutant.native);
            answer.values().any(|tensor| holds_nan(&tensor.values))
        };
        consider(mutant.id.to_string(), mutant.about.to_string(), &expect, &says_nan);
    }
    if evidence.iter().any(|t| t.call.dtype.bytes() == 2) {
        let expect = |t: &Trial| oracle::expect(&t.call, t.call.dtype, &served.variant);
        let about = "sums kept in the storage dtype";
        consider("native".into(), about.into(), &expect, &in_truth(&expect));
    }
    best.map(|(_, likeness)| likeness)
}

/// The answers of a model with their bounds.
type Expect<'a> = dyn Fn(&Trial) -> Vec<Expected> + 'a;

/// Whether a right answer is NaN anywhere.
fn in_truth<'a>(expect: &'a Expect<'a>) -> impl Fn(&Trial) -> bool + 'a {
    |trial| expect(trial).iter().any(|expected| holds_nan(&expected.truth))
}

fn holds_nan(values: &[f64]) -> bool {
    values.iter().any(|value| value.is_nan())
}

fn size(trial: &Trial) -> usize {
    trial.call.tensors.values().map(|tensor| tensor.values.len()).sum()
}

/// How tight the bounds are within which all answers lie, as a mean logarithm; nothing where one
/// does not.
fn explains(evidence: &[&Trial], expect: &Expect) -> Option<f64> {
    let (mut width, mut count, mut told) = (0.0, 0usize, 0usize);
    for trial in evidence {
        let answer = trial.answer.as_ref().expect("evidence is answered");
        for expected in expect(trial) {
            let Some(got) = answer.get(&expected.name) else { continue };
            if got.shape != expected.shape || !within(&expected, got) {
                return None;
            }
            // A bound that excludes nothing explains nothing: some flaw must be met within bounds.
            let unbounded = expected.worst.iter().filter(|w| !w.is_finite()).count();
            let flawed = trial.flaw.as_ref().and_then(|flaw| flaw.tensor.as_ref());
            told += usize::from(
                flawed == Some(&expected.name) && unbounded * 2 <= expected.worst.len(),
            );
            let finite = expected.worst.iter().filter(|w| w.is_finite());
            width += finite.map(|w| w.max(1e-300).ln()).sum::<f64>();
            count += expected.worst.len();
        }
    }
    // Flaws without a tensor, as a contract about bits, have nothing that could be excluded.
    let tensors = evidence.iter().any(|t| t.flaw.as_ref().is_some_and(|f| f.tensor.is_some()));
    (told > 0 || !tensors).then(|| width / count.max(1) as f64)
}

/// True where an answer lies within a model's bounds. Where a wrong formula has none, as that of a
/// variance that may come out negative, anything may come, NaN too.
fn within(expected: &Expected, got: &Tensor) -> bool {
    let mut got = got.clone();
    for (i, worst) in expected.worst.iter().enumerate() {
        if !worst.is_finite() {
            got.values[i] = expected.truth[i];
        }
    }
    grade(expected, &got).grade != Grade::Fail
}

/// What a model answers, with the bounds of its own formula.
fn of_model(trial: &Trial, id: &str, unit: Dtype, served: &Served) -> Vec<Expected> {
    let twist = Twist { id, calls: 0 };
    let call = &trial.call;
    let longest = trial.case.operator().longest_sum(call);
    let read = || {
        if call.dtype == Dtype::F64 {
            let problem = Problem::<Bound<Dd>>::exact(call, &served.variant);
            oracle::bounded(call, longest, model::answer(&problem, twist), |v| v.lo)
        } else {
            let problem = Problem::<Bound>::exact(call, &served.variant);
            oracle::bounded(call, longest, model::answer(&problem, twist), |_| 0.0)
        }
    };
    number::at_unit(unit.unit(), || number::overflowing(unit.largest(), read))
}
