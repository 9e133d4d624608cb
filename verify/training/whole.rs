//! Whole stacks and blocks, as a run builds them, against the golden values of another
//! implementation. The cases of `residual` in block.json are no stack that a run can build: their
//! branch is one matrix, and their norms share one affine.

use super::golden::{Case, assert_near, cases};
use super::rewrite::{Change, operator, rewrite, same};
use plummet::backend::{Buffer, Element, Host, Observer, Runner, Seen, Unobserved};
use plummet::config::RunConfig;
use plummet::num::{Dual, Num, Stochastic};
use plummet::op::attention::Attention;
use plummet::op::loss::CrossEntropy;
use plummet::op::norm::{LayerNorm, RmsNorm};
use plummet::op::residual::Residual;
use plummet::op::{Arg, Fast, Grad, Kind, Op, Reference, Shape, View};
use plummet::program::{Program, Step};
use plummet::stack::{self, CLOCK, Ends, TARGETS, TOKENS};
use std::collections::BTreeMap;
use std::sync::Arc;

/// The loss of a block: Σ y ⊙ dy, whose gradient is dy.
#[derive(Debug)]
struct Against(Vec<f64>);

impl Op for Against {
    fn id(&self) -> &'static str {
        "against"
    }
    fn args(&self) -> &'static [Arg] {
        const ARGS: &[Arg] = &[Arg::real("y"), Arg::new("targets", Kind::Index)];
        ARGS
    }
    fn outputs(&self, args: &[Shape]) -> Vec<Shape> {
        assert_eq!(args[0].len(), self.0.len());
        vec![Shape::new(&[])]
    }
    fn example(&self, rows: usize, cols: usize) -> Vec<Shape> {
        vec![Shape::new(&[rows, cols]), Shape::new(&[rows])]
    }
}

impl<T: Num> Reference<T> for Against {
    fn forward(&self, args: &[View<T>], outs: &mut [&mut [T]]) {
        outs[0][0] = T::zero();
        for (&y, &dy) in args[0].data.iter().zip(&self.0) {
            outs[0][0] += y * T::num(dy);
        }
    }
    fn vjp(&self, _args: &[View<T>], dloss: &[T], dargs: &mut [&mut [T]]) {
        for (d, &dy) in dargs[0].iter_mut().zip(&self.0) {
            *d += dloss[0] * T::num(dy);
        }
    }
}

impl Fast for Against {
    fn forward(
        &self,
        args: &[View<f32>],
        outs: &mut [&mut [f32]],
        _saved: &mut [f32],
        _scratch: &mut [f32],
    ) {
        outs[0][0] = args[0].data.iter().zip(&self.0).map(|(y, &dy)| y * dy as f32).sum();
    }
    fn vjp(
        &self,
        _args: &[View<f32>],
        dloss: &[f32],
        _saved: &[f32],
        dargs: &mut [Grad],
        _scratch: &mut [f32],
    ) {
        for (d, &dy) in dargs[0].to_add().iter_mut().zip(&self.0) {
            *d += dloss[0] * dy as f32;
        }
    }
}

/// The configuration of a case, as near as its fields come.
fn config(case: &Case, samples: usize, seq: usize, width: usize, depth: usize) -> RunConfig {
    let prefix = if case.op == "transformer_stack" { "blocks.0." } else { "" };
    let has = |name: &str| case.args.contains_key(&format!("{prefix}{name}"));
    let hidden = case.args[&format!("{prefix}ffn.up.weight")].0[0];
    let biased = case
        .args
        .keys()
        .any(|name| name.ends_with("bias") && (name.contains("attn.") || name.contains("ffn.")));
    let number = |n: usize| n.to_string();
    let fields = [
        ("width", number(width)),
        ("depth", number(depth)),
        ("heads", case.attrs["heads"].to_string()),
        ("kv-heads", case.attrs["kv_heads"].to_string()),
        ("seq", number(seq)),
        ("batch", number(samples)),
        ("shards", "1".to_string()),
        ("norm", case.word("norm").to_string()),
        ("wiring", case.word("wiring").to_string()),
        ("activation", case.word("fn").to_string()),
        ("ffn", if has("ffn.gate.weight") { "gated" } else { "plain" }.to_string()),
        ("ffn-ratio", (hidden as f64 / width as f64).to_string()),
        ("bias", biased.to_string()),
        (
            "positions",
            if has("positions.weight") || case.args.contains_key("positions.weight") {
                "learned"
            } else {
                "none"
            }
            .to_string(),
        ),
        ("tied-head", (!case.args.contains_key("head.weight")).to_string()),
    ];
    RunConfig::from_settings(fields.iter().map(|(name, text)| (*name, text.as_str()))).unwrap()
}

