//! Checkpointing changes memory and no bit; memory grows with depth as it should.

use super::support::*;
use plummet::backend::Host;
use plummet::config::RunConfig;

fn stack(depth: usize, checkpoint: &str) -> RunConfig {
    config(&[("depth", &depth.to_string()), ("checkpoint", checkpoint)])
}

fn elements(config: &RunConfig) -> usize {
    Host::<f32>::activations(&program(config), config.segment())
}

#[test]
fn checkpointing_changes_memory_and_no_bit() {
    for norm in ["layer_norm", "batch_norm"] {
        let base = config(&[("depth", "9"), ("norm", norm)]);
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
    let depths = [64, 256, 1024];
    let sizes = depths.map(|depth| elements(&stack(depth, "auto")) as f64);
    for pair in sizes.windows(2) {
        // Four times the blocks; what does not grow at all bends the exponent down a little.
        let exponent = (pair[1] / pair[0]).ln() / 4f64.ln();
        assert!((0.4..=0.55).contains(&exponent), "exponent {exponent}, sizes {sizes:?}");
    }
}
