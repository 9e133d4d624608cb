//! Memory for the elements of tensors.

use std::fmt;
use std::ops::{Deref, DerefMut};
use std::ptr::NonNull;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::num::Num;

/// Bytes of a cache line.
const LINE: usize = 64;
/// Buffers start in turn at so many different offsets within a page.
const PLACES: usize = 8;

/// Zeros that start at a cache line, and not all at the same offset within their page.
///
/// A vector that straddles two cache lines costs two accesses. Large buffers that all start at the
/// beginning of a page would map to the same sets of the cache (aliasing), since sets are chosen by
/// the address within the page. Buffers that are used together lie in one allocation, which the
/// system is asked to back with huge pages: a step touches more small pages than the TLB holds.
pub struct Buffer<T> {
    start: NonNull<T>,
    len: usize,
    /// Keeps the elements alive, and is asked for nothing else.
    _memory: Option<Arc<Memory<T>>>,
}

// SAFETY: a buffer is the only one to refer to its elements, as a `Vec` is.
unsafe impl<T: Send> Send for Buffer<T> {}
// SAFETY: as above.
unsafe impl<T: Sync> Sync for Buffer<T> {}

/// Elements that a buffer takes beyond its length.
pub(super) const PADDING: usize = PLACES * LINE / size_of::<f32>();

impl<T: Num> Buffer<T> {
    /// `len` zeros.
    pub fn zeros(len: usize) -> Self {
        Memory::zeros(len + PADDING).buffer(len, turns(1))
    }

    /// Zeros for several buffers, side by side in memory.
    pub fn several(lens: &[usize]) -> Vec<Self> {
        let mut memory = Memory::zeros(lens.iter().map(|len| len + PADDING).sum());
        (lens.iter().zip(turns(lens.len())..))
            .map(|(&len, turn)| memory.buffer(len, turn))
            .collect()
    }
}

/// The next `count` turns among the offsets within a page; returns the first.
fn turns(count: usize) -> usize {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    NEXT.fetch_add(count, Ordering::Relaxed)
}

/// Elements that buffers share out among them; none of them touches them through this.
struct Memory<T>(NonNull<[T]>);

// SAFETY: nothing but the last owner's drop touches the elements.
unsafe impl<T: Send> Send for Memory<T> {}
// SAFETY: as above.
unsafe impl<T: Send> Sync for Memory<T> {}

impl<T> Drop for Memory<T> {
    fn drop(&mut self) {
        // SAFETY: it came from a box, and no buffer is left that refers to it.
        drop(unsafe { Box::from_raw(self.0.as_ptr()) });
    }
}

/// What of a memory is not handed out yet.
struct Rest<T> {
    memory: Arc<Memory<T>>,
    used: usize,
}

impl<T: Num> Memory<T> {
    fn zeros(len: usize) -> Rest<T> {
        let elements = Box::leak(vec![T::zero(); len].into_boxed_slice());
        ask_for_huge_pages(elements);
        Rest { memory: Arc::new(Memory(elements.into())), used: 0 }
    }
}

impl<T> Rest<T> {
    /// The next `len` elements, from the line of this turn on of those that the padding has room for.
    fn buffer(&mut self, len: usize, turn: usize) -> Buffer<T> {
        let whole = self.memory.0;
        let line = LINE / size_of::<T>();
        assert!(self.used + len + PADDING <= whole.len(), "a buffer beyond its memory");
        // SAFETY: within the elements, as has just been seen.
        let first = unsafe { whole.cast::<T>().add(self.used) };
        self.used += len + PADDING;
        let skipped = first.as_ptr().align_offset(LINE).min(line) + turn % (PLACES - 1) * line;
        assert!(skipped <= PADDING);
        // SAFETY: what is skipped and the elements are no more than was taken off the rest.
        let start = unsafe { first.add(skipped) };
        Buffer { start, len, _memory: Some(self.memory.clone()) }
    }
}

/// Asks the system to hold memory in pages of 2 MiB, as far as whole ones lie within it.
fn ask_for_huge_pages<T>(memory: &mut [T]) {
    #[cfg(target_os = "linux")]
    {
        const HUGE: usize = 2 << 20;
        let (skipped, bytes) =
            (memory.as_ptr().cast::<u8>().align_offset(HUGE), size_of_val(memory));
        let whole = bytes.saturating_sub(skipped) / HUGE * HUGE;
        if whole > 0 {
            // SAFETY: these pages belong to the slice; the advice changes no element. Where it is
            // not taken, small pages do as well.
            unsafe {
                let start = memory.as_mut_ptr().cast::<u8>().add(skipped);
                libc::madvise(start.cast(), whole, libc::MADV_HUGEPAGE);
            }
        }
    }
    #[cfg(not(target_os = "linux"))]
    let _ = memory;
}

impl<T> Default for Buffer<T> {
    fn default() -> Self {
        Buffer { start: NonNull::dangling(), len: 0, _memory: None }
    }
}

impl<T: Num> FromIterator<T> for Buffer<T> {
    fn from_iter<I: IntoIterator<Item = T>>(elements: I) -> Self {
        let elements: Vec<T> = elements.into_iter().collect();
        let mut buffer = Buffer::zeros(elements.len());
        buffer.copy_from_slice(&elements);
        buffer
    }
}

impl<T> Deref for Buffer<T> {
    type Target = [T];
    fn deref(&self) -> &[T] {
        // SAFETY: its own elements, which live as long as the memory that it keeps.
        unsafe { NonNull::slice_from_raw_parts(self.start, self.len).as_ref() }
    }
}

impl<T> DerefMut for Buffer<T> {
    fn deref_mut(&mut self) -> &mut [T] {
        // SAFETY: as above; no other buffer has them.
        unsafe { NonNull::slice_from_raw_parts(self.start, self.len).as_mut() }
    }
}

impl<T> fmt::Debug for Buffer<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Buffer of {}", self.len)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buffers_start_at_lines_and_differ_within_the_page() {
        let place = |buffer: &Buffer<f32>| buffer.as_ptr() as usize % (PLACES * LINE);
        for _ in 0..20 {
            let mut buffer = Buffer::<f32>::zeros(1000);
            assert_eq!((buffer.len(), buffer.as_ptr() as usize % LINE), (1000, 0));
            buffer.fill(1.0);
        }
        let buffers = Buffer::<f32>::several(&[1024; 7]);
        for pair in buffers.windows(2) {
            assert_ne!(place(&pair[0]), place(&pair[1]));
        }
        assert!(Buffer::<f64>::default().is_empty());
    }

    #[test]
    fn neighbours_share_no_element_and_outlive_each_other() {
        let mut buffers = Buffer::<f64>::several(&[5, 0, 1 << 19, 7]);
        for (i, buffer) in buffers.iter_mut().enumerate() {
            assert!(buffer.iter().all(|&x| x == 0.0));
            buffer.fill(i as f64);
        }
        let last = buffers.pop().unwrap();
        assert!(buffers.iter().enumerate().all(|(i, b)| b.iter().all(|&x| x == i as f64)));
        drop(buffers);
        assert_eq!(*last, [3.0; 7]);
    }
}
