//! Amounts of memory: 2GiB, 500MB, 1073741824.

use super::Setting;
use crate::memory::UNITS;

/// The most memory that a run may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Memory {
    /// What is free on the machine.
    Auto,
    /// So many bytes.
    Bytes(u64),
}

impl Memory {
    fn parse(text: &str) -> Option<Memory> {
        let text = text.trim();
        if text.is_empty() || text == "auto" {
            return Some(Memory::Auto);
        }
        let named = UNITS.iter().find_map(|(unit, size)| Some((text.strip_suffix(unit)?, *size)));
        let (number, size) = named.unwrap_or((text, 1));
        let number = number.trim();
        // Whole numbers are exact, whatever their size; a part of a byte is nothing.
        let bytes = match number.parse::<u64>() {
            Ok(whole) => whole.checked_mul(size)?,
            Err(_) => {
                let part: f64 = number.parse().ok()?;
                let bytes = part * size as f64;
                (bytes >= 1.0 && bytes < u64::MAX as f64 && size > 1).then_some(bytes as u64)?
            }
        };
        (bytes > 0).then_some(Memory::Bytes(bytes))
    }
}

impl Setting for Memory {
    fn read(text: &str) -> Result<Self, String> {
        let allowed = "auto, or an amount above 0 such as 2GiB, 512MiB, 1.5GB or 800000000 (bytes)";
        Memory::parse(text).ok_or_else(|| allowed.to_string())
    }
    fn show(&self) -> String {
        match self {
            Memory::Auto => "auto".to_string(),
            Memory::Bytes(bytes) => {
                let whole = |unit: &&(&str, u64)| unit.1 > 1 && bytes.is_multiple_of(unit.1);
                match UNITS.iter().find(whole) {
                    Some((unit, size)) => format!("{}{unit}", bytes / size),
                    None => bytes.to_string(),
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::memory::amount;

    #[test]
    fn amounts_read_as_written() {
        let read = |text: &str| Memory::read(text).ok();
        assert_eq!(read("2GiB"), Some(Memory::Bytes(2 << 30)));
        assert_eq!(read("1.5 GB"), Some(Memory::Bytes(1_500_000_000)));
        assert_eq!(read("64KiB"), Some(Memory::Bytes(65536)));
        assert_eq!(read("123"), Some(Memory::Bytes(123)));
        assert_eq!(read("123B"), Some(Memory::Bytes(123)));
        assert_eq!(read(""), Some(Memory::Auto));
        for wrong in ["0", "-1GiB", "NaN", "GiB", "2 gib", "1e30GiB", "inf", "0.5", "2.5B", "x"] {
            assert_eq!(read(wrong), None, "{wrong}");
        }
        for text in ["auto", "3MiB", "1001", "18446744073709551615", "7GB"] {
            assert_eq!(Memory::read(text).unwrap().show(), text);
        }
    }

    #[test]
    fn people_read_large_units() {
        assert_eq!(amount(3 << 29), "1.5 GiB");
        assert_eq!(amount(1000), "1000 B");
    }
}
