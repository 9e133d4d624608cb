//! A list of launches and copies that is made once and done many times.

use super::machine::Machine;

/// Such a list, on its way there.
#[derive(Debug, Default)]
pub enum Recording<M: Machine> {
    /// Nothing was asked for yet.
    #[default]
    Unheard,
    /// Done once as it was asked for: its kernels are compiled, what it needs is allocated. Neither can
    /// be while a list is kept.
    Heard,
    /// Kept.
    Kept(M::Recording),
}

impl<M: Machine> Recording<M> {
    /// Does the list.
    pub fn repeat(&mut self, machine: &M, calls: impl FnOnce()) {
        match self {
            Recording::Unheard => {
                calls();
                *self = Recording::Heard;
            }
            Recording::Heard => {
                machine.begin();
                calls();
                if let Some(list) = machine.end() {
                    machine.replay(&list);
                    *self = Recording::Kept(list);
                }
            }
            Recording::Kept(list) => machine.replay(list),
        }
    }
}
