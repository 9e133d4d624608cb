//! What does a wrong target behave like?
//!
//! Every wrong model of the catalogue and every other side of a disputed contract is read at numbers
//! that carry their bounds, on the cases that the target has answered. A model explains the target
//! where it *predicts* the elements that are wrong and nothing contradicts it: an element whose bound is
//! infinite tells nothing, and one that the model says is NaN must be NaN. Of several the one whose
//! values are nearest is named, together with any of another class that is as near.

use crate::check::call::{Dir, Served};
use crate::check::judge::quotient;
use crate::check::oracle::{self, Expected};
use crate::check::reading::Reading;
use crate::check::spec::operator::Problem;
use crate::check::tensor::{Dtype, Tensors};
use crate::check::trial::Trial;
use crate::gate::mutants::{self, Mutation};
use crate::gate::report::Likeness;
use crate::num::Dd;
use crate::num::bound::{self, Bound};

/// The most answers that an explanation is held against.
const EVIDENCE: usize = 57;
/// Two models are told apart where the mean logarithms of their errors differ by this much.
const APART: f64 = 0.5;

/// Calls before the one that models are read at: what goes wrong from the second call on, or on every
/// seventh, is wrong by then.
const LATER: u64 = 6;
/// What a fault that comes and goes is nearer by than a lasting one, to be preferred to it.
const UNSTEADY: f64 = 1.0;

/// What is said of a case.
type Says<'a, T> = Box<dyn Fn(&Trial) -> T + 'a>;

/// One thing that could be wrong with a target.
struct Suspect<'a> {
    id: String,
    about: String,
    class: &'static str,
    /// True for a fault that not every call shows: right answers do not contradict it.
    unsteady: bool,
    /// What it would answer, with the bounds of its own formula.
    expect: Says<'a, Vec<Expected>>,
    /// What it does answer, rounded as it rounds; nothing where only the formula is known.
    own: Says<'a, Option<Tensors>>,
}

/// The models that explain answers to one operator: the nearest, and rivals of other classes that
/// are as near. `fault` is what failed; right answers of other passes exclude models.
pub fn diagnose(trials: &[&Trial], served: &Served) -> Option<Likeness> {
    let answered = |t: &&Trial| t.answer.is_some() && !t.expected.is_empty();
    let mut evidence: Vec<&Trial> = trials.iter().copied().filter(answered).collect();
    // What failed first, the small before the large: most models are dismissed at once.
    evidence.sort_by_key(|t| (t.flaw.is_none(), size(t)));
    evidence.truncate(EVIDENCE);
    evidence.first()?.flaw.as_ref()?;
    let forward = evidence.iter().any(|t| t.flaw.is_some() && t.call.dir == Dir::Fwd);
    let mut explaining: Vec<(Explanation, Suspect)> = suspects(&evidence, served)
        .into_iter()
        // A wrong forward has no backward cause.
        .filter(|suspect| !forward || suspect.class != "backward")
        .filter_map(|suspect| Some((explains(&evidence, &suspect)?, suspect)))
        .collect();
    // Of two that say the same of a backward, the one that leaves the forward as it is comes first.
    explaining.sort_by(|(a, one), (b, other)| {
        let both = |class: &str| !forward && class != "backward";
        let by_class = || both(one.class).cmp(&both(other.class));
        a.rank().total_cmp(&b.rank()).then_with(by_class)
    });
    let (best, first) = explaining.first()?;
    // Those that say the same on all of this are one to who looks at it from outside.
    let mut classes = vec![first.class];
    let mut rivals = Vec::new();
    for (other, suspect) in &explaining[1..] {
        if other.rank() - best.rank() < APART && !classes.contains(&suspect.class) {
            classes.push(suspect.class);
            rivals.push(suspect);
        }
    }
    // Where anything could be it, nothing is known.
    if rivals.len() > RIVALS {
        return None;
    }
    let abouts: Vec<&str> =
        std::iter::once(first).chain(rivals.iter().copied()).map(|s| s.about.as_str()).collect();
    Some(Likeness {
        id: first.id.clone(),
        about: abouts.join(" or "),
        agrees: best.agrees,
        cases: evidence.len(),
        rivals: rivals.into_iter().map(|suspect| suspect.id.clone()).collect(),
    })
}

/// The most explanations of other classes beside the nearest.
const RIVALS: usize = 2;

