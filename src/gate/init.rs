//! `plummet gate init LANGUAGE DIR`: an adapter to put one's own implementation into.

use std::fs::OpenOptions;
use std::io::Write;
use std::path::{Path, PathBuf};

use crate::setting::Invalid;

/// The files of a language's adapter, by the path that they are written to.
type Files = &'static [(&'static str, &'static str)];

const PYTHON: Files = &[
    // The protocol by hand: nothing has to be installed but NumPy.
    ("adapter.py", include_str!("init/adapter.py")),
    ("gate.yml", include_str!("init/python.yml")),
];
const C: Files = &[
    ("adapter.c", include_str!("../../adapters/c/adapter.c")),
    ("plummet.h", include_str!("../../adapters/c/plummet.h")),
    ("gate.yml", include_str!("../../adapters/c/gate.yml")),
];
// A package within a package is not published with it: what is written for Rust lies here.
const RUST: Files = &[
    ("Cargo.toml", include_str!("init/rust.toml")),
    ("src/main.rs", include_str!("init/adapter.rs")),
    ("gate.yml", include_str!("init/rust.yml")),
];

/// Every language and its files.
pub const LANGUAGES: &[(&str, Files)] = &[("python", PYTHON), ("c", C), ("rust", RUST)];

/// Writes the adapter of a language and a workflow for CI, and says which files those are.
///
/// Nothing is written where one of them is there already.
pub fn write(language: &str, dir: &Path) -> Result<Vec<PathBuf>, Invalid> {
    let known = LANGUAGES.iter().find(|(name, _)| *name == language);
    let names: Vec<&str> = LANGUAGES.iter().map(|(name, _)| *name).collect();
    let (_, files) = known.ok_or_else(|| Invalid::new("language", language, names.join(", ")))?;
    let paths: Vec<PathBuf> = files.iter().map(|(name, _)| dir.join(name)).collect();
    let refused = |path: &Path, why: &str| Invalid::new("file", path.display(), why);
    if let Some(path) = paths.iter().find(|path| path.exists()) {
        return Err(refused(path, "a folder without it: nothing is overwritten"));
    }
    for (path, (_, text)) in paths.iter().zip(*files) {
        let folder = path.parent().unwrap_or(dir);
        let written = std::fs::create_dir_all(folder)
            // What has come in between is not overwritten either.
            .and_then(|()| OpenOptions::new().write(true).create_new(true).open(path))
            .and_then(|mut file| file.write_all(text.as_bytes()));
        written.map_err(|error| refused(path, &format!("a file that can be written ({error})")))?;
    }
    Ok(paths)
}
