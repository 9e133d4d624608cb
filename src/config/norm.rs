//! Which norm a stack has, with which constants.

use crate::op::norm::{self, NormEntry};
use crate::op::{Constant, SharedOp};
use crate::setting::{Setting, named_with};

/// A norm of the list [`norm::ALL`] and the constants that are not its usual ones:
/// `layer_norm(eps=1e-6)`.
#[derive(Debug, Clone)]
pub struct NormChoice {
    entry: &'static NormEntry,
    /// In the order of the norm, each as it is shown.
    consts: Vec<(&'static str, String)>,
}

/// Set by whoever builds a stack, and not by who chooses its norm.
const MODE: &str = "training";

impl NormChoice {
    /// A norm with its usual constants; `id` must be on the list.
    pub fn usual(id: &str) -> Self {
        let entry = norm::named(id).expect("a norm of the list");
        NormChoice { entry, consts: Vec::new() }
    }
    /// Its name, without the constants.
    pub fn id(&self) -> &'static str {
        self.entry.id
    }
    /// The operator, for training or for evaluation.
    pub fn make(&self, training: bool) -> SharedOp {
        let usual = (self.entry.make)(training);
        self.consts.iter().fold(usual, |op, (name, value)| {
            op.with(name, value).expect("a constant that was read before")
        })
    }
}

impl NormChoice {
    /// The constants that may be chosen, as they are.
    pub fn constants(&self) -> Vec<Constant> {
        let all = self.make(true).consts();
        all.into_iter().filter(|constant| constant.name != MODE).collect()
    }
}

impl PartialEq for NormChoice {
    fn eq(&self, other: &Self) -> bool {
        self.entry.id == other.entry.id && self.consts == other.consts
    }
}

impl Setting for NormChoice {
    fn read(text: &str) -> Result<Self, String> {
        let listed = || format!("{}; constants in brackets", Self::choices().join(", "));
        let (name, given) = named_with(text).ok_or_else(listed)?;
        let entry = norm::named(name).ok_or_else(listed)?;
        let usual = NormChoice { entry, consts: Vec::new() };
        let own = usual.constants();
        let mut op = usual.make(true);
        for (constant, value) in given {
            let Some(known) = own.iter().find(|known| known.name == constant) else {
                let names: Vec<&str> = own.iter().map(|known| known.name).collect();
                let names = if names.is_empty() { "none".to_string() } else { names.join(", ") };
                return Err(format!("of the constants of {name}: {names}"));
            };
            op = op.with(constant, value).map_err(|_| format!("{constant} {}", known.allowed))?;
        }
        let changed = op.consts().into_iter().filter(|now| {
            own.iter().any(|usual| usual.name == now.name && usual.value != now.value)
        });
        Ok(NormChoice { entry, consts: changed.map(|now| (now.name, now.value)).collect() })
    }
    fn show(&self) -> String {
        if self.consts.is_empty() {
            return self.entry.id.to_string();
        }
        let consts: Vec<String> =
            self.consts.iter().map(|(name, value)| format!("{name}={value}")).collect();
        format!("{}({})", self.entry.id, consts.join(","))
    }
    fn choices() -> Vec<&'static str> {
        norm::ALL.iter().map(|entry| entry.id).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn constants_are_read_shown_and_given_to_the_operator() {
        let choice = NormChoice::read("rms_norm(offset=1, eps=1e-3)").unwrap();
        assert_eq!(choice.show(), "rms_norm(eps=0.001,offset=1)");
        assert_eq!(NormChoice::read(&choice.show()).unwrap(), choice);
        let consts = choice.make(true).consts();
        assert_eq!((&*consts[0].value, &*consts[1].value), ("0.001", "1"));
        assert_eq!(
            NormChoice::read("batch_norm(momentum=0.01)").unwrap().make(false).consts()[2].value,
            "false"
        );
    }

    #[test]
    fn usual_constants_are_no_other_norm() {
        let choice = NormChoice::read("layer_norm(eps=0.00001)").unwrap();
        assert_eq!(
            (choice.clone(), &*choice.show()),
            (NormChoice::usual("layer_norm"), "layer_norm")
        );
        assert_ne!(choice, NormChoice::read("layer_norm(eps=1e-6)").unwrap());
    }

    #[test]
    fn what_is_no_norm_or_constant_is_refused_in_a_line() {
        for (text, allowed) in [
            ("lawyer_norm", "bare_rms_norm, batch_norm, "),
            ("layer_norm(eps", "bare_rms_norm, batch_norm, "),
            ("layer_norm(ebs=1)", "of the constants of layer_norm: eps"),
            ("dynamic_tanh(eps=1)", "of the constants of dynamic_tanh: none"),
            ("batch_norm(training=false)", "of the constants of batch_norm: eps, momentum"),
            ("layer_norm(eps=-1)", "eps a finite number from 0 up"),
            ("layer_norm(eps=NaN)", "eps a finite number from 0 up"),
            ("batch_norm(momentum=2)", "momentum a number from 0 to 1"),
            ("rms_norm(cast=never)", "cast before_weight, after_weight"),
        ] {
            let error = NormChoice::read(text).unwrap_err();
            assert!(error.starts_with(allowed), "{text}: {error}");
        }
    }
}
