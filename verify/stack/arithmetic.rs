//! The fast f32 path of a whole stack against its f64 reference.
//!
//! The budget comes from the reference itself, read with every result rounded at random to the 24
//! bits of f32: what those readings stray from the exact one is what honest f32 arithmetic strays.
//! The fast path rounds in another order and its exp, tanh and erf are good to some units in the
//! last place instead of one, so it may stray six times as far as the farthest of the readings.

use super::support::*;
use plummet::num::{Num, Stochastic};
use plummet::op::norm;
use plummet::stack::wiring;

const READINGS: u64 = 6;
const FACTOR: f64 = 6.0;

#[test]
fn f32_strays_from_f64_as_far_as_rounding_explains() {
    for entry in norm::ALL {
        for wiring in wiring::ALL.iter().map(|entry| entry.id) {
            let config = config(&[
                ("norm", norm_of(entry.id)),
                ("wiring", wiring),
                ("bias", "true"),
                ("positions", "rotary"),
                ("ffn", "gated"),
                ("heads", "4"),
                ("kv-heads", "2"),
            ]);
            let program = program(&config);
            let weights = weights(&config, &program);
            let (_, exact) = gradient::<f64>(&program, &weights, 0);
            let (_, fast) = gradient::<f32>(&program, &weights, 0);
            let mut strayed: f64 = 0.0;
            for seed in 0..READINGS {
                Stochastic::seed(seed);
                let (_, reading) = gradient::<Stochastic>(&program, &weights, 0);
                strayed = strayed.max(distance(&reading, &exact));
            }
            let error = distance(&fast, &exact);
            assert!(
                error <= FACTOR * strayed,
                "{}: {error:e}, readings {strayed:e}",
                config.label()
            );
            // The budget itself must mean something: a few units in the last place of f32.
            let relative = strayed / length(&exact);
            assert!(relative < 1e-4, "{}: the readings stray {relative:e}", config.label());
        }
    }
}

#[test]
fn a_hundred_blocks_cost_f32_no_more_than_rounding_explains() {
    for (wiring, init) in [("pre_ln", "xavier_normal"), ("deepnorm", "deepnorm")] {
        let config = config(&[("depth", "100"), ("wiring", wiring), ("init", init)]);
        let program = program(&config);
        let weights = weights(&config, &program);
        let exact: f64 = loss(&program, &weights);
        let fast: f32 = loss(&program, &numbers::<f32>(&weights));
        let mut strayed: f64 = 0.0;
        for seed in 0..2 * READINGS {
            Stochastic::seed(seed);
            let reading: Stochastic = loss(&program, &numbers::<Stochastic>(&weights));
            strayed = strayed.max((reading.value() - exact).abs());
        }
        let error = (f64::from(fast) - exact).abs();
        assert!(error <= FACTOR * strayed, "{wiring}: {error:e}, readings {strayed:e}");
        // 200 sublayers, each adding some 2⁻²⁴ to the relative error of the stream it is given and
        // passing on what it was given: at most 200 · 10 · 2⁻²⁴ of a loss of a few nats.
        assert!(strayed < 200.0 * 10.0 * 2f64.powi(-24) * exact, "{wiring}: {strayed:e}");
    }
}
