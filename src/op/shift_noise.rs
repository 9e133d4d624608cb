//! [`ShiftNoise`]: y = s ⊙ x + m with random s and m whose distribution is another one at every step,
//! what Santurkar et al. 2018 (arXiv 1805.11604, section 2.1) put behind a norm to shift what the next
//! layer reads, on purpose.
//!
//! At every step each column draws a mean μ of U(±n) and a deviation σ of U(1, 1 + n/2); each element
//! then draws m of U(μ ± n/5) and s of N(σ, (n/5)²). dx = dy ⊙ s. At n = ½ these are the paper's
//! numbers. As for dropout, all is a function of the seed, the step and the place in the whole batch.

use super::device::{Chip, Kernels, Launch, Param, Ptx, ptx};
use super::{Arg, Fast, Grad, Kind, Op, Property, Reference, Shape, View};
use crate::num::Num;
use crate::rng::Rng;

/// y = s ⊙ x + m, drawn anew at every step.
#[derive(Debug, Clone, Copy)]
pub struct ShiftNoise {
    /// n, the size of the noise; 0 is x itself.
    pub size: f64,
    /// What the noise is drawn from; two places of a stack have two seeds.
    pub seed: u64,
}

impl ShiftNoise {
    /// Calls `take(i, s, m)` for every element of x.
    fn each<T: Num>(&self, args: &[View<T>], mut take: impl FnMut(usize, f64, f64)) {
        let (x, clock) = (args[0].shape, args[1].data);
        let (cols, n) = (x.cols(), self.size);
        let rng = Rng::new(self.seed).at(clock[0].index() as u64);
        let columns: Vec<(f64, f64)> = (0..cols as u64)
            .map(|col| {
                let mut rng = rng.named("column").at(col);
                let mean = n * (2.0 * rng.uniform() - 1.0);
                (mean, 1.0 + 0.5 * n * rng.uniform())
            })
            .collect();
        let first = clock[1].index() * (x.len() / x.sizes()[0]);
        for i in 0..x.len() {
            let (mean, deviation) = columns[i % cols];
            let mut rng = rng.at((first + i) as u64);
            let s = deviation + 0.2 * n * rng.normal();
            take(i, s, mean + 0.2 * n * (2.0 * rng.uniform() - 1.0));
        }
    }
}

impl Op for ShiftNoise {
    fn id(&self) -> &'static str {
        "shift_noise"
    }
    fn args(&self) -> &'static [Arg] {
        const ARGS: &[Arg] = &[Arg::real("x"), Arg::new("clock", Kind::Clock)];
        ARGS
    }
    crate::constants! { dyn Op; size: NotNegative, seed: Any }
    fn outputs(&self, args: &[Shape]) -> Vec<Shape> {
        assert!(!args[0].sizes().is_empty(), "x has an axis of samples");
        assert_eq!(args[1].len(), 2, "the clock is the step and the first sample");
        vec![args[0]]
    }
    fn example(&self, rows: usize, cols: usize) -> Vec<Shape> {
        vec![Shape::new(&[rows, 2, cols]), Shape::new(&[2])]
    }
    fn properties(&self) -> &'static [Property] {
        &[Property::RowIndependent]
    }
    fn vjp_reads(&self, index: usize) -> bool {
        index == 1
    }
    fn kernels(&self) -> Option<&dyn Kernels> {
        Some(self)
    }
}

impl<T: Num> Reference<T> for ShiftNoise {
    fn forward(&self, args: &[View<T>], outs: &mut [&mut [T]]) {
        self.each(args, |i, s, m| outs[0][i] = T::num(s) * args[0].data[i] + T::num(m));
    }
    fn vjp(&self, args: &[View<T>], dy: &[T], dargs: &mut [&mut [T]]) {
        self.each(args, |i, s, _| {
            if let Some(dx) = dargs[0].get_mut(i) {
                *dx += T::num(s) * dy[i];
            }
        });
    }
}

impl Fast for ShiftNoise {
    fn forward(
        &self,
        args: &[View<f32>],
        outs: &mut [&mut [f32]],
        _saved: &mut [f32],
        _scratch: &mut [f32],
    ) {
        self.each(args, |i, s, m| outs[0][i] = (s as f32).mul_add(args[0].data[i], m as f32));
    }
    fn vjp(
        &self,
        args: &[View<f32>],
        dy: &[f32],
        _saved: &[f32],
        dargs: &mut [Grad],
        _scratch: &mut [f32],
    ) {
        let dx = dargs[0].to_add();
        if !dx.is_empty() {
            self.each(args, |i, s, _| dx[i] += s as f32 * dy[i]);
        }
    }
}

