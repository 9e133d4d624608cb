//! Any bytes: a volume is read or refused in one line, and nothing worse.
#![no_main]

use libfuzzer_sys::fuzz_target;
use plummet::task::volume::nifti;

/// The most bytes that voxels may take.
const MOST: u64 = 1 << 20;

fuzz_target!(|bytes: &[u8]| {
    match nifti::parse(bytes, MOST) {
        Err(allowed) => assert!(!allowed.is_empty() && !allowed.contains('\n'), "{allowed}"),
        Ok(volume) => {
            assert_eq!(volume.voxels.len(), volume.dims.iter().product::<usize>());
            assert!(volume.voxels.len() as u64 * 4 <= MOST);
            assert!(volume.voxels.iter().all(|voxel| voxel.is_finite()));
            assert!(volume.affine.iter().flatten().all(|number| number.is_finite()));
            // One that has no size is nowhere.
            if let Err(allowed) = volume.lies_on(&volume) {
                assert!(allowed.ends_with("NaN voxels apart)"), "{allowed}");
            }
        }
    }
});
