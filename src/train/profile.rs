//! Where learned factors of the streams start from what a first pass shows (Admin, Liu et al. 2020,
//! arXiv 2004.08249).
//!
//! One forward pass over the first part of the first batch, sublayer by sublayer: every element of
//! the first factor is 1, and of the next one √(Var(w ⊙ x) + Var(f)), the variances over all elements
//! of the stream w ⊙ x and the branch f of the sublayer before it. A factor is set before its sublayer
//! runs, so that what is measured behind it is what training meets.

use std::any::Any;
use std::ops::Range;

use super::Trainer;
use crate::backend::{Backend, Observer, Seen};
use crate::num::Num;
use crate::op::residual::GainedResidual;
use crate::program::Program;

/// Sets the factors of the streams, of a stack at its initial weights.
pub(super) fn set<B: Backend>(trainer: &mut Trainer<B>) {
    let program = trainer.runners[0].program().clone();
    let samples = trainer.config.samples();
    trainer.corpus.training_batch(&trainer.config, 0, &mut trainer.batch);
    trainer.feed.fill(&trainer.backend, &trainer.batch, 0, samples);
    trainer.feed.set(&trainer.backend, &mut trainer.runners[0], 0);
    let mut sum = Sum { variance: 1.0 };
    for step in 0..program.steps().len() {
        if let Some(factor) = factor(&program, step) {
            let start = B::Number::num(sum.variance.sqrt());
            trainer.backend.upload(&mut trainer.parameters, factor, |to| to.fill(start));
        }
        let (parameters, states) = (&trainer.parameters, &trainer.states);
        trainer.runners[0].forward_steps(step..step + 1, parameters, states, &mut sum);
    }
}

/// Where the factor that a step reads lies among the parameters, if it reads one.
fn factor(program: &Program, step: usize) -> Option<Range<usize>> {
    let step = &program.steps()[step];
    gained(&*step.op).then(|| {
        let before = program.weights().take_while(|(id, _)| *id != step.args[2]);
        let start = before.map(|(_, value)| value.shape.len()).sum();
        start..start + program.shape(step.args[2]).len()
    })
}

fn gained(op: &dyn Any) -> bool {
    op.is::<GainedResidual>()
}

/// The variance of what the last sublayer added up.
struct Sum {
    variance: f64,
}

impl<B: Backend> Observer<B> for Sum {
    fn computed(&mut self, seen: &Seen<B>) {
        if gained(&*seen.step().op) {
            let wide =
                |arg: usize| -> Vec<f64> { seen.arg(arg).iter().map(|x| x.value()).collect() };
            let (branch, mut stream, factor) = (wide(0), wide(1), wide(2));
            stream.iter_mut().zip(factor.iter().cycle()).for_each(|(x, w)| *x *= w);
            self.variance = variance(&branch) + variance(&stream);
        }
    }
}

fn variance(x: &[f64]) -> f64 {
    let mean = x.iter().sum::<f64>() / x.len() as f64;
    x.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / x.len() as f64
}
