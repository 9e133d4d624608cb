//! The state of a training run as bytes, so that a run that was stopped goes on with the same bits.
//!
//! Layout, little-endian: the mark, the step, the four lengths, then parameters, first moments,
//! second moments and states, 4 bytes a number in `f32` and 8 in `f64`. The store guards the
//! bytes with a checksum of its own.

use super::Trainer;
use crate::backend::Element;

const MARK: &[u8; 8] = b"PLUMSNP1";

/// Bytes before the numbers.
const HEAD: usize = 48;
/// Numbers in a piece.
const PIECE: usize = 1 << 14;

fn bytes_of<T: Element>(numbers: &[T]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(size_of_val(numbers));
    for number in numbers {
        if size_of::<T>() == 4 {
            bytes.extend((number.value() as f32).to_le_bytes());
        } else {
            bytes.extend(number.value().to_le_bytes());
        }
    }
    bytes
}

/// A snapshot does not belong to this run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Unusable;

impl<T: Element> Trainer<T> {
    /// Everything that the next step depends on.
    pub fn snapshot(&self) -> Vec<u8> {
        let (len, pieces) = self.snapshot_pieces();
        let mut bytes = Vec::with_capacity(len);
        pieces.for_each(|piece| bytes.extend(piece));
        bytes
    }

    /// As [`Trainer::snapshot`]: its length in bytes, and its pieces in order. A piece is small,
    /// so that whoever writes one after the other needs little memory beside the run.
    pub(super) fn snapshot_pieces(&self) -> (usize, impl Iterator<Item = Vec<u8>> + '_) {
        let vectors = [&self.parameters, &self.optimizer.m, &self.optimizer.v, &self.states];
        let mut head = Vec::with_capacity(HEAD);
        head.extend(MARK);
        head.extend((self.step as u64).to_le_bytes());
        for vector in vectors {
            head.extend((vector.len() as u64).to_le_bytes());
        }
        let numbers: usize = vectors.iter().map(|vector| vector.len()).sum();
        let pieces = vectors.into_iter().flat_map(|vector| vector.chunks(PIECE)).map(bytes_of);
        (HEAD + numbers * size_of::<T>(), std::iter::once(head).chain(pieces))
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
        let numbers = &bytes[HEAD..];
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
