//! Reading files: each once, from a disk or a pipe, up to a stated length.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;

use super::Corpus;
use crate::config::{Invalid, RunConfig, Setting, Warning};
use crate::task::LARGEST;

/// The files of a command, each read once however many runs learn from it: a pipe gives its bytes
/// once, and a file that changes meanwhile must not be two.
#[derive(Debug, Default)]
pub struct Library {
    /// By the task, the column and the places of its files.
    read: HashMap<(String, String, Vec<PathBuf>), Arc<Corpus>>,
    bytes: u64,
}

impl Library {
    /// The corpus of a run.
    ///
    /// # Errors
    /// As for [`Corpus::load`].
    pub fn corpus(&mut self, config: &RunConfig) -> Result<Arc<Corpus>, Invalid> {
        let files = config.files_read();
        // What no file says may depend on the seed, and is quickly made.
        if files.is_empty() {
            return Corpus::load(config).map(Arc::new);
        }
        // A pipe has no other name than the given one.
        let place = |path: &String| std::fs::canonicalize(path).unwrap_or(PathBuf::from(path));
        let places = files.iter().map(|(_, file)| place(&file.path)).collect();
        let known = (config.task.show(), config.column.clone(), places);
        if let Some(corpus) = self.read.get(&known) {
            corpus.suits(config)?;
            return Ok(corpus.clone());
        }
        let most = LARGEST.saturating_sub(self.bytes);
        let corpus = Arc::new(Corpus::load_up_to(config, most)?);
        self.bytes += corpus.bytes() as u64;
        self.read.insert(known, corpus.clone());
        Ok(corpus)
    }

    /// What is surely not meant by a configuration and its text.
    ///
    /// # Errors
    /// As for [`Corpus::load`].
    pub fn warnings(&mut self, config: &RunConfig) -> Result<Vec<Warning>, Invalid> {
        if !config.task.reads("text") {
            return Ok(config.warnings());
        }
        let corpus = self.corpus(config)?;
        Ok(super::warnings(config, &corpus))
    }

    /// The configuration, its files known by their content.
    ///
    /// # Errors
    /// As for [`Corpus::load`].
    pub fn resolved(&mut self, config: &RunConfig) -> Result<RunConfig, Invalid> {
        if config.files_read().is_empty() && !config.task.reads("text") {
            return Ok(config.clone());
        }
        Ok(self.corpus(config)?.pinned(config))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Memory;
    use std::fs;
    use std::path::Path;

    fn learning(path: &Path) -> RunConfig {
        RunConfig::from_settings([("text", path.to_str().unwrap()), ("seq", "8")]).unwrap()
    }

    #[test]
    fn a_text_is_read_once_whatever_happens_to_its_file() {
        let dir = tempfile::tempdir().unwrap();
        let (path, other) = (dir.path().join("a.txt"), dir.path().join("./a.txt"));
        fs::write(&path, "one ".repeat(100)).unwrap();
        let mut library = Library::default();
        let first = library.resolved(&learning(&path)).unwrap();
        fs::write(&path, "two ".repeat(100)).unwrap();
        assert_eq!(library.resolved(&learning(&path)).unwrap().id(), first.id());
        assert_eq!(library.resolved(&learning(&other)).unwrap().id(), first.id());
        let anew = Library::default().resolved(&learning(&path)).unwrap();
        assert_ne!(anew.id(), first.id(), "another content is another run");
        // What is known of a text by its content is not taken for another.
        let error = Library::default().corpus(&first).unwrap_err();
        assert!(error.to_string().contains("it has changed"), "{error}");
    }

    #[test]
    fn a_run_is_known_by_the_content_of_its_text_and_not_by_its_name() {
        let dir = tempfile::tempdir().unwrap();
        let paths = ["a.txt", "b.txt"].map(|name| dir.path().join(name));
        let id = |path: &Path| Library::default().resolved(&learning(path)).unwrap().id();
        paths.iter().for_each(|path| fs::write(path, "same ".repeat(100)).unwrap());
        assert_eq!(id(&paths[0]), id(&paths[1]));
        let config = Library::default().resolved(&learning(&paths[0])).unwrap();
        assert_eq!(RunConfig::from_json(&config.identity()).unwrap().id(), config.id());
        fs::write(&paths[1], "same ".repeat(99) + "samE ").unwrap();
        assert_ne!(id(&paths[0]), id(&paths[1]), "one byte counts");
    }

    #[test]
    fn a_text_without_end_is_refused_with_the_limit() {
        if !Path::new("/dev/zero").exists() {
            return;
        }
        let endless = learning(Path::new("/dev/zero"));
        let error = Corpus::load_up_to(&endless, 1 << 20).unwrap_err().to_string();
        assert!(error.contains("up to 1.0 MiB (this one goes on)"), "{error}");
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("long.txt");
        fs::write(&path, vec![b'x'; 3000]).unwrap();
        let mut config = learning(&path);
        config.memory = Memory::Bytes(2000);
        let error = Corpus::load(&config).unwrap_err().to_string();
        assert!(error.contains("up to 2.0 KiB (this one has 2.9 KiB)"), "{error}");
    }
}
