//! Dropout (Srivastava et al. 2014) and stochastic depth (Huang et al. 2016, arXiv 1603.09382).
//!
//! y = x ⊙ keep/(1 − p), where keep is 1 with probability 1 − p and 0 otherwise: for every element
//! (dropout), or for every sample, the slices along axis 0 (drop_path, as timm's DropPath).
//! dx = dy ⊙ keep/(1 − p). p = 1 gives zeros; p = 0, or evaluation, gives x itself. drop_path knows
//! two other conventions, [`Survivors`], and one decision for the whole batch, [`DropPer`].
//!
//! keep is a function of the seed, the step and the place in the *whole* batch. So the backward
//! pass draws the mask of the forward pass again instead of storing it, and a batch that is split
//! into shards, each knowing its first sample, gives the same numbers as the batch in one piece.

use std::hint::select_unpredictable as select;

use super::device::{Chip, Kernels, Launch, Param, Ptx, ptx};
use super::simd;
use super::{Arg, Fast, Grad, Kind, Op, Property, Reference, Shape, View};
use crate::num::Num;
use crate::rng::{Rng, mix};

/// y = x ⊙ keep/(1 − p), element by element.
#[derive(Debug, Clone, Copy)]
pub struct Dropout {
    /// The probability that an element becomes 0.
    pub p: f64,
    /// What the masks are drawn from; two places of a stack have two seeds.
    pub seed: u64,
    /// False where nothing is dropped.
    pub training: bool,
}

crate::choices! {
    /// What becomes of a branch that is not dropped, so that training and evaluation fit together.
    Survivors {
        /// Divided by 1 − p in training (timm's DropPath).
        Divided = "divided",
        /// As it is, in training and in evaluation (NF-Nets).
        Unscaled = "unscaled",
        /// As it is in training, and times 1 − p in evaluation (Huang et al. 2016, equation 5).
        ScaledAtTest = "scaled_at_test",
    }
}

crate::choices! {
    /// What a branch is dropped for at once.
    DropPer {
        /// Each sequence by itself (timm's DropPath).
        Sequence = "sequence",
        /// The whole batch of a step (Huang et al. 2016).
        Batch = "batch",
    }
}

/// y = x ⊙ keep/(1 − p), sample by sample of axis 0, or as [`Survivors`] and [`DropPer`] say.
#[derive(Debug, Clone, Copy)]
pub struct DropPath {
    /// The probability that a sample becomes 0.
    pub p: f64,
    /// What the masks are drawn from; two places of a stack have two seeds.
    pub seed: u64,
    /// False where nothing is dropped.
    pub training: bool,
    /// What becomes of what is kept.
    pub survivors: Survivors,
    /// What is dropped at once.
    pub per: DropPer,
}

impl Dropout {
    fn scale(&self) -> f64 {
        if self.training { 1.0 / (1.0 - self.p) } else { 1.0 }
    }
}

impl DropPath {
    /// One decision for each sample in training; `training` switches it off.
    pub fn new(p: f64, seed: u64, training: bool) -> Self {
        DropPath { p, seed, training, survivors: Survivors::Divided, per: DropPer::Sequence }
    }

    fn scale(&self) -> f64 {
        match (self.survivors, self.training) {
            (Survivors::Divided, true) => 1.0 / (1.0 - self.p),
            (Survivors::ScaledAtTest, false) => 1.0 - self.p,
            _ => 1.0,
        }
    }

    /// Decisions for each sample: none of its own where the batch has but one.
    fn per_sample(&self) -> usize {
        match self.per {
            DropPer::Sequence => 1,
            DropPer::Batch => 0,
        }
    }
}

/// The mask of one call: which decision every element of x shares, and how each is taken.
#[derive(Debug, Clone, Copy)]
struct Mask {
    /// Where this step's sequence of random numbers starts.
    key: u64,
    /// Of 2³² equally likely numbers, those from here on keep.
    threshold: u64,
    /// What is kept is multiplied with it.
    scale: f64,
    /// The number of consecutive elements that share a decision.
    group: usize,
    /// The number, in the whole batch, of the decision for the first element of x.
    first: u64,
}

impl Mask {
    /// The mask that a clock and a seed give; `per_sample` is the number of decisions a sample, 0 for
    /// one that all samples share.
    fn new<T: Num>(p: f64, scale: f64, seed: u64, args: &[View<T>], per_sample: usize) -> Self {
        assert!((0.0..=1.0).contains(&p), "a probability, not {p}");
        let [step, sample] = [args[1].data[0].index(), args[1].data[1].index()];
        Mask {
            key: Rng::new(seed).at(step as u64).bits(),
            threshold: Mask::threshold(p),
            scale,
            group: Mask::group(args[0].shape, per_sample),
            first: (sample * per_sample) as u64,
        }
    }

