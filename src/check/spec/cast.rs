//! Contracts about rounding, decided bit by bit.
//!
//! Two 16-bit implementations of `rms_norm` may both be as accurate as their dtype and still differ
//! in most elements: x̂ is rounded before the weight or after it, offset + weight is formed in the
//! accumulator or in 16 bits. Each contract says the bits of an element, unless x̂ is so near to a
//! midpoint of two 16-bit numbers that the sum of squares, in one order or another, decides. The
//! elements that two contracts foretell with certainty, and foretell differently, tell them apart:
//! of a target that keeps the declared one, all have its bits.

use super::operator::number;
use crate::check::call::Call;
use crate::check::tensor::{Dtype, Tensors};

/// Fewer elements than this, where all of a right target's would be on the other side, decide
/// nothing.
const EVIDENCE: usize = 16;

/// Where the roundings are.
#[derive(Clone, Copy, PartialEq)]
struct Contract {
    before_weight: bool,
    narrow_offset: bool,
}

impl Contract {
    fn name(self) -> String {
        let cast = if self.before_weight { "before_weight" } else { "after_weight" };
        let offset = if self.narrow_offset { "in 16 bits" } else { "in the accumulator" };
        format!("cast {cast} with offset + weight formed {offset}")
    }
}

/// In words, the contract that an answer of `rms_norm` keeps instead of the declared one.
pub fn other_than_declared(call: &Call, answer: &Tensors) -> Option<String> {
    let (x, weight) = (call.tensors.get("x")?, call.tensors.get("weight")?);
    let y = answer.get("y").filter(|y| y.values.len() == x.values.len())?;
    if call.dtype.bytes() != 2 {
        return None;
    }
    let before = call.attrs["cast"] == "before_weight";
    let offset = number(&call.attrs, "offset");
    let declared = Contract { before_weight: before, narrow_offset: false };
    let others = [(!before, false), (before, true), (!before, true)]
        .map(|(before_weight, narrow_offset)| Contract { before_weight, narrow_offset })
        .into_iter()
        .filter(|other| offset != 0.0 || !other.narrow_offset);
    let cols = weight.values.len();
    let rstds: Vec<f64> = x
        .values
        .chunks_exact(cols)
        .map(|row| {
            let squares: f64 = row.iter().map(|x| x * x).sum();
            1.0 / (squares / cols as f64 + number(&call.attrs, "eps")).sqrt()
        })
        .collect();
    let bits = |contract: Contract, i: usize| {
        let xhat = x.values[i] * rstds[i / cols];
        foretold(contract, call, xhat, weight.values[i % cols], offset, cols)
    };
    let (mut most, mut instead) = (0, None);
    for other in others {
        let (mut ours, mut theirs) = (0, 0);
        for (i, &y) in y.values.iter().enumerate() {
            if let (Some(a), Some(b)) = (bits(declared, i), bits(other, i))
                && a != b
            {
                ours += usize::from(y == a);
                theirs += usize::from(y == b);
            }
        }
        if theirs >= EVIDENCE && theirs > ours && theirs > most {
            most = theirs;
            instead = Some(format!(
                "behaves like {}: {theirs} elements have its bits, {ours} those of {}",
                other.name(),
                declared.name()
            ));
        }
    }
    instead
}

/// The bits of an element, where a right x̂ and a right product leave no choice.
fn foretold(
    contract: Contract,
    call: &Call,
    xhat: f64,
    weight: f64,
    offset: f64,
    cols: usize,
) -> Option<f64> {
    let u = Dtype::F32.unit();
    // Half of the sum's n + 1 roundings, and those of eps, root, quotient and product.
    let near = (0.5 * cols as f64 + 8.0) * u;
    let gain = weight + offset;
    let gain = if contract.narrow_offset { call.params_dtype.round(gain) } else { gain };
    let end = |sign: f64| {
        let xhat = xhat * (1.0 + sign * near);
        let xhat = if contract.before_weight { call.dtype.round(xhat) } else { xhat };
        // offset + weight and the product are rounded once each.
        call.dtype.round(xhat * gain * (1.0 + sign * 2.0 * u))
    };
    let (low, high) = (end(-1.0), end(1.0));
    (low == high && low.abs() >= call.dtype.smallest_normal()).then_some(low)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gate::Case;
    use crate::gate::mutants::ModelCandidate;
    use crate::gate::{Candidate, Reply};

    fn verdict(target: &'static str, cast: &str, offset: f64) -> Option<String> {
        let id = format!("rms_norm:fwd:bf16:rows=7,cols=256,offset={offset},cast={cast},x=normal");
        let call = id.parse::<Case>().unwrap().call();
        let Ok(Reply::Ok(answer)) = ModelCandidate::new("rms_norm", target).run(&call) else {
            panic!("{target} answers");
        };
        other_than_declared(&call, &answer)
    }

    #[test]
    fn the_declared_contract_is_recognised() {
        for cast in ["before_weight", "after_weight"] {
            for offset in [0.0, 1.0] {
                assert_eq!(verdict("", cast, offset), None);
                assert_eq!(verdict("rms_pairwise", cast, offset), None);
            }
        }
    }

    #[test]
    fn another_contract_is_named() {
        let late = verdict("rms_cast_late", "before_weight", 0.0).unwrap();
        assert!(late.contains("like cast after_weight"), "{late}");
        let early = verdict("rms_cast_early", "after_weight", 0.0).unwrap();
        assert!(early.contains("like cast before_weight"), "{early}");
        let narrow = verdict("rms_offset16", "after_weight", 1.0).unwrap();
        assert!(narrow.contains("formed in 16 bits"), "{narrow}");
    }
}
