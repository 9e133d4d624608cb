//! What speaks for and against a target.

use super::LEVEL;
use super::bounds::{ln_many, ln_share};
use crate::check::spec::case::Case;
use crate::gate::report::Reach;

/// One test that a right target fails with a probability below [`LEVEL`].
#[derive(Debug, Clone, PartialEq)]
pub struct Finding {
    /// The case, the first where several are compared.
    pub case: Case,
    /// What is wrong.
    pub message: String,
    /// What was measured.
    pub got: f64,
    /// What was expected.
    pub want: f64,
    /// By how much it may be off.
    pub bound: f64,
}

/// What the tests of one operator came to.
#[derive(Debug, Clone, Default)]
pub struct Evidence {
    /// What speaks against the target, one finding per case.
    pub findings: Vec<Finding>,
    /// What is remarkable and not wrong.
    pub notes: Vec<String>,
    /// What these tests find.
    pub reach: Vec<Reach>,
    /// How many tests there were.
    pub tests: usize,
    /// The logarithm of the smallest probability of all.
    pub smallest: f64,
}

impl Evidence {
    /// A test: `ln_p` bounds the logarithm of the probability of a value as far off as its argument.
    pub fn weigh(
        &mut self,
        case: &Case,
        what: impl Into<String>,
        got: f64,
        want: f64,
        ln_p: impl Fn(f64) -> f64,
    ) {
        self.tests += 1;
        let own = ln_p(got);
        self.smallest = self.smallest.min(own);
        // Written so that NaN is a finding.
        if own >= LEVEL.ln() {
            return;
        }
        let (mut near, mut far) = (want, got);
        for _ in 0..60 {
            let middle = 0.5 * (near + far);
            if ln_p(middle) >= LEVEL.ln() { near = middle } else { far = middle }
        }
        self.accuse(case, what, got, want, (near - want).abs());
    }

    /// The share of `n` independent events of probability `want`.
    pub fn share(
        &mut self,
        case: &Case,
        what: impl Into<String>,
        hits: usize,
        n: usize,
        want: f64,
    ) {
        self.share_within(case, what, (hits, n), [want, want]);
    }

    /// The share of `n` independent events, whose probability lies in a range.
    pub fn share_within(
        &mut self,
        case: &Case,
        what: impl Into<String>,
        (hits, n): (usize, usize),
        range: [f64; 2],
    ) {
        let want = 0.5 * (range[0] + range[1]);
        self.weigh(case, what, hits as f64 / n as f64, want, |x| ln_share(x, n, range));
    }

    /// A count of events that a right target shows about `mean` times at the most.
    pub fn at_most(&mut self, case: &Case, what: impl Into<String>, count: usize, mean: f64) {
        self.weigh(case, what, count as f64, mean, |count| ln_many(count, mean));
    }

    /// A finding, unless the case has one.
    pub fn accuse(
        &mut self,
        case: &Case,
        what: impl Into<String>,
        got: f64,
        want: f64,
        bound: f64,
    ) {
        if self.findings.iter().all(|finding| finding.case != *case) {
            let (case, message) = (case.clone(), what.into());
            self.findings.push(Finding { case, message, got, want, bound });
        }
    }

    /// What must hold whatever the numbers are.
    pub fn demand(&mut self, case: &Case, what: &str, wrong: usize) {
        if wrong > 0 {
            self.accuse(case, what, wrong as f64, 0.0, 0.0);
        }
    }
}