    fn threshold(p: f64) -> u64 {
        (p * 2f64.powi(32)).round() as u64
    }

    fn group(x: Shape, per_sample: usize) -> usize {
        x.len() / (x.sizes()[0] * per_sample).max(1)
    }

    /// Whether decision `index` is to keep, by the high half of output `index` of SplitMix64,
    /// which can be had without those before it.
    #[inline(always)]
    fn keeps(&self, index: u64) -> bool {
        const STEP: u64 = 0x9e37_79b9_7f4a_7c15;
        mix(self.key.wrapping_add(index.wrapping_mul(STEP))) >> 32 >= self.threshold
    }

    /// Calls `put(to, x)` for every element of `to` with x as the mask leaves it.
    ///
    /// A NaN that is dropped is 0: what is dropped is chosen, not multiplied.
    #[inline(always)]
    fn each(&self, to: &mut [f32], from: &[f32], put: impl Fn(&mut f32, f32)) {
        let scale = self.scale as f32;
        if self.group == 1 {
            for ((i, to), x) in to.iter_mut().enumerate().zip(from) {
                put(to, select(self.keeps(self.first + i as u64), x * scale, 0.0));
            }
        } else {
            let samples = to.chunks_exact_mut(self.group).zip(from.chunks_exact(self.group));
            for (index, (to, from)) in (self.first..).zip(samples) {
                let keeps = self.keeps(index);
                for (to, x) in to.iter_mut().zip(from) {
                    put(to, select(keeps, x * scale, 0.0));
                }
            }
        }
    }
}

/// Writes one of the two operators, which differ in their name, in their further constants, in how many
/// decisions `$x` takes per sample, and in their properties.
macro_rules! dropping {
    ($op:ident, $id:literal, [$($more:ident),*], |$self:ident, $x:ident| $per_sample:expr,
     $properties:expr) => {
        impl $op {
            fn mask<T: Num>(&$self, args: &[View<T>]) -> Mask {
                let ($x, p) = (args[0].shape, $self.chance());
                Mask::new(p, $self.scale(), $self.seed, args, $per_sample)
            }

            fn chance(&self) -> f64 {
                if self.training { self.p } else { 0.0 }
            }

            /// The constants of the kernel on an argument `$x`.
            fn drawn(&$self, $x: Shape) -> Drawn {
                Drawn {
                    p: $self.chance(),
                    scale: $self.scale(),
                    seed: $self.seed,
                    per_sample: $per_sample,
                }
            }
        }

        impl Op for $op {
            fn id(&self) -> &'static str {
                $id
            }
            fn args(&self) -> &'static [Arg] {
                const ARGS: &[Arg] = &[Arg::real("x"), Arg::new("clock", Kind::Clock)];
                ARGS
            }
            crate::constants! { dyn Op; p: Share, seed: Any, training: Any $(, $more: Any)* }
            fn outputs(&self, args: &[Shape]) -> Vec<Shape> {
                assert!(!args[0].sizes().is_empty(), "x has an axis of samples");
                assert_eq!(args[1].len(), 2, "the clock is the step and the first sample");
                vec![args[0]]
            }
            fn example(&self, rows: usize, cols: usize) -> Vec<Shape> {
                vec![Shape::new(&[rows, 2, cols]), Shape::new(&[2])]
            }
            fn properties(&self) -> &'static [Property] {
                $properties
            }
            fn vjp_reads(&self, index: usize) -> bool {
                index == 1
            }
            fn kernels(&self) -> Option<&dyn Kernels> {
                Some(self)
            }
        }

        impl<T: Num> Reference<T> for $op {
            fn forward(&self, args: &[View<T>], outs: &mut [&mut [T]]) {
                let mask = self.mask(args);
                for (i, y) in outs[0].iter_mut().enumerate() {
                    let keeps = mask.keeps(mask.first + (i / mask.group) as u64);
                    *y = if keeps { T::num(mask.scale) * args[0].data[i] } else { T::zero() };
                }
            }
            fn vjp(&self, args: &[View<T>], dy: &[T], dargs: &mut [&mut [T]]) {
                let mask = self.mask(args);
                for (i, dx) in dargs[0].iter_mut().enumerate() {
                    if mask.keeps(mask.first + (i / mask.group) as u64) {
                        *dx += T::num(mask.scale) * dy[i];
                    }
                }
            }
        }

        impl Fast for $op {
            fn forward(
                &self,
                args: &[View<f32>],
                outs: &mut [&mut [f32]],
                _saved: &mut [f32],
                _scratch: &mut [f32],
            ) {
                let mask = self.mask(args);
                simd::dispatch!(|| mask.each(outs[0], args[0].data, |y, x| *y = x));
            }
            fn vjp(
                &self,
                args: &[View<f32>],
                dy: &[f32],
                _saved: &[f32],
                dargs: &mut [Grad],
                _scratch: &mut [f32],
            ) {
                let mask = self.mask(args);
                let dx = dargs[0].to_add();
                simd::dispatch!(|| mask.each(dx, dy, |dx, dy| *dx += dy));
            }
        }

        impl Kernels for $op {
            fn ptx(&self) -> Ptx {
                ptx!("dropout")
            }
            fn forward(&self, args: &[Shape], chip: &Chip) -> Vec<Launch> {
                use Param::*;
                launch(chip, args[0], self.drawn(args[0]), &[Arg(0), Arg(1), Out(0), U32(0)])
            }
            fn vjp(&self, args: &[Shape], chip: &Chip) -> Vec<Launch> {
                use Param::*;
                launch(chip, args[0], self.drawn(args[0]), &[Dy, Arg(1), Grad(0)])
            }
        }
    };
}

