//! Parts of buffers: what a host does with them between launches.

use super::fault::{Fault, FaultKind};
use super::memory::{Buffer, Memory};

impl Memory {
    /// Gives a buffer back; whatever uses it afterwards is out of bounds.
    pub fn free(&mut self, buffer: Buffer) {
        self.regions.retain(|region| region.base != buffer.address());
    }

    /// Writes from byte `at` of a buffer on.
    ///
    /// # Errors
    /// Where that goes beyond the buffer.
    pub fn write_at(&mut self, buffer: Buffer, at: u64, bytes: &[u8]) -> Result<(), Fault> {
        self.within(buffer, at, bytes.len())?;
        self.place(buffer.address() + at, bytes);
        Ok(())
    }

    /// Reads so many bytes of a buffer, from byte `at` on.
    ///
    /// # Errors
    /// Where that goes beyond the buffer, or nobody has written one of them.
    pub fn read_at(&self, buffer: Buffer, at: u64, bytes: usize) -> Result<Vec<u8>, Fault> {
        let (index, offset) = self.within(buffer, at, bytes)?;
        let region = &self.regions[index];
        if let Some(gap) = region.unwritten(offset, bytes as u64) {
            let detail = format!("byte {gap} of `{}` was never written", region.name);
            return Err(Fault::plain(FaultKind::UnwrittenMemory, "", detail));
        }
        Ok(region.data[offset as usize..offset as usize + bytes].to_vec())
    }

    /// Copies so many bytes; both ends are a buffer and the first byte within it.
    ///
    /// # Errors
    /// Where that goes beyond a buffer, or copies what nobody has written.
    pub fn copy(
        &mut self,
        (from, from_at): (Buffer, u64),
        (to, to_at): (Buffer, u64),
        bytes: usize,
    ) -> Result<(), Fault> {
        let bytes = self.read_at(from, from_at, bytes)?;
        self.write_at(to, to_at, &bytes)
    }

    /// The region of a part of a buffer, and where in it the part begins.
    fn within(&self, buffer: Buffer, at: u64, bytes: usize) -> Result<(usize, u64), Fault> {
        let end = at.checked_add(bytes as u64).filter(|&end| end <= buffer.bytes());
        end.and_then(|_| self.find(buffer.address() + at, bytes as u64)).ok_or_else(|| {
            let detail = format!("{bytes} bytes from {at} on, of a buffer of {}", buffer.bytes());
            Fault::plain(FaultKind::OutOfBounds, "", detail)
        })
    }
}
