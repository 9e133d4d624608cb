//! The fundamental types of PTX (`.f32`, `.s64`, `.b16`, …) and the spaces of memory.

/// A fundamental type as instructions name it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Type {
    /// Bits without a meaning, of the width given.
    Bits(u32),
    /// An unsigned integer of the width given.
    Unsigned(u32),
    /// A signed integer of the width given.
    Signed(u32),
    /// IEEE binary16.
    F16,
    /// The upper half of a binary32.
    Bf16,
    /// Two binary16 in one register.
    F16x2,
    /// Two bfloat16 in one register.
    Bf16x2,
    /// IEEE binary32.
    F32,
    /// IEEE binary64.
    F64,
    /// A truth value.
    Pred,
}

impl Type {
    /// The type that a qualifier names, without its dot.
    pub fn named(word: &str) -> Option<Self> {
        Some(match word {
            "b8" => Self::Bits(8),
            "b16" => Self::Bits(16),
            "b32" => Self::Bits(32),
            "b64" => Self::Bits(64),
            "u8" => Self::Unsigned(8),
            "u16" => Self::Unsigned(16),
            "u32" => Self::Unsigned(32),
            "u64" => Self::Unsigned(64),
            "s8" => Self::Signed(8),
            "s16" => Self::Signed(16),
            "s32" => Self::Signed(32),
            "s64" => Self::Signed(64),
            "f16" => Self::F16,
            "bf16" => Self::Bf16,
            "f16x2" => Self::F16x2,
            "bf16x2" => Self::Bf16x2,
            "f32" => Self::F32,
            "f64" => Self::F64,
            "pred" => Self::Pred,
            _ => return None,
        })
    }

    /// How many bits a value has.
    pub fn bits(self) -> u32 {
        match self {
            Self::Bits(n) | Self::Unsigned(n) | Self::Signed(n) => n,
            Self::F16 | Self::Bf16 => 16,
            Self::F16x2 | Self::Bf16x2 | Self::F32 => 32,
            Self::F64 => 64,
            Self::Pred => 1,
        }
    }

    /// How many bytes a value takes in memory.
    pub fn bytes(self) -> u64 {
        u64::from(self.bits().div_ceil(8))
    }

    /// Whether comparison and widening respect a sign.
    pub fn is_signed(self) -> bool {
        matches!(self, Self::Signed(_))
    }

    /// Whether the value is a floating-point number (packed ones too).
    pub fn is_float(self) -> bool {
        !matches!(self, Self::Bits(_) | Self::Unsigned(_) | Self::Signed(_) | Self::Pred)
    }
}

/// A space of memory that a load, a store or a variable names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Space {
    /// Addresses that say by their value which space they mean.
    Generic,
    /// Device memory: buffers and variables of the module.
    Global,
    /// Constant memory; here it lies beside global memory and cannot be written.
    Const,
    /// The memory that the threads of a block share.
    Shared,
    /// Memory of one thread.
    Local,
    /// Parameters of the kernel and of device functions.
    Param,
}

impl Space {
    /// The space that a qualifier names, without its dot.
    pub fn named(word: &str) -> Option<Self> {
        Some(match word {
            "global" => Self::Global,
            "const" => Self::Const,
            "shared" | "shared::cta" => Self::Shared,
            "local" => Self::Local,
            "param" | "param::entry" | "param::func" => Self::Param,
            _ => return None,
        })
    }
}
