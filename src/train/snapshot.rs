//! The state of a training run as bytes, so that a run that was stopped goes on with the same bits.
//!
//! Layout, little-endian: the mark, the step, the four lengths, then parameters, first moments,
//! second moments and states, 4 bytes a number in `f32` and 8 in `f64`. The store guards the
//! bytes with a checksum of its own.

use super::Trainer;
use crate::backend::Element;

const MARK: &[u8; 8] = b"PLUMSNP1";

/// A snapshot does not belong to this run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Unusable;

impl<T: Element> Trainer<T> {
    /// Everything that the next step depends on.
    pub fn snapshot(&self) -> Vec<u8> {
        let vectors = [&self.parameters, &self.optimizer.m, &self.optimizer.v, &self.states];
        let numbers: usize = vectors.iter().map(|vector| vector.len()).sum();
        // The exact size at once: growing would hold a deep stack's state twice over.
        let mut bytes = Vec::with_capacity(48 + numbers * size_of::<T>());
        bytes.extend(MARK);
        bytes.extend((self.step as u64).to_le_bytes());
        for vector in vectors {
            bytes.extend((vector.len() as u64).to_le_bytes());
        }
        for number in vectors.into_iter().flatten() {
            if size_of::<T>() == 4 {
                bytes.extend((number.value() as f32).to_le_bytes());
            } else {
                bytes.extend(number.value().to_le_bytes());
            }
        }
        bytes
    }

    /// Goes back to a snapshot of this run.
    ///
    /// # Errors
    /// Where the snapshot is of another shape; nothing is changed then.
    pub fn restore(&mut self, bytes: &[u8]) -> Result<(), Unusable> {
        let word = |at: usize| -> Result<u64, Unusable> {
            let word = bytes.get(at..at + 8).ok_or(Unusable)?;
            Ok(u64::from_le_bytes(word.try_into().expect("eight bytes")))
        };
        if !bytes.starts_with(MARK) {
            return Err(Unusable);
        }
        let step = word(8)? as usize;
        let mut vectors =
            [&mut self.parameters, &mut self.optimizer.m, &mut self.optimizer.v, &mut self.states];
        for (i, vector) in vectors.iter().enumerate() {
            if word(16 + 8 * i)? != vector.len() as u64 {
                return Err(Unusable);
            }
        }
        let size = size_of::<T>();
        let total: usize = vectors.iter().map(|v| v.len()).sum();
        let numbers = &bytes[48..];
        if numbers.len() != total * size {
            return Err(Unusable);
        }
        let mut numbers = numbers.chunks_exact(size);
        for number in vectors.iter_mut().flat_map(|vector| vector.iter_mut()) {
            let bytes = numbers.next().expect("as many as counted");
            *number = T::num(match bytes.try_into() {
                Ok(four) => f32::from_le_bytes(four) as f64,
                Err(_) => f64::from_le_bytes(bytes.try_into().expect("eight bytes")),
            });
        }
        self.step = step;
        Ok(())
    }
}
