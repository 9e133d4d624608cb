//! Stage 5: the same call gives the same bits, and a row has the same bits in whatever batch.
//!
//! A promise is probed on as many problems as the plan has, and on problems of its own: wide rows of
//! plain noise, whose sums change with their order. Every problem is asked again, and its rows alone, in
//! other batches (fewer rows, many rows, another order, another place).

use std::time::Instant;

use crate::check::call::{Broken, Call, Candidate, Dir, Limits, Reply, Served};
use crate::check::plan::Plan;
use crate::check::scope::Scope;
use crate::check::spec::case::{Case, Rows, Upstream};
use crate::check::spec::operator::Operator;
use crate::check::tensor::{Dtype, Tensor, Tensors};

/// Problems of wide rows that are tried beside those of the plan.
const WIDE: usize = 8;
/// Elements of a batch that is made of a problem's rows again and again.
const MANY: usize = 1 << 15;
/// Problems that are asked in a fresh process as well.
const RESTARTS: usize = 2;

/// One promise, as it was kept.
#[derive(Debug, Clone, Default)]
pub struct Kept {
    /// Problems that it was probed on.
    pub problems: usize,
    /// Comparisons of bits.
    pub checks: usize,
    /// The first that differed, in words.
    pub broken: Option<(Case, String)>,
}

/// What was observed of both promises.
#[derive(Debug, Clone, Default)]
pub struct Observed {
    /// The same call gives the same bits.
    pub deterministic: Kept,
    /// A row has the same bits in whatever batch.
    pub batch_invariant: Kept,
}

/// Problems on which the order of a sum shows: noise in the widest rows of a plan.
pub fn wide(
    operator: &'static dyn Operator,
    served: &Served,
    dir: Dir,
    dtypes: (Dtype, Dtype),
    seed: u64,
) -> Vec<Case> {
    let plan = Plan::new(operator, served, dir, dtypes, seed ^ 0x9e37);
    let scope = Scope::new(operator, served);
    let noisy = plan.take(48).map(|mut case| {
        (case.kind, case.extreme) = (Rows::Normal, None);
        if dir == Dir::Bwd {
            case.upstream = Upstream::Normal;
        }
        case
    });
    let row = |case: &Case| {
        let batched = operator.batched(&operator.attributes(case))?;
        let slots = case.slots();
        let first = &slots.iter().find(|slot| slot.name == batched[0])?.shape;
        let size: usize = slots.iter().map(|slot| slot.shape.iter().product::<usize>()).sum();
        (size <= MANY).then(|| first.iter().product::<usize>() / first[0].max(1))
    };
    let mut cases: Vec<(usize, Case)> = noisy
        .filter(|case| scope.allows(case))
        .filter_map(|case| Some((row(&case)?, case)))
        .collect();
    cases.sort_by_key(|(width, _)| std::cmp::Reverse(*width));
    cases.dedup_by_key(|(width, _)| *width);
    cases.into_iter().take(WIDE).map(|(_, case)| case).collect()
}

/// Probes both promises on problem after problem until time is up; always on the first.
pub fn observe(
    candidate: &mut dyn Candidate,
    cases: &[Case],
    limits: &Limits,
    most: usize,
    until: Instant,
) -> Result<Observed, Box<(Case, Broken)>> {
    let mut seen = Observed::default();
    for (i, case) in cases.iter().take(most).enumerate() {
        if i > 0 && Instant::now() > until {
            break;
        }
        let other = &cases[(i + 1) % cases.len()];
        let probed = one(candidate, (case, other), limits, i, &mut seen);
        probed.map_err(|broken| Box::new((case.clone(), broken)))?;
        if seen.deterministic.broken.is_some() {
            // What does not repeat itself has no bits to compare by batch.
            break;
        }
    }
    // A fresh process may take seconds to come up, so that there are few.
    for case in cases.iter().take(RESTARTS) {
        if seen.deterministic.broken.is_none() {
            fresh(candidate, case, &mut seen).map_err(|broken| Box::new((case.clone(), broken)))?;
        }
    }
    Ok(seen)
}

