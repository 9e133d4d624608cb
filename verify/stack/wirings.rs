//! What each wiring becomes when its own part is taken away, bit by bit.

use super::equalities::{Outcome, outcome, outcome_at, wired, without};
use super::rewrite::{Change, operator, rewrite, same};
use super::support::*;
use plummet::backend::{Buffer, Host, Observer, Runner, Seen};
use plummet::config::RunConfig;
use plummet::op::norm::LayerNorm;
use plummet::op::residual::Residual;
use plummet::program::{Program, Step};
use plummet::setting::Setting;
use plummet::stack::Wiring;
use std::sync::Arc;

/// Two programs of the same steps under the same names.
fn assert_same(ours: (RunConfig, Program), theirs: &str) {
    let (_, other) = wired(theirs, &[]);
    assert_eq!(ours.1.to_string(), other.to_string());
    assert_eq!(outcome(&ours.0, ours.1), outcome(&ours.0, other), "{theirs}");
}

/// The residual steps that `named` picks, with other factors.
fn refactored(program: &Program, named: impl Fn(&str) -> bool, to: Residual) -> Program {
    rewrite(
        program,
        |_| true,
        |name, step| match operator::<Residual>(step) {
            Some(_) if named(name) => Change::Apply(Arc::new(to)),
            _ => same(step),
        },
    )
}

/// Without the norm on the embedding, whose output is the stream of layer 0.
fn with_bare_embedding(program: &Program) -> Program {
    rewrite(
        program,
        |name| !name.starts_with("embed_norm"),
        |name, step| if name == "stream" { Change::Skip } else { same(step) },
    )
}

/// The weights as they are drawn, gains where they start.
fn at_start(config: &RunConfig, program: Program) -> Outcome {
    let weights = config.init.weights(&program, config.depth, None, config.seed);
    let weights: Vec<f64> = weights.iter().map(|&w| f64::from(w as f32)).collect();
    outcome_at(program, &weights)
}

#[test]
fn mix_ln_with_share_0_is_pre_ln_and_with_share_1_is_post_ln() {
    assert_same(wired("mix_ln(share=0)", &[]), "pre_ln");
    assert_same(wired("mix_ln(share=1)", &[]), "post_ln");
}

#[test]
fn mix_ln_rounds_the_blocks_of_its_share_up() {
    for (share, depth, post) in
        [(0.0, 12, 0), (0.25, 12, 3), (0.25, 13, 4), (0.01, 2, 1), (0.07, 100, 7), (1.0, 5, 5)]
    {
        let wiring = format!("mix_ln(share={share})");
        let (_, program) = wired(&wiring, &[("depth", &depth.to_string())]);
        let normed = |step: &&Step| {
            let out = program.get(step.outs[0]);
            out.name.ends_with(".stream") && operator::<LayerNorm>(step).is_some()
        };
        assert_eq!(program.steps().iter().filter(normed).count(), post, "{share} of {depth}");
    }
}

#[test]
fn mix_ln_is_post_ln_in_its_first_blocks_and_pre_ln_in_the_rest() {
    let block = |wiring: &str, layer: usize| -> String {
        let steps = wired(wiring, &[]).1.to_string();
        let of = steps.lines().filter(|line| line.starts_with(&format!("blocks.{layer}.")));
        of.map(|line| format!("{line}\n")).collect()
    };
    assert_eq!(block("mix_ln(share=0.5)", 0), block("post_ln", 0));
    // What it reads is the stream of the block before, whatever that is.
    assert_eq!(block("mix_ln(share=0.5)", 1), block("pre_ln", 1));
    assert_ne!(block("pre_ln", 1), block("post_ln", 1));
}

#[test]
fn b2t_without_its_skip_is_post_ln() {
    let (config, b2t) = wired("b2t", &[]);
    let alone = Residual { alpha: 0.0, beta: 1.0 };
    let plain = refactored(&b2t, |name| name.ends_with("further2"), alone);
    assert_ne!(outcome(&config, b2t)[0].0, outcome(&config, plain.clone())[0].0);
    assert_eq!(outcome(&config, plain), outcome(&config, wired("post_ln", &[]).1));
}

#[test]
fn keel_without_its_inner_norm_is_deepnorm_of_the_same_alpha() {
    let (config, keel) = wired("keel(alpha=3)", &[]);
    let bare = without(&keel, |name| name.ends_with("_in"));
    assert_eq!(outcome(&config, bare), outcome(&config, wired("deepnorm(alpha=3)", &[]).1));
}

#[test]
fn keel_counts_sublayers() {
    let (_, keel) = wired("keel", &[("depth", "5")]);
    let alphas = keel.steps().iter().filter_map(operator::<Residual>).map(|r| r.alpha);
    assert_eq!(alphas.collect::<Vec<_>>(), [10.0; 10]);
}

