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
    /// What a run writes itself.
    written: Vec<String>,
    seen: BTreeMap<PathBuf, Option<SystemTime>>,
}

impl Watched {
    /// The files among some words (of a command, a manifest, a library), and those beside them but for
    /// what a run writes.
    pub(super) fn of(words: Vec<String>, written: Vec<String>) -> Self {
        let seen = look(&words, &written);
        Watched { words, written, seen }
    }

    /// How many there are.
    pub(super) fn count(&self) -> usize {
        self.seen.len()
    }

    /// Waits until one is written, made or removed.
    pub(super) fn wait(&mut self) {
        loop {
            std::thread::sleep(EVERY);
            let now = look(&self.words, &self.written);
            if now != self.seen {
                // An editor may write in several pieces: what is judged should be whole.
                std::thread::sleep(EVERY);
                self.seen = look(&self.words, &self.written);
                return;
            }
        }
    }
}

fn look(words: &[String], written: &[String]) -> BTreeMap<PathBuf, Option<SystemTime>> {
    let mut seen = BTreeMap::new();
    let own: Vec<PathBuf> = written.iter().filter_map(|path| path_of(Path::new(path))).collect();
    let mut note = |path: PathBuf| {
        if path_of(&path).is_some_and(|path| own.contains(&path)) {
            return;
        }
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

/// A path as one file has only one, whether it is there yet or not.
fn path_of(path: &Path) -> Option<PathBuf> {
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty());
    Some(parent.unwrap_or(Path::new(".")).canonicalize().ok()?.join(path.file_name()?))
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
        let report = place.path().join("report.json").display().to_string();
        let mut watched = Watched::of(words.clone(), vec![report.clone()]);
        std::fs::write(&report, "{}").unwrap();
        let now = Watched::of(words.clone(), vec![report.clone()]);
        assert_eq!((watched.count(), &watched), (1, &now), "a run's own report is no change");
        let beside = place.path().join("kernel.py");
        let writer = std::thread::spawn(move || {
            std::thread::sleep(Duration::from_millis(50));
            std::fs::write(beside, "2").unwrap();
        });
        watched.wait();
        writer.join().unwrap();
        assert_eq!((watched.count(), &watched), (2, &Watched::of(words, vec![report])));
    }
}
