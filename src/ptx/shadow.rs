//! Who touched which byte, and whether anything orders them: the detector of races.
//!
//! Each cell of memory keeps its last writer, and the threads that read it, or changed it
//! atomically, since then. Cells are words of four bytes until something narrower is touched.
//! Every access is checked, whatever schedule ran, so a missing barrier is found even where the
//! schedule happened to give the right value.

use super::order::Order;

/// What a thread does to a byte.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Touch {
    Read,
    Write,
    Atomic,
}

impl Touch {
    pub fn name(self) -> &'static str {
        match self {
            Self::Read => "reads",
            Self::Write => "writes",
            Self::Atomic => "atomically changes",
        }
    }
}

/// Who touches: lanes of one warp, of which there is one if they write.
#[derive(Clone, Copy, Debug)]
pub(super) struct Who<'a> {
    /// The block, by its linear number.
    pub block: u32,
    /// The warp, by its number in the block.
    pub warp: u32,
    pub lanes: u32,
    /// The instruction.
    pub at: u32,
    pub order: &'a Order,
}

impl Who<'_> {
    /// Whether what the thread did at that time is ordered before what all of these do now.
    fn is_after(&self, other: u32, time: u32) -> bool {
        let mut lanes = self.lanes;
        while lanes != 0 {
            let thread = self.warp * 32 + lanes.trailing_zeros();
            if !self.order.is_ordered(thread, other, time) {
                return false;
            }
            lanes &= lanes - 1;
        }
        true
    }
}

/// The other party of a race.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Conflict {
    pub touch: Touch,
    pub block: u32,
    pub thread: u32,
    pub at: u32,
}

/// Lanes of one warp that did one thing at one time.
#[derive(Clone, Copy, Debug)]
struct Entry {
    touch: Touch,
    warp: u32,
    lanes: u32,
    time: u32,
    at: u32,
}

const NO_ENTRY: Entry = Entry { touch: Touch::Read, warp: 0, lanes: 0, time: 0, at: 0 };

#[derive(Clone, Copy, Debug)]
struct Cell {
    /// The launch (or, in shared memory, the block) that all of this is about.
    epoch: u32,
    /// The block that the fields below are about.
    block: u32,
    /// When it was last written; zero for never.
    time: u32,
    writer: u32,
    at: u32,
    /// One entry here, for most cells need no more; the rest in `more`, from one.
    entry: Entry,
    more: u32,
    /// Whether an entry may be of an atomic change: nothing else stands against a read.
    atomic: bool,
    /// What earlier blocks did, in `earlier`, from one.
    earlier: u32,
}

const UNTOUCHED: Cell = Cell {
    epoch: 0,
    block: 0,
    time: 0,
    writer: 0,
    at: 0,
    entry: NO_ENTRY,
    more: 0,
    atomic: false,
    earlier: 0,
};

/// One of the earlier blocks that touched a cell, for each kind of touch: the first.
/// Where a block acquired what the first did, others after it go unseen.
type Earlier = [Option<Conflict>; 3];

/// The record of one region of memory.
#[derive(Clone, Debug, Default)]
pub(super) struct Shadow {
    /// Cells are two to this power bytes.
    shift: u32,
    /// What cells of another epoch say is forgotten.
    epoch: u32,
    cells: Vec<Cell>,
    more: Vec<Vec<Entry>>,
    earlier: Vec<Earlier>,
}

impl Shadow {
    /// Forgets everything: a new launch, ordered after all before it.
    pub fn clear(&mut self) {
        self.epoch = self.epoch.wrapping_add(1);
        self.more.clear();
        self.earlier.clear();
    }

    /// Records a touch of `bytes` bytes at `offset` of a region of `size` bytes.
    pub fn touch(
        &mut self,
        size: u64,
        offset: u64,
        bytes: u64,
        touch: Touch,
        who: Who<'_>,
    ) -> Result<(), Conflict> {
        if self.cells.is_empty() {
            self.shift = 2;
            self.cells = vec![UNTOUCHED; size.div_ceil(4) as usize];
        }
        let fine = (offset | bytes).trailing_zeros().min(2);
        while self.shift > fine {
            self.refine();
        }
        let first = (offset >> self.shift) as usize;
        let count = (bytes >> self.shift) as usize;
        for index in first..first + count {
            self.cell(index, touch, who)?;
        }
        Ok(())
    }

