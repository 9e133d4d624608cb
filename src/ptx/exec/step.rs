//! One instruction of one warp.

use super::super::eval::wide::{self, NOTHING, Row};
use super::super::eval::{Compute, ComputePair};
use super::super::fault::{FaultKind, Step, Trouble};
use super::super::program::{Copy, Instruction, Op, PARAM_BASE, resolve, window};
use super::machine::Machine;
use super::warp::{Called, Warp, lanes};

/// What became of a warp after a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Pause {
    /// It can go on.
    None,
    /// Lanes arrived at a barrier, or exited: barriers may be complete now.
    Arrival,
}

/// No device function calls deeper.
const DEEPEST: usize = 256;

impl Machine<'_> {
    /// Runs the next instruction of a warp that is ready.
    pub fn step(&mut self, warp: &mut Warp) -> Step<Pause> {
        if warp.active == 0 && !warp.pick() {
            return Ok(Pause::None);
        }
        let program = self.program;
        let Some(instruction) = program.code.get(warp.at as usize) else {
            let first = warp.thread(warp.active.trailing_zeros());
            return Err(Trouble::new(FaultKind::Unsupported, first, "ran off the program".into()));
        };
        let active = warp.active;
        let mut mask = active;
        if let Some((guard, negated)) = instruction.guard {
            self.demand(warp, &[guard], active, "decides by")?;
            let holds = warp.truth(guard);
            mask &= if negated { !holds } else { holds };
        }
        if let Some(opcode) = instruction.opcode {
            let count = u64::from(mask.count_ones());
            self.counts[opcode as usize] += count;
            self.statistics.issued += 1;
            // A turn that no lane takes must count too, or a loop of those never ends.
            *self.spent += count.max(1);
            if *self.spent > self.options.limit {
                let first = warp.thread(active.trailing_zeros());
                let detail = format!("ran {} instructions and has not ended", self.options.limit);
                return Err(Trouble::new(FaultKind::Limit, first, detail));
            }
        }
        self.execute(warp, instruction, mask)
    }

    fn execute(&mut self, warp: &mut Warp, i: &Instruction, mask: u32) -> Step<Pause> {
        let next = warp.at + 1;
        match &i.op {
            Op::Compute(op) => self.compute(warp, i, mask, op),
            Op::Pair(op) => self.pair(warp, i, mask, op),
            Op::Pack(bits) => pack(warp, i, mask, *bits),
            Op::Unpack(bits) => unpack(warp, i, mask, *bits),
            Op::ToGeneric(space) => {
                map(warp, i, mask, |a| if a == 0 { 0 } else { a.wrapping_add(window(*space)) });
            }
            Op::FromGeneric(space) => {
                map(warp, i, mask, |a| if a == 0 { 0 } else { a.wrapping_sub(window(*space)) });
            }
            Op::IsSpace(space) => map(warp, i, mask, |a| u64::from(resolve(a).0 == *space)),
            Op::Load(access) => self.load(warp, i, *access, mask)?,
            Op::Store(access) => self.store(warp, i, *access, mask)?,
            Op::Atomic(access, op) => self.atomic(warp, i, *access, *op, mask)?,
            Op::ActiveMask => {
                for lane in lanes(mask) {
                    warp.set(i.d[0], lane, u64::from(warp.active));
                }
            }
            Op::Clock => {
                for lane in lanes(mask) {
                    warp.set(i.d[0], lane, self.statistics.issued);
                }
            }
            Op::Fence => self.order.fenced |= mask != 0,
            Op::Nothing => {}
            Op::Branch(target) => {
                branch(warp, mask, *target);
                return Ok(Pause::None);
            }
            Op::BranchIndexed(targets) => {
                self.demand(warp, &i.s, mask, "jumps by")?;
                let active = warp.active;
                for lane in lanes(mask) {
                    let index = warp.get(i.s[0], lane) as u32 as usize;
                    let Some(&target) = targets.get(index) else {
                        let detail = format!("jumps to entry {index} of {}", targets.len());
                        let thread = warp.thread(lane);
                        return Err(Trouble::new(FaultKind::OutOfBounds, thread, detail));
                    };
                    warp.pcs[lane as usize] = target;
                }
                warp.send(active & !mask, next);
                return Ok(Pause::None);
            }
            Op::Call { target, copies, .. } => {
                self.call(warp, mask, *target, copies)?;
                return Ok(Pause::None);
            }
            Op::Return => {
                self.returns(warp, mask);
                return Ok(Pause::None);
            }
            Op::Exit => {
                let others = warp.active & !mask;
                warp.send(others, next);
                warp.alive &= !mask;
                self.settle_warp(warp)?;
                return Ok(Pause::Arrival);
            }
            Op::Trap => {
                if let Some(lane) = lanes(mask).next() {
                    let detail = "stopped itself, by `trap` or a failed assertion".into();
                    return Err(Trouble::new(FaultKind::Trap, warp.thread(lane), detail));
                }
            }
            Op::Warp(op) => {
                self.warp_op(warp, i, *op, mask)?;
                return Ok(Pause::None);
            }
            Op::Barrier(barrier) => {
                let others = warp.active & !mask;
                self.arrive(warp, i, *barrier, mask)?;
                warp.send(others, next);
                return Ok(Pause::Arrival);
            }
        }
        warp.go(next);
        Ok(Pause::None)
    }

    fn call(&mut self, warp: &mut Warp, mask: u32, target: u32, copies: &[Copy]) -> Step<()> {
        let (at, others) = (warp.at, warp.active & !mask);
        for lane in lanes(mask) {
            let calls = &mut warp.calls[lane as usize];
            // A function has one place for its variables: it cannot be on its way twice.
            if calls.len() >= DEEPEST || calls.iter().any(|call| call.target == target) {
                let detail = "calls a function that has not returned: recursion".into();
                return Err(Trouble::new(FaultKind::Unsupported, warp.thread(lane), detail));
            }
            calls.push(Called { at, target });
            for copy in copies {
                let (from, to) = (copy.from - PARAM_BASE, copy.to - PARAM_BASE);
                warp.params.copy(lane, from, to, copy.bytes);
            }
        }
        warp.send(mask, target);
        warp.send(others, at + 1);
        Ok(())
    }

    fn returns(&mut self, warp: &mut Warp, mask: u32) {
        let (at, others) = (warp.at, warp.active & !mask);
        for lane in lanes(mask) {
            let Some(call) = warp.calls[lane as usize].pop() else {
                continue;
            };
            if let Op::Call { returns, .. } = &self.program.code[call.at as usize].op {
                for copy in returns {
                    let (from, to) = (copy.from - PARAM_BASE, copy.to - PARAM_BASE);
                    warp.params.copy(lane, from, to, copy.bytes);
                }
            }
            warp.pcs[lane as usize] = call.at + 1;
        }
        warp.send(others, at + 1);
    }
}

