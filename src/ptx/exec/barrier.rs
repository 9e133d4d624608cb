//! Barriers of a block: who arrived, and when all go on.

use super::super::fault::{FaultKind, Step, Trouble};
use super::super::program::{Barrier, BarrierReduction, Instruction, Op};
use super::arrived::{Arrived, State};
use super::machine::Machine;
use super::warp::{Wait, Warp, lanes};

impl Machine<'_> {
    /// The lanes of a mask arrive at a barrier.
    pub(super) fn arrive(
        &mut self,
        warp: &mut Warp,
        i: &Instruction,
        kind: Barrier,
        mask: u32,
    ) -> Step<()> {
        self.demand(warp, &i.s, mask, "waits by")?;
        let at = warp.at;
        for lane in lanes(mask) {
            let thread = warp.thread(lane);
            let fail = |detail| Err(Trouble::new(FaultKind::Barrier, thread, detail));
            let number = warp.get(i.s[0], lane) as u32;
            let count = kind.counted.then(|| warp.get(i.s[1], lane) as u32);
            if count.is_some_and(|count| count == 0 || count % 32 != 0) {
                return fail(format!("counts {count:?} threads, which are no whole warps"));
            }
            let vote =
                kind.reduction.is_some() && i.s.last().is_some_and(|&reg| warp.get(reg, lane) != 0);
            let time = if kind.counted { self.order.arrive() } else { 0 };
            let Some(state) = self.barriers.get_mut(number as usize) else {
                return fail(format!("there is no barrier {number}"));
            };
            if !state.arrived.is_empty() && state.count != count {
                let detail = format!("barrier {number} is waited at for another count of threads");
                return fail(detail);
            }
            state.count = count;
            state.arrived.push(Arrived { thread, at, time, waits: kind.waits, vote });
            if kind.waits {
                warp.waits[lane as usize] = Wait::Block(number);
                warp.waiting |= 1 << lane;
                warp.pcs[lane as usize] = at;
            } else {
                warp.pcs[lane as usize] = at + 1;
            }
        }
        warp.active &= !mask;
        Ok(())
    }

    /// Lets go on whoever waits at a barrier that is complete.
    pub(super) fn settle(&mut self, warps: &mut [Warp]) -> Step<()> {
        let alive: u32 = warps.iter().map(|warp| warp.alive.count_ones()).sum();
        for number in 0..self.barriers.len() {
            let state = &self.barriers[number];
            let here = state.arrived.len() as u32;
            if here == 0 || here < state.count.unwrap_or(alive) {
                continue;
            }
            let state = std::mem::take(&mut self.barriers[number]);
            self.release(warps, &state)?;
        }
        Ok(())
    }

    fn release(&mut self, warps: &mut [Warp], state: &State) -> Step<()> {
        let first = state.arrived[0];
        if let (None, Some(other)) =
            (state.count, state.arrived.iter().find(|other| other.at != first.at))
        {
            let detail = "not all threads reach it: another thread waits at another barrier";
            return Err(Box::new(Trouble {
                kind: FaultKind::Barrier,
                detail: detail.into(),
                thread: Some(first.thread),
                at: Some(first.at),
                other: Some((u64::from(self.number), other.thread, other.at)),
            }));
        }
        self.statistics.barriers += 1;
        if state.count.is_none_or(|count| count == self.threads())
            && state.arrived.iter().all(|a| a.waits)
        {
            self.order.barrier();
        } else {
            let arrived: Vec<_> = state.arrived.iter().map(|a| (a.thread, a.time)).collect();
            let waited = state.arrived.iter().filter(|a| a.waits).map(|a| a.thread);
            self.order.barrier_of(&arrived, &waited.collect::<Vec<_>>());
        }
        let votes = state.arrived.iter().filter(|a| a.vote).count();
        for arrived in state.arrived.iter().filter(|a| a.waits) {
            let warp = &mut warps[(arrived.thread / 32) as usize];
            let lane = arrived.thread % 32;
            warp.waiting &= !(1 << lane);
            warp.waits[lane as usize] = Wait::None;
            warp.pcs[lane as usize] = arrived.at + 1;
            let instruction = &self.program.code[arrived.at as usize];
            if let (Op::Barrier(Barrier { reduction: Some(reduction), .. }), Some(&d)) =
                (&instruction.op, instruction.d.first())
            {
                let value = match reduction {
                    BarrierReduction::Count => votes as u64,
                    BarrierReduction::And => u64::from(votes == state.arrived.len()),
                    BarrierReduction::Or => u64::from(votes != 0),
                };
                warp.set(d, lane, value);
            }
        }
        Ok(())
    }

    /// Nobody can go on, and somebody waits: who, and for whom.
    pub(super) fn deadlock(&self, warps: &[Warp]) -> Box<Trouble> {
        let mut at_barrier = None;
        for warp in warps {
            for lane in lanes(warp.alive & warp.waiting) {
                let (pc, wait) = (warp.pcs[lane as usize], warp.waits[lane as usize]);
                let thread = warp.thread(lane);
                if let Wait::Warp(wanted) = wait {
                    return self.lonely(warp, thread, pc, wanted);
                }
                at_barrier = at_barrier.or(Some((thread, pc)));
            }
        }
        let (thread, at) = at_barrier.unwrap_or((0, 0));
        let waiting: u32 = warps.iter().map(|w| (w.alive & w.waiting).count_ones()).sum();
        let alive: u32 = warps.iter().map(|w| w.alive.count_ones()).sum();
        let gone = self.threads() - alive;
        let wanted = self.barriers.iter().find_map(|state| state.count);
        let wanted = wanted.map_or(String::new(), |count| format!(" for {count}"));
        let detail =
            format!("not all threads reach it: {waiting} threads wait{wanted}, {gone} have exited");
        let mut trouble = Trouble::new(FaultKind::Barrier, thread, detail);
        trouble.at = Some(at);
        trouble
    }

    fn lonely(&self, warp: &Warp, thread: u32, pc: u32, wanted: u32) -> Box<Trouble> {
        let here = lanes(warp.waiting)
            .filter(|&l| warp.pcs[l as usize] == pc && warp.waits[l as usize] == Wait::Warp(wanted))
            .fold(0, |all, l| all | 1 << l);
        let absent = wanted & warp.alive & !here;
        let list: Vec<String> = lanes(absent).map(|lane| lane.to_string()).collect();
        let list = list.join(", ");
        let detail = format!("mask {wanted:#010x} waits forever for lanes {list}");
        let mut trouble = Trouble::new(FaultKind::WarpSync, thread, detail);
        trouble.at = Some(pc);
        if let Some(lane) = lanes(absent).next() {
            trouble.other =
                Some((u64::from(self.number), warp.thread(lane), warp.pcs[lane as usize]));
        }
        trouble
    }
}
