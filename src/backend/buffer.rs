//! Memory for the elements of a tensor.

use std::fmt;
use std::ops::{Deref, DerefMut};

use crate::num::Num;

/// Bytes of a line of the cache.
const LINE: usize = 64;
/// Buffers start in turn at so many places of a page.
const PLACES: usize = 8;

/// Zeros that start at a line of the cache, and not all at the same place of their page.
///
/// A vector that straddles two lines costs two accesses. And large buffers, each at the start of a
/// page, would compete for the same few places of the cache, since those go by the address within
/// the page.
#[derive(Clone, Default)]
pub struct Buffer<T> {
    data: Vec<T>,
    start: usize,
    len: usize,
}

/// Elements that a buffer takes beyond its length.
pub(super) const PADDING: usize = PLACES * LINE / size_of::<f32>();

impl<T: Num> Buffer<T> {
    /// `len` zeros; buffers that are used together should have different numbers.
    pub fn zeros(len: usize, number: usize) -> Self {
        let data = vec![T::zero(); len + PADDING];
        let line = LINE / size_of::<T>();
        let start = data.as_ptr().align_offset(LINE).min(line) + number % (PLACES - 1) * line;
        Buffer { data, start, len }
    }
}

impl<T: Num> FromIterator<T> for Buffer<T> {
    fn from_iter<I: IntoIterator<Item = T>>(elements: I) -> Self {
        let elements: Vec<T> = elements.into_iter().collect();
        let mut buffer = Buffer::zeros(elements.len(), 0);
        buffer.copy_from_slice(&elements);
        buffer
    }
}

impl<T> Deref for Buffer<T> {
    type Target = [T];
    fn deref(&self) -> &[T] {
        &self.data[self.start..self.start + self.len]
    }
}

impl<T> DerefMut for Buffer<T> {
    fn deref_mut(&mut self) -> &mut [T] {
        &mut self.data[self.start..self.start + self.len]
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
        for number in 0..20 {
            let mut buffer = Buffer::<f32>::zeros(1000, number);
            assert_eq!((buffer.len(), buffer.as_ptr() as usize % LINE), (1000, 0));
            buffer.fill(1.0);
            let next = Buffer::<f32>::zeros(1000, number + 1);
            assert_ne!(buffer.start / 16, next.start / 16);
        }
        assert!(Buffer::<f64>::default().is_empty());
    }
}
