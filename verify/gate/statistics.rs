//! Stage 6 accuses no right target: the probabilities that it works with are those that occur.

use plummet::check::call::{Broken, Call, Dir, Hello, Limits, Reply, Served};
use plummet::check::spec;
use plummet::check::tensor::Dtype;
use plummet::gate::Candidate;
use plummet::gate::mutants::{CATALOGUES, ModelCandidate};
use plummet::gate::selftest::planted;
use plummet::gate::stages::statistics::{Effort, Evidence, LEVEL, evidence};

/// A seed of its own for every run, far from those that a run derives from its own.
fn run(op: &'static str, id: &'static str, run: u64, elements: usize) -> Evidence {
    let mut candidate = ModelCandidate::new(op, id);
    let served = candidate.hello().unwrap().ops[op].clone();
    let effort = Effort { elements, crowd: 1 << 12, rare: 1 << 14, ..Effort::FULL };
    evidence(&mut candidate, op, &served, 1000 * run, effort).unwrap()
}

fn random() -> impl Iterator<Item = &'static str> {
    spec::all().filter(|operator| operator.random()).map(|operator| operator.name())
}

#[test]
fn probabilities_of_right_targets_are_as_derived() {
    for op in random() {
        let (mut tests, mut smallest) = (0, 0.0f64);
        for seed in 0..100 {
            let evidence = run(op, "", seed, 1 << 11);
            assert!(evidence.findings.is_empty(), "{:?}", evidence.findings);
            tests += evidence.tests;
            smallest = smallest.min(evidence.smallest);
        }
        println!("{op}: the smallest of {tests} probabilities is {:.2e}", smallest.exp());
        // Of m probabilities the smallest is below t/m with probability t at most. It is not far
        // above 1/m either: bounds that are never met would show nothing.
        let share = smallest.exp() * tests as f64;
        assert!(share > 1e-3, "{op}: {share:e} in units of 1/{tests}");
        assert!(share < 1e3, "{op}: {share:e} in units of 1/{tests}");
    }
}

#[test]
fn a_run_accuses_a_right_target_once_in_a_million() {
    let mut tests = 0;
    for op in random() {
        let before = std::time::Instant::now();
        let evidence = run(op, "", 7, Effort::FULL.elements);
        println!("{op}: {} tests in {:.2?}", evidence.tests, before.elapsed());
        assert!(evidence.findings.is_empty(), "{:?}", evidence.findings);
        tests += evidence.tests;
    }
    let rate = tests as f64 * LEVEL;
    println!("{tests} tests: {rate:.1e}");
    assert!(rate < 1e-6, "{tests} tests at {LEVEL:e}");
}

