//! A report as a badge: an SVG, or what shields.io draws one from.

use serde_json::{Value, json};

use super::Report;

/// What a badge says, and its colour.
fn said(report: &Report) -> (String, &'static str) {
    let rows = report.rows.iter().filter(|row| row.cases > 0).count();
    let wrong = report.counted().count();
    let plural = |n: usize| if n == 1 { "" } else { "s" };
    match report.exit_code {
        0 => (format!("{rows} row{} right", plural(rows)), "#2e8b57"),
        5 => ("untested".to_string(), "#777777"),
        _ if wrong > 0 => (format!("{wrong} finding{}", plural(wrong)), "#c0392b"),
        code => (format!("failed with {code}"), "#c0392b"),
    }
}

/// The badge as an SVG.
pub fn svg(report: &Report) -> String {
    let (message, colour) = said(report);
    // Letters of 11 pixels are some 6.3 wide; `textLength` makes them just that.
    let wide = |text: &str| (6.3 * text.chars().count() as f64).round();
    let (left, right) = (wide("plummet"), wide(&message));
    let (name, all) = (left + 12.0, left + right + 24.0);
    let text = |x: f64, length: f64, text: &str| {
        format!(
            r#"<text x="{x}" y="14" textLength="{length}" lengthAdjust="spacingAndGlyphs">{text}</text>"#
        )
    };
    format!(
        r##"<svg xmlns="http://www.w3.org/2000/svg" width="{all}" height="20" role="img" aria-label="plummet: {message}">
<title>plummet: {message}</title>
<clipPath id="r"><rect width="{all}" height="20" rx="3"/></clipPath>
<g clip-path="url(#r)"><rect width="{name}" height="20" fill="#444444"/><rect x="{name}" width="{}" height="20" fill="{colour}"/></g>
<g fill="#ffffff" font-family="Verdana,DejaVu Sans,sans-serif" font-size="11">{}{}</g>
</svg>
"##,
        all - name,
        text(6.0, left, "plummet"),
        text(name + 6.0, right, &message),
    )
}

/// What an endpoint badge of shields.io reads.
pub fn endpoint(report: &Report) -> Value {
    let (message, colour) = said(report);
    json!({"schemaVersion": 1, "label": "plummet", "message": message, "color": colour})
}
