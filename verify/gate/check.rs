//! `gate check` on models: right ones pass, wrong ones are shrunk and named.

use plummet::gate::mutants::{self, ModelCandidate};
use plummet::gate::report::Report;
use plummet::gate::run::{Options, check};

fn judged(op: &'static str, id: &'static str) -> Report {
    judged_by(op, id, &Options::default())
}

fn judged_by(op: &'static str, id: &'static str, options: &Options) -> Report {
    let start = || {
        let candidate: Box<dyn plummet::gate::Candidate> = Box::new(ModelCandidate::new(op, id));
        Ok(candidate)
    };
    check(&start, options, &|_| ())
}

#[test]
fn a_right_target_passes() {
    let report = judged("layer_norm", "");
    assert_eq!(report.exit_code, 0, "{:#?}", report.findings);
    assert!(report.findings.is_empty());
    assert!(report.rows.iter().all(|row| row.vacuous * 10 <= row.cases), "{:#?}", report.rows);
}

/// Twenty mutants of all classes; `plummet gate selftest --explain` takes all of them.
const CHOSEN: [(&str, &str); 20] = [
    ("layer_norm", "ln_one_pass"),
    ("layer_norm", "ln_eps_out"),
    ("layer_norm", "ln_mean_twice"),
    ("rms_norm", "rms_eps_out"),
    ("rms_norm", "rms_eps_hard"),
    ("scale_norm", "scale_eps_added"),
    ("batch_norm", "bn_biased"),
    ("batch_norm", "bn_momentum"),
    ("softmax", "sm_nomax"),
    ("activation", "gelu_swap"),
    ("activation", "gelu_tanh_exp"),
    ("linear", "lin_bias_ignored"),
    ("linear", "lin_bias_twice"),
    ("cross_entropy", "ce_ls_ignored"),
    ("cross_entropy", "ce_nomax"),
    ("adamw", "adam_wd_order"),
    ("adamw", "adam_l2"),
    ("dynamic_tanh", "dyt_alpha_out"),
    ("attention", "att_top_left"),
    ("weight_standardize", "ws_axis"),
];

#[test]
fn wrong_targets_are_shrunk_and_named() {
    let mut named = 0;
    for (op, id) in CHOSEN {
        let report = judged(op, id);
        assert_eq!(report.exit_code, 1, "{id}");
        let told = report.findings.iter().filter_map(|finding| finding.shrunk.as_ref());
        let small = |shape: &[usize]| {
            let cols = shape.last().copied().unwrap_or(1);
            cols <= 4 && shape.iter().product::<usize>() <= 2 * cols
        };
        let shrunk = told.min_by_key(|shrunk| {
            shrunk.inputs.iter().map(|(_, shape, _)| shape.iter().product::<usize>()).sum::<usize>()
        });
        let shrunk = shrunk.unwrap_or_else(|| panic!("{id} is shrunk"));
        assert!(shrunk.inputs.iter().all(|(_, shape, _)| small(shape)), "{id}: {}", shrunk.case);
        let like = report.findings.iter().find_map(|finding| finding.behaves_like.as_ref());
        println!("{id:28} {} like {:?}", shrunk.to, like.map(|like| &like.id));
        let bank = mutants::mutants(op);
        let class = |id: &str| bank.iter().find(|m| m.id == id).map(|m| m.class);
        named += usize::from(like.is_some_and(|like| class(&like.id) == class(id)));
    }
    assert!(named * 10 >= CHOSEN.len() * 8, "{named} of {} are named", CHOSEN.len());
}

/// Of rows that are constant it says NaN or not, as the order of summation has it.
#[test]
fn a_variance_in_one_pass_is_told_from_a_clipped_one() {
    for seed in 1..=3 {
        for id in ["ln_one_pass", "ln_clipped"] {
            let filters = vec!["layer_norm:fwd:f32".parse().unwrap()];
            let options = Options { filters, seed, ..Options::default() };
            let report = judged_by("layer_norm", id, &options);
            let like = report.findings.iter().find_map(|finding| finding.behaves_like.as_ref());
            assert_eq!(like.map(|like| like.id.as_str()), Some(id), "seed {seed}");
        }
    }
}

