//! Windows of a long sequence, of which the last part is held out: where those of a batch begin.

use super::Wanted;
use crate::rng::Rng;

/// A sequence as far as windows depend on it. A window is one longer than what is read: its last
/// element is a target only.
#[derive(Debug, Clone, Copy)]
pub(super) struct Windows {
    /// Elements of the whole.
    pub length: usize,
    /// Elements of the training part, which comes first.
    pub training: usize,
}

impl Windows {
    /// Where the windows of a training step begin.
    pub fn training(self, wanted: &Wanted, step: usize) -> impl Iterator<Item = usize> + use<> {
        let mut rng = Rng::new(wanted.seed).named("batches").at(step as u64);
        let places = self.training - wanted.seq;
        (0..wanted.batch).map(move |_| rng.below(places))
    }

    /// Batches that cover everything that is held out.
    pub fn held_out_batches(self, wanted: &Wanted) -> usize {
        let targets = self.length - self.training - 1;
        targets.div_ceil(wanted.batch * wanted.seq)
    }

    /// Where the windows of held-out batch number `index` of `of` begin: the same for every seed and
    /// every run.
    pub fn held_out(
        self,
        wanted: &Wanted,
        index: usize,
        of: usize,
    ) -> impl Iterator<Item = usize> + use<> {
        let last = self.length - self.training - wanted.seq - 1;
        let spaces = (of * wanted.batch - 1).max(1);
        let numbers = index * wanted.batch..(index + 1) * wanted.batch;
        numbers.map(move |number| self.training + number * last / spaces)
    }
}
