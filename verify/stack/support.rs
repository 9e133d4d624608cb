//! Small stacks with weights off their starts, ready to run in any arithmetic.

use plummet::backend::{Buffer, Element, Host, Runner, Unobserved};
use plummet::config::RunConfig;
use plummet::num::Num;
use plummet::program::{Program, Source, Start};
use plummet::rng::Rng;
use plummet::stack::{self, CLOCK, Ends, PATCHES, TARGETS, TOKENS};
use std::sync::Arc;

pub const VOCABULARY: usize = 11;

/// A stack of two blocks, width 8, two heads, with some fields set.
pub fn config(fields: &[(&str, &str)]) -> RunConfig {
    let small = [
        ("width", "8"),
        ("depth", "2"),
        ("heads", "2"),
        ("seq", "5"),
        ("batch", "3"),
        ("shards", "1"),
        ("ffn-ratio", "2"),
        ("activation", "gelu"),
    ];
    RunConfig::from_settings(small.into_iter().chain(fields.iter().copied())).unwrap()
}

/// A norm with constants for rows of 8: of groups of one column nothing but the bias would be left, and
/// one column says little of a row.
pub fn norm_of(id: &'static str) -> &'static str {
    match id {
        "group_norm" => "group_norm(groups=2)",
        "partial_rms_norm" => "partial_rms_norm(share=0.75)",
        id => id,
    }
}

/// The program of a training pass over tokens.
pub fn program(config: &RunConfig) -> Arc<Program> {
    between(config, &Ends::tokens(VOCABULARY))
}

/// The program of a training pass between some front and head.
pub fn between(config: &RunConfig, ends: &Ends) -> Arc<Program> {
    Arc::new(stack::build(&config.architecture(), ends, config.samples(), true))
}

/// Weights as the initialisation draws them, and what starts at a constant moved off it: a gain of
/// 0 or a weight of 1 would hide most errors. Every number is one of `f32`.
pub fn weights(config: &RunConfig, program: &Program) -> Vec<f64> {
    let mut weights = config.init.weights(program, config.depth, None, config.seed);
    let mut at = 0;
    for (_, value) in program.weights() {
        let range = at..at + value.shape.len();
        at = range.end;
        let constant =
            |start| matches!(start, Start::Value(_) | Start::OneHot(_) | Start::RowLengths(_));
        if let Source::Weight(start) = value.source
            && constant(start)
        {
            let mut rng = Rng::new(5).named(&value.name);
            weights[range].iter_mut().for_each(|w| *w += 0.2 * rng.normal());
        }
    }
    weights.iter().map(|&w| f64::from(w as f32)).collect()
}

/// Sets what is read, targets and the clock, the same for every program of a configuration: tokens
/// and classes of [`VOCABULARY`], and numbers.
pub fn feed<T: Element>(runner: &mut Runner<Host<T>>) {
    let program = runner.program().clone();
    for name in [TOKENS, PATCHES, TARGETS] {
        let Some(input) = program.find(name) else { continue };
        let mut rng = Rng::new(3).named(name);
        let whole = program.shape(input).sizes().len() == 2;
        for slot in runner.input(input).iter_mut() {
            *slot = T::num(if whole { rng.below(VOCABULARY) as f64 } else { rng.normal() });
        }
    }
    runner.input(program.find(CLOCK).unwrap()).copy_from_slice(&[T::num(7.0), T::num(0.0)]);
}

pub fn numbers<T: Num>(values: &[f64]) -> Buffer<T> {
    values.iter().map(|&v| T::num(v)).collect()
}

/// The loss of one pass.
pub fn loss<T: Element>(program: &Arc<Program>, weights: &[T]) -> T {
    loss_from(program, weights, &stack::states(program))
}

/// The loss of one pass that is given what is carried.
pub fn loss_from<T: Element>(program: &Arc<Program>, weights: &[T], states: &[f64]) -> T {
    let mut runner = Runner::inference(Host::new(), program.clone());
    feed(&mut runner);
    runner.forward(&weights.iter().copied().collect(), &numbers(states), &mut Unobserved);
    runner.output()[0]
}

/// What is carried after so many passes without an update.
pub fn carried(program: &Arc<Program>, weights: &[f64], passes: usize) -> Vec<f64> {
    let mut runner = Runner::training(Host::<f64>::new(), program.clone(), 0);
    feed(&mut runner);
    let (weights, states) = (numbers(weights), stack::states(program));
    let mut pair = [numbers(&states), numbers(&states)];
    for _ in 0..passes {
        let [states, next] = &mut pair;
        runner.forward(&weights, states, &mut Unobserved);
        runner.copy_carried(next);
        pair.swap(0, 1);
    }
    pair[0].to_vec()
}

/// The loss of one pass and the gradients of all weights.
pub fn gradient<T: Element>(
    program: &Arc<Program>,
    weights: &[f64],
    segment: usize,
) -> (f64, Vec<f64>) {
    gradient_from::<T>(program, weights, &stack::states(program), segment)
}

/// The same of a pass that is given what is carried.
pub fn gradient_from<T: Element>(
    program: &Arc<Program>,
    weights: &[f64],
    states: &[f64],
    segment: usize,
) -> (f64, Vec<f64>) {
    let mut runner = Runner::training(Host::<T>::new(), program.clone(), segment);
    feed(&mut runner);
    let states = numbers(states);
    let (weights, one) = (numbers(weights), numbers(&[1.0]));
    let mut gradients = Buffer::zeros(weights.len());
    runner.forward(&weights, &states, &mut Unobserved);
    let loss = runner.output()[0].value();
    runner.backward(&weights, &states, &one, &mut gradients, &mut Unobserved);
    (loss, gradients.iter().map(|g| g.value()).collect())
}

pub fn length(vector: &[f64]) -> f64 {
    vector.iter().map(|v| v * v).sum::<f64>().sqrt()
}

pub fn distance(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| (a - b).powi(2)).sum::<f64>().sqrt()
}
