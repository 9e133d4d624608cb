//! `adamw` (Loshchilov & Hutter 2019, arXiv 1711.05101, algorithm 2), the t-th step.
//!
//! m ← β₁m + (1−β₁)g; v ← β₂v + (1−β₂)g²; with m̂ = m/(1−β₁ᵗ), v̂ = v/(1−β₂ᵗ):
//! p ← p·(1 − lr·wd) − lr·m̂/(√v̂ + eps). Declared otherwise, eps is added before the correction:
//! √v̂ + eps becomes (√v + eps)/√(1−β₂ᵗ). 1−β and the corrections are formed in `f64`.

use super::case::Case;
use super::operator::{Attr, Axis, Fill, Formula, Named, Operator, Problem, Role, Setting, Slot};
use crate::check::call::Dir;
use crate::check::tensor::Dtype;
use crate::num::Num;
use crate::num::bound::at_unit;

pub struct AdamW;

impl Operator for AdamW {
    fn name(&self) -> &'static str {
        "adamw"
    }
    fn dirs(&self) -> &'static [Dir] {
        &[Dir::Fwd]
    }
    fn axes(&self) -> &'static [Axis] {
        &[
            Axis { name: "rows", sizes: &[1, 2, 3, 8, 33] },
            Axis { name: "cols", sizes: &[1, 2, 3, 7, 31, 32, 33, 127, 256, 1023, 1025, 10007] },
        ]
    }
    fn attrs(&self) -> &'static [Attr] {
        use Setting::{Int, Num};
        const STEPS: &[Setting] = &[Int(1), Int(2), Int(10), Int(1000), Int(100_000), Int(1 << 40)];
        &[
            Attr { name: "step", values: STEPS },
            Attr { name: "lr", values: &[Num(1e-3), Num(0.25), Num(0.0), Num(3e-5)] },
            Attr { name: "beta1", values: &[Num(0.9), Num(0.0), Num(0.99)] },
            Attr { name: "beta2", values: &[Num(0.999), Num(0.95), Num(0.0), Num(0.999_999)] },
            Attr { name: "eps", values: &[Num(1e-8), Num(1e-3), Num(0.0), Num(1.0)] },
            Attr { name: "weight_decay", values: &[Num(0.01), Num(0.0), Num(2.0)] },
        ]
    }
    fn defined(&self, case: &Case) -> bool {
        case.num("eps") > 0.0 || !["g", "v"].iter().any(|name| case.given.contains_key(*name))
    }
    fn reach(&self, case: &Case, _: &str) -> Option<i32> {
        (case.num("eps") > 0.0).then_some(60)
    }
    fn variants(&self) -> &'static [(&'static str, [&'static str; 2])] {
        &[("adamw.eps", ["after_correction", "before_correction"])]
    }
    fn slots(&self, case: &Case) -> Vec<Slot> {
        let shape = [case.size("rows"), case.size("cols")];
        // Before the first step there are no moments.
        let fresh = case.num("step") == 1.0;
        let (m, v) = match fresh {
            true => (Fill::Normal(0.0), Fill::Normal(0.0)),
            false => (Fill::Normal(1.0), Fill::Squares),
        };
        // Without an eps, the root of the second moment is what is divided by: it must not be 0.
        let bare = case.num("eps") == 0.0;
        let v = if bare && !fresh { Fill::Positive } else { v };
        let g = if bare { Fill::Positive } else { Fill::Rows };
        vec![
            Slot::param("p", &shape),
            Slot::new("g", &shape, Role::Data, g),
            Slot::new("m", &shape, Role::State, m),
            Slot::new("v", &shape, Role::State, v),
        ]
    }
}

impl<R: Num> Formula<R> for AdamW {
    fn forward(&self, problem: &Problem<R>) -> Vec<Named<R>> {
        let num = |name: &str| scalar::<R>(problem.num(name));
        let (lr, eps, decay) = (num("lr"), num("eps"), num("weight_decay"));
        let (beta1, rest1, correction1) = betas::<R>(problem.num("beta1"), problem.int("step"));
        let (beta2, rest2, correction2) = betas::<R>(problem.num("beta2"), problem.int("step"));
        let get = |name: &str| problem.get(name);
        let (p, g, m, v) = (get("p"), get("g"), get("m"), get("v"));
        let mut new: [Vec<R>; 3] = Default::default();
        for i in 0..p.data.len() {
            // Also right is m + (1−β₁)·(g − m), which rounds something of m's magnitude.
            let m = (beta1 * m.data[i] + rest1 * g.data[i]).loosened(m.data[i].value().abs());
            let v = beta2 * v.data[i] + rest2 * g.data[i].square();
            let root = match problem.declares("adamw.eps", "before_correction") {
                true => (v.sqrt() + eps) / correction2.sqrt(),
                false => (v / correction2).sqrt() + eps,
            };
            let kept = p.data[i] * (R::one() - lr * decay);
            let p = kept - lr * (m / correction1) / root;
            new.iter_mut().zip([p, m, v]).for_each(|(new, value)| new.push(value));
        }
        let names = ["p", "m", "v"].into_iter();
        names.zip(new).map(|(name, data)| Named::new(name, &p.shape, data)).collect()
    }
}

/// An attribute that a target rounds to the dtype that it computes in.
fn scalar<R: Num>(value: f64) -> R {
    R::num(value).loosened(value.abs())
}

/// β, 1 − β and 1 − βᵗ, of which the differences are formed in `f64` and rounded then.
fn betas<R: Num>(beta: f64, step: i64) -> (R, R, R) {
    let [rest, correction] = at_unit(Dtype::F64.unit(), || {
        [1, step].map(|step| R::one() - power(R::num(beta), step as u64))
    });
    let rounded = |number: R| number.loosened(number.value().abs());
    (scalar(beta), rounded(rest), rounded(correction))
}

/// xⁿ by squaring: t − 1 roundings in the worst case, as multiplying t times.
fn power<R: Num>(x: R, n: u64) -> R {
    match n {
        0 => R::one(),
        1 => x,
        _ if n % 2 == 1 => power(x, n - 1) * x,
        _ => power(x, n / 2).square(),
    }
}
