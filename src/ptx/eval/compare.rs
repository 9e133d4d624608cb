//! Comparisons: ordered, unordered, combined with a truth value.

use super::super::types::Type;
use super::half::Format;
use super::integer::number;
use super::round::flush;
use std::cmp::Ordering;

/// What is asked of two values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Relation {
    Eq,
    Ne,
    Lt,
    Le,
    Gt,
    Ge,
    /// Both are numbers.
    Num,
    /// One is not.
    Nan,
}

/// How a comparison joins a third source.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Join {
    And,
    Or,
    Xor,
}

/// A comparison.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Compare {
    pub relation: Relation,
    /// Whether a NaN makes it true.
    pub unordered: bool,
    pub kind: Type,
    pub ftz: bool,
    pub join: Option<Join>,
}

impl Compare {
    /// The relation that a qualifier names for a type, and whether a NaN makes it true.
    pub fn named(word: &str, kind: Type) -> Option<(Relation, bool)> {
        let float = kind.is_float();
        Some(match word {
            "eq" => (Relation::Eq, false),
            // `ne` of floats is ordered: false for a NaN.
            "ne" => (Relation::Ne, false),
            "lt" => (Relation::Lt, false),
            "le" => (Relation::Le, false),
            "gt" => (Relation::Gt, false),
            "ge" => (Relation::Ge, false),
            "lo" if !float => (Relation::Lt, false),
            "ls" if !float => (Relation::Le, false),
            "hi" if !float => (Relation::Gt, false),
            "hs" if !float => (Relation::Ge, false),
            "equ" if float => (Relation::Eq, true),
            "neu" if float => (Relation::Ne, true),
            "ltu" if float => (Relation::Lt, true),
            "leu" if float => (Relation::Le, true),
            "gtu" if float => (Relation::Gt, true),
            "geu" if float => (Relation::Ge, true),
            "num" if float => (Relation::Num, false),
            "nan" if float => (Relation::Nan, true),
            _ => return None,
        })
    }

    /// The comparison joined with the third source, and its negation likewise.
    pub fn eval(&self, s: &[u64; 4]) -> (u64, u64) {
        let order = match self.kind {
            Type::F32 => {
                let single = |v| flush(f32::from_bits(v as u32), self.ftz);
                single(s[0]).partial_cmp(&single(s[1]))
            }
            Type::F64 => f64::from_bits(s[0]).partial_cmp(&f64::from_bits(s[1])),
            Type::F16 | Type::Bf16 => {
                let format = if self.kind == Type::F16 { Format::F16 } else { Format::Bf16 };
                format.decode(s[0] as u16).partial_cmp(&format.decode(s[1] as u16))
            }
            kind => {
                let number = |v| number(v, kind.bits(), kind.is_signed());
                Some(number(s[0]).cmp(&number(s[1])))
            }
        };
        let holds = match (order, self.relation) {
            (None, _) => self.unordered,
            (Some(order), relation) => match relation {
                Relation::Eq => order == Ordering::Equal,
                Relation::Ne => order != Ordering::Equal,
                Relation::Lt => order == Ordering::Less,
                Relation::Le => order != Ordering::Greater,
                Relation::Gt => order == Ordering::Greater,
                Relation::Ge => order != Ordering::Less,
                Relation::Num => true,
                Relation::Nan => false,
            },
        };
        let third = s[2] != 0;
        let join = |holds: bool| {
            u64::from(match self.join {
                None => holds,
                Some(Join::And) => holds && third,
                Some(Join::Or) => holds || third,
                Some(Join::Xor) => holds != third,
            })
        };
        (join(holds), join(!holds))
    }
}

/// What `testp` asks of a float.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Test {
    Finite,
    Infinite,
    Number,
    NotANumber,
    Normal,
    Subnormal,
}

impl Test {
    /// The test that a qualifier names.
    pub fn named(word: &str) -> Option<Self> {
        Some(match word {
            "finite" => Self::Finite,
            "infinite" => Self::Infinite,
            "number" => Self::Number,
            "notanumber" => Self::NotANumber,
            "normal" => Self::Normal,
            "subnormal" => Self::Subnormal,
            _ => return None,
        })
    }

    /// Whether the float whose bits are given passes.
    pub fn eval(self, bits: u64, double: bool) -> bool {
        let value =
            if double { f64::from_bits(bits) } else { f64::from(f32::from_bits(bits as u32)) };
        let subnormal =
            if double { value.is_subnormal() } else { f32::from_bits(bits as u32).is_subnormal() };
        match self {
            Self::Finite => value.is_finite(),
            Self::Infinite => value.is_infinite(),
            Self::Number => !value.is_nan(),
            Self::NotANumber => value.is_nan(),
            Self::Normal => value.is_finite() && value != 0.0 && !subnormal,
            // Zero counts as subnormal, says the manual.
            Self::Subnormal => subnormal || value == 0.0,
        }
    }
}
