//! Verification of the initial weights: every law, on every named weight of real stacks.

use plummet::config::{RunConfig, Setting};
use plummet::op::activation::{Activation, Function};
use plummet::op::{Arg, Initial, Reference, Shape, View};
use plummet::program::{Program, Role, Source, Start, Value};
use plummet::rng::Rng;
use plummet::stack::{self, Draw, Ends, Init, init};
use serde_json::Value as Json;
use std::collections::BTreeMap;

const VOCABULARY: usize = 50;

/// A stack with every kind of weight; the feed-forward, the heads and the table are not square.
fn stack(init: &str, more: &[(&str, &str)]) -> (RunConfig, Program) {
    let base = [
        ("init", init),
        ("width", "48"),
        ("depth", "3"),
        ("heads", "4"),
        ("kv-heads", "2"),
        ("seq", "40"),
        ("batch", "2"),
        ("ffn", "gated"),
        ("ffn-ratio", "2.5"),
        ("bias", "true"),
        ("positions", "learned"),
        ("wiring", "sandwich_ln"),
    ];
    // What is given goes over the base.
    let base = base.into_iter().filter(|(name, _)| more.iter().all(|(other, _)| other != name));
    let config = RunConfig::from_settings(base.chain(more.iter().copied()).collect::<Vec<_>>());
    let config = config.unwrap();
    let program =
        stack::build(&config.architecture(), &Ends::tokens(VOCABULARY), config.samples(), true);
    (config, program)
}

fn drawn(config: &RunConfig, program: &Program) -> BTreeMap<String, (Value, Vec<f64>)> {
    let weights = config.init.weights(program, config.depth, config.embed_std(), config.seed);
    let mut weights = weights.into_iter();
    let named = program.weights().map(|(_, value)| {
        let part = weights.by_ref().take(value.shape.len()).collect();
        (value.name.clone(), (value.clone(), part))
    });
    named.collect()
}

/// What a weight's name says it is, written anew from the list of names of a stack.
fn role(name: &str) -> Option<&'static str> {
    const ENDS: [(&str, &str); 10] = [
        ("attn.q.weight", "q"),
        ("attn.k.weight", "k"),
        ("attn.v.weight", "v"),
        ("attn.out.weight", "out"),
        ("ffn.up.weight", "up"),
        ("ffn.gate.weight", "gate"),
        ("ffn.down.weight", "down"),
        ("embed.weight", "embed"),
        ("positions.weight", "embed"),
        ("head.weight", "head"),
    ];
    ENDS.iter().find(|(end, _)| name.ends_with(end)).map(|(_, role)| *role)
}

