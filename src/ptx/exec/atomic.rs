//! Atomic changes of memory.

use super::super::eval::Compute;
use super::super::eval::float::FloatOp;
use super::super::eval::integer::cut;
use super::super::fault::{FaultKind, Step, Trouble};
use super::super::program::{Access, AtomicOp, Instruction};
use super::super::shadow::Touch;
use super::access::Place;
use super::machine::Machine;
use super::warp::{Warp, lanes};

impl Machine<'_> {
    pub(super) fn atomic(
        &mut self,
        warp: &mut Warp,
        i: &Instruction,
        access: Access,
        op: AtomicOp,
        mask: u32,
    ) -> Step<()> {
        self.demand(warp, &i.s[..1], mask, "takes as an address")?;
        self.demand(warp, &i.s[1..], mask, "changes memory by")?;
        let bytes = access.bytes();
        let is_sum = matches!(
            op,
            AtomicOp::Compute(
                Compute::F32(FloatOp::Add, _)
                    | Compute::F64(FloatOp::Add, _)
                    | Compute::Half(FloatOp::Add, ..)
            )
        );
        for lane in lanes(mask) {
            let thread = warp.thread(lane);
            if is_sum && self.options.forbid_float_atomics {
                let detail = "the order of these sums depends on the schedule".into();
                return Err(Trouble::new(FaultKind::FloatAtomic, thread, detail));
            }
            self.statistics.atomics += 1;
            self.statistics.float_atomics += u64::from(is_sum);
            let place = self.place(warp, access, i.s[0], lane)?;
            self.touch(warp, 1 << lane, place, bytes, Touch::Atomic)?;
            if let Place::Global(index, offset) = place {
                self.announce(self.memory.regions[index].base + offset);
            }
            let (region, offset) = match place {
                Place::Global(index, offset) => (&mut self.memory.regions[index], offset),
                Place::Shared(offset) => (&mut self.shared, offset),
                Place::Local(_) | Place::Param(_) => {
                    let detail = "changes memory atomically that is its own".into();
                    return Err(Trouble::new(FaultKind::Unsupported, thread, detail));
                }
            };
            if let Some(gap) = region.unwritten(offset, bytes) {
                let detail = format!("changes byte {gap} of `{}`, which nobody wrote", region.name);
                return Err(Trouble::new(FaultKind::UnwrittenMemory, thread, detail));
            }
            let old = region.load(offset, bytes);
            let source = cut(warp.get(i.s[1], lane), access.kind.bits());
            let new = match op {
                AtomicOp::Compute(compute) => {
                    compute.eval(&[old, source, 0, 0], self.options.approximation)
                }
                AtomicOp::Exchange => source,
                AtomicOp::CompareAndSwap if old == source => warp.get(i.s[2], lane),
                AtomicOp::CompareAndSwap => old,
                AtomicOp::Increment => {
                    if old >= source {
                        0
                    } else {
                        old + 1
                    }
                }
                AtomicOp::Decrement => {
                    if old == 0 || old > source {
                        source
                    } else {
                        old - 1
                    }
                }
            };
            region.store(offset, bytes, new);
            if let Some(&d) = i.d.first() {
                warp.set(d, lane, old);
            }
        }
        Ok(())
    }
    /// An atomic at an address: the block counts on what others announced there before, and
    /// announces its own work if it ran a fence. This is coarse, a block at a time: it spares
    /// right kernels (“the last block sums up”) and may spare some wrong ones.
    fn announce(&mut self, address: u64) {
        let block = self.number + 1;
        let released = self.released.entry(address).or_default();
        self.order.acquired.extend(released.iter());
        if self.order.fenced {
            released.extend(self.order.acquired.iter());
            released.insert(block);
        }
    }
}
