//! What the tests share: kernels from their texts, data, and runs under all conditions.

use plummet::ptx::{Approximation, Module, Options, Schedule};

/// The module of a PTX file beside its `.cu`.
pub fn module(name: &str) -> Module {
    let path = format!("{}/verify/ptx/kernels/{name}.ptx", env!("CARGO_MANIFEST_DIR"));
    let text = std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("{path}: {e}"));
    Module::parse(&text).unwrap_or_else(|e| panic!("{name}: {e}"))
}

/// Every schedule with every approximation.
pub fn conditions() -> impl Iterator<Item = Options> {
    Schedule::ALL.into_iter().flat_map(|schedule| {
        Approximation::ALL.map(|approximation| Options {
            schedule,
            approximation,
            ..Options::default()
        })
    })
}

/// Numbers that look random, about as large as one.
pub fn numbers(count: usize, seed: u64) -> Vec<f32> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut next = || {
        state =
            state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 40) as f32 / (1 << 24) as f32 * 4.0 - 2.0
    };
    (0..count).map(|_| next()).collect()
}

/// Fails unless each value is near its expectation, by size and by a floor.
pub fn assert_near(found: &[f32], expected: &[f64], tolerance: f64, what: &str) {
    assert_eq!(found.len(), expected.len(), "{what}");
    for (i, (&found, &expected)) in found.iter().zip(expected).enumerate() {
        let error = (f64::from(found) - expected).abs();
        assert!(
            error <= tolerance * expected.abs().max(1.0),
            "{what}: element {i} is {found}, expected {expected}"
        );
    }
}

/// LayerNorm of rows, plainly.
pub fn layer_norm(x: &[f32], w: &[f32], b: &[f32], cols: usize, eps: f64) -> Vec<f64> {
    let mut y = Vec::new();
    for row in x.chunks_exact(cols) {
        let n = cols as f64;
        let mean = row.iter().map(|&v| f64::from(v)).sum::<f64>() / n;
        let variance = row.iter().map(|&v| (f64::from(v) - mean).powi(2)).sum::<f64>() / n;
        for (c, &v) in row.iter().enumerate() {
            let scaled = (f64::from(v) - mean) / (variance + eps).sqrt();
            y.push(scaled * f64::from(w[c]) + f64::from(b[c]));
        }
    }
    y
}
