//! A column of numbers of a CSV file: comma separated, a header in line 1, dates in ascending order.
//!
//! What is otherwise is refused with the line and the column; nothing is guessed.

use csv::{ErrorKind, Position, ReaderBuilder, StringRecord, Trim};

use super::cell::shown;
use super::dates::Dates;
use crate::setting::Invalid;
use crate::task::source;

/// A number and the line that it stands in.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Cell {
    /// The line, the first of the file being 1.
    pub line: u64,
    /// The number.
    pub value: f64,
}

/// The numbers of the column `name` in the bytes of the file `path`.
///
/// # Errors
/// Where the file is no such table, has no such column, or a cell of it is no finite number.
pub fn column(path: &str, bytes: &[u8], name: &str) -> Result<Vec<Cell>, Invalid> {
    let refused = |allowed: String| Invalid::new("series", path, allowed);
    if let Some(kind) = source::kind(bytes) {
        return Err(refused(format!("a comma separated text; this is {kind}")));
    }
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    let mut reader = ReaderBuilder::new().has_headers(false).trim(Trim::All).from_reader(bytes);
    let mut record = StringRecord::new();
    let mut lines = Lines { bytes, at: 0, line: 1 };
    let mut next = |record: &mut StringRecord| {
        let read = reader.read_record(record);
        let read = read.map_err(|error| refused(broken(error.kind(), &mut lines)))?;
        Ok(read.then(|| lines.of(record.position())))
    };
    if next(&mut record)?.is_none() {
        return Err(refused(
            "a header in line 1 and rows behind it; this one is empty".to_string(),
        ));
    }
    let index = index(&record, name).map_err(|wrong| match wrong {
        Wrong::Table(allowed) => refused(allowed),
        Wrong::Column(allowed) => Invalid::new("column", name, allowed),
    })?;
    let header = record.clone();
    let (mut cells, mut dates) = (Vec::new(), None);
    while let Some(line) = next(&mut record)? {
        let dates = dates.get_or_insert_with(|| Dates::find(&header, &record));
        dates.check(line, &record).map_err(refused)?;
        let text = &record[index];
        let value = text.parse().ok().filter(|value: &f64| value.is_finite());
        let value = value.ok_or_else(|| {
            let (name, text) = (shown(name), shown(text));
            refused(format!("a number such as 1234.5 in line {line}, column {name}, not {text}"))
        })?;
        cells.push(Cell { line, value });
    }
    Ok(cells)
}

/// What is wrong with a header.
enum Wrong {
    Table(String),
    Column(String),
}

/// Which column has the name.
fn index(header: &StringRecord, name: &str) -> Result<usize, Wrong> {
    let mut found = (0..header.len()).filter(|&i| &header[i] == name);
    match (found.next(), found.next()) {
        (Some(index), None) if !name.is_empty() => return Ok(index),
        (Some(_), Some(_)) if !name.is_empty() => {
            return Err(Wrong::Column("a name that one column has; several have it".to_string()));
        }
        _ => {}
    }
    for (mark, word) in [(';', "semicolons"), ('\t', "tabs")] {
        if header.len() == 1 && header[0].contains(mark) {
            let allowed = format!("columns that commas separate; in line 1 {word} do");
            return Err(Wrong::Table(allowed));
        }
    }
    if let Some(number) = header.iter().find(|cell| cell.parse::<f64>().is_ok()) {
        let number = shown(number);
        let allowed = format!("the names of the columns in line 1; it has {number}");
        return Err(Wrong::Table(allowed));
    }
    let names: Vec<String> = header.iter().map(shown).collect();
    Err(Wrong::Column(format!("one of the columns of the series: {}", names.join(", "))))
}

/// Lines, counted from the front. The reader's own number is of the place behind the record before,
/// from where a line break may still be to come.
struct Lines<'a> {
    bytes: &'a [u8],
    at: usize,
    line: u64,
}

impl Lines<'_> {
    /// The line of a record that begins at a position, or behind the line breaks there.
    fn of(&mut self, position: Option<&Position>) -> u64 {
        let from = position.map_or(0, |position| position.byte() as usize).min(self.bytes.len());
        let breaks = self.bytes[from..].iter().take_while(|byte| matches!(byte, b'\r' | b'\n'));
        let to = from + breaks.count();
        // A carriage return ends a line where no line feed does.
        let ends = |i: &usize| match self.bytes[*i] {
            b'\n' => true,
            b'\r' => self.bytes.get(i + 1) != Some(&b'\n'),
            _ => false,
        };
        self.line += (self.at..to).filter(ends).count() as u64;
        self.at = self.at.max(to);
        self.line
    }
}

