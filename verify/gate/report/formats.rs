//! Every format says what was found, what was tested and what was left out.

use super::*;

#[test]
fn a_failure_is_told_in_the_specified_form() {
    let report = red();
    let told = text::finding(&report, &report.findings[0]);
    let lines: Vec<&str> = told.lines().collect();
    assert_eq!(
        lines[..4],
        [
            "FAIL layer_norm:bwd:f32  dx   (33×769 f32 shrunk to 1×2 f32 in 41 calls)",
            "  x=[0, 2] weight=[1, 1] dy=[1, -inf] eps=1e-5 normalized_dims=1",
            "  dx got [-1, NaN]  want [0, 0]  bound 6e-7  q 1.7e6",
            "  breaks: dx sums to 0 · behaves like: mean(dy·weight) subtracted twice (57/57 cases) \
             · every cols ≥ 1",
        ]
    );
    let replay = format!("  replay: plummet gate replay '{SMALL}' -- python 'my adapter.py'");
    assert_eq!(lines[4], replay);
    assert_eq!(lines.len(), 5, "{told}");
}

#[test]
fn a_green_run_is_short_and_says_what_was_tested() {
    let told = plain(&green());
    assert!(told.lines().count() <= 7, "{told}");
    for part in
        ["layer_norm", "fwd, bwd × f32", "not tested: layer_norm fwd:bf16 bwd:bf16; rms_norm"]
    {
        assert!(told.contains(part), "{part}: {told}");
    }
    let last = told.lines().last().unwrap();
    for part in ["PASS mine 1.2 (c)", "192 cases of 2 operators", "coverage 3/6", "q 0.4", "3.2 s"]
    {
        assert!(last.contains(part), "{part}: {last}");
    }
    assert_eq!(text::write(&green(), Style { quiet: true, ..Style::default() }), "");
    let mut red = red();
    red.findings[1].message.push_str("\u{1b}[2Jcleared");
    let told = plain(&red);
    assert!(told.contains("more") && told.contains("[2Jcleared") && !told.contains('\x1b'));
    let quiet = text::write(&red, Style { quiet: true, colour: true });
    assert!(quiet.contains("\x1b[1;31mFAIL\x1b[0m") && !quiet.contains("operator "), "{quiet}");
}

#[test]
fn numbers_are_short_and_tell_apart_what_differs() {
    for (value, figures, shown) in [
        (0.1, 6, "0.1"),
        (1e-5, 17, "1e-5"),
        (-2.0, 2, "-2"),
        (-0.0, 2, "-0"),
        (5.96e-7, 2, "6e-7"),
        (1.7e6, 2, "1.7e6"),
        (123_456.0, 6, "123456"),
        (123_456.0, 2, "120000"),
        (0.001, 3, "0.001"),
        (9.999, 2, "10"),
        (f64::NAN, 2, "NaN"),
        (f64::NEG_INFINITY, 2, "-inf"),
        (f64::MAX, 3, "1.8e308"),
    ] {
        assert_eq!(show::digits(value, figures), shown, "{value}");
    }
    let mut report = red();
    report.findings[0].shrunk.as_mut().unwrap().got = vec![1.0000000001, 1.0];
    report.findings[0].shrunk.as_mut().unwrap().want = vec![1.0, 1.0];
    let told = text::finding(&report, &report.findings[0]);
    assert!(told.contains("got [1.0000000001, 1]  want [1, 1]"), "{told}");
    let long: Vec<f64> = (0..64).map(f64::from).collect();
    report.findings[0].shrunk.as_mut().unwrap().inputs[0] = ("x".into(), vec![3, 33], long);
    let told = text::finding(&report, &report.findings[0]);
    assert!(told.contains("x[3,33]=[0, 1, 2, 3, 4, 5, 6, 7, … 99 in all]"), "{told}");
}

#[test]
fn json_keeps_a_report_with_numbers_that_are_not_finite() {
    let mut report = red();
    report.findings[0].shrunk.as_mut().unwrap().got[1] = f64::INFINITY;
    let text = json::write(&report);
    assert_eq!(json::read(&text).unwrap(), report);
    assert!(text.contains("\"inf\"") && text.contains("\"-inf\""));
    let nan = json::read(&json::write(&red())).unwrap();
    assert!(nan.findings[0].shrunk.as_ref().unwrap().got[1].is_nan());
    for refused in ["", "[]", "{}", "{\"format\":2}", "{\"format\":1}"] {
        let invalid = json::read(refused).unwrap_err();
        assert!(invalid.field.starts_with("report"), "{refused}: {invalid}");
    }
}

