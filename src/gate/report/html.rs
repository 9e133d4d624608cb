//! A report as one page of HTML that refers to nothing outside itself, in light and in dark.

use crate::num::show;
use std::collections::BTreeSet;
use std::fmt::Write as _;

use super::markdown::{headline, html as escaped};
use super::{Report, Row, text};
use crate::gate::Dtype;

/// A report as a page.
pub fn write(report: &Report) -> String {
    let title = escaped(&format!("{} {} — plummet gate", verdict(report).1, text::target(report)));
    let body = [
        head(report),
        cards(report),
        broken(report),
        findings(report),
        matrix(report),
        pictures(report),
        rest(report),
    ];
    format!(
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <title>{title}</title>\n<style>\n{STYLE}</style>\n</head>\n<body>\n<main>\n{}</main>\n\
         </body>\n</html>\n",
        body.concat()
    )
}

const STYLE: &str = include_str!("report.css");

/// The verdict: its class and its word.
fn verdict(report: &Report) -> (&'static str, &'static str) {
    let class = if report.exit_code == 0 { "good" } else { "bad" };
    (class, text::word(report.exit_code))
}

/// The verdict and who was judged.
fn head(report: &Report) -> String {
    let (class, word) = verdict(report);
    let meaning = match report.exit_code {
        0 => String::new(),
        code => format!("<p class=\"meaning\">{} (exit {code})</p>\n", text::meaning(code)),
    };
    // What the command line of the gate needs before the target's own is no part of the target.
    let words: Vec<&str> = report.command.iter().map(String::as_str).collect();
    let command = match words.strip_prefix(&["--"]).unwrap_or(&words) {
        [] => String::new(),
        words => format!("<code>{}</code> · ", escaped(&words.join(" "))),
    };
    let (spec, plummet) = (escaped(&report.spec), escaped(&report.plummet));
    format!(
        "<header class=\"{class}\">\n<span class=\"badge\">{word}</span>\n<div>\n<h1>{}</h1>\n\
         {meaning}<p class=\"faint\">{command}specification {spec} · plummet {plummet} · seed {}\
         </p>\n</div>\n</header>\n",
        escaped(&text::target(report)),
        report.seed
    )
}

/// The few numbers that matter most.
fn cards(report: &Report) -> String {
    let totals = text::totals(report);
    let cases: usize = totals.iter().map(|total| total.cases).sum();
    let largest = totals.iter().map(|total| total.q).fold(0.0, f64::max);
    let (tested, all) = text::coverage(report);
    let findings = report.counted().count();
    let excused = report.excused().count();
    let expected = match excused {
        0 => String::new(),
        count => format!("{count} more expected"),
    };
    let operators = text::counted(totals.len(), "operator");
    let cards = [
        ("findings", findings.to_string(), expected, findings > 0),
        ("cases", cases.to_string(), operators, false),
        ("largest q", show::short(largest), "in parts of the bound".into(), largest > 1.0),
        ("coverage", format!("{tested}/{all}"), "rows tested".into(), false),
        ("time", text::duration(report.seconds), String::new(), false),
    ];
    let card = |(name, value, under, bad): (&str, String, String, bool)| {
        let class = if bad { " bad" } else { "" };
        format!(
            "<div class=\"card{class}\"><span>{name}</span><b>{value}</b><small>{under}</small></div>\n"
        )
    };
    format!("<section class=\"cards\">\n{}</section>\n", cards.map(card).concat())
}

fn broken(report: &Report) -> String {
    let lines = text::broken(report);
    let untested = report.inconclusive.iter().map(String::as_str);
    list("Broken expectations", lines.iter().map(String::as_str), "bad")
        + &list("Nothing can be said", untested, "bad")
}

