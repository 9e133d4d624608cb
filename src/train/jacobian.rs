//! How much of a change in one layer's stream arrives in the last: ‖∂x_L/∂x_l‖_F/√n along depth, n the
//! numbers of a stream. 1 is what the identity has; a product of depth factors of r is rᴸ⁻ˡ.
//!
//! For v of independent standard normal numbers the mean of ‖(∂x_L/∂x_l)ᵀv‖² is ‖∂x_L/∂x_l‖_F²
//! (Hutchinson 1989), so that one backward pass from v gives an estimate for every layer.

use std::sync::Arc;

use super::Trainer;
use super::trainer::starting;
use crate::backend::{Backend, Observer, Runner, Seen, Unobserved, norm};
use crate::rng::Rng;
use crate::stack;

/// ‖Jᵀv‖² of every layer's stream.
struct Squares(Vec<f64>);

impl<B: Backend> Observer<B> for Squares {
    fn gradient(&mut self, seen: &Seen<B>) {
        let value = seen.program().get(seen.step().outs[0]);
        if let (Some(layer), "stream") = (value.layer, value.site.as_str()) {
            self.0[layer] += norm(&seen.out(0)).powi(2);
        }
    }
}

impl<B: Backend> Trainer<B> {
    /// The root mean square over `draws` of ‖(∂x_L/∂x_l)ᵀv‖/√n for the stream of every layer l from the
    /// embedding on, on the first pass of the current batch and without what is dropped in training.
    pub fn jacobian_norms(&mut self, draws: usize) -> Vec<f64> {
        let (stack, ends) = (self.config.architecture(), self.config.task.ends());
        let program = Arc::new(stack::trunk(&stack, &ends, self.config.samples()));
        let len = program.shape(program.loss()).len();
        let mut runner = Runner::training(self.backend.clone(), program.clone(), 0);
        let samples = self.config.samples();
        self.corpus.training_batch(&self.config, self.step, &mut self.batch);
        self.feed.fill(&self.backend, &self.batch, self.step, samples);
        self.feed.set(&self.backend, &mut runner, 0);
        // The weights of the head are the last, so that those of the trunk are where they were.
        let mut unused = self.backend.allocate(&[program.parameters()]).remove(0);
        let mut squares = Squares(vec![0.0; self.config.depth + 1]);
        let mut rng = Rng::new(self.config.seed).named("jacobian");
        for _ in 0..draws {
            let v: Vec<f64> = (0..len).map(|_| rng.normal()).collect();
            let v = starting(&self.backend, v.into_iter());
            runner.clear();
            runner.forward(&self.parameters, &self.states, &mut Unobserved);
            runner.backward(&self.parameters, &self.states, &v, &mut unused, &mut squares);
        }
        squares.0.into_iter().map(|sum| (sum / (draws * len) as f64).sqrt()).collect()
    }
}