#[test]
fn the_schema_describes_every_report() {
    let schema: serde_json::Value =
        serde_json::from_str(include_str!("../../../docs/gate-report.schema.json")).unwrap();
    jsonschema::meta::validate(&schema).unwrap();
    let schema = jsonschema::validator_for(&schema).unwrap();
    let tolerated = "[[expect]]\nmatch='softmax'\nstatus='tolerate'\nfactor=2\nreason='r'";
    let mut served = green();
    served.served.get_mut("softmax").unwrap().limits.max_columns = Some(7);
    served.served.get_mut("softmax").unwrap().dir = Some(vec![Dir::Fwd]);
    for report in [
        green(),
        red(),
        served,
        torn(),
        settled(red(), MANIFEST, "2026-06-01"),
        settled(green(), tolerated, "2026-06-01"),
    ] {
        let value: serde_json::Value = serde_json::from_str(&json::write(&report)).unwrap();
        let errors: Vec<String> =
            schema.iter_errors(&value).map(|e| format!("{} {e}", e.instance_path())).collect();
        assert!(errors.is_empty(), "{errors:?}");
        for (pointer, wrong) in [
            ("/format", serde_json::json!(2)),
            ("/rows/0/dir", serde_json::json!("sideways")),
            ("/rows/0/q/y", serde_json::json!("large")),
            ("/rows/0/cases", serde_json::json!(-1)),
            ("/target", serde_json::json!({})),
        ] {
            let mut broken = value.clone();
            *broken.pointer_mut(pointer).unwrap() = wrong;
            assert!(!schema.is_valid(&broken), "{pointer}");
        }
    }
}

#[test]
fn what_was_left_out_and_what_else_fails_is_in_every_format() {
    let report = torn();
    for (format, written) in [
        ("text", plain(&report)),
        ("markdown", markdown::write(&report).replace('\\', "")),
        ("html", html::write(&report)),
    ] {
        for part in
            ["layer_norm:fwd:f32 y (3 cases)", "28 of 40 cases", "nothing of rms_norm was tested"]
        {
            assert!(written.contains(part), "{format} {part}: {written}");
        }
    }
    let xml = junit::write(&report);
    assert!(xml.contains("fails for the reason of layer_norm:bwd:f32 dx"), "{xml}");
    assert!(xml.contains("nothing of rms_norm was tested"), "{xml}");
    let quiet = text::write(&report, Style { quiet: true, ..Style::default() });
    assert!(quiet.contains("UNTESTED nothing of rms_norm"), "{quiet}");
    let mut untested = green();
    untested.inconclusive = report.inconclusive.clone();
    untested.exit_code = 5;
    assert!(plain(&untested).contains("UNTESTED mine 1.2 (c) · inconclusive (exit 5)"));
    assert!(markdown::write(&untested).starts_with("## ❌ UNTESTED"));
    assert!(html::write(&untested).contains("<span class=\"badge\">UNTESTED</span>"));
}

#[test]
fn a_long_message_is_shown_by_its_end() {
    let mut report = red();
    let lines: Vec<String> = (0..200).map(|line| format!("frame {line}")).collect();
    report.findings[1].message =
        format!("crash: exited with code 1:\n{}\nKeyError", lines.join("\n"));
    let told = text::finding(&report, &report.findings[1]);
    assert!(told.contains("exited with code 1") && told.contains("  KeyError\n"), "{told}");
    assert!(told.contains("… 183 lines are left out here") && told.contains("frame 199"), "{told}");
    assert!(!told.contains("frame 100\n"), "{told}");
}

