//! `plummet bench`: what it refuses, and that its numbers make sense.

use super::support::*;
use serde_json::Value as Json;

#[test]
fn a_benchmark_that_cannot_be_is_refused() {
    let place = Place::empty();
    for (flags, named) in [
        (["--sizes", "AX"], ["sizes = AX", "ABCDE"]),
        (["--sizes", ""], ["sizes = ", "ABCDE"]),
        (["--sizes", "AAAAAA"], ["sizes = AAAAAA", "ABCDE"]),
        (["--threads", "0"], ["threads = 0", "1 to 1024"]),
        (["--threads", "many"], ["threads = many", "1 to 1024"]),
    ] {
        let folder = place.dir.path().join("none");
        refused(&plummet(&[&["bench", "--out", text(&folder)], &flags[..]].concat()), &named);
        assert!(!folder.exists(), "a refusal made a folder");
    }
    let file = place.file("file", b"no folder");
    refused(&plummet(&["bench", "--quick", "--out", text(&file)]), &["out = ", "a folder"]);
}

#[test]
fn a_device_is_measured_by_the_same_calls_on_the_interpreter() {
    let place = Place::empty();
    let folder = place.dir.path().join("pictures");
    let call = ["bench", "--device", "cuda_interpreted", "--out", text(&folder)];
    let object = json(&plummet(&[&call[..], &["--json"]].concat()));
    let rows = |name: &str| object[name].as_array().unwrap_or_else(|| panic!("{name}")).clone();
    let positive = |number: &Json| number.as_f64().is_some_and(|number| number > 0.0);
    assert!(object["device"].as_str().unwrap().starts_with("interpreter"));
    assert!(positive(&rows("copy_bytes_per_second")[0]["one"]));
    assert!(positive(&rows("product_flops_per_second")[0]["one"]));
    let shares = rows("operators_share_of_copy");
    let named = |name: &str| shares.iter().any(|row| row["name"] == name);
    for norm in plummet::op::norm::ALL {
        assert_eq!(named(norm.id), (norm.make)().kernels().is_some(), "{}", norm.id);
    }
    assert!(named("attention"));
    assert!(shares.iter().all(|row| positive(&row["forward"]) && positive(&row["both"])));
    let steps = rows("steps");
    assert_eq!((steps.len(), &steps[0]["depth"]), (1, &2.into()));
    assert!(positive(&steps[0]["one_thread_seconds"]));
    assert!(folder.join("bench.png").exists());
    if !cfg!(feature = "cuda") {
        let call = ["bench", "--device", "cuda", "--out", text(&folder)];
        refused(&plummet(&call), &["device = cuda", "without the feature cuda"]);
    }
}

#[test]
fn a_quick_benchmark_measures_and_draws() {
    let place = Place::empty();
    let folder = place.dir.path().join("pictures");
    let call = ["bench", "--quick", "--json", "--threads", "2", "--out", text(&folder)];
    let object = json(&plummet(&call));
    assert_eq!((&object["threads"], &object["quick"]), (&2.into(), &true.into()));
    let rows = |name: &str, fields: &[&str]| {
        let rows = object[name].as_array().unwrap_or_else(|| panic!("{name} in {object}"));
        assert!(!rows.is_empty(), "{name}");
        for row in rows {
            for field in fields {
                let number = row[field].as_f64().unwrap_or_else(|| panic!("{field} in {row}"));
                assert!(number.is_finite() && number > 0.0, "{name}.{field} {number}");
            }
        }
        rows.len()
    };
    rows("copy_bytes_per_second", &["one", "all"]);
    rows("product_flops_per_second", &["one", "all"]);
    let norms = plummet::op::norm::ALL.len();
    assert_eq!(rows("operators_share_of_copy", &["forward", "both", "rows", "cols"]), norms + 5);
    let seconds = ["products_seconds", "one_thread_seconds", "all_threads_seconds", "ratio"];
    assert_eq!(rows("steps", &seconds), 1);
    let operators = object["steps"][0]["operators"].as_array().unwrap();
    assert!(operators.iter().any(|row| row["name"] == "attention"));
    let picture = std::fs::read(folder.join("bench.png")).unwrap();
    assert!(picture.starts_with(b"\x89PNG"), "no picture");
    assert_eq!(object["picture"], text(&folder.join("bench.png")));
}
