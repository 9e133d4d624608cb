//! The gradient of the loss of a whole stack, against derivatives that share no backward pass.

use super::support::*;
use plummet::config::RunConfig;
use plummet::num::Dual;
use plummet::op::{norm, weight};
use plummet::program::Program;
use plummet::rng::Rng;
use plummet::stack::{Ends, Front, Head, Law, wiring};
use std::sync::Arc;

/// Compares, weight by weight, the gradient with the exact derivative along a random direction.
fn check(config: &RunConfig) {
    check_program(config, &program(config));
}

fn check_program(config: &RunConfig, program: &Arc<Program>) {
    let weights = weights(config, program);
    let (_, gradient) = gradient::<f64>(program, &weights, config.segment());
    let whole = length(&gradient);
    assert!(whole.is_finite() && whole > 1e-3, "{}: gradient {whole}", config.label());
    let mut at = 0;
    for (_, value) in program.weights() {
        let range = at..at + value.shape.len();
        at = range.end;
        let mut rng = Rng::new(9).named(&value.name);
        let mut duals = numbers::<Dual>(&weights);
        let direction: Vec<f64> = range.clone().map(|_| rng.normal()).collect();
        for (dual, &d) in duals[range.clone()].iter_mut().zip(&direction) {
            dual.d = d;
        }
        let exact = loss(program, &duals).d;
        let slope: f64 = gradient[range.clone()].iter().zip(&direction).map(|(g, d)| g * d).sum();
        // Some 10⁴ roundings of 10⁻¹⁶ lie on the way of a number through these stacks; what they
        // do to a gradient that cancels (that of attn.k.bias is zero) is in units of the whole.
        let scale = 1e-10 * length(&gradient[range]) + 1e-12 * whole;
        assert!(
            (exact - slope).abs() <= scale * length(&direction),
            "{} {}: {slope:e} against {exact:e}",
            config.label(),
            value.name
        );
    }
}

#[test]
fn every_norm_under_every_wiring_has_the_right_gradient() {
    for entry in norm::ALL {
        for wiring in wiring::ALL.iter().map(|entry| entry.id) {
            let norm = norm_of(entry.id);
            check(&config(&[("norm", norm), ("wiring", wiring), ("depth", "3")]));
        }
    }
}

#[test]
fn every_part_of_a_stack_has_the_right_gradient() {
    let parts: [&[(&str, &str)]; 19] = [
        &[("ffn", "gated"), ("activation", "silu")],
        &[("positions", "rotary")],
        &[("positions", "rotary3"), ("width", "12"), ("seq", "8")],
        &[("positions", "learned")],
        &[("heads", "4"), ("kv-heads", "2")],
        &[("bias", "true")],
        &[("tied-head", "true")],
        &[("label-smoothing", "0.2")],
        &[("checkpoint", "1"), ("norm", "batch_norm")],
        &[("preset", "vaswani"), ("dropout", "0"), ("activation", "relu")],
        &[("preset", "gpt2"), ("activation", "gelu_tanh")],
        &[("preset", "llama"), ("heads", "4"), ("kv-heads", "1"), ("bias", "true")],
        &[("preset", "deepnet"), ("init", "orthogonal"), ("tied-head", "true")],
        &[("qk-norm", "l2"), ("heads", "4"), ("kv-heads", "2")],
        &[("qk-norm", "layer"), ("positions", "rotary")],
        &[("qk-norm", "rms"), ("positions", "rotary"), ("kv-heads", "1")],
        &[("softcap", "0.5"), ("positions", "rotary"), ("bias", "true")],
        &[("logit-softcap", "1.5"), ("softcap", "50")],
        &[("weights", "weight_norm"), ("qk-norm", "rms"), ("checkpoint", "1"), ("ffn", "gated")],
    ];
    for part in parts {
        for wiring in ["pre_ln", "post_ln", "peri_ln"] {
            check(&config(&[&[("wiring", wiring)], part].concat()));
        }
    }
}

#[test]
fn every_form_of_weights_has_the_right_gradient() {
    for weights in forms() {
        for wiring in ["pre_ln", "post_ln", "layer_scale"] {
            check(&config(&[("weights", weights), ("wiring", wiring), ("bias", "true")]));
        }
    }
}

