//! What a stack reads and what it says: the two ends between which the blocks stand.
//!
//! tokens → row of a table, or patches → linear map; the last stream, or one place of it → linear
//! map → cross-entropy of classes, mean squared error of values, or negative log-likelihood under a
//! distribution of each. Which of them, the task says.

use super::Builder;
use crate::choices;
use crate::op::embedding::Embedding;
use crate::op::linear::Linear;
use crate::op::loss::{CrossEntropy, GaussianNll, MeanSquaredError, Reduction, StudentNll};
use crate::op::place::AtPlace;
use crate::op::softcap::Softcap;
use crate::program::{Id, Role, Start};

/// Name of the input of tokens, `[samples, seq]`.
pub const TOKENS: &str = "tokens";
/// Name of the input of patches, `[samples, seq, features]`.
pub const PATCHES: &str = "patches";
/// Name of the input of targets: `[samples, seq]` classes, or `[samples, seq, n]` values, or the
/// `[samples, 1, n]` of one place.
pub const TARGETS: &str = "targets";
/// Name of what the head gives, `[samples, seq, n]` or `[samples, 1, n]`.
pub const LOGITS: &str = "logits";

/// What a stack reads at every place of a sequence.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Front {
    /// One of so many tokens: a row of a table.
    Tokens {
        /// How many there are.
        vocabulary: usize,
    },
    /// So many numbers: a linear map of them (Dosovitskiy et al. 2021, arXiv 2010.11929).
    Patches {
        /// Numbers of a place.
        features: usize,
    },
}

choices! {
    /// The distribution that a value is said to have.
    Law {
        /// Normal, by location and log scale ([`GaussianNll`]).
        Gaussian = "gaussian",
        /// Student's, by location, log scale and degrees of freedom ([`StudentNll`]).
        Student = "student",
    }
}

impl Law {
    /// How many numbers say which distribution of the kind it is.
    pub fn numbers(self) -> usize {
        match self {
            Law::Gaussian => GaussianNll::NUMBERS,
            Law::Student => StudentNll::NUMBERS,
        }
    }
}

/// What a stack says at every place of a sequence, or at one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Head {
    /// One of so many classes, under the cross-entropy. A place whose target is the
    /// [`CrossEntropy`]'s `ignore_index` does not count.
    Classes {
        /// How many there are.
        n: usize,
    },
    /// So many numbers, under the mean squared error. Every place counts.
    Values {
        /// Numbers of a place.
        n: usize,
    },
    /// A distribution of each of so many numbers, under the negative log-likelihood. Every place
    /// counts.
    Distribution {
        /// Which kind of distribution.
        law: Law,
        /// Numbers of a place.
        n: usize,
    },
    /// So many numbers at one place of the sequence, under the mean squared error. No other place
    /// is read.
    ValuesAt {
        /// The place, counted from 0.
        place: usize,
        /// Numbers of it.
        n: usize,
    },
}

impl Head {
    /// Numbers that it says at a place.
    fn says(self) -> usize {
        match self {
            Head::Classes { n } | Head::Values { n } | Head::ValuesAt { n, .. } => n,
            Head::Distribution { law, n } => law.numbers() * n,
        }
    }

    /// Whether it says which of some classes, whose targets can be smoothed.
    pub fn has_classes(self) -> bool {
        matches!(self, Head::Classes { .. })
    }

    /// What its loss is counted in.
    pub fn unit(self) -> &'static str {
        match self {
            Head::Classes { .. } | Head::Distribution { .. } => "nats",
            Head::Values { .. } | Head::ValuesAt { .. } => "mean squared error",
        }
    }
}

/// The front and the head of a stack.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ends {
    /// What it reads.
    pub front: Front,
    /// What it says.
    pub head: Head,
}

impl Ends {
    /// Tokens in, and a token of the same vocabulary out.
    pub fn tokens(vocabulary: usize) -> Ends {
        Ends { front: Front::Tokens { vocabulary }, head: Head::Classes { n: vocabulary } }
    }