/// Every object of a report has the fields of its schema, no more and, but for those that may be
/// left out, no less.
#[test]
fn the_schema_knows_every_field() {
    let schema: serde_json::Value =
        serde_json::from_str(include_str!("../../../docs/gate-report.schema.json")).unwrap();
    let mut report = settled(red(), MANIFEST, "2026-06-01");
    let other = torn();
    (report.cut_short, report.findings[0].affects) =
        (other.cut_short, other.findings[0].affects.clone());
    let subject = || "layer_norm:fwd:f32".to_string();
    report.promises = vec![Promise {
        subject: subject(),
        promise: "batch_invariant".into(),
        claimed: true,
        problems: 41,
        checks: 380,
        kept: true,
    }];
    report.repeated = vec![Repeated { subject: subject(), answers: 160, again: 120, one_in: 35.2 }];
    // Written where it is not that of a kernel.
    report.served.get_mut("softmax").unwrap().arithmetic.exp = 1e-6;
    let value = serde_json::to_value(&report).unwrap();
    let written: serde_json::Value = serde_json::from_str(&json::write(&report)).unwrap();
    assert!(jsonschema::validator_for(&schema).unwrap().is_valid(&written));
    for (pointer, name) in [
        ("/findings/0/affects/0", "affected"),
        ("/cut_short/0", "cut"),
        ("", ""),
        ("/target", "identity"),
        ("/claims", "claims"),
        ("/served/softmax", "served"),
        ("/stages/0", "stage"),
        ("/rows/0", "row"),
        ("/findings/0", "finding"),
        ("/findings/0/worst", "graded"),
        ("/findings/0/shrunk", "shrunk"),
        ("/findings/0/behaves_like", "likeness"),
        ("/findings/1/repeats", "repeats"),
        ("/promises/0", "promise"),
        ("/repeated/0", "repeated"),
        ("/expectations/0", "expectation"),
    ] {
        let known = if name.is_empty() { &schema } else { &schema["$defs"][name] };
        let known = known["properties"].as_object().unwrap();
        let fields = value.pointer(pointer).unwrap().as_object().unwrap();
        let unknown: Vec<_> = fields.keys().filter(|key| !known.contains_key(*key)).collect();
        let unused: Vec<_> = known.keys().filter(|key| !fields.contains_key(*key)).collect();
        assert!(
            unknown.is_empty() && (unused.is_empty() || unused == ["factor"]),
            "{pointer}: {unknown:?} {unused:?}"
        );
    }
}

#[test]
fn junit_has_a_case_per_row_and_failure() {
    let mut report = red();
    report.findings[1].message.push_str("\u{1}\u{1b}[31m]]>");
    let text = junit::write(&report);
    quick_junit::Report::deserialize_from_str(&text).unwrap();
    let xml = roxmltree::Document::parse(&text).unwrap();
    let root = xml.root_element();
    assert_eq!(root.tag_name().name(), "testsuites");
    let counts = ["tests", "failures", "errors"].map(|name| root.attribute(name).unwrap());
    assert_eq!(counts, ["3", "1", "1"], "{text}");
    let suites: Vec<_> =
        elements(&xml, "testsuite").iter().map(|s| s.attribute("name").unwrap()).collect();
    assert_eq!(suites, ["layer_norm", "softmax"]);
    let cases: Vec<_> =
        elements(&xml, "testcase").iter().map(|c| c.attribute("name").unwrap()).collect();
    let subject = "layer_norm:bwd:f32:dx (stage 2)";
    assert_eq!(cases, ["layer_norm:fwd:f32", subject, "softmax:fwd:bf16 (stage 2)"]);
    let failures = elements(&xml, "failure");
    assert_eq!(failures[0].attribute("type"), Some("wrong"));
    let told = failures[0].text().unwrap();
    assert_eq!(told.trim(), text::finding(&report, &report.findings[0]).trim());

    let xml = junit::write(&settled(red(), MANIFEST, "2027-02-01"));
    let xml = roxmltree::Document::parse(&xml).unwrap();
    assert_eq!(elements(&xml, "skipped").len(), 2);
    let failures = elements(&xml, "failure");
    assert_eq!(failures.len(), 2, "both entries have expired");
    assert!(failures[0].attribute("message").unwrap().contains("has expired"));

    let green = junit::write(&green());
    let xml = roxmltree::Document::parse(&green).unwrap();
    assert_eq!((elements(&xml, "testcase").len(), elements(&xml, "failure").len()), (3, 0));
}

