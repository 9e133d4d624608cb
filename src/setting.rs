//! How one field of a configuration is read and written: one spelling for the command line, the
//! TOML file, the stored record and the legend.

use std::fmt;

/// A field was given a value that it does not take.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Invalid {
    /// The field, as spelled on the command line.
    pub field: String,
    /// What was given.
    pub value: String,
    /// What is allowed.
    pub allowed: String,
}

impl Invalid {
    /// Names the field, the value and what is allowed instead.
    pub fn new(field: &str, value: impl fmt::Display, allowed: impl Into<String>) -> Self {
        Invalid { field: field.to_string(), value: value.to_string(), allowed: allowed.into() }
    }
}

impl fmt::Display for Invalid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} = {}: allowed is {}", self.field, self.value, self.allowed)
    }
}

impl std::error::Error for Invalid {}

/// A type that a field can have.
pub trait Setting: Sized {
    /// Reads a value; the error says what is allowed.
    fn read(text: &str) -> Result<Self, String>;
    /// Writes it so that [`Setting::read`] gives it back.
    fn show(&self) -> String;
    /// The values to offer, where there are few.
    fn choices() -> Vec<&'static str> {
        Vec::new()
    }
}

impl Setting for String {
    fn read(text: &str) -> Result<Self, String> {
        Ok(text.to_string())
    }
    fn show(&self) -> String {
        self.clone()
    }
}

macro_rules! number_setting {
    ($($type:ty: $allowed:expr),+ $(,)?) => {$(
        impl Setting for $type {
            fn read(text: &str) -> Result<Self, String> {
                text.parse().map_err(|_| $allowed.to_string())
            }
            fn show(&self) -> String {
                self.to_string()
            }
        }
    )+};
}
number_setting! {
    usize: "a whole number from 0 up",
    u64: "a whole number from 0 up",
    i64: "a whole number",
    f64: "a number",
}

impl Setting for bool {
    fn read(text: &str) -> Result<Self, String> {
        text.parse().map_err(|_| "true or false".to_string())
    }
    fn show(&self) -> String {
        self.to_string()
    }
    fn choices() -> Vec<&'static str> {
        vec!["false", "true"]
    }
}

/// A number that the program chooses unless it is given.
impl<T: Setting> Setting for Option<T> {
    fn read(text: &str) -> Result<Self, String> {
        if text == "auto" {
            return Ok(None);
        }
        T::read(text).map(Some).map_err(|allowed| format!("auto, or {allowed}"))
    }
    fn show(&self) -> String {
        self.as_ref().map_or("auto".to_string(), T::show)
    }
}

/// A name and the settings in brackets behind it, `name(a=1, b=2)`; nothing where it is written
/// otherwise.
pub fn named_with(text: &str) -> Option<(&str, Vec<(&str, &str)>)> {
    let Some((name, rest)) = text.split_once('(') else {
        return Some((text.trim(), Vec::new()));
    };
    let inside = rest.trim_end().strip_suffix(')')?;
    let pairs = inside.split(',').map(|pair| {
        let (name, value) = pair.split_once('=')?;
        Some((name.trim(), value.trim()))
    });
    Some((name.trim(), pairs.collect::<Option<_>>()?))
}

/// Declares an enum whose variants have one spelling everywhere.
#[macro_export]
macro_rules! choices {
    ($(#[$meta:meta])* $name:ident {
        $($(#[$about:meta])* $variant:ident = $id:literal),+ $(,)?
    }) => {
        $(#[$meta])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum $name { $($(#[$about])* $variant),+ }

        impl $name {
            /// Every value.
            pub const ALL: &'static [$name] = &[$($name::$variant),+];
            /// The one spelling.
            pub fn id(self) -> &'static str {
                match self { $($name::$variant => $id),+ }
            }
        }

        impl $crate::setting::Setting for $name {
            fn read(text: &str) -> Result<Self, String> {
                let found = $name::ALL.iter().find(|choice| choice.id() == text);
                found.copied().ok_or_else(|| [$($id),+].join(", "))
            }
            fn show(&self) -> String {
                self.id().to_string()
            }
            fn choices() -> Vec<&'static str> {
                vec![$($id),+]
            }
        }
    };
}
