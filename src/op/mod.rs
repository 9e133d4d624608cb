//! Operators: each a file, forward and vector-Jacobian product as neighbours.
//!
//! An operator has two bodies that share no arithmetic. [`Reference`] is written once, as in the
//! paper, in the dumbest loops, for any [`Num`]; [`Fast`] is the vectorised `f32` path; and a third
//! where it has [`Kernels`] for a device. The first two work
//! on plain row-major buffers and run on one thread: parallel work is split outside, over the
//! shards of a batch, so no sum depends on the number of threads.
//!
//! Rules of every body: `forward` overwrites its outputs, `vjp` *adds* to the gradients (so that
//! a value that is used twice collects both; a fast one may be told that it is the first, see
//! [`Grad`]), an empty gradient means that nobody wants it, an empty argument that an optional
//! argument is absent. Wrong shapes are programmer
//! errors and assert.

use std::any::Any;
use std::fmt::Debug;
use std::ops::Range;
use std::sync::Arc;

use self::device::Kernels;
use crate::choice::Constant;
use crate::num::{Bound, Dd, Dtype, Dual, Num, Stochastic};
use crate::setting::Invalid;

pub mod activation;
pub mod attention;
mod call;
pub mod device;
pub mod dropout;
pub mod elementary;
pub mod embedding;
pub mod head_gain;
pub mod linear;
pub mod loss;
pub mod norm;
mod panel;
pub mod per_head;
pub mod place;
pub mod ramp;
mod registry;
pub mod residual;
pub mod rotary;
mod shape;
pub mod shift_noise;
pub mod simd;
pub mod sinkhorn;
pub mod softcap;
pub mod softmax;
pub mod weight;
pub mod weighted_sum;

pub use call::Call;
pub use registry::{all, named};
pub use shape::Shape;

/// A tensor to be read: its shape and its elements.
#[derive(Clone, Copy, Debug)]
pub struct View<'a, T> {
    /// The sizes.
    pub shape: Shape,
    /// The elements, row-major.
    pub data: &'a [T],
}

impl<'a, T> View<'a, T> {
    /// A tensor over `data`.
    pub fn new(shape: Shape, data: &'a [T]) -> Self {
        debug_assert_eq!(shape.len(), data.len(), "{shape:?} over {} elements", data.len());
        View { shape, data }
    }
    /// An optional argument that is not there.
    pub fn absent() -> Self {
        View { shape: Shape::ABSENT, data: &[] }
    }
    /// True for an optional argument that is not there.
    pub fn is_absent(&self) -> bool {
        self.data.is_empty()
    }
    /// Row `i` of the tensor read as rows of its last axis.
    pub fn row(&self, i: usize) -> &'a [T] {
        let cols = self.shape.cols();
        &self.data[i * cols..(i + 1) * cols]
    }
    /// Element `i`, or nothing where the argument is absent.
    pub fn get(&self, i: usize) -> Option<&'a T> {
        self.data.get(i)
    }
}

/// What an argument of an operator is.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Kind {
    /// A real tensor with a gradient: an activation.
    Real,
    /// A learned tensor with a gradient.
    Weight,
    /// A tensor that is read and carried from step to step, without gradient (running statistics).
    State,
    /// Whole numbers, carried as numbers: tokens, targets.
    Index,
    /// 1 where attention is allowed, 0 where not.
    Mask,
    /// `[step, first sample]`: where in the training this call stands; random operators draw from it.
    Clock,
}

impl Kind {
    /// Whether a gradient exists with respect to the argument.
    pub fn differentiable(self) -> bool {
        matches!(self, Kind::Real | Kind::Weight)
    }
}

/// What a learned or carried tensor starts at.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Initial {
    /// What the initialisation of the stack says for the role of the tensor.
    Drawn,
    /// Every element the same constant.
    Value(f64),
    /// Every element √width.
    SqrtWidth,
    /// The lengths of the rows of the first argument, as it starts itself.
    RowLengths,
}

/// Which values an argument may take; who draws problems keeps to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Values {
    /// Every number.
    Any,
    /// Positive ones, as a variance is.
    Positive,
    /// They meet in an exponent, as queries and keys do: where logits are beyond some tens, their own
    /// rounding decides what comes out, and no answer is wrong.
    Exponent,
}

