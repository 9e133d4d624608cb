//! A kernel decoded: what the interpreter runs.
//!
//! Operands are numbers of registers and nothing else. A constant, a special register and the
//! address of a variable are registers too, which are filled before a warp starts and which no
//! instruction writes; so the running code never asks what an operand is.

use super::eval::{Compute, ComputePair};
use super::fault::Site;
use super::types::{Space, Type};

/// The number of a register in the file of a warp.
pub(super) type Reg = u32;

/// An instruction, decoded.
#[derive(Clone, Debug)]
pub(super) struct Instruction {
    pub op: Op,
    /// The predicate that switches lanes off, and whether it is negated.
    pub guard: Option<(Reg, bool)>,
    /// Registers written.
    pub d: Box<[Reg]>,
    /// Registers read.
    pub s: Box<[Reg]>,
    /// Which of the program's opcodes it counts as; helpers that the decoder put in: none.
    pub opcode: Option<u32>,
    /// Which of the program's sites it stands at.
    pub site: u32,
}

/// What an instruction does.
#[derive(Clone, Debug)]
pub(super) enum Op {
    /// A pure function of its sources.
    Compute(Compute),
    /// A pure function with two results.
    Pair(ComputePair),
    /// Parts of a vector into one register; the width of each part.
    Pack(u32),
    /// One register into parts of a vector.
    Unpack(u32),
    /// The address given, in the generic space, from its own space, or back.
    ToGeneric(Space),
    FromGeneric(Space),
    /// Whether a generic address lies in a space.
    IsSpace(Space),
    /// A load of as many elements as there are destinations; the address is the first source.
    Load(Access),
    /// A store of the sources behind the address.
    Store(Access),
    /// A read, a change and a write in one.
    Atomic(Access, AtomicOp),
    /// A jump.
    Branch(u32),
    /// A jump to the place that the source counts out.
    BranchIndexed(Box<[u32]>),
    /// A call of a device function: its first instruction, and the parameters to copy.
    Call {
        target: u32,
        copies: Box<[Copy]>,
        returns: Box<[Copy]>,
    },
    /// The end of a device function, or of the kernel.
    Return,
    Exit,
    Trap,
    /// `bar.sync` and its like: how threads wait; sources are the barrier, the count of threads
    /// if there is one, and the predicate if there is one.
    Barrier(Barrier),
    /// An instruction of the lanes that a mask names; the mask is the last source.
    Warp(WarpOp),
    /// The lanes that run this together.
    ActiveMask,
    /// A clock: instructions issued so far.
    Clock,
    /// A fence for the whole device: with an atomic behind it, it orders blocks.
    Fence,
    /// A fence of a block, a hint: nothing to do, for memory is always in order here.
    Nothing,
}

/// Bytes to copy between two parameters of one thread.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Copy {
    pub from: u64,
    pub to: u64,
    pub bytes: u64,
}

/// A load or a store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Access {
    pub space: Space,
    pub kind: Type,
    /// What is added to the address.
    pub offset: i64,
    /// How many elements lie side by side.
    pub count: u32,
}

impl Access {
    /// How many bytes are touched, and what the address must be a multiple of.
    pub fn bytes(&self) -> u64 {
        self.kind.bytes() * u64::from(self.count)
    }
}

/// How an atomic changes what it finds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum AtomicOp {
    /// A pure function of what is found and the source.
    Compute(Compute),
    Exchange,
    CompareAndSwap,
    /// Up by one, to zero past the source.
    Increment,
    /// Down by one, to the source past zero.
    Decrement,
}

/// What a barrier of the block does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Barrier {
    /// Whether the thread waits (`bar.sync`) or goes on (`bar.arrive`).
    pub waits: bool,
    /// Whether the second source counts the threads that take part; else all of the block do.
    pub counted: bool,
    /// What is made of the predicates of all threads.
    pub reduction: Option<BarrierReduction>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum BarrierReduction {
    Count,
    And,
    Or,
}

/// What lanes of a warp do together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum WarpOp {
    /// `bar.warp.sync`.
    Sync,
    /// `shfl.sync`: value, lane or distance, clamp and segments.
    Shuffle(Shuffle),
    VoteAll,
    VoteAny,
    VoteUniform,
    VoteBallot,
    /// `match.any.sync` of so many bits.
    MatchAny(u32),
    MatchAll(u32),
    /// `redux.sync` with the operation given.
    Reduce(Compute),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Shuffle {
    Up,
    Down,
    Butterfly,
    Index,
}

/// What a register holds from the start.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Constant {
    Bits(u64),
    /// The address of a variable of the module, by its number, and what is added.
    Variable(u32, i64),
    /// An address in dynamic shared memory.
    Dynamic(i64),
    Special(Special),
}

/// Registers that the chip fills.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Special {
    Thread(u8),
    BlockSize(u8),
    Block(u8),
    GridSize(u8),
    Lane,
    Warp,
    Warps,
    MaskEq,
    MaskLe,
    MaskLt,
    MaskGe,
    MaskGt,
    DynamicShared,
    TotalShared,
}

/// A parameter of a kernel.
#[derive(Clone, Debug)]
pub(super) struct Param {
    pub name: String,
    pub offset: u64,
    pub bytes: u64,
}

/// A kernel, decoded.
#[derive(Clone, Debug, Default)]
pub(super) struct Program {
    pub name: String,
    pub code: Vec<Instruction>,
    pub sites: Vec<Site>,
    pub opcodes: Vec<String>,
    /// How many registers a thread has, constants included.
    pub registers: u32,
    pub constants: Vec<(Reg, Constant)>,
    pub params: Vec<Param>,
    /// Bytes of parameters: the kernel's, then those of device functions.
    pub param_bytes: u64,
    /// Bytes of static shared memory.
    pub shared_bytes: u64,
    pub local_bytes: u64,
    pub max_threads: Option<u64>,
}

/// Where parameters begin in their space: no pointer is zero.
pub(super) const PARAM_BASE: u64 = 0x100;
/// Where local memory begins.
pub(super) const LOCAL_BASE: u64 = 0x100;
/// Where shared memory begins; the chip keeps its first kilobyte to itself.
pub(super) const SHARED_BASE: u64 = 0x400;
/// What tells shared from other addresses in the generic space, and how far they reach.
pub(super) const SHARED_WINDOW: u64 = 0x7f00_0000_0000;
pub(super) const LOCAL_WINDOW: u64 = 0x7e00_0000_0000;
pub(super) const PARAM_WINDOW: u64 = 0x7d00_0000_0000;
pub(super) const WINDOW: u64 = 1 << 32;

/// The space of a generic address, and the address in it.
pub(super) fn resolve(address: u64) -> (Space, u64) {
    for (space, base) in
        [(Space::Shared, SHARED_WINDOW), (Space::Local, LOCAL_WINDOW), (Space::Param, PARAM_WINDOW)]
    {
        if (base..base + WINDOW).contains(&address) {
            return (space, address - base);
        }
    }
    (Space::Global, address)
}

/// What is added to an address of a space to make it generic.
pub(super) fn window(space: Space) -> u64 {
    match space {
        Space::Shared => SHARED_WINDOW,
        Space::Local => LOCAL_WINDOW,
        Space::Param => PARAM_WINDOW,
        Space::Generic | Space::Global | Space::Const => 0,
    }
}
