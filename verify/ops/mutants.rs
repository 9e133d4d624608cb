//! Deliberately wrong operators, each of which the generic checks must refuse.
//!
//! A mutant says that it is some operator of the crate. Its reference and its fast path are each
//! the right one, another operator, or a formula with one mistake. A mistake in both bodies is
//! found by derivatives, properties and contracts; one in the fast path alone by the error budget. The
//! controls are right in another way than ours, and must pass.

use std::sync::Arc;

use plummet::check::bodies::gradient::agrees_with_differences;
use plummet::check::bodies::{Case, Fault, Rows, everything};
use plummet::choice::Described;
use plummet::num::{Bound, Dd, Dual, Stochastic};
use plummet::op::activation::{Activation, Function};
use plummet::op::attention::Attention;
use plummet::op::dropout::Dropout;
use plummet::op::loss::{BinaryCrossEntropy, CrossEntropy, MeanSquaredError};
use plummet::op::norm::{
    BatchNorm, GroupNorm, LayerNorm, PartialRmsNorm, PowerNorm, RmsNorm, RmsNormOutside,
};
use plummet::op::residual::Residual;
use plummet::op::softmax::Softmax;
use plummet::op::weight::scaled_standardised::{Floor, ScaledStandardised};
use plummet::op::weight::standardised::{Deviation, Root, Standardised};
use plummet::op::{Arg, Fast, Grad, Op, Property, Reference, Shape, SharedOp, View};

use super::formulas::Mistake::{self, *};
use super::formulas::{forward, vjp};

/// What computes in the place of the right operator.
#[derive(Debug, Clone)]
enum Body {
    Other(SharedOp),
    Formula(Mistake),
}

/// Says that it is one operator, and is another.
#[derive(Debug, Clone)]
struct Mutant {
    says: SharedOp,
    reference: Body,
    fast: Body,
}

impl Mutant {
    /// One mistake in both bodies.
    fn everywhere(says: impl Op, mistake: Mistake) -> Mutant {
        let body = || Body::Formula(mistake);
        Mutant { says: Arc::new(says), reference: body(), fast: body() }
    }
    /// One mistake in the fast path.
    fn fast(says: impl Op + Copy, mistake: Mistake) -> Mutant {
        let reference = Body::Other(Arc::new(says));
        Mutant { says: Arc::new(says), reference, fast: Body::Formula(mistake) }
    }
    /// Another operator under this name, in the fast path.
    fn fast_is(says: impl Op + Copy, other: impl Op) -> Mutant {
        let reference = Body::Other(Arc::new(says));
        Mutant { says: Arc::new(says), reference, fast: Body::Other(Arc::new(other)) }
    }
    /// Another operator under this name.
    fn is(says: impl Op, other: impl Op + Copy) -> Mutant {
        let body = || Body::Other(Arc::new(other));
        Mutant { says: Arc::new(says), reference: body(), fast: body() }
    }
}

impl Op for Mutant {
    fn id(&self) -> &'static str {
        self.says.id()
    }
    fn args(&self) -> &'static [Arg] {
        self.says.args()
    }
    fn outputs(&self, args: &[Shape]) -> Vec<Shape> {
        self.says.outputs(args)
    }
    fn example(&self, rows: usize, cols: usize) -> Vec<Shape> {
        self.says.example(rows, cols)
    }
    fn index_limit(&self, args: &[Shape]) -> usize {
        self.says.index_limit(args)
    }
    fn properties(&self) -> &'static [Property] {
        self.says.properties()
    }
    fn vjp_reads(&self, index: usize) -> bool {
        self.says.vjp_reads(index)
    }
}

macro_rules! readings {
    ($($number:ty),+) => {$(
        impl Reference<$number> for Mutant {
            fn forward(&self, args: &[View<$number>], outs: &mut [&mut [$number]]) {
                match &self.reference {
                    Body::Other(op) => Reference::<$number>::forward(&**op, args, outs),
                    Body::Formula(mistake) => forward(*mistake, args, outs),
                }
            }
            fn vjp(&self, args: &[View<$number>], dy: &[$number], dargs: &mut [&mut [$number]]) {
                match &self.reference {
                    Body::Other(op) => Reference::<$number>::vjp(&**op, args, dy, dargs),
                    Body::Formula(mistake) => vjp(*mistake, args, dy, dargs),
                }
            }
        }
    )+};
}
readings!(f64, Dual, Stochastic, Bound, Bound<Dd>);

impl Fast for Mutant {
    fn saved(&self, args: &[Shape]) -> usize {
        if let Body::Other(op) = &self.fast { op.saved(args) } else { 0 }
    }
    fn scratch(&self, args: &[Shape]) -> usize {
        if let Body::Other(op) = &self.fast { op.scratch(args) } else { 0 }
    }
    fn forward(
        &self,
        args: &[View<f32>],
        outs: &mut [&mut [f32]],
        saved: &mut [f32],
        scratch: &mut [f32],
    ) {
        match &self.fast {
            Body::Other(op) => Fast::forward(&**op, args, outs, saved, scratch),
            Body::Formula(mistake) => forward(*mistake, args, outs),
        }
    }
    fn vjp(
        &self,
        args: &[View<f32>],
        dy: &[f32],
        saved: &[f32],
        dargs: &mut [Grad],
        scratch: &mut [f32],
    ) {
        match &self.fast {
            Body::Other(op) => Fast::vjp(&**op, args, dy, saved, dargs, scratch),
            Body::Formula(mistake) => {
                let mut sums: Vec<&mut [f32]> = dargs.iter_mut().map(|d| d.to_add()).collect();
                vjp(*mistake, args, dy, &mut sums)
            }
        }
    }
}

