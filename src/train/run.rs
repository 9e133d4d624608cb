//! One run from configuration to record: trained, watched, probed and kept.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::device::{Work, on_device};
use super::{
    Batch, Corpus, Ending, HeldOut, Measurements, Stepped, Trainer, Watch, fits, measure, steady,
};
use crate::backend::Backend;
use crate::config::{Invalid, RunConfig};
use crate::memory;
use crate::probe::Probe;
use crate::record::{DEVICE_NAME, Outcome, ProbeRow, RunRecord, StepRow, Summary};
use crate::store::{Resume, Store, StoreError};

/// Time after which the newest losses are handed to the store.
const FLUSH_EVERY: Duration = Duration::from_secs(2);
/// A snapshot takes at most this share of the time.
const SNAPSHOT_SHARE: f64 = 0.05;

/// Why a run could not be done. What a run *shows* (divergence, say) is never an error.
#[derive(Debug)]
pub enum Error {
    /// The configuration does not hold.
    Invalid(Invalid),
    /// The store failed.
    Store(StoreError),
    /// The device failed; what the store holds of the run is what it held.
    Device(String),
    /// It was asked to end, and goes on from where it is when it is run again.
    Stopped {
        /// The id of the run.
        id: String,
        /// Steps that are done.
        done: usize,
        /// Why they could not be kept, where they could not.
        lost: Option<Box<StoreError>>,
    },
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::Invalid(error) => error.fmt(f),
            Error::Store(error) => error.fmt(f),
            Error::Device(failure) => write!(f, "the device failed: {failure}"),
            Error::Stopped { id, done, lost: None } => write!(f, "run {id} ended at step {done}"),
            Error::Stopped { id, done, lost: Some(error) } => {
                write!(f, "run {id} ended at step {done}, without a snapshot ({error})")
            }
        }
    }
}

impl std::error::Error for Error {}

impl From<Invalid> for Error {
    fn from(error: Invalid) -> Self {
        Error::Invalid(error)
    }
}
impl From<StoreError> for Error {
    fn from(error: StoreError) -> Self {
        Error::Store(error)
    }
}

/// Is told how far a run is.
pub trait Progress: Sync {
    /// A run is begun or gone on with: it was neither done already nor refused.
    fn begun(&self, _config: &RunConfig) {}

    /// `step` of `config.steps` are done; the newest loss.
    fn advanced(&self, config: &RunConfig, step: usize, loss: f64);

    /// Whether the run is to end behind the step under way, to be gone on with another time.
    fn stops(&self) -> bool {
        false
    }
}

/// Nobody listens.
#[derive(Debug, Clone, Copy)]
pub struct Quiet;

impl Progress for Quiet {
    fn advanced(&self, _config: &RunConfig, _step: usize, _loss: f64) {}
}

/// Trains as `config` says and keeps the run in `store` under its id; a run that the store holds
/// finished is only read, one that was interrupted goes on from its last snapshot with the same bits.
///
/// # Errors
/// Where the configuration does not hold, the text cannot be read, the run is under way elsewhere,
/// it is asked to end, or the store fails.
pub fn run(
    config: &RunConfig,
    group: &str,
    store: &Store,
    progress: &dyn Progress,
) -> Result<RunRecord, Error> {
    config.check()?;
    run_on(Arc::new(Corpus::load(config)?), config, group, store, progress)
}

/// As [`run`], on a corpus that has been read for this configuration. Its content is part of what
/// the run is known by.
///
/// # Errors
/// As for [`run`].
pub fn run_on(
    corpus: Arc<Corpus>,
    config: &RunConfig,
    group: &str,
    store: &Store,
    progress: &dyn Progress,
) -> Result<RunRecord, Error> {
    config.check()?;
    corpus.suits(config)?;
    let config = &corpus.pinned(config);
    // What cannot be trained is refused before the store hears of it.
    fits(config, &corpus)?;
    let threads = config.threads.unwrap_or(0);
    let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().map_err(|error| {
        let threads = config.get("threads").unwrap_or_default();
        Invalid::new("threads", threads, format!("what the system can start ({error})"))
    })?;
    let id = config.id();
    let training = Training { config, group, store, corpus, progress };
    pool.install(|| on_device(config, training))??;
    Ok(store.run(&id)?)
}

/// A run, before its device is known.
struct Training<'a> {
    config: &'a RunConfig,
    group: &'a str,
    store: &'a Store,
    corpus: Arc<Corpus>,
    progress: &'a dyn Progress,
}

