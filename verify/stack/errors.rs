//! Errors that published implementations have, each told apart from what was meant.

use super::equalities::{outcome, wired};
use super::rewrite::{Change, operator, rewrite, same};
use super::support::*;
use plummet::backend::{Host, Observer, Runner, Seen};
use plummet::op::Shape;
use plummet::op::residual::{Residual, Scale};
use plummet::program::{Program, Role};
use plummet::stack::{Draw, Init, states};
use std::sync::Arc;

/// The program with every residual step as `change` makes it.
fn with_residuals(program: &Program, change: impl Fn(Residual) -> Residual) -> Program {
    rewrite(
        program,
        |_| true,
        |_, step| match operator::<Residual>(step) {
            Some(residual) => Change::Apply(Arc::new(change(*residual))),
            None => same(step),
        },
    )
}

/// Mean square of the stream behind every block.
#[derive(Default)]
struct Streams(Vec<f64>);

impl Observer<Host<f64>> for Streams {
    fn computed(&mut self, seen: &Seen<Host<f64>>) {
        if seen.program().get(seen.step().outs[0]).name.ends_with("stream") {
            let x = seen.out(0);
            self.0.push(x.iter().map(|x| x * x).sum::<f64>() / x.len() as f64);
        }
    }
}

fn streams(wiring: &str, depth: usize, change: impl Fn(Residual) -> Residual) -> Vec<f64> {
    let (config, program) = wired(wiring, &[("depth", &depth.to_string()), ("init", "deepnorm")]);
    let program = Arc::new(with_residuals(&program, change));
    let weights = numbers(&config.init.weights(&program, depth, None, 1));
    let mut runner = Runner::inference(Host::<f64>::new(), program.clone());
    feed(&mut runner);
    let mut seen = Streams::default();
    runner.forward(&weights, &numbers(&states(&program)), &mut seen);
    seen.0
}

/// A published configuration leaves the decoder Pre-LN with the factor of DeepNorm on its stream, which
/// then grows by the square of it in every sublayer.
#[test]
fn the_factor_of_deepnorm_on_a_pre_ln_stream_grows_it_by_alpha_per_sublayer() {
    let depth = 12;
    let alpha = (2.0 * depth as f64).powf(0.25);
    let right = streams("deepnorm", depth, |residual| residual);
    let wrong = streams("pre_ln", depth, |residual| Residual { alpha, ..residual });
    // A normed stream: its mean square is 1 but for eps.
    assert!(right[1..].iter().all(|square| (square - 1.0).abs() < 1e-4), "{right:?}");
    // What the branches add is on top of the growth, so this is the least of it, in squares.
    let least = alpha.powi(2).powi(2 * depth as i32);
    assert!(wrong[depth] / wrong[0] > 0.5 * least, "{wrong:?}");
}

/// Two repositories have 2.828, which is (2·32)^¼, at every depth.
#[test]
fn the_factor_of_deepnorm_follows_the_depth() {
    for (depth, alpha) in [("2", 4f64), ("12", 24.0), ("32", 64.0)].map(|(d, a)| (d, a.powf(0.25)))
    {
        let (_, program) = wired("deepnorm", &[("depth", depth)]);
        let factors: Vec<f64> =
            program.steps().iter().filter_map(operator::<Residual>).map(|r| r.alpha).collect();
        assert!(factors.iter().all(|&factor| factor == alpha), "{factors:?}");
        let constant = (alpha - 2.828).abs() < 1e-3;
        assert_eq!(constant, depth == "32", "{alpha}");
    }
    let (config, right) = wired("deepnorm", &[]);
    let wrong = with_residuals(&right, |residual| Residual { alpha: 2.828, ..residual });
    assert_ne!(outcome(&config, right)[0].0, outcome(&config, wrong)[0].0);
}

/// The same repositories have (8·depth)^(+¼) as the factor of the init: wider with depth, by √(8·depth)
/// in all.
#[test]
fn the_init_of_deepnorm_narrows_with_depth() {
    let std = |init: &str, depth: usize| {
        let drawn = Init::usual(init).draw(Role::Value, Shape::new(&[32, 32]), (1, depth), None);
        let Draw::Normal { std } = drawn else { panic!("{drawn:?}") };
        std
    };
    for depth in [1, 12, 100] {
        let (right, xavier) = (std("deepnorm", depth), std("xavier_normal", depth));
        let wrong = xavier * (8.0 * depth as f64).powf(0.25);
        assert!(right < xavier && xavier < wrong);
        // Two roots of √(8·depth) and a quotient: a few roundings.
        let apart = (8.0 * depth as f64).sqrt();
        assert!((wrong / right - apart).abs() < 4.0 * f64::EPSILON * apart, "{depth}");
    }
}

/// A release compares a name in lower case with one in upper case, so that no block gets its norm.
#[test]
fn ln_scaling_without_its_norms_is_not_ln_scaling() {
    let (config, right) = wired("ln_scaling", &[]);
    let scaled = right.steps().iter().filter_map(operator::<Scale>).count();
    assert_eq!(scaled, 2 * config.depth, "a norm of every sublayer is scaled");
    let wrong = super::equalities::without(&right, |name| {
        name.ends_with("norm1") || name.ends_with("norm2")
    });
    assert_ne!(outcome(&config, right)[0].0, outcome(&config, wrong)[0].0);
}
