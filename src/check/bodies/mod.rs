//! The checking toolbox: for our own operators and for whoever else implements [`Op`].
//!
//! - [`case`]: shapes and values of one problem, drawn from a seed that a failure prints.
//! - [`budget`]: how far an honest computation may be off, element by element.
//! - [`gradient`]: vjp against exact derivatives and against differences.
//! - [`property`]: one function per [`Property`](crate::op::Property).
//! - [`contract`]: the rules of every body: overwrite, add, leave alone.
//!
//! A check returns a [`Verdict`] instead of panicking, so that a suite of deliberately wrong
//! operators can see whether it was refused.

pub mod budget;
pub mod case;
pub mod contract;
pub mod gradient;
pub mod property;

use std::fmt;

pub use budget::{Budget, fast_agrees, share_of_budget};
pub use case::{Case, Rows, SIZES};

use crate::num::Num;
use crate::op::{Op, Reference};

/// Which body of an operator is meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Path {
    /// The reference at `f64`.
    Reference,
    /// The fast path at `f32`.
    Fast,
}

/// What one pass forward and back gives, widened to `f64`.
#[derive(Debug, Clone, PartialEq)]
pub struct Results {
    /// The outputs; the first is y.
    pub outs: Vec<Vec<f64>>,
    /// The gradient of every argument, empty where it has none or nobody wants it.
    pub grads: Vec<Vec<f64>>,
}

impl Results {
    /// Every output and gradient with its name.
    pub fn named(&self) -> impl Iterator<Item = (String, &Vec<f64>)> {
        let outs = self.outs.iter().enumerate().map(|(i, v)| (format!("output {i}"), v));
        outs.chain(self.grads.iter().enumerate().map(|(i, v)| (format!("gradient {i}"), v)))
    }
}

impl Path {
    /// Both bodies.
    pub const ALL: [Path; 2] = [Path::Reference, Path::Fast];

    /// The unit of rounding in units of that of `f32`.
    ///
    /// To first order a rounding error is proportional to the unit, so a budget measured at 24
    /// bits serves 53 bits by this factor.
    pub fn unit(self) -> f64 {
        match self {
            Path::Reference => 2f64.powi(24 - 53),
            Path::Fast => 1.0,
        }
    }

    /// Outputs from buffers that hold NaN before, and gradients from buffers that hold
    /// [`Case::start`].
    pub fn run(self, op: &dyn Op, case: &Case) -> Results {
        self.run_with(op, case, &case.values)
    }

    /// As [`Path::run`], with other values of the arguments in the backward pass.
    pub fn run_with(self, op: &dyn Op, case: &Case, backward: &[Vec<f64>]) -> Results {
        match self {
            Path::Reference => Results {
                outs: forward(op, case, |_, _, v| v),
                grads: vjp(op, case, backward, |v| v),
            },
            Path::Fast => fast(op, case, backward, false),
        }
    }
}

/// Outputs of the reference, every element of an argument read at `number(argument, index, value)`.
pub fn forward<T: Num>(
    op: &(impl Reference<T> + Op + ?Sized),
    case: &Case,
    number: impl Fn(usize, usize, f64) -> T,
) -> Vec<Vec<T>> {
    let mut call = case.call(op, &case.values, number);
    call.reference_forward(op);
    call.outs
}

/// Gradients of the reference at some number.
pub fn vjp<T: Num>(
    op: &(impl Reference<T> + Op + ?Sized),
    case: &Case,
    values: &[Vec<f64>],
    number: impl Fn(f64) -> T,
) -> Vec<Vec<T>> {
    let mut call = case.call(op, values, |_, _, value| number(value));
    call.dy = case.dy.iter().map(|&dy| number(dy)).collect();
    call.reference_vjp(op);
    call.grads
}

