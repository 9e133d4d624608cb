//! Two runs, compared.

use super::*;

#[test]
fn a_comparison_finds_what_became_worse() {
    let same = diff(&green(), &green()).unwrap();
    assert_eq!((same.exit_code(), same.compared), (0, 3));
    assert!(same.worse.is_empty() && same.better.is_empty() && same.lost.is_empty());

    let mut now = green();
    let q = |report: &mut Report, to: f64| {
        report.rows[2].q_statistical.insert("y".into(), to);
    };
    for (to, code) in [(0.8, 0), (1.19, 0), (1.21, 3), (f64::NAN, 3), (f64::INFINITY, 3)] {
        q(&mut now, to);
        assert_eq!(diff(&green(), &now).unwrap().exit_code(), code, "{to}");
    }
    q(&mut now, 1.21);
    let worse = diff(&green(), &now).unwrap();
    assert_eq!(worse.worse.len(), 1);
    let change = &worse.worse[0];
    assert_eq!(
        (change.subject.as_str(), change.metric),
        ("softmax:fwd:bf16", Metric::QStatistical)
    );
    let told = plummet::gate::report::diff::text(&worse, &green(), &now);
    assert!(told.contains("worse   softmax:fwd:bf16 y  q(√n) 0.8 → 1.2"), "{told}");
    assert!(
        told.ends_with(
            "FAIL accuracy regression · mine 1.2 (c) → mine 1.2 (c) · 3 rows compared\n"
        )
    );
    assert_eq!(diff(&now, &green()).unwrap().better.len(), 1);
    // Far below the bound no ratio is a regression.
    let (mut tiny, mut small) = (green(), green());
    q(&mut tiny, 1e-6);
    q(&mut small, 0.09);
    assert_eq!(diff(&tiny, &small).unwrap().exit_code(), 0);

    let mut graded = green();
    (graded.rows[2].grade_a, graded.rows[2].grade_b) = (56, 8);
    let fewer = diff(&green(), &graded).unwrap();
    assert_eq!((fewer.exit_code(), fewer.worse[0].metric), (3, Metric::BelowA));

    let mut lost = green();
    lost.rows.pop();
    let lost = diff(&green(), &lost).unwrap();
    assert_eq!((lost.exit_code(), lost.lost), (3, vec!["softmax:fwd:bf16".to_string()]));

    let wrong = diff(&green(), &red()).unwrap();
    assert_eq!((wrong.exit_code(), wrong.new_findings.len()), (1, 2));
    let fixed = diff(&red(), &green()).unwrap();
    assert_eq!((fixed.exit_code(), fixed.fixed.len()), (0, 2));
    // What the manifest expects is not news.
    let known = settled(red(), MANIFEST, "2026-06-01");
    assert!(diff(&green(), &known).unwrap().new_findings.is_empty());
    let json: serde_json::Value =
        serde_json::from_str(&plummet::gate::report::diff::json(&wrong)).unwrap();
    assert_eq!((&json["exit_code"], &json["compared"]), (&1.into(), &3.into()));
}

#[test]
fn runs_of_other_cases_are_not_compared() {
    type Other = fn(&mut Report);
    let others: [(&str, Other); 6] = [
        ("seed", |report| report.seed = 2),
        ("spec", |report| report.spec = "2027.1".into()),
        ("plummet", |report| report.plummet = "9.9".into()),
        ("cases of softmax:fwd:bf16", |report| report.rows[2].cases = 65),
        ("served.softmax.accumulate", |report| {
            let served = report.served.get_mut("softmax").unwrap();
            served.accumulate.insert(Dtype::Bf16, Dtype::Bf16);
        }),
        ("served.softmax.limits", |report| {
            report.served.get_mut("softmax").unwrap().limits.max_columns = Some(1);
        }),
    ];
    for (field, change) in others {
        let mut now = green();
        change(&mut now);
        let invalid = diff(&green(), &now).unwrap_err();
        assert_eq!(invalid.field, field);
        assert!(invalid.allowed.contains("as in the base"), "{invalid}");
    }
    // A target that died half way is compared, and what it did not reach is lost.
    let mut died = red();
    died.rows[2].cases = 20;
    let died = diff(&green(), &died).unwrap();
    assert_eq!((died.exit_code(), died.lost), (1, vec!["softmax:fwd:bf16".to_string()]));
}

#[test]
fn runs_without_a_row_in_common_are_not_compared() {
    let mut other = green();
    for row in &mut other.rows {
        row.op = "rms_norm".into();
    }
    let nothing = diff(&Report { rows: Vec::new(), ..green() }, &green()).unwrap();
    assert_eq!(nothing.exit_code(), 5);
    // What was tested and is not any more is worse than that.
    let lost = diff(&green(), &other).unwrap();
    assert_eq!((lost.compared, lost.exit_code()), (0, 3));
}
