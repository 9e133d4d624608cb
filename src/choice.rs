//! One of a list, with constants of its own: `layer_norm(eps=1e-6)`.
//!
//! What is listed (an operator, a wiring) names its constants and makes itself again with one of
//! them changed. From that follow the command line, the sweeps, the stored record, the attributes
//! of the gate and what a device is told.

use std::ops::Deref;
use std::sync::Arc;

use crate::setting::{Invalid, Setting, named_with};

/// An entry of a list.
#[derive(Debug)]
pub struct Entry<T: ?Sized> {
    /// The one name, in snake_case, that of its file.
    pub id: &'static str,
    /// The formula and its source in one line.
    pub about: &'static str,
    /// Makes it with its usual constants.
    pub make: fn() -> Arc<T>,
}

/// The constant that says whether a norm is trained: whoever uses what was chosen sets it, and not who
/// chooses it.
pub const MODE: &str = "training";

/// What an entry of a list is made of; see [`crate::list`].
pub trait Described: Sized {
    /// The one name, in snake_case, that of the file.
    const ID: &'static str;
    /// The formula and its source in one line.
    const ABOUT: &'static str;
    /// With the usual constants.
    fn new() -> Self;
}

/// What is listed.
pub trait Listed: 'static {
    /// Every one there is.
    fn entries() -> &'static [Entry<Self>];
    /// Its constants.
    fn constants(&self) -> Vec<Constant>;
    /// The same with one constant changed.
    ///
    /// # Errors
    /// Where it has no such constant, or the constant does not take the value.
    fn changed(&self, name: &str, value: &str) -> Result<Arc<Self>, Invalid>;
}

/// An entry of a list, and the constants that are not its usual ones.
pub struct Choice<T: Listed + ?Sized> {
    entry: &'static Entry<T>,
    value: Arc<T>,
    /// In the order of their list, each as it is shown.
    unusual: Vec<(&'static str, String)>,
}

impl<T: Listed + ?Sized> Choice<T> {
    /// An entry with its usual constants.
    pub fn of(entry: &'static Entry<T>) -> Self {
        Choice { entry, value: (entry.make)(), unusual: Vec::new() }
    }
    /// The same by its name, which must be on the list.
    pub fn usual(id: &str) -> Self {
        let found = T::entries().iter().find(|entry| entry.id == id);
        Choice::of(found.unwrap_or_else(|| panic!("{id} is not on the list")))
    }
    /// Its name, without the constants.
    pub fn id(&self) -> &'static str {
        self.entry.id
    }
    /// What was chosen.
    pub fn shared(&self) -> Arc<T> {
        self.value.clone()
    }
    /// The constants that may be chosen, as they are.
    pub fn constants(&self) -> Vec<Constant> {
        let all = self.value.constants();
        all.into_iter().filter(|constant| constant.name != MODE).collect()
    }
}

impl<T: Listed + ?Sized> Deref for Choice<T> {
    type Target = T;
    fn deref(&self) -> &T {
        &self.value
    }
}

impl<T: Listed + ?Sized> Clone for Choice<T> {
    fn clone(&self) -> Self {
        Choice { entry: self.entry, value: self.value.clone(), unusual: self.unusual.clone() }
    }
}

impl<T: Listed + ?Sized> PartialEq for Choice<T> {
    fn eq(&self, other: &Self) -> bool {
        self.entry.id == other.entry.id && self.unusual == other.unusual
    }
}

impl<T: Listed + ?Sized> std::fmt::Debug for Choice<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.show())
    }
}

impl<T: Listed + ?Sized> Setting for Choice<T> {
    fn read(text: &str) -> Result<Self, String> {
        let listed = || format!("{}; constants in brackets", Self::choices().join(", "));
        let (name, given) = named_with(text).ok_or_else(listed)?;
        let entry = T::entries().iter().find(|entry| entry.id == name).ok_or_else(listed)?;
        let mut choice = Choice::of(entry);
        let usual = choice.constants();
        for (i, &(constant, value)) in given.iter().enumerate() {
            if given[..i].iter().any(|(before, _)| *before == constant) {
                return Err(format!("{constant} once"));
            }
            let Some(known) = usual.iter().find(|known| known.name == constant) else {
                let names: Vec<&str> = usual.iter().map(|known| known.name).collect();
                let names = if names.is_empty() { "none".to_string() } else { names.join(", ") };
                return Err(format!("of the constants of {name}: {names}"));
            };
            let changed = choice.value.changed(constant, value);
            choice.value = changed.map_err(|_| format!("{constant} {}", known.allowed))?;
        }
        let now = choice.constants().into_iter().zip(usual);
        let unusual = now.filter(|(now, usual)| now.value != usual.value);
        choice.unusual = unusual.map(|(now, _)| (now.name, now.value)).collect();
        Ok(choice)
    }
    fn show(&self) -> String {
        if self.unusual.is_empty() {
            return self.entry.id.to_string();
        }
        let constants: Vec<String> =
            self.unusual.iter().map(|(name, value)| format!("{name}={value}")).collect();
        format!("{}({})", self.entry.id, constants.join(","))
    }
    fn choices() -> Vec<&'static str> {
        T::entries().iter().map(|entry| entry.id).collect()
    }
}

/// A constant, as it is written on the command line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Constant {
    /// Its name, that of the field.
    pub name: &'static str,
    /// Its value.
    pub value: String,
    /// What it may be, in words.
    pub allowed: String,
    /// What it may be.
    pub kind: Allowed,
}

