//! A report as workflow commands of GitHub, which stand beside the lines of the failing adapter.

use std::path::Path;

use super::{Finding, Report, text};

/// The most annotations: more are not shown beside a file.
const MOST: usize = 10;

/// A line for every finding, and for what was required or expected and did not come.
pub fn github(report: &Report) -> String {
    let mut out = String::new();
    let file = adapter(&report.command);
    for finding in report.counted().take(MOST) {
        let place = place(file.as_ref(), finding);
        let title = property(&format!("FAIL {}", finding.name()));
        let body = data(&text::finding(report, finding));
        out += &format!("::error {place}title={title}::{body}\n");
    }
    let broken = text::broken(report);
    for line in broken.iter().chain(&report.inconclusive) {
        out += &format!("::error title={}::{}\n", property("plummet gate"), data(line));
    }
    let more = report.counted().count().saturating_sub(MOST);
    if more > 0 {
        out += &format!("::error title={}::and {more} more\n", property("plummet gate"));
    }
    out
}

/// The file that was started: the first word of the command that is one of text with an extension.
fn adapter(command: &[String]) -> Option<(String, String)> {
    let files = command.iter().filter(|word| {
        let path = Path::new(word);
        path.extension().is_some() && path.is_file()
    });
    files.into_iter().find_map(|word| {
        let text = std::fs::read_to_string(word).ok()?;
        Some((word.clone(), text))
    })
}

/// The file and the line where the operator is first named there, as properties.
fn place(file: Option<&(String, String)>, finding: &Finding) -> String {
    let Some((path, text)) = file else { return String::new() };
    let op = finding.subject.split(':').next().unwrap_or_default();
    let word = |c: char| c.is_alphanumeric() || c == '_';
    let names = |line: &str| {
        line.match_indices(op).any(|(at, _)| {
            let before = line[..at].chars().next_back().is_some_and(word);
            let behind = line[at + op.len()..].chars().next().is_some_and(word);
            !before && !behind
        })
    };
    let line = text.lines().position(|line| !op.is_empty() && names(line)).unwrap_or(0) + 1;
    format!("file={},line={line},", property(path))
}

/// A message, in which line ends are spelled.
fn data(text: &str) -> String {
    text.replace('%', "%25").replace('\r', "%0D").replace('\n', "%0A")
}

/// A property, which a colon or a comma would end.
fn property(text: &str) -> String {
    data(text).replace(':', "%3A").replace(',', "%2C")
}