/// The operator of a step with the attributes of the case that no field of a run sets.
fn adjusted(case: &Case, step: &Step) -> Change {
    let eps = case.number("eps");
    let causal = case.attrs["causal"].as_bool().unwrap();
    if operator::<LayerNorm>(step).is_some() {
        return Change::Apply(Arc::new(LayerNorm { eps }));
    }
    if let Some(norm) = operator::<RmsNorm>(step) {
        return Change::Apply(Arc::new(RmsNorm { eps, ..*norm }));
    }
    if let Some(attention) = operator::<Attention>(step) {
        return Change::Apply(Arc::new(Attention { causal, ..*attention }));
    }
    if let Some(loss) = operator::<CrossEntropy>(step) {
        let ignore_index = case.attrs["ignore_index"].as_i64().unwrap();
        return Change::Apply(Arc::new(CrossEntropy { ignore_index, ..*loss }));
    }
    match operator::<Residual>(step) {
        Some(residual) if case.word("wiring") == "deepnorm" => {
            Change::Apply(Arc::new(Residual { alpha: case.number("alpha"), ..*residual }))
        }
        _ => same(step),
    }
}

/// Keeps one named output.
struct Keep<'a>(&'a str, Vec<f64>);

impl<T: Element> Observer<Host<T>> for Keep<'_> {
    fn computed(&mut self, seen: &Seen<Host<T>>) {
        if seen.program().get(seen.step().outs[0]).name == self.0 {
            self.1 = seen.out(0).iter().map(|v| v.value()).collect();
        }
    }
}

/// What a pass gives: the loss, the named output, the gradients by name.
struct Passed {
    loss: f64,
    output: Vec<f64>,
    gradients: BTreeMap<String, Vec<f64>>,
}

fn pass<T: Element>(case: &Case, program: &Arc<Program>, prefix: &str, output: &str) -> Passed {
    let mut runner = Runner::training(Host::<T>::new(), program.clone(), 0);
    for (name, arg) in [(TOKENS, "tokens"), (TARGETS, "targets"), (CLOCK, "")] {
        let slots = runner.input(program.find(name).unwrap());
        let given = case.args.get(arg).map_or(&[][..], |(_, data)| data);
        for (slot, &v) in slots.iter_mut().zip(given) {
            *slot = T::num(v);
        }
    }
    let mut weights: Vec<T> = Vec::new();
    for (_, value) in program.weights() {
        let name = value.name.strip_prefix(prefix).unwrap_or(&value.name);
        // A table of positions may be longer than the sequence.
        weights.extend(case.arg(name)[..value.shape.len()].iter().map(|&v| T::num(v)));
    }
    let mut keep = Keep(output, Vec::new());
    let (weights, states) = (Buffer::from_iter(weights), Buffer::default());
    runner.forward(&weights, &states, &mut keep);
    let loss = runner.output()[0].value();
    let dloss = if case.op == "transformer_stack" { case.dy[0] } else { 1.0 };
    let dloss = runner.output().iter().map(|_| T::num(dloss)).collect();
    let mut gradients = Buffer::zeros(weights.len());
    runner.backward(&weights, &states, &dloss, &mut gradients, &mut Unobserved);
    let mut at = 0;
    let named = program.weights().map(|(_, value)| {
        let range = at..at + value.shape.len();
        at = range.end;
        let name = value.name.strip_prefix(prefix).unwrap_or(&value.name).to_string();
        (name, gradients[range].iter().map(|g| g.value()).collect())
    });
    Passed { loss, output: keep.1, gradients: named.collect() }
}

