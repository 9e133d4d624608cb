//! `gate check --watch`: judged again when the files of the target change.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

/// How often files are looked at.
const EVERY: Duration = Duration::from_millis(300);
/// The most files of a folder that are watched beside the one that is named.
const BESIDE: usize = 500;

/// Files, and when each was last written.
#[derive(Debug, PartialEq)]
pub(super) struct Watched {
    words: Vec<String>,
    seen: BTreeMap<PathBuf, Option<SystemTime>>,
}

impl Watched {
    /// The files among some words (of a command, a manifest, a library), and those beside them.
    pub(super) fn of(words: Vec<String>) -> Self {
        let seen = look(&words);
        Watched { words, seen }
    }

    /// How many there are.
    pub(super) fn count(&self) -> usize {
        self.seen.len()
    }

    /// Waits until one is written, made or removed.
    pub(super) fn wait(&mut self) {
        loop {
            std::thread::sleep(EVERY);
            let now = look(&self.words);
            if now != self.seen {
                // An editor may write in several pieces: what is judged should be whole.
                std::thread::sleep(EVERY);
                self.seen = look(&self.words);
                return;
            }
        }
    }
}

fn look(words: &[String]) -> BTreeMap<PathBuf, Option<SystemTime>> {
    let mut seen = BTreeMap::new();
    let mut note = |path: PathBuf| {
        let written = std::fs::metadata(&path).and_then(|data| data.modified()).ok();
        seen.insert(path, written);
    };
    for file in words.iter().map(Path::new).filter(|path| path.is_file()) {
        note(file.to_path_buf());
        if file.extension().is_none() {
            // A program stands beside others that it has nothing to do with.
            continue;
        }
        let parent = file.parent().filter(|parent| !parent.as_os_str().is_empty());
        let entries = std::fs::read_dir(parent.unwrap_or(Path::new("."))).into_iter().flatten();
        let beside = entries.flatten().map(|entry| entry.path()).filter(|path| path.is_file());
        beside.take(BESIDE).for_each(&mut note);
    }
    seen
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_is_written_or_made_is_seen() {
        let place = tempfile::tempdir().unwrap();
        let file = place.path().join("adapter.py");
        std::fs::write(&file, "1").unwrap();
        let words = vec!["python".to_string(), file.display().to_string()];
        let mut watched = Watched::of(words.clone());
        assert_eq!(watched.count(), 1);
        let beside = place.path().join("kernel.py");
        let writer = std::thread::spawn(move || {
            std::thread::sleep(Duration::from_millis(50));
            std::fs::write(beside, "2").unwrap();
        });
        watched.wait();
        writer.join().unwrap();
        assert_eq!((watched.count(), &watched), (2, &Watched::of(words)));
    }
}
