//! What the interpreter reports: one fault, and where it happened.

use std::fmt;

/// What kind of mistake a fault is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum FaultKind {
    /// An access outside every buffer, or outside shared or local memory.
    OutOfBounds,
    /// An address that is no multiple of the width of the access.
    Misaligned,
    /// A value was used that was read from memory nobody had written.
    UnwrittenMemory,
    /// A value was used that came from a register nobody had written.
    UnwrittenRegister,
    /// A value was used that a shuffle read from a lane that took no part in it.
    InactiveLane,
    /// Two threads touch one byte, one of them writes, and nothing orders them.
    Race,
    /// Threads wait at a barrier that others can never reach.
    Barrier,
    /// Lanes wait in a warp-level instruction for lanes that can never reach it.
    WarpSync,
    /// A lane runs a warp-level instruction whose mask does not name that lane.
    LaneOutsideMask,
    /// A mask names a lane that has exited or never was (with [`strict_masks`]).
    ///
    /// [`strict_masks`]: super::Options::strict_masks
    ExitedLane,
    /// An atomic sum of floats: its value depends on the order of the threads.
    FloatAtomic,
    /// A write to memory that the kernel may only read.
    ReadOnly,
    /// The limit of instructions was reached: most likely an endless loop.
    Limit,
    /// The launch does not fit the kernel: arguments, sizes, an unknown name.
    Launch,
    /// The kernel ran into `trap`, or a failed assertion.
    Trap,
    /// The interpreter does not know how to do this.
    Unsupported,
}

impl FaultKind {
    /// The kind in words.
    pub fn name(self) -> &'static str {
        match self {
            Self::OutOfBounds => "out of bounds",
            Self::Misaligned => "misaligned access",
            Self::UnwrittenMemory => "unwritten memory",
            Self::UnwrittenRegister => "unwritten register",
            Self::InactiveLane => "shuffle from an absent lane",
            Self::Race => "race",
            Self::Barrier => "barrier not reached by all",
            Self::WarpSync => "warp instruction not reached by all",
            Self::LaneOutsideMask => "lane outside its mask",
            Self::ExitedLane => "exited lane in a mask",
            Self::FloatAtomic => "float atomic",
            Self::ReadOnly => "write to read-only memory",
            Self::Limit => "limit of instructions",
            Self::Launch => "bad launch",
            Self::Trap => "trap",
            Self::Unsupported => "unsupported",
        }
    }
}

/// A place in the program: the line of PTX, and of the source it came from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Site {
    /// The line of the PTX text, from one.
    pub line: usize,
    /// The instruction as written there.
    pub text: String,
    /// File and line of the source, where the PTX has `.loc`.
    pub source: Option<(String, u32)>,
}

impl fmt::Display for Site {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some((file, line)) = &self.source {
            write!(f, "{file}:{line}, ")?;
        }
        write!(f, "PTX line {}: `{}`", self.line, self.text)
    }
}

/// One thread at one place: a party of a race.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Party {
    /// The block of the thread.
    pub block: [u32; 3],
    /// The thread in its block.
    pub thread: [u32; 3],
    /// Where it was.
    pub site: Site,
}

impl fmt::Display for Party {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "block {:?} thread {:?} at {}", self.block, self.thread, self.site)
    }
}

/// A mistake of a kernel (or of its launch), found while it ran.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// What kind of mistake.
    pub kind: FaultKind,
    /// The kernel that ran, empty outside of one.
    pub kernel: String,
    /// Who made it, and where; `None` for the launch itself.
    pub party: Option<Box<Party>>,
    /// What exactly, in words.
    pub detail: String,
    /// The other party of a race, or the place an unwritten value comes from.
    pub other: Option<Box<Party>>,
}

impl Fault {
    /// A fault outside of any thread.
    pub(super) fn plain(kind: FaultKind, kernel: &str, detail: String) -> Self {
        Self { kind, kernel: kernel.to_string(), party: None, detail, other: None }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.kind.name())?;
        if !self.kernel.is_empty() {
            write!(f, " in {}", self.kernel)?;
        }
        if let Some(party) = &self.party {
            write!(f, ", {party}")?;
        }
        write!(f, ": {}", self.detail)?;
        match (&self.other, self.kind) {
            (None, _) => Ok(()),
            (Some(other), FaultKind::Race) => write!(f, "; the other is {other}"),
            (Some(other), _) => write!(f, "; it comes from {other}"),
        }
    }
}

impl std::error::Error for Fault {}

/// A fault on its way up: it knows its lane, and the block that runs it knows the rest.
#[derive(Debug)]
pub(super) struct Trouble {
    pub kind: FaultKind,
    pub detail: String,
    /// The thread in its block; `None` if the thread of the current lane is not to blame.
    pub thread: Option<u32>,
    /// Where the thread is, if not at the instruction that runs now.
    pub at: Option<u32>,
    /// The other party: linear block, linear thread, index of the instruction.
    pub other: Option<(u64, u32, u32)>,
}

/// A result of an inner step; boxed, for trouble is rare and results are many.
pub(super) type Step<T> = Result<T, Box<Trouble>>;

impl Trouble {
    /// Trouble of the thread given.
    pub fn new(kind: FaultKind, thread: u32, detail: String) -> Box<Self> {
        Box::new(Self { kind, detail, thread: Some(thread), at: None, other: None })
    }
}
