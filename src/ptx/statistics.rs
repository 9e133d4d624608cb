//! What a run did, counted.

use std::collections::BTreeMap;

/// Traffic of one space of memory.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Traffic {
    /// Loads, one a thread.
    pub loads: u64,
    /// Stores, one a thread.
    pub stores: u64,
    /// Bytes loaded.
    pub loaded: u64,
    /// Bytes stored.
    pub stored: u64,
}

/// What a run did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Statistics {
    /// Thread-instructions by opcode, with all its qualifiers.
    pub instructions: BTreeMap<String, u64>,
    /// Traffic of global memory (atomics apart).
    pub global: Traffic,
    /// Traffic of shared memory (atomics apart).
    pub shared: Traffic,
    /// Traffic of global memory by buffer.
    pub buffers: BTreeMap<String, Traffic>,
    /// Sectors of 32 bytes that warps asked of global memory: 4 for 32 neighbouring singles.
    pub sectors: u64,
    /// Passes through shared memory beyond the first of each access, for lanes that want
    /// different words of one bank.
    pub bank_conflicts: u64,
    /// Atomic operations, one a thread.
    pub atomics: u64,
    /// Of these, sums of floats, whose value depends on the schedule.
    pub float_atomics: u64,
    /// Barriers of a block, one for all its threads.
    pub barriers: u64,
    /// Instructions issued, one for all lanes of a warp that ran it together.
    pub issued: u64,
}

impl Statistics {
    /// Thread-instructions of all opcodes.
    pub fn total(&self) -> u64 {
        self.instructions.values().sum()
    }

    /// Thread-instructions whose opcode begins so: `starting("fma")`.
    pub fn starting(&self, opcode: &str) -> u64 {
        self.instructions.iter().filter(|(name, _)| name.starts_with(opcode)).map(|(_, n)| n).sum()
    }
}
