//! A report for people: each failure with what breaks it, a short table, a verdict.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::io::IsTerminal;

use super::{Fault, Finding, Report, Row};
use super::{Reach, told};
use crate::check::spec::case::Case;
use crate::num::show::{bare, both, digits, short};

/// How a report is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Style {
    /// In colours.
    pub colour: bool,
    /// Failures only: nothing at all where there is none.
    pub quiet: bool,
}

impl Style {
    /// Colours on a terminal, unless `NO_COLOR` is set.
    pub fn of(stream: &impl IsTerminal, quiet: bool) -> Style {
        let wanted = std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
        Style { colour: wanted && stream.is_terminal(), quiet }
    }

    fn paint(self, code: &str, text: &str) -> String {
        if self.colour { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_string() }
    }
    fn bad(self, text: &str) -> String {
        self.paint("1;31", text)
    }
    fn good(self, text: &str) -> String {
        self.paint("1;32", text)
    }
    fn faint(self, text: &str) -> String {
        self.paint("2", text)
    }
}

/// Elements of a tensor that are shown.
const ELEMENTS: usize = 8;

/// What `gate check` prints.
pub fn write(report: &Report, style: Style) -> String {
    let mut out = String::new();
    for finding in report.counted() {
        out += &painted(&self::finding(report, finding), style);
        out.push('\n');
    }
    for line in broken(report) {
        let _ = writeln!(out, "{} {line}", style.bad("EXPECT"));
    }
    for line in &report.inconclusive {
        let _ = writeln!(out, "{} {line}", style.bad("UNTESTED"));
    }
    if style.quiet {
        if report.exit_code != 0 {
            let _ = writeln!(out, "{}", verdict(report, style));
        }
        return out;
    }
    for (finding, expectation) in report.excused() {
        let line = format!("expected: {}: {expectation}", finding.name());
        let _ = writeln!(out, "{}", style.faint(&line));
    }
    if !out.is_empty() {
        out.push('\n');
    }
    out += &table(report);
    let lines = stages(report).into_iter().chain(statistics(report));
    for line in lines.chain(untested(report)).chain(cut_short(report)) {
        let _ = writeln!(out, "{}", style.faint(&line));
    }
    for line in probed(report) {
        let _ = writeln!(out, "{}", style.faint(&line));
    }
    for note in report.notes.iter().take(NOTES) {
        let _ = writeln!(out, "note: {}", clean(note));
    }
    if report.notes.len() > NOTES {
        let _ = writeln!(out, "{} more notes in the other formats", report.notes.len() - NOTES);
    }
    let _ = writeln!(out, "{}", verdict(report, style));
    out
}

/// How promises were probed and questions asked again: what a green run says of them.
pub fn probed(report: &Report) -> Vec<String> {
    let mut lines = Vec::new();
    for name in ["deterministic", "batch_invariant"] {
        let own = || report.promises.iter().filter(|p| p.promise == name && p.problems > 0);
        let Some(first) = own().next() else { continue };
        let problems: usize = own().map(|promise| promise.problems).sum();
        let checks: usize = own().map(|promise| promise.checks).sum();
        let claimed = if first.claimed { "claimed" } else { "not claimed" };
        let broken = own().filter(|promise| !promise.kept).count();
        let kept = if broken == 0 { "kept".into() } else { format!("broken in {broken} rows") };
        let problems = counted(problems, "problem");
        lines.push(format!(
            "{name} ({claimed}): probed on {problems}, {checks} comparisons, {kept}"
        ));
    }
    let again: usize = report.repeated.iter().map(|row| row.again).sum();
    let least = report.repeated.iter().min_by(|a, b| a.one_in.total_cmp(&b.one_in));
    if let Some(least) = least {
        lines.push(format!(
            "{again} answers asked for again: a fault in one of {:.0} calls is found with 99 % in every \
             row ({})",
            least.one_in.floor(),
            least.subject
        ));
    }
    lines
}

/// Notes that are printed.
const NOTES: usize = 5;

/// A failure in one line, as soon as it is seen.
pub fn failure(row: &str, message: &str, style: Style) -> String {
    let first = message.lines().next().unwrap_or_default().trim_end_matches(':');
    format!("{} {row} {}", style.bad("FAIL"), clean(first))
}

/// A failure whose first word is in colour.
pub fn painted(failure: &str, style: Style) -> String {
    failure.replacen("FAIL", &style.bad("FAIL"), 1)
}

