//! A warp: the registers of 32 lanes, and where each of them is.
//!
//! Each lane has its own place in the program, as on chips since Volta. Lanes at one place run
//! together, and the group furthest behind runs first, so that groups meet again where their
//! ways join.

use std::collections::HashMap;

use super::super::eval::wide::Row;
use super::super::program::{Program, Reg};

/// Where a value that nobody wrote comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Cause {
    /// A register.
    Register,
    /// Memory: the space in words, and the address in it.
    Memory(&'static str, u64),
    /// A shuffle from this lane.
    Lane(u32),
}

/// What a lane waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wait {
    None,
    /// The lanes of this mask.
    Warp(u32),
    /// The barrier of this number.
    Block(u32),
}

/// A call that has not returned.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Called {
    /// The call itself.
    pub at: u32,
    /// The first instruction of what was called.
    pub target: u32,
}

/// Memory that each lane has for itself.
#[derive(Clone, Debug)]
pub(crate) struct Private {
    pub size: u64,
    data: Vec<u8>,
    written: Vec<bool>,
}

impl Private {
    fn new(size: u64) -> Self {
        let all = 32 * size as usize;
        Self { size, data: vec![0; all], written: vec![false; all] }
    }

    /// Forgets all but the first bytes, which all lanes find alike.
    fn reset(&mut self, first: &[u8]) {
        self.written.fill(false);
        for at in (0..self.data.len()).step_by(self.size.max(1) as usize) {
            self.data[at..at + first.len()].copy_from_slice(first);
            self.written[at..at + first.len()].fill(true);
        }
    }

    /// The place of an access that lies within the memory of a lane.
    fn place(&self, lane: u32, offset: u64, bytes: u64) -> std::ops::Range<usize> {
        let at = (u64::from(lane) * self.size + offset) as usize;
        at..at + bytes as usize
    }

    /// The value, if all of it was written.
    pub fn load(&self, lane: u32, offset: u64, bytes: u64) -> Option<u64> {
        let place = self.place(lane, offset, bytes);
        let written = self.written[place.clone()].iter().all(|&written| written);
        let fold = |value, &byte: &u8| (value << 8) | u64::from(byte);
        written.then(|| self.data[place].iter().rev().fold(0, fold))
    }

    /// Stores a value, or the lack of one.
    pub fn store(&mut self, lane: u32, offset: u64, bytes: u64, value: Option<u64>) {
        let place = self.place(lane, offset, bytes);
        self.written[place.clone()].fill(value.is_some());
        if let Some(value) = value {
            self.data[place].copy_from_slice(&value.to_le_bytes()[..bytes as usize]);
        }
    }

    /// Copies bytes within the memory of a lane, written or not.
    pub fn copy(&mut self, lane: u32, from: u64, to: u64, bytes: u64) {
        for i in 0..bytes {
            let value = self.load(lane, from + i, 1);
            self.store(lane, to + i, 1, value);
        }
    }
}

/// A warp.
#[derive(Clone, Debug)]
pub(crate) struct Warp {
    /// Its number in the block.
    pub index: u32,
    /// Lanes that have a thread.
    pub existing: u32,
    /// Lanes that have not exited.
    pub alive: u32,
    /// Lanes that wait.
    pub waiting: u32,
    pub waits: [Wait; 32],
    /// Where each lane is; of the lanes that run, `at` says it.
    pub pcs: [u32; 32],
    /// The lanes that run now, where, and where the next group waits to be met.
    pub active: u32,
    pub at: u32,
    pub horizon: u32,
    pub registers: Vec<Row>,
    /// Of each register, the lanes that hold a value.
    pub written: Vec<u32>,
    causes: HashMap<(Reg, u32), (Cause, u32)>,
    pub calls: Vec<Vec<Called>>,
    pub local: Private,
    pub params: Private,
}

/// The numbers of the lanes in a mask.
pub(crate) fn lanes(mut mask: u32) -> impl Iterator<Item = u32> {
    std::iter::from_fn(move || {
        let lane = mask.trailing_zeros();
        mask &= mask.wrapping_sub(1);
        (lane < 32).then_some(lane)
    })
}

impl Warp {
    pub fn new(index: u32, threads: u32, program: &Program) -> Self {
        let existing = if threads >= 32 { u32::MAX } else { (1 << threads) - 1 };
        Self {
            index,
            existing,
            alive: existing,
            waiting: 0,
            waits: [Wait::None; 32],
            pcs: [0; 32],
            active: 0,
            at: 0,
            horizon: 0,
            registers: vec![[0; 32]; program.registers as usize],
            written: vec![0; program.registers as usize],
            causes: HashMap::new(),
            calls: vec![Vec::new(); 32],
            local: Private::new(program.local_bytes),
            params: Private::new(program.param_bytes),
        }
    }

