//! What one step does to a stack: how it follows width and depth under the parametrisations that are
//! made for that, and how it shifts the gradients of the layers above.

use plummet::backend::Host;
use plummet::config::RunConfig;
use plummet::train::{Change, Corpus, Trainer, factors, learning_rate, rule};
use std::sync::Arc;

fn config(fields: &[(&str, &str)]) -> RunConfig {
    let small = [
        ("task", "markov"),
        ("width", "16"),
        ("depth", "2"),
        ("heads", "2"),
        ("seq", "16"),
        ("batch", "4"),
        ("shards", "1"),
        ("lr", "1e-3"),
        ("clip", "0"),
    ];
    RunConfig::from_settings(small.into_iter().chain(fields.iter().copied()).collect::<Vec<_>>())
        .unwrap()
}

fn trainer(config: &RunConfig) -> Trainer<Host<f32>> {
    let corpus = Arc::new(Corpus::load(config).unwrap());
    Trainer::new(Host::new(), config, corpus).unwrap()
}

/// Mean over some seeds of the change of the last value of a site.
fn change(site: &str, fields: &[(&str, &str)]) -> f64 {
    const SEEDS: [&str; 3] = ["1", "2", "3"];
    let one = |seed| {
        let config = config(&[fields, &[("seed", seed)]].concat());
        let changes = trainer(&config).respond();
        let last = changes.iter().rfind(|change| change.site == site);
        last.unwrap_or_else(|| panic!("no {site}")).change
    };
    SEEDS.into_iter().map(one).sum::<f64>() / SEEDS.len() as f64
}

/// The exponent that the change follows as a field doubles from first to last.
fn exponent(site: &str, field: &str, [first, last]: [usize; 2], fields: &[(&str, &str)]) -> f64 {
    let at = |n: usize| change(site, &[fields, &[(field, &n.to_string())]].concat());
    (at(last) / at(first)).ln() / (last as f64 / first as f64).ln()
}

/// The coordinate check of muP: what a step of Adam does to any value does not grow with the width, as it
/// does under a standard parametrisation. Of the logits one part stays and one, what the random head
/// makes of a change that is not along it, falls as width^(−½): the exponent of both is between.
#[test]
fn under_mup_a_step_moves_values_as_far_at_every_width() {
    for (site, lowest) in [("stream", -0.2), ("logits", -0.5)] {
        let of = |init: &str| exponent(site, "width", [16, 128], &[("init", init)]);
        let (mup, standard) = (of("mup(base_width=16)"), of("lecun_normal"));
        assert!((lowest..0.2).contains(&mup), "{site} changes as width^{mup:.2} under mup");
        assert!(standard > 0.35, "{site} changes as width^{standard:.2} under lecun_normal");
    }
}

/// The change of the logits follows depth·L^(−a)·L^(a−1) = 1 under every exponent, and nearly depth
/// under none.
#[test]
fn under_a_depth_exponent_a_step_moves_the_logits_as_far_at_every_depth() {
    let of = |a: &str| exponent("logits", "depth", [2, 32], &[("depth-exponent", a)]);
    for a in ["0.5", "1"] {
        let exponent = of(a);
        assert!(exponent.abs() < 0.25, "depth^{exponent:.2} under {a}");
    }
    let standard = of("auto");
    assert!(standard > 0.4, "depth^{standard:.2} without an exponent");
}

/// Table 1 and equation 40 of CompleteP, at four times the width and eight times the depth.
#[test]
fn factors_are_those_of_the_papers() {
    let fields = [("width", "64"), ("depth", "8"), ("weight-decay", "0.1")];
    let base = config(&fields);
    let all = [("init", "mup(base_width=16)"), ("depth-exponent", "0.5"), ("positions", "learned")];
    let scaled = config(&[&fields[..], &all].concat());
    let program = trainer(&scaled).program().clone();
    let (width, depth) = (4.0, 8.0f64);
    for (name, lr, eps, decay) in [
        ("embed.weight", 1.0, 1.0 / width, 0.1),
        ("positions.weight", 1.0, 1.0 / width, 0.1),
        ("head.weight", 1.0, 1.0 / width, 0.1),
        ("norm.weight", 1.0, 1.0 / width, 0.0),
        ("blocks.0.norm1.weight", depth.powf(-0.5), depth.powf(-0.5) / width, 0.0),
        ("blocks.7.attn.q.weight", depth.powf(-0.5) / width, depth.powf(-0.5) / width, 0.4),
        ("blocks.3.ffn.down.weight", depth.powf(-0.5) / width, depth.powf(-0.5) / width, 0.4),
    ] {
        let value = program.get(program.find(name).unwrap());
        let own = factors(&scaled, value);
        for (got, want) in [(own.lr, lr), (own.eps, eps), (own.decay, decay)] {
            assert!((got - want).abs() < 1e-15, "{name}: {own:?}");
        }
        let plain = plummet::train::factors(&base, value);
        assert_eq!((plain.lr, plain.eps), (1.0, 1.0));
    }
    let stack = scaled.architecture();
    assert_eq!((stack.branch_factor, stack.logits_factor), (depth.powf(-0.5), 0.25));
    assert_eq!(stack.attention_scale, Some(1.0 / 32.0));
}

