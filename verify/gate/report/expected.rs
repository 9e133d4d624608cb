//! What a project expects of a target, held against a run.

use super::*;

#[test]
fn expected_failures_do_not_count() {
    let report = settled(red(), MANIFEST, "2026-12-31");
    assert_eq!(report.exit_code, 0, "{}", plain(&report));
    assert_eq!(report.counted().count(), 0);
    assert_eq!(report.expectations[0].findings, [0]);
    assert_eq!(report.expectations[1].findings, [1]);
    assert!(plain(&report).contains("2 failures expected"), "{}", plain(&report));
}

#[test]
fn broken_expectations_are_told() {
    let expired = settled(red(), MANIFEST, "2027-01-01");
    assert_eq!(expired.exit_code, 8);
    assert_eq!(expired.expectations[0].state, State::Expired);
    let passes = settled(green(), MANIFEST, "2026-06-01");
    assert_eq!(passes.exit_code, 8);
    let states: Vec<State> = passes.expectations.iter().map(|e| e.state).collect();
    assert_eq!(states, [State::Passes, State::Passes]);
    let nowhere = "[[expect]]\nmatch = 'attention'\nstatus = 'skip'\nreason = 'later'";
    let unmatched = settled(green(), nowhere, "2026-06-01");
    assert_eq!(unmatched.exit_code, 8);
    assert_eq!(unmatched.expectations[0].state, State::Unmatched);
    let told = plain(&unmatched);
    assert!(
        told.contains("EXPECT skip attention matches nothing that was tested (later)"),
        "{told}"
    );
    let mut skipped = green();
    skipped.skipped.push("attention:fwd:f32".into());
    assert_eq!(settled(skipped, nowhere, "2026-06-01").exit_code, 0);
}

#[test]
fn what_is_required_must_be_tested() {
    for (pattern, wanted) in [
        ("layer_norm:bwd:f32", vec![]),
        ("softmax", vec![]),
        ("layer_norm:*:f32", vec![]),
        ("layer_norm:fwd", vec!["layer_norm:fwd:bf16"]),
        ("rms_norm:fwd:f32", vec!["rms_norm:fwd:f32"]),
        ("attention", vec!["attention"]),
    ] {
        assert_eq!(missing(&green(), pattern), wanted, "{pattern}");
        let manifest = Manifest { require: vec![pattern.into()], ..Manifest::default() };
        let mut report = green();
        apply(&mut report, &manifest, Date::today());
        assert_eq!(report.exit_code, if wanted.is_empty() { 0 } else { 8 }, "{pattern}");
    }
    let mut vacuous = green();
    vacuous.rows[2].vacuous = vacuous.rows[2].cases;
    assert_eq!(missing(&vacuous, "softmax"), ["softmax:fwd:bf16"]);
    // A wrong result is said before a broken expectation, and is not hidden by one.
    assert_eq!(settled(red(), "require = ['attention']", "2026-06-01").exit_code, 1);
}

#[test]
fn a_tolerance_is_a_factor_of_the_bound() {
    let manifest = |factor: f64| {
        format!(
            "[[expect]]\nmatch = 'layer_norm:bwd:f32:dx'\nstatus = 'tolerate'\nfactor = {factor:?}\n\
             reason = 'known'\n[[expect]]\nmatch = 'softmax'\nstatus = 'xfail'\nreason = 'crash'"
        )
    };
    let enough = settled(red(), &manifest(2e6), "2026-06-01");
    assert_eq!((enough.exit_code, enough.expectations[0].state), (0, State::Holds));
    let exceeded = settled(red(), &manifest(1e6), "2026-06-01");
    assert_eq!((exceeded.exit_code, exceeded.expectations[0].state), (1, State::Exceeded));
    assert_eq!(exceeded.counted().count(), 1);
    // No factor reaches an answer that is not finite.
    let mut infinite = red();
    infinite.rows[1].q.insert("dx".into(), f64::INFINITY);
    assert_eq!(settled(infinite, &manifest(1e300), "2026-06-01").exit_code, 1);
}