/// The same bits in a fresh process.
fn fresh(candidate: &mut dyn Candidate, case: &Case, seen: &mut Observed) -> Result<(), Broken> {
    let call = case.call();
    let Some(first) = answer(candidate.run(&call)?) else { return Ok(()) };
    candidate.restart()?;
    let Some(now) = answer(candidate.run(&call)?) else { return Ok(()) };
    seen.deterministic.checks += 1;
    if let Some(name) = differing(&first, &now) {
        let words = format!("{name} has other bits in a fresh process");
        seen.deterministic.broken = Some((case.clone(), words));
    }
    Ok(())
}

fn one(
    candidate: &mut dyn Candidate,
    (case, other): (&Case, &Case),
    limits: &Limits,
    turn: usize,
    seen: &mut Observed,
) -> Result<(), Broken> {
    let call = case.call();
    let Some(first) = answer(candidate.run(&call)?) else { return Ok(()) };
    seen.deterministic.problems += 1;
    for when in ["again", "after another shape"] {
        if when == "after another shape" {
            _ = candidate.run(&other.call())?;
        }
        let Some(now) = answer(candidate.run(&call)?) else { return Ok(()) };
        seen.deterministic.checks += 1;
        if let Some(name) = differing(&first, &now) {
            let words = format!("{name} has other bits {when}");
            seen.deterministic.broken = Some((case.clone(), words));
            return Ok(());
        }
    }
    if seen.batch_invariant.broken.is_some() {
        return Ok(());
    }
    let Some(batched) = case.operator().batched(&call.attrs) else { return Ok(()) };
    let Some(rows) = rows(&call, &batched) else { return Ok(()) };
    let mut compared = false;
    for (words, chosen) in batches(rows, row_size(&call, &batched), turn) {
        let gathered = gathered(&call, &batched, &chosen);
        if !takes(limits, &gathered) {
            continue;
        }
        let Some(part) = answer(candidate.run(&gathered)?) else { continue };
        for (name, part) in &part {
            let Some(whole) = first.get(name) else { continue };
            // What has no row of its own, as a weight's gradient, sees the whole batch.
            let own = whole.shape.first() == Some(&rows)
                && part.shape.first() == Some(&chosen.len())
                && whole.shape[1..] == part.shape[1..];
            if !own || !in_batch(name, &call, &batched) {
                continue;
            }
            compared = true;
            seen.batch_invariant.checks += 1;
            let same = |(at, &row): (usize, &usize)| slice(whole, row).same_bits(&slice(part, at));
            if let Some(row) = chosen.iter().enumerate().find(|&(at, row)| !same((at, row))) {
                let words =
                    format!("row {} of {name} has other bits {words} than among {rows}", row.1);
                seen.batch_invariant.broken = Some((case.clone(), words));
                seen.batch_invariant.problems += 1;
                return Ok(());
            }
        }
    }
    seen.batch_invariant.problems += usize::from(compared);
    Ok(())
}

/// Batches of a problem's rows, in words and by number of row.
fn batches(rows: usize, size: usize, turn: usize) -> Vec<(String, Vec<usize>)> {
    let mut all: Vec<(String, Vec<usize>)> = Vec::new();
    let mut alone = vec![0, rows / 2, rows - 1];
    alone.dedup();
    if rows > 1 {
        all.extend(alone.into_iter().map(|row| ("alone".to_string(), vec![row])));
        let mut fewer = vec![2, 3, 4, 7, rows / 2, rows - 1];
        fewer.retain(|&count| count > 1 && count < rows);
        fewer.sort_unstable();
        fewer.dedup();
        // Two sizes a problem, others in the next.
        for k in 0..fewer.len().min(2) {
            let count = fewer[(2 * turn + k) % fewer.len()];
            let start = turn % (rows - count + 1);
            all.push((format!("among {count}"), (start..start + count).collect()));
        }
        all.push(("in reverse order".into(), (0..rows).rev().collect()));
        let rotated = (0..rows).map(|row| (row + 1) % rows).collect();
        all.push(("one place further".into(), rotated));
    }
    let most = MANY / size.max(1);
    let larger = [2, 5, 8, 17, 64, 257, 1025];
    let larger: Vec<usize> = larger.into_iter().filter(|&n| n > rows && n <= most).collect();
    for k in 0..larger.len().min(2) {
        let count = larger[(2 * turn + k) % larger.len()];
        all.push((format!("among {count}"), (0..count).map(|at| at % rows).collect()));
    }
    all
}