/// One failure: the smallest case that shows it, what came and what should have, why, and the
/// command that shows it again.
pub fn finding(report: &Report, finding: &Finding) -> String {
    let mut out = format!("FAIL {}", finding.subject);
    if let Some(tensor) = &finding.tensor {
        let _ = write!(out, "  {tensor}");
    }
    match &finding.shrunk {
        Some(shrunk) if shrunk.from == shrunk.to => {
            let _ = write!(out, "   ({})", shrunk.to);
        }
        Some(shrunk) => {
            let calls = counted(shrunk.calls, "call");
            let _ = write!(out, "   ({} shrunk to {} in {calls})", shrunk.from, shrunk.to);
        }
        None if finding.times > 1 => {
            let _ = write!(out, "   ({} cases)", finding.times);
        }
        None => {}
    }
    out.push('\n');
    for line in details(report, finding) {
        let _ = writeln!(out, "  {line}");
    }
    out
}

/// The lines of a failure below its head.
pub fn details(report: &Report, finding: &Finding) -> Vec<String> {
    let mut lines = Vec::new();
    if let Some(shrunk) = &finding.shrunk {
        let mut inputs: Vec<String> = shrunk
            .inputs
            .iter()
            .map(|(name, shape, values)| format!("{}={}", named(name, shape), list(values, shape)))
            .collect();
        inputs.extend(attributes(&shrunk.case));
        lines.push(inputs.join(" "));
    }
    // What the numbers say needs no words, unless it is a law that another stage looks at.
    if finding.worst.is_none() || finding.stage > 2 || finding.repeats.is_some() {
        lines.extend(said(&finding.message));
    }
    if let Some(worst) = &finding.worst {
        let (got, want) = match &finding.shrunk {
            Some(shrunk)
                if shrunk.got.len() <= ELEMENTS && shrunk.got.len() == shrunk.want.len() =>
            {
                both(&shrunk.got, &shrunk.want)
            }
            _ => {
                let (got, want) = both(&[worst.got], &[worst.want]);
                (bare(&got), bare(&want))
            }
        };
        let whole = got.starts_with('[');
        let place = if whole { String::new() } else { format!("[{}]", worst.at) };
        let (tensor, bound, q) = (&worst.tensor, short(worst.bound), short(worst.q));
        lines.push(format!("{tensor}{place} got {got}  want {want}  bound {bound}  q {q}"));
    }
    let mut why: Vec<String> = finding.breaks.iter().map(|law| format!("breaks: {law}")).collect();
    if let Some(like) = &finding.behaves_like {
        let share = format!("{}/{} cases", like.agrees, like.cases);
        why.push(format!("behaves like: {} ({share})", like.about));
    }
    why.extend(finding.pattern.iter().map(|pattern| format!("off: {pattern}")));
    why.extend(finding.when.iter().cloned());
    if !why.is_empty() {
        lines.push(why.join(" · "));
    }
    if finding.fault == Fault::Crash && finding.message.contains("no answer within") {
        lines.push("--patience gives a target that compiles as long more time".to_string());
    }
    lines.extend(also(finding));
    if let Some(command) = replay(report, finding) {
        lines.push(format!("replay: {command}"));
    }
    lines
}

/// What a target says: the first line and the last ones, since a trace ends with its cause.
fn said(message: &str) -> Vec<String> {
    let lines: Vec<&str> = message.lines().collect();
    if lines.len() <= SAID.1 {
        return lines.into_iter().map(clean).collect();
    }
    let last = &lines[lines.len() - (SAID.1 - 2)..];
    let cut = format!("… {} lines are left out here", lines.len() - 1 - last.len());
    [clean(lines[0]), cut].into_iter().chain(last.iter().map(|line| clean(line))).collect()
}

/// Rows named beside the one that is explained.
const ALSO: usize = 12;

/// What else fails for the reason of a finding.
fn also(finding: &Finding) -> Option<String> {
    let named = |affected: &super::Affected| match affected.times {
        1 => affected.name(),
        times => format!("{} ({times} cases)", affected.name()),
    };
    let names: Vec<String> = finding.affects.iter().take(ALSO).map(named).collect();
    let more = match finding.affects.len().saturating_sub(ALSO) {
        0 => String::new(),
        more => format!(" · and {more} more"),
    };
    (!names.is_empty()).then(|| format!("also, for the same reason: {}{more}", names.join(" · ")))
}

/// The command that shows a failure again; none where no case belongs to it.
pub fn replay(report: &Report, finding: &Finding) -> Option<String> {
    let case = finding.shrunk.as_ref().map_or(&finding.case, |shrunk| &shrunk.case);
    if case.is_empty() {
        return None;
    }
    let mut words = vec!["plummet gate replay".to_string(), format!("'{case}'")];
    // A command of the target follows `--`; a library is an option.
    if report.command.first().is_some_and(|first| !first.starts_with("--")) {
        words.push("--".into());
    }
    words.extend(report.command.iter().map(|word| quoted(word)));
    Some(words.join(" "))
}

