//! `gate check` on models: right ones pass, wrong ones are shrunk and named.

use plummet::gate::check::{Options, check};
use plummet::gate::model::{self, ModelCandidate};
use plummet::gate::report::Report;

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
        let bank = model::mutants(op);
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
