//! Checkpointing changes memory and no bit; memory grows with depth as it should.

use super::support::*;
use plummet::backend::{Host, Planner, Runner};
use plummet::config::RunConfig;

fn stack(depth: usize, checkpoint: &str) -> RunConfig {
    config(&[("depth", &depth.to_string()), ("checkpoint", checkpoint)])
}

fn elements(config: &RunConfig) -> usize {
    let need = Planner::new(&Host::<f32>::new(), &program(config)).training(config.segment());
    need.slots + need.scratch
}

#[test]
fn checkpointing_changes_memory_and_no_bit() {
    for more in [
        ("norm", "layer_norm"),
        ("norm", "batch_norm"),
        ("wiring", "resi_dual"),
        // Values that many blocks read, or that stand beside the stream.
        ("wiring", "value_residual"),
        ("wiring", "siamese_norm"),
        ("wiring", "hyper_connections(doubly_stochastic=true)"),
    ] {
        let base = config(&[("depth", "9"), more]);
        let program = program(&base);
        let weights = weights(&base, &program);
        let kept = gradient::<f32>(&program, &weights, 0);
        let exact = gradient::<f64>(&program, &weights, 0);
        for segment in [1, 3, 4, 9] {
            assert_eq!(gradient::<f32>(&program, &weights, segment), kept, "segment {segment}");
            assert_eq!(gradient::<f64>(&program, &weights, segment), exact, "segment {segment}");
        }
    }
    let [none, one, auto] = ["none", "1", "auto"].map(|checkpoint| elements(&stack(9, checkpoint)));
    assert!(auto < none && one < none, "{auto}, {one}, {none}");
}

#[test]
fn checkpointing_draws_the_same_masks_again() {
    let base = config(&[("depth", "9"), ("dropout", "0.2"), ("stochastic-depth", "0.3")]);
    let program = program(&base);
    let weights = weights(&base, &program);
    let kept = gradient::<f32>(&program, &weights, 0);
    for segment in [1, 3] {
        assert_eq!(gradient::<f32>(&program, &weights, segment), kept, "segment {segment}");
    }
}

#[test]
fn memory_is_linear_in_depth() {
    let [a, b, c] = [8, 16, 32].map(|depth| elements(&stack(depth, "none")) as f64);
    // Every block adds the same: doubling the blocks doubles what they add, to the number.
    assert_eq!(c - b, 2.0 * (b - a));
    assert!(b / a > 1.7, "the blocks are most of it: {a}, {b}");
}

#[test]
fn checkpointed_memory_grows_with_the_root_of_depth() {
    let points: Vec<(f64, f64)> = (4..=10)
        .map(|power| 1usize << power)
        .map(|depth| ((depth as f64).ln(), (elements(&stack(depth, "auto")) as f64).ln()))
        .collect();
    let n = points.len() as f64;
    let (x, y) = points.iter().fold((0.0, 0.0), |(x, y), p| (x + p.0 / n, y + p.1 / n));
    let slope = points.iter().map(|p| (p.0 - x) * (p.1 - y)).sum::<f64>()
        / points.iter().map(|p| (p.0 - x) * (p.0 - x)).sum::<f64>();
    assert!((slope - 0.5).abs() <= 0.1, "exponent {slope}, logarithms {points:?}");
}

#[test]
fn what_is_needed_is_what_is_planned() {
    let base = config(&[("depth", "9"), ("norm", "batch_norm"), ("dropout", "0.2")]);
    let program = program(&base);
    let planner = Planner::new(&Host::<f32>::new(), &program);
    for segment in [0, 1, 3, 4, 9] {
        let need = planner.training(segment);
        let plan = Runner::training(Host::<f32>::new(), program.clone(), segment);
        assert_eq!(need.slots + need.scratch, plan.plan().elements(), "segment {segment}");
    }
    let need = planner.inference();
    let plan = Runner::inference(Host::<f32>::new(), program.clone());
    assert_eq!(need.slots + need.scratch, plan.plan().elements());
}
