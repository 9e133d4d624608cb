//! What memory there is, and what this process has used of it.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

static LIVE: AtomicU64 = AtomicU64::new(0);
static PEAK: AtomicU64 = AtomicU64::new(0);
static CALLS: AtomicU64 = AtomicU64::new(0);

thread_local! {
    /// What this thread asked for less what it gave back. A constant that nobody drops: the
    /// allocator may use it, since it asks for no memory itself.
    static OWN: Cell<i64> = const { Cell::new(0) };
}

/// The system's allocator, counting. A binary that sets it as its global allocator can ask for
/// [`peak`].
#[derive(Debug, Clone, Copy)]
pub struct Counting;

fn grow(bytes: usize) {
    let live = LIVE.fetch_add(bytes as u64, Relaxed) + bytes as u64;
    PEAK.fetch_max(live, Relaxed);
    CALLS.fetch_add(1, Relaxed);
    OWN.set(OWN.get() + bytes as i64);
}

fn shrink(bytes: usize) {
    LIVE.fetch_sub(bytes as u64, Relaxed);
    OWN.set(OWN.get() - bytes as i64);
}

// SAFETY: every call is handed to the system's allocator unchanged; the counters allocate nothing.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        grow(layout.size());
        unsafe { System.alloc(layout) }
    }
    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        grow(layout.size());
        unsafe { System.alloc_zeroed(layout) }
    }
    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        shrink(layout.size());
        unsafe { System.dealloc(pointer, layout) }
    }
    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        shrink(layout.size());
        grow(size);
        unsafe { System.realloc(pointer, layout, size) }
    }
}

/// Starts the measurement of [`peak`] anew.
pub fn reset_peak() {
    PEAK.store(LIVE.load(Relaxed), Relaxed);
}

/// The most bytes that were allocated at once since [`reset_peak`]; 0 where nobody counts.
pub fn peak() -> u64 {
    PEAK.load(Relaxed)
}

/// The bytes that `work` asks for on this thread and does not give back, whatever other threads do
/// meanwhile; 0 where nobody counts.
pub fn kept(work: impl FnOnce()) -> u64 {
    let before = OWN.get();
    work();
    (OWN.get() - before).max(0) as u64
}

/// How often memory was asked for, by all threads; 0 where nobody counts.
pub fn allocations() -> u64 {
    CALLS.load(Relaxed)
}

/// Bytes of memory that are free, where the system says so.
pub fn available() -> Option<u64> {
    let text = std::fs::read_to_string("/proc/meminfo").ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("MemAvailable:"))?;
    let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kib * 1024)
}

/// The units, the larger before the smaller ones that divide them.
pub(crate) const UNITS: [(&str, u64); 7] = [
    ("GiB", 1 << 30),
    ("MiB", 1 << 20),
    ("KiB", 1 << 10),
    ("GB", 1_000_000_000),
    ("MB", 1_000_000),
    ("KB", 1_000),
    ("B", 1),
];

/// An amount for people, with one digit behind the point: 1.4 GiB.
pub fn amount(bytes: u64) -> String {
    let (unit, size) = UNITS[..3].iter().find(|unit| bytes >= unit.1).unwrap_or(&("B", 1));
    match size {
        1 => format!("{bytes} B"),
        _ => format!("{:.1} {unit}", bytes as f64 / *size as f64),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_thread_keeps_is_not_blurred_by_another() {
        const TAKEN: Layout = Layout::new::<[u64; 6]>();
        // SAFETY: the layout has a size; the memory is never read, and given back in its layout.
        let take = || unsafe { Counting.alloc(TAKEN) } as usize;
        let give = |taken: usize| unsafe { Counting.dealloc(taken as *mut u8, TAKEN) };
        let elsewhere = || std::thread::spawn(take).join().unwrap();

        let (mut here, mut there) = (0, 0);
        assert_eq!(kept(|| there = elsewhere()), 0, "another thread took it");
        assert_eq!(kept(|| here = take()), 48);
        let both = || {
            give(take());
            std::thread::spawn(move || give(there)).join().unwrap();
        };
        assert_eq!(kept(both), 0, "all was given back");
        give(here);
    }
}