/// Compares all three readings of a program with a case.
fn check(case: &Case, program: Program, prefix: &str, output: &str, wanted: &str) {
    let program = Arc::new(program);
    let exact = pass::<f64>(case, &program, prefix, output);
    // Both sides are f64 with some 10³ roundings on the way; what is zero in truth, as the
    // gradient of attn.k.bias, is compared absolutely.
    assert_near(&exact.output, case.output(wanted), 1e-10, 0.0, &case.name);
    if let Some((_, loss)) = case.outputs.get("loss") {
        assert_near(&[exact.loss], loss, 1e-12, 0.0, &case.name);
    }
    assert_eq!(exact.gradients.len(), case.grads.len(), "{}: every gradient", case.name);
    for (name, (_, want)) in &case.grads {
        let got = &exact.gradients[&name[1..]];
        assert_near(got, &want[..got.len()], 1e-10, 1e-13, &format!("{} {name}", case.name));
        assert!(want[got.len()..].iter().all(|&d| d == 0.0), "places that no token takes");
    }
    // In f32 all gradients together may stray eight times as far as the farthest of some readings
    // of the reference whose every result is rounded at random to the 24 bits of f32: the fast
    // path also rounds the weights, which no reading does.
    let stray = |passed: &Passed| -> f64 {
        let pairs = passed.gradients.values().flatten().zip(exact.gradients.values().flatten());
        pairs.map(|(a, b)| (a - b).powi(2)).sum::<f64>().sqrt()
    };
    let readings = (0..6).map(|seed| {
        Stochastic::seed(seed);
        stray(&pass::<Stochastic>(case, &program, prefix, output))
    });
    let farthest = readings.fold(0.0, f64::max);
    let fast = stray(&pass::<f32>(case, &program, prefix, output));
    assert!(fast <= 8.0 * farthest, "{}: {fast:e}, readings {farthest:e}", case.name);
}

#[test]
fn golden_stacks_are_the_stacks_of_a_run() {
    for case in cases("stack", "transformer_stack") {
        let [samples, seq] = case.args["tokens"].0[..] else { panic!("[batch, seq]") };
        let [vocabulary, width] = case.args["embed.weight"].0[..] else { panic!("a table") };
        let config = config(&case, samples, seq, width, case.number("depth") as usize);
        let program =
            stack::build(&config.architecture(), &Ends::tokens(vocabulary), samples, true);
        let embed_norm = case.args.contains_key("embed_norm.weight");
        let program = rewrite(
            &program,
            |name| case.args.contains_key(name),
            |name, step| {
                let normed = name == "stream" && config.wiring.norms_embedding();
                // Some cases have deepnorm without a norm on the embedding.
                if normed && !embed_norm { Change::Skip } else { adjusted(&case, step) }
            },
        );
        check(&case, program, "", stack::LOGITS, "logits");
    }
}

#[test]
fn golden_blocks_are_the_blocks_of_a_run() {
    for case in cases("block", "transformer_block") {
        let [samples, seq, width] = case.args["x"].0[..] else { panic!("[batch, seq, width]") };
        let config = config(&case, samples, seq, width, 1);
        let program = stack::build(&config.architecture(), &Ends::tokens(3), samples, true);
        let program = rewrite(
            &program,
            |name| name.strip_prefix("blocks.0.").is_some_and(|n| case.args.contains_key(n)),
            |name, step| match name {
                // What goes into the block is learned here, so that it has a gradient.
                "stream" => Change::Learn("x"),
                "loss" => Change::Apply(Arc::new(Against(case.dy.clone()))),
                _ if name.starts_with("blocks.") => adjusted(&case, step),
                _ => Change::Skip,
            },
        );
        check(&case, program, "blocks.0.", "blocks.0.stream", "y");
    }
}

/// The loss of a block is an operator like any other: its own derivative is checked, too.
#[test]
fn the_loss_of_a_block_has_the_right_gradient() {
    let op = Against(vec![2.0, -3.0]);
    let y = [Dual::new(1.0, 1.0), Dual::new(4.0, 0.5)];
    let targets = [Dual::zero()];
    let args = [View::new(Shape::new(&[1, 2]), &y[..]), View::new(Shape::new(&[1]), &targets[..])];
    let mut out = [Dual::zero()];
    Reference::<Dual>::forward(&op, &args, &mut [&mut out]);
    assert_eq!((out[0].v, out[0].d), (-10.0, 0.5));
}

/// Cases that no configuration of a run can be brought to: their branch is one matrix instead of
/// attention or a feed-forward, and their norms share one affine.
#[test]
fn golden_residuals_are_no_blocks_of_a_run() {
    let names: Vec<String> = cases("block", "residual").into_iter().map(|case| case.name).collect();
    let left_out = [
        "pre_ln",
        "post_ln",
        "deepnorm_alpha_2.2",
        "sandwich_ln",
        "pre_ln_eps_0.1_three_axes",
        "sandwich_ln_eps_0.1",
        "post_ln_alpha_ignored",
    ];
    assert_eq!(names, left_out);
}
