//! A norm that has no file of its own here: everything is read off the operator itself.
//!
//! Its tensors are those of [`Op::args`], its attributes the constants of [`Op::consts`], and truth
//! and bounds come of its [`Reference`] read at numbers that carry their error. What a file of its
//! own adds is knowledge: other right formulas, contracts of 16-bit dtypes, rows that are exact,
//! disputed sides.

use super::case::Case;
use super::operator::{Attr, Axis, Fill, Formula, Named, Operator, Problem, Role, Setting, Slot};
use crate::check::call::Attrs;
use crate::choice::{Allowed, MODE};
use crate::num::Num;
use crate::op::norm;
use crate::op::{Arg, Kind, Op, Reference, Shape, SharedOp, Values, View};

/// A norm of the list, judged by what it says of itself.
pub struct Derived {
    op: SharedOp,
    attrs: Vec<Attr>,
}

impl Derived {
    /// The norm called `id`.
    pub fn new(id: &str) -> Option<Derived> {
        let op = (norm::named(id)?.make)();
        let mode = |name: &str| name == MODE;
        let consts = op.consts().into_iter().filter(|constant| !mode(constant.name));
        let attrs = consts.filter_map(|constant| {
            let usual: f64 = constant.value.parse().ok()?;
            // Some others that a careless default would swallow; no eps of 0, by which a row of
            // zeros is divided.
            let others: &[f64] = match constant.kind {
                Allowed::NotNegative => &[1e-5, 1e-3, 4.0],
                Allowed::Share => &[0.0, 1.0, 0.5],
                Allowed::Finite => &[0.0, 1.0, -0.75],
                Allowed::Count => &[1.0, 3.0],
                Allowed::Any => return None,
            };
            let mut values = vec![usual];
            values.extend(others.iter().filter(|other| **other != usual));
            let values: Vec<Setting> = values.into_iter().map(Setting::Num).collect();
            // The list of operators lives as long as the program, and so does what it says.
            Some(Attr { name: constant.name, values: values.leak() })
        });
        Some(Derived { attrs: attrs.collect(), op })
    }

    /// The operator with the constants of a call.
    fn with(&self, attrs: &Attrs) -> SharedOp {
        self.attrs.iter().fold(self.op.clone(), |op, attr| {
            let value =
                attrs[attr.name].as_f64().unwrap_or_else(|| panic!("{} is a number", attr.name));
            op.with(attr.name, &value.to_string()).unwrap_or_else(|invalid| panic!("{invalid}"))
        })
    }
}

impl Operator for Derived {
    fn name(&self) -> &'static str {
        self.op.id()
    }
    fn axes(&self) -> &'static [Axis] {
        match super::norm_of_rows(self.name()) {
            true => super::norm::AXES,
            false => super::norm::BATCH_AXES,
        }
    }
    fn attrs(&self) -> &[Attr] {
        &self.attrs
    }
    fn slots(&self, case: &Case) -> Vec<Slot> {
        let shapes = self.with(&case.attrs).example(case.size("rows"), case.size("cols"));
        let slot = |(arg, shape): (&Arg, &Shape)| {
            let (role, fill) = match (arg.kind, arg.values) {
                (Kind::Real, _) => (Role::Data, Fill::Rows),
                (Kind::Weight, _) => (Role::Param, Fill::Weight),
                (_, Values::Positive) => (Role::State, Fill::Positive),
                _ => (Role::State, Fill::Normal(1.0)),
            };
            let slot = Slot::new(arg.name, shape.sizes(), role, fill);
            if arg.optional { slot.optional() } else { slot }
        };
        self.op.args().iter().zip(&shapes).map(slot).collect()
    }
    fn reach(&self, case: &Case, tensor: &str) -> Option<i32> {
        super::norm::reach(case, tensor)
    }
    fn batched(&self, _: &Attrs) -> Option<Vec<String>> {
        super::norm_of_rows(self.name()).then(|| vec!["x".into(), "dy".into()])
    }
}

/// The arguments of the operator in its own order, absent ones empty.
fn arguments<'p, R: Num>(op: &dyn Op, p: &'p Problem<R>) -> Vec<View<'p, R>> {
    let view = |arg: &Arg| match p.opt(arg.name) {
        Some(tensor) => View::new(Shape::new(&tensor.shape), &tensor.data),
        None => View::absent(),
    };
    op.args().iter().map(view).collect()
}

