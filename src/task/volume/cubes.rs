//! Cubes of patches in a volume, and which of them are trained on.
//!
//! A cube has cube³ patches of patch³ voxels each; cubes lie a patch apart, wholly inside a slab of the
//! volume. Along its longest axis the middle fifth is held out. A gap of a cube's edge on either side
//! of it belongs to neither part: no voxel of a training cube is in a held-out one, or next to one.

use std::ops::Range;

/// The lattice of cubes of a volume.
#[derive(Debug, Clone, Copy)]
pub(super) struct Cubes {
    /// Voxels along each axis, the first varying fastest.
    pub dims: [usize; 3],
    /// Voxels along the edge of a patch.
    pub patch: usize,
    /// Patches along the edge of a cube.
    pub cube: usize,
}

impl Cubes {
    /// Voxels along the edge of a cube.
    pub fn edge(&self) -> usize {
        self.patch * self.cube
    }

    /// The axis along which the volume is cut.
    fn axis(&self) -> usize {
        (0..3).rev().max_by_key(|&axis| self.dims[axis]).unwrap_or(0)
    }

    /// Along that axis, the voxels before the held-out part, of it, and behind it.
    fn slabs(&self) -> [Range<usize>; 3] {
        let (length, gap) = (self.dims[self.axis()], self.edge());
        let (first, last) = (2 * length / 5, 3 * length / 5);
        let behind = (last + gap).min(length);
        [0..first.saturating_sub(gap), first..last, behind..length]
    }

    /// The ranges of voxels of a slab along each axis.
    fn box_of(&self, slab: Range<usize>) -> [Range<usize>; 3] {
        let mut ranges = self.dims.map(|length| 0..length);
        ranges[self.axis()] = slab;
        ranges
    }

    /// Every voxel that training may see.
    pub fn training_voxels(&self) -> impl Iterator<Item = usize> + Clone {
        let [before, _, behind] = self.slabs();
        [before, behind].into_iter().flat_map(move |slab| self.every(self.box_of(slab), 1))
    }

    /// The first voxels of the training cubes.
    pub fn training(&self) -> impl Iterator<Item = usize> {
        let [before, _, behind] = self.slabs();
        [before, behind].into_iter().flat_map(move |slab| self.inside(slab))
    }

    /// The first voxels of the held-out cubes.
    pub fn held_out(&self) -> impl Iterator<Item = usize> {
        let [_, slab, _] = self.slabs();
        self.inside(slab)
    }

    /// The first voxels of the cubes that lie wholly inside a slab.
    fn inside(&self, slab: Range<usize>) -> impl Iterator<Item = usize> {
        let last = |range: Range<usize>| range.start..(range.end + 1).saturating_sub(self.edge());
        self.every(self.box_of(slab).map(last), self.patch)
    }

    /// Every so-many-th voxel of a box along each axis, the first axis varying fastest.
    fn every(
        &self,
        [x, y, z]: [Range<usize>; 3],
        step: usize,
    ) -> impl Iterator<Item = usize> + Clone {
        let ([columns, rows, _], rest) = (self.dims, (x, y));
        z.step_by(step).flat_map(move |k| {
            let (x, y) = rest.clone();
            y.step_by(step).flat_map(move |j| {
                x.clone().step_by(step).map(move |i| (k * rows + j) * columns + i)
            })
        })
    }

    /// Every so-many-th voxel along each axis of a box of some edge that begins at a voxel.
    fn from(&self, first: usize, edge: usize, step: usize) -> impl Iterator<Item = usize> {
        self.every([0..edge, 0..edge, 0..edge], step).map(move |offset| first + offset)
    }

    /// The first voxels of the patches of a cube, the first axis varying fastest.
    pub fn patches(&self, start: usize) -> impl Iterator<Item = usize> {
        self.from(start, self.edge(), self.patch)
    }

    /// The voxels of a patch, the first axis varying fastest.
    pub fn voxels(&self, first: usize) -> impl Iterator<Item = usize> {
        self.from(first, self.patch, 1)
    }

    /// The first voxel of the patch in the centre of a cube.
    pub fn centre(&self, start: usize) -> usize {
        let [columns, rows, _] = self.dims;
        start + self.cube / 2 * self.patch * (1 + columns + columns * rows)
    }

    /// The mean of a patch.
    pub fn mean(&self, values: &[f32], first: usize) -> f64 {
        let sum: f64 = self.voxels(first).map(|voxel| f64::from(values[voxel])).sum();
        sum / self.patch.pow(3) as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The voxels of some cubes, as places along the three axes.
    fn covered(cubes: &Cubes, starts: impl Iterator<Item = usize>) -> Vec<[usize; 3]> {
        let [columns, rows, _] = cubes.dims;
        let mut seen = vec![false; cubes.dims.iter().product()];
        for start in starts {
            for patch in cubes.patches(start) {
                cubes.voxels(patch).for_each(|voxel| seen[voxel] = true);
            }
        }
        let places = (0..seen.len()).filter(|&voxel| seen[voxel]);
        places.map(|v| [v % columns, v / columns % rows, v / columns / rows]).collect()
    }

    #[test]
    fn no_voxel_of_a_training_cube_is_within_a_cube_of_a_held_out_one() {
        for (dims, patch, cube, axis) in [
            ([60, 13, 14], 2, 3, 0),
            ([13, 61, 14], 2, 3, 1),
            ([9, 13, 70], 1, 5, 2),
            ([33, 33, 33], 2, 3, 0),
        ] {
            let cubes = Cubes { dims, patch, cube };
            let training = covered(&cubes, cubes.training());
            let held_out = covered(&cubes, cubes.held_out());
            assert!(!training.is_empty() && !held_out.is_empty(), "{cubes:?}");
            let near = |a: usize, b: usize| a.abs_diff(b) < cubes.edge();
            let held: std::collections::BTreeSet<usize> =
                held_out.iter().map(|at| at[axis]).collect();
            for at in training {
                assert!(held.iter().all(|&other| !near(at[axis], other)), "{cubes:?} {at:?}");
            }
        }
    }

    #[test]
    fn what_is_standardised_by_is_what_training_may_see() {
        let cubes = Cubes { dims: [40, 7, 9], patch: 1, cube: 3 };
        let seen: Vec<usize> = cubes.training_voxels().map(|voxel| voxel % 40).collect();
        assert!(covered(&cubes, cubes.held_out()).iter().all(|at| (16..24).contains(&at[0])));
        assert!(seen.iter().all(|x| !(13..27).contains(x)));
        assert_eq!(seen.len(), (13 + 13) * 7 * 9);
    }

    #[test]
    fn the_centre_is_the_middle_patch_in_order() {
        let cubes = Cubes { dims: [30, 31, 32], patch: 2, cube: 5 };
        let start = (4 * 31 + 3) * 30 + 7;
        let patches: Vec<usize> = cubes.patches(start).collect();
        assert_eq!(patches.len(), 125);
        assert_eq!(patches[62], cubes.centre(start));
        assert_eq!((patches[0], patches[1], patches[5]), (start, start + 2, start + 2 * 30));
    }
}