/// A word as a shell reads it.
fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./=:,+@%".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        word.to_string()
    } else {
        format!("'{}'", word.replace('\'', r"'\''"))
    }
}

/// Letters of a line of what a target says that are shown, and how many lines: JSON has them all.
const SAID: (usize, usize) = (500, 20);

/// A line of what a target says, without what would drive a terminal, and not endless.
pub fn clean(line: &str) -> String {
    let mut letters = line.chars().map(|c| if c.is_control() { '\u{fffd}' } else { c });
    let mut shown: String = letters.by_ref().take(SAID.0).collect();
    if letters.next().is_some() {
        shown.push('…');
    }
    shown
}

/// The attributes of a case, `eps=1e-5`.
fn attributes(case: &str) -> Vec<String> {
    let Ok(case) = case.parse::<Case>() else { return Vec::new() };
    let attr = |(name, value): (&String, &serde_json::Value)| match (value, value.as_f64()) {
        (_, Some(number)) => format!("{name}={}", digits(number, 17)),
        (serde_json::Value::String(word), _) => format!("{name}={word}"),
        (other, _) => format!("{name}={other}"),
    };
    case.attrs.iter().map(attr).collect()
}

/// A name, with its shape where that does not go without saying.
fn named(name: &str, shape: &[usize]) -> String {
    let rows: usize = shape.iter().rev().skip(1).product();
    if rows > 1 { format!("{name}{shape:?}").replace(' ', "") } else { name.to_string() }
}

/// The first elements of a tensor.
fn list(values: &[f64], shape: &[usize]) -> String {
    let count: usize = shape.iter().product();
    let shown: Vec<String> = values.iter().take(ELEMENTS).map(|&v| exact(v)).collect();
    let more = if count > shown.len() { format!(", … {count} in all") } else { String::new() };
    format!("[{}{more}]", shown.join(", "))
}

/// An input: every digit of it that an `f32` has, where it is one.
fn exact(value: f64) -> String {
    if f64::from(value as f32) == value {
        let shortest = format!("{:e}", value as f32);
        let figures = shortest.bytes().take_while(|&b| b != b'e').filter(u8::is_ascii_digit);
        digits(value, figures.count())
    } else {
        digits(value, 17)
    }
}

/// `1 case`, `2 cases`.
pub fn counted(count: usize, what: &str) -> String {
    format!("{count} {what}{}", if count == 1 { "" } else { "s" })
}

/// A time in words.
pub fn duration(seconds: f64) -> String {
    if seconds < 1.0 {
        format!("{:.0} ms", seconds * 1e3)
    } else if seconds < 100.0 {
        format!("{seconds:.1} s")
    } else {
        format!("{:.0} min {:02.0} s", (seconds / 60.0).floor(), (seconds % 60.0).floor())
    }
}

/// All rows of one operator together.
#[derive(Debug, Clone, PartialEq)]
pub struct Total {
    /// The operator.
    pub op: String,
    /// Its passes and dtypes, `fwd, bwd × f32, bf16`.
    pub tested: String,
    /// Cases judged.
    pub cases: usize,
    /// Cases of grade A.
    pub grade_a: usize,
    /// Cases of grade B.
    pub grade_b: usize,
    /// Cases that failed.
    pub failed: usize,
    /// The largest quotient of the worst-case bound.
    pub q: f64,
    /// The largest quotient of the statistical bound, and where it is.
    pub q_statistical: f64,
    /// The pass, the dtype and the tensor of that.
    pub at: String,
}

/// The rows of a report by operator, in its order.
pub fn totals(report: &Report) -> Vec<Total> {
    let mut ops: Vec<&str> = report.rows.iter().map(|row| row.op.as_str()).collect();
    let mut seen = BTreeSet::new();
    ops.retain(|op| seen.insert(*op));
    ops.into_iter().map(|op| total(op, report.rows.iter().filter(|row| row.op == op))).collect()
}

