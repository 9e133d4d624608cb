//! Pre-LN (Xiong et al. 2020, arXiv 2002.04745, table 1).
//!
//! x′ = x + f(norm(x)), and a norm behind the last block.

use super::{Streams, Wire};
use crate::choice::Described;
use crate::stack::Sublayer;

/// x′ = x + f(norm(x)).
#[derive(Debug, Clone, Copy)]
pub struct PreLn;

impl Described for PreLn {
    const ID: &'static str = "pre_ln";
    const ABOUT: &'static str = "x' = x + f(norm(x)), final norm (Xiong et al. 2020)";
    fn new() -> Self {
        PreLn
    }
}

impl Wire for PreLn {
    fn wire(&self, s: &mut Sublayer, x: Streams) -> Streams {
        let x = x.one();
        let n = s.norm(x);
        let f = s.branch(n);
        s.add(x, f).into()
    }
}
