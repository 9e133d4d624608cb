//! A checksum of what is kept.

/// A fast checksum of 64-bit words.
///
/// Every step is a bijection of the state, so a change confined to one word is
/// always noticed and other damage goes unnoticed with probability 2^-64. It
/// protects against accidents, not against forgery.
pub(super) struct Hash(pub(super) u64);

impl Hash {
    pub fn new() -> Self {
        Self(0x9e37_79b9_7f4a_7c15)
    }

    pub fn word(&mut self, word: u64) {
        self.0 = (self.0.rotate_left(23) ^ word).wrapping_mul(0xd6e8_feb8_6659_fd93);
    }

    pub fn float(&mut self, value: f64) {
        // The store does not keep NaN payloads, so neither does the hash.
        self.word(if value.is_nan() { f64::NAN.to_bits() } else { value.to_bits() });
    }

    pub fn optional(&mut self, value: Option<f64>) {
        self.word(u64::from(value.is_some()));
        self.float(value.unwrap_or(0.0));
    }

    pub fn bytes(&mut self, bytes: &[u8]) {
        self.word(bytes.len() as u64);
        self.tail(bytes);
    }

    /// Bytes that are followed by more: whole words.
    pub fn words(&mut self, bytes: &[u8]) {
        debug_assert!(bytes.len().is_multiple_of(8));
        for word in bytes.as_chunks::<8>().0 {
            self.word(u64::from_le_bytes(*word));
        }
    }

    /// The last bytes of a body whose length came first.
    pub fn tail(&mut self, bytes: &[u8]) {
        let (words, rest) = bytes.as_chunks::<8>();
        self.words(words.as_flattened());
        let mut last = [0; 8];
        last[..rest.len()].copy_from_slice(rest);
        self.word(u64::from_le_bytes(last));
    }

    /// The hash in the signed form in which SQLite keeps it.
    pub fn finish(&self) -> i64 {
        self.0.cast_signed()
    }
}
