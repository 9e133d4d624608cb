//! Where one wiring is another, it is so bit by bit.

use super::rewrite::{Change, operator, rewrite, same};
use super::support::*;
use plummet::backend::{Buffer, Host, Observer, Runner, Seen, Unobserved};
use plummet::config::RunConfig;
use plummet::op::residual::Residual;
use plummet::program::Program;
use plummet::stack::{self, Ends};
use plummet::train::{Corpus, Trainer};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Loss and gradients by name, in f64 and on the fast path.
pub type Outcome = [(f64, BTreeMap<String, Vec<f64>>); 2];

/// Runs a program whose weights follow from their names.
pub fn outcome(config: &RunConfig, program: Program) -> Outcome {
    let weights = weights(config, &program);
    outcome_at(program, &weights)
}

/// Runs a program at some weights.
pub fn outcome_at(program: Program, weights: &[f64]) -> Outcome {
    let program = Arc::new(program);
    [gradient::<f64>(&program, weights, 0), gradient::<f32>(&program, weights, 0)].map(
        |(loss, gradient)| {
            let mut at = 0;
            let named = program.weights().map(|(_, value)| {
                let range = at..at + value.shape.len();
                at = range.end;
                (value.name.clone(), gradient[range].to_vec())
            });
            (loss, named.collect())
        },
    )
}

/// The program of a training pass under a wiring.
pub fn wired(wiring: &str, more: &[(&str, &str)]) -> (RunConfig, Program) {
    let config = config(&[&[("wiring", wiring)], more].concat());
    let program =
        stack::build(&config.architecture(), &Ends::tokens(VOCABULARY), config.samples(), true);
    (config, program)
}

/// A program without the norms that `dropped` names, neither step nor weights.
pub fn without(program: &Program, dropped: impl Fn(&str) -> bool) -> Program {
    rewrite(
        program,
        |name| !dropped(name.rsplit_once('.').map_or(name, |(norm, _)| norm)),
        |name, step| if dropped(name) { Change::Skip } else { same(step) },
    )
}

#[test]
fn rewriting_without_a_change_changes_nothing() {
    let (config, program) = wired("peri_ln", &[("bias", "true"), ("tied-head", "true")]);
    let copy = rewrite(&program, |_| true, |_, step| same(step));
    assert_eq!(copy.to_string(), program.to_string());
    assert_eq!(outcome(&config, copy), outcome(&config, program));
}

#[test]
fn deepnorm_with_alpha_1_is_post_ln() {
    let (config, program) = wired("deepnorm", &[]);
    let plain = rewrite(
        &program,
        |_| true,
        |_, step| match operator::<Residual>(step) {
            Some(residual) => {
                // (2·depth)^¼ for the two blocks of this stack.
                assert_eq!(residual.alpha, 4f64.powf(0.25));
                Change::Apply(Arc::new(Residual { alpha: 1.0, ..*residual }))
            }
            None => same(step),
        },
    );
    let (_, post) = wired("post_ln", &[]);
    assert_ne!(outcome(&config, program)[0].0, outcome(&config, plain.clone())[0].0);
    assert_eq!(outcome(&config, plain), outcome(&config, post));
}

#[test]
fn ln_scaling_is_pre_ln_in_the_first_block() {
    let more = [("depth", "1")];
    let (config, scaled) = wired("ln_scaling", &more);
    assert_eq!(outcome(&config, scaled), outcome(&config, wired("pre_ln", &more).1));
    let (config, scaled) = wired("ln_scaling", &[]);
    assert_ne!(outcome(&config, scaled)[0].0, outcome(&config, wired("pre_ln", &[]).1)[0].0);
}

#[test]
fn peri_ln_is_sandwich_ln_with_a_norm_on_the_embedding() {
    let (config, peri) = wired("peri_ln", &[]);
    let sandwich = wired("sandwich_ln", &[]).1;
    // The output of that norm is the stream of layer 0.
    let bare = rewrite(
        &peri,
        |name| !name.starts_with("embed_norm"),
        |name, step| if name == "stream" { Change::Skip } else { same(step) },
    );
    assert_eq!(outcome(&config, bare), outcome(&config, sandwich));
}