/// norm(α·x + f; eps) = norm(x + f/α; eps/α²): by a power of two without a rounding.
#[test]
fn a_wide_skip_is_a_narrow_branch_under_a_smaller_eps() {
    for wiring in ["keel(alpha=4)", "deepnorm(alpha=4)"] {
        let (config, wide) = wired(wiring, &[("norm", "layer_norm(eps=0.125)")]);
        let narrow = refactored(&wide, |_| true, Residual { alpha: 1.0, beta: 0.25 });
        assert_ne!(outcome(&config, wide.clone())[0].0, outcome(&config, narrow.clone())[0].0);
        let narrow = rewrite(
            &narrow,
            |_| true,
            |name, step| match operator::<LayerNorm>(step) {
                Some(_) if name.ends_with(".mid") || name.ends_with(".stream") => {
                    Change::Apply(Arc::new(LayerNorm { eps: 0.125 / 16.0 }))
                }
                _ => same(step),
            },
        );
        assert_eq!(outcome(&config, wide), outcome(&config, narrow), "{wiring}");
    }
}

#[test]
fn out_norm_is_sandwich_ln_without_its_input_norms() {
    let (config, out) = wired("out_norm", &[]);
    let bare = without(&wired("sandwich_ln", &[]).1, |name| {
        name.ends_with("norm1") || name.ends_with("norm2")
    });
    assert_eq!(outcome(&config, out), outcome(&config, bare));
}

#[test]
fn sub_ln_and_normformer_without_what_they_add_inside_are_pre_ln() {
    for (wiring, added) in [("sub_ln", 2), ("normformer", 3)] {
        let (config, ours) = wired(wiring, &[("ffn", "gated")]);
        let names = ["attn.norm", "ffn.norm", "attn.scaled", "norm1_out"];
        let (pre_config, pre) = wired("pre_ln", &[("ffn", "gated")]);
        assert_eq!(ours.steps().len() - pre.steps().len(), added * pre_config.depth);
        let bare = without(&ours, |name| names.iter().any(|inner| name.ends_with(inner)));
        assert_eq!(outcome(&config, bare), outcome(&config, pre), "{wiring}");
    }
}

/// In a stack of one block the last norm of either stands in the same place.
#[test]
fn hybrid_norm_without_norms_inside_of_attention_is_post_ln_of_a_bare_embedding() {
    let more = [("depth", "1")];
    let (config, hybrid) = wired("hybrid_norm", &more);
    let inside = |name: &str| {
        ["q", "k", "v"].iter().any(|part| name.ends_with(&format!("attn.{part}.norm")))
    };
    let bare = without(&hybrid, inside);
    assert_eq!(hybrid.steps().len() - bare.steps().len(), 3);
    let post = with_bare_embedding(&wired("post_ln", &more).1);
    let (ours, theirs) = (at_start(&config, bare), at_start(&config, post));
    for ((loss, gradient), (post_loss, post_gradient)) in ours.into_iter().zip(theirs) {
        assert_eq!(loss, post_loss);
        for (name, values) in post_gradient {
            let name = name.replace("blocks.0.norm2", "norm");
            assert_eq!(gradient[&name], values, "{name}");
        }
    }
}

#[test]
fn siamese_norm_whose_branches_read_one_stream_is_post_ln_without_a_norm_on_the_embedding() {
    let (config, siamese) = wired("siamese_norm", &[]);
    let reads = |name: &str| name == "joined" || name.contains(".read");
    let single = refactored(&siamese, reads, Residual { alpha: 1.0, beta: 0.0 });
    let post = with_bare_embedding(&wired("post_ln", &[]).1);
    assert_ne!(outcome(&config, siamese)[0].0, outcome(&config, single.clone())[0].0);
    let [(loss, gradient), (fast, _)] = outcome(&config, single);
    let [(post_loss, post_gradient), (post_fast, _)] = outcome(&config, post);
    assert_eq!((loss, fast), (post_loss, post_fast));
    // What the branch sends back is added up before it meets the stream, and not one by one: the
    // same terms in another order, some hundred roundings of 10⁻¹⁶.
    for (name, values) in post_gradient {
        let error = distance(&gradient[&name], &values);
        assert!(error <= 1e-13 * length(&values), "{name}: {error:e}");
    }
}

