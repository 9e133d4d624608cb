//! The dates of a table, which have to ascend: a series that runs backwards predicts the past.

use csv::StringRecord;

use super::cell::shown;

/// Names of a column of dates, in small letters.
const NAMES: [&str; 4] = ["date", "time", "datetime", "timestamp"];

/// How a date is written.
#[derive(Debug, Clone, Copy)]
enum Form {
    YearMonthDay,
    MonthDayYear,
    DayMonthYear,
    /// Any number, such as seconds, or 20240131.
    Number,
}

/// A day or a number, and what stands behind the day.
type Moment = (f64, String);

impl Form {
    /// The moment that a cell says.
    fn read(self, text: &str) -> Option<Moment> {
        if let Form::Number = self {
            return text.parse().ok().filter(|n: &f64| n.is_finite()).map(|n| (n, String::new()));
        }
        let (date, time) = text.split_once([' ', 'T']).unwrap_or((text, ""));
        let parts: Vec<&str> = date.split(['-', '/', '.']).collect();
        let digits = |part: &&str| part.bytes().all(|b| b.is_ascii_digit());
        let &[a, b, c] = parts.as_slice() else { return None };
        let [year, month, day] = match self {
            Form::YearMonthDay => [a, b, c],
            Form::MonthDayYear => [c, a, b],
            _ => [c, b, a],
        };
        let sizes = year.len() == 4 && month.len() <= 2 && day.len() <= 2;
        if !sizes || !parts.iter().all(digits) {
            return None;
        }
        let [year, month, day]: [u32; 3] =
            [year.parse().ok()?, month.parse().ok()?, day.parse().ok()?];
        let exists = (1..=12).contains(&month) && (1..=31).contains(&day);
        exists.then(|| (f64::from(year * 10_000 + month * 100 + day), time.to_string()))
    }
}

/// The column of dates, and the forms in which all of it so far has been dates that ascend.
#[derive(Debug)]
pub(super) struct Dates {
    column: usize,
    name: String,
    forms: Vec<(Form, Option<Moment>)>,
}

impl Dates {
    /// The column of dates by its name, or the first one where its first cell is a date; where there is
    /// none, nothing is checked.
    pub fn find(header: &StringRecord, first: &StringRecord) -> Dates {
        let named =
            (0..header.len()).find(|&i| NAMES.contains(&header[i].to_ascii_lowercase().as_str()));
        let column = named.unwrap_or(0);
        let mut forms = vec![Form::YearMonthDay, Form::MonthDayYear, Form::DayMonthYear];
        match named {
            Some(_) => forms.push(Form::Number),
            None => forms.retain(|form| form.read(&first[column]).is_some()),
        }
        let forms = forms.into_iter().map(|form| (form, None)).collect();
        Dates { column, name: shown(&header[column]), forms }
    }

    /// Takes up the next line.
    ///
    /// # Errors
    /// Says what is allowed where it has no date, or not a later one.
    pub fn check(&mut self, line: u64, record: &StringRecord) -> Result<(), String> {
        if self.forms.is_empty() {
            return Ok(());
        }
        let text = &record[self.column];
        let read = self.forms.iter().any(|(form, _)| form.read(text).is_some());
        self.forms.retain_mut(|(form, last)| {
            let moment = form.read(text);
            let later = moment.as_ref().is_some_and(|now| last.as_ref().is_none_or(|l| now > l));
            *last = moment;
            later
        });
        if !self.forms.is_empty() {
            return Ok(());
        }
        let (name, text) = (&self.name, shown(text));
        Err(match read {
            true => format!("dates that ascend in column {name}; {text} in line {line} does not"),
            false => format!(
                "a date such as 2024-01-31 or 1/31/2024 in line {line}, column {name}, not {text}"
            ),
        })
    }
}
