//! What changes from one update to the next, in a machine's memory: a list of launches that is done
//! again reads it there.

use super::launches::Place;
use super::machine::Machine;
use crate::backend::{self, Rule, Stretch};

/// The numbers of one update, those of every stretch of the parameters side by side: the rate that the
/// first moment is multiplied with, what the root of the second one is, and the share of the parameters
/// that stays.
#[derive(Debug)]
pub struct Pace<M: Machine> {
    memory: Option<M::Memory>,
}

impl<M: Machine> Default for Pace<M> {
    fn default() -> Self {
        Pace { memory: None }
    }
}

/// Numbers of a stretch.
const NUMBERS: usize = 3;

impl<M: Machine> Pace<M> {
    /// Writes them for the next update.
    pub fn set(&mut self, machine: &M, pace: backend::Pace, rule: &Rule, stretches: &[Stretch]) {
        let numbers = stretches.iter().flat_map(|stretch| {
            let pace = backend::Pace { lr: pace.lr * stretch.factors.lr, ..pace };
            let [rate, root] = match *rule {
                Rule::Adamw { beta1, beta2, .. } => pace.corrected(beta1, beta2),
                Rule::Sgd { .. } => [pace.lr, 1.0],
                Rule::Muon { .. } => panic!("no kernels for Muon: see Backend::follows"),
            };
            [rate, root, 1.0 - pace.lr * stretch.factors.decay]
        });
        let bytes: Vec<u8> = numbers.flat_map(|number| (number as f32).to_le_bytes()).collect();
        let memory = self.memory.get_or_insert_with(|| machine.allocate(bytes.len(), false));
        machine.write(memory, 0, &bytes);
    }

    /// Where the rates are, and what stays of a stretch.
    pub fn of(&self, stretch: usize) -> [Option<Place<'_, M::Memory>>; 2] {
        let at = |number| Some((self.memory.as_ref()?, number * size_of::<f32>()));
        [at(NUMBERS * stretch), at(NUMBERS * stretch + 2)]
    }
}
