//! What a run learns from: the data of its task, by its configuration.

use crate::config::{Invalid, Memory, RunConfig};
use crate::memory;
use crate::record::ReferenceLoss;
use crate::task::{Batch, Data, LARGEST, TextFacts};

/// The [`Data`] of a configuration.
#[derive(Debug)]
pub struct Corpus(Box<dyn Data>);

impl Corpus {
    /// The corpus that a configuration asks for. A text is read; where several runs learn one,
    /// [`Library`](crate::train::Library) reads it once.
    ///
    /// # Errors
    /// Where the text cannot be read, or is too short for one held-out sequence.
    pub fn load(config: &RunConfig) -> Result<Corpus, Invalid> {
        Corpus::load_up_to(config, LARGEST)
    }

    /// The same, of at most so many bytes of a text.
    pub(super) fn load_up_to(config: &RunConfig, most: u64) -> Result<Corpus, Invalid> {
        let corpus = Corpus(config.task.load(&config.wanted(), most.min(free(config)))?);
        corpus.suits(config)?;
        Ok(corpus)
    }

    /// Checks that there is enough for a configuration, and the files that it pins.
    pub(super) fn suits(&self, config: &RunConfig) -> Result<(), Invalid> {
        for (field, found) in self.0.digests() {
            let Some(file) = config.file(field) else { continue };
            if let Some(pinned) = file.sha256.as_ref().filter(|pinned| *pinned != found) {
                let allowed = format!(
                    "the {field} of SHA-256 {pinned:.12}…; it has changed, to {found:.12}…"
                );
                return Err(Invalid::new(field, &file.path, allowed));
            }
        }
        self.0.suffices(&config.wanted(), config.given(&["seq"]).is_some())
    }

    /// The configuration, its files known by their content.
    pub(super) fn pinned(&self, config: &RunConfig) -> RunConfig {
        let mut config = config.clone();
        for (field, _) in config.clone().files() {
            let digest = self.0.digests().into_iter().find(|(file, _)| *file == field);
            if let Some(file) = config.file_mut(field) {
                file.sha256 = digest.map(|(_, digest)| digest.to_string());
            }
        }
        config
    }

    /// See [`Data::references`].
    pub fn references(&self, config: &RunConfig) -> Vec<ReferenceLoss> {
        self.0.references(&config.wanted())
    }
    /// See [`Data::training_batch`].
    pub fn training_batch(&self, config: &RunConfig, step: usize, batch: &mut Batch) {
        self.0.training_batch(&config.wanted(), step, batch);
    }
    /// See [`Data::held_out_batches`].
    pub fn held_out_batches(&self, config: &RunConfig) -> usize {
        self.0.held_out_batches(&config.wanted())
    }
    /// See [`Data::held_out_batch`].
    pub fn held_out_batch(&self, config: &RunConfig, index: usize, of: usize, batch: &mut Batch) {
        self.0.held_out_batch(&config.wanted(), index, of, batch);
    }
    /// See [`Data::baseline_cost`].
    pub fn baseline_cost(&self, batch: &Batch) -> f64 {
        self.0.baseline_cost(batch)
    }
    /// See [`Data::passes`].
    pub fn passes(&self, config: &RunConfig, steps: usize) -> f64 {
        self.0.passes(&config.wanted(), steps)
    }
    /// See [`Data::bytes`].
    pub fn bytes(&self) -> usize {
        self.0.bytes()
    }
    /// See [`Data::text`].
    pub fn text(&self) -> Option<&TextFacts> {
        self.0.text()
    }
}

/// Bytes of memory that a text may have.
fn free(config: &RunConfig) -> u64 {
    match config.memory {
        Memory::Auto => memory::available().unwrap_or(u64::MAX),
        Memory::Bytes(bytes) => bytes,
    }
}