#[test]
fn siamese_norm_whose_branches_read_the_other_stream_is_pre_ln() {
    let (config, siamese) = wired("siamese_norm", &[]);
    let reads = |name: &str| name == "joined" || name.contains(".read");
    let single = refactored(&siamese, reads, Residual { alpha: 0.0, beta: 1.0 });
    let (ours, theirs) = (at_start(&config, single), at_start(&config, wired("pre_ln", &[]).1));
    for ((loss, _), (pre_loss, _)) in ours.into_iter().zip(theirs) {
        assert_eq!(loss, pre_loss);
    }
}

#[test]
fn parallel_and_pre_ln_differ_in_what_the_feed_forward_reads_only() {
    let silent = |wiring: &str| {
        let (config, program) = wired(wiring, &[]);
        let mut weights = weights(&config, &program);
        let mut at = 0;
        for (_, value) in program.weights() {
            let range = at..at + value.shape.len();
            at = range.end;
            if value.site == "ffn.down.weight" {
                weights[range].fill(0.0);
            }
        }
        outcome_at(program, &weights).map(|(loss, mut gradient)| {
            gradient.retain(|name, _| !name.contains("ffn.") && !name.contains("norm2."));
            (loss, gradient)
        })
    };
    assert_eq!(silent("parallel"), silent("pre_ln"));
    let (config, parallel) = wired("parallel", &[]);
    assert_ne!(outcome(&config, parallel)[0].0, outcome(&config, wired("pre_ln", &[]).1)[0].0);
}

#[test]
fn skip_init_from_0_is_rezero() {
    assert_same(wired("skip_init(gain=0)", &[]), "rezero");
}

#[test]
fn value_residual_with_share_0_is_pre_ln_and_the_first_block_is_its_own() {
    let (config, mixed) = wired("value_residual(share=0)", &[]);
    assert_eq!(outcome(&config, mixed), outcome(&config, wired("pre_ln", &[]).1));
    let depth = 5;
    let (_, mixed) = wired("value_residual", &[("depth", "5")]);
    let mixes = mixed.steps().iter().filter(|s| mixed.get(s.outs[0]).site == "attn.v.mixed");
    assert_eq!(mixes.count(), depth - 1);
    let shallow = wired("value_residual", &[("depth", "1")]);
    assert_eq!(shallow.1.to_string(), wired("pre_ln", &[("depth", "1")]).1.to_string());
}

#[test]
fn branch_norm_after_its_steps_is_post_ln() {
    let (config, whole) = wired("branch_norm(steps=8)", &[]);
    // The clock of these programs stands at the eighth step.
    let post = outcome(&config, wired("post_ln", &[]).1);
    assert_eq!(outcome(&config, whole), post);
    let (config, half) = wired("branch_norm(steps=16)", &[]);
    let halved = refactored(&wired("post_ln", &[]).1, |_| true, Residual { alpha: 1.0, beta: 0.5 });
    let half = outcome(&config, half);
    assert_ne!(half[0].0, post[0].0);
    assert_eq!(half, outcome(&config, halved));
}

#[test]
fn admin_with_factors_of_1_is_post_ln() {
    let (config, admin) = wired("admin", &[]);
    let (ours, theirs) = (at_start(&config, admin), at_start(&config, wired("post_ln", &[]).1));
    for ((loss, mut gradient), (post_loss, post_gradient)) in ours.into_iter().zip(theirs) {
        assert_eq!(loss, post_loss);
        gradient.retain(|name, _| !name.contains("scale"));
        assert_eq!(gradient, post_gradient);
    }
}

#[test]
fn admin_with_factors_of_0_forgets_the_stream() {
    let (config, admin) = wired("admin", &[]);
    let mut weights = config.init.weights(&admin, config.depth, None, config.seed);
    let mut at = 0;
    for (_, value) in admin.weights() {
        let range = at..at + value.shape.len();
        at = range.end;
        if value.site.starts_with("scale") {
            weights[range].fill(0.0);
        }
    }
    let (post_config, post) = wired("post_ln", &[]);
    let branches = refactored(&post, |_| true, Residual { alpha: 0.0, beta: 1.0 });
    let drawn = post_config.init.weights(&branches, config.depth, None, config.seed);
    assert_eq!(outcome_at(admin, &weights)[0].0, outcome_at(branches, &drawn)[0].0);
}

#[test]
fn what_is_added_is_added_whole() {
    for wiring in ["b2t", "parallel", "siamese_norm", "out_norm", "hybrid_norm", "sub_ln"] {
        let (_, program) = wired(wiring, &[]);
        for residual in program.steps().iter().filter_map(operator::<Residual>) {
            assert_eq!((residual.alpha, residual.beta), (1.0, 1.0), "{wiring}");
        }
    }
}