/// One argument of an operator.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Arg {
    /// Its name in formulas, reports and parameter names.
    pub name: &'static str,
    /// What it is.
    pub kind: Kind,
    /// True where it may be absent.
    pub optional: bool,
    /// What it starts at, if it is learned or carried.
    pub initial: Initial,
    /// Which values it may take.
    pub values: Values,
}

impl Arg {
    /// An argument of some kind.
    pub const fn new(name: &'static str, kind: Kind) -> Self {
        Arg { name, kind, optional: false, initial: Initial::Drawn, values: Values::Any }
    }
    /// An activation.
    pub const fn real(name: &'static str) -> Self {
        Arg::new(name, Kind::Real)
    }
    /// A learned tensor that the stack initialises.
    pub const fn weight(name: &'static str) -> Self {
        Arg::new(name, Kind::Weight)
    }
    /// The same argument, starting at a constant.
    pub const fn from(mut self, value: f64) -> Self {
        self.initial = Initial::Value(value);
        self
    }
    /// The same argument, starting at √width.
    pub const fn from_sqrt_width(mut self) -> Self {
        self.initial = Initial::SqrtWidth;
        self
    }
    /// The same argument, starting at the lengths of the rows of the first one.
    pub const fn from_row_lengths(mut self) -> Self {
        self.initial = Initial::RowLengths;
        self
    }
    /// The same argument, which is positive.
    pub const fn positive(mut self) -> Self {
        self.values = Values::Positive;
        self
    }
    /// The same argument, which meets others in an exponent.
    pub const fn in_exponent(mut self) -> Self {
        self.values = Values::Exponent;
        self
    }
    /// The same argument, allowed to be absent.
    pub const fn optional(mut self) -> Self {
        self.optional = true;
        self
    }
}

/// A property that holds for every input and that the verification suite checks for whoever states it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Property {
    /// f(x + c·1) = f(x) for every row; hence every row of dx sums to 0.
    ShiftInvariant,
    /// f(a·x) = f(x) for a > 0 where a·x is large against eps; hence ⟨x, dx⟩ → 0 per row
    /// (for a shift-invariant operator ⟨x − mean, dx⟩).
    ScaleInvariant,
    /// f(−x) = −f(x) without bias.
    Odd,
    /// Permuting the columns of x and of the per-column weights permutes the columns of y.
    PermutationEquivariant,
    /// Row i of y depends on row i of x only, bit by bit.
    RowIndependent,
    /// f(a·x + b·z) = a·f(x) + b·f(z) in the first argument, absent any bias.
    Linear,
    /// Every row of y is non-negative and sums to 1.
    RowsSumToOne,
    /// Output t depends on positions up to t only, bit by bit (axis 1 of `[batch, seq, width]`).
    Causal,
}

/// The obvious implementation, written as in the paper, for any number type.
pub trait Reference<T: Num> {
    /// Overwrites `outs` (their number and shapes are [`Op::outputs`]).
    fn forward(&self, args: &[View<T>], outs: &mut [&mut [T]]);
    /// Adds to `dargs` the gradients of the loss, given the gradient `dy` of the first output.
    fn vjp(&self, args: &[View<T>], dy: &[T], dargs: &mut [&mut [T]]);
}

/// The vectorised `f32` implementation.
///
/// `saved` lives from forward to vjp (a row's rstd, say), `scratch` during one call only.
pub trait Fast {
    /// Number of `f32` that forward leaves for vjp.
    fn saved(&self, _args: &[Shape]) -> usize {
        0
    }
    /// Number of `f32` of working space that either pass needs.
    fn scratch(&self, _args: &[Shape]) -> usize {
        0
    }
    /// As [`Reference::forward`].
    fn forward(
        &self,
        args: &[View<f32>],
        outs: &mut [&mut [f32]],
        saved: &mut [f32],
        scratch: &mut [f32],
    );
    /// As [`Reference::vjp`], each gradient set or added to as its [`Grad`] says.
    fn vjp(
        &self,
        args: &[View<f32>],
        dy: &[f32],
        saved: &[f32],
        dargs: &mut [Grad],
        scratch: &mut [f32],
    );
}

