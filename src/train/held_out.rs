//! The loss on text that a run does not learn from: how often, on how much of it, and the loss.

use rayon::prelude::*;

use super::trainer::share;
use super::{Corpus, Trainer};
use crate::backend::{Backend, Unobserved};
use crate::config::RunConfig;
use crate::num::Num;

/// Training steps to one forward pass over a held-out batch. A pass takes some 0.3 to 0.4 of a
/// step, so that all of them together take at most a twentieth of a run's time.
const STEPS_PER_BATCH: usize = 8;
/// Measurements before the last one, where there is time for them.
const MEASUREMENTS: usize = 10;
/// Batches of a measurement that is asked for.
const ASKED: usize = 4;

/// When the held-out loss is measured, and on how many batches. It depends on the configuration
/// and the text only, never on the clock, so that a run has the same record on every machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Measurements {
    /// Steps from one measurement to the next; none where only the last one is made.
    pub every: Option<usize>,
    /// Batches of each.
    pub batches: usize,
    /// Batches of the last one, at the end of the run.
    pub last: usize,
}

impl Measurements {
    /// What is measured in a run. Half of the time goes to the last measurement, until that covers
    /// the whole held-out part; the rest is shared by up to ten others. `eval-every` holds as it is
    /// given. At least one batch is measured at the end, which in a run of fewer than 8 steps is
    /// more than a twentieth of the time.
    pub fn of(config: &RunConfig, corpus: &Corpus) -> Self {
        let whole = corpus.held_out_batches(config);
        let budget = config.steps / STEPS_PER_BATCH;
        let last = (budget / 2).clamp(1, whole);
        if let Some(every) = config.eval_every {
            let batches = ASKED.min(whole);
            return Measurements { every: Some(every.max(1)), batches, last: last.max(batches) };
        }
        let rest = budget.saturating_sub(last);
        let every = (rest > 0).then(|| config.steps.div_ceil(rest.min(MEASUREMENTS)));
        let times = every.map_or(1, |every| config.steps.div_ceil(every));
        Measurements { every, batches: (rest / times).clamp(1, whole), last }
    }

    /// Whether the loss is measured before this step.
    pub fn before(&self, step: usize) -> bool {
        self.every.is_some_and(|every| step.is_multiple_of(every))
    }
}

/// What a measurement found, in nats per target.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct HeldOut {
    /// The plain loss of the model, whatever the training loss adds to it.
    pub loss: f64,
    /// What the same targets cost the model that the baseline stands for.
    pub baseline: f64,
}

impl<B: Backend> Trainer<B> {
    /// The mean loss over so many held-out batches, spread evenly over the held-out part.
    pub fn evaluate(&mut self, batches: usize) -> HeldOut {
        let (samples, passes) = (self.config.samples(), self.config.micro_batches);
        let (parameters, states) = (&self.parameters, &self.states);
        let mut total = HeldOut { loss: 0.0, baseline: 0.0 };
        for index in 0..batches {
            self.corpus.held_out_batch(&self.config, index, batches, &mut self.batch);
            self.feed.fill(&self.backend, &self.batch, self.step, samples);
            let (backend, feed) = (&self.backend, &self.feed);
            let mut losses = vec![0.0; self.config.shards()];
            let share = share(losses.len(), self.evaluators.len());
            let lanes = self.evaluators.par_iter_mut().zip(losses.par_chunks_mut(share));
            lanes.enumerate().for_each(|(lane, (runner, losses))| {
                for (i, loss) in losses.iter_mut().enumerate() {
                    let pass = |pass: usize| {
                        feed.set(backend, runner, (lane * share + i) * passes + pass);
                        runner.forward(parameters, states, &mut Unobserved);
                        runner.output()[0].value()
                    };
                    *loss = (0..passes).map(pass).sum::<f64>() / passes as f64;
                }
            });
            total.loss += losses.iter().sum::<f64>() / losses.len() as f64;
            total.baseline += self.corpus.baseline_cost(&self.batch);
        }
        let batches = batches as f64;
        HeldOut { loss: total.loss / batches, baseline: total.baseline / batches }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan(fields: &[(&str, &str)]) -> Measurements {
        let config = RunConfig::from_settings(fields.iter().copied()).unwrap();
        Measurements::of(&config, &Corpus::load(&config).unwrap())
    }

    #[test]
    fn measurements_take_a_twentieth_of_the_time() {
        for steps in [8, 13, 20, 50, 80, 120, 200, 1000, 20_000] {
            for task in ["text", "markov"] {
                let plan = plan(&[("steps", &steps.to_string()), ("task", task)]);
                let before = (0..steps).filter(|&step| plan.before(step)).count();
                let passes = before * plan.batches + plan.last;
                // A forward pass is at most 0.4 of a step.
                let share = 0.4 * passes as f64 / steps as f64;
                assert!(share <= 0.05, "{steps} steps of {task}: {plan:?} take {share}");
                assert!(before <= MEASUREMENTS, "{plan:?}");
            }
        }
    }

    #[test]
    fn a_run_of_usual_length_ends_with_the_whole_held_out_part() {
        assert_eq!(plan(&[]), Measurements { every: Some(20), batches: 2, last: 3 });
        let few = plan(&[("steps", "13")]);
        assert_eq!(few, Measurements { every: None, batches: 1, last: 1 });
        assert_eq!(plan(&[("steps", "0")]).last, 1);
    }

    #[test]
    fn what_is_asked_for_holds() {
        let asked = plan(&[("steps", "13"), ("eval-every", "1")]);
        assert_eq!((asked.every, asked.batches), (Some(1), 3));
    }
}
