//! What all warps of a block work on.

use std::collections::{BTreeSet, HashMap};

use super::super::eval::wide::Row;
use super::super::fault::{FaultKind, Step, Trouble};
use super::super::memory::{Memory, Region};
use super::super::options::{Launch, Options};
use super::super::order::Order;
use super::super::program::{Constant, Program, Reg, SHARED_BASE, Special};
use super::super::shadow::Conflict;
use super::super::statistics::Statistics;
use super::arrived::State;
use super::warp::{Cause, Warp, lanes};

/// What a block runs on.
#[derive(Debug)]
pub(crate) struct Machine<'a> {
    pub program: &'a Program,
    pub launch: Launch,
    pub options: Options,
    /// The parameters of the kernel.
    pub args: &'a [u8],
    /// Addresses of the module's variables by their numbers.
    pub variables: &'a [u64],
    pub memory: &'a mut Memory,
    pub shared: Region,
    pub order: Order,
    pub barriers: [State; 16],
    pub statistics: &'a mut Statistics,
    /// Thread-instructions by the number of their opcode.
    pub counts: &'a mut [u64],
    /// Thread-instructions so far.
    pub spent: &'a mut u64,
    /// Blocks whose work was announced by an atomic at an address, after a fence.
    pub released: &'a mut HashMap<u64, BTreeSet<u32>>,
    /// The block: where it lies, and its linear number.
    pub block: [u32; 3],
    pub number: u32,
    /// The instruction set of the machine that this runs on.
    pub arch: pulp::Arch,
    /// The region of global memory that was touched last: the next touch is likely there too.
    pub near: usize,
}

/// The place of a linear number in a box.
pub(crate) fn unfold(number: u32, size: [u32; 3]) -> [u32; 3] {
    let [x, y, _] = size;
    [number % x, number / x % y, number / x / y]
}

impl Machine<'_> {
    /// Threads of a block.
    pub fn threads(&self) -> u32 {
        self.launch.block.iter().product()
    }

    /// The bytes of static shared memory, filled up to where dynamic memory begins.
    pub fn dynamic_base(program: &Program) -> u64 {
        SHARED_BASE + program.shared_bytes.next_multiple_of(16)
    }

    /// Fills the registers that hold constants.
    pub fn fill(&self, warp: &mut Warp) {
        for &(reg, constant) in &self.program.constants {
            let values = self.constant(constant, warp.index);
            warp.put(reg, u32::MAX, &values);
        }
    }

    fn constant(&self, constant: Constant, warp: u32) -> Row {
        let special = match constant {
            Constant::Bits(bits) => return [bits; 32],
            Constant::Variable(index, add) => {
                let base = self.variables.get(index as usize).copied().unwrap_or(0);
                return [base.wrapping_add_signed(add); 32];
            }
            Constant::Dynamic(add) => {
                return [Self::dynamic_base(self.program).wrapping_add_signed(add); 32];
            }
            Constant::Special(special) => special,
        };
        let each = |of: &dyn Fn(u32) -> u32| std::array::from_fn(|lane| u64::from(of(lane as u32)));
        let below = |lane: u32| (1_u32 << lane) - 1;
        let all = match special {
            Special::Thread(axis) => {
                let block = self.launch.block;
                return each(&|lane| unfold(warp * 32 + lane, block)[usize::from(axis)]);
            }
            Special::Lane => return each(&|lane| lane),
            Special::MaskEq => return each(&|lane| 1 << lane),
            Special::MaskLt => return each(&below),
            Special::MaskLe => return each(&|lane| below(lane) | 1 << lane),
            Special::MaskGe => return each(&|lane| !below(lane)),
            Special::MaskGt => return each(&|lane| !(below(lane) | 1 << lane)),
            Special::BlockSize(axis) => self.launch.block[usize::from(axis)],
            Special::Block(axis) => self.block[usize::from(axis)],
            Special::GridSize(axis) => self.launch.grid[usize::from(axis)],
            Special::Warp => warp,
            Special::Warps => self.threads().div_ceil(32),
            Special::DynamicShared => self.launch.shared,
            Special::TotalShared => self.shared.size() as u32,
        };
        [u64::from(all); 32]
    }

    /// Trouble, unless every lane of the mask holds a value.
    pub fn demand(&self, warp: &Warp, sources: &[Reg], mask: u32, use_: &str) -> Step<()> {
        if warp.missing(sources, mask) == 0 {
            return Ok(());
        }
        for lane in lanes(mask) {
            if let Some(&reg) = sources.iter().find(|&&reg| !warp.holds(reg, lane)) {
                return Err(self.lack(warp, reg, lane, use_));
            }
        }
        Ok(())
    }

    fn lack(&self, warp: &Warp, reg: Reg, lane: u32, use_: &str) -> Box<Trouble> {
        let (cause, origin) = warp.cause(reg, lane);
        let (kind, detail) = match cause {
            Cause::Register => {
                let what = format!("{use_} a value from a register that nobody wrote");
                (FaultKind::UnwrittenRegister, what)
            }
            Cause::Memory(space, address) => {
                let what = format!("{use_} what was read from {space} memory that nobody wrote");
                (FaultKind::UnwrittenMemory, format!("{what}, at address {address:#x}"))
            }
            Cause::Lane(from) => {
                let what = format!("{use_} what a shuffle read from lane {from}");
                (FaultKind::InactiveLane, format!("{what}, which took no part in it"))
            }
        };
        let mut trouble = Trouble::new(kind, warp.thread(lane), detail);
        if origin != u32::MAX && origin != warp.at {
            trouble.other = Some((u64::from(self.number), warp.thread(lane), origin));
        }
        trouble
    }

    /// A race in words.
    pub fn race(&self, thread: u32, doing: &str, place: &str, other: Conflict) -> Box<Trouble> {
        let between = if other.block == self.number + 1 {
            "with no barrier between them"
        } else {
            "and nothing orders blocks"
        };
        let what = other.touch.name();
        let detail = format!("{doing} {place} that another thread {what}, {between}");
        let mut trouble = Trouble::new(FaultKind::Race, thread, detail);
        trouble.other = Some((u64::from(other.block.saturating_sub(1)), other.thread, other.at));
        trouble
    }
}