/// Where a fast vjp puts the gradient of one argument.
///
/// A value used in several places collects a gradient from each. The first is *set*, over whatever
/// the buffer held, and only the others are added: clearing every buffer first would touch all
/// memory once more.
#[derive(Debug)]
pub struct Grad<'a, T = f32> {
    data: &'a mut [T],
    adds: bool,
}

impl<'a, T: Num> Grad<'a, T> {
    /// A gradient that is added to what `data` holds.
    pub fn onto(data: &'a mut [T]) -> Self {
        Grad { data, adds: true }
    }
    /// A gradient that is the first of its value: what `data` holds is overwritten.
    pub fn fresh(data: &'a mut [T]) -> Self {
        Grad { data, adds: false }
    }
    /// A gradient that nobody wants.
    pub fn unwanted() -> Self {
        Grad { data: &mut [], adds: true }
    }
    /// True where nobody wants it.
    pub fn is_empty(&self) -> bool {
        self.data.is_empty()
    }
    /// The elements, and whether they are to be added to; rubbish where not.
    pub fn raw(&mut self) -> (&mut [T], bool) {
        (self.data, self.adds)
    }
    /// The elements to be added to, cleared where the gradient is the first.
    pub fn to_add(&mut self) -> &mut [T] {
        if !self.adds {
            self.data.fill(T::zero());
            self.adds = true;
        }
        self.data
    }
    /// Sets, or adds to, the elements of a range, each of which is met once in a vjp. Computes
    /// nothing where nobody wants it.
    #[inline(always)]
    pub fn put(&mut self, range: Range<usize>, values: impl Iterator<Item = T>) {
        if self.is_empty() {
            return;
        }
        let data = self.data[range].iter_mut().zip(values);
        if self.adds {
            data.for_each(|(d, value)| *d += value);
        } else {
            data.for_each(|(d, value)| *d = value);
        }
    }
}

/// An operator: what the stack is built from and what the checks iterate over.
pub trait Op:
    Reference<f64>
    + Reference<Dual>
    + Reference<Stochastic>
    + Reference<Bound>
    + Reference<Bound<Dd>>
    + Fast
    + Any
    + Debug
    + Send
    + Sync
{
    /// The one name, in snake_case.
    fn id(&self) -> &'static str;
    /// The arguments in order.
    fn args(&self) -> &'static [Arg];
    /// The shapes of the outputs; the first is y, the one with a gradient. Asserts that the
    /// arguments fit each other.
    fn outputs(&self, args: &[Shape]) -> Vec<Shape>;
    /// Shapes of the arguments of a small problem of about `rows` × `cols`, for the checks.
    fn example(&self, rows: usize, cols: usize) -> Vec<Shape>;
    /// The upper bound, itself excluded, of the values of index arguments of these shapes.
    fn index_limit(&self, _args: &[Shape]) -> usize {
        1
    }
    /// The constants that it was made with, by the names of its fields; see [`crate::constants`].
    fn consts(&self) -> Vec<Constant> {
        Vec::new()
    }
    /// The same operator with one constant changed.
    ///
    /// # Errors
    /// Where it has no such constant, or the constant does not take the value.
    fn with(&self, name: &str, value: &str) -> Result<SharedOp, Invalid> {
        let _ = value;
        Err(Invalid::new("constant", name, format!("none: {} has no constants", self.id())))
    }
    /// What holds for every input.
    fn properties(&self) -> &'static [Property] {
        &[]
    }
    /// Whether vjp reads the value of argument `index`; what no vjp reads is not kept.
    fn vjp_reads(&self, _index: usize) -> bool {
        true
    }
    /// What the fast path stores argument `index` and its gradient as: values are representable in it,
    /// and what comes out is rounded to it. All arithmetic is `f32`.
    fn argument_dtype(&self, _index: usize) -> Dtype {
        Dtype::F32
    }
    /// What it stores output `index` as; that of the first is that of its gradient.
    fn output_dtype(&self, _index: usize) -> Dtype {
        Dtype::F32
    }
    /// The kernels for a device, where there are some.
    fn kernels(&self) -> Option<&dyn Kernels> {
        None
    }
}

/// An operator that many steps share.
pub type SharedOp = Arc<dyn Op>;

/// The most arguments that an operator takes.
pub const MAX_ARGS: usize = 8;
