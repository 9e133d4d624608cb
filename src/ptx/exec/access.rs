//! Loads and stores: where an address leads, and whether it may be touched.

use super::super::eval::wide::Row;
use super::super::fault::{FaultKind, Step, Trouble};
use super::super::program::{Access, Instruction, LOCAL_BASE, PARAM_BASE, Reg, resolve};
use super::super::shadow::{Touch, Who};
use super::super::statistics::Traffic;
use super::super::types::Space;
use super::machine::Machine;
use super::warp::{Cause, Warp, lanes};

/// Where an access goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// A region of global memory by its number, and the offset in it.
    Global(usize, u64),
    Shared(u64),
    Local(u64),
    Param(u64),
}

/// Numbers, at most one of each lane.
#[derive(Default)]
struct List {
    values: Row,
    count: usize,
}

impl List {
    fn push(&mut self, value: u64) {
        self.values[self.count] = value;
        self.count += 1;
    }

    fn all(&mut self) -> &mut [u64] {
        &mut self.values[..self.count]
    }
}

/// What a warp asked of memory at once: sectors of global memory, offsets of shared memory.
#[derive(Default)]
struct Asked {
    sectors: List,
    shared: List,
}

/// How many different numbers there are; they are sorted.
fn different(values: &mut [u64]) -> u64 {
    if !values.is_sorted() {
        values.sort_unstable();
    }
    u64::from(!values.is_empty())
        + values.windows(2).filter(|pair| pair[0] != pair[1]).count() as u64
}

/// How often the lanes of a group must wait for each other: the passes beyond the first that their bank
/// of most different words takes.
fn conflicts(offsets: &mut [u64]) -> u64 {
    let mut banks = [0_u64; 32];
    offsets.iter_mut().for_each(|offset| *offset /= 4);
    if !offsets.is_sorted() {
        offsets.sort_unstable();
    }
    let mut last = None;
    for &word in &*offsets {
        if last.replace(word) != Some(word) {
            banks[(word % 32) as usize] += 1;
        }
    }
    banks.into_iter().max().unwrap_or(0).saturating_sub(1)
}

