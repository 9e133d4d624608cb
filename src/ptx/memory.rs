//! Global memory of the device: buffers, with gaps between them that belong to nobody.

use super::fault::Fault;
use super::shadow::Shadow;

/// A buffer of global memory, by its place.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Buffer {
    address: u64,
    bytes: u64,
}

impl Buffer {
    /// The address of its first byte.
    pub fn address(self) -> u64 {
        self.address
    }

    /// Its size.
    pub fn bytes(self) -> u64 {
        self.bytes
    }
}

/// Bytes, which of them were written, and who touched them in this launch.
#[derive(Clone, Debug)]
pub(super) struct Region {
    pub name: String,
    pub base: u64,
    pub data: Vec<u8>,
    pub written: Vec<bool>,
    pub shadow: Shadow,
    pub read_only: bool,
    pub traffic: super::statistics::Traffic,
}

impl Region {
    pub fn new(name: &str, base: u64, bytes: u64) -> Self {
        Self {
            name: name.to_string(),
            base,
            data: vec![0; bytes as usize],
            written: vec![false; bytes as usize],
            shadow: Shadow::default(),
            read_only: false,
            traffic: super::statistics::Traffic::default(),
        }
    }

    pub fn size(&self) -> u64 {
        self.data.len() as u64
    }

    /// The offset of an access, if it lies within.
    pub fn offset(&self, address: u64, bytes: u64) -> Option<u64> {
        let offset = address.checked_sub(self.base)?;
        (offset.checked_add(bytes)? <= self.size()).then_some(offset)
    }

    /// A value of up to eight bytes.
    pub fn load(&self, offset: u64, bytes: u64) -> u64 {
        let at = offset as usize;
        let source = &self.data[at..at + bytes as usize];
        match *source {
            [a, b, c, d] => u64::from(u32::from_le_bytes([a, b, c, d])),
            _ => source.iter().rev().fold(0, |value, &byte| (value << 8) | u64::from(byte)),
        }
    }

    pub fn store(&mut self, offset: u64, bytes: u64, value: u64) {
        let (at, n) = (offset as usize, bytes as usize);
        match (&mut self.data[at..at + n], &mut self.written[at..at + n]) {
            // Most values are words.
            (data @ [_, _, _, _], written @ [_, _, _, _]) => {
                data.copy_from_slice(&(value as u32).to_le_bytes());
                written.copy_from_slice(&[true; 4]);
            }
            (data, written) => {
                data.copy_from_slice(&value.to_le_bytes()[..n]);
                written.fill(true);
            }
        }
    }

    /// The first byte of an access that nobody has written.
    pub fn unwritten(&self, offset: u64, bytes: u64) -> Option<u64> {
        let at = offset as usize;
        let written = &self.written[at..at + bytes as usize];
        if let &[a, b, c, d] = written
            && a & b & c & d
        {
            return None;
        }
        let gap = written.iter().position(|&written| !written)?;
        Some(offset + gap as u64)
    }
}

/// Where buffers begin; low addresses are nobody's, so that a small number is no pointer.
const FIRST: u64 = 0x1_0000_0000;
/// What lies at least between two buffers.
const GAP: u64 = 1 << 20;
/// What every buffer's address is a multiple of.
const ALIGN: u64 = 256;

/// Global memory of the device.
#[derive(Clone, Debug)]
pub struct Memory {
    pub(super) regions: Vec<Region>,
    next: u64,
    /// Variables of modules: identity of the module, number of the variable, region.
    pub(super) variables: Vec<(u64, u32, u64)>,
}

impl Default for Memory {
    fn default() -> Self {
        Self::new()
    }
}

impl Memory {
    /// Memory without any buffer.
    pub fn new() -> Self {
        Self { regions: Vec::new(), next: FIRST, variables: Vec::new() }
    }