#[test]
fn one_hyper_connected_stream_is_pre_ln_at_its_start() {
    for constants in ["streams=1", "streams=1,doubly_stochastic=true"] {
        let (config, hyper) = wired(&format!("hyper_connections({constants})"), &[]);
        let (ours, theirs) = (at_start(&config, hyper), at_start(&config, wired("pre_ln", &[]).1));
        for ((loss, gradient), (pre_loss, pre_gradient)) in ours.into_iter().zip(theirs) {
            assert_eq!(loss, pre_loss, "{constants}");
            for (name, values) in pre_gradient {
                assert_eq!(gradient[&name], values, "{constants}: {name}");
            }
        }
    }
}

/// All streams are alike at the start, so that their sum is n streams of pre_ln, which the last norm
/// makes one again: off by the eps of that norm and by roundings.
#[test]
fn hyper_connected_streams_start_alike() {
    let more = [("norm", "layer_norm(eps=0)")];
    let pre = at_start(&config(&more), wired("pre_ln", &more).1)[0].0;
    for constants in ["streams=4", "streams=3,doubly_stochastic=true"] {
        let (config, hyper) = wired(&format!("hyper_connections({constants})"), &more);
        let loss = at_start(&config, hyper)[0].0;
        // Some hundred roundings of 10⁻¹⁶ lie between, none of which the stack makes larger by much.
        assert!((loss - pre).abs() < 1e-12, "{constants}: {loss} against {pre}");
    }
}

/// A step of nothing from the stream is the stream, normed again.
#[test]
fn ngpt_stays_where_it_is_for_an_alpha_of_zero() {
    let more = [("norm", "bare_rms_norm(eps=0)")];
    let streams = |wiring: &str| {
        let (config, program) = wired(wiring, &more);
        let weights = weights(&config, &program);
        let mut runner = Runner::inference(Host::<f64>::new(), Arc::new(program));
        feed(&mut runner);
        let mut seen = Streams::default();
        runner.forward(&numbers(&weights), &Buffer::default(), &mut seen);
        seen.0
    };
    let still = streams("ngpt(alpha=0)");
    for stream in &still[1..] {
        for (a, b) in stream.iter().zip(&still[0]) {
            assert!((a - b).abs() < 1e-14 * (1.0 + b.abs()), "{a} is not {b}");
        }
    }
    let moved = streams("ngpt");
    for (stream, before) in moved[1..].iter().zip(&moved) {
        let square = |x: &[f64]| x.iter().map(|x| x * x).sum::<f64>();
        let apart: Vec<f64> = stream.iter().zip(before).map(|(a, b)| a - b).collect();
        // Two steps of 0.05 on a sphere, to branches that may stand opposite.
        let relative = (square(&apart) / square(before)).sqrt();
        assert!(relative > 0.0 && relative < 0.25, "{relative}");
    }
}

/// Keeps the first stream behind every block.
#[derive(Default)]
struct Streams(Vec<Vec<f64>>);

impl Observer<Host<f64>> for Streams {
    fn computed(&mut self, seen: &Seen<Host<f64>>) {
        if seen.program().get(seen.step().outs[0]).site == "stream" {
            self.0.push(seen.out(0).into_owned());
        }
    }
}

#[test]
fn hyper_connected_streams_are_mixed_by_the_rows_of_the_matrix() {
    let (config, program) = wired("hyper_connections(streams=2)", &[("depth", "1")]);
    let mut weights = weights(&config, &program);
    let mut at = 0;
    for (_, value) in program.weights() {
        let range = at..at + value.shape.len();
        at = range.end;
        match &*value.site {
            "mix1.weight" | "mix2.weight" => weights[range].copy_from_slice(&[1.0, 2.0, 0.0, 1.0]),
            // The branches are silent.
            site if site.starts_with("sum") => weights[range].fill(0.0),
            _ => {}
        }
    }
    let mut runner = Runner::inference(Host::<f64>::new(), Arc::new(program));
    feed(&mut runner);
    let mut streams = Streams::default();
    runner.forward(&numbers(&weights), &Buffer::default(), &mut streams);
    // (x, x) → (x + 2x, x) → (3x + 2x, x).
    let [embedded, last] = &streams.0[..] else { panic!("{} streams", streams.0.len()) };
    assert!(last.iter().zip(embedded).all(|(last, x)| *last == 3.0 * x + 2.0 * x));
}

#[test]
fn as_many_streams_are_read_as_a_sum_has_terms() {
    for text in ["0", "8", "2.5", "many"] {
        let error = Wiring::read(&format!("hyper_connections(streams={text})")).unwrap_err();
        assert_eq!(error, "streams a whole number from 1 to 7", "{text}");
    }
    let most = "hyper_connections(streams=7,doubly_stochastic=true)";
    assert_eq!(Wiring::read(most).unwrap().show(), most);
}
