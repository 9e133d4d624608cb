//! Any bytes: a column of a table is read or refused, and nothing worse.
//!
//! The first line is the name of the column, the rest is the table.
#![no_main]

use libfuzzer_sys::fuzz_target;
use plummet::task::series::table;

fuzz_target!(|bytes: &[u8]| {
    let end = bytes.iter().position(|&byte| byte == b'\n').unwrap_or(bytes.len());
    let name = String::from_utf8_lossy(&bytes[..end]);
    let rows = bytes.get(end + 1..).unwrap_or_default();
    match table::column("file", rows, &name) {
        Ok(cells) => {
            assert!(cells.iter().all(|cell| cell.value.is_finite() && cell.line > 1));
            assert!(cells.is_sorted_by(|a, b| a.line < b.line));
        }
        Err(invalid) => {
            assert!(["series", "column"].contains(&invalid.field.as_str()), "{invalid:?}");
            assert!(!invalid.allowed.is_empty(), "{invalid:?}");
            assert!(!invalid.allowed.contains(char::is_control), "{invalid:?}");
        }
    }
});
