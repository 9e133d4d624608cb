//! The sizes of a tensor.

use std::fmt::Debug;

/// The sizes of a row-major tensor of up to four axes.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Shape {
    rank: usize,
    sizes: [usize; 4],
}

impl Shape {
    /// A shape from its sizes, outermost first; `[]` is a scalar.
    pub fn new(sizes: &[usize]) -> Self {
        assert!(sizes.len() <= 4, "at most four axes, got {sizes:?}");
        let mut shape = Shape { rank: sizes.len(), sizes: [1; 4] };
        shape.sizes[..sizes.len()].copy_from_slice(sizes);
        shape
    }
    /// The shape of an absent optional argument: no elements.
    pub const ABSENT: Shape = Shape { rank: 1, sizes: [0, 1, 1, 1] };

    /// The sizes, outermost first.
    pub fn sizes(&self) -> &[usize] {
        &self.sizes[..self.rank]
    }
    /// Number of elements.
    pub fn len(&self) -> usize {
        self.sizes().iter().product()
    }
    /// True where there is no element, which marks an absent argument.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
    /// The size of the last axis (1 for a scalar): the length of a row.
    pub fn cols(&self) -> usize {
        self.sizes().last().copied().unwrap_or(1)
    }
    /// The number of rows: the product of all axes but the last.
    pub fn rows(&self) -> usize {
        self.sizes().split_last().map_or(1, |(_, rest)| rest.iter().product())
    }
    /// This shape with another last axis.
    pub fn with_cols(mut self, cols: usize) -> Self {
        assert!(self.rank > 0, "a scalar has no last axis");
        self.sizes[self.rank - 1] = cols;
        self
    }
}

impl Debug for Shape {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:?}", self.sizes())
    }
}