    /// Brings all lanes to the start, with the parameters of the kernel and nothing else. Registers keep
    /// what they hold, for nobody can see it: none of it counts as written.
    pub fn restart(&mut self, args: &[u8]) {
        self.alive = self.existing;
        (self.waiting, self.active, self.at, self.horizon) = (0, 0, 0, 0);
        (self.waits, self.pcs) = ([Wait::None; 32], [0; 32]);
        self.written.fill(0);
        self.causes.clear();
        self.calls.iter_mut().for_each(Vec::clear);
        self.local.reset(&[]);
        self.params.reset(args);
    }

    /// Whether any lane could run.
    pub fn is_ready(&self) -> bool {
        self.alive & !self.waiting != 0
    }

    /// The linear number of a lane's thread in its block.
    pub fn thread(&self, lane: u32) -> u32 {
        self.index * 32 + lane
    }

    /// Chooses the lanes that run next; false if none can.
    pub fn pick(&mut self) -> bool {
        let ready = self.alive & !self.waiting;
        if ready == 0 {
            return false;
        }
        (self.at, self.horizon, self.active) = (u32::MAX, u32::MAX, 0);
        for lane in lanes(ready) {
            let pc = self.pcs[lane as usize];
            if pc < self.at {
                self.horizon = self.at;
                self.at = pc;
                self.active = 1 << lane;
            } else if pc == self.at {
                self.active |= 1 << lane;
            } else {
                self.horizon = self.horizon.min(pc);
            }
        }
        true
    }

    /// Sends the running lanes of a mask somewhere; whoever runs next is to be picked.
    pub fn send(&mut self, mask: u32, pc: u32) {
        for lane in lanes(mask) {
            self.pcs[lane as usize] = pc;
        }
        self.active = 0;
    }

    /// Sends all running lanes somewhere together.
    pub fn go(&mut self, pc: u32) {
        if pc < self.horizon {
            self.at = pc;
        } else {
            self.send(self.active, pc);
        }
    }

    pub fn get(&self, reg: Reg, lane: u32) -> u64 {
        self.registers[reg as usize][lane as usize]
    }

    /// The lanes in which a truth value holds, whether it is written or not.
    pub fn truth(&self, reg: Reg) -> u32 {
        let bits = (0..).zip(&self.registers[reg as usize]);
        bits.fold(0, |all, (lane, &value)| all | u32::from(value != 0) << lane)
    }

    /// Writes a value.
    pub fn set(&mut self, reg: Reg, lane: u32, value: u64) {
        self.registers[reg as usize][lane as usize] = value;
        self.written[reg as usize] |= 1 << lane;
    }

    /// Writes the values of the lanes of a mask.
    pub fn put(&mut self, reg: Reg, mask: u32, values: &Row) {
        let row = &mut self.registers[reg as usize];
        if mask == u32::MAX {
            *row = *values;
        } else {
            for (lane, (to, &value)) in row.iter_mut().zip(values).enumerate() {
                *to = if mask >> lane & 1 == 1 { value } else { *to };
            }
        }
        self.written[reg as usize] |= mask;
    }

    /// Whether a lane of a register holds a value.
    pub fn holds(&self, reg: Reg, lane: u32) -> bool {
        self.written[reg as usize] >> lane & 1 == 1
    }

    /// Writes the lack of a value, and where it comes from.
    pub fn spoil(&mut self, reg: Reg, lane: u32, cause: (Cause, u32)) {
        self.written[reg as usize] &= !(1 << lane);
        self.causes.insert((reg, lane), cause);
    }

    /// Where the lack of a value comes from: the cause, and the instruction.
    pub fn cause(&self, reg: Reg, lane: u32) -> (Cause, u32) {
        self.causes.get(&(reg, lane)).cloned().unwrap_or((Cause::Register, u32::MAX))
    }

    /// The lanes of a mask that lack a value in any of the registers.
    pub fn missing(&self, sources: &[Reg], mask: u32) -> u32 {
        sources.iter().fold(0, |missing, &reg| missing | (mask & !self.written[reg as usize]))
    }

    /// Hands the lack of a value on, from the first source that lacks one.
    pub fn spoil_from(&mut self, targets: &[Reg], sources: &[Reg], mask: u32) {
        for lane in lanes(mask) {
            let Some(&source) = sources.iter().find(|&&reg| !self.holds(reg, lane)) else {
                continue;
            };
            let cause = match self.cause(source, lane) {
                (cause, u32::MAX) => (cause, self.at),
                known => known,
            };
            for &target in targets {
                self.spoil(target, lane, cause.clone());
            }
        }
    }
}