#[test]
fn patterns_stand_for_what_is_below_them() {
    for (pattern, name, answer) in [
        ("layer_norm", "layer_norm:bwd:f32", true),
        ("layer_norm:bwd", "layer_norm:bwd:f32:dx", true),
        ("layer_norm:bwd:f32", "layer_norm:bwd:f32:rows=1,cols=2", true),
        ("layer_norm:bwd:bf16", "layer_norm:bwd:bf16+f32:dx", true),
        ("layer_norm:bwd:bf16+f32", "layer_norm:bwd:bf16+f32", true),
        ("layer_norm:bwd:f32", "layer_norm:bwd:bf16+f32", false),
        ("layer", "layer_norm:bwd:f32", false),
        ("*_norm:*:dx", "layer_norm:bwd:f32:dx", true),
        ("*:dx", "layer_norm:bwd:f32:dweight", false),
        ("layer_norm:?wd:f?2", "layer_norm:bwd:f32", true),
        ("*", "softmax:fwd:f32", true),
        ("a*b*c", "aXbXbXc", true),
        ("a*b*c", "aXbXbX", false),
        ("softmax:fwd:f32:no=bias", "softmax:fwd:f32:no=bias+weight", false),
    ] {
        assert_eq!(matches(pattern, name), answer, "{pattern} {name}");
    }
}

#[test]
fn manifests_are_refused_with_field_value_and_what_is_allowed() {
    let entry = |line: &str| format!("[[expect]]\nmatch='a'\nstatus='xfail'\nreason='r'\n{line}");
    for (toml, field, value, allowed) in [
        ("require".into(), "gate.toml", "line 1", "TOML"),
        ("\n\nx = =".into(), "gate.toml", "line 3", "TOML"),
        ("requires = []".into(), "field of gate.toml", "requires", "require, sizes"),
        ("require = 'a'".into(), "require", "a", "patterns"),
        ("require = ['']".into(), "require", "\"\"", "patterns"),
        ("expect = 3".into(), "expect", "3", "[[expect]]"),
        ("[[expect]]".into(), "expect[0].status", "nothing", "\"xfail\""),
        ("[[expect]]\nstatus='xpass'".into(), "expect[0].status", "\"xpass\"", "\"skip\""),
        ("[[expect]]\nmatch='a'\nstatus='skip'".into(), "expect[0].reason", "nothing", "words"),
        ("[[expect]]\nreason='a'\nstatus='skip'".into(), "expect[0].match", "nothing", "pattern"),
        (entry("why='x'"), "field of expect[0]", "why", "match, status"),
        (entry("factor=2.0"), "expect[0].factor", "2.0", "tolerate"),
        (entry("issue=7"), "expect[0].issue", "7", "string"),
        (entry("until='soon'"), "expect[0].until", "\"soon\"", "2027-01-31"),
        (entry("until='2026-02-29'"), "expect[0].until", "2026-02-29", "2027-01-31"),
        (entry("until=12:00:00"), "expect[0].until", "12:00:00", "2027-01-31"),
        (
            "[[expect]]\nmatch='a'\nstatus='tolerate'\nreason='r'".into(),
            "expect[0].factor",
            "nothing",
            "above 1",
        ),
        (
            "[[expect]]\nmatch='a'\nstatus='tolerate'\nreason='r'\nfactor=0.5".into(),
            "expect[0].factor",
            "0.5",
            "above 1",
        ),
        (
            "[[expect]]\nmatch='a'\nstatus='tolerate'\nreason='r'\nfactor=inf".into(),
            "expect[0].factor",
            "inf",
            "above 1",
        ),
    ] {
        let toml: String = toml;
        let invalid = manifest::parse(&toml).expect_err(&toml);
        assert_eq!(invalid.field, field, "{toml}: {invalid}");
        assert!(invalid.value.contains(value), "{toml}: {invalid}");
        assert!(invalid.allowed.contains(allowed), "{toml}: {invalid}");
    }
    assert_eq!(manifest::parse("").unwrap(), Manifest::default());
}