fn total<'a>(op: &str, rows: impl Iterator<Item = &'a Row> + Clone) -> Total {
    let unique = |names: &mut dyn Iterator<Item = String>| {
        let mut found: Vec<String> = Vec::new();
        for name in names {
            if !found.contains(&name) {
                found.push(name);
            }
        }
        found.join(", ")
    };
    let dirs = unique(&mut rows.clone().map(|row| row.dir.to_string()));
    let dtypes = unique(
        &mut rows.clone().map(|row| row.name().rsplit(':').next().unwrap_or_default().to_string()),
    );
    let sum = |count: fn(&Row) -> usize| rows.clone().map(count).sum();
    let worst = rows
        .clone()
        .filter_map(|row| Some((row, row.largest_q_statistical()?)))
        .max_by(|a, b| a.1.1.total_cmp(&b.1.1));
    Total {
        op: op.to_string(),
        tested: format!("{dirs} × {dtypes}"),
        cases: sum(|row| row.cases),
        grade_a: sum(|row| row.grade_a),
        grade_b: sum(|row| row.grade_b),
        failed: sum(|row| row.failed),
        q: rows.clone().map(Row::largest_q).fold(0.0, f64::max),
        q_statistical: worst.map_or(0.0, |(_, (_, q))| q),
        at: worst.map_or(String::new(), |(row, (tensor, _))| {
            format!("{tensor} {}:{}", row.dir, row.dtype)
        }),
    }
}

/// One line per operator: cases, grades, and the largest error in parts of its bound.
fn table(report: &Report) -> String {
    let totals = totals(report);
    if totals.is_empty() {
        return "nothing was tested\n".into();
    }
    let head = ["operator", "tested", "cases", "A", "B", "fail", "q", "q(√n)", "at"];
    let mut lines: Vec<[String; 9]> = vec![head.map(String::from)];
    for t in totals {
        let counts = [t.cases, t.grade_a, t.grade_b, t.failed].map(|count| count.to_string());
        let [cases, a, b, failed] = counts;
        let (q, statistical) = (short(t.q), short(t.q_statistical));
        lines.push([t.op, t.tested, cases, a, b, failed, q, statistical, t.at]);
    }
    let width = |column: usize| lines.iter().map(|line| line[column].chars().count()).max();
    let widths: Vec<usize> = (0..9).map(|column| width(column).unwrap_or(0)).collect();
    let mut out = String::new();
    for line in &lines {
        let cells = line.iter().zip(&widths).enumerate().map(|(i, (cell, &width))| {
            if (2..8).contains(&i) { format!("{cell:>width$}") } else { format!("{cell:<width$}") }
        });
        let cells: Vec<String> = cells.collect();
        let _ = writeln!(out, "{}", cells.join("  ").trim_end());
    }
    out
}

/// The failures of the manifest, one line each.
pub fn broken(report: &Report) -> Vec<String> {
    let broken = report.expectations.iter().filter(|expectation| expectation.broken());
    let broken = broken.map(|expectation| expectation.to_string());
    broken
        .chain(report.missing.iter().map(|name| format!("required, not tested: {name}")))
        .collect()
}

/// How many of the rows of the specification were tested, of how many.
pub fn coverage(report: &Report) -> (usize, usize) {
    let tested: BTreeSet<String> = report
        .rows
        .iter()
        .filter(|row| row.tested())
        .map(|row| format!("{}:{}:{}", row.op, row.dir, row.dtype))
        .collect();
    let untested = report.uncovered.iter().chain(left_out(report));
    let untested = untested.filter(|name| !tested.contains(*name)).collect::<BTreeSet<_>>();
    (tested.len(), tested.len() + untested.len())
}

/// The rows that the manifest leaves out.
fn left_out(report: &Report) -> impl Iterator<Item = &String> {
    report.skipped.iter().filter(|name| !name.contains('='))
}

/// The stages and their checks, in one line where there is one.
fn stages(report: &Report) -> Option<String> {
    let stage = |stage: &super::Stage| {
        let failed = match stage.failed {
            0 => String::new(),
            failed => format!(" ({failed} failed)"),
        };
        format!("{} {} {}{failed}", stage.number, stage.name, stage.checks)
    };
    let stages: Vec<String> = report.stages.iter().map(stage).collect();
    (!stages.is_empty()).then(|| format!("checks: {}", stages.join(" · ")))
}

/// How small a fault of random numbers is found: a line for each operator, by its groups.
pub fn statistics(report: &Report) -> Vec<String> {
    let mut ops: Vec<&str> = report.statistics.iter().map(|reach| reach.op.as_str()).collect();
    ops.dedup();
    let lines = ops.into_iter().map(|op| {
        let own: Vec<&Reach> = report.statistics.iter().filter(|reach| reach.op == op).collect();
        told(op, &own)
    });
    lines.collect()
}

