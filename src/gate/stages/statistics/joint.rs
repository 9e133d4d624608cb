//! Random numbers that must not know of each other: first by values that come again, wherever they
//! stand, then by fair coins that are compared place by place.

use std::collections::HashMap;

use super::LEVEL;
use super::bounds::ln_share;
use super::evidence::Evidence;
use crate::check::spec::case::Case;
use crate::check::tensor::Dtype;

/// The largest probability of one magnitude of a right generator at 32 bits or more: numbers of 23
/// bits, as some right ones have, of either sign, and what rounding adds.
const ATOM: f64 = 1.0 / (1 << 21) as f64;
/// The relative difference of two magnitudes that are one number times two standard deviations.
const ROUNDED: f64 = 1.0 / (1 << 21) as f64;
/// The largest probability that two independent ones are as near as that: 2·[`ROUNDED`] times the
/// density of a magnitude's logarithm, which is below 1 for both distributions, and `ATOM`.
const NEAR: f64 = 1.0 / (1 << 19) as f64;

/// True where magnitudes have so many values that one seldom comes again.
pub fn fine(dtype: Dtype) -> bool {
    dtype.bytes() >= 4
}

fn magnitudes(values: &[f64]) -> Vec<f64> {
    let mut sorted: Vec<f64> = values.iter().map(|value| value.abs()).collect();
    sorted.sort_unstable_by(f64::total_cmp);
    sorted
}

impl Evidence {
    /// Magnitudes that come again among numbers of one distribution: copies, at whatever distance and with
    /// whatever sign, a short period, or numbers of few bits.
    ///
    /// Whatever came before, the i-th number is one of the i before it with a probability of at
    /// most i·`ATOM`.
    pub fn repeats(&mut self, case: &Case, what: &str, values: &[f64]) {
        let sorted = magnitudes(values);
        let again = sorted.windows(2).filter(|pair| pair[0] == pair[1]).count();
        let n = values.len() as f64;
        let what = format!("count of magnitudes of {what} that come again");
        self.at_most(case, what, again, 0.5 * n * (n - 1.0) * ATOM);
    }

    /// Magnitudes of `b` that `a` has as well, at whatever place; both have variance 1.
    pub fn shared(&mut self, case: &Case, what: &str, a: &[f64], b: &[f64]) {
        let sorted = magnitudes(a);
        let has = |value: &&f64| {
            let value = value.abs();
            let at = sorted.partition_point(|&other| other < value * (1.0 - ROUNDED));
            sorted.get(at).is_some_and(|&other| other <= value * (1.0 + ROUNDED))
        };
        let hits = b.iter().filter(has).count();
        let most = (a.len() as f64 * NEAR).min(1.0);
        let what = format!("share of magnitudes that {what} have in common");
        self.share_within(case, what, (hits, b.len()), [0.0, most]);
    }

    /// Two lists of independent events of one probability, compared place by place and some places
    /// off.
    pub fn unrelated(&mut self, case: &Case, what: &str, a: &[bool], b: &[bool], rate: f64) {
        let want = rate * rate + (1.0 - rate) * (1.0 - rate);
        for off in [0isize, 1, -1] {
            let (hits, n) = agreement(a, b, off);
            if n > 0 {
                let what = format!("share of equal {what}, {off} places off");
                self.share(case, what, hits, n, want);
            }
        }
    }

    /// A long run of one list of events that stands in another as well, at whatever place.
    ///
    /// That two runs of w independent events are equal has the probability cʷ, c = p² + (1−p)²; w is
    /// such that no pair of places out of all has one below [`LEVEL`].
    pub fn runs(&mut self, case: &Case, what: &str, a: &[bool], b: &[bool], rate: f64) {
        let chance = (rate * rate + (1.0 - rate) * (1.0 - rate)).ln();
        let pairs = (a.len() as f64 * b.len() as f64).ln();
        let length = ((pairs - LEVEL.ln()) / -chance).ceil() as usize + 1;
        // A list that is compared with itself has runs that overlap: those are left out.
        let apart = if std::ptr::eq(a, b) { length } else { 0 };
        if 4 * length > a.len().min(b.len()) {
            return;
        }
        let mut first: HashMap<u64, usize> = HashMap::new();
        for (at, hash) in hashes(a, length) {
            first.entry(hash).or_insert(at);
        }
        let again = hashes(b, length).find_map(|(at, hash)| {
            let other = *first.get(&hash)?;
            let same = a[other..other + length] == b[at..at + length];
            (same && (apart == 0 || other + apart <= at)).then_some((other, at))
        });
        let what = match again {
            Some((one, other)) => format!(
                "count of runs of {length} fates, as from place {one} and from place {other}, of \
                 {what}"
            ),
            None => String::new(),
        };
        let ln_p = pairs + length as f64 * chance;
        let count = f64::from(u8::from(again.is_some()));
        self.weigh(case, what, count, 0.0, |count| if count > 0.0 { ln_p } else { 0.0 });
    }
}

