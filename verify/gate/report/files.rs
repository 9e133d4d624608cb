//! Cases as files, and answers that come as files.

use super::*;

#[test]
fn vectors_are_written_answered_and_graded() {
    let (questions, answers) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let (questions, answers) = (questions.path(), answers.path());
    let chosen = ["layer_norm".parse().unwrap()];
    let index = vectors::export(questions, &chosen, 6, 1).unwrap();
    assert_eq!(index.vectors.len(), 2 * 4 * 6);
    answered(questions, answers, "", &index);
    let report = vectors::grade(questions, answers).unwrap();
    assert_eq!((report.exit_code, report.findings.len()), (0, 0), "{}", plain(&report));
    assert_eq!(report.rows.len(), 8);
    assert!(report.rows.iter().all(|row| row.cases == 6 && row.grade_a + row.grade_b == 6));
    assert!(report.rows.iter().all(|row| row.largest_q() > 0.0));

    // What is missing is coverage.
    for vector in index.vectors.iter().filter(|vector| vector.file.contains("fwd-bf16")) {
        std::fs::remove_file(answers.join(&vector.file)).unwrap();
    }
    std::fs::write(answers.join("hello.json"), r#"{"impl":{"name":"mine"},"ops":{}}"#).unwrap();
    let report = vectors::grade(questions, answers).unwrap();
    assert_eq!((report.exit_code, report.target.name.as_str()), (0, "mine"));
    assert!(report.uncovered.contains(&"layer_norm:fwd:bf16".to_string()));
    assert_eq!(report.notes, ["6 of 48 vectors have no answer"]);

    // A wrong model is found, and so are files that are none, or answers to other questions.
    answered(questions, answers, "ln_mean_twice", &index);
    let wrong = vectors::grade(questions, answers).unwrap();
    assert_eq!(wrong.exit_code, 1);
    assert!(wrong.findings.iter().all(|finding| finding.tensor.as_deref() == Some("dx")));
    answered(questions, answers, "", &index);
    let put = |file: usize, bytes: &[u8]| {
        std::fs::write(answers.join(&index.vectors[file].file), bytes).unwrap();
    };
    put(0, b"PLUMMET1");
    put(
        1,
        &vectors::encode(&serde_json::json!({"kind": "ok", "seq": 7}), &BTreeMap::new()).unwrap(),
    );
    put(2, &vectors::encode(&serde_json::json!({"kind": 3}), &BTreeMap::new()).unwrap());
    let broken = vectors::grade(questions, answers).unwrap();
    assert_eq!((broken.exit_code, broken.findings.len(), broken.findings[0].times), (6, 1, 3));
    let error = serde_json::json!({"kind": "error", "message": "no"});
    for file in 0..3 {
        put(file, &vectors::encode(&error, &BTreeMap::new()).unwrap());
    }
    let refused = vectors::grade(questions, answers).unwrap();
    assert_eq!((refused.exit_code, refused.findings[0].times), (1, 3));
    assert!(refused.findings[0].message.contains("answered error: no"));
}

#[test]
fn answers_that_are_not_there_are_not_green() {
    let (questions, answers) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let (questions, answers) = (questions.path(), answers.path());
    let asked = ["layer_norm:fwd:f32".parse().unwrap(), "softmax:fwd".parse().unwrap()];
    let index = vectors::export(questions, &asked, 3, 1).unwrap();
    let said = |answers: &std::path::Path| {
        let report = vectors::grade(questions, answers).unwrap();
        (report.exit_code, report.inconclusive.join("; "), plain(&report))
    };
    let (code, why, told) = said(answers);
    assert_eq!(code, 5, "{told}");
    assert!(why.contains("has no answer to any of 15 vectors"), "{why}");
    assert!(told.contains("UNTESTED vectors"), "{told}");
    // Nor are answers under names of their own.
    std::fs::write(answers.join("layer_norm_0.safetensors"), b"").unwrap();
    std::fs::write(answers.join("hello.json"), b"{}").unwrap();
    let (code, why, _) = said(answers);
    assert_eq!(code, 5);
    assert!(why.ends_with("and 1 files there are named like no vector"), "{why}");
    // What was asked for by name is missed, though the other is there.
    let norm = vectors::Index {
        vectors: index.vectors.iter().filter(|v| v.file.starts_with("layer")).cloned().collect(),
        ..index.clone()
    };
    answered(questions, answers, "", &norm);
    let (code, why, _) = said(answers);
    assert_eq!((code, why.as_str()), (5, "nothing of softmax:fwd was tested: there is no answer"));
    // Slips of the pen beside the answers are named.
    for (hello, field) in [
        (r#"{"ops":{"layer_norm":{"dtypes":["f32"]}}}"#, "dtype is meant?"),
        (r#"{"ops":{"layer_norm":{"accumulate":{"bfloat16":"f32"}}}}"#, "bf16 is meant?"),
        (r#"{"ops":{"layernorm":{}}}"#, "hello.ops = layernorm"),
    ] {
        std::fs::write(answers.join("hello.json"), hello).unwrap();
        let refused = vectors::grade(questions, answers).unwrap_err().to_string();
        assert!(refused.contains(field), "{refused}");
    }
}

#[test]
fn an_index_that_is_not_ours_is_refused() {
    let (questions, answers) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let refused =
        |questions: &std::path::Path| vectors::grade(questions, answers.path()).unwrap_err().field;
    assert_eq!(refused(questions.path()), "index.json");
    let chosen = ["layer_norm:fwd:f32".parse().unwrap()];
    let index = vectors::export(questions.path(), &chosen, 2, 1).unwrap();
    type Other = fn(&mut vectors::Index);
    let others: [(&str, Other); 6] = [
        ("index.plummet", |index| index.plummet = "0.0.1".into()),
        ("index.spec", |index| index.spec = "2020.1".into()),
        ("index.cases", |index| index.cases = usize::MAX),
        ("index.vectors.id", |index| index.seed = 2),
        ("index.vectors.id", |index| index.vectors[0].id.push_str(",eps=\"a\"")),
        ("index.vectors.file", |index| index.vectors[0].file = "../../secret".into()),
    ];
    for (field, change) in others {
        let mut other = index.clone();
        change(&mut other);
        let text = serde_json::to_string(&other).unwrap();
        std::fs::write(questions.path().join("index.json"), text).unwrap();
        assert_eq!(refused(questions.path()), field);
    }
    assert!(vectors::export(questions.path(), &["dropout".parse().unwrap()], 1, 1).is_err());
}
