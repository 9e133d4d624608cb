//! A PTX text as a tree: what stands there, before it means anything.

use super::types::{Space, Type};

/// A variable of the module, a parameter, or a variable of a function.
#[derive(Clone, Debug)]
pub(super) struct Variable {
    pub name: String,
    pub space: Space,
    pub align: u64,
    pub bytes: u64,
    /// `.extern .shared name[]`: its size comes with the launch.
    pub dynamic: bool,
    /// What it holds at first, padded with zeros; empty if nothing is said.
    pub initial: Vec<u8>,
}

/// Registers declared together: `%f<46>` or one by its name.
#[derive(Clone, Debug)]
pub(super) struct Registers {
    pub name: String,
    /// How many of a numbered family; `None` for a single register.
    pub count: Option<u32>,
}

/// An operand as written.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Operand {
    /// A register, a label, a variable, a special register.
    Name(String),
    /// `!%p1`.
    Not(String),
    /// `%r1|%p1`.
    Pair(String, String),
    /// A number, by its bits; a float's are those of its own width.
    Number(Number),
    /// `{%f1, %f2}`.
    Vector(Vec<Operand>),
    /// `[base+offset]`; the base is a name or a number.
    Address(Box<Operand>, i64),
    /// `(a, b)` of a call.
    List(Vec<Operand>),
}

/// A number as written.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Number {
    /// An integer in two's complement.
    Integer(u64),
    /// `0f3F800000`.
    Single(u32),
    /// `0d3FF0000000000000`.
    Double(u64),
}

/// A place in the source by `.loc`: the number of a file, and a line.
pub(super) type Loc = Option<(u32, u32)>;

/// One thing in the body of a function.
#[derive(Clone, Debug)]
pub(super) enum Statement {
    /// `{`: names declared from here on end with the scope.
    Open,
    /// `}`.
    Close,
    /// `.reg`.
    Registers(Registers),
    /// `.shared`, `.local`, `.param` inside a body.
    Variable(Variable),
    /// `label:`.
    Label(String),
    /// `label: .branchtargets a, b;`.
    Targets(String, Vec<String>),
    /// An instruction.
    Instruction(Written),
}

/// An instruction as written.
#[derive(Clone, Debug)]
pub(super) struct Written {
    pub line: usize,
    pub loc: Loc,
    /// The guarding predicate, and whether it is negated.
    pub guard: Option<(String, bool)>,
    /// `ld.global.nc.f32` cut at its dots.
    pub opcode: Vec<String>,
    pub operands: Vec<Operand>,
}

/// A kernel or a device function.
#[derive(Clone, Debug)]
pub(super) struct Function {
    pub name: String,
    pub line: usize,
    pub is_kernel: bool,
    pub returns: Vec<Variable>,
    pub params: Vec<Variable>,
    /// The most threads a block may have, where `.maxntid` or `.reqntid` says so.
    pub max_threads: Option<u64>,
    pub body: Vec<Statement>,
}

/// A whole text.
#[derive(Clone, Debug, Default)]
pub(super) struct Tree {
    pub functions: Vec<Function>,
    pub variables: Vec<Variable>,
    /// Names of files by their numbers.
    pub files: Vec<(u32, String)>,
}

/// A variable's shape while it is read: type, alignment and so on.
#[derive(Clone, Copy, Debug)]
pub(super) struct Shape {
    pub space: Space,
    pub element: Type,
    pub align: Option<u64>,
    pub is_extern: bool,
}
