//! How numbers are kept in SQLite so that they come back bit for bit.

use super::error::Problem;
use rusqlite::types::{FromSql, FromSqlError, FromSqlResult, ToSql, ToSqlOutput, ValueRef};

/// A float in a column of type `ANY` of a `STRICT` table.
///
/// Such a column applies no conversion, so every finite value (including
/// -0.0 and the denormals) and both infinities are kept as an eight-byte REAL.
/// SQLite turns a bound NaN into NULL; NaN is therefore kept as the text `nan`,
/// which leaves NULL for "absent" and sorts after every number. The payload of
/// a NaN is not kept.
pub(super) struct Real(pub f64);

const NAN: &str = "nan";

impl ToSql for Real {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(if self.0.is_nan() { ToSqlOutput::from(NAN) } else { ToSqlOutput::from(self.0) })
    }
}

impl FromSql for Real {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
        match value {
            ValueRef::Real(value) => Ok(Self(value)),
            ValueRef::Text(text) if text == NAN.as_bytes() => Ok(Self(f64::NAN)),
            _ => Err(FromSqlError::InvalidType),
        }
    }
}

/// SQLite integers are signed; counts beyond them are refused, not wrapped.
pub(super) fn signed(name: &str, value: u64) -> Result<i64, Problem> {
    i64::try_from(value).map_err(|_| {
        Problem::OutOfRange(format!("{name} = {value}; allowed is at most {}", i64::MAX))
    })
}

/// A count as read from a column.
pub(super) struct Count(pub u64);

impl FromSql for Count {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
        let value = value.as_i64()?;
        u64::try_from(value).map(Self).map_err(|_| FromSqlError::OutOfRange(value))
    }
}

/// The choice that an identifier in a column names; nothing there is the default.
pub(super) fn named<C: Copy + Default, const N: usize>(
    word: Option<String>,
    choices: [C; N],
    id: fn(C) -> &'static str,
) -> Result<C, Problem> {
    let Some(word) = word else { return Ok(C::default()) };
    let found = choices.into_iter().find(|&choice| id(choice) == word);
    found.ok_or_else(|| Problem::Damaged(format!("{word:?} in place of a choice")))
}
