//! Error rates of rules and coverage of intervals, on figures that are drawn so that the truth is known.

mod intervals;
mod rules;

use plummet::statistics::distribution::binomial_from;

/// How many data sets are drawn for a row.
const SETS: usize = 2000;

/// The chance that a right rule fails a row: some 100 rows fail once in 10,000 seeds.
const TAIL: f64 = 1e-6;

/// Whether so many of [`SETS`] may be seen of what happens with probability `rate` at most.
fn at_most(count: usize, rate: f64) -> bool {
    binomial_from(count, SETS, rate) >= TAIL
}

/// Whether so many of [`SETS`] may be seen of what happens with probability `rate` at least.
fn at_least(count: usize, rate: f64) -> bool {
    at_most(SETS - count, 1.0 - rate)
}

/// Fails unless `docs/statistics.md` has these rows.
fn assert_on_the_page(rows: &[String]) {
    let page = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/statistics.md");
    let page = std::fs::read_to_string(page).expect("the page");
    let table = rows.join("\n");
    assert!(page.contains(&table), "docs/statistics.md is old; its table is now\n\n{table}\n");
}

#[test]
fn the_tolerance_of_a_row_is_a_binomial_tail() {
    // 2,000 at 0.01: the mean is 20, and 44 is the largest count that is not out of 1e-6.
    assert!(at_most(44, 0.01) && !at_most(45, 0.01));
    assert!(at_least(2000, 1.0) && !at_least(1999, 1.0) && at_most(0, 0.0));
}
