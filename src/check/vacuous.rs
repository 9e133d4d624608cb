//! Does a case tell the right answer from trivially wrong ones?

use crate::check::call::Call;
use crate::check::judge::{Grade, grade};
use crate::check::oracle::Expected;
use crate::check::spec::operator::Named;
use crate::check::spec::truth;
use crate::check::tensor::Tensor;

/// True for a case within whose bounds every trivially wrong answer lies: zeros, a copy of an
/// input, weights of one, an eps of nothing. Those that are right in truth do not count.
pub fn vacuous(call: &Call, expected: &[Expected]) -> bool {
    let (mut told, mut differed) = (false, false);
    for wrong in trivial(call, expected) {
        for (expected, wrong) in expected.iter().zip(wrong) {
            let Some(values) = wrong else { continue };
            if values.len() != expected.truth.len() || values == expected.truth {
                continue;
            }
            differed = true;
            let wrong = Tensor::new(expected.dtype, &expected.shape, values);
            told |= grade(expected, &wrong).grade == Grade::Fail;
        }
        if told {
            return false;
        }
    }
    differed
}

/// Wrong answers, each with some of the tensors of the right one; the cheap ones first.
fn trivial<'a>(
    call: &'a Call,
    expected: &'a [Expected],
) -> impl Iterator<Item = Vec<Option<Vec<f64>>>> + 'a {
    let zeros = expected.iter().map(|e| Some(vec![0.0; e.truth.len()])).collect();
    let copies = call.tensors.values().map(move |input| {
        let same = |e: &Expected| (e.shape == input.shape).then(|| input.values.clone());
        expected.iter().map(same).collect()
    });
    let plainer = [ones(call), without_eps(call)].into_iter().flatten();
    let others = plainer.map(move |call| {
        let truth: Vec<Named<f64>> = truth::truth(&call);
        truth.into_iter().map(|named| Some(named.data)).collect()
    });
    std::iter::once(zeros).chain(copies).chain(others)
}

fn ones(call: &Call) -> Option<Call> {
    let mut plain = call.clone();
    plain.tensors.get_mut("weight")?.values.fill(1.0);
    Some(plain)
}

fn without_eps(call: &Call) -> Option<Call> {
    let mut plain = call.clone();
    *plain.attrs.get_mut("eps")? = 0.0.into();
    Some(plain)
}