/// The first refusal by the generic checks, over a few sizes and every kind of rows.
fn refusal(op: &dyn Op) -> Option<Fault> {
    let sizes = [(3, 3), (2, 17), (33, 5), (2, 65)];
    let problems = sizes.into_iter().flat_map(|size| Rows::ALL.map(|kind| (size, kind)));
    (0..).zip(problems).find_map(|(seed, ((rows, cols), kind))| {
        let case = Case::draw(op, kind, rows, cols, seed);
        everything(op, &case, kind == Rows::Normal).err()
    })
}

fn mutants() -> Vec<Mutant> {
    let layer = LayerNorm { eps: 1e-5 };
    let rms = RmsNorm::new();
    let batch = BatchNorm::new();
    let attention = Attention::causal(2);
    let (standardised, scaled) = (Standardised::new(), ScaledStandardised::new());
    let loss = CrossEntropy::default();
    let dropout = Dropout { p: 0.3, seed: 5, training: true };
    let mut all: Vec<Mutant> = Mistake::IN_BOTH.map(|m| Mutant::everywhere(layer, m)).into();
    all.extend(Mistake::IN_FAST.map(|m| Mutant::fast(layer, m)));
    all.extend([
        Mutant::fast(Softmax, SoftmaxUnshifted),
        Mutant::everywhere(Softmax, SoftmaxUnnormalised),
        Mutant::fast_is(layer, LayerNorm { eps: 1e-4 }),
        Mutant::fast_is(rms, RmsNorm { eps: 1e-5, ..rms }),
        Mutant::fast_is(rms, RmsNorm { offset: 1.0, ..rms }),
        Mutant::fast_is(batch, BatchNorm { training: false, ..batch }),
        Mutant::fast_is(batch, BatchNorm { momentum: 0.9, ..batch }),
        Mutant::is(attention, Attention { causal: false, ..attention }),
        Mutant::fast_is(attention, Attention { scale: Some(1.0), ..attention }),
        Mutant::fast_is(attention, Attention { softcap: 50.0, ..attention }),
        Mutant::fast_is(Attention { softcap: 2.0, ..attention }, attention),
        Mutant::fast_is(PartialRmsNorm::new(), PartialRmsNorm { share: 0.1, eps: 1e-6 }),
        Mutant::fast_is(RmsNormOutside::new(), RmsNormOutside { eps: 1e-6 }),
        Mutant::fast_is(GroupNorm { groups: 4, eps: 1e-5 }, GroupNorm { groups: 2, eps: 1e-5 }),
        Mutant::fast_is(PowerNorm::new(), PowerNorm { training: false, ..PowerNorm::new() }),
        Mutant::fast_is(PowerNorm::new(), PowerNorm { momentum: 0.9, ..PowerNorm::new() }),
        Mutant::fast_is(
            standardised,
            Standardised { deviation: Deviation::Unbiased, ..standardised },
        ),
        Mutant::fast_is(
            standardised,
            Standardised { root: Root::Inside, eps: 1e-3, ..standardised },
        ),
        Mutant::fast_is(scaled, ScaledStandardised { floor: Floor::Added, ..scaled }),
        Mutant::fast_is(scaled, ScaledStandardised { gamma: 1.01, ..scaled }),
        Mutant::fast_is(loss, CrossEntropy { label_smoothing: 0.01, ..loss }),
        Mutant::fast_is(BinaryCrossEntropy, MeanSquaredError),
        Mutant::fast_is(dropout, Dropout { seed: 6, ..dropout }),
        Mutant::fast_is(Residual { alpha: 1.7, beta: 0.6 }, Residual { alpha: 0.6, beta: 1.7 }),
        Mutant::fast_is(
            Activation { function: Function::Gelu },
            Activation { function: Function::GeluTanh },
        ),
    ]);
    all
}

#[test]
fn mutants_die() {
    let mutants = mutants();
    let refusals: Vec<Option<Fault>> = mutants.iter().map(|mutant| refusal(mutant)).collect();
    println!("{} mutants: {refusals:#?}", mutants.len());
    let survivors: Vec<&Mutant> =
        mutants.iter().zip(&refusals).filter(|(_, r)| r.is_none()).map(|(m, _)| m).collect();
    assert!(survivors.is_empty(), "{survivors:#?}");
    // A check that refuses nobody would be missed by nobody.
    for check in [
        "fast against reference",
        "gradients add",
        "unwanted gradients",
        "vjp reads only what it says",
        "vjp against dual numbers",
        "shift invariance",
        "causality",
    ] {
        let refuses = |fault: &Fault| fault.check.starts_with(check);
        assert!(refusals.iter().flatten().any(refuses), "{check} refuses nobody");
    }
}

/// Differences need no second number type; they see what is large against their step, which a
/// forgotten eps is on narrow rows only.
#[test]
fn differences_alone_see_wrong_backward_passes() {
    for mistake in [
        MeanTermMissing,
        ProjectionMissing,
        SumsForMeans,
        WeightForgottenBackward,
        SignFlipped,
        WeightGradientFromX,
        LastRowOnly,
    ] {
        let mutant = Mutant::everywhere(LayerNorm { eps: 1e-5 }, mistake);
        let case = Case::draw(&mutant, Rows::Normal, 3, 17, 1);
        assert!(agrees_with_differences(&mutant, &case).is_err(), "{mistake:?}");
    }
}

/// Right in another way: the formulas without a mistake, summed from the left in `f32`.
#[test]
fn controls_live() {
    for control in [
        Mutant::fast(LayerNorm { eps: 1e-5 }, LayerNormRight),
        Mutant::everywhere(LayerNorm { eps: 1e-5 }, LayerNormRight),
        Mutant::fast(Softmax, SoftmaxRight),
        Mutant::is(Softmax, Softmax),
    ] {
        assert_eq!(refusal(&control), None);
    }
}
