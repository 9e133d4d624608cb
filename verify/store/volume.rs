//! A survey of a thousand blocks stays practical.

use super::support::*;
use plummet::store::Store;
use serde_json::json;
use std::time::{Duration, Instant};
use tempfile::tempdir;

#[test]
fn three_hundred_thousand_probe_rows() {
    let dir = tempdir().unwrap();
    let path = dir.path().join("runs.sqlite");
    let metrics: Vec<String> = (0..10).map(|m| format!("metric_{m}")).collect();
    let sites: Vec<String> = (0..1000).map(|b| format!("blocks.{b}.ffn.down.weight")).collect();
    let mut dice = Dice(5);
    let mut batches = Vec::new();
    for s in 0..30 {
        let mut rows = Vec::new();
        for (layer, site) in sites.iter().enumerate() {
            for metric in &metrics {
                let value = dice.roll(1 << 30) as f64 / 1e7 + 1e-9;
                rows.push(probe(s * 100, layer as u32, site, metric, value));
            }
        }
        batches.push(rows);
    }

    let store = Store::open(&path).unwrap();
    store.begin("r", "", "", &json!(1)).unwrap();
    let start = Instant::now();
    for batch in &batches {
        store.append("r", &[], batch).unwrap();
    }
    let written = start.elapsed();
    let start = Instant::now();
    store.finish("r", &summary(), &[], &[]).unwrap();
    store.close().unwrap();
    let finished = start.elapsed();

    let start = Instant::now();
    let store = Store::open_read(&path).unwrap();
    let opened = start.elapsed();
    let start = Instant::now();
    let mut count = 0;
    for metric in &metrics {
        let rows = store.probes("r", metric).unwrap();
        count += rows.len();
        assert_eq!(rows[777].value, {
            let wanted = (rows[777].step, rows[777].layer);
            let batch = &batches[(wanted.0 / 100) as usize];
            batch.iter().find(|r| (r.layer, &r.metric) == (wanted.1, metric)).unwrap().value
        });
    }
    let read = start.elapsed();
    let start = Instant::now();
    assert_eq!(store.probes_at("r", 1500).unwrap().len(), 10_000);
    let slice = start.elapsed();
    assert_eq!(count, 300_000);
    store.check().unwrap();
    let bytes = store.size().unwrap().bytes;
    println!(
        "300,000 probe rows: written in {written:.2?}, finished in {finished:.2?}, opened in \
         {opened:.2?}, all read in {read:.2?}, one step in {slice:.2?}, {:.1} bytes a row",
        bytes as f64 / 300_000.0
    );
    assert!(written + finished + opened + read < Duration::from_secs(60));
    assert!(bytes < 30 * 300_000, "{bytes} bytes");
}