/// The standard deviation that the contract gives a weight `[out, in]` of block `layer`, and whether
/// it is uniform.
fn law(init: &str, role: &str, shape: &[usize], layer: Option<usize>, depth: usize) -> (f64, bool) {
    let (fan_out, fan_in) = (shape[0] as f64, shape[1] as f64);
    if role == "embed" {
        let std = match init {
            "gpt2" | "normal_02" => 0.02,
            "mitchell" => 48f64.powf(-0.5),
            "t_fixup" => 48f64.powf(-0.5) * (9.0 * depth as f64).powf(-0.25),
            _ => 1.0,
        };
        return (std, false);
    }
    let xavier = (2.0 / (fan_in + fan_out)).sqrt();
    let ends_branch = ["out", "down"].contains(&role);
    // The head is in no block.
    let block = layer.map(|layer| layer as f64);
    match init {
        "small_init" => ((2.0 / (5.0 * 48.0f64)).sqrt(), false),
        "ds_init" => (xavier * block.map_or(1.0, |l| l.powf(-0.5)), true),
        "fixup" => {
            let branches = 2.0 * depth as f64;
            let scale = match role {
                "q" | "k" | "v" => branches.powf(-1.0 / 6.0),
                "up" | "gate" => branches.powf(-0.5),
                _ => 0.0,
            };
            (xavier * scale, false)
        }
        "t_fixup" => {
            let narrowed = ["v", "out", "up", "gate", "down"].contains(&role);
            (xavier * if narrowed { 0.67 * (depth as f64).powf(-0.25) } else { 1.0 }, false)
        }
        "mitchell" => {
            // Within ±c deviations there is 1 − 2c·φ(c)/(2Φ(c) − 1) of the variance; c = 3.
            let kept = 1.0 - 6.0 * 0.004_431_848_411_938_01 / 0.997_300_203_936_740;
            let variance = kept / fan_in / if ends_branch { 2.0 * block.unwrap() } else { 1.0 };
            (variance.sqrt(), false)
        }
        "residual_zero" => (if ends_branch { 0.0 } else { xavier }, false),
        "looks_linear" => ((if role == "down" { 2.0 } else { 1.0 } / fan_in).sqrt(), false),
        "torch_default" => ((1.0 / (3.0 * fan_in)).sqrt(), true),
        "mup" => ((1.0 / if role == "head" { 64.0 } else { fan_in }).sqrt(), false),
        "xavier_uniform" => (xavier, true),
        "xavier_normal" => (xavier, false),
        "kaiming_uniform" => ((2.0 / fan_in).sqrt(), true),
        "kaiming_normal" => ((2.0 / fan_in).sqrt(), false),
        "lecun_normal" => ((1.0 / fan_in).sqrt(), false),
        "orthogonal" => (1.0 / fan_in.max(fan_out).sqrt(), false),
        "normal_02" => (0.02, false),
        "gpt2" => (if ends_branch { 0.02 / (2.0 * depth as f64).sqrt() } else { 0.02 }, false),
        "sub_ln" => {
            let wide = ["v", "out", "up", "gate", "down"].contains(&role);
            (xavier * if wide { (2.0 * depth as f64).ln().sqrt() } else { 1.0 }, false)
        }
        _ => {
            let small = ["v", "out", "up", "gate", "down"].contains(&role);
            (xavier * if small { (8.0 * depth as f64).powf(-0.25) } else { 1.0 }, false)
        }
    }
}

#[test]
fn every_weight_of_a_stack_follows_its_law() {
    for init in init::ALL.iter().map(|entry| entry.id) {
        let (config, program) = stack(init, &[]);
        let weights = drawn(&config, &program);
        assert!(weights.len() > 50, "{} weights", weights.len());
        for (name, (value, w)) in &weights {
            let n = w.len() as f64;
            let mean = w.iter().sum::<f64>() / n;
            let Some(role) = role(name) else {
                let gain = name.ends_with("weight");
                assert!(w.iter().all(|&w| w == if gain { 1.0 } else { 0.0 }), "{name}");
                continue;
            };
            let sizes = value.shape.sizes();
            let (std, uniform) = law(init, role, sizes, value.layer, config.depth);
            let square = w.iter().map(|w| w * w).sum::<f64>() / n;
            if init == "orthogonal" && role != "embed" {
                // Orthonormal rows or columns leave the root mean square no freedom at all.
                assert!((square.sqrt() / std - 1.0).abs() < 1e-12, "{name}");
                continue;
            }
            // Five standard errors: of a mean std/√n; of a mean square std²·√((kurtosis − 1)/n),
            // the kurtosis being 3 of a normal law, less of what is cut off, and 9/5 of a uniform one.
            let kurtosis: f64 = if uniform { 1.8 } else { 3.0 };
            // Half of a mirrored matrix is the other half.
            let mirrored = init == "looks_linear" && ["up", "down"].contains(&role);
            let n = if mirrored { n / 2.0 } else { n };
            assert!(mean.abs() <= 5.0 * std / n.sqrt(), "{init} {name}: mean {mean}");
            let error = 5.0 * std * std * ((kurtosis - 1.0) / n).sqrt();
            assert!((square - std * std).abs() <= error, "{init} {name}: {square} against {std}²");
            if uniform {
                let bound = 3f64.sqrt() * std;
                let most = w.iter().fold(0.0f64, |most, w| most.max(w.abs()));
                // Nearly reached: all n lie below bound·(1 − 20/n) with a chance of e⁻²⁰.
                assert!(most <= bound && most > bound * (1.0 - 20.0 / n), "{init} {name}: {most}");
            }
        }
    }
}

