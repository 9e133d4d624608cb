//! What a finished stack is examined for is in its record, and changes nothing else there.

use plummet::backend::Host;
use plummet::config::RunConfig;
use plummet::record::{ProbeRow, RunRecord};
use plummet::store::Store;
use plummet::train::{Corpus, Quiet, Trainer, run};
use std::sync::Arc;

fn config(examine: &str) -> RunConfig {
    let fields = [
        ("task", "markov"),
        ("width", "16"),
        ("depth", "3"),
        ("heads", "2"),
        ("seq", "16"),
        ("batch", "4"),
        ("steps", "4"),
        ("probe-every", "0"),
        ("shards", "1"),
        ("examine", examine),
    ];
    RunConfig::from_settings(fields).unwrap()
}

fn examined(examine: &str) -> (RunRecord, Vec<ProbeRow>) {
    let place = tempfile::tempdir().unwrap();
    let store = Store::open(place.path().join("runs.sqlite")).unwrap();
    let config = config(examine);
    let record = run(&config, "test", &store, &Quiet).unwrap();
    let rows = store.probes_at(&config.id(), 4).unwrap();
    (record, rows)
}

#[test]
fn every_examination_leaves_its_rows_and_the_rest_as_it_is() {
    let usual = examined("none").0.summary.unwrap();
    for (examine, expected) in [
        ("response", &[("change", "stream", 4), ("change", "logits", 1)][..]),
        ("shift", &[("shift", "block", 3), ("shift_cosine", "block", 3)]),
        ("jacobian", &[("jacobian", "stream", 4)]),
        ("blocks", &[("left_out", "block", 3), ("swapped", "block", 2)]),
    ] {
        let (record, rows) = examined(examine);
        for &(metric, site, count) in expected {
            let found = rows.iter().filter(|row| row.metric == metric && row.site == site);
            let values: Vec<f64> = found.map(|row| row.value).collect();
            assert_eq!(values.len(), count, "{examine}: {metric} of {site}");
            assert!(values.iter().all(|v| v.is_finite() && *v != 0.0), "{examine}: {values:?}");
        }
        let summary = record.summary.unwrap();
        assert_eq!((summary.steps, summary.val_loss), (usual.steps, usual.val_loss), "{examine}");
        assert_eq!(summary.token_cosine, usual.token_cosine, "{examine}");
    }
}

#[test]
fn the_response_of_the_record_is_that_of_the_trained_stack() {
    let config = config("response");
    let corpus = Arc::new(Corpus::load(&config).unwrap());
    let mut trainer = Trainer::new(Host::<f32>::new(), &config, corpus).unwrap();
    for _ in 0..4 {
        trainer.advance(None);
    }
    let logits = trainer.respond().into_iter().find(|change| change.site == "logits").unwrap();
    let (_, rows) = examined("response");
    let row = rows.iter().find(|row| row.metric == "change" && row.site == "logits").unwrap();
    assert_eq!(row.value, logits.change);
}
