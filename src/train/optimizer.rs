//! The optimiser that a configuration asks for.

use crate::backend::Rule;
use crate::config::{Optimizer, RunConfig};

/// The rule by which a run moves its parameters.
pub fn rule(config: &RunConfig) -> Rule {
    match config.optimizer {
        Optimizer::Adamw => {
            Rule::Adamw { beta1: config.beta1, beta2: config.beta2, eps: config.adam_eps }
        }
        Optimizer::Sgd => Rule::Sgd { beta: config.beta1 },
    }
}