impl ShiftNoise {
    /// A kernel on the tensors of a pass; n goes by its bits.
    fn launch(&self, kernel: &'static str, x: Shape, tensors: &[Param]) -> Vec<Launch> {
        use Param::*;
        let drawn = [x.len() as u64, self.seed, (x.len() / x.sizes()[0]) as u64].map(U64);
        let own = [U32(x.cols() as u32), U64(self.size.to_bits())];
        vec![Launch::each(kernel, x.len(), &[tensors, &drawn, &own].concat())]
    }
}

impl Kernels for ShiftNoise {
    fn ptx(&self) -> Ptx {
        ptx!("shift_noise")
    }

    fn forward(&self, args: &[Shape], _chip: &Chip) -> Vec<Launch> {
        use Param::*;
        self.launch("shift_noise_forward", args[0], &[Arg(0), Arg(1), Out(0)])
    }

    fn vjp(&self, args: &[Shape], _chip: &Chip) -> Vec<Launch> {
        use Param::*;
        self.launch("shift_noise_dx", args[0], &[Dy, Arg(1), Grad(0)])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SAMPLES: usize = 500;
    const N: f64 = 0.5;

    /// y of x everywhere, `[SAMPLES, 2, 3]`.
    fn forward(x: f64, step: f64, first: f64, samples: usize) -> Vec<f64> {
        let (data, clock) = (vec![x; samples * 6], [step, first]);
        let shape = Shape::new(&[samples, 2, 3]);
        let args = [View::new(shape, &data), View::new(Shape::new(&[2]), &clock)];
        let mut y = vec![0.0; data.len()];
        Reference::forward(&ShiftNoise { size: N, seed: 4 }, &args, &mut [&mut y]);
        y
    }

    fn moments(y: &[f64], col: usize) -> (f64, f64) {
        let column: Vec<f64> = y.iter().skip(col).step_by(3).copied().collect();
        let n = column.len() as f64;
        let mean = column.iter().sum::<f64>() / n;
        (mean, column.iter().map(|y| (y - mean).powi(2)).sum::<f64>() / n)
    }

    #[test]
    fn every_step_and_column_has_a_mean_of_its_own_within_its_range() {
        let mut means = Vec::new();
        for step in 0..20 {
            let y = forward(0.0, step as f64, 0.0, SAMPLES);
            for col in 0..3 {
                let (mean, variance) = moments(&y, col);
                assert!(mean.abs() < N + 0.02, "{mean}");
                // m alone: U(μ ± 0.1) has the variance 0.1²/3, known here to five of 1000's deviations,
                // √((9/5 − 1)/1000) of itself each.
                assert!((variance / (0.01 / 3.0) - 1.0).abs() < 5.0 * 0.0283, "{variance}");
                means.push(mean);
            }
        }
        means.sort_by(f64::total_cmp);
        assert!(means.windows(2).all(|pair| pair[0] < pair[1]));
        assert!(means[0] < -0.3 && means[59] > 0.3, "60 of U(±0.5) reach beyond ±0.3");
    }

    #[test]
    fn the_deviation_is_between_one_and_one_and_a_quarter() {
        for step in 0..10 {
            let (zero, one) =
                (forward(0.0, step as f64, 0.0, 50), forward(1.0, step as f64, 0.0, 50));
            let s: Vec<f64> = one.iter().zip(&zero).map(|(one, zero)| one - zero).collect();
            for col in 0..3 {
                let (mean, variance) = moments(&s, col);
                // σ to five of its 0.1/√100, and N(σ, 0.1²) to five of √(2/100).
                assert!((0.95..1.3).contains(&mean), "{mean}");
                assert!((variance / 0.01 - 1.0).abs() < 0.71, "{variance}");
            }
        }
    }

    #[test]
    fn shards_give_what_the_batch_gives() {
        let whole = forward(1.0, 3.0, 0.0, 7);
        assert_eq!(whole[4 * 6..], forward(1.0, 3.0, 4.0, 3));
    }
}
