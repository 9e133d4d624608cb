//! Bits that do not depend on threads, on interruptions or on the store.

use plummet::backend::{Element, Host};
use plummet::config::RunConfig;
use plummet::record::{ProbeRow, RunRecord, StepRow};
use plummet::store::Store;
use plummet::train::{Corpus, Progress, Quiet, Trainer, run};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

fn config(fields: &[(&str, &str)]) -> RunConfig {
    let small = [
        ("width", "16"),
        ("depth", "2"),
        ("heads", "2"),
        ("seq", "16"),
        ("batch", "16"),
        ("steps", "14"),
        ("lr", "0.01"),
        ("wiring", "post_ln"),
        ("weight-decay", "0.1"),
        ("warmup", "3"),
        ("schedule", "cosine"),
        ("eval-every", "4"),
        ("probe-every", "5"),
    ];
    RunConfig::from_settings(small.into_iter().chain(fields.iter().copied())).unwrap()
}

fn trainer<T: Element>(config: &RunConfig) -> Trainer<Host<T>> {
    Trainer::new(Host::new(), config, Arc::new(Corpus::load(config).unwrap())).unwrap()
}

/// Losses, held-out loss and parameters, as bits.
fn trained<T: Element>(trainer: &mut Trainer<Host<T>>, steps: usize) -> Vec<u64> {
    let mut bits: Vec<u64> = Vec::new();
    for _ in 0..steps {
        let stepped = trainer.advance(None);
        bits.extend([stepped.loss.to_bits(), stepped.grad_norm.to_bits()]);
    }
    bits.push(trainer.evaluate(2).loss.to_bits());
    bits.extend(trainer.parameters().iter().map(|p| p.value().to_bits()));
    bits
}

#[test]
fn neither_threads_nor_checkpointing_change_a_bit() {
    let random = [("norm-noise", "0.2"), ("stochastic-depth", "0.2"), ("drop-per", "batch")];
    let unusual = [("optimizer", "muon"), ("residual-warmup", "20"), ("z-loss", "0.001")];
    let unusual = [&random[..], &unusual].concat();
    for fields in [&[][..], &[("norm", "batch_norm"), ("micro-batches", "2")], &unusual[..]] {
        let on = |threads: usize, checkpoint: &str| {
            let mut fields = fields.to_vec();
            fields.extend([("depth", "4"), ("checkpoint", checkpoint)]);
            let config = config(&fields);
            assert!(config.shards() > 1, "there is work to share");
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            pool.install(|| trained(&mut trainer::<f32>(&config), 50))
        };
        let one = on(1, "none");
        for (threads, checkpoint) in [1, 2, 3, 4, 8].map(|n| [(n, "none"), (n, "2")]).concat() {
            let bits = on(threads, checkpoint);
            assert!(bits == one, "{threads} threads, checkpoint {checkpoint} under {fields:?}");
        }
    }
}

fn goes_on_from_a_snapshot<T: Element>(fields: &[(&str, &str)]) {
    let config = config(fields);
    let mut calm = trainer::<T>(&config);
    trained(&mut calm, 3);
    let snapshot = calm.snapshot();
    let calm = trained(&mut calm, 4);
    let mut resumed = trainer::<T>(&config);
    trained(&mut resumed, 1);
    resumed.restore(&snapshot).unwrap();
    assert_eq!((resumed.step(), resumed.snapshot() == snapshot), (3, true));
    assert!(trained(&mut resumed, 4) == calm, "{fields:?}");
    // What is not a snapshot of this run is refused, and nothing is changed.
    for damaged in [&snapshot[..snapshot.len() - 1], &snapshot[..20], b"", b"PLUMSNP1", &[0; 64]] {
        let before = resumed.snapshot();
        assert!(resumed.restore(damaged).is_err());
        assert!(resumed.snapshot() == before);
    }
}

#[test]
fn a_snapshot_holds_everything_that_the_next_step_depends_on() {
    for optimizer in ["adamw", "sgd"] {
        for norm in ["layer_norm", "batch_norm"] {
            let fields = [("optimizer", optimizer), ("norm", norm)];
            goes_on_from_a_snapshot::<f32>(&fields);
            goes_on_from_a_snapshot::<f64>(&fields);
        }
    }
}

/// Ends a run at some step, and before that pauses at others, as a busy machine does.
struct Interrupt {
    at: usize,
    pauses: Vec<(usize, Duration)>,
}

impl Progress for Interrupt {
    fn advanced(&self, _config: &RunConfig, step: usize, _loss: f64) {
        for (at, pause) in &self.pauses {
            if *at == step {
                std::thread::sleep(*pause);
            }
        }
        if step == self.at {
            // Nothing unwinds through a killed process either: what was not stored is gone.
            std::panic::resume_unwind(Box::new("interrupted"));
        }
    }
}

/// Everything that a run left, less what is measured by the clock.
fn left(store: &Store, record: &RunRecord) -> (Vec<StepRow>, Vec<ProbeRow>, String) {
    let mut probes = Vec::new();
    for metric in store.metrics(&record.id).unwrap() {
        if !metric.ends_with("_ms") {
            probes.extend(store.probes(&record.id, &metric).unwrap());
        }
    }
    let summary = record.summary.clone().unwrap();
    let numbers = [summary.loss, summary.initial_loss, summary.val_loss, summary.token_cosine];
    let judged = format!(
        "{:?} {:?} {} {:?}",
        summary.outcome,
        summary.trend,
        summary.steps,
        numbers.map(f64::to_bits)
    );
    (store.steps(&record.id).unwrap(), probes, judged)
}

fn interrupted(config: &RunConfig, path: &Path, interrupts: Vec<Interrupt>) {
    let calm_store = Store::open(path.join("calm.sqlite")).unwrap();
    let calm = run(config, "", &calm_store, &Quiet).unwrap();
    for interrupt in interrupts {
        let store = Store::open(path.join("cut.sqlite")).unwrap();
        let cut = catch_unwind(AssertUnwindSafe(|| run(config, "", &store, &interrupt)));
        assert!(cut.is_err(), "the run was not interrupted");
    }
    let store = Store::open(path.join("cut.sqlite")).unwrap();
    let resumed = run(config, "", &store, &Quiet).unwrap();
    assert_eq!(resumed.summary.as_ref().unwrap().steps, config.steps as u64);
    assert_eq!(left(&store, &resumed), left(&calm_store, &calm));
}

#[test]
fn an_interrupted_run_ends_as_an_undisturbed_one() {
    let dir = tempfile::tempdir().unwrap();
    let config = config(&[("snapshot-seconds", "0")]);
    let pauses = || vec![(2, Duration::from_millis(60)), (7, Duration::from_millis(60))];
    let interrupts = [1, 4, 9, 14].map(|at| Interrupt { at, pauses: pauses() });
    interrupted(&config, dir.path(), interrupts.into());
}

#[test]
fn rows_behind_the_last_snapshot_are_not_counted_twice() {
    // A snapshot at step 3 and rows up to step 10 behind it, when the machine stops: the run goes
    // on at step 3, and its judgement must see each loss once.
    let dir = tempfile::tempdir().unwrap();
    let config = config(&[("snapshot-seconds", "2.3")]);
    let pauses = vec![(3, Duration::from_millis(2400)), (10, Duration::from_millis(2100))];
    interrupted(&config, dir.path(), vec![Interrupt { at: 12, pauses }]);
}
