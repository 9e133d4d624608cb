//! The norms: an open set, one file each and one line in the list below.
//!
//! A norm is an [`Op`] whose first argument is x and whose other arguments are its own tensors,
//! each of one element per column or of a single element. Everything else (the checks, the stacks
//! under every wiring, the command line, the reports) iterates over [`ALL`].

use super::{Op, Shape, SharedOp};

/// A norm that the list below can name.
pub trait Norm: Op + Sized {
    /// The one name, in snake_case, that of the file.
    const ID: &'static str;
    /// The formula and its source in one line.
    const ABOUT: &'static str;
    /// The norm with its usual constants; `training` matters to batch statistics only.
    fn new(training: bool) -> Self;
}

/// An entry of the list of norms.
#[derive(Debug, Clone, Copy)]
pub struct NormEntry {
    /// The one name.
    pub id: &'static str,
    /// The formula and its source in one line.
    pub about: &'static str,
    /// Makes the operator, for training or for evaluation.
    pub make: fn(training: bool) -> SharedOp,
}

macro_rules! norms {
    ($($module:ident::$norm:ident),+ $(,)?) => {
        $(pub mod $module;)+
        $(pub use $module::$norm;)+
        /// Every norm there is.
        pub const ALL: &[NormEntry] = &[$(NormEntry {
            id: <$norm as Norm>::ID,
            about: <$norm as Norm>::ABOUT,
            make: |training| std::sync::Arc::new(<$norm as Norm>::new(training)),
        }),+];
    };
}

norms! {
    bare_rms_norm::BareRmsNorm,
    batch_norm::BatchNorm,
    dynamic_tanh::DynamicTanh,
    layer_norm::LayerNorm,
    rms_norm::RmsNorm,
    scale_norm::ScaleNorm,
}

/// The norm called `id`.
pub fn named(id: &str) -> Option<&'static NormEntry> {
    ALL.iter().find(|entry| entry.id == id)
}

/// The shapes of a norm's example: x of `rows` × `cols`, and each of its tensors.
fn example(own: &[usize], rows: usize, cols: usize) -> Vec<Shape> {
    let mut shapes = vec![Shape::new(&[rows, cols])];
    shapes.extend(own.iter().map(|&len| Shape::new(&[len])));
    shapes
}