#[test]
fn uniform_and_normal_laws_have_their_shapes() {
    let mut rows = Vec::new();
    for init in ["xavier_uniform", "xavier_normal"] {
        let shape = Shape::new(&[300, 200]);
        let mut w = vec![0.0; shape.len()];
        Init::usual(init).draw(Role::Up, shape, (1, 4), None).fill(shape, Rng::new(2), &mut w);
        let n = w.len() as f64;
        let second = w.iter().map(|w| w.powi(2)).sum::<f64>() / n;
        rows.push(w.iter().map(|w| w.powi(4)).sum::<f64>() / n / second.powi(2));
    }
    // The kurtosis of 60000 numbers is good to about √(24/n) = 0.02.
    assert!((rows[0] - 1.8).abs() < 0.05 && (rows[1] - 3.0).abs() < 0.1, "{rows:?}");
}

#[test]
fn orthogonal_weights_are_orthonormal_whatever_their_shape() {
    let (config, program) = stack("orthogonal", &[]);
    for (name, (value, w)) in drawn(&config, &program) {
        if role(&name).is_none_or(|role| role == "embed") {
            continue;
        }
        let (rows, cols) = (value.shape.rows(), value.shape.cols());
        let at = |i: usize, k: usize| if rows <= cols { w[i * cols + k] } else { w[k * cols + i] };
        for i in 0..rows.min(cols) {
            for j in 0..=i {
                let dot: f64 = (0..rows.max(cols)).map(|k| at(i, k) * at(j, k)).sum();
                // Householder reflections keep lengths to some 10⁻¹⁶ per column.
                let want = f64::from(u8::from(i == j));
                assert!((dot - want).abs() < 1e-13, "{name}: ({i}, {j}) {dot}");
            }
        }
    }
}

#[test]
fn depth_narrows_what_it_should_and_nothing_else() {
    let std = |init: &str, role: Role, depth: usize| match Init::usual(init).draw(
        role,
        Shape::new(&[32, 48]),
        (2, depth),
        None,
    ) {
        Draw::Normal { std } => std,
        other => panic!("{other:?}"),
    };
    use Role::*;
    for role in [Query, Key, Value, Out, Up, Gate, Down, Head, Embed, Positions] {
        let gpt2 = if matches!(role, Out | Down) { 0.5 } else { 1.0 };
        assert_eq!(std("gpt2", role, 64) / std("gpt2", role, 16), gpt2, "{role:?}");
        let narrowed = matches!(role, Value | Out | Up | Gate | Down);
        let ratio = std("deepnorm", role, 64) / std("deepnorm", role, 4);
        assert!((ratio - if narrowed { 0.5 } else { 1.0 }).abs() < 1e-15, "{role:?}: {ratio}");
        let ratio = std("sub_ln", role, 64) / std("sub_ln", role, 4);
        // √(ln 128/ln 8), seven doublings over three.
        let widened = if narrowed { (7.0f64 / 3.0).sqrt() } else { 1.0 };
        assert!((ratio - widened).abs() < 1e-15, "{role:?}: {ratio}");
        for init in ["xavier_normal", "kaiming_normal", "lecun_normal", "normal_02"] {
            assert_eq!(std(init, role, 64), std(init, role, 4), "{role:?}");
        }
    }
}

/// The factor of the standard deviation of a role in block `layer` of `depth` over Xavier's.
fn over_xavier(init: &str, role: Role, layer: usize, depth: usize) -> f64 {
    let xavier = (2.0 / (32.0 + 48.0f64)).sqrt();
    match Init::usual(init).draw(role, Shape::new(&[32, 48]), (layer, depth), None) {
        Draw::Normal { std } => std / xavier,
        Draw::Uniform { bound } => bound / 3f64.sqrt() / xavier,
        other => panic!("{other:?}"),
    }
}

