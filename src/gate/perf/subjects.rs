//! What is timed: usual problems of every operator that both sides serve.

use std::collections::BTreeMap;

use crate::check::call::{Dir, Hello, Served};
use crate::check::scope::{self, Scope};
use crate::check::spec;
use crate::check::spec::case::{Case, Rows, Upstream};
use crate::check::spec::operator::Operator;
use crate::check::tensor::Dtype;
use crate::setting::Invalid;

/// Elements of a problem, all tensors together, where no sizes are asked for: one that lies in the
/// first cache, where calls and loops count, and one that lies in the second, where bytes do.
const ELEMENTS: [usize; 2] = [4096, 131_072];

/// The cases to time: one per operator, pass, dtypes and size that both sides declare.
///
/// `ops` are operators (`layer_norm`) or parts of one (`layer_norm:bwd:f32`), all where there is
/// none; `sizes` name axes (`rows=64,cols=768`), the others staying at their smallest, and speak to
/// the operators that have all these axes.
pub fn cases(
    base: &Hello,
    cand: &Hello,
    ops: &[String],
    sizes: &[String],
) -> Result<Vec<Case>, Invalid> {
    let mut cases = Vec::new();
    let (mut met_ops, mut met_sizes) = (vec![false; ops.len()], vec![false; sizes.len()]);
    let wanted: Vec<_> = sizes.iter().map(|text| parse(text)).collect::<Result<_, _>>()?;
    for operator in spec::all().filter(|operator| !operator.random()) {
        let (Some(a), Some(b)) = (base.ops.get(operator.name()), cand.ops.get(operator.name()))
        else {
            continue;
        };
        for (dir, dtypes) in both(operator, a, b) {
            let subject = subject(operator.name(), dir, dtypes);
            let mut asked = ops.is_empty();
            for (filter, met) in ops.iter().zip(&mut met_ops) {
                let part = subject.strip_prefix(filter.as_str());
                if part.is_some_and(|rest| rest.is_empty() || rest.starts_with(':')) {
                    (*met, asked) = (true, true);
                }
            }
            if !asked {
                continue;
            }
            let plain = plain(operator, dir, dtypes, a, b);
            if wanted.is_empty() {
                let mut grown = ELEMENTS.map(|most| fits(&plain, most, a, b)).to_vec();
                grown.dedup();
                cases.extend(grown);
            }
            for (sizes, met) in wanted.iter().zip(&mut met_sizes) {
                let known = |axis: &String| plain.sizes.contains_key(axis.as_str());
                if sizes.keys().all(known) {
                    *met = true;
                    let mut case = plain.clone();
                    let named = |axis: &&'static str| sizes.contains_key(*axis);
                    for axis in operator.axes().iter().map(|axis| axis.name).filter(named) {
                        case.sizes.insert(axis, sizes[axis]);
                    }
                    cases.push(case);
                }
            }
        }
    }
    cases.retain(|case| !case.operator().must_refuse(&case.call()));
    if cases.is_empty() && met_ops.iter().all(|met| *met) && met_sizes.iter().all(|met| *met) {
        let names = |hello: &Hello| hello.ops.keys().cloned().collect::<Vec<_>>().join(", ");
        let both = format!("base has {}, cand has {}", names(base), names(cand));
        return Err(Invalid::new("cand", both, "an operator, pass and dtype in common"));
    }
    if let Some(i) = met_ops.iter().position(|met| !met) {
        return Err(Invalid::new("ops", &ops[i], "what both sides serve, as op, op:dir:dtype"));
    }
    if let Some(i) = met_sizes.iter().position(|met| !met) {
        return Err(Invalid::new("sizes", &sizes[i], "AXIS=SIZE,… of the operators' axes"));
    }
    Ok(cases)
}

/// `op:dir:dtype`, with the dtype of parameters where it is another.
pub fn subject(op: &str, dir: Dir, (data, params): (Dtype, Dtype)) -> String {
    match data == params {
        true => format!("{op}:{dir}:{data}"),
        false => format!("{op}:{dir}:{data}+{params}"),
    }
}