/// The other sides of disputed contracts, the mutants, and sums in the storage dtype.
fn suspects<'a>(evidence: &[&Trial], served: &'a Served) -> Vec<Suspect<'a>> {
    let operator = evidence[0].case.operator();
    let accumulator = |t: &Trial| served.accumulator(t.call.dtype);
    let mut all = Vec::new();
    for (key, sides) in operator.variants() {
        let declared = served.variant.get(*key).map_or(sides[0], String::as_str);
        for side in sides.iter().filter(|side| **side != declared) {
            let mut variant = served.variant.clone();
            variant.insert(key.to_string(), side.to_string());
            all.push(Suspect {
                id: format!("{key}={side}"),
                about: format!("{key} = \"{side}\" where \"{declared}\" is declared"),
                class: mutants::class_of_variant(key),
                unsteady: false,
                expect: Box::new(move |t| {
                    let reading =
                        Reading { variant: &variant, ..Reading::of(served, t.call.dtype) };
                    oracle::expect(&t.call, &reading)
                }),
                own: Box::new(|_| None),
            });
        }
    }
    let steady = |mutant: &&mutants::Mutant| !mutants::unsteady::by_run(mutant);
    for mutant in mutants::mutants(evidence[0].case.op).iter().filter(steady) {
        let mutation = Mutation { id: mutant.id, calls: LATER };
        let unit = move |t: &Trial| if mutant.native { t.call.dtype } else { accumulator(t) };
        all.push(Suspect {
            id: mutant.id.to_string(),
            about: mutant.about.to_string(),
            class: mutant.class,
            unsteady: ["determinism", "alias"].contains(&mutant.class),
            expect: Box::new(move |t| of_model(t, mutation, unit(t), served)),
            own: Box::new(move |t| Some(mutants::own_answer(&t.call, mutation, mutant.native))),
        });
    }
    if evidence.iter().any(|t| t.call.dtype.bytes() == 2) {
        all.push(Suspect {
            id: "native".into(),
            about: "sums kept in the storage dtype".into(),
            class: "precision",
            unsteady: false,
            expect: Box::new(|t| {
                let (own, dtype) = (Reading::of(served, t.call.dtype), t.call.dtype);
                oracle::expect(&t.call, &Reading { accumulate: dtype, ..own })
            }),
            own: Box::new(|_| None),
        });
    }
    all
}

/// How well a model fits.
struct Explanation {
    /// The mean logarithm of its errors and of its bounds, over all elements that are wrong: models are
    /// compared on the same elements, whether they say much of them or nothing.
    nearness: f64,
    /// Elements of which it says another class, NaN or finite, though it cannot bound them.
    conflicts: usize,
    /// Answers that it predicts.
    agrees: usize,
}

impl Explanation {
    /// Least for the best.
    fn rank(&self) -> f64 {
        let conflict = if self.conflicts > 0 { 100.0 } else { 0.0 };
        conflict + self.nearness
    }
}

fn size(trial: &Trial) -> usize {
    trial.call.tensors.values().map(|tensor| tensor.values.len()).sum()
}

/// What the elements of an answer say for or against a model.
#[derive(Default)]
struct Tally {
    /// Wrong elements that it predicts within its bounds, or that its own arithmetic comes out at.
    predicted: usize,
    /// Wrong elements that are no finite numbers, as it says.
    classed: usize,
    /// Wrong elements of which it says nothing.
    silent: usize,
    /// Elements that have another class than it says, where it bounds nothing.
    conflicts: usize,
    nearness: f64,
}

/// Whether a model predicts what is wrong; nothing where any answer contradicts it.
fn explains(evidence: &[&Trial], suspect: &Suspect) -> Option<Explanation> {
    let mut total = Tally::default();
    let mut agrees = 0;
    for trial in evidence.iter().filter(|trial| !suspect.unsteady || trial.flaw.is_some()) {
        let own = Tally::of(trial, suspect)?;
        agrees += usize::from(own.silent == 0 && own.conflicts == 0);
        total.predicted += own.predicted;
        total.classed += own.classed;
        total.silent += own.silent;
        total.conflicts += own.conflicts;
        total.nearness += own.nearness;
    }
    let Tally { predicted, classed, silent, conflicts, nearness } = total;
    // What is unbounded comes out as it happens: of a model that may say NaN there, enough that is
    // wrong must be predicted elsewhere.
    let told =
        predicted + classed > 0 && conflicts <= predicted && silent <= 4 * (predicted + classed);
    let nearness = nearness / (predicted + classed + silent).max(1) as f64;
    let nearness = nearness + if suspect.unsteady { UNSTEADY } else { 0.0 };
    told.then_some(Explanation { nearness, conflicts, agrees })
}

