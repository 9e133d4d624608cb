//! Values come back bit for bit, from the store and from JSON.

use super::support::*;
use plummet::record::{Measure, Outcome, ProbeRow, RunState, StepRow, Summary, Trend};
use plummet::store::{Filter, Problem, Resume, Store};
use proptest::prelude::*;
use serde_json::json;
use tempfile::tempdir;

const SPECIAL: [f64; 12] = [
    f64::NAN,
    f64::INFINITY,
    f64::NEG_INFINITY,
    0.0,
    -0.0,
    5e-324,
    -5e-324,
    f64::MIN_POSITIVE,
    f64::MAX,
    f64::MIN,
    9_007_199_254_740_993.0,
    3.0,
];

fn float() -> impl Strategy<Value = f64> {
    prop_oneof![any::<u64>().prop_map(f64::from_bits), prop::sample::select(SPECIAL.to_vec())]
}

fn outcome() -> impl Strategy<Value = Outcome> {
    prop_oneof![
        Just(Outcome::Ok),
        Just(Outcome::Stuck),
        Just(Outcome::Collapsed),
        Just(Outcome::Unfinished),
        any::<u64>().prop_map(|step| Outcome::Spike { step }),
        any::<u64>().prop_map(|step| Outcome::Diverged { step }),
        (any::<u64>(), ".{0,20}").prop_map(|(step, value)| Outcome::NonFinite { step, value }),
    ]
}

const COUNT: std::ops::RangeInclusive<u64> = 0..=i64::MAX as u64;

prop_compose! {
    fn any_summary()(
        outcome in outcome(),
        f in prop::array::uniform7(float()),
        trend in prop::sample::select(vec![Trend::Falling, Trend::Level, Trend::Unclear]),
        measure in prop::sample::select(vec![Measure::Training, Measure::HeldOut]),
        references in prop::collection::vec(("unigram|bigram|bayes|.{0,8}", float()), 0..4),
        baseline in "unigram|.{0,8}",
        n in prop::array::uniform3(COUNT),
    ) -> Summary {
        Summary {
            outcome,
            loss: f[0],
            initial_loss: f[1],
            val_loss: f[2],
            references: references.iter().map(|(name, nats)| (&**name, *nats).into()).collect(),
            baseline,
            token_cosine: f[3],
            steps: n[0],
            seconds: f[4],
            peak_bytes: n[1],
            parameters: n[2],
            passes: f[5],
            trend,
            measure,
            val_baseline: f[6],
        }
    }
}

prop_compose! {
    fn step_row()(
        step in COUNT,
        f in prop::array::uniform3(float()),
        val_loss in prop::option::of(float()),
    ) -> StepRow {
        StepRow { step, loss: f[0], lr: f[1], grad_norm: f[2], val_loss }
    }
}