    /// Halves the cells.
    fn refine(&mut self) {
        self.shift -= 1;
        let mut cells = Vec::with_capacity(self.cells.len() * 2);
        for cell in &self.cells {
            if cell.epoch != self.epoch {
                cells.extend([UNTOUCHED; 2]);
                continue;
            }
            cells.push(*cell);
            let mut twin = *cell;
            if cell.more != 0 {
                self.more.push(self.more[cell.more as usize - 1].clone());
                twin.more = self.more.len() as u32;
            }
            if cell.earlier != 0 {
                self.earlier.push(self.earlier[cell.earlier as usize - 1]);
                twin.earlier = self.earlier.len() as u32;
            }
            cells.push(twin);
        }
        self.cells = cells;
    }

    fn cell(&mut self, index: usize, touch: Touch, who: Who<'_>) -> Result<(), Conflict> {
        let cell = &mut self.cells[index];
        if cell.epoch != self.epoch {
            *cell = Cell { epoch: self.epoch, block: who.block, ..UNTOUCHED };
        } else if cell.block != who.block {
            self.retire(index, who.block);
        }
        let cell = &self.cells[index];
        if cell.earlier != 0 {
            for other in self.earlier[cell.earlier as usize - 1].iter().flatten() {
                if clashes(touch, other.touch) && !who.order.acquired.contains(&other.block) {
                    return Err(*other);
                }
            }
        }
        if cell.time != 0
            && cell.time >= who.order.last_barrier()
            && !who.is_after(cell.writer, cell.time)
        {
            let (block, thread, at) = (who.block, cell.writer, cell.at);
            return Err(Conflict { touch: Touch::Write, block, thread, at });
        }
        if touch != Touch::Read || cell.atomic {
            check(&cell.entry, touch, who)?;
            if cell.more != 0 {
                for entry in &self.more[cell.more as usize - 1] {
                    check(entry, touch, who)?;
                }
            }
        }
        if touch == Touch::Write {
            let cell = &mut self.cells[index];
            cell.time = who.order.now();
            cell.writer = who.warp * 32 + who.lanes.trailing_zeros();
            cell.at = who.at;
            cell.entry.lanes = 0;
            cell.atomic = false;
            if cell.more != 0 {
                self.more[cell.more as usize - 1].clear();
            }
            return Ok(());
        }
        self.note(index, touch, who);
        Ok(())
    }

    /// Adds a read or an atomic change to what a cell keeps.
    fn note(&mut self, index: usize, touch: Touch, who: Who<'_>) {
        let cell = &mut self.cells[index];
        cell.atomic |= touch == Touch::Atomic;
        let (warp, lanes) = (who.warp, who.lanes);
        let now = who.order.now();
        let fresh = Entry { touch, warp, lanes, time: now, at: who.at };
        let head = &mut cell.entry;
        let alone = cell.more == 0 || self.more[cell.more as usize - 1].is_empty();
        if alone {
            // Entries before the last barrier are ordered before all that can come.
            if head.lanes & !lanes == 0 && head.warp == warp && head.touch == touch
                || head.lanes == 0
                || head.time < who.order.last_barrier()
            {
                *head = fresh;
                return;
            }
            if head.warp == warp && head.time == now && head.touch == touch {
                head.lanes |= lanes;
                head.at = who.at;
                return;
            }
        }
        if cell.more == 0 {
            self.more.push(Vec::new());
            cell.more = self.more.len() as u32;
        }
        let more = &mut self.more[cell.more as usize - 1];
        let (mut joined, mut emptied) = (false, false);
        for entry in more.iter_mut().chain([head]) {
            if entry.warp == warp && entry.touch == touch {
                if entry.time == now && !joined {
                    entry.lanes |= lanes;
                    entry.at = who.at;
                    joined = true;
                } else {
                    // The later touch of a lane stands for its earlier ones.
                    entry.lanes &= !lanes;
                    emptied |= entry.lanes == 0;
                }
            }
        }
        if !joined || emptied {
            let barrier = who.order.last_barrier();
            more.retain(|entry| entry.lanes != 0 && entry.time >= barrier);
        }
        if !joined {
            more.push(fresh);
        }
    }

