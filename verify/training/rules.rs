//! Optimisers, clipping and schedules against the golden values of another implementation.

use super::golden::{assert_near, cases};
use plummet::backend::{Backend, Buffer, Factors, Host, Pace, Stretch, Update, clip_factor, norm};
use plummet::config::{RunConfig, Setting};
use plummet::program::{Program, Start};
use plummet::train::{factors, learning_rate, rule};

#[test]
fn optimisers_take_the_golden_steps() {
    for (op, momentum) in [("adamw", "beta1"), ("sgd", "momentum")] {
        let mut running = None;
        let mut step = 0;
        for case in cases("optimizer", op) {
            let p = case.arg("p");
            // A case without moments is the first of its sequence.
            if case.arg("m").iter().all(|&m| m == 0.0) {
                let mut config = RunConfig::default();
                config.set("optimizer", op).unwrap();
                config.beta1 = case.number(momentum);
                config.weight_decay = case.number("weight_decay");
                if op == "adamw" {
                    config.beta2 = case.number("beta2");
                    config.adam_eps = case.number("eps");
                }
                let mut program = Program::new();
                // A matrix, for vectors do not decay.
                program.weight("w", &[p.len(), 1], Start::Value(0.0));
                let (parameters, rest) = (p.iter().copied().collect(), || Buffer::zeros(p.len()));
                let decay = config.weight_decay;
                let stretches = Stretch::of(&program, |value| Factors::usual(value, decay));
                running = Some((rule(&config), stretches, parameters, rest(), rest()));
                step = 0;
            }
            step += 1;
            let (rule, stretches, parameters, m, v): &mut (_, Vec<Stretch>, Buffer<f64>, _, _) =
                running.as_mut().unwrap();
            // A dozen roundings a step, five steps, no cancellation worth naming.
            assert_near(parameters, p, 1e-14, 0.0, &case.name);
            Host::<f64>::new().update(Update {
                rule,
                stretches,
                pace: &Pace { lr: case.number("lr"), step },
                clip: 0.0,
                norm: &Default::default(),
                parameters,
                gradient: &case.arg("g").iter().copied().collect(),
                m,
                v,
            });
            assert_near(parameters, case.output("p"), 1e-14, 0.0, &case.name);
        }
    }
}

/// One step of a matrix `[rows, cols]` in a block, from the momentum given.
#[test]
fn muon_takes_the_golden_steps() {
    for case in cases("muon", "muon") {
        let shape: Vec<usize> = case.args["p"].0.clone();
        let mut config =
            RunConfig { weight_decay: case.number("weight_decay"), ..Default::default() };
        config.set("optimizer", "muon").unwrap();
        config.muon_momentum = case.number("momentum");
        let mut program = Program::new();
        program.enter("blocks.0", Some(1));
        program.weight("w", &shape, Start::Value(0.0));
        let buffer = |name: &str| -> Buffer<f64> { case.arg(name).iter().copied().collect() };
        let (mut parameters, mut m) = (buffer("p"), buffer("m"));
        Host::<f64>::new().update(Update {
            rule: &rule(&config),
            stretches: &Stretch::of(&program, |value| factors(&config, value)),
            pace: &Pace { lr: case.number("lr"), step: 1 },
            clip: 0.0,
            norm: &Default::default(),
            parameters: &mut parameters,
            gradient: &buffer("g"),
            m: &mut m,
            v: &mut Buffer::zeros(shape.iter().product()),
        });
        // Five iterations of three products of up to 7 terms, none of which cancels to less than a
        // tenth: some hundred roundings.
        assert_near(&m, case.output("m"), 1e-14, 0.0, &case.name);
        assert_near(&parameters, case.output("p"), 1e-13, 0.0, &case.name);
    }
}