/// What was not tested, in a few lines.
pub fn untested(report: &Report) -> Vec<String> {
    let of = |name: &str| name.split(':').next().unwrap_or_default().to_string();
    let met: BTreeSet<&str> = report.rows.iter().map(|row| row.op.as_str()).collect();
    let mut parts: Vec<String> = Vec::new();
    let mut whole: Vec<String> = Vec::new();
    for name in &report.uncovered {
        let op = of(name);
        if !met.contains(op.as_str()) {
            if !whole.contains(&op) {
                whole.push(op);
            }
            continue;
        }
        let rest = name[op.len()..].trim_start_matches(':');
        match parts.last_mut() {
            Some(line) if line.split(' ').next() == Some(&op) => {
                let _ = write!(line, " {rest}");
            }
            _ => parts.push(format!("{op} {rest}")),
        }
    }
    let mut lines = Vec::new();
    if !parts.is_empty() || !whole.is_empty() {
        parts.extend(whole);
        lines.push(format!("not tested: {}", parts.join("; ")));
    }
    let left: Vec<&str> = left_out(report).map(String::as_str).collect();
    if !left.is_empty() {
        lines.push(format!("left out: {}", left.join(", ")));
    }
    lines
}

/// Rows that were not tried to the end, by why, in a few lines.
pub fn cut_short(report: &Report) -> Vec<String> {
    let mut whys: Vec<&str> = Vec::new();
    for cut in &report.cut_short {
        if !whys.contains(&cut.why.as_str()) {
            whys.push(&cut.why);
        }
    }
    let line = |why: &str| {
        let cuts: Vec<&super::Cut> = report.cut_short.iter().filter(|cut| cut.why == why).collect();
        let named: Vec<String> =
            cuts.iter().take(CUT).map(|cut| format!("{} ({})", cut.subject, cut.what)).collect();
        let more = match cuts.len().saturating_sub(CUT) {
            0 => String::new(),
            more => format!(" and {more} more"),
        };
        format!("left out, {why}: {}{more}", named.join(", "))
    };
    whys.into_iter().map(line).collect()
}

/// Rows that are named for each reason to leave something out.
const CUT: usize = 6;

/// What an exit code says.
pub fn meaning(code: u8) -> &'static str {
    match code {
        0 => "right",
        1 => "wrong result",
        2 => "usage",
        3 => "accuracy regression",
        4 => "speed regression",
        5 => "inconclusive",
        6 => "adapter or protocol error",
        7 => "crash or timeout",
        8 => "expectation broken",
        _ => "fault of the gate",
    }
}

/// Who was judged, in a few words.
pub fn target(report: &Report) -> String {
    let identity = &report.target;
    let mut words = vec![identity.name.as_str()];
    words.extend([identity.version.as_str()].into_iter().filter(|version| !version.is_empty()));
    let language = Some(&identity.language).filter(|language| !language.is_empty());
    let language = language.map_or(String::new(), |language| format!(" ({language})"));
    clean(&format!("{}{language}", words.join(" ")))
}

/// The verdict in one plain line.
pub fn summary(report: &Report) -> String {
    let findings = report.counted().count();
    let totals = totals(report);
    let cases: usize = totals.iter().map(|total| total.cases).sum();
    let largest = totals.iter().map(|total| total.q).fold(0.0, f64::max);
    let (tested, all) = coverage(report);
    let mut parts = vec![format!("{} {}", word(report.exit_code), target(report))];
    if report.exit_code != 0 {
        parts.push(format!("{} (exit {})", meaning(report.exit_code), report.exit_code));
    }
    if findings > 0 {
        parts.push(counted(findings, "finding"));
    }
    let expected = report.excused().count();
    if expected > 0 {
        parts.push(format!("{} expected", counted(expected, "failure")));
    }
    let broken = self::broken(report).len();
    if broken > 0 {
        parts.push(format!("{} broken", counted(broken, "expectation")));
    }
    parts.push(format!("{} of {}", counted(cases, "case"), counted(totals.len(), "operator")));
    parts.push(format!("coverage {tested}/{all}"));
    if findings == 0 && cases > 0 {
        parts.push(format!("q {}", short(largest)));
    }
    parts.push(format!("seed {}", report.seed));
    parts.push(duration(report.seconds));
    parts.join(" · ")
}

/// The verdict in one word.
pub fn word(exit_code: u8) -> &'static str {
    match exit_code {
        0 => "PASS",
        5 => "UNTESTED",
        _ => "FAIL",
    }
}

fn verdict(report: &Report, style: Style) -> String {
    let (summary, word) = (summary(report), word(report.exit_code));
    let painted = if report.exit_code == 0 { style.good(word) } else { style.bad(word) };
    summary.replacen(word, &painted, 1)
}
