//! What happened before what, among the threads of a block.
//!
//! One clock ticks at every synchronisation of the block. An access keeps the time it was made
//! at; it is ordered before what a thread does now if that thread has `seen` a later time of
//! the other: by a barrier of the block, by a warp-level instruction with both lanes in its
//! mask, or by a barrier that only some threads take part in.

use std::collections::BTreeSet;

/// Times seen by each lane of a warp, of each other lane.
type Pairs = Box<[[u32; 32]; 32]>;

/// The order of one block.
#[derive(Debug)]
pub(super) struct Order {
    now: u32,
    /// The last barrier of the whole block.
    block: u32,
    /// The last instruction that ordered all lanes of a warp.
    warps: Vec<u32>,
    /// What lanes have seen of each other where a mask named only some.
    pairs: Vec<Option<Pairs>>,
    /// What threads have seen of each other by barriers of some: row of the one who sees.
    partial: Option<Vec<Vec<u32>>>,
    threads: u32,
    /// Whether a thread of the block ran a fence for the device.
    pub fenced: bool,
    /// Earlier blocks whose work this one may count on, by a fence and an atomic of theirs.
    pub acquired: BTreeSet<u32>,
}

impl Order {
    /// The order at the start of a block.
    pub fn new(threads: u32) -> Self {
        let warps = threads.div_ceil(32) as usize;
        Self {
            now: 1,
            block: 1,
            warps: vec![1; warps],
            pairs: vec![None; warps],
            partial: None,
            threads,
            fenced: false,
            acquired: BTreeSet::new(),
        }
    }

    /// The time of an access made now; never zero.
    pub fn now(&self) -> u32 {
        self.now
    }

    /// The last barrier of the whole block: all before it is ordered for everyone.
    pub fn last_barrier(&self) -> u32 {
        self.block
    }

    /// Whether what the other thread did at that time is ordered before what this one does now.
    pub fn is_ordered(&self, thread: u32, other: u32, time: u32) -> bool {
        thread == other || time < self.block || time < self.seen(thread, other)
    }

    fn seen(&self, thread: u32, other: u32) -> u32 {
        let mut seen = self.block;
        let warp = (thread / 32) as usize;
        if thread / 32 == other / 32 {
            seen = seen.max(self.warps[warp]);
            if let Some(pairs) = &self.pairs[warp] {
                seen = seen.max(pairs[(thread % 32) as usize][(other % 32) as usize]);
            }
        }
        match &self.partial {
            Some(rows) => seen.max(rows[thread as usize][other as usize]),
            None => seen,
        }
    }

    /// A barrier that all threads of the block took part in.
    pub fn barrier(&mut self) {
        self.now += 1;
        self.block = self.now;
    }

    /// A thread arrives at a barrier of some: what it did until now has this time or less.
    pub fn arrive(&mut self) -> u32 {
        self.now += 1;
        self.now
    }

    /// A barrier of some threads: who arrived, when, and who waited for the others.
    pub fn barrier_of(&mut self, arrived: &[(u32, u32)], waited: &[u32]) {
        let size = self.threads as usize;
        self.partial.get_or_insert_with(|| vec![vec![0; size]; size]);
        let mut row = self.joint_row(arrived.iter().map(|&(thread, _)| thread));
        for &(thread, time) in arrived {
            row[thread as usize] = row[thread as usize].max(time);
        }
        self.hand_out(&row, waited.iter().copied());
        self.now += 1;
    }

    /// A warp-level instruction of the lanes given; `whole` if they are all that the warp has.
    pub fn warp(&mut self, warp: u32, lanes: u32, whole: bool) {
        let members = move || (0..32).filter(move |lane| lanes >> lane & 1 == 1);
        self.now += 1;
        if self.partial.is_some() {
            let mut row = self.joint_row(members().map(|lane| warp * 32 + lane));
            for lane in members() {
                row[(warp * 32 + lane) as usize] = self.now;
            }
            self.hand_out(&row, members().map(|lane| warp * 32 + lane));
        }
        if whole {
            self.warps[warp as usize] = self.now;
            return;
        }
        let pairs = self.pairs[warp as usize].get_or_insert_with(|| Box::new([[0; 32]; 32]));
        let mut row = [0; 32];
        for lane in members() {
            for (all, &seen) in row.iter_mut().zip(&pairs[lane as usize]) {
                *all = seen.max(*all);
            }
        }
        for lane in members() {
            row[lane as usize] = self.now;
        }
        for lane in members() {
            pairs[lane as usize] = row;
        }
    }

    /// What any of the threads has seen, of each thread.
    fn joint_row(&self, members: impl Iterator<Item = u32>) -> Vec<u32> {
        let mut row = vec![0; self.threads as usize];
        for member in members {
            for (other, all) in (0..).zip(&mut row) {
                *all = self.seen(member, other).max(*all);
            }
        }
        row
    }

    fn hand_out(&mut self, row: &[u32], members: impl Iterator<Item = u32>) {
        if let Some(rows) = &mut self.partial {
            for member in members {
                rows[member as usize].copy_from_slice(row);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mask_orders_its_lanes_and_no_others() {
        let mut order = Order::new(64);
        let time = order.now();
        order.warp(0, 0b11, false);
        assert!(order.is_ordered(0, 1, time));
        assert!(!order.is_ordered(0, 2, time));
        assert!(!order.is_ordered(0, 33, time));
        order.warp(0, 0b110, false);
        assert!(order.is_ordered(2, 0, time), "through lane 1");
        order.barrier();
        assert!(order.is_ordered(0, 33, time));
    }

    #[test]
    fn a_barrier_of_some_orders_them_and_what_they_had_seen() {
        let mut order = Order::new(96);
        let time = order.now();
        order.warp(0, u32::MAX, true);
        let arrived = order.arrive();
        order.barrier_of(&[(0, arrived), (40, arrived)], &[40]);
        assert!(order.is_ordered(40, 0, time));
        assert!(order.is_ordered(40, 7, time), "seen by lane 0 before");
        assert!(!order.is_ordered(0, 40, time), "thread 0 did not wait");
        assert!(!order.is_ordered(80, 0, time));
    }
}