#[test]
fn markdown_fits_a_summary_and_begins_with_the_verdict() {
    for (report, sign) in [(green(), "✅"), (red(), "❌"), (terrible(), "❌")] {
        let page = markdown::write(&report);
        assert!(page.starts_with(&format!("## {sign} ")), "{page}");
        assert!(page.len() <= markdown::LIMIT, "{}", page.len());
        assert!(!page.contains("<script>") || page.find("```") < page.find("<script>"));
        assert_eq!(page.matches("<details").count(), page.matches("</details>").count());
        // Every line of a table has the same number of cells.
        let cells = |line: &str| line.replace("\\|", "").matches('|').count();
        let rows = page.lines().filter(|line| line.starts_with("| ") || line.starts_with("|-"));
        for line in rows {
            assert_eq!(cells(line), 11, "{line}");
        }
    }
    let page = markdown::write(&red());
    assert!(page.contains("behaves like: mean(dy·weight) subtracted twice"), "{page}");
    assert!(page.contains("| ❌ | layer\\_norm | fwd, bwd × f32 | 128 |"), "{page}");
    assert!(markdown::write(&terrible()).contains("more finding"));
}

#[test]
fn the_page_refers_to_nothing_outside_itself() {
    let folder = std::path::Path::new(env!("CARGO_TARGET_TMPDIR"));
    for (name, report) in [
        ("green", green()),
        ("red", red()),
        ("broken", settled(red(), MANIFEST, "2027-02-01")),
        ("terrible", terrible()),
    ] {
        let page = html::write(&report);
        assert!(page.len() < 4_000_000, "{name}: {}", page.len());
        std::fs::write(folder.join(format!("gate-{name}.html")), &page).unwrap();
        std::fs::write(folder.join(format!("gate-{name}.md")), markdown::write(&report)).unwrap();
        for outside in ["http:", "https:", "src=", "href=", "url(", "@import", "<script"] {
            assert!(!page.contains(outside), "{name}: {outside}");
        }
        // Every element that is opened is closed in its place.
        let body = page.strip_prefix("<!DOCTYPE html>\n").unwrap();
        let closed = body.replace("initial-scale=1\">", "initial-scale=1\"/>");
        let closed = closed.replace("charset=\"utf-8\">", "charset=\"utf-8\"/>");
        let closed = closed.replace("<br>", "<br/>").replace("<details open>", "<details>");
        let xml = roxmltree::Document::parse(&closed).unwrap_or_else(|why| panic!("{name}: {why}"));
        assert_eq!(elements(&xml, "details").len(), report.counted().count(), "{name}");
        let ops = text::totals(&report).len();
        assert_eq!(elements(&xml, "figure").len(), ops, "{name}");
    }
    let page = html::write(&red());
    assert!(page.contains(">FAIL</span>") && page.contains("dx sums to 0"));
    assert!(html::write(&green()).contains(">PASS</span>"));
}

proptest! {
    #[test]
    fn no_answer_panics(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let _ = vectors::decode(&bytes);
        let mut framed = (bytes.len() as u64).to_le_bytes().to_vec();
        framed.extend(&bytes);
        let _ = vectors::decode(&framed);
    }

    #[test]
    fn no_manifest_panics(text in ".{0,200}") {
        let _ = manifest::parse(&text);
    }

    #[test]
    fn nearly_right_manifests_do_not_panic(parts in proptest::collection::vec(prop_oneof![
        Just("[[expect]]\n"), Just("require = "), Just("match = "), Just("status = "),
        Just("factor = "), Just("until = "), Just("reason = "), Just("'xfail'\n"),
        Just("'tolerate'\n"), Just("2027-01-31\n"), Just("nan\n"), Just("['a', 3]\n"),
        Just("\"é\n"), Just("[[["), Just("{a = "), Just("\n"),
    ], 0..12)) {
        let _ = manifest::parse(&parts.concat());
    }

    #[test]
    fn a_pattern_matches_itself_and_its_parts(parts in proptest::collection::vec("[a-z0-9=,+]{1,6}", 1..6)) {
        let name = parts.join(":");
        prop_assert!(matches(&name, &name));
        prop_assert!(matches(&parts[0], &name));
        prop_assert!(matches("*", &name));
    }

    #[test]
    fn a_glob_never_hangs(pattern in "[ab*?]{0,40}", name in "[ab:]{0,200}") {
        let _ = matches(&pattern, &name);
    }

    #[test]
    fn numbers_read_back_to_their_digits(value in proptest::num::f64::NORMAL, figures in 1usize..18) {
        let shown: f64 = show::digits(value, figures).parse().unwrap();
        let most = 0.5 * 10f64.powi(1 - figures as i32) * (1.0 + 1e-9);
        prop_assert!((shown / value - 1.0).abs() <= most.max(4e-16) || !shown.is_finite(), "{} {}", value, shown);
    }
}