/// The fast path; `fresh` gradients are set over NaN instead of being added to [`Case::start`].
fn fast(op: &dyn Op, case: &Case, backward: &[Vec<f64>], fresh: bool) -> Results {
    let narrow = |_: usize, _: usize, value: f64| value as f32;
    let mut call = case.call(op, &case.values, narrow);
    call.forward(op);
    call.args = case::read(backward, narrow);
    // Nothing but what is saved lives from forward to vjp.
    call.poison_scratch();
    if fresh {
        call.grads.iter_mut().for_each(|grad| grad.fill(f32::NAN));
        call.fresh_vjp(op);
    } else {
        call.vjp(op);
    }
    let widen = |v: &Vec<f32>| v.iter().map(|&v| f64::from(v)).collect::<Vec<f64>>();
    Results {
        outs: call.outs.iter().map(widen).collect(),
        grads: call.grads.iter().map(widen).collect(),
    }
}

/// Why a check refused an operator: enough to repeat it and to see the worst element.
#[derive(Clone, PartialEq)]
pub struct Fault {
    /// What was checked.
    pub check: String,
    /// The operator with its constants.
    pub op: String,
    /// Sizes, kind of rows and seed.
    pub case: String,
    /// The tensor and the element.
    pub place: String,
    /// What came out there.
    pub got: f64,
    /// What should have.
    pub want: f64,
    /// By how much it may be off.
    pub allowed: f64,
}

impl fmt::Debug for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Fault { check, op, case, place, got, want, allowed } = self;
        let error = (got - want).abs();
        write!(
            f,
            "{check}: {op}, {place} is {got:e}, not {want:e}: off by {error:e}, allowed {allowed:e} ({case})"
        )
    }
}

/// Nothing, or why not.
pub type Verdict = Result<(), Fault>;

/// Every generic check on one problem: budgets, contracts, gradients and the stated properties.
///
/// Differences need rows on which a fixed step is small, which hostile ones are not.
pub fn everything(op: &dyn Op, case: &Case, differences: bool) -> Verdict {
    fast_agrees(op, case)?;
    contract::holds(op, case)?;
    gradient::agrees_with_dual(op, case)?;
    if differences {
        gradient::agrees_with_differences(op, case)?;
    }
    op.properties().iter().try_for_each(|&stated| property::holds(stated, op, case))
}

/// What is being compared, for the message.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Subject<'a> {
    pub op: &'a dyn Op,
    pub case: &'a Case,
    pub check: &'a str,
    pub path: Path,
}

impl Subject<'_> {
    /// Refuses where an element is further off than allowed, and names the one that is most so.
    pub fn compare(
        &self,
        place: &str,
        len: usize,
        element: impl Fn(usize) -> (f64, f64, f64),
    ) -> Verdict {
        self.share(place, len, element).map(|_| ())
    }

    /// The same, and where nothing is refused the largest share of what is allowed.
    pub fn share(
        &self,
        place: &str,
        len: usize,
        element: impl Fn(usize) -> (f64, f64, f64),
    ) -> Result<f64, Fault> {
        let share = |i: usize| {
            let (got, want, allowed) = element(i);
            let error = (got - want).abs();
            // Equal covers two infinities of one sign; a NaN is within nothing.
            match got == want || (error <= allowed && allowed == f64::INFINITY) {
                true => 0.0,
                false if error.is_finite() && allowed > 0.0 => error / allowed,
                false => f64::INFINITY,
            }
        };
        let worst = (0..len).map(|i| (i, share(i))).max_by(|a, b| a.1.total_cmp(&b.1));
        match worst {
            None => Ok(0.0),
            Some((_, share)) if share <= 1.0 => Ok(share),
            Some((i, _)) => {
                let (got, want, allowed) = element(i);
                Err(Fault {
                    check: format!("{}, {:?}", self.check, self.path),
                    op: format!("{} {:?}", self.op.id(), self.op),
                    case: self.case.origin.clone(),
                    place: format!("{place}[{i}] of {len}"),
                    got,
                    want,
                    allowed,
                })
            }
        }
    }
}