/// `rows=64,cols=768`.
fn parse(text: &str) -> Result<BTreeMap<String, usize>, Invalid> {
    let refused = || Invalid::new("sizes", text, "AXIS=SIZE,… with sizes of 1 to 16777216");
    let part = |part: &str| {
        let (axis, size) = part.split_once('=')?;
        let size = size.parse().ok().filter(|size| (1..=1 << 24).contains(size))?;
        Some((axis.to_string(), size))
    };
    text.split(',').map(|text| part(text).ok_or_else(refused)).collect()
}

/// The passes and dtypes that both sides and the specification have.
fn both(operator: &dyn Operator, a: &Served, b: &Served) -> Vec<(Dir, (Dtype, Dtype))> {
    let known = |dtype: &Dtype| operator.dtypes().contains(dtype);
    let dirs =
        operator.dirs().iter().filter(|dir| a.dirs().contains(dir) && b.dirs().contains(dir));
    let pairs: Vec<_> = (a.dtypes().into_iter())
        .filter(|pair| b.dtypes().contains(pair) && known(&pair.0) && known(&pair.1))
        .collect();
    dirs.flat_map(|&dir| pairs.iter().map(move |&pair| (dir, pair))).collect()
}

/// The smallest case with usual values: every attribute at the first value that both sides serve,
/// every optional tensor that both understand.
fn plain(
    operator: &'static dyn Operator,
    dir: Dir,
    (data, params): (Dtype, Dtype),
    a: &Served,
    b: &Served,
) -> Case {
    let mut case = Case::simplest(operator, dir, data, params);
    (case.kind, case.upstream, case.seed) = (Rows::Normal, Upstream::Normal, 1);
    for attr in operator.attrs() {
        let others = Scope::new(operator, b).values(attr);
        let values = Scope::new(operator, a).values(attr);
        if let Some(value) = values.into_iter().find(|value| scope::holds(&others, value)) {
            case.attrs.insert(attr.name.to_string(), value);
        }
    }
    for slot in operator.slots(&case).into_iter().filter(|slot| slot.optional) {
        let understood = |side: &Served| Scope::new(operator, side).understands(&slot.name);
        if !(understood(a) && understood(b)) {
            case.absent.insert(slot.name);
        }
    }
    case
}

/// A case whose axes have grown, the smallest first, while the problem stays within `most` elements
/// and the limits of both sides. Sizes are multiples of 8 where an axis has some: the usual ones.
fn fits(plain: &Case, most: usize, a: &Served, b: &Served) -> Case {
    let operator = plain.operator();
    let limit = |get: &dyn Fn(&Served) -> Option<usize>| {
        get(a).unwrap_or(usize::MAX).min(get(b).unwrap_or(usize::MAX))
    };
    let most = most.min(limit(&|side| side.limits.max_elements));
    let columns = limit(&|side| side.limits.max_columns);
    let small = |case: &Case| {
        let slots = operator.slots(case);
        let elements: usize = slots.iter().map(|slot| slot.shape.iter().product::<usize>()).sum();
        elements <= most && slots.iter().all(|s| s.shape.last().is_none_or(|&last| last <= columns))
    };
    let mut case = plain.clone();
    let mut growing: Vec<_> = operator.axes().iter().collect();
    while let Some(at) = (0..growing.len()).min_by_key(|&i| case.sizes[growing[i].name]) {
        let (axis, now) = (growing[at], case.sizes[growing[at].name]);
        let usual = axis.sizes.iter().any(|size| size % 8 == 0);
        let larger = axis.sizes.iter().filter(|&&size| size > now && (!usual || size % 8 == 0));
        let next = larger.min().map(|&size| {
            let mut larger = case.clone();
            larger.sizes.insert(axis.name, size);
            larger
        });
        match next.filter(small) {
            Some(larger) => case = larger,
            None => drop(growing.remove(at)),
        }
    }
    case
}
