//! Hyper-connections (Zhu et al. 2024, arXiv 2409.19606, the static ones) and their
//! constrained form (Xie et al. 2025, mHC, arXiv 2512.24880).
//!
//! n residual streams x₁ … xₙ, all from the embedding. A sublayer reads h = Σⱼ aⱼ·xⱼ and writes
//! xᵢ′ = Σⱼ Aᵢⱼ·xⱼ + bᵢ·f(norm(h)), with a, A and b learned: a from one stream, another in the next
//! sublayer, A from the identity, b from ones. The blocks leave Σᵢ xᵢ, and a norm is behind them.
//!
//! With `doubly_stochastic`, A = sinkhorn(Ã): rows and columns sum to one, so that no stack of any
//! depth makes the streams larger by mixing them; Ã starts at the identity.

use super::{Streams, Wire};
use crate::choice::Described;
use crate::op::residual::{GainedResidual, Residual, Scale};
use crate::op::sinkhorn::Sinkhorn;
use crate::op::weighted_sum::{MOST_TERMS, WeightedSum};
use crate::program::{Id, Start};
use crate::setting::Setting;
use crate::stack::{Builder, Sublayer};

/// How many residual streams there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StreamCount(pub usize);

impl Setting for StreamCount {
    fn read(text: &str) -> Result<Self, String> {
        let count = text.parse().ok().filter(|n| (1..=MOST_TERMS).contains(n));
        count.map(StreamCount).ok_or_else(|| format!("a whole number from 1 to {MOST_TERMS}"))
    }
    fn show(&self) -> String {
        self.0.to_string()
    }
}

/// x′ᵢ = Σⱼ Aᵢⱼ·xⱼ + bᵢ·f(norm(Σⱼ aⱼ·xⱼ)).
#[derive(Debug, Clone, Copy)]
pub struct HyperConnections {
    /// n.
    pub streams: StreamCount,
    /// Whether the rows and the columns of A sum to one.
    pub doubly_stochastic: bool,
}

impl Described for HyperConnections {
    const ID: &'static str = "hyper_connections";
    const ABOUT: &'static str =
        "n streams, x'ᵢ = ΣAᵢⱼxⱼ + bᵢ·f(norm(Σaⱼxⱼ)), final norm of Σxᵢ (Zhu et al. 2024)";
    fn new() -> Self {
        HyperConnections { streams: StreamCount(4), doubly_stochastic: false }
    }
}

impl Wire for HyperConnections {
    crate::constants! { dyn Wire; streams: Any, doubly_stochastic: Any }
    fn open(&self, b: &mut Builder, x: Id) -> Streams {
        // One value cannot be two arguments of an operator.
        let mut copy =
            |i: usize| b.program.apply(&format!("stream.{i}"), Scale { factor: 1.0 }, &[x]);
        Streams((0..self.streams.0).map(|i| if i == 0 { x } else { copy(i) }).collect())
    }
    fn wire(&self, s: &mut Sublayer, streams: Streams) -> Streams {
        let h = read(s, &streams.0);
        let n = s.norm(h);
        let f = s.branch(n);
        self.write(s, &streams.0, f)
    }
    fn close(&self, b: &mut Builder, streams: Streams) -> Id {
        let (&first, others) = streams.0.split_first().expect("at least one stream");
        others.iter().enumerate().fold(first, |sum, (i, &x)| {
            b.program.apply(&format!("joined.{}", i + 1), Residual::PLAIN, &[sum, x])
        })
    }
}

impl HyperConnections {
    /// xᵢ′ = Σⱼ Aᵢⱼ·xⱼ + bᵢ·f.
    fn write(&self, s: &mut Sublayer, x: &[Id], f: Id) -> Streams {
        let (terms, mix, sum) = (x.len(), s.site("mix"), s.site("sum"));
        let p = s.program();
        let mut matrix = p.weight(&format!("{mix}.weight"), &[terms, terms], Start::OneHot(0));
        if self.doubly_stochastic {
            matrix = p.apply(&mix, Sinkhorn { iterations: 20 }, &[matrix]);
        }
        let write = |row: usize| {
            let weighted = WeightedSum { terms, row };
            let mixed = p.apply(&format!("{mix}.{row}"), weighted, &arguments(x, matrix));
            let gain = p.weight(&format!("{sum}.{row}.weight"), &[1], Start::Value(1.0));
            p.apply(&format!("{sum}.{row}"), GainedResidual, &[mixed, f, gain])
        };
        Streams((0..terms).map(write).collect())
    }
}

/// Σⱼ aⱼ·xⱼ, from another stream in every sublayer.
fn read(s: &mut Sublayer, x: &[Id]) -> Id {
    let (terms, site) = (x.len(), s.site("read"));
    let sublayer = 2 * (s.layer() - 1) + s.kind() as usize;
    let start = Start::OneHot(sublayer % terms);
    let weight = s.program().weight(&format!("{site}.weight"), &[1, terms], start);
    s.program().apply(&site, WeightedSum { terms, row: 0 }, &arguments(x, weight))
}

/// The arguments of a weighted sum: its matrix stands behind the first term.
fn arguments(x: &[Id], matrix: Id) -> Vec<Id> {
    [&x[..1], &[matrix], &x[1..]].concat()
}
