//! The name of the first value of a step that is not finite.

use super::Trainer;
use crate::backend::{Backend, Observer, Seen};
use crate::program::Id;

impl<B: Backend> Trainer<B> {
    /// The name of the first value that is not finite, forward or backward, in the batch of this
    /// step. What the sum of the gradients was is lost.
    pub(super) fn find_non_finite(&mut self) -> String {
        let (parameters, states) = (&self.parameters, &self.states);
        let (runner, gradient) = (&mut self.runners[0], &mut self.gradients[0]);
        let mut search = Search::default();
        for pass in 0..self.losses.len() * self.config.micro_batches {
            self.feed.set(&self.backend, runner, pass);
            runner.forward(parameters, states, &mut search);
            if search.0.is_none() {
                runner.clear();
                runner.backward(parameters, states, &self.dloss, gradient, &mut search);
            }
            if search.0.is_some() {
                break;
            }
        }
        search.0.unwrap_or_else(|| "the gradient".to_string())
    }
}

/// Notes the first value that is not finite.
#[derive(Default)]
struct Search(Option<String>);

impl<B: Backend> Observer<B> for Search {
    fn computed(&mut self, seen: &Seen<B>) {
        let (program, step) = (seen.program(), seen.step());
        let args = step.args.iter().enumerate();
        let learned = args.filter(|&(i, &id)| id != Id::ABSENT && !seen.learned_is_finite(i));
        let outs = step.outs.iter().enumerate().filter(|&(k, _)| !seen.is_finite(k));
        if self.0.is_none()
            && let Some((_, &id)) = learned.chain(outs).next()
        {
            self.0 = Some(program.get(id).name.clone());
        }
    }

    fn gradient(&mut self, seen: &Seen<B>) {
        if self.0.is_none() && !seen.is_finite(0) {
            let name = &seen.program().get(seen.step().outs[0]).name;
            self.0 = Some(format!("the gradient of {name}"));
        }
    }
}
