//! The held-out loss of a trained stack with some of its blocks left out or in another order, without
//! training it again (Veit et al. 2016, arXiv 1605.06431, section 4; Gromov et al. 2024, arXiv
//! 2403.17887).

use std::collections::HashMap;
use std::sync::Arc;

use super::trainer::starting;
use super::{HeldOut, Trainer};
use crate::backend::{Backend, Runner};
use crate::config::Invalid;
use crate::num::Num;
use crate::program::{Id, Program, Value};
use crate::stack;

impl<B: Backend> Trainer<B> {
    /// The mean loss over so many held-out batches of the stack of these `blocks` only, in this order,
    /// each counted from 1. What a wiring makes of depth or block stays that of the whole stack.
    ///
    /// # Errors
    /// Where a block is named that there is not, or one twice.
    pub fn evaluate_of(&mut self, blocks: &[usize], batches: usize) -> Result<HeldOut, Invalid> {
        let depth = self.config.depth;
        for (i, &block) in blocks.iter().enumerate() {
            if !(1..=depth).contains(&block) || blocks[..i].contains(&block) {
                return Err(Invalid::new("block", block, format!("1 to {depth}, each once")));
            }
        }
        let (stack, ends) = (self.config.architecture(), self.config.task.ends());
        let program = stack::build_of(&stack, &ends, self.config.samples(), false, blocks);
        let own = self.numbers(&program);
        let runner = Runner::inference(self.backend.clone(), Arc::new(program));
        let mut lanes: Vec<_> = (1..self.evaluators.len()).map(|_| runner.sibling()).collect();
        lanes.push(runner);
        let whole = (
            std::mem::replace(&mut self.parameters, own.0),
            std::mem::replace(&mut self.states, own.1),
            std::mem::replace(&mut self.evaluators, lanes),
        );
        let held_out = self.evaluate(batches);
        (self.parameters, self.states, self.evaluators) = whole;
        Ok(held_out)
    }

    /// The weights and the states that a program of some of the blocks has.
    fn numbers(&self, program: &Program) -> (B::Buffer, B::Buffer) {
        let (whole, backend) = (self.program(), &self.backend);
        let count = whole.states().map(|(_, value)| value.shape.len()).sum();
        let states = backend.download(&self.states, 0..count);
        let weights = gathered(program.weights(), whole.weights(), &self.parameters());
        let states = gathered(program.states(), whole.states(), &states);
        (starting(backend, weights.into_iter()), starting(backend, states.into_iter()))
    }
}

/// The numbers of `wanted`, in its order, of a vector that has them in the order of `there`.
fn gathered<'a, T: Num>(
    wanted: impl Iterator<Item = (Id, &'a Value)>,
    there: impl Iterator<Item = (Id, &'a Value)>,
    numbers: &[T],
) -> Vec<f64> {
    let mut rest = numbers;
    let mut named = HashMap::new();
    for (_, value) in there {
        let (own, others) = rest.split_at(value.shape.len());
        named.insert(value.name.as_str(), own);
        rest = others;
    }
    wanted.flat_map(|(_, value)| named[value.name.as_str()]).map(|x| x.value()).collect()
}