/// Which values a constant may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Allowed {
    /// Every finite number.
    Finite,
    /// Finite numbers from 0 up.
    NotNegative,
    /// Numbers from 0 to 1.
    Share,
    /// Whole numbers from 1 up.
    Count,
    /// Whatever its type reads.
    Any,
}

impl Allowed {
    /// In words.
    pub fn words<T: Setting>(self) -> String {
        let number = match self {
            Allowed::Finite => "a finite number",
            Allowed::NotNegative => "a finite number from 0 up",
            Allowed::Share => "a number from 0 to 1",
            Allowed::Count => "a whole number from 1 up",
            // What a type says that it reads, when it is given what nothing reads.
            Allowed::Any => return T::read("\0").err().unwrap_or_default(),
        };
        let auto = if T::read("auto").is_ok() { "auto, or " } else { "" };
        format!("{auto}{number}")
    }

    /// Reads a value; the error says what is allowed.
    pub fn read<T: Setting>(self, text: &str) -> Result<T, String> {
        // What is no number is one word that the type knows, such as auto, or refused by it.
        let holds = text.parse::<f64>().map_or(true, |number| match self {
            Allowed::Finite => number.is_finite(),
            Allowed::NotNegative => number.is_finite() && number >= 0.0,
            Allowed::Share => (0.0..=1.0).contains(&number),
            Allowed::Count => number >= 1.0,
            Allowed::Any => true,
        });
        let value = T::read(text).ok().filter(|_| holds);
        value.ok_or_else(|| self.words::<T>())
    }
}

/// Writes `consts` and `with` of a type whose fields are its constants, shared as `$shared`:
/// `constants! { dyn Op; eps: NotNegative, offset: Finite }`.
#[macro_export]
macro_rules! constants {
    ($shared:ty; $($field:ident: $allowed:ident),+ $(,)?) => {
        fn consts(&self) -> Vec<$crate::choice::Constant> {
            fn words<T: $crate::setting::Setting>(
                _: &T,
                allowed: $crate::choice::Allowed,
            ) -> String {
                allowed.words::<T>()
            }
            vec![$($crate::choice::Constant {
                name: stringify!($field),
                value: $crate::setting::Setting::show(&self.$field),
                allowed: words(&self.$field, $crate::choice::Allowed::$allowed),
                kind: $crate::choice::Allowed::$allowed,
            }),+]
        }
        fn with(
            &self,
            name: &str,
            value: &str,
        ) -> Result<std::sync::Arc<$shared>, $crate::setting::Invalid> {
            let mut changed = self.clone();
            match name {
                $(stringify!($field) => {
                    changed.$field = $crate::choice::Allowed::$allowed
                        .read(value)
                        .map_err(|allowed| $crate::setting::Invalid::new(name, value, allowed))?;
                })+
                _ => {
                    let names = [$(stringify!($field)),+].join(", ");
                    return Err($crate::setting::Invalid::new("constant", name, names));
                }
            }
            Ok(std::sync::Arc::new(changed))
        }
    };
}

/// Writes a list: its modules, one per entry and of its name, their types, `ALL`, and [`Listed`] of
/// `$shared`, whose `consts` and `with` tell the constants.
#[macro_export]
macro_rules! list {
    ($shared:ty; $($module:ident::$entry:ident),+ $(,)?) => {
        $(pub mod $module;)+
        $(pub use $module::$entry;)+
        /// Every one there is, in order.
        pub const ALL: &[$crate::choice::Entry<$shared>] = &[$($crate::choice::Entry {
            id: <$entry as $crate::choice::Described>::ID,
            about: <$entry as $crate::choice::Described>::ABOUT,
            make: || std::sync::Arc::new(<$entry as $crate::choice::Described>::new()),
        }),+];

        impl $crate::choice::Listed for $shared {
            fn entries() -> &'static [$crate::choice::Entry<$shared>] {
                ALL
            }
            fn constants(&self) -> Vec<$crate::choice::Constant> {
                self.consts()
            }
            fn changed(
                &self,
                name: &str,
                value: &str,
            ) -> Result<std::sync::Arc<$shared>, $crate::setting::Invalid> {
                self.with(name, value)
            }
        }
    };
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::op::norm::NormChoice;
    use crate::stack::Wiring;

    #[test]
    fn constants_are_read_shown_and_given_to_the_operator() {
        let choice = NormChoice::read("rms_norm(offset=1, eps=1e-3)").unwrap();
        assert_eq!(choice.show(), "rms_norm(eps=0.001,offset=1)");
        assert_eq!(NormChoice::read(&choice.show()).unwrap(), choice);
        let consts = choice.constants();
        assert_eq!((&*consts[0].value, &*consts[1].value), ("0.001", "1"));
    }

    #[test]
    fn what_is_chosen_by_itself_takes_auto_and_finite_numbers() {
        assert_eq!(Wiring::read("deepnorm(alpha=auto)").unwrap().show(), "deepnorm");
        assert_eq!(Wiring::read("deepnorm(alpha=2)").unwrap().show(), "deepnorm(alpha=2)");
        for text in ["deepnorm(alpha=NaN)", "deepnorm(alpha=inf)", "deepnorm(alpha=much)"] {
            let error = Wiring::read(text).unwrap_err();
            assert_eq!(error, "alpha auto, or a finite number", "{text}");
        }
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
            ("layer_norm(eps=1, eps=2)", "eps once"),
        ] {
            let error = NormChoice::read(text).unwrap_err();
            assert!(error.starts_with(allowed), "{text}: {error}");
        }
    }
}