#[test]
fn the_first_code_in_order_of_precedence_wins() {
    assert_eq!(exit_code([]), 0);
    assert_eq!(exit_code([0, 0]), 0);
    // Every set of codes, in both orders.
    for set in 1u32..1 << PRECEDENCE.len() {
        let codes: Vec<u8> =
            (0..8).filter(|bit| set >> bit & 1 == 1).map(|bit| PRECEDENCE[bit as usize]).collect();
        assert_eq!(exit_code(codes.iter().copied()), codes[0], "{codes:?}");
        assert_eq!(exit_code(codes.iter().rev().copied()), codes[0], "{codes:?}");
    }
    // The order itself, as the specification states it.
    let order = [9, 6, 1, 7, 8, 3, 4, 5];
    for (i, first) in order.iter().enumerate() {
        for second in &order[i..] {
            assert_eq!(exit_code([*second, 0, *first]), *first);
        }
    }
    for unknown in [2, 10, 255] {
        assert_eq!(exit_code([1, unknown]), 9);
    }
    // A regression that was found stays, unless something worse is.
    for (own, with_nothing) in [(3, 3), (4, 4), (5, 5), (9, 9), (1, 0), (8, 0)] {
        let mut report = green();
        report.exit_code = own;
        apply(&mut report, &Manifest::default(), Date::today());
        assert_eq!(report.exit_code, with_nothing, "{own}");
    }
}

#[test]
fn days_are_those_of_the_calendar() {
    for (days, written) in [
        (0, "1970-01-01"),
        (59, "1970-03-01"),
        (789, "1972-02-29"),
        (11_016, "2000-02-29"),
        (19_782, "2024-02-29"),
        (20_819, "2027-01-01"),
        (47_540, "2100-02-28"),
        (47_541, "2100-03-01"),
    ] {
        assert_eq!(Date::of_days(days).to_string(), written);
    }
    let mut last = Date::of_days(0);
    for days in 1..80_000 {
        let day = Date::of_days(days);
        assert!(day > last, "{last} {day}");
        assert_eq!(Date::parse(&day.to_string()), Some(day));
        last = day;
    }
    for wrong in [
        "2027-1-01",
        "2027-13-01",
        "2027-00-10",
        "2027-04-31",
        "20270101",
        "2027-01-01-",
        "+027-01-01",
        "",
    ] {
        assert_eq!(Date::parse(wrong), None, "{wrong}");
    }
}

#[test]
fn a_manifest_says_how_long_a_target_may_take() {
    let seconds = |toml: &str| {
        let patience = manifest::parse(toml).unwrap().patience.unwrap();
        (patience.first.as_secs(), patience.shape.as_secs(), patience.least.as_secs())
    };
    assert_eq!(seconds("patience = '90s'"), (90, 90, 5));
    assert_eq!(seconds("[patience]\nfirst = '5m'\ncall = '10s'"), (300, 60, 10));
    assert!(manifest::parse("").unwrap().patience.is_none());
    for (toml, field) in [
        ("patience = 7", "patience = 7"),
        ("patience = 'long'", "patience = long"),
        ("[patience]\nfist = '7s'", "patience = fist: allowed is hello, first, shape, call"),
        ("[patience]\nfirst = 7", "patience = "),
        ("[patience]\ncall = '0s'", "patience.call = 0s"),
        (
            "patiense = '7s'",
            "field of gate.toml = patiense: allowed is require, sizes, expect, patience",
        ),
    ] {
        let refused = manifest::parse(toml).unwrap_err().to_string();
        assert!(refused.contains(field), "{toml}: {refused}");
    }
}
