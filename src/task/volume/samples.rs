//! What a volume gives to learn from: cubes of patches, and the mean of the target in their centre.

use super::BASELINE;
use super::cubes::Cubes;
use super::otsu;
use super::ridge::Ridge;
use crate::record::ReferenceLoss;
use crate::rng::Rng;
use crate::setting::Invalid;
use crate::task::{Batch, Data, Wanted};

/// The most cubes that are held out: a measurement goes over all of them.
const HELD_OUT: usize = 1024;

/// Values of a histogram: so many to a standard deviation, up to so many deviations from the mean.
const BINS: f64 = 3.0;
const FARTHEST: f64 = 4.0;

/// Cubes for training, then held-out ones, with their targets.
#[derive(Debug)]
pub(super) struct Samples {
    cubes: Cubes,
    /// The volume, standardised.
    voxels: Vec<f32>,
    /// The first voxel of every cube.
    starts: Vec<u32>,
    /// The mean of the target in the centre of every cube, standardised.
    targets: Vec<f32>,
    /// Cubes for training.
    training: usize,
    /// The mean squared error of the best prediction there is, where it is known.
    bayes: Option<f64>,
    /// Fields and digests of the files.
    pub digests: Vec<(&'static str, String)>,
}

/// Why nothing can be learned of two volumes: what is allowed, and in brackets what there is.
#[derive(Debug, PartialEq)]
pub(super) enum Unfit {
    Volume(String),
    Target(String),
}

impl Samples {
    /// Of a volume and its target, voxel by voxel; `bayes` is the error of the best prediction, in
    /// the target's units.
    ///
    /// Voxels up to Otsu's threshold are background, and a cube counts whose centre patch is above it
    /// in the mean. The volume is standardised by the voxels above it, the target by the training
    /// cubes: both, and the threshold, by what training may see only.
    pub fn new(
        cubes: Cubes,
        mut voxels: Vec<f32>,
        target: &[f32],
        bayes: Option<f64>,
    ) -> Result<Samples, Unfit> {
        let [x, y, z] = cubes.dims;
        let few = |what: &str| {
            let edge = cubes.edge();
            Unfit::Volume(format!(
                "a volume with room, along its longest axis, for cubes of {edge} voxels held out, \
                 and trained on a cube apart (this one, {x} × {y} × {z}, has {what})"
            ))
        };
        if cubes.training().next().is_none() || cubes.held_out().next().is_none() {
            return Err(few("none"));
        }
        let seen = || cubes.training_voxels().map(|voxel| voxels[voxel]);
        let threshold = otsu::threshold(seen()).ok_or_else(|| {
            Unfit::Volume("more than one value to train on (this one has one)".into())
        })?;
        let (mean, deviation) = moments(seen().map(f64::from).filter(|&v| v > threshold));
        let counts = |start: &usize| cubes.mean(&voxels, cubes.centre(*start)) > threshold;
        let mut starts: Vec<u32> = cubes.training().filter(counts).map(|v| v as u32).collect();
        let training = starts.len();
        let held_out: Vec<u32> = cubes.held_out().filter(counts).map(|v| v as u32).collect();
        if training == 0 || held_out.is_empty() {
            return Err(few("only background there"));
        }
        let kept = held_out.len().min(HELD_OUT);
        starts.extend((0..kept).map(|i| held_out[i * held_out.len() / kept]));

        let means: Vec<f64> = (starts.iter())
            .map(|&start| cubes.mean(target, cubes.centre(start as usize)))
            .collect();
        let (centre, spread) = moments(means[..training].iter().copied());
        if spread == 0.0 {
            let allowed = "more than one mean over the patches to train on (this one has one)";
            return Err(Unfit::Target(allowed.to_string()));
        }
        // Where all that is above the threshold is one value, its own size does.
        let unit = if deviation > 0.0 { deviation } else { (mean - threshold).abs() };
        for voxel in &mut voxels {
            *voxel = ((f64::from(*voxel) - mean) / unit) as f32;
        }
        let targets = means.iter().map(|mean| ((mean - centre) / spread) as f32).collect();
        let bayes = bayes.map(|error| error / (spread * spread));
        Ok(Samples { cubes, voxels, starts, targets, training, bayes, digests: Vec::new() })
    }

    /// How many different samples a run trains on.
    fn wanted(&self, wanted: &Wanted) -> usize {
        wanted.samples.unwrap_or(self.training)
    }

    /// The cube that is training sample `i` of those that are wanted: one of each of as many
    /// stretches of all cubes, drawn by the seed.
    fn chosen(&self, wanted: &Wanted, i: usize) -> usize {
        let n = self.wanted(wanted);
        let (first, behind) = (i * self.training / n, (i + 1) * self.training / n);
        let mut rng = Rng::new(wanted.seed).named("samples").at(i as u64);
        first + rng.below(behind - first)
    }