prop_compose! {
    fn probe_row()(
        step in COUNT,
        layer in any::<u32>(),
        site in "[a-z.]{0,6}|.{0,8}",
        metric in "rms|grad_norm|token_cosine|.{0,8}",
        value in float(),
    ) -> ProbeRow {
        ProbeRow { step, layer, site, metric, value }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn every_row_comes_back_bit_for_bit(
        mut steps in prop::collection::vec(step_row(), 0..20),
        mut probes in prop::collection::vec(probe_row(), 0..20),
        summary in any_summary(),
        name in ".{0,12}",
        group in ".{0,12}",
    ) {
        steps.sort_by_key(|row| row.step);
        steps.dedup_by_key(|row| row.step);
        let key = |row: &ProbeRow| (row.step, row.layer, row.site.clone(), row.metric.clone());
        probes.sort_by_key(key);
        probes.dedup_by_key(|row| key(row));

        let dir = tempdir().unwrap();
        let path = dir.path().join("runs.sqlite");
        let config = json!({"name": name, "depth": 12, "tags": [1, null, true]});
        let store = Store::open(&path).unwrap();
        prop_assert_eq!(store.begin("id", &name, &group, &config).unwrap(), Resume::Fresh);
        store.append("id", &steps, &probes).unwrap();
        store.finish("id", &summary, &[], &[]).unwrap();
        store.close().unwrap();

        let store = Store::open_read(&path).unwrap();
        let run = store.run("id").unwrap();
        prop_assert_eq!(&run.name, &name);
        prop_assert_eq!(&run.group, &group);
        prop_assert_eq!(&run.config, &config);
        prop_assert_eq!(run.state, RunState::Finished);
        prop_assert_eq!(summary_text(run.summary.as_ref().unwrap()), summary_text(&summary));
        let text = |rows: &[StepRow]| rows.iter().map(step_text).collect::<String>();
        prop_assert_eq!(text(&store.steps("id").unwrap()), text(&steps));

        let text = |rows: &mut dyn Iterator<Item = &ProbeRow>| rows.map(probe_text).collect::<String>();
        for metric in store.metrics("id").unwrap() {
            let found = store.probes("id", &metric).unwrap();
            let given = &mut probes.iter().filter(|row| row.metric == metric);
            prop_assert_eq!(text(&mut found.iter()), text(given));
        }
        for row in &probes {
            let found = store.probes_at("id", row.step).unwrap();
            let given = &mut probes.iter().filter(|other| other.step == row.step);
            prop_assert_eq!(text(&mut found.iter()), text(given));
        }
        let size = store.size().unwrap();
        prop_assert_eq!((size.runs, size.steps), (1, steps.len() as u64));
        prop_assert_eq!(size.probes, probes.len() as u64);
        prop_assert_eq!(size.bytes, std::fs::metadata(&path).unwrap().len());
    }

    #[test]
    fn a_snapshot_comes_back_byte_for_byte(
        blob in prop::collection::vec(any::<u8>(), 0..40_000),
        step in COUNT,
    ) {
        let dir = tempdir().unwrap();
        let path = dir.path().join("runs.sqlite");
        let store = Store::open(&path).unwrap();
        store.begin("id", "", "", &json!(null)).unwrap();
        store.snapshot("id", step, &blob, &[], &[]).unwrap();
        drop(store);
        let resume = Store::open(&path).unwrap().begin("id", "", "", &json!(null)).unwrap();
        prop_assert_eq!(resume, Resume::From { step, snapshot: blob });
    }

    #[test]
    fn json_keeps_what_is_not_finite(summary in any_summary(), row in step_row()) {
        // Finite values are compared up to the precision of the JSON parser.
        fn alike(a: f64, b: f64) -> bool {
            a.to_bits() == b.to_bits() || (a.is_nan() && b.is_nan()) || (a - b).abs() <= a.abs() * 1e-15
        }
        let back: Summary = serde_json::from_str(&serde_json::to_string(&summary).unwrap()).unwrap();
        prop_assert_eq!(&back.outcome, &summary.outcome);
        prop_assert!(alike(back.loss, summary.loss), "{} {}", back.loss, summary.loss);
        prop_assert!(alike(back.seconds, summary.seconds));
        prop_assert_eq!(back.references.len(), summary.references.len());
        for (back, given) in back.references.iter().zip(&summary.references) {
            prop_assert_eq!(&back.name, &given.name);
            prop_assert!(alike(back.nats, given.nats));
        }
        let back: StepRow = serde_json::from_value(serde_json::to_value(row).unwrap()).unwrap();
        prop_assert_eq!(step_text(&back), step_text(&row));
    }
}

#[test]
fn json_spells_nan_as_null() {
    let row =
        StepRow { step: 1, loss: f64::NAN, lr: f64::INFINITY, grad_norm: 1.0, val_loss: None };
    let text = serde_json::to_string(&row).unwrap();
    assert_eq!(text, r#"{"step":1,"loss":null,"lr":"inf","grad_norm":1.0,"val_loss":null}"#);
    assert!(serde_json::from_str::<StepRow>(&text.replace("\"inf\"", "\"many\"")).is_err());
    let whole: StepRow = serde_json::from_str(&text.replace("1.0", "1")).unwrap();
    assert_eq!(whole.grad_norm, 1.0);
}

#[test]
fn outcomes_have_ids_sentences_and_json() {
    let outcomes = [
        Outcome::Ok,
        Outcome::Stuck,
        Outcome::Spike { step: 3 },
        Outcome::Diverged { step: 4 },
        Outcome::NonFinite { step: 12, value: "blocks.3.attn.scores".to_owned() },
        Outcome::Collapsed,
        Outcome::Unfinished,
    ];
    assert_eq!(outcomes.each_ref().map(Outcome::id), Outcome::IDS);
    assert_eq!(outcomes[4].to_string(), "non-finite at step 12 in blocks.3.attn.scores");
    for outcome in outcomes {
        let json = serde_json::to_string(&outcome).unwrap();
        assert!(json.contains(outcome.id()), "{json}");
        assert_eq!(serde_json::from_str::<Outcome>(&json).unwrap(), outcome);
        assert!(!outcome.to_string().contains('\n'));
    }
}

#[test]
fn filters_select_and_prefixes_resolve() {
    let dir = tempdir().unwrap();
    let path = dir.path().join("runs.sqlite");
    sample(&path);
    let store = Store::open(&path).unwrap();
    store.begin("aaaa3333", "third", "other", &json!({})).unwrap();
    store.finish("aaaa3333", &Summary { outcome: Outcome::Stuck, ..summary() }, &[], &[]).unwrap();

    let ids = |filter: Filter| -> Vec<String> {
        store.runs(&filter).unwrap().into_iter().map(|run| run.id).collect()
    };
    assert_eq!(ids(Filter::default()), ["aaaa1111", "bbbb2222", "aaaa3333"]);
    let filter = Filter { group: Some("sample".into()), ..Filter::default() };
    assert_eq!(ids(filter), ["aaaa1111", "bbbb2222"]);
    assert_eq!(ids(Filter { name: Some("hir".into()), ..Filter::default() }), ["aaaa3333"]);
    let filter = Filter { state: Some(RunState::Interrupted), ..Filter::default() };
    assert_eq!(ids(filter), ["bbbb2222"]);
    assert_eq!(ids(Filter { outcome: Some("stuck".into()), ..Filter::default() }), ["aaaa3333"]);

    assert_eq!(store.run("b").unwrap().id, "bbbb2222");
    assert_eq!(store.steps("bbbb2").unwrap().len(), 40);
    let text = refusal(store.run("aaaa"), &path);
    assert!(text.contains("aaaa1111") && text.contains("aaaa3333"), "{text}");
    for unknown in ["aaab1111", "", "zz\nz"] {
        let text = refusal(store.steps(unknown), &path);
        assert!(text.contains("no run") && text.contains("aaaa1111"), "{text}");
    }
    let empty = dir.path().join("empty.sqlite");
    let text = refusal(Store::open(&empty).unwrap().run("x"), &empty);
    assert!(text.contains("holds no runs"), "{text}");
}

#[test]
fn counts_beyond_the_column_are_refused() {
    let dir = tempdir().unwrap();
    let path = dir.path().join("runs.sqlite");
    let store = Store::open(&path).unwrap();
    store.begin("id", "", "", &json!({})).unwrap();
    let text = refusal(store.append("id", &[step(1, 1.0), step(u64::MAX, 1.0)], &[]), &path);
    assert!(text.contains("step = 18446744073709551615"), "{text}");
    assert!(store.steps("id").unwrap().is_empty(), "the batch must be all or nothing");
    assert!(matches!(
        store.begin("", "", "", &json!({})).unwrap_err().problem,
        Problem::OutOfRange(_)
    ));
}