    /// Name of the input.
    pub fn input(&self) -> &'static str {
        match self.front {
            Front::Tokens { .. } => TOKENS,
            Front::Patches { .. } => PATCHES,
        }
    }

    /// Whether the head can be the transposed embedding: it says what the front reads.
    pub fn can_be_tied(&self) -> bool {
        matches!((self.front, self.head),
            (Front::Tokens { vocabulary }, Head::Classes { n }) if vocabulary == n)
    }

    /// Numbers of input and target at every place.
    pub fn numbers(&self) -> usize {
        let read = match self.front {
            Front::Tokens { .. } => 1,
            Front::Patches { features } => features,
        };
        let said = match self.head {
            Head::Classes { .. } => 1,
            Head::Values { n } | Head::Distribution { n, .. } | Head::ValuesAt { n, .. } => n,
        };
        read + said
    }

    /// The inputs of a program: what is read, and the targets.
    pub(super) fn inputs(&self, b: &mut Builder, samples: usize) -> (Id, Id) {
        let seq = b.stack.seq;
        let read = match self.front {
            Front::Tokens { .. } => b.program.input(TOKENS, &[samples, seq]),
            Front::Patches { features } => b.program.input(PATCHES, &[samples, seq, features]),
        };
        let targets = match self.head {
            Head::Classes { .. } => b.program.input(TARGETS, &[samples, seq]),
            Head::Values { n } | Head::Distribution { n, .. } => {
                b.program.input(TARGETS, &[samples, seq, n])
            }
            Head::ValuesAt { n, .. } => b.program.input(TARGETS, &[samples, 1, n]),
        };
        (read, targets)
    }

    /// The weight of the front.
    pub(super) fn table(&self, b: &mut Builder) -> Id {
        let width = b.stack.width;
        let (shape, role) = match self.front {
            Front::Tokens { vocabulary } => ([vocabulary, width], Role::Embed),
            Front::Patches { features } => ([width, features], Role::Patches),
        };
        b.program.weight("embed.weight", &shape, Start::Drawn(role))
    }

    /// What is read, as vectors of the stream's width.
    pub(super) fn embed(&self, b: &mut Builder, read: Id, table: Id) -> Id {
        match self.front {
            Front::Tokens { .. } => b.program.apply("embedded", Embedding, &[read, table]),
            Front::Patches { .. } => {
                b.program.apply("embedded", Linear, &[read, table, Id::ABSENT])
            }
        }
    }

    /// The last stream to the loss.
    pub(super) fn close(&self, b: &mut Builder, x: Id, table: Id, targets: Id, training: bool) {
        let stack = b.stack;
        assert!(!stack.tied_head || self.can_be_tied(), "{self:?} have no head to tie");
        let n = self.head.says();
        let head = if stack.tied_head {
            table
        } else {
            b.program.weight("head.weight", &[n, stack.width], Start::Drawn(Role::Head))
        };
        let x = match self.head {
            Head::ValuesAt { place, .. } => b.program.apply("read", AtPlace { place }, &[x]),
            _ => x,
        };
        let mut said = b.program.apply("head.products", Linear, &[x, head, Id::ABSENT]);
        said = b.scale("head.scaled", stack.logits_factor, said);
        if stack.logit_softcap > 0.0 && matches!(self.head, Head::Classes { .. }) {
            said = b.program.apply("head.capped", Softcap { cap: stack.logit_softcap }, &[said]);
        }
        b.program.call(said, LOGITS);
        match self.head {
            Head::Classes { .. } => {
                let loss = CrossEntropy {
                    label_smoothing: if training { stack.label_smoothing } else { 0.0 },
                    z_loss: if training { stack.z_loss } else { 0.0 },
                    ignore_index: stack.ignore_index,
                    reduction: Reduction::Mean,
                };
                b.program.apply("loss", loss, &[said, targets])
            }
            Head::Values { .. } | Head::ValuesAt { .. } => {
                b.program.apply("loss", MeanSquaredError, &[said, targets])
            }
            Head::Distribution { law: Law::Gaussian, .. } => {
                b.program.apply("loss", GaussianNll, &[said, targets])
            }
            Head::Distribution { law: Law::Student, .. } => {
                b.program.apply("loss", StudentNll, &[said, targets])
            }
        };
    }
}
