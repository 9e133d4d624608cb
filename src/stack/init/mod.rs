//! How weights start: one file and one line in the list below each.
//!
//! A scheme says how a matrix is drawn, by its role, its sizes, its block and the depth of the stack.
//! Embeddings and positions are always normal: N(0, 1), but as narrow as the rest under gpt2 and
//! normal_02, and narrower as the width grows under mitchell and t_fixup. A tied head needs them
//! narrower, as [`RunConfig::embed_std`](crate::config::RunConfig::embed_std()) says.

mod weights;

use std::fmt::Debug;
use std::sync::Arc;

pub use weights::{Draw, states};

use crate::choice::{Choice, Constant};
use crate::program::Role;
use crate::setting::Invalid;

/// What a scheme knows of a matrix `[out, in]`.
#[derive(Debug, Clone, Copy)]
pub struct Matrix {
    /// Where it stands in a block.
    pub role: Role,
    /// Features that it reads.
    pub fan_in: f64,
    /// Features that it writes.
    pub fan_out: f64,
    /// The block that it is in, counted from 1; 0 for what is in none.
    pub layer: f64,
    /// Blocks of the stack.
    pub depth: f64,
}

impl Matrix {
    /// Xavier's standard deviation, √(2/(in + out)).
    pub fn xavier(&self) -> f64 {
        (2.0 / (self.fan_in + self.fan_out)).sqrt()
    }

    /// Features of the residual stream that it reads from or writes to.
    pub fn width(&self) -> f64 {
        match self.role {
            Role::Out | Role::Down | Role::Patches => self.fan_out,
            _ => self.fan_in,
        }
    }

    /// Whether it belongs to a block, and not to the front or the head.
    pub fn in_block(&self) -> bool {
        !matches!(self.role, Role::Embed | Role::Positions | Role::Patches | Role::Head)
    }
}

/// How weights start.
pub trait Scheme: Debug + Send + Sync {
    /// Its constants; see [`crate::constants`].
    fn consts(&self) -> Vec<Constant> {
        Vec::new()
    }
    /// The same with one constant changed.
    ///
    /// # Errors
    /// Where it has no such constant, or the constant does not take the value.
    fn with(&self, name: &str, _value: &str) -> Result<Arc<dyn Scheme>, Invalid> {
        Err(Invalid::new("constant", name, "none"))
    }
    /// Standard deviation of embeddings and positions, of so many features in so many blocks.
    fn embedding_std(&self, _width: f64, _depth: f64) -> f64 {
        1.0
    }
    /// Whether embeddings keep that deviation where the head is tied to them.
    fn is_narrow(&self) -> bool {
        false
    }
    /// What the width is to a base width, where rates and logits follow it; see [`Mup`].
    fn width_multiplier(&self, _width: f64) -> Option<f64> {
        None
    }
    /// How a matrix of a block, or the head, is drawn.
    fn matrix(&self, m: Matrix) -> Draw;
}

/// A scheme and its constants, as a stack is given it: `xavier_normal(gain=0.5)`.
pub type Init = Choice<dyn Scheme>;

crate::list! { dyn Scheme;
    xavier_uniform::XavierUniform,
    xavier_normal::XavierNormal,
    kaiming_uniform::KaimingUniform,
    kaiming_normal::KaimingNormal,
    lecun_normal::LecunNormal,
    orthogonal::Orthogonal,
    normal_02::Normal02,
    gpt2::Gpt2,
    deepnorm::Deepnorm,
    small_init::SmallInit,
    ds_init::DsInit,
    fixup::Fixup,
    t_fixup::TFixup,
    mitchell::Mitchell,
    residual_zero::ResidualZero,
    looks_linear::LooksLinear,
    torch_default::TorchDefault,
    mup::Mup,
    sub_ln::SubLn,
}