/// Constants that published code has otherwise than the paper that it is of.
#[test]
fn known_errors_of_other_implementations_are_told_apart() {
    let near = |got: f64, right: f64, wrong: f64| {
        assert!((got / right - 1.0).abs() < 1e-14, "{got}, not {right}");
        assert!((got / wrong - 1.0).abs() > 0.1, "{got} is {wrong} as well");
    };
    // Mix-LN's and LNS's arm of DeepNorm has the exponent with its sign turned: 9.8 times at 12 blocks.
    let (right, wrong) = (96f64.powf(-0.25), 96f64.powf(0.25));
    near(over_xavier("deepnorm", Role::Down, 1, 12), right, wrong);
    assert!((wrong / right - 9.8).abs() < 0.01);
    // Torchscale scales what torch.nn.Linear starts at, since nothing calls its reset to Xavier: of a
    // square matrix 0.58 times as wide.
    let default =
        |role| match Init::usual("torch_default").draw(role, Shape::new(&[64; 2]), (1, 1), None) {
            Draw::Uniform { bound } => bound / 3f64.sqrt(),
            other => panic!("{other:?}"),
        };
    assert!((default(Role::Out) * 8.0 - 0.577).abs() < 1e-3, "over Xavier's 1/8");
    // PyTorch's default is no Kaiming for ReLU, whatever its function is called.
    near(default(Role::Up), (1.0 / 192f64).sqrt(), (2.0 / 64f64).sqrt());
    // The code of DS-Init scales the variance by what the paper scales the bound by.
    near(over_xavier("ds_init", Role::Query, 9, 12), 1.0 / 3.0, 9f64.powf(-0.25));
    // T-Fixup's code undoes a gain of 1/√2 on value that plain Xavier does not have.
    let right = 0.67 * 16f64.powf(-0.25);
    near(over_xavier("t_fixup", Role::Value, 1, 16), right, right * 2f64.sqrt());
    // Of a decoder with attention to an encoder it has (9·depth)^(−1/4) instead.
    near(over_xavier("t_fixup", Role::Down, 1, 16), right, 144f64.powf(-0.25));
}

#[test]
fn what_is_scaled_by_its_block_is_scaled_by_its_own() {
    for layer in 1..=9 {
        let ratio = over_xavier("ds_init", Role::Up, layer, 9) * (layer as f64).sqrt();
        assert!((ratio - 1.0).abs() < 1e-15, "{layer}: {ratio}");
        let mitchell = |role| match Init::usual("mitchell").draw(
            role,
            Shape::new(&[32, 48]),
            (layer, 9),
            None,
        ) {
            Draw::Truncated { std, at: 3.0 } => std,
            other => panic!("{other:?}"),
        };
        let ratio = mitchell(Role::Query) / mitchell(Role::Down);
        assert!((ratio - (2.0 * layer as f64).sqrt()).abs() < 1e-14, "{layer}: {ratio}");
    }
    assert_eq!(over_xavier("ds_init", Role::Head, 0, 9), 1.0, "the head is in no block");
}

#[test]
fn what_is_cut_off_is_nowhere_and_what_is_zero_is_zero() {
    let mut w = vec![0.0; 100_000];
    Draw::Truncated { std: 0.5, at: 3.0 }.fill(Shape::new(&[100, 1000]), Rng::new(4), &mut w);
    let most = w.iter().fold(0.0f64, |most, w| most.max(w.abs()));
    // A normal number is beyond three deviations once in 370 times; some fill the rest up to them.
    assert!(most <= 1.5 && most > 1.45, "{most}");
    for (init, zeros) in [("residual_zero", 6), ("fixup", 7)] {
        let (config, program) = stack(init, &[]);
        let all = drawn(&config, &program);
        let zero =
            all.iter().filter(|(name, (_, w))| role(name).is_some() && w.iter().all(|&w| w == 0.0));
        assert_eq!(zero.count(), zeros, "{init}");
    }
}

#[test]
fn a_looks_linear_feed_forward_is_a_linear_map_at_first() {
    // An odd number of hidden features leaves one in the middle, which is 0.
    for (hidden, function) in
        [(8, Function::Relu), (9, Function::Gelu), (8, Function::GeluTanh), (9, Function::Silu)]
    {
        let draw = |role, sizes: [usize; 2]| {
            let shape = Shape::new(&sizes);
            let mut w = vec![0.0; shape.len()];
            let draw = Init::usual("looks_linear").draw(role, shape, (1, 1), None);
            draw.fill(shape, Rng::new(3).at(role as u64), &mut w);
            w
        };
        let (up, down) = (draw(Role::Up, [hidden, 6]), draw(Role::Down, [6, hidden]));
        let product = |w: &[f64], x: &[f64]| -> Vec<f64> {
            w.chunks(x.len()).map(|row| row.iter().zip(x).map(|(w, x)| w * x).sum()).collect()
        };
        let forward = |x: &[f64]| {
            let (before, mut after) = (product(&up, x), vec![0.0; hidden]);
            let view = View::new(Shape::new(&[hidden]), &before);
            Reference::forward(&Activation { function }, &[view], &mut [&mut after[..]]);
            product(&down, &after)
        };
        let mut rng = Rng::new(5);
        let x: Vec<f64> = (0..6).map(|_| rng.normal()).collect();
        let y: Vec<f64> = (0..6).map(|_| rng.normal()).collect();
        let sum: Vec<f64> = x.iter().zip(&y).map(|(x, y)| 3.0 * x - y).collect();
        let apart = forward(&x).into_iter().zip(forward(&y)).map(|(x, y)| 3.0 * x - y);
        for (together, apart) in forward(&sum).into_iter().zip(apart) {
            // Some ten products of numbers about 1; erf and tanh carry a few roundings each.
            assert!((together - apart).abs() < 1e-13, "{function:?}: {together} against {apart}");
        }
        assert!(forward(&x).iter().any(|y| y.abs() > 0.1), "not the map to 0");
        let bent: f64 = product(&down, &product(&up, &x)).iter().map(|y| y.abs()).sum();
        assert!(bent > 0.1, "down·up does not cancel");
    }
}