/// The forms, each in every way that it can be computed.
fn forms() -> [&'static str; 7] {
    let forms = [
        "plain",
        "standardised(eps=0.01)",
        "standardised(root=inside,deviation=unbiased)",
        "scaled_standardised",
        "scaled_standardised(floor=added,gamma=1.7)",
        "weight_norm",
        "sigma_reparam",
    ];
    let listed = weight::ALL.iter();
    assert!(listed.clone().all(|form| forms.iter().any(|text| text.starts_with(form.id))));
    forms
}

/// Of sigma_reparam the gradient leaves out how the singular vectors turn: it is the slope where the
/// iteration has come to them, since the singular value is largest there.
#[test]
fn forms_of_weights_agree_with_central_differences() {
    for form in forms() {
        let config = config(&[("weights", form), ("depth", "1")]);
        let program = program(&config);
        let weights = weights(&config, &program);
        let states = carried(&program, &weights, 3000);
        let (_, gradient) = gradient_from::<f64>(&program, &weights, &states, 0);
        let mut rng = Rng::new(4);
        let direction: Vec<f64> = weights.iter().map(|_| rng.normal()).collect();
        let moved = |h: f64| -> f64 {
            let at: Vec<f64> = weights.iter().zip(&direction).map(|(w, d)| w + h * d).collect();
            loss_from(&program, &at, &states)
        };
        let slope: f64 = gradient.iter().zip(&direction).map(|(g, d)| g * d).sum();
        let h = 1e-4;
        let near = (moved(h) - moved(-h)) / (2.0 * h);
        let far = (moved(2.0 * h) - moved(-2.0 * h)) / (4.0 * h);
        let exact = near + (near - far) / 3.0;
        let scale = length(&gradient) * length(&direction);
        let budget = 1e-9 * scale + 0.1 * (near - far).abs();
        assert!((exact - slope).abs() <= budget, "{form}: {slope} against {exact} ({budget:e})");
    }
}

#[test]
fn every_front_and_head_has_the_right_gradient() {
    let tokens = Front::Tokens { vocabulary: VOCABULARY };
    let patches = Front::Patches { features: 3 };
    for front in [tokens, patches] {
        for head in [
            Head::Classes { n: VOCABULARY },
            Head::Values { n: 2 },
            Head::ValuesAt { place: 1, n: 2 },
            Head::Distribution { law: Law::Gaussian, n: 2 },
            Head::Distribution { law: Law::Student, n: 2 },
        ] {
            for wiring in ["pre_ln", "post_ln"] {
                let config = config(&[("wiring", wiring), ("positions", "learned")]);
                check_program(&config, &between(&config, &Ends { front, head }));
            }
        }
    }
}

#[test]
fn random_parts_of_a_stack_have_the_right_gradient() {
    for part in [
        &[("dropout", "0.3")][..],
        &[("stochastic-depth", "0.5")],
        &[("stochastic-depth", "0.4"), ("survival", "uniform"), ("dropout", "0.1")],
    ] {
        for wiring in ["pre_ln", "post_ln", "layer_scale"] {
            check(&config(&[&[("wiring", wiring)], part].concat()));
        }
    }
}

#[test]
fn gradients_agree_with_central_differences() {
    for wiring in wiring::ALL.iter().map(|entry| entry.id) {
        let config = config(&[("wiring", wiring), ("bias", "true"), ("ffn", "gated")]);
        let program = program(&config);
        let weights = weights(&config, &program);
        let (_, gradient) = gradient::<f64>(&program, &weights, 0);
        let mut rng = Rng::new(4);
        let direction: Vec<f64> = weights.iter().map(|_| rng.normal()).collect();
        let moved = |h: f64| -> f64 {
            let at: Vec<f64> = weights.iter().zip(&direction).map(|(w, d)| w + h * d).collect();
            loss(&program, &at)
        };
        let slope: f64 = gradient.iter().zip(&direction).map(|(g, d)| g * d).sum();
        // Differences over h and 2h extrapolate to an error of h⁴; rounding adds 10⁻¹⁵/h.
        let h = 1e-4;
        let near = (moved(h) - moved(-h)) / (2.0 * h);
        let far = (moved(2.0 * h) - moved(-2.0 * h)) / (4.0 * h);
        let exact = near + (near - far) / 3.0;
        let scale = length(&gradient) * length(&direction);
        // The third derivative along some 500 coordinates at once is large, hence the two terms.
        let budget = 1e-9 * scale + 0.1 * (near - far).abs();
        assert!((exact - slope).abs() <= budget, "{}: {slope} against {exact}", wiring);
    }
}