/// Every failure that counts, each to be unfolded; the first is open.
fn findings(report: &Report) -> String {
    let mut out = String::new();
    for (i, finding) in report.counted().enumerate() {
        let tensor = finding.tensor.as_deref().unwrap_or_default();
        let q = finding.worst.as_ref().map_or(String::new(), |worst| {
            format!("<span class=\"q\">q {}</span>", show::short(worst.q))
        });
        let open = if i == 0 { " open" } else { "" };
        let like = finding.behaves_like.as_ref().map_or(String::new(), |like| {
            format!("<p>Behaves like: <b>{}</b></p>\n", escaped(&like.about))
        });
        let _ = write!(
            out,
            "<details{open}>\n<summary><code>{}</code> <b>{}</b> {q}\
             <span class=\"faint\">{}</span></summary>\n{like}<pre>{}</pre>\n</details>\n",
            escaped(&finding.subject),
            escaped(tensor),
            escaped(&text::clean(&headline(finding))),
            escaped(text::finding(report, finding).trim_end()),
        );
    }
    match out.is_empty() {
        true => out,
        false => format!("<section>\n<h2>Findings</h2>\n{out}</section>\n"),
    }
}

/// Operators by pass and dtypes, in each cell the largest q.
fn matrix(report: &Report) -> String {
    if report.rows.is_empty() {
        return "<section><p>Nothing was tested.</p></section>\n".into();
    }
    let column = |row: &Row| {
        let name = row.name();
        name.split_once(':').map_or(String::new(), |(_, column)| column.to_string())
    };
    let order = |row: &Row| (row.dir != crate::gate::Dir::Fwd, row.dtype, row.params_dtype);
    let columns: BTreeSet<_> = report.rows.iter().map(|row| (order(row), column(row))).collect();
    let mut ops: Vec<&str> = Vec::new();
    for row in &report.rows {
        if !ops.contains(&row.op.as_str()) {
            ops.push(&row.op);
        }
    }
    let mut out = String::from(
        "<section>\n<h2>Operators</h2>\n<div class=\"wide\">\n<table>\n<thead><tr><th>operator</th>",
    );
    for (_, column) in &columns {
        let (dir, dtypes) = column.split_once(':').unwrap_or((column, ""));
        let _ = write!(out, "<th>{dir}<br>{dtypes}</th>");
    }
    out += "<th>cases</th><th>A</th><th>B</th><th>fail</th></tr></thead>\n<tbody>\n";
    for op in ops {
        let _ = write!(out, "<tr><th>{}</th>", escaped(op));
        let rows = || report.rows.iter().filter(|row| row.op == op);
        for (_, own) in &columns {
            let row = rows().find(|row| column(row) == *own);
            out += &row.map_or("<td></td>".into(), |row| cell(report, row));
        }
        let sum = |count: fn(&Row) -> usize| rows().map(count).sum::<usize>();
        let failed = sum(|row| row.failed);
        let class = if failed > 0 { " class=\"fail\"" } else { "" };
        let (cases, a, b) = (sum(|row| row.cases), sum(|row| row.grade_a), sum(|row| row.grade_b));
        let _ =
            writeln!(out, "<td>{cases}</td><td>{a}</td><td>{b}</td><td{class}>{failed}</td></tr>");
    }
    out += "</tbody>\n</table>\n</div>\n<p class=\"faint\">A cell is the largest q of its row: the \
            error in parts of the statistical bound, which grows with √n. Grade A stays below 1; \
            grade B stays within the worst-case bound, which grows with n; beyond that a case \
            fails. In red is what fails for any reason; ✗ has no answer to judge, and – was not \
            tested.</p>\n</section>\n";
    out
}