#[test]
fn norms_gains_and_statistics_start_where_they_do_nothing() {
    for norm in plummet::op::norm::ALL {
        for wiring in ["peri_ln", "rezero", "layer_scale"] {
            let (config, program) =
                stack("xavier_normal", &[("norm", norm.id), ("wiring", wiring)]);
            for (name, (value, w)) in drawn(&config, &program) {
                let Source::Weight(Start::Value(constant)) = value.source else { continue };
                assert!(w.iter().all(|&w| w == constant), "{name}");
                let site = value.site.rsplit('.').next().unwrap();
                let want = match (site, norm.id) {
                    ("bias", _) => 0.0,
                    ("scale1" | "scale2", _) if wiring == "rezero" => 0.0,
                    ("scale1" | "scale2", _) => 1e-4,
                    // g·x/‖x‖ keeps a stream of unit variance only with g = √width.
                    ("weight", "scale_norm") => 48f64.sqrt(),
                    ("weight", _) => 1.0,
                    // What no other norm has starts at what its norm says, a constant.
                    (own, _) => match (norm.make)().args().iter().find(|arg| arg.name == own) {
                        Some(&Arg { initial: Initial::Value(start), .. }) => start,
                        _ => panic!("{name} of {} is not in the contract", norm.id),
                    },
                };
                assert_eq!(constant, want, "{name} of {}", norm.id);
            }
            for (_, value) in program.states() {
                let mean = value.site.ends_with("running_mean");
                let want = if mean { 0.0 } else { 1.0 };
                assert_eq!(value.source, Source::State(Start::Value(want)), "{}", value.name);
            }
        }
    }
}

#[test]
fn hyper_connections_start_from_one_stream_after_another() {
    let wiring = ("wiring", "hyper_connections(streams=3)");
    let (config, program) = stack("xavier_normal", &[wiring, ("depth", "2")]);
    let weights = drawn(&config, &program);
    let at = |name: &str| weights[name].1.clone();
    assert_eq!(at("blocks.0.read1.weight"), [1.0, 0.0, 0.0]);
    assert_eq!(at("blocks.0.read2.weight"), [0.0, 1.0, 0.0]);
    assert_eq!(at("blocks.1.read1.weight"), [0.0, 0.0, 1.0]);
    assert_eq!(at("blocks.1.read2.weight"), [1.0, 0.0, 0.0]);
    assert_eq!(at("blocks.1.mix2.weight"), [1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0]);
    assert_eq!(at("blocks.1.sum1.2.weight"), [1.0]);
}

#[test]
fn a_weight_depends_on_its_seed_and_its_name_only() {
    let (config, program) = stack("xavier_normal", &[]);
    let weights = drawn(&config, &program);
    // More blocks, other wirings, no biases: what has the same name and shape has the same numbers.
    for more in [
        &[("depth", "5")][..],
        &[("wiring", "no_norm"), ("bias", "false")],
        &[("ffn", "plain"), ("positions", "none"), ("batch", "1")],
    ] {
        let (config, program) = stack("xavier_normal", more);
        let mut shared = 0;
        for (name, (value, w)) in drawn(&config, &program) {
            if let Some((other, same)) = weights.get(&name)
                && other.shape == value.shape
            {
                assert_eq!(w, *same, "{name} under {more:?}");
                shared += 1;
            }
        }
        assert!(shared > 15, "{shared} weights in common with {more:?}");
    }
    // Another seed, or another name, is another weight.
    let (other, program) = stack("xavier_normal", &[("seed", "2")]);
    let others = drawn(&other, &program);
    let matrices: Vec<_> = weights.iter().filter(|(name, _)| role(name).is_some()).collect();
    for (i, (name, (_, w))) in matrices.iter().enumerate() {
        assert_ne!(*w, others[*name].1, "{name} does not depend on the seed");
        for (other, (_, v)) in &matrices[..i] {
            assert_ne!(w[..8], v[..8], "{name} and {other} begin with the same numbers");
        }
    }
    assert_eq!(drawn(&config, &stack("xavier_normal", &[]).1).len(), weights.len());
}