impl Machine<'_> {
    /// The place of a lane's access, if it may be there.
    pub(super) fn place(
        &mut self,
        warp: &Warp,
        access: Access,
        base: Reg,
        lane: u32,
    ) -> Step<Place> {
        let address = warp.get(base, lane).wrapping_add_signed(access.offset);
        let (space, address) = match access.space {
            Space::Generic => resolve(address),
            Space::Global | Space::Const => (Space::Global, address),
            space => (space, address & 0xffff_ffff),
        };
        let bytes = access.bytes();
        let thread = warp.thread(lane);
        let outside = |what: String| Trouble::new(FaultKind::OutOfBounds, thread, what);
        let within = |base: u64, size: u64, name: &str| {
            let offset = address.wrapping_sub(base);
            if offset.checked_add(bytes).is_some_and(|end| end <= size) {
                return Ok(offset);
            }
            let offset = offset as u32 as i32;
            let what =
                format!("{bytes} bytes at offset {offset} of {name} memory, which has {size}");
            Err(outside(format!("touches {what} bytes")))
        };
        let place = match space {
            Space::Shared => Place::Shared(within(self.shared.base, self.shared.size(), "shared")?),
            Space::Local => Place::Local(within(LOCAL_BASE, warp.local.size, "local")?),
            Space::Param => Place::Param(within(PARAM_BASE, warp.params.size, "parameter")?),
            _ => match self.memory.find_near(self.near, address, bytes) {
                Some((region, offset)) => {
                    self.near = region;
                    Place::Global(region, offset)
                }
                None if address < 1 << 16 => {
                    return Err(outside(format!("touches address {address:#x}, a null pointer")));
                }
                None => {
                    let where_ = self.memory.whereabouts(address, bytes);
                    return Err(outside(format!("touches {where_}")));
                }
            },
        };
        if address % bytes != 0 {
            let over = address % bytes;
            let detail = format!(
                "touches {bytes} bytes at an address that is {over} past a multiple of {bytes}"
            );
            return Err(Trouble::new(FaultKind::Misaligned, thread, detail));
        }
        Ok(place)
    }

    /// Records a touch of shared or global memory.
    pub(super) fn touch(
        &mut self,
        warp: &Warp,
        lane: u32,
        place: Place,
        bytes: u64,
        touch: Touch,
    ) -> Step<()> {
        let (at, thread) = (warp.at, warp.thread(lane));
        let who = Who { block: self.number + 1, thread, at, order: &self.order };
        let (conflict, place) = match place {
            Place::Global(index, offset) => {
                let region = &mut self.memory.regions[index];
                if region.read_only {
                    if touch == Touch::Read {
                        return Ok(());
                    }
                    let detail = format!("{} `{}`, which is constant", touch.name(), region.name);
                    return Err(Trouble::new(FaultKind::ReadOnly, thread, detail));
                }
                let size = region.size();
                match region.shadow.touch(size, offset, bytes, touch, who) {
                    Ok(()) => return Ok(()),
                    Err(conflict) => (conflict, format!("offset {offset} of `{}`", region.name)),
                }
            }
            Place::Shared(offset) => {
                let size = self.shared.size();
                match self.shared.shadow.touch(size, offset, bytes, touch, who) {
                    Ok(()) => return Ok(()),
                    Err(conflict) => (conflict, format!("offset {offset} of shared memory")),
                }
            }
            Place::Local(_) | Place::Param(_) => return Ok(()),
        };
        Err(self.race(thread, touch.name(), &place, conflict))
    }

    pub(super) fn load(
        &mut self,
        warp: &mut Warp,
        i: &Instruction,
        access: Access,
        mask: u32,
    ) -> Step<()> {
        self.demand(warp, &i.s[..1], mask, "takes as an address")?;
        let (bytes, each) = (access.bytes(), access.kind.bytes());
        let mut asked = Asked::default();
        for lane in lanes(mask) {
            let place = self.place(warp, access, i.s[0], lane)?;
            self.touch(warp, lane, place, bytes, Touch::Read)?;
            self.count(place, bytes, false, &mut asked);
            let base = warp.get(i.s[0], lane).wrapping_add_signed(access.offset);
            for (k, &d) in (0..).zip(&i.d) {
                let more = k * each;
                let (value, space) = match place {
                    Place::Global(index, offset) => {
                        let region = &self.memory.regions[index];
                        if let Some(gap) = region.unwritten(offset + more, each) {
                            let detail = format!(
                                "reads byte {gap} of `{}`, which nobody wrote",
                                region.name
                            );
                            let thread = warp.thread(lane);
                            return Err(Trouble::new(FaultKind::UnwrittenMemory, thread, detail));
                        }
                        (Some(region.load(offset + more, each)), "global")
                    }
                    Place::Shared(offset) => {
                        let known = self.shared.unwritten(offset + more, each).is_none();
                        (known.then(|| self.shared.load(offset + more, each)), "shared")
                    }
                    Place::Local(offset) => (warp.local.load(lane, offset + more, each), "local"),
                    Place::Param(offset) => {
                        (warp.params.load(lane, offset + more, each), "parameter")
                    }
                };
                match value {
                    // Narrow signed values fill their wider register with the sign.
                    Some(value) if access.kind.is_signed() => {
                        let unused = 64 - access.kind.bits();
                        warp.set(d, lane, ((value << unused) as i64 >> unused) as u64);
                    }
                    Some(value) => warp.set(d, lane, value),
                    // The compiler may read what it then does not use; the use is the fault.
                    None => warp.spoil(d, lane, (Cause::Memory(space, base + more), warp.at)),
                }
            }
        }
        self.measure(bytes, asked);
        Ok(())
    }

    pub(super) fn store(
        &mut self,
        warp: &mut Warp,
        i: &Instruction,
        access: Access,
        mask: u32,
    ) -> Step<()> {
        self.demand(warp, &i.s[..1], mask, "takes as an address")?;
        let (bytes, each) = (access.bytes(), access.kind.bytes());
        let mut asked = Asked::default();
        for lane in lanes(mask) {
            let place = self.place(warp, access, i.s[0], lane)?;
            if let Place::Global(..) | Place::Shared(_) = place {
                self.demand(warp, &i.s[1..], 1 << lane, "stores")?;
            }
            self.touch(warp, lane, place, bytes, Touch::Write)?;
            self.count(place, bytes, true, &mut asked);
            for (k, &s) in (0..).zip(&i.s[1..]) {
                let (more, value) = (k * each, warp.get(s, lane));
                match place {
                    Place::Global(index, offset) => {
                        self.memory.regions[index].store(offset + more, each, value);
                    }
                    Place::Shared(offset) => self.shared.store(offset + more, each, value),
                    Place::Local(offset) => {
                        let value = warp.holds(s, lane).then_some(value);
                        warp.local.store(lane, offset + more, each, value);
                    }
                    Place::Param(offset) => {
                        let value = warp.holds(s, lane).then_some(value);
                        warp.params.store(lane, offset + more, each, value);
                    }
                }
            }
        }
        self.measure(bytes, asked);
        Ok(())
    }

    fn count(&mut self, place: Place, bytes: u64, is_store: bool, asked: &mut Asked) {
        let add = |traffic: &mut Traffic| {
            if is_store {
                traffic.stores += 1;
                traffic.stored += bytes;
            } else {
                traffic.loads += 1;
                traffic.loaded += bytes;
            }
        };
        match place {
            Place::Global(index, offset) => {
                let region = &mut self.memory.regions[index];
                add(&mut self.statistics.global);
                add(&mut region.traffic);
                asked.sectors.push((region.base + offset) / 32);
            }
            Place::Shared(offset) => {
                add(&mut self.statistics.shared);
                asked.shared.push(offset);
            }
            Place::Local(_) | Place::Param(_) => {}
        }
    }

    /// Counts the sectors and the conflicts of banks of one access of a warp.
    fn measure(&mut self, bytes: u64, mut asked: Asked) {
        if asked.sectors.count > 0 {
            self.statistics.sectors += different(asked.sectors.all()) * bytes.div_ceil(32);
        }
        // Wide accesses go in groups of lanes that ask for 128 bytes together.
        let group = (128 / bytes.max(4)).max(1) as usize;
        for part in asked.shared.all().chunks_mut(group) {
            self.statistics.bank_conflicts += conflicts(part);
        }
    }
}
