//! The state of a training run as bytes, so that a run that was stopped goes on with the same bits.
//!
//! Layout, little-endian: the mark, the step, the four lengths, then parameters, first moments,
//! second moments and states, 4 bytes a number in `f32` and 8 in `f64`. The store guards the
//! bytes with a checksum of its own.

use std::ops::Range;

use super::Trainer;
use crate::backend::Backend;
use crate::num::Num;

const MARK: &[u8; 8] = b"PLUMSNP1";

/// Bytes before the numbers.
const HEAD: usize = 48;
/// Numbers in a piece.
const PIECE: usize = 1 << 14;

fn bytes_of<T: Num>(numbers: &[T]) -> Vec<u8> {
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

/// The pieces of a vector of so many numbers.
fn pieces(len: usize) -> impl Iterator<Item = Range<usize>> {
    (0..len).step_by(PIECE).map(move |from| from..len.min(from + PIECE))
}

/// A snapshot does not belong to this run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Unusable;

impl<B: Backend> Trainer<B> {
    /// Everything that the next step depends on.
    pub fn snapshot(&self) -> Vec<u8> {
        let (len, pieces) = self.snapshot_pieces();
        let mut bytes = Vec::with_capacity(len);
        pieces.for_each(|piece| bytes.extend(piece));
        bytes
    }

    /// Lengths of the vectors of a snapshot: parameters, first and second moments, states.
    fn lens(&self) -> [usize; 4] {
        let numbers = self.program().parameters();
        let second = if self.rule.has_second_moment() { numbers } else { 0 };
        let states = self.program().states().map(|(_, value)| value.shape.len()).sum();
        [numbers, numbers, second, states]
    }

    /// As [`Trainer::snapshot`]: its length in bytes, and its pieces in order. A piece is small,
    /// so that whoever writes one after the other needs little memory beside the run.
    pub(super) fn snapshot_pieces(&self) -> (usize, impl Iterator<Item = Vec<u8>> + '_) {
        let lens = self.lens();
        let mut head = Vec::with_capacity(HEAD);
        head.extend(MARK);
        head.extend((self.step as u64).to_le_bytes());
        for len in lens {
            head.extend((len as u64).to_le_bytes());
        }
        let vectors = [&self.parameters, &self.m, &self.v, &self.states].into_iter().zip(lens);
        let read = |vector, range| bytes_of(&self.backend.download(vector, range));
        let numbers = vectors
            .flat_map(move |(vector, len)| pieces(len).map(move |range| read(vector, range)))
            // What a failed device holds is nothing.
            .take_while(|_| self.backend.failure().is_none());
        let bytes = HEAD + lens.iter().sum::<usize>() * size_of::<B::Number>();
        (bytes, std::iter::once(head).chain(numbers))
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
        let lens = self.lens();
        for (i, &len) in lens.iter().enumerate() {
            if word(16 + 8 * i)? != len as u64 {
                return Err(Unusable);
            }
        }
        let size = size_of::<B::Number>();
        let numbers = &bytes[HEAD..];
        if numbers.len() != lens.iter().sum::<usize>() * size {
            return Err(Unusable);
        }
        let mut numbers = numbers.chunks_exact(size).map(|bytes| {
            B::Number::num(match bytes.try_into() {
                Ok(four) => f32::from_le_bytes(four) as f64,
                Err(_) => f64::from_le_bytes(bytes.try_into().expect("eight bytes")),
            })
        });
        let vectors = [&mut self.parameters, &mut self.m, &mut self.v, &mut self.states];
        for (vector, len) in vectors.into_iter().zip(lens) {
            self.backend.upload(vector, 0..len, |to| {
                to.iter_mut().zip(&mut numbers).for_each(|(to, number)| *to = number);
            });
        }
        self.step = step;
        Ok(())
    }
}