impl Work for Training<'_> {
    type Done = Result<(), Error>;
    fn on<B: Backend>(self, backend: B) -> Self::Done {
        let Training { config, group, store, corpus, progress } = self;
        let mut identity = config.identity();
        if let Some(name) = backend.name() {
            identity[DEVICE_NAME] = name.into();
        }
        let resume = store.begin(&config.id(), &config.label(), group, &identity)?;
        let snapshot = match resume {
            Resume::Finished(_) => return Ok(()),
            Resume::From { snapshot, .. } => Some(snapshot),
            Resume::Fresh => None,
        };
        progress.begun(config);
        Session::new(backend, config, store, corpus, snapshot)?.finish(progress)
    }
}

/// A run under way.
struct Session<'a, B: Backend> {
    config: &'a RunConfig,
    id: String,
    store: &'a Store,
    corpus: Arc<Corpus>,
    trainer: Trainer<B>,
    watch: Watch,
    steps: Vec<StepRow>,
    probes: Vec<ProbeRow>,
    /// Seconds of every unprobed step of this session.
    times: Vec<f64>,
    started: Instant,
    flushed: Instant,
    snapshot_at: Instant,
    /// Steps that the last snapshot has seen.
    safe: usize,
}

impl<'a, B: Backend> Session<'a, B> {
    fn new(
        backend: B,
        config: &'a RunConfig,
        store: &'a Store,
        corpus: Arc<Corpus>,
        snapshot: Option<Vec<u8>>,
    ) -> Result<Self, Error> {
        memory::reset_peak();
        let id = config.id();
        let mut trainer = Trainer::new(backend, config, corpus.clone())?;
        if let Some(failure) = trainer.failure() {
            return Err(Error::Device(failure));
        }
        let mut watch = Watch::default();
        if let Some(snapshot) = snapshot {
            trainer.restore(&snapshot).map_err(|_| {
                let allowed = "a store whose snapshot of this run was written by this version";
                Invalid::new("store", store.path().display(), allowed)
            })?;
            let mut batch = Batch::default();
            watch = Watch::replay(store.steps(&id)?.into_iter().map(|row| {
                corpus.training_batch(config, row.step as usize, &mut batch);
                (row.loss, corpus.baseline_cost(&batch))
            }));
        }
        let now = Instant::now();
        Ok(Session {
            safe: trainer.step(),
            config,
            id,
            store,
            corpus,
            trainer,
            watch,
            steps: Vec::new(),
            probes: Vec::new(),
            times: Vec::new(),
            started: now,
            flushed: now,
            snapshot_at: now + Duration::from_secs_f64(config.snapshot_seconds),
        })
    }

    /// Trains to the end and writes the summary.
    fn finish(mut self, progress: &dyn Progress) -> Result<(), Error> {
        let measurements = Measurements::of(self.config, &self.corpus);
        let mut ended = None;
        while ended.is_none() && self.trainer.step() < self.config.steps {
            if progress.stops() {
                return Err(self.stop());
            }
            let step = self.trainer.step();
            let measured = measurements.before(step);
            let val_loss = measured.then(|| self.trainer.evaluate(measurements.batches).loss);
            let stepped = self.step();
            if let Some(failure) = self.trainer.failure() {
                return Err(Error::Device(failure));
            }
            if let Some(value) = stepped.non_finite {
                ended = Some(Outcome::NonFinite { step: step as u64, value });
            } else if self.watch.push(stepped.loss, stepped.baseline) {
                ended = self.watch.diverged();
            }
            self.steps.push(StepRow {
                step: step as u64,
                loss: stepped.loss,
                lr: stepped.lr,
                grad_norm: stepped.grad_norm,
                val_loss,
            });
            progress.advanced(self.config, step + 1, stepped.loss);
            // The last row stays here: it is still to be given its held-out loss.
            if ended.is_none() && step + 1 < self.config.steps {
                self.keep()?;
            }
        }
        self.close(ended, measurements.last)
    }

    fn step(&mut self) -> Stepped {
        let step = self.trainer.step();
        let full = match self.config.probe_every {
            None => step == 0,
            Some(0) => false,
            Some(every) => step.is_multiple_of(every),
        };
        if full {
            let mut probe = Probe::full(step);
            let stepped = self.trainer.advance(Some(&mut probe));
            self.probes.extend(probe.into_rows());
            stepped
        } else {
            let begun = Instant::now();
            let stepped = self.trainer.advance(None);
            self.times.push(begun.elapsed().as_secs_f64());
            stepped
        }
    }

    /// Hands rows and, now and then, a snapshot to the store.
    fn keep(&mut self) -> Result<(), Error> {
        let now = Instant::now();
        if now >= self.snapshot_at {
            if let Err(error) = self.snapshot() {
                return Err(self.trainer.failure().map_or(error.into(), Error::Device));
            }
            let took = now.elapsed().as_secs_f64();
            let pause = self.config.snapshot_seconds.max(took / SNAPSHOT_SHARE);
            self.snapshot_at = now + Duration::from_secs_f64(pause);
        } else if now - self.flushed > FLUSH_EVERY {
            self.store.append(&self.id, &self.steps, &self.probes)?;
        } else {
            return Ok(());
        }
        self.flushed = now;
        self.steps.clear();
        self.probes.clear();
        Ok(())
    }