/// What a kernel draws its decisions from; see [`Mask`].
struct Drawn {
    p: f64,
    scale: f64,
    seed: u64,
    per_sample: usize,
}

/// The kernel, which both operators and both passes share, on the tensors of one of them.
fn launch(chip: &Chip, x: Shape, drawn: Drawn, tensors: &[Param]) -> Vec<Launch> {
    use Param::*;
    const THREADS: u32 = 256;
    // As many as fill every multiprocessor; each thread takes a vector at a time.
    const WAVES: usize = 8;
    let constants = [
        U64(x.len() as u64),
        U64(drawn.seed),
        U64(Mask::threshold(drawn.p)),
        U64(drawn.per_sample as u64),
        U64(Mask::group(x, drawn.per_sample) as u64),
        F32(drawn.scale as f32),
    ];
    let blocks = x.len().div_ceil(chip.vector() * THREADS as usize);
    let blocks = blocks.min(WAVES * chip.multiprocessors as usize);
    vec![Launch::new("dropout_apply", blocks, THREADS, &[tensors, &constants].concat())]
}

// The mask of dropout belongs to the places, so that its columns are not alike.
dropping!(
    Dropout,
    "dropout",
    [],
    |self, x| x.len() / x.sizes()[0],
    &[Property::Linear, Property::Odd, Property::RowIndependent]
);
dropping!(
    DropPath,
    "drop_path",
    [survivors, per],
    |self, _x| self.per_sample(),
    &[Property::Linear, Property::Odd, Property::PermutationEquivariant, Property::RowIndependent]
);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::op::SharedOp;
    use std::sync::Arc;

    const SAMPLE: [usize; 2] = [5, 20];

    fn both(p: f64, training: bool) -> [SharedOp; 2] {
        [Arc::new(Dropout { p, seed: 3, training }), Arc::new(DropPath::new(p, 3, training))]
    }

    fn forward(op: &SharedOp, x: &[f32], step: f32, first: f32) -> Vec<f32> {
        let shape = Shape::new(&[x.len() / 100, SAMPLE[0], SAMPLE[1]]);
        let mut y = vec![f32::NAN; x.len()];
        let clock = [step, first];
        let args = [View::new(shape, x), View::new(Shape::new(&[2]), &clock)];
        Fast::forward(&**op, &args, &mut [&mut y], &mut [], &mut []);
        y
    }

    fn vjp(op: &SharedOp, dy: &[f32], step: f32) -> Vec<f32> {
        let shape = Shape::new(&[dy.len() / 100, SAMPLE[0], SAMPLE[1]]);
        let mut dx = vec![0.0; dy.len()];
        let (x, clock) = (vec![0.0; dy.len()], [step, 0.0]);
        let args = [View::new(shape, &x), View::new(Shape::new(&[2]), &clock)];
        let mut grads = [Grad::onto(&mut dx), Grad::unwanted()];
        Fast::vjp(&**op, &args, dy, &[], &mut grads, &mut []);
        dx
    }

    #[test]
    fn forward_and_vjp_draw_one_mask_and_steps_draw_others() {
        for op in both(0.4, true) {
            let ones = vec![1.0; 6400];
            let y = forward(&op, &ones, 7.0, 0.0);
            assert_eq!(y, vjp(&op, &ones, 7.0));
            assert_ne!(y, forward(&op, &ones, 8.0, 0.0));
        }
    }

    #[test]
    fn shards_give_what_the_batch_gives() {
        for op in both(0.4, true) {
            let x: Vec<f32> = (0..700).map(|i| i as f32).collect();
            let whole = forward(&op, &x, 2.0, 0.0);
            let (head, tail) = x.split_at(300);
            let parts = [forward(&op, head, 2.0, 0.0), forward(&op, tail, 2.0, 3.0)].concat();
            assert_eq!(whole, parts);
        }
    }

    #[test]
    fn limits_are_exact() {
        let x: Vec<f32> = (0..1000).map(|i| 1.0 / (i as f32 - 500.5)).collect();
        for p in [0.0, 0.3, 1.0] {
            for op in both(p, false) {
                assert_eq!(forward(&op, &x, 0.0, 0.0), x);
            }
        }
        for op in both(0.0, true) {
            assert_eq!(forward(&op, &x, 0.0, 0.0), x);
        }
        for op in both(1.0, true) {
            assert_eq!(forward(&op, &vec![f32::NAN; 1000], 0.0, 0.0), vec![0.0; 1000]);
        }
    }

    /// The number kept is binomial: within five standard deviations, for every step by itself, and
    /// neighbours in place or in step agree as often as independent ones.
    #[test]
    fn decisions_are_independent_with_the_stated_probability() {
        for p in [0.1f64, 0.5, 0.9] {
            let op: SharedOp = Arc::new(Dropout { p, seed: 11, training: true });
            let n = 200_000;
            let masks: Vec<Vec<bool>> = (0..4)
                .map(|step| forward(&op, &vec![1.0; n], step as f32, 0.0))
                .map(|y| y.iter().map(|&y| y > 0.0).collect())
                .collect();
            let plausible = |count: usize, q: f64| {
                let deviation = (n as f64 * q * (1.0 - q)).sqrt();
                assert!((count as f64 - n as f64 * q).abs() < 5.0 * deviation, "{count}, p = {p}");
            };
            let agree = p * p + (1.0 - p) * (1.0 - p);
            for (step, mask) in masks.iter().enumerate() {
                plausible(mask.iter().filter(|&&kept| kept).count(), 1.0 - p);
                let next = &masks[(step + 1) % masks.len()];
                plausible(mask.iter().zip(next).filter(|(a, b)| a == b).count(), agree);
                for lag in [1, 2, 100] {
                    let pairs = mask.iter().zip(mask[lag..].iter().chain(&mask[..lag]));
                    plausible(pairs.filter(|(a, b)| a == b).count(), agree);
                }
            }
        }
    }

    #[test]
    fn drop_path_decides_for_whole_samples() {
        let op = &both(0.5, true)[1];
        let y = forward(op, &vec![1.0; 6400], 0.0, 0.0);
        let kept = y.chunks(100).filter(|sample| sample[0] != 0.0).count();
        assert!(y.chunks(100).all(|sample| sample.iter().all(|&v| v == sample[0])));
        assert!((16..=48).contains(&kept), "{kept} of 64");
        assert!(y.iter().all(|&v| v == 0.0 || v == 2.0));
    }

    /// The mean over training is what evaluation gives, but for `unscaled`, which says so.
    #[test]
    fn conventions_of_survivors_differ_as_they_say() {
        let p = 0.25;
        for (survivors, kept, evaluated) in [
            (Survivors::Divided, 1.0 / 0.75, 1.0),
            (Survivors::Unscaled, 1.0, 1.0),
            (Survivors::ScaledAtTest, 1.0, 0.75),
        ] {
            let op = |training| -> SharedOp {
                Arc::new(DropPath { survivors, ..DropPath::new(p, 3, training) })
            };
            let y = forward(&op(true), &vec![1.0; 6400], 0.0, 0.0);
            assert!(y.iter().all(|&y| y == 0.0 || y == kept as f32), "{survivors:?}");
            assert!(y.contains(&0.0) && y.contains(&(kept as f32)));
            assert_eq!(forward(&op(false), &[1.0; 100], 0.0, 0.0), [evaluated as f32; 100]);
            assert_eq!(y, vjp(&op(true), &vec![1.0; 6400], 0.0));
        }
    }

    #[test]
    fn a_batch_has_one_decision_however_it_is_cut() {
        let op: SharedOp =
            Arc::new(DropPath { per: DropPer::Batch, ..DropPath::new(0.5, 3, true) });
        let mut kept = 0;
        for step in 0..400 {
            let y = forward(&op, &[1.0; 300], step as f32, 0.0);
            assert!(y.iter().all(|&v| v == y[0]));
            assert_eq!(y[..100], forward(&op, &[1.0; 100], step as f32, 2.0));
            kept += usize::from(y[0] != 0.0);
        }
        // Binomial: within five deviations of 10.
        assert!((150..=250).contains(&kept), "{kept} of 400");
    }
}
