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

/// The first lane of a mask, and those right behind it that hold the same in a register.
fn neighbours(warp: &Warp, reg: Reg, mask: u32) -> u32 {
    let (row, first) = (&warp.registers[reg as usize], mask.trailing_zeros());
    let same = |&lane: &u32| mask >> lane & 1 == 1 && row[lane as usize] == row[first as usize];
    (first..32).take_while(same).fold(0, |all, lane| all | 1 << lane)
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

    /// Records a touch of shared or global memory, of one lane or, if they read, of several.
    pub(super) fn touch(
        &mut self,
        warp: &Warp,
        touching: u32,
        place: Place,
        bytes: u64,
        touch: Touch,
    ) -> Step<()> {
        let (at, thread) = (warp.at, warp.thread(touching.trailing_zeros()));
        let who = Who {
            block: self.number + 1,
            warp: warp.index,
            lanes: touching,
            at,
            order: &self.order,
        };
        let (conflict, words) = match place {
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
        if touching.count_ones() > 1 {
            // Whose touch it is that nothing orders shows when each of them is alone.
            return lanes(touching)
                .try_for_each(|lane| self.touch(warp, 1 << lane, place, bytes, touch));
        }
        Err(self.race(thread, touch.name(), &words, conflict))
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
        let mut open = mask;
        while open != 0 {
            let lane = open.trailing_zeros();
            let place = self.place(warp, access, i.s[0], lane)?;
            let alike = match place {
                Place::Global(..) | Place::Shared(_) => neighbours(warp, i.s[0], open),
                Place::Local(_) | Place::Param(_) => 1 << lane,
            };
            open &= !alike;
            self.touch(warp, alike, place, bytes, Touch::Read)?;
            self.count(place, bytes, false, alike, &mut asked);
            let base = warp.get(i.s[0], lane).wrapping_add_signed(access.offset);
            for (k, &d) in (0..).zip(&i.d) {
                let (value, space) = self.read(warp, lane, place, k * each, each)?;
                for lane in lanes(alike) {
                    match value {
                        // Narrow signed values fill their wider register with the sign.
                        Some(value) if access.kind.is_signed() => {
                            let unused = 64 - access.kind.bits();
                            warp.set(d, lane, ((value << unused) as i64 >> unused) as u64);
                        }
                        Some(value) => warp.set(d, lane, value),
                        // The compiler may read what it then does not use; the use is the fault.
                        None => {
                            let cause = Cause::Memory(space, base + k * each);
                            warp.spoil(d, lane, (cause, warp.at));
                        }
                    }
                }
            }
        }
        self.measure(bytes, asked);
        Ok(())
    }

    /// A value some bytes behind a place, if it was written, and the name of its space.
    fn read(
        &self,
        warp: &Warp,
        lane: u32,
        place: Place,
        more: u64,
        bytes: u64,
    ) -> Step<(Option<u64>, &'static str)> {
        Ok(match place {
            Place::Global(index, offset) => {
                let region = &self.memory.regions[index];
                if let Some(gap) = region.unwritten(offset + more, bytes) {
                    let detail =
                        format!("reads byte {gap} of `{}`, which nobody wrote", region.name);
                    let thread = warp.thread(lane);
                    return Err(Trouble::new(FaultKind::UnwrittenMemory, thread, detail));
                }
                (Some(region.load(offset + more, bytes)), "global")
            }
            Place::Shared(offset) => {
                let known = self.shared.unwritten(offset + more, bytes).is_none();
                (known.then(|| self.shared.load(offset + more, bytes)), "shared")
            }
            Place::Local(offset) => (warp.local.load(lane, offset + more, bytes), "local"),
            Place::Param(offset) => (warp.params.load(lane, offset + more, bytes), "parameter"),
        })
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
            self.touch(warp, 1 << lane, place, bytes, Touch::Write)?;
            self.count(place, bytes, true, 1 << lane, &mut asked);
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

    fn count(&mut self, place: Place, bytes: u64, is_store: bool, lanes: u32, asked: &mut Asked) {
        let count = u64::from(lanes.count_ones());
        let add = |traffic: &mut Traffic| {
            if is_store {
                traffic.stores += count;
                traffic.stored += count * bytes;
            } else {
                traffic.loads += count;
                traffic.loaded += count * bytes;
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
                // Groups of lanes are counted by their places in the list.
                (0..count).for_each(|_| asked.shared.push(offset));
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