impl<R: Num> Formula<R> for Derived
where
    dyn Op: Reference<R>,
{
    fn forward(&self, p: &Problem<R>) -> Vec<Named<R>> {
        let op = self.with(&p.call.attrs);
        let args = arguments(&*op, p);
        let shapes: Vec<Shape> = args.iter().map(|arg| arg.shape).collect();
        let shapes = op.outputs(&shapes);
        let mut outs: Vec<Vec<R>> = shapes.iter().map(|s| vec![R::zero(); s.len()]).collect();
        let mut slices: Vec<&mut [R]> = outs.iter_mut().map(Vec::as_mut_slice).collect();
        Reference::<R>::forward(&*op, &args, &mut slices);
        let states = op.args().iter().filter(|arg| arg.kind == Kind::State).map(|arg| arg.name);
        let names = std::iter::once("y").chain(states);
        let outs = names.zip(&shapes).zip(outs);
        outs.map(|((name, shape), out)| Named::new(name, shape.sizes(), out)).collect()
    }

    fn backward(&self, p: &Problem<R>) -> Vec<Named<R>> {
        let op = self.with(&p.call.attrs);
        let (args, dy) = (arguments(&*op, p), &p.get("dy").data);
        // Where rows do not see each other, each gives its own terms of the sums over rows, and
        // counts as often as the problem repeats it.
        let rows = if super::norm_of_rows(op.id()) { args[0].shape.rows() } else { 1 };
        let cols = args[0].data.len() / rows;
        let of_row = |i: usize| {
            let mut own = args.clone();
            if rows > 1 {
                own[0] = View::new(Shape::new(&[1, cols]), &args[0].data[i * cols..][..cols]);
            }
            let wanted = |(arg, view): (&Arg, &View<R>)| {
                vec![R::zero(); if arg.kind.differentiable() { view.shape.len() } else { 0 }]
            };
            let mut grads: Vec<Vec<R>> = op.args().iter().zip(&own).map(wanted).collect();
            let mut slices: Vec<&mut [R]> = grads.iter_mut().map(Vec::as_mut_slice).collect();
            Reference::<R>::vjp(&*op, &own, &dy[i * cols..][..cols], &mut slices);
            grads
        };
        let by_row: Vec<Vec<Vec<R>>> = (0..rows).map(of_row).collect();
        let whole = |g: usize| -> Vec<R> {
            if g == 0 {
                return by_row.iter().flat_map(|grads| grads[0].iter().copied()).collect();
            }
            let terms = |j: usize| {
                let rows = by_row.iter().enumerate();
                rows.map(move |(i, grads)| (grads[g][j], p.times("rows", i)))
            };
            (0..by_row[0][g].len()).map(|j| R::sum_of(terms(j))).collect()
        };
        let named = op.args().iter().zip(&args).enumerate().map(|(g, (arg, view))| {
            Named::new(format!("d{}", arg.name), view.shape.sizes(), whole(g))
        });
        named.filter(|named| !named.data.is_empty()).collect()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::check::call::Dir;
    use crate::check::spec::operator::Times;
    use crate::check::tensor::Dtype;

    /// What is read off a norm is what its own file says, also where rows count several times.
    #[test]
    fn derived_formulas_are_those_that_are_written() {
        let variant = BTreeMap::new();
        for id in ["layer_norm", "rms_norm", "scale_norm", "dynamic_tanh"] {
            let (derived, written) =
                (Derived::new(id).unwrap(), crate::check::spec::find(id).unwrap());
            for (seed, dir) in [(1, Dir::Fwd), (2, Dir::Bwd), (3, Dir::Bwd)] {
                let mut case = Case::simplest(written, dir, Dtype::F64, Dtype::F64);
                (case.seed, case.kind) = (seed, crate::check::spec::case::Rows::Normal);
                case.sizes.extend([("rows", 5), ("cols", 7)]);
                let call = case.call();
                let times: Times = [("rows", vec![1, 4, 1, 2, 9])].into();
                let problem = Problem::<f64>::exact(&call, &variant).repeated(&times);
                let (got, want) = match dir {
                    Dir::Fwd => {
                        (derived.forward(&problem), Formula::<f64>::forward(written, &problem))
                    }
                    Dir::Bwd => {
                        (derived.backward(&problem), Formula::<f64>::backward(written, &problem))
                    }
                };
                assert_eq!(got.len(), want.len(), "{id}");
                for want in want {
                    let got = got.iter().find(|got| got.name == want.name).expect(&want.name);
                    assert_eq!(got.shape, want.shape, "{id} {}", want.name);
                    // Two orders of some tens of additions, of numbers of this size.
                    let size = want.data.iter().fold(1.0f64, |size, v| size.max(v.abs()));
                    for (got, want) in got.data.iter().zip(&want.data) {
                        assert!(
                            (got - want).abs() <= 100.0 * f64::EPSILON * size,
                            "{id}: {got} {want}"
                        );
                    }
                }
            }
        }
    }
}
