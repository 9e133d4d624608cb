//! Imports point one way: no folder imports from one that imports from it, by whatever way round; and
//! no file but those of an operator table, which know the table that they are on.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

/// A module as its path: `["gate", "wire", "frame"]`.
type Module = Vec<String>;
type Graph = BTreeMap<Module, BTreeSet<Module>>;

/// The folder whose files make up one table: an operator is on it, a case of it names an operator.
const TABLE: [&str; 2] = ["check", "spec"];

fn modules(folder: &Path, at: &Module, found: &mut BTreeMap<Module, String>) {
    for entry in fs::read_dir(folder).expect("a folder of the sources") {
        let path = entry.expect("an entry").path();
        let stem = path.file_stem().unwrap().to_string_lossy().into_owned();
        let mut module = at.clone();
        if path.is_dir() {
            module.push(stem);
            modules(&path, &module, found);
        } else if path.extension().is_some_and(|e| e == "rs") && !["main", "lib"].contains(&&*stem)
        {
            if stem != "mod" {
                module.push(stem);
            }
            found.insert(module, fs::read_to_string(&path).expect("a source file"));
        }
    }
}

/// What is compiled outside of tests: comments, texts and what follows `#[cfg(test)]` left out.
fn code(source: &str) -> String {
    let own = source.split("#[cfg(test)]\nmod tests").next().unwrap_or_default();
    let lines = own.lines().map(|line| line.split("//").next().unwrap_or_default());
    lines.collect::<Vec<_>>().join("\n")
}

/// The paths of a `use` tree, groups spelled out.
fn spelled_out(tree: &str) -> Vec<String> {
    let tree = tree.trim();
    let Some((head, group)) = tree.split_once('{') else {
        return vec![tree.split(" as ").next().unwrap_or_default().trim().to_string()];
    };
    let group = group.rsplit_once('}').map_or(group, |(group, _)| group);
    let (mut parts, mut depth) = (vec![String::new()], 0);
    for c in group.chars() {
        depth += i32::from(c == '{') - i32::from(c == '}');
        match c {
            ',' if depth == 0 => parts.push(String::new()),
            c => parts.last_mut().unwrap().push(c),
        }
    }
    let parts = parts.iter().filter(|part| !part.trim().is_empty());
    parts.flat_map(|part| spelled_out(&format!("{head}{}", part.trim()))).collect()
}

/// Every path that begins in this crate.
fn paths(code: &str) -> Vec<String> {
    let mut found = Vec::new();
    for (at, _) in code.match_indices("use ") {
        found.extend(spelled_out(code[at + 4..].split(';').next().unwrap_or_default()));
    }
    for head in ["crate::", "super::", "self::"] {
        for (at, _) in code.match_indices(head) {
            let path = code[at..].split(|c: char| !(c.is_alphanumeric() || c == '_' || c == ':'));
            found.push(path.take(1).collect());
        }
    }
    found.retain(|path| {
        let head = path.split("::").next().unwrap_or_default();
        ["crate", "super", "self"].contains(&head) && !path.ends_with(':')
    });
    found
}

/// The module that a path of another one is in.
fn target(from: &Module, path: &str, all: &BTreeMap<Module, String>) -> Option<Module> {
    let mut at = from.clone();
    for part in path.split("::") {
        match part {
            "crate" => at.clear(),
            "self" => {}
            "super" => _ = at.pop()?,
            part => {
                at.push(part.to_string());
                if !all.contains_key(&at) {
                    at.pop();
                    break;
                }
            }
        }
    }
    all.contains_key(&at).then_some(at)
}

/// What lies on a circle: whatever is reached from itself.
fn on_circles(graph: &Graph) -> BTreeSet<&Module> {
    let reached = |from: &Module| {
        let (mut seen, mut next) = (BTreeSet::new(), vec![from]);
        while let Some(module) = next.pop() {
            let further = graph.get(module).into_iter().flatten();
            next.extend(further.filter(|&to| seen.insert(to)));
        }
        seen.contains(from)
    };
    graph.keys().filter(|module| reached(module)).collect()
}

#[test]
fn imports_point_one_way() {
    let mut all = BTreeMap::new();
    modules(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"), &Vec::new(), &mut all);
    assert!(all.len() > 250, "the scan finds {} files", all.len());
    let (mut files, mut folders) = (Graph::new(), Graph::new());
    let folder = |module: &Module| {
        let parent = all.keys().any(|m| m.len() > module.len() && m.starts_with(module));
        let own = if parent { &module[..] } else { &module[..module.len() - 1] };
        if own.is_empty() { module.clone() } else { own.to_vec() }
    };
    for (module, source) in &all {
        let code = code(source);
        for to in paths(&code).iter().filter_map(|path| target(module, path, &all)) {
            if to == *module {
                continue;
            }
            let (from_folder, to_folder) = (folder(module), folder(&to));
            // A folder may know what is in it, and what is in it may know the folder.
            if !from_folder.starts_with(&to_folder) && !to_folder.starts_with(&from_folder) {
                folders.entry(from_folder).or_default().insert(to_folder);
            }
            files.entry(module.clone()).or_default().insert(to);
        }
    }
    assert!(files.values().map(BTreeSet::len).sum::<usize>() > 800, "the scan finds too little");
    assert_eq!(on_circles(&folders), BTreeSet::new(), "folders");
    let mut circles = on_circles(&files);
    circles.retain(|module| !module.iter().zip(TABLE).all(|(own, table)| own == table));
    assert_eq!(circles, BTreeSet::new(), "files");
}

#[test]
fn a_group_of_imports_is_spelled_out() {
    assert_eq!(
        spelled_out("a::{b, c::{d, e as f}, self}"),
        ["a::b", "a::c::d", "a::c::e", "a::self"]
    );
    assert_eq!(
        paths("use crate::a::{b, c};\nsuper::d::e(1)"),
        ["crate::a::b", "crate::a::c", "super::d::e"]
    );
}
