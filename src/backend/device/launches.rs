//! From the launches of an operator to those of a machine: every tensor becomes a pointer.

use super::machine::{Machine, Value};
use crate::op::device::{Launch, Param};

/// Some memory and the byte in it where a tensor begins.
pub type Place<'a, M> = (&'a M, usize);

/// Where the tensors of one call lie.
#[derive(Debug)]
pub struct Operands<'a, M> {
    /// Of each argument; none where it is absent.
    pub args: Vec<Option<Place<'a, M>>>,
    /// Of each output.
    pub outs: Vec<Place<'a, M>>,
    /// Of the gradient of the first output.
    pub dy: Option<Place<'a, M>>,
    /// Of each argument's gradient, and whether it is added to; none where nobody wants it.
    pub grads: Vec<Option<(Place<'a, M>, bool)>>,
    /// What forward leaves for vjp.
    pub saved: &'a M,
    /// Working space.
    pub scratch: &'a M,
}

/// Runs the launches of an operator, one after the other.
pub fn run<M: Machine>(
    machine: &M,
    ptx: &'static str,
    launches: &[Launch],
    operands: &Operands<M::Memory>,
) {
    for launch in launches {
        let mut values = Vec::with_capacity(launch.params.len() + 4);
        for param in &launch.params {
            values.push(match *param {
                Param::Arg(i) => pointer(operands.args[i]),
                Param::Out(i) => pointer(operands.outs.get(i).copied()),
                Param::Dy => pointer(operands.dy),
                Param::Grad(i) => pointer(operands.grads[i].map(|(place, _)| place)),
                Param::Saved(at) => Value::Pointer(operands.saved, at * size_of::<f32>()),
                Param::Scratch(at) => Value::Pointer(operands.scratch, at * size_of::<f32>()),
                Param::U32(count) => Value::U32(count),
                Param::U64(count) => Value::U64(count),
                Param::F32(number) => Value::F32(number),
            });
            if let Param::Grad(i) = *param {
                let adds = operands.grads[i].is_some_and(|(_, adds)| adds);
                values.push(Value::U32(adds.into()));
            }
        }
        machine.launch(ptx, launch, &values);
    }
}

fn pointer<M>(place: Option<Place<M>>) -> Value<M> {
    place.map_or(Value::Null, |(memory, at)| Value::Pointer(memory, at))
}