impl Tally {
    fn of(trial: &Trial, suspect: &Suspect) -> Option<Tally> {
        let answer = trial.answer.as_ref().expect("evidence is answered");
        let mut tally = Tally::default();
        let mut own: Option<Option<Tensors>> = None;
        for expected in (suspect.expect)(trial) {
            let Some(got) = answer.get(&expected.name) else { continue };
            let truth = trial.expected.iter().find(|truth| truth.name == expected.name)?;
            if got.shape != expected.shape || got.shape != truth.shape {
                return None;
            }
            for (i, &value) in got.values.iter().enumerate() {
                let wrong = quotient(truth, i, value, truth.worst[i]) > 1.0;
                let (centre, bound) = (expected.truth[i], expected.worst[i]);
                if bound.is_finite() && centre.is_finite() {
                    if quotient(&expected, i, value, bound) > 1.0 {
                        return None;
                    }
                    if wrong {
                        tally.predicted += 1;
                        let error = (value - centre).abs() + least(&expected, value);
                        tally.nearness += 0.5 * (error.ln() + bound.max(1e-300).ln());
                    }
                    continue;
                }
                let own = own.get_or_insert_with(|| (suspect.own)(trial));
                let said = own.as_ref().and_then(|own| own.get(&expected.name));
                let told = said.is_some();
                let said = said.map_or(centre, |own| own.values[i]);
                if class(said) != class(value) {
                    tally.conflicts += 1;
                } else if !value.is_finite() {
                    tally.classed += usize::from(wrong);
                    tally.nearness += if wrong { expected.dtype.unit().ln() } else { 0.0 };
                } else if wrong {
                    // Nothing bounds it, but the model's own arithmetic may come out at it.
                    let least = least(&expected, value);
                    let error = (value - said).abs() + least;
                    let same = told && error <= 64.0 * least;
                    tally.predicted += usize::from(same);
                    tally.silent += usize::from(!same);
                    // What it leaves open is no nearer than the value is large.
                    let error = if same { error } else { value.abs().max(least) };
                    tally.nearness += error.ln();
                }
            }
        }
        if trial.flaw.as_ref().is_some_and(|flaw| flaw.tensor.is_none()) {
            tally.bits(trial, suspect, answer)?;
        }
        Some(tally)
    }

    /// A contract about bits has no bounds: the model must break it itself, and is the nearer the more
    /// bits it shares with the answer.
    fn bits(&mut self, trial: &Trial, suspect: &Suspect, answer: &Tensors) -> Option<()> {
        let own = (suspect.own)(trial)?;
        if trial.case.operator().beyond(&trial.call, &own).is_empty() {
            return None;
        }
        self.predicted += 1;
        let pairs = answer.iter().flat_map(|(name, got)| {
            let own = own.get(name).map_or(&[][..], |own| &own.values);
            got.values.iter().zip(own)
        });
        let (count, other) = pairs.fold((0usize, 0usize), |(count, other), (a, b)| {
            (count + 1, other + usize::from(a.to_bits() != b.to_bits()))
        });
        self.nearness += 10.0 * other as f64 / count.max(1) as f64;
        Some(())
    }
}

/// What the rounding of a value alone leaves open.
fn least(expected: &Expected, value: f64) -> f64 {
    expected.dtype.unit() * value.abs() + expected.dtype.smallest_normal()
}

/// NaN, an infinity of either sign, or a number.
fn class(value: f64) -> u8 {
    match value {
        v if v.is_nan() => 0,
        f64::INFINITY => 1,
        f64::NEG_INFINITY => 2,
        _ => 3,
    }
}

/// What a model answers, with the bounds of its own formula.
fn of_model(trial: &Trial, mutation: Mutation, unit: Dtype, served: &Served) -> Vec<Expected> {
    let call = &trial.call;
    let longest = trial.case.operator().longest_sum(call);
    let read = || {
        if call.dtype == Dtype::F64 {
            let problem = Problem::<Bound<Dd>>::exact(call, &served.variant);
            oracle::bounded(call, longest, mutants::answer(&problem, mutation), |v| v.lo)
        } else {
            let problem = Problem::<Bound>::exact(call, &served.variant);
            oracle::bounded(call, longest, mutants::answer(&problem, mutation), |_| 0.0)
        }
    };
    let coarse = Reading::of(served, call.dtype).coarse(call.dtype);
    let read = || bound::coarsely(coarse, read);
    bound::at_unit(unit.unit(), || bound::overflowing(unit.largest(), read))
}