#[test]
fn resi_dual_without_its_second_stream_is_post_ln_without_a_norm_on_the_embedding() {
    let (config, dual) = wired("resi_dual", &[]);
    let single = rewrite(
        &dual,
        |_| true,
        |name, step| match operator::<Residual>(step) {
            Some(residual) if name == "joined" => {
                Change::Apply(Arc::new(Residual { beta: 0.0, ..*residual }))
            }
            _ => same(step),
        },
    );
    let post = rewrite(
        &wired("post_ln", &[]).1,
        |name| !name.starts_with("embed_norm"),
        |name, step| if name == "stream" { Change::Skip } else { same(step) },
    );
    assert_ne!(outcome(&config, dual)[0].0, outcome(&config, single.clone())[0].0);
    let (ours, theirs) = (outcome(&config, single), outcome(&config, post));
    for ((loss, mut gradient), (post_loss, post_gradient)) in ours.into_iter().zip(theirs) {
        assert_eq!(loss, post_loss);
        // The norm of the second stream is all that it has besides.
        gradient.retain(|name, _| !name.starts_with("norm."));
        assert_eq!(gradient, post_gradient);
    }
}

#[test]
fn sandwich_ln_without_its_output_norms_is_pre_ln() {
    let (config, sandwich) = wired("sandwich_ln", &[]);
    // The output of the norm behind a branch is what the stream adds.
    let bare = without(&sandwich, |name| name.ends_with("_out"));
    assert_eq!(outcome(&config, bare), outcome(&config, wired("pre_ln", &[]).1));
}

#[test]
fn pre_ln_without_norms_is_no_norm() {
    let (config, pre) = wired("pre_ln", &[]);
    let bare =
        without(&pre, |name| name == "norm" || name.ends_with("norm1") || name.ends_with("norm2"));
    assert_eq!(outcome(&config, bare), outcome(&config, wired("no_norm", &[]).1));
}

/// Keeps the streams.
#[derive(Default)]
struct Streams(Vec<Vec<f32>>);

impl Observer<Host<f32>> for Streams {
    fn computed(&mut self, seen: &Seen<Host<f32>>) {
        if seen.program().get(seen.step().outs[0]).site == "stream" {
            self.0.push(seen.out(0).into_owned());
        }
    }
}

#[test]
fn branches_with_a_gain_of_zero_leave_the_stream_alone() {
    for more in [&[("wiring", "rezero")][..], &[("wiring", "layer_scale(gain=0)")]] {
        let config = config(&[&[("depth", "4"), ("positions", "learned")], more].concat());
        let program = program(&config);
        let weights = numbers(&config.init.weights(&program, config.depth, None, 1));
        let mut runner = Runner::inference(Host::<f32>::new(), program);
        feed(&mut runner);
        let mut streams = Streams::default();
        runner.forward(&weights, &Buffer::default(), &mut streams);
        assert_eq!(streams.0.len(), 5);
        assert!(streams.0.iter().all(|stream| *stream == streams.0[0]), "{}", config.label());
    }
}

/// The gain starts at the lengths of the rows, so that a form is nothing at first.
#[test]
fn weight_norm_starts_as_no_form() {
    let [(config, plain), (_, normed)] =
        ["plain", "weight_norm"].map(|form| wired("pre_ln", &[("weights", form)]));
    let at_start = |program: Program| -> f64 {
        let program = Arc::new(program);
        loss(&program, &config.init.weights(&program, config.depth, None, 1))
    };
    let (plain, normed) = (at_start(plain), at_start(normed));
    // A quotient and a product of every weight round, some tens of weights on the way of a number.
    assert!((plain - normed).abs() < 1e-14 * plain, "{plain} and {normed}");
}

/// Where a step uses a formed matrix, and nothing else does, a plain one is used by another stack.
#[test]
fn every_matrix_of_a_block_is_formed_and_no_other() {
    let (_, program) = wired("pre_ln", &[("weights", "scaled_standardised"), ("ffn", "gated")]);
    for step in program.steps().iter().filter(|step| step.op.id() == "linear") {
        let (out, matrix) = (program.get(step.outs[0]), program.get(step.args[1]));
        let formed = matrix.name.ends_with(".weight.scaled_standardised");
        assert_eq!(formed, out.name.starts_with("blocks."), "{} of {}", out.name, matrix.name);
    }
    let learned = |name: &str| program.find(name).is_some();
    assert!(learned("blocks.0.attn.q.weight") && learned("blocks.1.ffn.gate.weight"));
    assert!(learned("blocks.1.ffn.gate.weight.scaled_standardised.gain"));
}

/// With a cap far above every score attention is plain, and under a cap of 0 it is so bit by bit.
#[test]
fn a_high_cap_is_none() {
    let (config, plain) = wired("pre_ln", &[]);
    let (_, off) = wired("pre_ln", &[("softcap", "0"), ("logit-softcap", "0")]);
    assert_eq!(outcome(&config, off), outcome(&config, plain.clone()));
    let (_, high) = wired("pre_ln", &[("softcap", "1e9"), ("logit-softcap", "1e9")]);
    let (_, low) = wired("pre_ln", &[("softcap", "0.1")]);
    let [plain, high, low] = [plain, high, low].map(|program| outcome(&config, program)[0].0);
    assert!((plain - high).abs() < 1e-13 * plain && (plain - low).abs() > 1e-6 * plain, "{low}");
}