    fn fill(&self, samples: impl Iterator<Item = usize>, batch: &mut Batch) {
        batch.clear();
        for sample in samples {
            for patch in self.cubes.patches(self.starts[sample] as usize) {
                batch.inputs.extend(self.cubes.voxels(patch).map(|voxel| self.voxels[voxel]));
            }
            batch.targets.push(self.targets[sample]);
        }
    }

    /// The voxels of the centre patch of a sample.
    fn centre(&self, sample: usize) -> impl Iterator<Item = f64> {
        let centre = self.cubes.centre(self.starts[sample] as usize);
        self.cubes.voxels(centre).map(|voxel| f64::from(self.voxels[voxel]))
    }

    /// What is linear in a sample: the voxels of its centre patch, and the mean of every patch.
    fn linear(&self, sample: usize) -> Vec<f64> {
        let patches = self.cubes.patches(self.starts[sample] as usize);
        let means = patches.map(|patch| self.cubes.mean(&self.voxels, patch));
        self.centre(sample).chain(means).collect()
    }

    /// How many voxels of the centre patch have which value: each is shared out between the two
    /// values next to it.
    fn histogram(&self, sample: usize) -> Vec<f64> {
        let mut counts = vec![0.0; 2 * (FARTHEST * BINS) as usize + 1];
        for value in self.centre(sample) {
            let at = (value + FARTHEST).clamp(0.0, 2.0 * FARTHEST) * BINS;
            let bin = (at as usize).min(counts.len() - 2);
            counts[bin] += 1.0 - (at - bin as f64);
            counts[bin + 1] += at - bin as f64;
        }
        counts
    }

    /// The mean squared error of a prediction over all held-out samples.
    fn held_out_error(&self, predict: impl Fn(usize) -> f64) -> f64 {
        let samples = self.training..self.starts.len();
        let count = samples.len() as f64;
        samples.map(|i| (predict(i) - f64::from(self.targets[i])).powi(2)).sum::<f64>() / count
    }

    /// That of ridge regression on some features of the training samples of a run.
    fn ridge(&self, wanted: &Wanted, features: impl Fn(usize) -> Vec<f64>) -> Option<f64> {
        let read = |i: usize| {
            let sample = self.chosen(wanted, i);
            (features(sample), f64::from(self.targets[sample]))
        };
        let ridge = Ridge::of(self.wanted(wanted), read)?;
        Some(self.held_out_error(|sample| ridge.predict(&features(sample))))
    }
}

/// Mean and standard deviation.
fn moments(values: impl Iterator<Item = f64>) -> (f64, f64) {
    let (mut count, mut mean, mut squares) = (0.0, 0.0, 0.0);
    for value in values {
        count += 1.0;
        let change: f64 = value - mean;
        mean += change / count;
        squares += change * (value - mean);
    }
    (mean, f64::sqrt(squares / count))
}

impl Data for Samples {
    fn bytes(&self) -> usize {
        4 * (self.voxels.capacity() + self.starts.capacity() + self.targets.capacity())
    }

    fn references(&self, wanted: &Wanted) -> Vec<ReferenceLoss> {
        let mean = Some((BASELINE, self.held_out_error(|_| 0.0)));
        let ridge = self.ridge(wanted, |i| self.linear(i)).map(|error| ("ridge", error));
        let histogram = self.ridge(wanted, |i| self.histogram(i));
        let histogram = histogram.map(|error| ("histogram", error));
        let bayes = self.bayes.map(|error| ("bayes", error));
        let mut all: Vec<ReferenceLoss> = [mean, ridge, histogram, bayes]
            .into_iter()
            .flatten()
            .map(ReferenceLoss::from)
            .collect();
        all.sort_by(|a, b| b.nats.total_cmp(&a.nats));
        all
    }

    fn training_batch(&self, wanted: &Wanted, step: usize, batch: &mut Batch) {
        let mut rng = Rng::new(wanted.seed).named("volume").at(step as u64);
        let n = self.wanted(wanted);
        let samples = (0..wanted.batch).map(|_| self.chosen(wanted, rng.below(n)));
        self.fill(samples, batch);
    }

    fn held_out_batches(&self, wanted: &Wanted) -> usize {
        (self.starts.len() - self.training).div_ceil(wanted.batch)
    }

    /// The same for every seed and every run.
    fn held_out_batch(&self, wanted: &Wanted, index: usize, of: usize, batch: &mut Batch) {
        let last = self.starts.len() - self.training - 1;
        let spaces = (of * wanted.batch - 1).max(1);
        let numbers = index * wanted.batch..(index + 1) * wanted.batch;
        self.fill(numbers.map(|number| self.training + number * last / spaces), batch);
    }

