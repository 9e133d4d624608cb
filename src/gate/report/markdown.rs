//! A report as Markdown for the summary of a CI job: the verdict first, and never too long for one.

use crate::num::show;
use std::fmt::Write as _;

use super::text::{self, Total};
use super::{Finding, Report};

/// The most bytes of a page: the smallest limit in use is that of a comment, 65 536 letters.
pub const LIMIT: usize = 60_000;
/// The most bytes of one failure.
const FAILURE: usize = 4_000;
/// The most bytes that the parts beside the failures may take each.
const PART: usize = 8_000;

/// A report as Markdown, of at most [`LIMIT`] bytes.
pub fn write(report: &Report) -> String {
    let mut out = String::new();
    let sign = if report.exit_code == 0 { "✅" } else { "❌" };
    let summary = cut(&text::summary(report), 1000);
    let (verdict, rest) = summary.split_once(" · ").unwrap_or((&summary, ""));
    let _ = writeln!(out, "## {sign} {}\n\n{}\n", escaped(verdict), escaped(rest));

    let broken = text::broken(report);
    push_part(&mut out, broken.iter().map(|line| format!("- **{}**\n", escaped(line))));
    push_part(
        &mut out,
        report.inconclusive.iter().map(|line| format!("- **{}**\n", escaped(line))),
    );
    let end = tail(report);
    let findings: Vec<_> = report.counted().collect();
    for (i, finding) in findings.iter().enumerate() {
        let head = cut(&finding.name(), 200);
        let body = cut(&text::finding(report, finding), FAILURE);
        let fence = fence(&body);
        let open = if i == 0 { " open" } else { "" };
        let block = format!(
            "<details{open}><summary><b>FAIL</b> <code>{}</code> {}</summary>\n\n\
             {fence}text\n{body}\n{fence}\n</details>\n\n",
            html(&head),
            html(&cut(&headline(finding), 200)),
        );
        if out.len() + block.len() + end.len() + 200 > LIMIT {
            let left = text::counted(findings.len() - i, "more finding");
            let _ = writeln!(out, "… and {left}: see the JSON or HTML report.\n");
            break;
        }
        out += &block;
    }
    out + &end
}

/// What follows the failures: the table, coverage, what is expected, notes.
fn tail(report: &Report) -> String {
    let mut out = String::new();
    let totals = text::totals(report);
    if !totals.is_empty() {
        out += "| | operator | tested | cases | A | B | fail | q | q(√n) | worst at |\n";
        out += "|---|---|---|--:|--:|--:|--:|--:|--:|---|\n";
        push_part(
            &mut out,
            totals.iter().map(|t| {
                let sign = sign(report, t);
                let (op, tested, at) = (escaped(&t.op), escaped(&t.tested), escaped(&t.at));
                let (q, statistical) = (show::short(t.q), show::short(t.q_statistical));
                let (cases, a, b, failed) = (t.cases, t.grade_a, t.grade_b, t.failed);
                format!(
                    "| {sign} | {op} | {tested} | {cases} | {a} | {b} | {failed} | {q} \
                     | {statistical} | {at} |\n"
                )
            }),
        );
        out += "\nq is the error in parts of its bound: in grade A it is within the bound that \
                grows with √n, in grade B within the one that grows with n; above, it fails.\n\n";
    }
    let found = text::statistics(report);
    push_part(&mut out, found.iter().map(|line| format!("{}\n\n", escaped(line))));
    push_part(&mut out, text::untested(report).iter().map(|line| format!("{}\n\n", escaped(line))));
    push_part(
        &mut out,
        text::cut_short(report).iter().map(|line| format!("{}\n\n", escaped(line))),
    );
    let excused = report.excused().map(|(finding, expectation)| {
        let line = format!("{}: {expectation}", finding.name());
        format!("- expected: {}\n", escaped(&line))
    });
    push_part(&mut out, excused);
    push_part(
        &mut out,
        report.notes.iter().map(|note| format!("- {}\n", escaped(&text::clean(note)))),
    );
    out
}

/// How an operator did.
///
/// What gradients and determinism find is no failed case, and is wrong all the same.
fn sign(report: &Report, total: &Total) -> &'static str {
    let own = |finding: &Finding| finding.subject.split(':').next() == Some(&total.op);
    let tested = report.rows.iter().any(|row| row.op == total.op && row.tested());
    if report.counted().any(own) {
        "❌"
    } else if report.excused().any(|(finding, _)| own(finding)) || total.failed > 0 {
        "⚠️"
    } else if tested {
        "✅"
    } else {
        "–"
    }
}

/// The first line of what a finding says, and of what comes below a colon the last: there a target
/// that died says why.
pub(super) fn headline(finding: &Finding) -> String {
    let mut lines = finding.message.lines().map(str::trim).filter(|line| !line.is_empty());
    let first = lines.next().unwrap_or_default();
    match lines.next_back() {
        Some(last) if first.ends_with(':') => format!("{first} {last}"),
        _ => first.to_string(),
    }
}

/// Appends lines as long as there is room for them, and says how many there was none for.
fn push_part(out: &mut String, lines: impl Iterator<Item = String>) {
    let (mut room, mut left) = (PART, 0);
    for line in lines {
        if line.len() <= room && left == 0 {
            room -= line.len();
            *out += &line;
        } else {
            left += 1;
        }
    }
    if left > 0 {
        let _ = writeln!(out, "\n… and {left} more");
    }
    if room < PART {
        out.push('\n');
    }
}

/// A fence longer than any in a text.
fn fence(body: &str) -> String {
    let longest = body.split(|c| c != '`').map(str::len).max().unwrap_or(0);
    "`".repeat(longest.max(2) + 1)
}

/// At most so many bytes of a text.
fn cut(text: &str, most: usize) -> String {
    if text.len() <= most {
        return text.trim_end().to_string();
    }
    let end = (0..=most).rev().find(|&end| text.is_char_boundary(end)).unwrap_or(0);
    format!("{}…", &text[..end])
}

/// A text in which nothing is a mark of Markdown or of a table, in one line.
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            c if c.is_control() => out.push(' '),
            '<' => out += "&lt;",
            '&' => out += "&amp;",
            '\\' | '`' | '*' | '_' | '[' | ']' | '|' | '~' | '#' | '@' => {
                out.push('\\');
                out.push(c);
            }
            _ => out.push(c),
        }
    }
    out
}

/// A text inside HTML.
pub(super) fn html(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out += "&amp;",
            '<' => out += "&lt;",
            '>' => out += "&gt;",
            '"' => out += "&quot;",
            '\'' => out += "&#39;",
            '\n' => out.push(c),
            // Letters that neither HTML nor XML has.
            c if c.is_control() || matches!(c, '\u{fffe}' | '\u{ffff}') => out.push('\u{fffd}'),
            _ => out.push(c),
        }
    }
    out
}