#[test]
fn embed_std_overrides_the_table_and_the_positions() {
    let (config, program) = stack("deepnorm", &[("embed-std", "0.25")]);
    for (name, (_, w)) in drawn(&config, &program) {
        if role(&name) == Some("embed") {
            let n = w.len() as f64;
            let square = w.iter().map(|w| w * w).sum::<f64>() / n;
            // Five standard errors of the mean square of a normal law.
            assert!((square - 0.0625).abs() < 5.0 * 0.0625 * (2.0 / n).sqrt(), "{name}: {square}");
        }
    }
}

#[test]
fn a_tied_embedding_is_narrow_and_an_untied_one_is_not() {
    let table = |fields: &[(&str, &str)]| {
        let (config, program) = stack("xavier_normal", fields);
        let drawn = drawn(&config, &program);
        let square = |name: &str| {
            let w = &drawn[name].1;
            (w.iter().map(|w| w * w).sum::<f64>() / w.len() as f64).sqrt()
        };
        (square("embed.weight"), square("positions.weight"))
    };
    let near = |(table, places): (f64, f64), wanted: f64| {
        assert!((table / wanted - 1.0).abs() < 0.1, "{table}, wanted {wanted}");
        assert!((places / wanted - 1.0).abs() < 0.1, "{places}, wanted {wanted}");
    };
    near(table(&[]), 1.0);
    near(table(&[("tied-head", "true")]), 3.0 / 48.0);
    near(table(&[("tied-head", "true"), ("wiring", "rezero")]), 1.0 / 48f64.sqrt());
    near(table(&[("tied-head", "true"), ("init", "gpt2")]), 0.02);
    near(table(&[("tied-head", "true"), ("embed-std", "0.5")]), 0.5);
}

#[test]
fn golden_deviations_are_those_of_the_draws() {
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/verify/golden/init.json");
    let golden: Json = serde_json::from_str(&std::fs::read_to_string(file).unwrap()).unwrap();
    let mut compared = 0;
    for case in golden["cases"].as_array().unwrap() {
        let scheme = case["scheme"].as_str().unwrap();
        // A run has no gain, and lecun_uniform is no initialisation of a run.
        let Ok(init) = Init::read(scheme) else {
            assert_eq!(scheme, "lecun_uniform");
            continue;
        };
        if case["gain"] != 1.0 {
            continue;
        }
        let sizes: Vec<usize> = serde_json::from_value(case["shape"].clone()).unwrap();
        let want = case["std"].as_f64().unwrap();
        let shape = Shape::new(&sizes);
        let near = |got: f64, want: f64| {
            // Both are some roundings of one closed form.
            assert!((got / want - 1.0).abs() < 1e-14, "{case}: {got}");
        };
        match init.draw(Role::Query, shape, (1, 1), None) {
            Draw::Normal { std } => near(std, want),
            Draw::Uniform { bound } => {
                near(bound, case["bound"].as_f64().unwrap());
                near(bound / 3f64.sqrt(), want);
            }
            Draw::Orthogonal => {
                let mut w = vec![0.0; shape.len()];
                Draw::Orthogonal.fill(shape, Rng::new(8), &mut w);
                let square = w.iter().map(|w| w * w).sum::<f64>() / w.len() as f64;
                assert!((square.sqrt() / want - 1.0).abs() < 1e-12, "{case}: {square}");
            }
            other => panic!("{case} is drawn as {other:?}"),
        }
        compared += 1;
    }
    assert_eq!(compared, 24, "cases with gain 1 of the schemes that a run can have");
}