/// Rows of the batch; nothing where tensors disagree, as where one is shared by all rows.
fn rows(call: &Call, batched: &[String]) -> Option<usize> {
    let mut counts =
        batched.iter().filter_map(|name| call.tensors.get(name)).map(|t| t.shape.first());
    let first = *counts.next()??;
    (first > 0 && counts.all(|count| count == Some(&first))).then_some(first)
}

/// Elements of all that is cut by rows, for one row.
fn row_size(call: &Call, batched: &[String]) -> usize {
    let cut = batched.iter().filter_map(|name| call.tensors.get(name));
    cut.map(|tensor| tensor.shape[1..].iter().product::<usize>()).sum()
}

/// True for an output, and for the gradient and the update of an input that has rows: a running
/// mean of as many channels as there are rows has none.
fn in_batch(output: &str, call: &Call, batched: &[String]) -> bool {
    let input = match call.dir {
        Dir::Bwd => output.strip_prefix('d'),
        Dir::Fwd => call.tensors.contains_key(output).then_some(output),
    };
    input.is_none_or(|input| batched.iter().any(|name| name == input))
}

/// True for a call whose tensors are no larger than the target takes.
fn takes(limits: &Limits, call: &Call) -> bool {
    let most = limits.max_elements.unwrap_or(usize::MAX);
    call.tensors.values().all(|tensor| tensor.values.len() <= most)
}

fn answer(reply: Reply) -> Option<Tensors> {
    match reply {
        Reply::Ok(answer) => Some(answer),
        _ => None,
    }
}

fn differing(a: &Tensors, b: &Tensors) -> Option<String> {
    a.iter().find(|(name, a)| b.get(*name).is_none_or(|b| !a.same_bits(b))).map(|(n, _)| n.clone())
}

fn slice(tensor: &Tensor, row: usize) -> Tensor {
    gather(tensor, &[row])
}

/// A tensor of these rows of another.
fn gather(tensor: &Tensor, rows: &[usize]) -> Tensor {
    let size: usize = tensor.shape[1..].iter().product();
    let values = rows.iter().flat_map(|row| &tensor.values[row * size..(row + 1) * size]);
    let values = values.copied().collect();
    Tensor { dtype: tensor.dtype, shape: [&[rows.len()], &tensor.shape[1..]].concat(), values }
}

/// The same call with these rows of every batched tensor.
fn gathered(call: &Call, batched: &[String], rows: &[usize]) -> Call {
    let mut call = call.clone();
    for name in batched {
        if let Some(tensor) = call.tensors.get_mut(name) {
            *tensor = gather(tensor, rows);
        }
    }
    call.id += &format!(",rows={}", rows.len());
    call
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_problem_is_asked_in_batches_of_many_sizes() {
        let mut sizes: Vec<usize> =
            (0..8).flat_map(|turn| batches(9, 16, turn)).map(|(_, rows)| rows.len()).collect();
        sizes.sort_unstable();
        sizes.dedup();
        assert_eq!(sizes, [1, 2, 3, 4, 7, 8, 9, 17, 64, 257, 1025]);
        assert!(
            (0..8)
                .flat_map(|turn| batches(1, 16, turn))
                .all(|(_, rows)| rows.iter().all(|&r| r == 0))
        );
    }
}
