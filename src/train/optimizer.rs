//! The optimiser that a configuration asks for.

use crate::backend::{Factors, Rule, maps_features};
use crate::config::{Optimizer, RunConfig};
use crate::program::Value;

/// The rule by which a run moves its parameters.
pub fn rule(config: &RunConfig) -> Rule {
    match config.optimizer {
        Optimizer::Adamw => {
            Rule::Adamw { beta1: config.beta1, beta2: config.beta2, eps: config.adam_eps }
        }
        Optimizer::Muon => Rule::Muon {
            momentum: config.muon_momentum,
            beta1: config.beta1,
            beta2: config.beta2,
            eps: config.adam_eps,
        },
        Optimizer::Sgd => Rule::Sgd { beta: config.beta1 },
    }
}

/// How a weight moves under that rule.
///
/// With m the multiplier of the width that the init has (see [`crate::stack::init::Mup`]), matrices of
/// the blocks have lr/m and weight decay times m, and all have eps/m. With L the blocks over
/// `base-depth` and a the `depth-exponent`, all that is in a block has lr·L^(a−1) and eps·L^(−a), as
/// CompleteP (Dey et al. 2025, arXiv 2505.01618, table 1 and equation 40). Muon moves the matrices of
/// the blocks.
pub fn factors(config: &RunConfig, value: &Value) -> Factors {
    let mut factors = Factors::usual(value, config.weight_decay);
    let in_block = value.layer.is_some_and(|layer| layer > 0);
    let is_hidden = in_block && maps_features(value);
    if config.optimizer == Optimizer::Muon && is_hidden {
        factors.matrix = Some([value.shape.rows(), value.shape.cols()]);
    }
    if let Some(m) = config.init.width_multiplier(config.width as f64) {
        factors.eps /= m;
        if is_hidden {
            factors.lr /= m;
            factors.decay *= m;
        }
    }
    if let Some(a) = config.depth_exponent.filter(|_| in_block) {
        let blocks = config.depth as f64 / config.base_depth as f64;
        factors.lr *= blocks.powf(a - 1.0);
        factors.eps *= blocks.powf(-a);
    }
    factors
}
