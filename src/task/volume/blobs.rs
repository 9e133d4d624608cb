//! A volume and a target whose optimum is known: what is learned where no files are given.
//!
//! The volume V is a sum of Gaussians. With the contrast C(x) = V(x) − the mean of V over the box of
//! patch·(cube−1)+1 voxels about x, which around a voxel of the centre patch just fits into the cube,
//! the target is exp(−C²/2s²) + τ·noise, s² the mean of C². As C is a function of the cube, the best
//! prediction of the mean over the centre patch is that of the first term, and its mean squared error
//! is τ²/patch³, whatever the volume.

use super::cubes::Cubes;
use crate::rng::Rng;

/// Edges of a cube along the axes of the volume.
const EDGES: [usize; 3] = [12, 6, 6];
/// Gaussians for every cube.
const BLOBS: usize = 2;
/// Standard deviation of a patch's mean of the noise: τ = this·√(patch³).
pub(super) const NOISE: f64 = 1.0 / 16.0;

/// The lattice of the volume for patches and cubes of some size.
pub(super) fn lattice(patch: usize, cube: usize) -> Cubes {
    Cubes { dims: EDGES.map(|edges| edges * patch * cube), patch, cube }
}

/// The volume and the target of a seed.
pub(super) fn draw(seed: u64, cubes: &Cubes) -> [Vec<f32>; 2] {
    let volume = blobs(seed, cubes);
    let mut contrast = volume.clone();
    for axis in 0..3 {
        smooth(&mut contrast, cubes, axis);
    }
    contrast.iter_mut().zip(&volume).for_each(|(mean, v)| *mean = v - *mean);
    let squares: f64 = contrast.iter().map(|&c| f64::from(c).powi(2)).sum();
    let square = squares / contrast.len() as f64;
    let noise = NOISE * (cubes.patch.pow(3) as f64).sqrt();
    let mut rng = Rng::new(seed).named("noise of blobs");
    let target = contrast.iter().map(|&c| {
        let likeness = (-0.5 * f64::from(c).powi(2) / square).exp();
        (likeness + noise * rng.normal()) as f32
    });
    let target = target.collect();
    [volume, target]
}

/// Σ amplitude·exp(−|x − centre|²/2σ²), each up to 3σ from its centre along every axis.
fn blobs(seed: u64, cubes: &Cubes) -> Vec<f32> {
    let [columns, rows, _] = cubes.dims;
    let mut volume = vec![0.0f32; cubes.dims.iter().product()];
    let mut rng = Rng::new(seed).named("blobs");
    for _ in 0..BLOBS * EDGES.iter().product::<usize>() {
        let sigma = cubes.edge() as f64 * (1.0 / 6.0 + rng.uniform() / 3.0);
        let amplitude = rng.normal();
        // The Gaussian is a product over the axes.
        let profiles = cubes.dims.map(|length| {
            let centre = rng.uniform() * length as f64;
            let first = (centre - 3.0 * sigma).max(0.0) as usize;
            let last = ((centre + 3.0 * sigma) as usize).min(length - 1);
            let height = |i: usize| (-0.5 * ((i as f64 - centre) / sigma).powi(2)).exp();
            (first..=last).map(|i| (i, height(i))).collect::<Vec<_>>()
        });
        let [x, y, z] = &profiles;
        for (k, depth) in z {
            for (j, height) in y {
                let row = &mut volume[(k * rows + j) * columns..][..columns];
                for (i, width) in x {
                    row[*i] += (amplitude * depth * height * width) as f32;
                }
            }
        }
    }
    volume
}

/// Every value becomes the mean over patch·(cube−1)+1 values about it along an axis, or as many of
/// them as there are.
fn smooth(values: &mut [f32], cubes: &Cubes, axis: usize) {
    let (length, radius) = (cubes.dims[axis], cubes.patch * (cubes.cube - 1) / 2);
    let step: usize = cubes.dims[..axis].iter().product();
    let mut sums = vec![0.0; length + 1];
    for line in 0..values.len() / length {
        let start = line / step * step * length + line % step;
        for i in 0..length {
            sums[i + 1] = sums[i] + f64::from(values[start + i * step]);
        }
        for i in 0..length {
            let (first, last) = (i.saturating_sub(radius), (i + radius + 1).min(length));
            values[start + i * step] = ((sums[last] - sums[first]) / (last - first) as f64) as f32;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn smoothing_is_the_mean_over_the_box() {
        let cubes = Cubes { dims: [7, 6, 9], patch: 2, cube: 3 };
        let mut rng = Rng::new(1);
        let values: Vec<f32> = (0..7 * 6 * 9).map(|_| rng.normal() as f32).collect();
        let mut smoothed = values.clone();
        (0..3).for_each(|axis| smooth(&mut smoothed, &cubes, axis));
        for (x, y, z) in [(3, 2, 4), (0, 5, 8), (6, 0, 1)] {
            let inside = |at: usize, length: usize| at.saturating_sub(2)..(at + 3).min(length);
            let (mut sum, mut count) = (0.0, 0.0);
            for k in inside(z, 9) {
                for j in inside(y, 6) {
                    for i in inside(x, 7) {
                        sum += f64::from(values[(k * 6 + j) * 7 + i]);
                        count += 1.0;
                    }
                }
            }
            let error = f64::from(smoothed[(z * 6 + y) * 7 + x]) - sum / count;
            // Each of three passes rounds to f32 what is of size 1.
            assert!(error.abs() < 4.0 * f64::from(f32::EPSILON), "{error}");
        }
    }

    #[test]
    fn a_patch_strays_from_what_its_cube_tells_by_the_stated_noise() {
        let cubes = lattice(2, 3);
        let [volume, target] = draw(3, &cubes);
        // The same law, without the noise.
        let mut mean = volume.clone();
        (0..3).for_each(|axis| smooth(&mut mean, &cubes, axis));
        let contrast: Vec<f64> = volume.iter().zip(&mean).map(|(v, m)| f64::from(v - m)).collect();
        let square = contrast.iter().map(|c| c * c).sum::<f64>() / contrast.len() as f64;
        let told: Vec<f32> =
            contrast.iter().map(|c| (-0.5 * c * c / square).exp() as f32).collect();
        let (mut error, mut count) = (0.0, 0.0f64);
        for start in cubes.training() {
            let centre = cubes.centre(start);
            error += (cubes.mean(&target, centre) - cubes.mean(&told, centre)).powi(2);
            count += 1.0;
        }
        let ratio = error / count / (NOISE * NOISE);
        // Squares of independent normal numbers: five deviations of their mean.
        assert!((ratio - 1.0).abs() < 5.0 * (2.0 / count).sqrt(), "{ratio} of {count}");
    }
}