#[test]
fn what_was_derived_for_adam_is_refused_under_others() {
    for (fields, allowed) in [
        ([("optimizer", "sgd"), ("init", "mup")], "adamw under init mup"),
        ([("optimizer", "muon"), ("depth-exponent", "1")], "adamw under depth-exponent"),
    ] {
        let error = RunConfig::from_settings(fields).unwrap_err();
        assert_eq!((&*error.field, &*error.allowed), ("optimizer", allowed));
    }
}

/// A base width and depth equal to the run's change nothing but the scale of attention and the head.
#[test]
fn at_the_base_sizes_nothing_is_scaled() {
    let same =
        config(&[("init", "mup(base_width=16)"), ("depth-exponent", "1"), ("base-depth", "2")]);
    let plain = config(&[("init", "lecun_normal")]);
    let (a, b) = (same.architecture(), plain.architecture());
    assert_eq!((a.branch_factor, a.logits_factor), (b.branch_factor, b.logits_factor));
    for (_, value) in trainer(&same).program().weights() {
        assert_eq!(factors(&same, value), factors(&plain, value), "{}", value.name);
    }
    assert_eq!(learning_rate(&same, 0), learning_rate(&plain, 0));
    assert_eq!(rule(&same), rule(&plain));
}

/// The change that is said is the one that a second look at the same batch shows, and a step that is
/// next to none makes next to none.
#[test]
fn a_step_of_no_size_changes_nothing() {
    let changes = trainer(&RunConfig { lr: 0.0, ..config(&[]) }).respond();
    assert_eq!(changes.len(), 1 + 2 * 3 + 1);
    assert!(changes.iter().all(|change| change.change == 0.0 && change.rms > 0.0), "{changes:?}");
    let at = |lr| -> Vec<Change> { trainer(&RunConfig { lr, ..config(&[]) }).respond() };
    for (one, two) in at(1e-4).iter().zip(&at(2e-4)) {
        assert_eq!((one.layer, &one.site, one.rms), (two.layer, &two.site, two.rms));
        // In the linear regime twice the rate is twice the change.
        assert!((two.change / one.change - 2.0).abs() < 0.05, "{one:?} {two:?}");
    }
}

#[test]
fn gradients_do_not_shift_where_nothing_below_moves() {
    let mut still = trainer(&RunConfig { lr: 0.0, ..config(&[]) });
    for shift in still.shifts() {
        assert!(shift.grad_norm > 0.0 && shift.distance == 0.0, "{shift:?}");
        assert!((shift.cosine - 1.0).abs() < 1e-12, "{shift:?}");
    }
    let mut moving = trainer(&config(&[("depth", "4")]));
    let shifts = moving.shifts();
    assert_eq!(shifts.iter().map(|shift| shift.layer).collect::<Vec<_>>(), [1, 2, 3, 4]);
    for shift in &shifts {
        // The law of cosines holds for what is said of one pair of vectors: |G − G′| is at least what
        // the angle makes of |G|.
        let sine = (1.0 - shift.cosine * shift.cosine).max(0.0).sqrt();
        assert!(shift.distance > 0.0 && shift.cosine < 1.0, "{shift:?}");
        assert!(shift.distance >= shift.grad_norm * sine * (1.0 - 1e-6), "{shift:?}");
    }
    // The step itself is the one that would have been taken anyhow.
    let mut other = trainer(&config(&[("depth", "4")]));
    other.advance(None);
    assert_eq!(moving.parameters(), other.parameters());
    assert_eq!(moving.step(), other.step());
    assert_eq!(moving.advance(None), other.advance(None));
}

/// A block that adds nothing hands every change on as it is; behind norms, all but its mean and its
/// length: DeepNorm's x' = norm(α·x) of a normed x is a projection on width − 2 features.
#[test]
fn jacobians_of_blocks_without_branches_are_known() {
    let of = |wiring: &str| {
        let fields = [("init", "residual_zero"), ("wiring", wiring), ("depth", "4")];
        trainer(&config(&fields)).jacobian_norms(20)
    };
    let plain = of("no_norm");
    assert_eq!(plain.len(), 5);
    assert!(plain.iter().all(|norm| *norm == plain[0]), "{plain:?}");
    // Of 20 times 1024 squares the mean is 1 to within five of √(2/20480).
    assert!((plain[0] * plain[0] - 1.0).abs() < 0.05, "{plain:?}");
    let normed = of("deepnorm");
    for norm in &normed[..4] {
        let share = (norm / normed[4]).powi(2);
        // The share of the length within 14 of 16 dimensions, a beta variable of mean 7/8: within five
        // of √(7/8·1/8·2/20480); eps takes 10⁻⁵ of it, eight times.
        assert!((share - 14.0 / 16.0).abs() < 0.018, "{share}");
    }
}