    /// Another block begins to touch the cell: what is known moves to the earlier blocks.
    fn retire(&mut self, index: usize, block: u32) {
        let cell = &mut self.cells[index];
        let mut found: Earlier = [None; 3];
        if cell.time != 0 {
            let (thread, at) = (cell.writer, cell.at);
            found[0] = Some(Conflict { touch: Touch::Write, block: cell.block, thread, at });
        }
        let more = match cell.more {
            0 => &[][..],
            more => &self.more[more as usize - 1],
        };
        for entry in more.iter().chain([&cell.entry]).filter(|entry| entry.lanes != 0) {
            let thread = entry.warp * 32 + entry.lanes.trailing_zeros();
            let (touch, at) = (entry.touch, entry.at);
            found[1 + usize::from(touch == Touch::Atomic)] =
                Some(Conflict { touch, block: cell.block, thread, at });
        }
        if found.iter().any(Option::is_some) {
            if cell.earlier == 0 {
                self.earlier.push([None; 3]);
                cell.earlier = self.earlier.len() as u32;
            }
            let earlier = &mut self.earlier[cell.earlier as usize - 1];
            for (old, new) in earlier.iter_mut().zip(found) {
                *old = old.or(new);
            }
        }
        if cell.more != 0 {
            self.more[cell.more as usize - 1].clear();
        }
        let (more, earlier) = (cell.more, cell.earlier);
        *cell = Cell { epoch: self.epoch, block, more, earlier, ..UNTOUCHED };
    }
}

/// Whether two touches of different threads need an order.
fn clashes(one: Touch, other: Touch) -> bool {
    one != other || one == Touch::Write
}

fn check(entry: &Entry, touch: Touch, who: Who<'_>) -> Result<(), Conflict> {
    if entry.lanes == 0 || !clashes(touch, entry.touch) || entry.time < who.order.last_barrier() {
        return Ok(());
    }
    let mut lanes = entry.lanes;
    while lanes != 0 {
        let thread = entry.warp * 32 + lanes.trailing_zeros();
        if !who.is_after(thread, entry.time) {
            return Err(Conflict { touch: entry.touch, block: who.block, thread, at: entry.at });
        }
        lanes &= lanes - 1;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn who(block: u32, thread: u32, order: &Order) -> Who<'_> {
        Who { block, warp: thread / 32, lanes: 1 << (thread % 32), at: 0, order }
    }

    #[test]
    fn halves_of_a_word_are_no_race_and_the_same_half_is() {
        let order = Order::new(64);
        let mut shadow = Shadow::default();
        let mut write = |offset, thread| {
            shadow.touch(64, offset, 2, Touch::Write, who(1, thread, &order)).is_ok()
        };
        assert!(write(0, 0));
        assert!(write(2, 1));
        assert!(!write(2, 2));
    }

    #[test]
    fn a_write_must_be_ordered_after_every_reader() {
        let mut order = Order::new(96);
        let mut shadow = Shadow::default();
        for thread in [70, 1, 2] {
            assert!(shadow.touch(4, 0, 4, Touch::Read, who(1, thread, &order)).is_ok());
        }
        order.warp(0, u32::MAX, true);
        let conflict = shadow.touch(4, 0, 4, Touch::Write, who(1, 1, &order));
        assert_eq!(conflict.map_err(|c| c.thread), Err(70));
        order.barrier();
        assert!(shadow.touch(4, 0, 4, Touch::Write, who(1, 1, &order)).is_ok());
    }

    #[test]
    fn lanes_that_read_as_one_must_all_be_ordered() {
        let mut order = Order::new(32);
        let mut shadow = Shadow::default();
        assert!(shadow.touch(4, 0, 4, Touch::Write, who(1, 0, &order)).is_ok());
        order.warp(0, 0b11, false);
        let mut read =
            |lanes| shadow.touch(4, 0, 4, Touch::Read, Who { lanes, ..who(1, 0, &order) }).is_ok();
        assert!(read(0b11));
        assert!(!read(0b110));
    }

    #[test]
    fn a_new_launch_knows_nothing_of_the_one_before_it() {
        let order = Order::new(96);
        let mut shadow = Shadow::default();
        for thread in [0, 40, 80] {
            assert!(shadow.touch(4, 0, 4, Touch::Read, who(1, thread, &order)).is_ok());
        }
        shadow.clear();
        assert!(shadow.touch(4, 0, 2, Touch::Write, who(1, 1, &order)).is_ok());
        assert!(shadow.touch(4, 0, 4, Touch::Write, who(1, 2, &order)).is_err());
    }

    #[test]
    fn blocks_are_never_ordered_but_atomics_agree() {
        let order = Order::new(32);
        let mut shadow = Shadow::default();
        assert!(shadow.touch(4, 0, 4, Touch::Atomic, who(1, 0, &order)).is_ok());
        assert!(shadow.touch(4, 0, 4, Touch::Atomic, who(2, 0, &order)).is_ok());
        let conflict = shadow.touch(4, 0, 4, Touch::Read, who(3, 0, &order));
        assert_eq!(conflict.map_err(|c| c.block), Err(1));
    }
}