/// What is not a matrix of a block moves as under AdamW, and what is moves otherwise.
#[test]
fn muon_leaves_all_but_the_matrices_of_the_blocks_to_adamw() {
    let mut program = Program::new();
    program.enter("", Some(0));
    program.weight("embed.weight", &[5, 4], Start::Value(0.0));
    program.enter("blocks.0", Some(1));
    program.weight("attn.q.weight", &[4, 4], Start::Value(0.0));
    program.weight("attn.k.weight", &[4, 4], Start::Value(0.0));
    program.weight("norm1.weight", &[4], Start::Value(0.0));
    program.enter("", None);
    program.weight("head.weight", &[5, 4], Start::Value(0.0));
    let after = |optimizer: &str| {
        let mut config = RunConfig { weight_decay: 0.1, ..RunConfig::default() };
        config.set("optimizer", optimizer).unwrap();
        let n = program.parameters();
        let wave = |scale: f64| (0..n).map(|i| (scale * i as f64).sin()).collect::<Buffer<f64>>();
        let mut parameters = wave(0.7);
        Host::<f64>::new().update(Update {
            rule: &rule(&config),
            stretches: &Stretch::of(&program, |value| factors(&config, value)),
            pace: &Pace { lr: 0.01, step: 1 },
            clip: 0.0,
            norm: &Default::default(),
            parameters: &mut parameters,
            gradient: &wave(1.3),
            m: &mut Buffer::zeros(n),
            v: &mut Buffer::zeros(n),
        });
        parameters.to_vec()
    };
    let (adamw, muon) = (after("adamw"), after("muon"));
    let hidden = 20..52;
    for (i, (a, m)) in adamw.iter().zip(&muon).enumerate() {
        assert_eq!(a == m, !hidden.contains(&i), "{i}: {a} against {m}");
    }
}

#[test]
fn maps_of_features_decay_and_what_mixes_streams_does_not() {
    let mut program = Program::new();
    program.weight("map", &[2, 3], Start::Value(0.0));
    program.weight("bias", &[3], Start::Value(0.0));
    program.weight("mix", &[2, 2], Start::OneHot(0));
    let stretches = Stretch::of(&program, |value| Factors::usual(value, 0.1));
    let decays: Vec<_> = stretches.into_iter().map(|s| (s.range, s.factors.decay)).collect();
    assert_eq!(decays, [(0..6, 0.1), (6..13, 0.0)]);
}

#[test]
fn clipping_is_the_golden_clipping() {
    for case in cases("optimizer", "clip_grad_norm") {
        // A run has no loss scale: what it would divide by is divided out first.
        let scale = case.number("loss_scale");
        let all = |tensors: &super::golden::Tensors| -> Vec<f64> {
            let parts = tensors.iter().filter(|(name, _)| name.starts_with('g'));
            parts.flat_map(|(_, (_, data))| data.clone()).collect()
        };
        let gradient: Vec<f64> = all(&case.args).iter().map(|g| g / scale).collect();
        let length = norm(&gradient);
        assert_near(&[length], case.output("norm"), 1e-15, 0.0, &case.name);
        let factor = clip_factor(length, case.number("max_norm"));
        let clipped: Vec<f64> = gradient.iter().map(|g| g * factor).collect();
        assert_near(&clipped, &all(&case.outputs), 1e-15, 0.0, &case.name);
    }
    assert_eq!(clip_factor(1e9, 0.0), 1.0, "0 clips nothing");
}

#[test]
fn schedules_are_the_golden_schedules() {
    for case in cases("schedule", "lr_schedule") {
        let config = RunConfig {
            schedule: Setting::read(case.word("kind")).unwrap(),
            lr: case.number("lr"),
            warmup: case.number("warmup") as usize,
            steps: case.number("total") as usize,
            ..RunConfig::default()
        };
        let steps = case.arg("step");
        let rates: Vec<f64> = steps.iter().map(|&s| learning_rate(&config, s as usize)).collect();
        // Some roundings relative to the peak; cos π is −1 to within its own rounding.
        assert_near(&rates, case.output("lr"), 1e-15, 1e-16 * config.lr, &case.name);
    }
}
