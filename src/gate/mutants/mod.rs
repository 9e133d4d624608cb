//! Executable models of right and wrong implementations.
//!
//! A model is an implementation of an operator, written apart from the oracle, with named places
//! where it can be made wrong: each name is a [`Mutant`], after a real bug. The same model, wrong
//! nowhere but other in form (another order of summation, another formula), is a control. The gate
//! uses them twice: to prove its own power (every mutant must be caught, no control may be), and to
//! say what a wrong target behaves like.

mod activation;
mod adamw;
mod attention;
mod batch_norm;
mod binary_cross_entropy;
mod candidate;
mod careless;
mod clip_grad_norm;
mod cross_entropy;
mod drop_path;
mod dropout;
mod dynamic_tanh;
mod feed_forward;
mod gaussian_nll;
mod init;
mod layer_norm;
mod layers;
mod linear;
mod lr_schedule;
mod mean_loss;
mod mean_squared_error;
mod native;
mod norm;
mod residual;
mod rms_norm;
mod scale_norm;
mod size;
mod softmax;
mod student_nll;
mod transformer_block;
mod transformer_stack;
pub mod unsteady;
mod weight_standardize;

pub use candidate::{ModelCandidate, own_answer};
pub use native::{Native, natively};

use crate::check::call::Dir;
use crate::check::spec::operator::{Named, Problem};
use crate::num::Num;

/// A wrong implementation.
#[derive(Debug, Clone, Copy)]
pub struct Mutant {
    /// Its name, unique in the catalogue.
    pub id: &'static str,
    /// The operator.
    pub op: &'static str,
    /// The class of bug (`cancellation`, `epsilon`, `precision`, `axis`, `tile`, `alias`,
    /// `size`, `determinism`, `backward`, `mask`, `wiring`, `init`, `dropout`, `loss`, `optimizer`,
    /// `schedule`, `activation`, `statistics`, `argument`, and of those that only a whole run shows
    /// `promise` and `intermittent`).
    pub class: &'static str,
    /// What is wrong, as a failure would say it.
    pub about: &'static str,
    /// True where it computes in the storage dtype and keeps no wider sum: it is read at
    /// [`Native`], and tried on 16-bit problems only.
    pub native: bool,
    /// The only pass that it shows in, where it is tried on no other.
    pub only: Option<Dir>,
}

impl Mutant {
    /// A mutant that computes in the accumulator's dtype.
    pub const fn new(
        op: &'static str,
        id: &'static str,
        class: &'static str,
        about: &'static str,
    ) -> Mutant {
        Mutant { id, op, class, about, native: false, only: None }
    }
}

/// A right implementation of another form.
#[derive(Debug, Clone, Copy)]
pub struct Control {
    /// Its name, unique in the catalogue.
    pub id: &'static str,
    /// The operator.
    pub op: &'static str,
    /// How it is other.
    pub about: &'static str,
}

/// What a model does otherwise than the plain form; nothing, for `""`.
#[derive(Debug, Clone, Copy)]
pub struct Mutation<'a> {
    /// The id of a mutant or a control.
    pub id: &'a str,
    /// How many calls the implementation has answered before, for what goes wrong later only.
    pub calls: u64,
}

impl Mutation<'_> {
    /// True for the mutant or control of this name.
    pub fn is(&self, id: &str) -> bool {
        self.id == id
    }
}

/// The models of one operator.
pub struct Catalogue {
    /// The operator.
    pub op: &'static str,
    /// Its wrong implementations.
    pub mutants: &'static [Mutant],
    /// Its right ones.
    pub controls: &'static [Control],
}

/// One line per operator: its catalogue, and how it answers at each number.
macro_rules! models {
    ($($module:ident),* $(,)?) => {
        /// The catalogues of all operators.
        pub const CATALOGUES: &[Catalogue] = &[
            $(Catalogue { op: stringify!($module), mutants: $module::MUTANTS, controls: $module::CONTROLS }),*
        ];

        /// What a model answers to a problem.
        pub fn answer<R: Num>(problem: &Problem<R>, mutation: Mutation) -> Vec<Named<R>> {
            let misread = careless::read(problem.call, mutation.id);
            let misread = misread.as_ref().map(|call| problem.asked_by(call));
            let problem = misread.as_ref().unwrap_or(problem);
            let lost = size::read(problem, mutation);
            let problem = lost.as_ref().unwrap_or(problem);
            let answer = match problem.call.op.as_str() {
                $(stringify!($module) => $module::answer(problem, mutation),)*
                other => panic!("no model of {other}"),
            };
            size::written(answer, mutation)
        }
    };
}

models!(
    layer_norm,
    rms_norm,
    scale_norm,
    batch_norm,
    dynamic_tanh,
    weight_standardize,
    softmax,
    activation,
    linear,
    feed_forward,
    attention,
    residual,
    transformer_block,
    transformer_stack,
    cross_entropy,
    binary_cross_entropy,
    mean_squared_error,
    gaussian_nll,
    student_nll,
    adamw,
    clip_grad_norm,
    lr_schedule,
    init,
    dropout,
    drop_path,
);

/// Every mutant of an operator.
pub fn mutants(op: &str) -> &'static [Mutant] {
    CATALOGUES
        .iter()
        .find(|catalogue| catalogue.op == op)
        .map_or(&[], |catalogue| catalogue.mutants)
}

/// The class of bug that the other side of a disputed contract belongs to.
pub fn class_of_variant(key: &str) -> &'static str {
    match key {
        "layer_norm.eps" => "epsilon",
        "attention.empty_row" | "softmax.empty_row" => "mask",
        "batch_norm.running_var" => "statistics",
        "cross_entropy.empty_mean" => "loss",
        _ => "optimizer",
    }
}
