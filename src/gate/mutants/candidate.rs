//! A model as a candidate, in this process.

use std::collections::BTreeMap;

use super::unsteady::Kept;
use super::{Mutation, Native, natively};
use crate::check::call::{Broken, Call, Candidate, Claims, Dir, Hello, Identity, Reply, Served};
use crate::check::oracle;
use crate::check::scope;
use crate::check::spec;
use crate::check::spec::operator::{Formula, Named, Problem};
use crate::check::tensor::{Dtype, Tensor, Tensors};
use crate::num::Num;

/// A model, right or wrong, that answers calls.
#[derive(Debug, Clone)]
pub struct ModelCandidate {
    op: &'static str,
    id: &'static str,
    native: bool,
    only: Option<Dir>,
    calls: u64,
    kept: Kept,
}

impl ModelCandidate {
    /// The model of `op` with the mutation of this name; `""` for the plain form.
    pub fn new(op: &'static str, id: &'static str) -> Self {
        let mutant = super::mutants(op).iter().find(|mutant| mutant.id == id);
        let native = mutant.is_some_and(|mutant| mutant.native);
        let only = mutant.and_then(|mutant| mutant.only);
        ModelCandidate { op, id, native, only, calls: 0, kept: Kept::default() }
    }
}

impl Candidate for ModelCandidate {
    fn hello(&mut self) -> Result<Hello, Broken> {
        let operator = spec::find(self.op).expect("a model is of an operator");
        let dtypes = operator.dtypes().iter().copied();
        let served = Served {
            dir: Some(self.only.map_or(operator.dirs().to_vec(), |dir| vec![dir])),
            dtype: Some(dtypes.filter(|dtype| !self.native || dtype.bytes() == 2).collect()),
            ..scope::everything(operator)
        };
        let identity = Identity {
            name: if self.id.is_empty() { self.op.into() } else { self.id.into() },
            version: env!("CARGO_PKG_VERSION").into(),
            language: "rust".into(),
        };
        let claims = Claims { deterministic: true, batch_invariant: true, inputs_untouched: true };
        Ok(Hello { identity, ops: [(self.op.to_string(), served)].into(), claims })
    }

    fn run(&mut self, call: &Call) -> Result<Reply, Broken> {
        let operator = spec::find(&call.op).expect("a call is of an operator");
        let mutation = Mutation { id: self.id, calls: self.calls };
        self.calls += 1;
        // A mutant may be one that does not refuse.
        if operator.must_refuse(call) && !mutation.id.contains("accepts") {
            return Ok(Reply::Error("refused by the specification".into()));
        }
        let read = self.kept.read(self.id, call);
        let answer = own_answer(&read, mutation, self.native);
        Ok(Reply::Ok(self.kept.spoil(self.id, call, mutation.calls, answer)))
    }

    fn restart(&mut self) -> Result<(), Broken> {
        self.calls = 0;
        self.kept = Kept::default();
        Ok(())
    }
}

/// What a model answers, in the arithmetic that a target of its dtype has.
pub fn own_answer(call: &Call, mutation: Mutation, native: bool) -> Tensors {
    let variant = BTreeMap::new();
    if super::CATALOGUES.iter().all(|catalogue| catalogue.op != call.op) {
        // An operator without a model of its own, as a derived one: its formula, in f64.
        let operator = spec::find(&call.op).expect("a call is of an operator");
        let problem = Problem::<f64>::exact(call, &variant);
        let answer = match call.dir {
            Dir::Fwd => Formula::<f64>::forward(operator, &problem),
            Dir::Bwd => Formula::<f64>::backward(operator, &problem),
        };
        return stored(call, answer);
    }
    if native {
        natively(call.dtype, || {
            let problem = Problem::<Native>::exact(call, &variant);
            stored(call, super::answer(&problem, mutation))
        })
    } else if call.dtype == Dtype::F64 {
        stored(call, super::answer(&Problem::<f64>::exact(call, &variant), mutation))
    } else {
        stored(call, super::answer(&Problem::<f32>::exact(call, &variant), mutation))
    }
}

fn stored<R: Num>(call: &Call, answer: Vec<Named<R>>) -> Tensors {
    let wanted = answer.into_iter().filter(|named| call.want.contains(&named.name));
    wanted
        .map(|named| {
            let values = named.data.into_iter().map(Num::value).collect();
            let dtype = oracle::dtype_of(call, &named.name);
            (named.name, Tensor::new(dtype, &named.shape, values))
        })
        .collect()
}
