//! Finding a run by what a person types.

use super::error::Problem;
use rusqlite::Connection;

/// How many identifiers an error names.
const SHOWN: usize = 3;

/// The key of the run with this identifier, or with this unique prefix of one.
pub(super) fn find(conn: &Connection, id: &str) -> Result<i64, Problem> {
    let mut statement = conn.prepare_cached("SELECT key, id FROM run ORDER BY id")?;
    let runs: Vec<(i64, String)> =
        statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?.collect::<Result<_, _>>()?;
    if let Some((key, _)) = runs.iter().find(|(_, other)| other == id) {
        return Ok(*key);
    }
    let fits: Vec<_> =
        runs.iter().filter(|(_, other)| !id.is_empty() && other.starts_with(id)).collect();
    match fits.as_slice() {
        [(key, _)] => Ok(*key),
        [] => Err(Problem::UnknownRun { id: id.to_owned(), nearest: nearest(id, &runs) }),
        several => Err(Problem::AmbiguousRun {
            prefix: id.to_owned(),
            matches: several.iter().take(SHOWN).map(|(_, id)| id.clone()).collect(),
            count: several.len(),
        }),
    }
}

/// The identifiers that the fewest edits turn into the one asked for.
fn nearest(id: &str, runs: &[(i64, String)]) -> Vec<String> {
    let mut ranked: Vec<_> = runs.iter().map(|(_, other)| (distance(id, other), other)).collect();
    ranked.sort();
    ranked.into_iter().take(SHOWN).map(|(_, id)| id.clone()).collect()
}

/// The number of characters to insert, delete or replace.
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.chars().enumerate() {
        let mut diagonal = i;
        row[0] = i + 1;
        for (j, y) in b.iter().enumerate() {
            let replaced = diagonal + usize::from(x != *y);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(diagonal + 1).min(row[j] + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::distance;

    #[test]
    fn distance_counts_edits() {
        assert_eq!(distance("", ""), 0);
        assert_eq!(distance("", "abc"), 3);
        assert_eq!(distance("abc", ""), 3);
        assert_eq!(distance("kitten", "sitting"), 3);
        assert_eq!(distance("flaw", "lawn"), 2);
    }
}
