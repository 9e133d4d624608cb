//! The ledger: listed, run from nothing, judged again, and kept where a store lacks its runs.

use std::fs;

use crate::support::{Place, answered, json, plummet, refused, text};

#[test]
fn claims_are_listed_by_name_and_tier() {
    let all = answered(&plummet(&["claims", "list"]));
    assert!(all.contains("L01  init") && all.contains("S12  laptop"), "{all}");
    let init = answered(&plummet(&["claims", "list", "--tier", "init"]));
    assert!(init.contains("L01") && !init.contains("laptop"), "{init}");
    let one = json(&plummet(&["claims", "list", "s29", "--json"]));
    assert_eq!(one.as_array().unwrap().len(), 2);
    assert_eq!(one[0]["claim"], "S29");
    refused(&plummet(&["claims", "list", "X9"]), &["claim = X9", "S01"]);
    refused(&plummet(&["claims", "list", "--tier", "space"]), &["tier = space", "init, laptop"]);
    refused(&plummet(&["claims", "list", "S01", "--tier", "init"]), &["tier = init", "named"]);
}

/// The smallest file: 24 stacks at initialisation.
#[test]
fn a_claim_is_run_judged_and_judged_the_same_again() {
    let place = Place::empty();
    let reports = place.dir.path().join("out");
    let call = |command: &str, store: &str, more: &[&str]| {
        let places = ["--store", store, "--reports", text(&reports)];
        plummet(&[&["claims", command, "L05"][..], more, &places].concat())
    };
    let store = text(&place.store).to_string();
    let first = answered(&call("run", &store, &[]));
    assert!(first.starts_with("L05   SUPPORTED"), "{first}");
    let page = fs::read_to_string(reports.join("claims.md")).unwrap();
    assert!(page.contains("[L05](claims/L05/report.md) | **SUPPORTED**"), "{page}");
    assert!(page.contains("**NOT ASSESSED**"), "the others are on the page too: {page}");
    assert!(!page.contains("changed after"), "{page}");
    let own = fs::read_to_string(reports.join("claims/L05/report.md")).unwrap();
    assert!(own.contains("- It rests on: ") && own.contains("- Another verdict would need: "));
    let verdict = json(&call("report", &store, &["--json"]));
    assert_eq!((&verdict[0]["claim"], &verdict[0]["n"]), (&"L05".into(), &12.into()));
    // From the same seeds, from nothing: the same numbers.
    let other = place.dir.path().join("other.sqlite");
    let fresh = place.dir.path().join("fresh");
    let places = ["--store", text(&other), "--reports", text(&fresh), "--json"];
    let again = json(&plummet(&[&["claims", "run", "L05"][..], &places].concat()));
    assert_eq!(again, verdict);
    // A store that lacks the runs loses no verdict.
    let empty = place.dir.path().join("empty.sqlite");
    let places = ["--store", text(&empty), "--reports", text(&reports)];
    answered(&plummet(&[&["claims", "run", "L02", "--json"][..], &places].concat()));
    let page = fs::read_to_string(reports.join("claims.md")).unwrap();
    assert!(page.contains("[L05](claims/L05/report.md) | **SUPPORTED**"), "{page}");
}
