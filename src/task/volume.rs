//! The mean of one volume in the centre of a cube of patches of another: grey matter from a T1 image,
//! say.
//!
//! A sequence is a cube of cube³ patches of patch³ voxels each, both in the order of the file, the
//! first axis varying fastest; every place sees all others. What the stack says at the centre patch
//! is the mean of the target there. Numbers are standardised: the loss is the mean squared error in
//! units of the variance of the training targets, so that it is 1 less the share that is explained.
//!
//! References, on the held-out cubes: the mean of the training targets; ridge regression on the
//! voxels of the centre patch and the means of all patches, and on the histogram of the centre patch,
//! both of the samples that the run trains on; and, of the seeded blobs that are learned without
//! files, bayes = τ²/patch³ over that variance.

mod blobs;
mod cubes;
pub mod nifti;
mod otsu;
mod ridge;
mod samples;

use super::source::{self, Source};
use super::{Data, Task, Wanted};
use crate::choice::Described;
use crate::setting::{Invalid, Setting};
use crate::stack::{Ends, Front, Head};
use cubes::Cubes;
use nifti::Nifti;
use samples::{Samples, Unfit};

/// The longest edge of a patch: a place reads patch³ numbers.
const LARGEST_PATCH: usize = 8;
/// Edges of a cube in patches, with a patch in the centre.
const CUBES: [usize; 2] = [3, 5];
/// The name of the reference loss of the mean.
const BASELINE: &str = "mean";

/// Cubes of patches of the volume of `--volume`, or of seeded blobs.
#[derive(Debug, Clone, Copy)]
pub struct Volume {
    patch: usize,
    cube: usize,
}

impl Described for Volume {
    const ID: &'static str = "volume";
    const ABOUT: &'static str = "the mean of a NIfTI volume (--target FILE) in the centre of a cube of \
                                 cube³ patches of patch³ voxels of another (--volume FILE), or of \
                                 seeded blobs; bayes = τ²/patch³ over the variance";
    fn new() -> Self {
        Volume { patch: 4, cube: 3 }
    }
}

impl Task for Volume {
    crate::constants! { dyn Task; patch: Count, cube: Count }

    fn ends(&self) -> Ends {
        let places = self.cube.saturating_pow(3);
        Ends {
            front: Front::Patches { features: self.patch.saturating_pow(3) },
            head: Head::ValuesAt { place: places / 2, n: 1 },
        }
    }
    fn causal(&self) -> bool {
        false
    }
    fn baseline(&self) -> String {
        BASELINE.to_string()
    }
    fn reads(&self, field: &str) -> bool {
        ["volume", "target", "samples"].contains(&field)
    }
    fn seq(&self) -> Option<usize> {
        CUBES.contains(&self.cube).then(|| self.cube.pow(3))
    }
    fn allows(&self, wanted: &Wanted, _seq_given: bool) -> Result<(), Invalid> {
        let refuse = |allowed: String| Err(Invalid::new("task", wanted.task.show(), allowed));
        if self.patch > LARGEST_PATCH {
            return refuse(format!("volume with patch from 1 to {LARGEST_PATCH}"));
        }
        if !CUBES.contains(&self.cube) {
            return refuse("volume with cube 3 or 5, so that a patch is in its centre".to_string());
        }
        if wanted.seq != self.cube.pow(3) {
            let allowed = format!("{}, the patches of a cube", self.cube.pow(3));
            return Err(Invalid::new("seq", wanted.seq, allowed));
        }
        match (wanted.volume.is_empty(), wanted.target.is_empty()) {
            (true, false) => Err(Invalid::new("volume", "''", "a NIfTI file, beside --target")),
            (false, true) => Err(Invalid::new("target", "''", "a NIfTI file, beside --volume")),
            _ => Ok(()),
        }
    }
    fn load(&self, wanted: &Wanted, most: u64) -> Result<Box<dyn Data>, Invalid> {
        let Volume { patch, cube } = *self;
        if wanted.volume.is_empty() {
            let cubes = blobs::lattice(patch, cube);
            let [volume, target] = blobs::draw(wanted.seed, &cubes);
            let bayes = Some(blobs::NOISE * blobs::NOISE);
            let samples = Samples::new(cubes, volume, &target, bayes);
            return Ok(Box::new(samples.map_err(|unfit| refusal(unfit, wanted))?));
        }
        let (volume, of_volume) = read("volume", wanted.volume, most)?;
        let (target, of_target) = read("target", wanted.target, most)?;
        volume.lies_on(&target).map_err(|a| refusal(Unfit::Target(a), wanted))?;
        let cubes = Cubes { dims: volume.dims, patch, cube };
        let samples = Samples::new(cubes, volume.voxels, &target.voxels, None);
        let mut samples = samples.map_err(|unfit| refusal(unfit, wanted))?;
        samples.digests = vec![("volume", of_volume), ("target", of_target)];
        Ok(Box::new(samples))
    }
}

/// The volume of a field's file, and the digest of the file.
fn read(field: &str, file: &Source, most: u64) -> Result<(Nifti, String), Invalid> {
    let bytes = source::read(field, file, most)?;
    let volume = nifti::parse(&bytes, most);
    let volume = volume.map_err(|allowed| Invalid::new(field, &file.path, allowed))?;
    Ok((volume, source::digest(&bytes)))
}

fn refusal(unfit: Unfit, wanted: &Wanted) -> Invalid {
    match unfit {
        Unfit::Volume(allowed) => Invalid::new("volume", &wanted.volume.path, allowed),
        Unfit::Target(allowed) => Invalid::new("target", &wanted.target.path, allowed),
    }
}
