//! What a stack is examined for when its training is over, as rows of its record.

use super::Trainer;
use crate::backend::Backend;
use crate::config::Examine;
use crate::probe::Probe;

/// Draws behind an estimate of a Jacobian's norm: its relative standard error is below 1/√draws.
const DRAWS: usize = 16;

impl<B: Backend> Trainer<B> {
    /// Examines the stack as the configuration asks. The losses without blocks are means over so many
    /// `batches`, and given as what they are above `held_out`, that of the whole stack.
    ///
    /// | examine | metric | site |
    /// |---|---|---|
    /// | response | `change`: root mean square of what one step adds | stream, attn, ffn, logits |
    /// | shift | `shift`: ‖G − G′‖/‖G‖, `shift_cosine` | block |
    /// | jacobian | `jacobian`: ‖∂x_L/∂x_l‖_F/√n | stream |
    /// | blocks | `left_out`, `swapped`: loss above that of the whole stack | block |
    pub(super) fn examine(&mut self, probe: &mut Probe, batches: usize, held_out: f64) {
        match self.config.examine {
            Examine::None => {}
            Examine::Response => {
                for change in self.respond() {
                    probe.push(change.layer, &change.site, "change", change.change);
                }
            }
            Examine::Shift => {
                for shift in self.shifts() {
                    let relative = shift.distance / shift.grad_norm;
                    probe.push(shift.layer, "block", "shift", relative);
                    probe.push(shift.layer, "block", "shift_cosine", shift.cosine);
                }
            }
            Examine::Jacobian => {
                for (layer, norm) in self.jacobian_norms(DRAWS).into_iter().enumerate() {
                    probe.push(layer, "stream", "jacobian", norm);
                }
            }
            Examine::Blocks => self.without_blocks(probe, batches, held_out),
        }
    }

    fn without_blocks(&mut self, probe: &mut Probe, batches: usize, held_out: f64) {
        let depth = self.config.depth;
        let mut above = |blocks: Vec<usize>| {
            let loss = self.evaluate_of(&blocks, batches).expect("blocks of this stack").loss;
            loss - held_out
        };
        for block in 1..=depth {
            let rest = (1..=depth).filter(|&other| other != block).collect();
            probe.push(block, "block", "left_out", above(rest));
        }
        for block in 1..depth {
            let mut order: Vec<usize> = (1..=depth).collect();
            order.swap(block - 1, block);
            probe.push(block, "block", "swapped", above(order));
        }
    }
}