/// A name is of the fault and not of the cases that happened to be drawn.
#[test]
fn the_same_fault_has_the_same_name_on_every_seed() {
    let sample = [
        ("layer_norm", "ln_unbiased"),
        ("layer_norm", "ln_eps_out"),
        ("rms_norm", "rms_eps_hard"),
        ("softmax", "sm_nomax"),
        ("attention", "att_top_left"),
        ("linear", "lin_bias_twice"),
    ];
    let mut disagreements = Vec::new();
    for (op, id) in sample {
        let named = |seed| {
            let filters = vec![format!("{op}:fwd:f32").parse().unwrap()];
            let report = judged_by(op, id, &Options { filters, seed, ..Options::default() });
            report.findings.into_iter().find_map(|finding| finding.behaves_like).map(|like| like.id)
        };
        let names: Vec<Option<String>> = (1..=5).map(named).collect();
        if names.iter().any(|name| *name != names[0]) || names[0].is_none() {
            disagreements.push(format!("{id}: {names:?}"));
        }
    }
    assert!(disagreements.is_empty(), "{disagreements:#?}");
}

/// Equal shares in a row without an open key are no NaN, whatever else is wrong with the row.
#[test]
fn what_comes_out_finite_is_not_explained_as_nan() {
    for (op, id) in [("attention", "att_empty_uniform"), ("softmax", "sm_empty_uniform")] {
        for seed in 1..=3 {
            let filters = vec![format!("{op}:fwd:f32").parse().unwrap()];
            let report = judged_by(op, id, &Options { filters, seed, ..Options::default() });
            assert_eq!(report.exit_code, 1, "{id}");
            for like in report.findings.iter().filter_map(|finding| finding.behaves_like.as_ref()) {
                let names: Vec<&String> = std::iter::once(&like.id).chain(&like.rivals).collect();
                assert!(!names.iter().any(|name| name.contains("nan")), "{id}: {names:?}");
            }
        }
    }
}

/// What is called a fault of the backward leaves the forward as it is, so that no forward is
/// explained by it.
#[test]
fn a_backward_fault_does_not_show_forward() {
    use plummet::check::call::Dir;
    use plummet::check::plan::Plan;
    use plummet::check::scope;
    use plummet::check::spec;
    use plummet::gate::Dtype;
    use plummet::gate::mutants::{Mutation, own_answer};
    let mut wrong = Vec::new();
    for bank in mutants::CATALOGUES {
        let operator = spec::find(bank.op).unwrap();
        if !operator.dirs().contains(&Dir::Fwd) || operator.random() {
            continue;
        }
        let dtypes = (Dtype::F32, Dtype::F32);
        let cases = Plan::new(operator, &scope::everything(operator), Dir::Fwd, dtypes, 1);
        let small = |case: &plummet::gate::Case| {
            let call = case.call();
            let elements: usize = call.tensors.values().map(|tensor| tensor.values.len()).sum();
            elements < 2000 && !operator.must_refuse(&call)
        };
        let cases: Vec<_> = cases.filter(small).take(8).collect();
        for mutant in bank.mutants.iter().filter(|mutant| mutant.class == "backward") {
            let answer = |id, call: &_| own_answer(call, Mutation { id, calls: 6 }, false);
            let same = cases.iter().all(|case| {
                let call = case.call();
                let (own, plain) = (answer(mutant.id, &call), answer("", &call));
                own.iter().all(|(name, tensor)| tensor.same_bits(&plain[name]))
            });
            if !same {
                wrong.push(mutant.id);
            }
        }
    }
    assert!(wrong.is_empty(), "not of the backward alone: {wrong:?}");
}
