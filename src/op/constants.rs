//! The constants of an operator: what a call of it depends on besides its arguments.
//!
//! An operator lists them by name, and makes itself again with one of them changed. From that
//! follow the command line, the sweeps, the attributes of the gate and what a device is told.

use crate::setting::Setting;

/// A constant of an operator, as it is written on the command line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Constant {
    /// Its name, that of the field.
    pub name: &'static str,
    /// Its value.
    pub value: String,
    /// What it may be, in words.
    pub allowed: String,
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
        match self {
            Allowed::Finite => "a finite number".to_string(),
            Allowed::NotNegative => "a finite number from 0 up".to_string(),
            Allowed::Share => "a number from 0 to 1".to_string(),
            Allowed::Count => "a whole number from 1 up".to_string(),
            Allowed::Any => T::read("\0").err().unwrap_or_default(),
        }
    }

    /// Reads a value; the error says what is allowed.
    pub fn read<T: Setting>(self, text: &str) -> Result<T, String> {
        let number = text.parse::<f64>().unwrap_or(f64::NAN);
        let holds = match self {
            Allowed::Finite => number.is_finite(),
            Allowed::NotNegative => number.is_finite() && number >= 0.0,
            Allowed::Share => (0.0..=1.0).contains(&number),
            Allowed::Count => number >= 1.0,
            Allowed::Any => true,
        };
        let value = T::read(text).ok().filter(|_| holds);
        value.ok_or_else(|| self.words::<T>())
    }
}

/// Writes [`Op::consts`](super::Op::consts) and [`Op::with`](super::Op::with) of an operator whose
/// fields are its constants: `constants! { eps: NotNegative, offset: Finite }`.
#[macro_export]
macro_rules! constants {
    ($($field:ident: $allowed:ident),+ $(,)?) => {
        fn consts(&self) -> Vec<$crate::op::Constant> {
            fn words<T: $crate::setting::Setting>(_: &T, allowed: $crate::op::Allowed) -> String {
                allowed.words::<T>()
            }
            vec![$($crate::op::Constant {
                name: stringify!($field),
                value: $crate::setting::Setting::show(&self.$field),
                allowed: words(&self.$field, $crate::op::Allowed::$allowed),
            }),+]
        }
        fn with(
            &self,
            name: &str,
            value: &str,
        ) -> Result<$crate::op::SharedOp, $crate::setting::Invalid> {
            let mut changed = self.clone();
            match name {
                $(stringify!($field) => {
                    changed.$field = $crate::op::Allowed::$allowed
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
