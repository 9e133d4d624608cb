//! A program written anew with some of its operators exchanged or left out, so that two wirings
//! can be compared where no setting makes one the other.

use plummet::op::SharedOp;
use plummet::program::{Id, Program, Source, Start, Step};

/// What becomes of a step.
pub enum Change {
    /// It applies this operator.
    Apply(SharedOp),
    /// Its output is its first argument.
    Skip,
    /// Its output is learned instead, under this name.
    Learn(&'static str),
}

/// Writes a program anew; weights that `keep` refuses are absent.
pub fn rewrite(
    program: &Program,
    keep: impl Fn(&str) -> bool,
    change: impl Fn(&str, &Step) -> Change,
) -> Program {
    let mut new = Program::new();
    let mut ids = vec![Id::ABSENT; program.values().len()];
    for (i, value) in program.values().iter().enumerate() {
        // The names are whole already.
        new.enter("", value.layer);
        let sizes = value.shape.sizes();
        match value.source {
            Source::Input => ids[i] = new.input(&value.name, sizes),
            Source::Weight(start) if keep(&value.name) => {
                ids[i] = new.weight(&value.name, sizes, start);
            }
            Source::Weight(_) => {}
            Source::State(start) => ids[i] = new.state(&value.name, sizes, start),
            Source::Step(step) => {
                let step = &program.steps()[step];
                if step.outs[0].index() != i {
                    continue;
                }
                let args: Vec<Id> = (step.args.iter())
                    .map(|&id| if id == Id::ABSENT { id } else { ids[id.index()] })
                    .collect();
                match change(&value.name, step) {
                    Change::Skip => ids[i] = args[0],
                    Change::Learn(name) => {
                        ids[i] = new.weight(name, sizes, Start::Value(0.0));
                    }
                    Change::Apply(op) => {
                        let outs = new.apply_shared(&value.name, op, &args);
                        for (old, id) in step.outs.iter().zip(outs) {
                            ids[old.index()] = id;
                        }
                    }
                }
            }
        }
    }
    new
}

/// Leaves a step as it is.
pub fn same(step: &Step) -> Change {
    Change::Apply(step.op.clone())
}

/// The operator of a step, where it is of this type.
pub fn operator<O: 'static>(step: &Step) -> Option<&O> {
    let any: &dyn std::any::Any = &*step.op;
    any.downcast_ref()
}