    /// Hands everything up to here to the store.
    fn snapshot(&mut self) -> Result<(), StoreError> {
        // The store drops the rows behind the step of a snapshot when a run goes on, so it is
        // given the last step that the snapshot has seen, not the next one.
        let done = self.trainer.step();
        let (bytes, pieces) = self.trainer.snapshot_pieces();
        let (last, steps, probes) = (done as u64 - 1, &self.steps, &self.probes);
        self.store.snapshot_in_pieces(&self.id, last, bytes, pieces, steps, probes)?;
        self.safe = done;
        Ok(())
    }

    /// Ends early, so that the run can be gone on with from this very step.
    fn stop(mut self) -> Error {
        let done = self.trainer.step();
        // What has not been trained since the last snapshot, or at all, needs none.
        let lost = if done == self.safe { None } else { self.snapshot().err().map(Box::new) };
        Error::Stopped { id: self.id, done, lost }
    }

    /// Measures what is measured at the end, the held-out loss on so many `batches`, and writes the
    /// summary.
    fn close(mut self, ended: Option<Outcome>, batches: usize) -> Result<(), Error> {
        let finite = !matches!(ended, Some(Outcome::NonFinite { .. }));
        let held_out = if finite {
            self.trainer.evaluate(batches)
        } else {
            HeldOut { loss: f64::NAN, baseline: f64::NAN }
        };
        if let Some(last) = self.steps.last_mut() {
            last.val_loss = Some(held_out.loss);
        }
        let mut token_cosine = f64::NAN;
        if finite {
            let step = self.trainer.step();
            let mut probe = match self.config.probe_every {
                Some(0) => Probe::brief(step),
                _ => Probe::full(step),
            };
            let seen = self.trainer.differentiate(Some(&mut probe));
            if self.config.steps == 0 {
                // A run without a step has the loss of its initial weights.
                self.watch.push(seen.loss, seen.baseline);
            }
            self.probes.extend(probe.into_rows());
            let last = self.probes.iter().rev().find(|row| {
                row.metric == "token_cosine" && row.layer as usize == self.config.depth
            });
            token_cosine = last.map_or(f64::NAN, |row| row.value);
        }
        self.record_costs();
        let passes = self.corpus.passes(self.config, self.trainer.step());
        let ending = Ending {
            measure: measure(self.config, passes),
            held_out_excess: held_out.loss - held_out.baseline,
            token_cosine,
            steady: steady(self.config, self.trainer.step()),
        };
        let outcome = ended.unwrap_or_else(|| self.watch.outcome(&ending));
        let counted = memory::peak();
        let done = self.trainer.step();
        if finite {
            // Last, since it may move the weights.
            let mut found = Probe::full(done);
            self.trainer.examine(&mut found, batches, held_out.loss);
            self.probes.extend(found.into_rows());
        }
        if let Some(failure) = self.trainer.failure() {
            return Err(Error::Device(failure));
        }
        let summary = Summary {
            outcome,
            loss: if finite { self.watch.last() } else { f64::NAN },
            initial_loss: self.watch.initial(),
            val_loss: held_out.loss,
            references: self.corpus.references(self.config),
            baseline: self.config.task.baseline(),
            token_cosine,
            steps: done as u64,
            seconds: self.started.elapsed().as_secs_f64(),
            peak_bytes: if counted > 0 { counted } else { self.trainer.bytes() as u64 },
            parameters: self.trainer.program().parameters() as u64,
            passes,
            trend: self.watch.trend(ending.steady),
            measure: ending.measure,
            val_baseline: held_out.baseline,
        };
        self.store.finish(&self.id, &summary, &self.steps, &self.probes)?;
        Ok(())
    }

    /// Time and bytes of the run, as probes of the whole.
    fn record_costs(&mut self) {
        let mut times = std::mem::take(&mut self.times);
        times.sort_by(f64::total_cmp);
        let mut costs = Probe::full(self.trainer.step());
        // The fastest step is the one that other work on the machine disturbed least.
        if let (Some(fastest), Some(median)) = (times.first(), times.get(times.len() / 2)) {
            costs.push(0, "run", "fastest_step_ms", fastest * 1e3);
            costs.push(0, "run", "step_ms", median * 1e3);
            costs.push(0, "run", "block_ms", median * 1e3 / self.config.depth as f64);
        }
        costs.push(0, "run", "bytes", self.trainer.bytes() as f64);
        costs.push(0, "run", "activation_bytes", self.trainer.activation_bytes() as f64);
        self.probes.extend(costs.into_rows());
    }
}