    /// The mean of the training targets is 0.
    fn baseline_cost(&self, batch: &Batch) -> f64 {
        let squares = batch.targets.iter().map(|&target| f64::from(target).powi(2));
        squares.sum::<f64>() / batch.targets.len() as f64
    }

    fn passes(&self, wanted: &Wanted, steps: usize) -> f64 {
        (steps * wanted.batch) as f64 / self.wanted(wanted) as f64
    }

    fn suffices(&self, wanted: &Wanted, _seq_given: bool) -> Result<(), Invalid> {
        match wanted.samples {
            Some(n) if n > self.training => {
                let allowed =
                    format!("auto, or 1 to {}, the samples that there are", self.training);
                Err(Invalid::new("samples", n, allowed))
            }
            _ => Ok(()),
        }
    }

    fn digests(&self) -> Vec<(&'static str, &str)> {
        self.digests.iter().map(|(field, digest)| (*field, digest.as_str())).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::RunConfig;
    use std::collections::BTreeSet;

    const CUBES: Cubes = Cubes { dims: [60, 14, 15], patch: 2, cube: 3 };

    fn noise(seed: u64) -> Vec<f32> {
        let mut rng = Rng::new(seed);
        (0..60 * 14 * 15).map(|_| (5.0 + 2.0 * rng.normal()) as f32).collect()
    }

    fn samples(voxels: Vec<f32>, target: &[f32]) -> Samples {
        Samples::new(CUBES, voxels, target, None).unwrap()
    }

    fn config(seed: u64, samples: Option<usize>) -> RunConfig {
        RunConfig { seed, batch: 32, samples, ..RunConfig::default() }
    }

    fn batch(data: &Samples, config: &RunConfig, step: usize) -> Batch {
        let mut batch = Batch::default();
        data.training_batch(&config.wanted(), step, &mut batch);
        batch
    }

    fn held_out(data: &Samples) -> Batch {
        let (mut all, mut batch) = (Batch::default(), Batch::default());
        let config = config(1, None);
        let of = data.held_out_batches(&config.wanted());
        for index in 0..of {
            data.held_out_batch(&config.wanted(), index, of, &mut batch);
            all.inputs.extend(&batch.inputs);
            all.targets.extend(&batch.targets);
        }
        all
    }

    #[test]
    fn a_target_is_the_mean_over_the_centre_patch() {
        // A target that is the volume itself: its mean is told by the patch in the middle, and is the
        // same linear function of it everywhere.
        let data = samples(noise(1), &noise(1));
        for batch in [batch(&data, &config(1, None), 3), held_out(&data)] {
            let centre = |cube: &[f32]| cube[13 * 8..14 * 8].iter().sum::<f32>() / 8.0;
            let pairs: Vec<(f32, f32)> =
                batch.inputs.chunks(216).map(centre).zip(batch.targets.iter().copied()).collect();
            let far = |a: &&(f32, f32)| (a.0 - pairs[0].0).abs();
            let other = pairs.iter().max_by(|a, b| far(a).total_cmp(&far(b))).unwrap();
            let slope = (other.1 - pairs[0].1) / (other.0 - pairs[0].0);
            for (mean, target) in &pairs {
                let told = pairs[0].1 + slope * (mean - pairs[0].0);
                // Some ten numbers of size 1 are rounded on the way.
                assert!((told - target).abs() < 20.0 * f32::EPSILON, "{told} {target}");
            }
        }
    }

    #[test]
    fn what_is_held_out_changes_nothing_of_training() {
        let (volume, target) = (noise(1), noise(2));
        let changed = |values: &[f32]| -> Vec<f32> {
            let held_out = |i: usize| (18..42).contains(&(i % 60));
            let at = values.iter().enumerate();
            at.map(|(i, &v)| if held_out(i) { 1000.0 - v } else { v }).collect()
        };
        let plain = samples(volume.clone(), &target);
        let other = samples(changed(&volume), &changed(&target));
        for step in 0..20 {
            let [a, b] = [&plain, &other].map(|data| batch(data, &config(1, None), step));
            assert!(a.inputs == b.inputs && a.targets == b.targets, "step {step}");
        }
        assert_ne!(held_out(&plain).inputs, held_out(&other).inputs);
    }

    #[test]
    fn training_is_standardised() {
        let data = samples(noise(1), &noise(2));
        let targets = data.targets[..data.training].iter().map(|&t| f64::from(t));
        let (mean, deviation) = moments(targets);
        assert!(mean.abs() < 1e-6 && (deviation - 1.0).abs() < 1e-6, "{mean} {deviation}");
    }

    #[test]
    fn batches_depend_on_seed_and_step_only() {
        let data = samples(noise(1), &noise(2));
        let first = batch(&data, &config(1, None), 5);
        assert_ne!(first.inputs, batch(&data, &config(1, None), 6).inputs);
        assert_ne!(first.inputs, batch(&data, &config(2, None), 5).inputs);
        assert_eq!(first.inputs, batch(&data, &config(1, None), 5).inputs);
    }

    #[test]
    fn as_many_different_samples_are_trained_on_as_are_wanted() {
        let data = samples(noise(1), &noise(2));
        let drawn = |n: usize, seed: u64| -> BTreeSet<usize> {
            let config = config(seed, Some(n));
            (0..n).map(|i| data.chosen(&config.wanted(), i)).collect()
        };
        let last = drawn(data.training, 1);
        assert_eq!(last, (0..data.training).collect());
        for n in [1, 2, 7, data.training - 1] {
            assert_eq!(drawn(n, 1).len(), n);
            assert!(drawn(n, 1).is_subset(&last));
        }
        assert_ne!(drawn(7, 1), drawn(7, 2));
        // What is trained on are these and no others.
        let seven: BTreeSet<u32> = drawn(7, 1).iter().map(|&i| data.targets[i].to_bits()).collect();
        let mut seen = BTreeSet::new();
        for step in 0..20 {
            let targets = batch(&data, &config(1, Some(7)), step).targets;
            seen.extend(targets.iter().map(|target| target.to_bits()));
        }
        assert_eq!(seen, seven);
    }

    #[test]
    fn held_out_batches_cover_everything_that_is_held_out() {
        let data = samples(noise(1), &noise(2));
        let wanted: BTreeSet<u32> =
            data.targets[data.training..].iter().map(|target| target.to_bits()).collect();
        let seen = held_out(&data).targets.iter().map(|target| target.to_bits()).collect();
        assert_eq!(wanted, seen);
        assert!(wanted.len() > 20, "{}", wanted.len());
    }

    #[test]
    fn ridge_finds_a_linear_target_and_nothing_in_noise() {
        let found = |target: &[f32]| -> Vec<f64> {
            let data = samples(noise(1), target);
            let losses = data.references(&config(1, None).wanted());
            let of = |name: &str| ReferenceLoss::find(&losses, name).unwrap();
            vec![of("mean"), of("ridge"), of("histogram")]
        };
        let linear = found(&noise(1));
        // The penalty shrinks by 10⁻⁸ at the least, and the rest is rounding to f32.
        assert!(linear[1] < 1e-6 && linear[0] > 0.3, "{linear:?}");
        let unknown = found(&noise(2));
        assert!((unknown[1] / unknown[0] - 1.0).abs() < 0.3, "{unknown:?}");
        // The middle of the values is no linear function of them, and nearly one of their histogram.
        let middle: Vec<f32> = noise(1).iter().map(|v| (-(v - 5.0).powi(2)).exp()).collect();
        let middle = found(&middle);
        assert!(middle[2] < 0.1 && middle[1] > 0.5, "{middle:?}");
    }

    #[test]
    fn volumes_of_which_nothing_can_be_learned_are_refused() {
        let one = vec![3.0; 60 * 14 * 15];
        let said = |made: Result<Samples, Unfit>| match made.err() {
            Some(Unfit::Volume(text)) => format!("volume {text}"),
            Some(Unfit::Target(text)) => format!("target {text}"),
            None => "nothing".to_string(),
        };
        let error = said(Samples::new(CUBES, one.clone(), &noise(1), None));
        assert!(error.starts_with("volume more than one value"), "{error}");
        let error = said(Samples::new(CUBES, noise(1), &one, None));
        assert!(error.starts_with("target more than one mean"), "{error}");
        let small = Cubes { dims: [26, 14, 26], ..CUBES };
        let error = said(Samples::new(small, noise(1), &noise(2), None));
        assert!(error.contains("26 × 14 × 26, has none"), "{error}");
        let flat = Cubes { dims: [60, 5, 42], ..CUBES };
        assert!(said(Samples::new(flat, noise(1), &noise(2), None)).contains("has none"));
        // Tissue where nothing is trained on.
        let lit = |i: usize| if (20..40).contains(&(i % 60)) { 1.0 } else { (i % 2) as f32 * 0.1 };
        let background = (0..60 * 14 * 15).map(|i| if i == 0 { 9.0 } else { lit(i) }).collect();
        let error = said(Samples::new(CUBES, background, &noise(2), None));
        assert!(error.contains("only background"), "{error}");
    }
}