/// A target that declares little is asked that, and not accused.
#[test]
fn what_is_declared_narrowly_is_enough() {
    let effort = Effort { elements: 1 << 12, crowd: 1 << 12, rare: 1 << 13, ..Effort::FULL };
    let attr = |name: &str, values: &[serde_json::Value]| (name.to_string(), values.to_vec());
    let narrow: [(&'static str, Served); 5] = [
        ("dropout", Served { attrs: [attr("p", &[0.1.into()])].into(), ..Served::default() }),
        ("dropout", Served { dir: Some(vec![Dir::Bwd]), ..Served::default() }),
        (
            "drop_path",
            Served { attrs: [attr("training", &[false.into()])].into(), ..Served::default() },
        ),
        (
            "drop_path",
            Served {
                limits: Limits {
                    max_elements: Some(600),
                    max_columns: Some(7),
                    ..Limits::default()
                },
                ..Served::default()
            },
        ),
        (
            "init",
            Served {
                attrs: [attr("scheme", &["lecun_uniform".into()]), attr("role", &["qkv".into()])]
                    .into(),
                dtype: Some(vec![Dtype::Bf16]),
                ..Served::default()
            },
        ),
    ];
    for (op, served) in narrow {
        for seed in 0..5 {
            let mut candidate = ModelCandidate::new(op, "");
            let evidence = evidence(&mut candidate, op, &served, 7000 * seed, effort).unwrap();
            assert!(evidence.findings.is_empty(), "{op}: {:?}", evidence.findings);
        }
    }
}

/// A generator that reads 32 bits of a seed, or 31, is right where it says so, and is told how to
/// where it does not.
#[test]
fn a_generator_that_declares_its_largest_seed_is_asked_no_other() {
    let low = [("dropout", "drop_seed_low"), ("drop_path", "droppath_seed_low")];
    for (op, id) in low.into_iter().chain([("init", "init_seed_low")]) {
        for most in [u64::from(u32::MAX), (1 << 31) - 1] {
            let mut candidate = ModelCandidate::new(op, id);
            let mut served = candidate.hello().unwrap().ops[op].clone();
            let effort =
                Effort { elements: 1 << 12, crowd: 1 << 12, rare: 1 << 13, ..Effort::FULL };
            let seed = u64::MAX / 3;
            let found = evidence(&mut candidate, op, &served, seed, effort).unwrap().findings;
            let told = found.iter().any(|f| f.message.contains("limits.max_seed"));
            assert!(told, "{op}: {found:?}");
            served.limits.max_seed = Some(most);
            let mut asked = Seeds { inner: candidate, largest: 0 };
            let evidence = evidence(&mut asked, op, &served, seed, effort).unwrap();
            assert!(evidence.findings.is_empty(), "{op}: {:?}", evidence.findings);
            assert!((most / 2..=most).contains(&asked.largest), "{op}: {}", asked.largest);
        }
        // What ignores other bits than it says is not excused.
        let other = format!("{}16", id.trim_end_matches("low"));
        let bank = CATALOGUES.iter().find(|bank| bank.op == op).unwrap();
        let Some(other) = bank.mutants.iter().find(|mutant| mutant.id == other) else { continue };
        let mut candidate = ModelCandidate::new(op, other.id);
        let mut served = candidate.hello().unwrap().ops[op].clone();
        served.limits.max_seed = Some(u64::from(u32::MAX));
        let effort = Effort { elements: 1 << 12, crowd: 1 << 12, rare: 1 << 13, ..Effort::FULL };
        let found = evidence(&mut candidate, op, &served, 7, effort).unwrap().findings;
        assert!(!found.is_empty() && !found[0].message.contains("max_seed"), "{op}: {found:?}");
    }
}

/// The largest seed that a target was given.
struct Seeds {
    inner: ModelCandidate,
    largest: u64,
}

impl Candidate for Seeds {
    fn hello(&mut self) -> Result<Hello, Broken> {
        self.inner.hello()
    }
    fn run(&mut self, call: &Call) -> Result<Reply, Broken> {
        self.largest = self.largest.max(call.attrs["seed"].as_u64().unwrap());
        self.inner.run(call)
    }
}

/// A run that has no time says of every group that it has not looked.
#[test]
fn without_time_nothing_is_stated() {
    let until = Some(std::time::Instant::now());
    let mut candidate = ModelCandidate::new("init", "");
    let served = candidate.hello().unwrap().ops["init"].clone();
    let effort = Effort { elements: 1 << 10, crowd: 1 << 12, until, ..Effort::FULL };
    let evidence = evidence(&mut candidate, "init", &served, 1, effort).unwrap();
    assert!(evidence.findings.is_empty(), "{:?}", evidence.findings);
    let looked = evidence.reach.iter().filter(|reach| reach.numbers > 0).count();
    assert!(looked <= 2 && evidence.reach.len() == 10, "{:?}", evidence.reach);
}

/// `GATE_SEEDS` in the environment tries so many seeds.
#[test]
fn right_generators_of_every_kind_are_accused_under_no_seed() {
    let seeds = std::env::var("GATE_SEEDS").ok().and_then(|n| n.parse().ok()).unwrap_or(6);
    for bank in CATALOGUES.iter().filter(|bank| random().any(|op| op == bank.op)) {
        for control in bank.controls {
            for seed in 0..seeds {
                let evidence = run(bank.op, control.id, 500 + seed, 1 << 12);
                assert!(evidence.findings.is_empty(), "{}: {:?}", control.id, evidence.findings);
            }
        }
    }
}

#[test]
fn faults_of_the_stated_size_are_found() {
    for trial in planted::table(None, 40) {
        println!("{trial:?}");
        assert!(trial.holds(), "{trial:?}");
        assert!(trial.size.is_finite() && trial.size > 0.0, "{trial:?}");
    }
}

#[test]
fn what_is_stated_of_a_check_holds_for_its_numbers() {
    // The figures of a whole run, without drawing its numbers: an infinity in 2^24 weights, and a
    // bias of what eight bits leave of a rate of 0.1 and 0.9.
    use plummet::gate::stages::statistics::power::{FOUND, smallest_rate};
    let missed = (Effort::FULL.rare as f64 * (-2f64.powi(-24)).ln_1p()).exp();
    assert!(missed < 1.0 - FOUND, "{missed}");
    for (rate, held) in [(0.1, 25.0 / 256.0), (0.9, 230.0 / 256.0)] {
        let found = smallest_rate(Effort::FULL.crowd, [1.0 - rate, 1.0 - rate]);
        assert!(found < rate - held, "{found:e} at {rate}");
    }
}
