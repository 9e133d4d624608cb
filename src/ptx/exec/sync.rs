//! Instructions that lanes of a warp do together: shuffles, votes, matches, reductions.

use super::super::fault::{FaultKind, Step, Trouble};
use super::super::options::Approximation;
use super::super::program::{Instruction, Op, Shuffle, WarpOp};
use super::machine::Machine;
use super::warp::{Cause, Wait, Warp, lanes};

impl Machine<'_> {
    /// Lanes arrive at an instruction with a mask; whoever is complete goes on.
    pub(super) fn warp_op(
        &mut self,
        warp: &mut Warp,
        i: &Instruction,
        op: WarpOp,
        mask: u32,
    ) -> Step<()> {
        let Some(&named) = i.s.last() else { return Ok(()) };
        self.demand(warp, &[named], mask, "waits for")?;
        let (at, others) = (warp.at, warp.active & !mask);
        let mut whole = true;
        for lane in lanes(mask) {
            let wanted = warp.get(named, lane) as u32;
            let thread = warp.thread(lane);
            if wanted >> lane & 1 == 0 {
                let detail = format!("lane {lane} is not in its own mask {wanted:#010x}");
                return Err(Trouble::new(FaultKind::LaneOutsideMask, thread, detail));
            }
            if self.options.strict_masks && wanted & !warp.alive != 0 {
                let gone = (wanted & !warp.alive).trailing_zeros();
                let what = if warp.existing >> gone & 1 == 1 { "has exited" } else { "never was" };
                let detail = format!("mask {wanted:#010x} names lane {gone}, which {what}");
                return Err(Trouble::new(FaultKind::ExitedLane, thread, detail));
            }
            warp.waits[lane as usize] = Wait::Warp(wanted);
            whole &= wanted & warp.alive == mask;
        }
        if whole && mask != 0 {
            // All that the mask names are here already.
            self.together(warp, i, op, mask)?;
            warp.go(at + 1);
            return Ok(());
        }
        warp.waiting |= mask;
        warp.send(mask, at);
        warp.send(others, at + 1);
        self.settle_warp(warp)
    }

    /// Lets go on whoever waited for lanes that are all there now, or have exited.
    pub(super) fn settle_warp(&mut self, warp: &mut Warp) -> Step<()> {
        let mut open = warp.waiting;
        while open != 0 {
            let lane = open.trailing_zeros() as usize;
            let (pc, wait) = (warp.pcs[lane], warp.waits[lane]);
            let alike = lanes(open)
                .filter(|&l| warp.pcs[l as usize] == pc && warp.waits[l as usize] == wait)
                .fold(0, |all, l| all | 1 << l);
            open &= !alike;
            let Wait::Warp(wanted) = wait else { continue };
            if alike != wanted & warp.alive {
                continue;
            }
            let instruction = &self.program.code[pc as usize];
            if let Op::Warp(op) = instruction.op {
                let at = std::mem::replace(&mut warp.at, pc);
                self.together(warp, instruction, op, alike)?;
                warp.at = at;
            }
            warp.waiting &= !alike;
            warp.send(alike, pc + 1);
        }
        Ok(())
    }

    /// The instruction itself, for all its lanes.
    fn together(&mut self, warp: &mut Warp, i: &Instruction, op: WarpOp, mask: u32) -> Step<()> {
        if op == WarpOp::Sync || self.options.shuffles_order_memory {
            self.order.warp(warp.index, mask, mask == warp.existing);
        }
        match op {
            WarpOp::Sync => {}
            WarpOp::Shuffle(way) => self.shuffle(warp, i, way, mask)?,
            WarpOp::VoteAll | WarpOp::VoteAny | WarpOp::VoteUniform | WarpOp::VoteBallot => {
                self.demand(warp, &i.s[..1], mask, "votes by")?;
                let votes = lanes(mask).filter(|&lane| warp.get(i.s[0], lane) != 0);
                let votes = votes.fold(0_u32, |all, lane| all | 1 << lane);
                let value = match op {
                    WarpOp::VoteAll => u64::from(votes == mask),
                    WarpOp::VoteAny => u64::from(votes != 0),
                    WarpOp::VoteUniform => u64::from(votes == mask || votes == 0),
                    _ => u64::from(votes),
                };
                for lane in lanes(mask) {
                    warp.set(i.d[0], lane, value);
                }
            }
            WarpOp::MatchAny(bits) | WarpOp::MatchAll(bits) => {
                self.demand(warp, &i.s[..1], mask, "compares")?;
                let mut values = [0; 32];
                for lane in lanes(mask) {
                    values[lane as usize] = warp.get(i.s[0], lane) & (u64::MAX >> (64 - bits));
                }
                let same = |lane: u32| {
                    let alike =
                        lanes(mask).filter(|&l| values[l as usize] == values[lane as usize]);
                    alike.fold(0_u32, |all, l| all | 1 << l)
                };
                for lane in lanes(mask) {
                    let alike = same(lane);
                    let all = matches!(op, WarpOp::MatchAll(_));
                    let value = if all && alike != mask { 0 } else { alike };
                    warp.set(i.d[0], lane, u64::from(value));
                    if let Some(&reg) = i.d.get(1) {
                        warp.set(reg, lane, u64::from(alike == mask));
                    }
                }
            }
            WarpOp::Reduce(compute) => {
                self.demand(warp, &i.s[..1], mask, "reduces")?;
                let first = mask.trailing_zeros();
                let join = |all, lane| {
                    compute.eval(&[all, warp.get(i.s[0], lane), 0, 0], Approximation::Exact)
                };
                let all = lanes(mask & !(1 << first)).fold(warp.get(i.s[0], first), join);
                for lane in lanes(mask) {
                    warp.set(i.d[0], lane, all);
                }
            }
        }
        Ok(())
    }

    fn shuffle(&self, warp: &mut Warp, i: &Instruction, way: Shuffle, mask: u32) -> Step<()> {
        self.demand(warp, &i.s[1..3], mask, "shuffles by")?;
        let mut results = [(0, 0, false); 32];
        for lane in lanes(mask) {
            let by = warp.get(i.s[1], lane) as u32 & 31;
            let control = warp.get(i.s[2], lane) as u32;
            let (clamp, segment) = (control & 31, control >> 8 & 31);
            let last = (lane & segment) | (clamp & !segment);
            let first = lane & segment;
            let (from, inside) = match way {
                Shuffle::Up => (lane.wrapping_sub(by), lane as i32 - by as i32 >= last as i32),
                Shuffle::Down => (lane + by, lane + by <= last),
                Shuffle::Butterfly => (lane ^ by, (lane ^ by) <= last),
                Shuffle::Index => {
                    let from = first | (by & !segment);
                    (from, from <= last)
                }
            };
            let from = if inside { from & 31 } else { lane };
            results[lane as usize] = (from, warp.get(i.s[0], from) & 0xffff_ffff, inside);
        }
        // A register may be source and target at once: what it held is kept above.
        let held = warp.written[i.s[0] as usize];
        let mut causes = Vec::new();
        for lane in lanes(mask) {
            let (from, _, _) = results[lane as usize];
            if mask >> from & 1 == 0 {
                causes.push((lane, (Cause::Lane(from), warp.at)));
            } else if held >> from & 1 == 0 {
                let cause = warp.cause(i.s[0], from);
                causes.push((lane, if cause.1 == u32::MAX { (cause.0, warp.at) } else { cause }));
            }
        }
        for lane in lanes(mask) {
            let (_, value, inside) = results[lane as usize];
            warp.set(i.d[0], lane, value);
            if let Some(&reg) = i.d.get(1) {
                warp.set(reg, lane, u64::from(inside));
            }
        }
        for (lane, cause) in causes {
            warp.spoil(i.d[0], lane, cause);
        }
        Ok(())
    }
}