/// How many places of two lists agree, one of them moved, and of how many.
fn agreement(a: &[bool], b: &[bool], off: isize) -> (usize, usize) {
    let skip = off.unsigned_abs();
    let (a, b) = match off {
        0.. => (a.get(skip..).unwrap_or_default(), b),
        _ => (a, b.get(skip..).unwrap_or_default()),
    };
    let pairs = a.iter().zip(b);
    (pairs.clone().filter(|(a, b)| a == b).count(), pairs.len())
}

/// True where two lists of fair coins agree as no independent ones do.
pub fn related(a: &[bool], b: &[bool]) -> bool {
    let (hits, n) = agreement(a, b, 0);
    n > 0 && ln_share(hits as f64 / n as f64, n, [0.5, 0.5]) < LEVEL.ln()
}

/// The hash of every run of a length, by its place (Rabin & Karp 1987, modulo 2⁶⁴, of scrambled
/// events); runs of one hash are compared.
fn hashes(events: &[bool], length: usize) -> impl Iterator<Item = (usize, u64)> + '_ {
    const BASE: u64 = 0x9e37_79b9_7f4a_7c15;
    let code = |event: bool| if event { 0xd1b5_4a32_d192_ed03u64 } else { 0x2545_f491_4f6c_dd1d };
    let highest = (1..length).fold(1u64, |power, _| power.wrapping_mul(BASE));
    let mut hash = 0u64;
    events.iter().enumerate().filter_map(move |(i, &event)| {
        if i >= length {
            hash = hash.wrapping_sub(code(events[i - length]).wrapping_mul(highest));
        }
        hash = hash.wrapping_mul(BASE).wrapping_add(code(event));
        (i + 1 >= length).then(|| (i + 1 - length, hash))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::call::Dir;
    use crate::check::spec;
    use crate::rng::Rng;

    fn case() -> Case {
        Case::simplest(spec::find("dropout").unwrap(), Dir::Fwd, Dtype::F32, Dtype::F32)
    }

    fn coins(seed: u64, n: usize, rate: f64) -> Vec<bool> {
        let mut rng = Rng::new(seed);
        (0..n).map(|_| rng.uniform() < rate).collect()
    }

    #[test]
    fn a_run_is_found_at_any_distance() {
        for rate in [0.1, 0.5] {
            let (a, b) = (coins(1, 6000, rate), coins(2, 6000, rate));
            let mut evidence = Evidence::default();
            evidence.runs(&case(), "two", &a, &b, rate);
            evidence.runs(&case(), "one", &a, &a, rate);
            assert!(evidence.findings.is_empty() && evidence.tests == 2);
            let mut moved = b.clone();
            moved[3000..3400].copy_from_slice(&a[17..417]);
            evidence.runs(&case(), "two", &a, &moved, rate);
            assert_eq!(evidence.findings.len(), 1);
            let (mut evidence, mut moved) = (Evidence::default(), b.clone());
            moved[17..417].copy_from_slice(&a[3000..3400]);
            evidence.runs(&case(), "two", &a, &moved, rate);
            assert_eq!(evidence.findings.len(), 1);
            let mut periodic = a.clone();
            periodic.copy_within(0..3000, 3000);
            let mut evidence = Evidence::default();
            evidence.runs(&case(), "one", &periodic, &periodic, rate);
            assert_eq!(evidence.findings.len(), 1);
        }
    }

    #[test]
    fn copies_are_found_whatever_their_place_and_sign() {
        let mut rng = Rng::new(3);
        let mut draw =
            |n: usize| -> Vec<f64> { (0..n).map(|_| f64::from(rng.normal() as f32)).collect() };
        let (a, mut b) = (draw(4000), draw(4000));
        let mut evidence = Evidence::default();
        evidence.repeats(&case(), "a", &a);
        evidence.shared(&case(), "a and b", &a, &b);
        assert!(evidence.findings.is_empty(), "{:?}", evidence.findings);
        for i in 0..300 {
            b[10 * i] = -a[i];
        }
        evidence.shared(&case(), "a and b", &a, &b);
        assert_eq!(evidence.findings.len(), 1);
    }
}
