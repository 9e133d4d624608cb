//! The right answer to a call, at whichever number it is read.

use std::collections::BTreeMap;

use super::operator::{Formula, Named, Operator, Problem};
use crate::check::call::{Call, Dir};
use crate::num::Num;

/// The truth alone, at `f64`.
pub fn truth(call: &Call) -> Vec<Named<f64>> {
    let variant = BTreeMap::new();
    answer(operator(call), call.dir, &Problem::<f64>::exact(call, &variant))
}

/// The names of a full answer.
pub fn names(call: &Call) -> Vec<String> {
    truth(call).into_iter().map(|named| named.name).collect()
}

/// The operator that a call asks for.
pub fn operator(call: &Call) -> &'static dyn Operator {
    super::find(&call.op).expect("a call is of an operator")
}

/// The tensors of a full answer to a problem.
pub fn answer<R: Num, O>(operator: &O, dir: Dir, problem: &Problem<R>) -> Vec<Named<R>>
where
    O: Formula<R> + ?Sized,
{
    match dir {
        Dir::Fwd => operator.forward(problem),
        Dir::Bwd => operator.backward(problem),
    }
}