/// Queries and keys of length 1 meet as cosines, whatever the size of their matrices.
#[test]
fn normed_queries_and_keys_forget_the_size_of_their_matrices() {
    for form in ["l2", "layer", "rms"] {
        let (config, program) = wired("pre_ln", &[("qk-norm", form)]);
        let program = Arc::new(program);
        let mut weights = weights(&config, &program);
        let before: f64 = loss(&program, &weights);
        let mut at = 0;
        for (_, value) in program.weights() {
            let range = at..at + value.shape.len();
            at = range.end;
            if value.name.ends_with("attn.q.weight") || value.name.ends_with("attn.k.weight") {
                weights[range].iter_mut().for_each(|w| *w *= 1024.0);
            }
        }
        let after: f64 = loss(&program, &weights);
        // eps is below 10⁻² of the squares that it stands beside, and then below 10⁻⁸ of them.
        let allowed = if form == "l2" { 1e-12 } else { 1e-3 };
        assert!((after - before).abs() < allowed * before, "{form}: {before} and {after}");
    }
}

#[test]
fn what_is_dropped_in_training_only_is_whole_in_evaluation() {
    let (config, plain) = wired("pre_ln", &[]);
    let more = [("dropout", "0.5"), ("stochastic-depth", "0.5")];
    let (dropping, training) = wired("pre_ln", &more);
    let evaluation = stack::build(
        &dropping.architecture(),
        &Ends::tokens(VOCABULARY),
        dropping.samples(),
        false,
    );
    assert_eq!(evaluation.to_string(), plain.to_string());
    assert_eq!(outcome(&config, evaluation), outcome(&config, plain));
    assert!(training.steps().len() > 8, "{training}");
    // Something is dropped in training: the forward pass alone shows it.
    let loss_of = |program: Program| -> f64 {
        let program = Arc::new(program);
        loss(&program, &weights(&config, &program))
    };
    assert_ne!(loss_of(training), loss_of(wired("pre_ln", &[]).1));
}

/// Loss and parameters after three steps of plain gradient descent, in f64.
fn trained(fields: &[(&str, &str)]) -> (f64, Vec<f64>) {
    let base = [
        ("batch", "4"),
        ("optimizer", "sgd"),
        ("lr", "0.1"),
        ("precision", "f64"),
        ("wiring", "post_ln"),
    ];
    let config = config(&[&base, fields].concat());
    let mut trainer =
        Trainer::new(Host::<f64>::new(), &config, Arc::new(Corpus::load(&config).unwrap()))
            .unwrap();
    let losses: f64 = (0..3).map(|_| trainer.advance(None).loss).sum();
    (losses, trainer.parameters().to_vec())
}

fn splits_agree(more: &[(&str, &str)]) {
    let (whole, parameters) = trained(&[&[("shards", "1")], more].concat());
    for split in [
        [("shards", "2"), ("micro-batches", "1")],
        [("shards", "1"), ("micro-batches", "2")],
        [("shards", "2"), ("micro-batches", "2")],
        [("shards", "4"), ("micro-batches", "1")],
    ] {
        let (loss, moved) = trained(&[&split, more].concat());
        // The same sums in another order: some hundred roundings of 10⁻¹⁶ each, three steps.
        assert!((loss - whole).abs() < 1e-12 * whole, "{split:?}: {loss} against {whole}");
        let strayed = distance(&moved, &parameters) / length(&parameters);
        assert!(strayed < 1e-13, "{split:?}: {strayed:e}");
    }
}

#[test]
fn a_batch_in_parts_is_the_batch_in_one_piece() {
    splits_agree(&[]);
}

#[test]
fn a_batch_in_parts_draws_the_masks_of_the_batch_in_one_piece() {
    splits_agree(&[("dropout", "0.2"), ("stochastic-depth", "0.5")]);
}

#[test]
fn a_runner_for_inference_computes_the_same() {
    let (config, program) = wired("deepnorm", &[("norm", "rms_norm")]);
    let program = Arc::new(program);
    let weights = weights(&config, &program);
    let mut runner = Runner::inference(Host::<f64>::new(), program.clone());
    feed(&mut runner);
    runner.forward(&numbers(&weights), &Buffer::default(), &mut Unobserved);
    assert_eq!(runner.output()[0], gradient::<f64>(&program, &weights, 0).0);
}