/// What a broken table should be.
fn broken(kind: &ErrorKind, lines: &mut Lines) -> String {
    match kind {
        ErrorKind::UnequalLengths { pos, expected_len, len } => {
            let line = lines.of(pos.as_ref());
            format!("{expected_len} cells in every line, as line 1 has; line {line} has {len}")
        }
        ErrorKind::Utf8 { pos, err } => {
            let (line, column) = (lines.of(pos.as_ref()), err.field() + 1);
            format!("a text in UTF-8; line {line}, column number {column}, is none")
        }
        other => format!("a readable table ({other:?})"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TABLE: &str = "Date,Open,Close\n1/4/1999,1,2.5\n1/5/1999,3,-4e2\n2/1/1999,3,5\n";

    fn read(text: &str, name: &str) -> Result<Vec<(u64, f64)>, String> {
        let cells = column("a.csv", text.as_bytes(), name).map_err(|refused| refused.to_string());
        Ok(cells?.iter().map(|cell| (cell.line, cell.value)).collect())
    }

    #[test]
    fn a_column_is_read_however_lines_end_and_numbers_are_quoted() {
        let want = Ok(vec![(2, 2.5), (3, -400.0), (4, 5.0)]);
        let quoted = TABLE.replace("2.5", "\" 2.5\"");
        let unended = TABLE.trim_end().to_string();
        for text in
            [TABLE, &TABLE.replace('\n', "\r\n"), &format!("\u{feff}{TABLE}"), &quoted, &unended]
        {
            assert_eq!(read(text, "Close"), want, "{text:?}");
        }
        let spaced = TABLE.replace("2/1", "\n2/1");
        for text in [&spaced, &spaced.replace('\n', "\r\n"), &spaced.replace('\n', "\r")] {
            assert_eq!(read(text, "Open"), Ok(vec![(2, 1.0), (3, 3.0), (5, 3.0)]), "{text:?}");
        }
    }

    #[test]
    fn what_is_no_table_of_numbers_is_refused_with_line_and_column() {
        let swapped = |from: &str, to: &str| TABLE.replace(from, to);
        let cases = [
            (String::new(), "a header in line 1"),
            (
                swapped("1/5/1999,3,-4e2", "1/5/1999,3"),
                "3 cells in every line, as line 1 has; line 3 has 2",
            ),
            (swapped("2.5", ""), "line 2, column 'Close', not ''"),
            (swapped("-4e2", "NaN"), "line 3, column 'Close', not 'NaN'"),
            (swapped("-4e2", "inf"), "line 3, column 'Close', not 'inf'"),
            (swapped("-4e2", "1e999"), "line 3, column 'Close', not '1e999'"),
            (swapped("2.5", "null"), "line 2, column 'Close', not 'null'"),
            (swapped("2.5", "\"1,234.5\""), "line 2, column 'Close', not '1,234.5'"),
            (swapped("2.5", "\"2,5\""), "line 2, column 'Close', not '2,5'"),
            (swapped("2.5", "2 5\u{7}"), r"not '2 5\u{7}'"),
            (swapped("2.5", &"9x".repeat(40)), "9x9x9x9x9x9x9x9x9x9x9x9x…"),
            (swapped(",", ";"), "columns that commas separate; in line 1 semicolons do"),
            (swapped(",", "\t"), "columns that commas separate; in line 1 tabs do"),
            (swapped("Date,Open,Close\n", ""), "the names of the columns in line 1; it has '1'"),
            (swapped("Open", "Close"), "a name that one column has"),
            (swapped("Close", "Last"), "one of the columns of the series: 'Date', 'Open', 'Last'"),
            (swapped("1/5/1999", "1/3/1999"), "ascend in column 'Date'; '1/3/1999' in line 3"),
            (swapped("1/5/1999", "1/4/1999"), "ascend in column 'Date'; '1/4/1999' in line 3"),
            (swapped("1/5/1999", ""), "a date such as 2024-01-31 or 1/31/2024 in line 3"),
            (swapped("1/5/1999", "soon"), "column 'Date', not 'soon'"),
            (swapped("2/1/1999", "13/32/1999"), "a date such as"),
            ("a\u{0}b".repeat(50), "a comma separated text; this is"),
        ];
        for (text, named) in cases {
            let refused = read(&text, "Close").unwrap_err();
            assert!(refused.contains(named) && !refused.contains('\n'), "{refused}\nnot: {named}");
        }
        let latin1 = b"Close\n1\n\xfc2\n";
        let refused = column("a.csv", latin1, "Close").unwrap_err().to_string();
        assert!(refused.contains("UTF-8; line 3, column number 1"), "{refused}");
        assert!(read(TABLE, "").unwrap_err().starts_with("column = : allowed is one of"));
    }

    #[test]
    fn dates_are_found_by_name_or_place_in_any_usual_form() {
        for [first, second] in [
            ["1999-12-31", "2000-01-01"],
            ["12/31/1999", "1/1/2000"],
            ["31.12.1999", "01.01.2000"],
            ["1999-12-31 10:00", "1999-12-31 11:00"],
            ["1999-12-31T10:00:00Z", "1999-12-31T10:00:01Z"],
            ["946684799", "946684800"],
        ] {
            let table = |a: &str, b: &str| format!("x,TIME\n1,{a}\n2,{b}\n");
            assert!(read(&table(first, second), "x").is_ok(), "{first} {second}");
            assert!(read(&table(second, first), "x").is_err(), "{second} {first}");
            let unnamed = format!("when,x\n{second},1\n{first},2\n");
            // A number that nobody calls a date is none.
            assert_eq!(read(&unnamed, "x").is_ok(), first.starts_with("9466"), "{first}");
        }
        // Days up to 12 may be months; one order holds for all of a column.
        let days = "date,x\n03/04/2000,1\n04/03/2000,2\n13/03/2000,3\n";
        assert!(read(days, "x").unwrap_err().contains("line 4"), "April before March");
    }
}