/// One cell: coloured by the worst grade, filled by how much of the bound is used up.
fn cell(report: &Report, row: &Row) -> String {
    let name = row.name();
    // What gradients and determinism find is no failed case, and is wrong all the same.
    let found = report.counted().any(|finding| finding.rows().any(|row| row == name));
    let class = match (row.failed, row.grade_b) {
        _ if found => "fail",
        (0, _) if !row.tested() => "faint",
        (0, 0) => "a",
        (0, _) => "b",
        _ => "fail",
    };
    let largest = row.largest_q_statistical();
    let (q, at) = match largest {
        Some((tensor, q)) => (show::short(q), format!("; largest q at {tensor}")),
        None if class == "fail" => ("✗".into(), String::new()),
        None => ("–".into(), String::new()),
    };
    let Row { cases, grade_a, grade_b, failed, .. } = row;
    let hint =
        escaped(&format!("{name}: {cases} cases, {grade_a} A, {grade_b} B, {failed} failed{at}"));
    let fill = match largest {
        Some((_, q)) if q.is_finite() => (q.clamp(0.0, 1.0) * 100.0).round(),
        Some(_) => 100.0,
        None => 0.0,
    };
    format!("<td class=\"{class}\" style=\"--q:{fill}%\" title=\"{hint}\">{q}</td>")
}

/// One picture per operator: how much of its bound each tensor uses, by pass and dtypes.
fn pictures(report: &Report) -> String {
    let mut seen = BTreeSet::new();
    let ops = report.rows.iter().map(|row| row.op.as_str()).filter(|op| seen.insert(*op));
    let figures: Vec<String> = ops.map(|op| picture(report, op)).collect();
    if figures.iter().all(String::is_empty) {
        return String::new();
    }
    format!(
        "<section>\n<h2>Accuracy</h2>\n<p class=\"faint\">The largest error of each tensor in parts \
         of its bounds, on a logarithmic axis: a filled mark for the statistical bound, a ring for \
         the worst-case bound. What lies right of the line is out of bounds; an arrow is off \
         the scale. {}</p>\n<div class=\"figures\">\n{}</div>\n</section>\n",
        legend(report),
        figures.concat()
    )
}

/// The colours of the dtypes that were tested.
fn legend(report: &Report) -> String {
    let dtypes: BTreeSet<_> = report.rows.iter().map(|row| row.dtype).collect();
    let key = |dtype: &Dtype| format!("<span class=\"key {dtype}\">{dtype}</span>");
    dtypes.iter().map(key).collect::<Vec<_>>().join(" ")
}

/// The ends of the axis of q, as powers of ten.
const DECADES: (f64, f64) = (-3.0, 1.0);
/// Where the axis begins and ends, and how wide a picture is, in units of it.
const AXIS: (f64, f64, f64) = (92.0, 400.0, 412.0);
/// The height of a line.
const LINE: f64 = 18.0;

fn picture(report: &Report, op: &str) -> String {
    let rows: Vec<&Row> = report.rows.iter().filter(|row| row.op == op).collect();
    let mut tensors: Vec<String> = Vec::new();
    for tensor in rows.iter().flat_map(|row| row.q_statistical.keys()) {
        if !tensors.contains(tensor) {
            tensors.push(tensor.clone());
        }
    }
    if tensors.is_empty() {
        return String::new();
    }
    let dtypes: BTreeSet<Dtype> = rows.iter().map(|row| row.dtype).collect();
    let (left, right, width) = AXIS;
    let place =
        |decade: f64| left + (decade - DECADES.0) / (DECADES.1 - DECADES.0) * (right - left);
    let bottom = 6.0 + LINE * tensors.len() as f64;
    let height = bottom + 18.0;
    let mut out = format!(
        "<figure>\n<figcaption>{}</figcaption>\n<svg viewBox=\"0 0 {width} {height}\" role=\"img\" \
         aria-label=\"q by tensor of {}\">\n",
        escaped(op),
        escaped(op)
    );
    for decade in DECADES.0 as i32..=DECADES.1 as i32 {
        let x = place(f64::from(decade));
        let class = if decade == 0 { "limit" } else { "grid" };
        let label = show::short(10f64.powi(decade));
        let _ = writeln!(
            out,
            "<path class=\"{class}\" d=\"M{x:.1} 4V{bottom}\"/><text x=\"{x:.1}\" y=\"{:.1}\" \
             text-anchor=\"middle\">{label}</text>",
            bottom + 13.0
        );
    }
    for (i, tensor) in tensors.iter().enumerate() {
        let y = 6.0 + LINE * (i as f64 + 0.5);
        let name = if tensor.chars().count() > 14 {
            format!("{}…", tensor.chars().take(13).collect::<String>())
        } else {
            tensor.clone()
        };
        let _ = writeln!(
            out,
            "<text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\">{}</text>",
            left - 8.0,
            y + 3.5,
            escaped(&name)
        );
        for row in &rows {
            let y = y + apart(&dtypes, row.dtype);
            for (values, ring) in [(&row.q, true), (&row.q_statistical, false)] {
                if let Some(&q) = values.get(tensor) {
                    let hint = format!("{} {tensor}: q {}", row.name(), show::short(q));
                    out += &mark(row, q, ring, place, y, &hint);
                }
            }
        }
    }
    out += "</svg>\n</figure>\n";
    out
}