    /// A new buffer; nobody has written a byte of it. The name is for messages.
    pub fn allocate(&mut self, name: &str, bytes: u64) -> Buffer {
        let address = self.next;
        self.regions.push(Region::new(name, address, bytes));
        self.next = (address + bytes + GAP).next_multiple_of(ALIGN);
        Buffer { address, bytes }
    }

    /// A new buffer that holds the singles given.
    pub fn upload_f32(&mut self, name: &str, values: &[f32]) -> Buffer {
        let buffer = self.allocate(name, 4 * values.len() as u64);
        let bytes: Vec<u8> = values.iter().flat_map(|v| v.to_le_bytes()).collect();
        self.place(buffer.address, &bytes);
        buffer
    }

    /// Writes from the first byte on.
    pub fn write(&mut self, buffer: Buffer, bytes: &[u8]) -> Result<(), Fault> {
        self.write_at(buffer, 0, bytes)
    }

    /// Writes singles from the first byte on.
    pub fn write_f32(&mut self, buffer: Buffer, values: &[f32]) -> Result<(), Fault> {
        let bytes: Vec<u8> = values.iter().flat_map(|v| v.to_le_bytes()).collect();
        self.write(buffer, &bytes)
    }

    /// Reads so many bytes from the first on; reading what nobody wrote is a fault.
    pub fn read(&self, buffer: Buffer, bytes: usize) -> Result<Vec<u8>, Fault> {
        self.read_at(buffer, 0, bytes)
    }

    /// Reads so many singles from the first byte on; reading what nobody wrote is a fault.
    pub fn read_f32(&self, buffer: Buffer, count: usize) -> Result<Vec<f32>, Fault> {
        let bytes = self.read(buffer, count.saturating_mul(4))?;
        let word = |w: &[u8]| f32::from_le_bytes([w[0], w[1], w[2], w[3]]);
        Ok(bytes.chunks_exact(4).map(word).collect())
    }

    /// Makes every byte of a buffer one that nobody has written.
    pub fn forget(&mut self, buffer: Buffer) {
        if let Some((index, _)) = self.find(buffer.address, buffer.bytes) {
            self.regions[index].written.fill(false);
        }
    }

    pub(super) fn place(&mut self, address: u64, bytes: &[u8]) {
        if let Some((index, offset)) = self.find(address, bytes.len() as u64) {
            let region = &mut self.regions[index];
            let at = offset as usize;
            region.data[at..at + bytes.len()].copy_from_slice(bytes);
            region.written[at..at + bytes.len()].fill(true);
        }
    }

    /// The region an access lies in, and where.
    pub(super) fn find(&self, address: u64, bytes: u64) -> Option<(usize, u64)> {
        // Regions ascend by their base.
        let index = self.regions.partition_point(|region| region.base <= address).checked_sub(1)?;
        let offset = self.regions[index].offset(address, bytes)?;
        Some((index, offset))
    }

    /// The same, where the region is likely the one given.
    pub(super) fn find_near(&self, near: usize, address: u64, bytes: u64) -> Option<(usize, u64)> {
        let offset = self.regions.get(near).and_then(|region| region.offset(address, bytes));
        offset.map_or_else(|| self.find(address, bytes), |offset| Some((near, offset)))
    }

    /// In words, where an address that lies outside of all buffers is.
    pub(super) fn whereabouts(&self, address: u64, bytes: u64) -> String {
        let distance = |region: &Region| {
            let behind = address.saturating_add(bytes).saturating_sub(region.base + region.size());
            let before = region.base.saturating_sub(address);
            behind.max(before)
        };
        let Some(nearest) = self.regions.iter().min_by_key(|region| distance(region)) else {
            return format!("{bytes} bytes at address {address:#x}, but there is no buffer");
        };
        if address < nearest.base {
            let before = nearest.base - address;
            format!("{bytes} bytes that begin {before} bytes before `{}`", nearest.name)
        } else {
            let name = &nearest.name;
            let (size, offset) = (nearest.size(), address - nearest.base);
            format!("{bytes} bytes at offset {offset} of `{name}`, which has {size} bytes")
        }
    }
}