/// Sends the lanes of a mask to a target, the others on.
fn branch(warp: &mut Warp, mask: u32, target: u32) {
    let (active, next) = (warp.active, warp.at + 1);
    if mask == active {
        warp.go(target);
    } else if mask == 0 {
        warp.go(next);
    } else {
        warp.send(mask, target);
        warp.send(active & !mask, next);
    }
}

/// The sources of a lane; an instruction has at most four.
fn gather(warp: &Warp, i: &Instruction, lane: u32) -> [u64; 4] {
    let mut s = [0; 4];
    for (value, &reg) in s.iter_mut().zip(&i.s) {
        *value = warp.get(reg, lane);
    }
    s
}

/// The sources of all lanes.
fn rows<'a>(warp: &'a Warp, i: &Instruction) -> [&'a Row; 4] {
    let mut s = [&NOTHING; 4];
    for (row, &reg) in s.iter_mut().zip(&i.s) {
        *row = &warp.registers[reg as usize];
    }
    s
}

impl Machine<'_> {
    fn compute(&self, warp: &mut Warp, i: &Instruction, mask: u32, op: &Compute) {
        let mut missing = warp.missing(&i.s, mask);
        if missing != 0 && matches!(op, Compute::Select(_)) {
            // What is not selected may lack a value.
            for lane in lanes(missing) {
                let chosen = if warp.get(i.s[2], lane) != 0 { i.s[0] } else { i.s[1] };
                if warp.holds(i.s[2], lane) && warp.holds(chosen, lane) {
                    missing &= !(1 << lane);
                }
            }
        }
        if missing != 0 {
            warp.spoil_from(&i.d, &i.s, missing);
        }
        let mask = mask & !missing;
        if let Some(values) = wide::eval(self.arch, op, &rows(warp, i)) {
            warp.put(i.d[0], mask, &values);
            return;
        }
        for lane in lanes(mask) {
            let value = op.eval(&gather(warp, i, lane), self.options.approximation);
            warp.set(i.d[0], lane, value);
        }
    }

    fn pair(&self, warp: &mut Warp, i: &Instruction, mask: u32, op: &ComputePair) {
        let missing = warp.missing(&i.s, mask);
        if missing != 0 {
            warp.spoil_from(&i.d, &i.s, missing);
        }
        let mask = mask & !missing;
        if let (ComputePair::Compare(compare), [d]) = (op, &*i.d)
            && let Some(values) = wide::compare(self.arch, compare, &rows(warp, i))
        {
            warp.put(*d, mask, &values);
            return;
        }
        for lane in lanes(mask) {
            let (first, second) = op.eval(&gather(warp, i, lane));
            warp.set(i.d[0], lane, first);
            if let Some(&reg) = i.d.get(1) {
                warp.set(reg, lane, second);
            }
        }
    }
}

fn map(warp: &mut Warp, i: &Instruction, mask: u32, f: impl Fn(u64) -> u64) {
    let missing = warp.missing(&i.s, mask);
    warp.spoil_from(&i.d, &i.s, missing);
    for lane in lanes(mask & !missing) {
        let value = f(warp.get(i.s[0], lane));
        warp.set(i.d[0], lane, value);
    }
}

fn pack(warp: &mut Warp, i: &Instruction, mask: u32, bits: u32) {
    let missing = warp.missing(&i.s, mask);
    warp.spoil_from(&i.d, &i.s, missing);
    for lane in lanes(mask & !missing) {
        let part = |reg| warp.get(reg, lane) & (u64::MAX >> (64 - bits));
        let value = i.s.iter().rev().fold(0, |value, &reg| (value << bits) | part(reg));
        warp.set(i.d[0], lane, value);
    }
}

fn unpack(warp: &mut Warp, i: &Instruction, mask: u32, bits: u32) {
    let missing = warp.missing(&i.s, mask);
    warp.spoil_from(&i.d, &i.s, missing);
    for lane in lanes(mask & !missing) {
        let mut value = warp.get(i.s[0], lane);
        for &reg in &i.d {
            warp.set(reg, lane, value & (u64::MAX >> (64 - bits)));
            value >>= bits;
        }
    }
}