/// How far below the middle of its line a dtype is drawn, so that none hides another.
fn apart(dtypes: &BTreeSet<Dtype>, dtype: Dtype) -> f64 {
    let (place, count) = (dtypes.range(..dtype).count() as f64, dtypes.len() as f64);
    (place - (count - 1.0) / 2.0) * 8.0 / count
}

/// A mark at q; an arrow at the end of the axis where q is beyond it.
fn mark(row: &Row, q: f64, ring: bool, place: impl Fn(f64) -> f64, y: f64, hint: &str) -> String {
    let decade = if q.is_nan() { f64::INFINITY } else { q.max(1e-300).log10() };
    let x = place(decade.clamp(DECADES.0, DECADES.1));
    let class = format!("{}{}", row.dtype, if ring { " ring" } else { "" });
    let shape = if decade > DECADES.1 {
        format!("<path class=\"{class}\" d=\"M{x:.1} {:.1}l7 4.5l-7 4.5z\">", y - 4.5)
    } else {
        format!("<circle class=\"{class}\" cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"4\">")
    };
    let end = if decade > DECADES.1 { "path" } else { "circle" };
    format!("{shape}<title>{}</title></{end}>\n", escaped(hint))
}

/// What was not tested, what is expected, notes and stages.
fn rest(report: &Report) -> String {
    let untested = text::untested(report);
    let cut: Vec<String> = report.cut_short.iter().map(ToString::to_string).collect();
    let notes: Vec<String> = report.notes.iter().map(|note| text::clean(note)).collect();
    let expected: Vec<String> = report
        .excused()
        .map(|(finding, expectation)| format!("{}: {expectation}", finding.name()))
        .collect();
    let stage = |stage: &super::Stage| {
        let class = if stage.failed > 0 { " class=\"fail\"" } else { "" };
        format!(
            "<tr><th>{} {}</th><td>{}</td><td{class}>{}</td><td>{}</td></tr>\n",
            stage.number,
            escaped(&stage.name),
            stage.checks,
            stage.failed,
            text::duration(stage.seconds)
        )
    };
    let stages: String = report.stages.iter().map(stage).collect();
    let stages = match stages.is_empty() {
        true => stages,
        false => format!(
            "<section>\n<h2>Stages</h2>\n<table>\n<thead><tr><th>stage</th><th>checks</th>\
             <th>failed</th><th>time</th></tr></thead>\n<tbody>\n{stages}</tbody>\n</table>\n\
             </section>\n"
        ),
    };
    [
        list("Expected failures", expected.iter().map(String::as_str), ""),
        list("Coverage", untested.iter().map(String::as_str), ""),
        list("Left out", cut.iter().map(String::as_str), ""),
        list("Notes", notes.iter().map(String::as_str), ""),
        stages,
    ]
    .concat()
}

fn list<'a>(title: &str, lines: impl Iterator<Item = &'a str>, class: &str) -> String {
    let lines: String = lines.map(|line| format!("<li>{}</li>\n", escaped(line))).collect();
    match lines.is_empty() {
        true => lines,
        false => format!(
            "<section class=\"{class}\">\n<h2>{title}</h2>\n<ul>\n{lines}</ul>\n</section>\n"
        ),
    }
}
