//! Random numbers by counter: the value at a place depends on the seed and the place only.
//!
//! So weights do not depend on the order in which they are filled, a dropout mask can be made
//! again in the backward pass, and no result depends on the number of threads.

/// A bijective scramble of 64 bits (the finaliser of SplitMix64; Steele et al. 2014).
pub fn mix(mut z: u64) -> u64 {
    z = z.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// A stream of random numbers that belongs to one seed and one name.
#[derive(Debug, Clone, Copy)]
pub struct Rng {
    key: u64,
    count: u64,
}

impl Rng {
    /// The stream of `seed`.
    pub fn new(seed: u64) -> Self {
        Rng { key: mix(seed), count: 0 }
    }

    /// The independent stream of this one's seed and `name` (FNV-1a of the bytes).
    pub fn named(self, name: &str) -> Self {
        let hash = name
            .bytes()
            .fold(0xcbf2_9ce4_8422_2325u64, |h, b| (h ^ b as u64).wrapping_mul(0x0100_0000_01b3));
        self.at(hash)
    }

    /// The independent stream of this one's seed and the number `index`.
    pub fn at(self, index: u64) -> Self {
        Rng { key: mix(self.key ^ mix(index ^ 0x5851_f42d_4c95_7f2d)), count: 0 }
    }

    /// The next 64 random bits.
    pub fn bits(&mut self) -> u64 {
        let value = mix(self.key ^ mix(self.count));
        self.count += 1;
        value
    }

    /// Uniform in [0, 1), 53 bits.
    pub fn uniform(&mut self) -> f64 {
        (self.bits() >> 11) as f64 * 2f64.powi(-53)
    }

    /// Uniform in 0..n; the bias is below n·2⁻⁵³.
    pub fn below(&mut self, n: usize) -> usize {
        (self.uniform() * n as f64) as usize
    }

    /// A standard normal value.
    pub fn normal(&mut self) -> f64 {
        self.normal_pair().0
    }

    /// Two independent standard normal values (Box & Muller 1958).
    pub fn normal_pair(&mut self) -> (f64, f64) {
        let radius = (-2.0 * (1.0 - self.uniform()).ln()).sqrt();
        let (sin, cos) = (std::f64::consts::TAU * self.uniform()).sin_cos();
        (radius * cos, radius * sin)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_are_those_of_the_law() {
        let mut rng = Rng::new(3).named("test");
        let n = 200_000;
        let (mut mean, mut square) = (0.0, 0.0);
        for _ in 0..n {
            let x = rng.normal();
            mean += x / n as f64;
            square += x * x / n as f64;
        }
        // Five standard errors of the mean and of the mean square.
        assert!(mean.abs() < 5.0 / (n as f64).sqrt());
        assert!((square - 1.0).abs() < 5.0 * (2.0 / n as f64).sqrt());
    }

    #[test]
    fn streams_are_independent_of_order() {
        let root = Rng::new(7);
        let (mut a, mut b) = (root.named("a"), root.named("b"));
        let first = (a.bits(), b.bits());
        let (mut b, mut a) = (root.named("b"), root.named("a"));
        assert_eq!((a.bits(), b.bits()), (first.0, first.1));
    }
}
