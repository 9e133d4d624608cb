//! Stage 4: the target's backward against the target's own forward.
//!
//! ⟨dy, f(x + hv) − f(x − hv)⟩/2h = ⟨dx, v⟩ + O(h²), for a random direction v of every input with a gradient.
//! No oracle takes part: a mistake that forward and the oracle share does not, but one between
//! forward and backward shows here. Only at `f64`, where a difference has digits left. The error is
//! that of the difference at 2h against that at h, three times the first term that is left out,
//! and the rounding of forward, u·|dy|·|f|/h.
//!
//! Where a ReLU or another kink lies between the two points, the difference is no derivative, and the
//! one at 2h need not show it. The closer the points the rarer that is, so a gradient is wrong only
//! where it is at every step.

use crate::check::call::{Broken, Call, Candidate, Dir, Reply};
use crate::check::flaw::Flaw;
use crate::check::scope::Scope;
use crate::check::spec::case::{Case, Rows, Upstream};
use crate::check::spec::operator::{Fill, Role, Slot};
use crate::check::tensor::{Dtype, Tensors};
use crate::rng::Rng;

/// The steps of a difference, in the order in which they are tried.
const STEPS: [f64; 3] = [1e-4, 1e-5, 1e-6];

/// Checks one case; nothing where the target does not serve both passes at `f64`.
pub fn check(
    candidate: &mut dyn Candidate,
    scope: &Scope,
) -> Result<Option<(Case, Option<Flaw>)>, Broken> {
    let served = &scope.served;
    let double = (Dtype::F64, Dtype::F64);
    let both = served.dirs().contains(&Dir::Fwd) && served.dirs().contains(&Dir::Bwd);
    if !both || !served.dtypes().contains(&double) || scope.operator.random() {
        return Ok(None);
    }
    let mut case = scope.modest(Dir::Bwd, double);
    (case.kind, case.upstream, case.seed) = (Rows::Normal, Upstream::Normal, 17);
    // Beside a score of the least finite number nothing is left of any other: forward is flat there.
    let scores = |slot: &Slot| slot.optional && slot.fill == Fill::Scores;
    let slots = case.operator().slots(&case).into_iter();
    case.absent.extend(slots.filter(scores).map(|slot| slot.name));
    let flat = |case: &Case| {
        let slots = case.operator().slots(case).into_iter();
        slots.filter(scores).any(|slot| !case.absent.contains(&slot.name))
    };
    if !scope.settle(&mut case) || flat(&case) {
        return Ok(None);
    }
    let call = case.call();
    if case.operator().must_refuse(&call) {
        return Ok(None);
    }
    let Reply::Ok(gradients) = candidate.run(&call)? else { return Ok(None) };
    let (upstream, _) = case.operator().upstream(&case);
    let slots = case.operator().slots(&case).into_iter();
    for slot in slots.filter(|slot| matches!(slot.role, Role::Data | Role::Param)) {
        let Some(gradient) = gradients.get(&format!("d{}", slot.name)) else { continue };
        if gradient.shape != slot.shape {
            continue;
        }
        let mut rng = Rng::new(case.seed).named(&slot.name);
        let direction: Vec<f64> = gradient.values.iter().map(|_| rng.normal()).collect();
        let terms = || gradient.values.iter().zip(&direction).map(|(g, v)| g * v);
        let (ours, magnitude): (f64, f64) = (terms().sum(), terms().map(f64::abs).sum());
        let mut slope = |h: f64| difference(candidate, &call, upstream, &slot.name, &direction, h);
        let mut off = None;
        for h in STEPS {
            let (Some(near), Some(far)) = (slope(h)?, slope(2.0 * h)?) else { break };
            let truncation = (near.0 - far.0).abs();
            // Where the step is too coarse for the curvature the difference has nothing to say.
            if truncation > 0.05 * magnitude || !near.0.is_finite() {
                continue;
            }
            let rounding = 64.0 * Dtype::F64.unit() * (near.1 / h + magnitude);
            let allowed = truncation + rounding;
            let error = (ours - near.0).abs();
            if error <= allowed {
                off = None;
                break;
            }
            off = off.or(Some((near.0, allowed)));
        }
        if let Some((own, allowed)) = off {
            let name = &slot.name;
            let mut flaw = Flaw::wrong(format!(
                "d{name} along a random direction is {ours:e}, its own forward changes by {own:e} \
                 (± {allowed:.1e})"
            ));
            flaw.tensor = Some(format!("d{name}"));
            return Ok(Some((case, Some(flaw))));
        }
    }
    Ok(Some((case, None)))
}

/// ⟨dy, f(x + hv) − f(x − hv)⟩/2h and Σ|dy·f|, of the target's forward.
fn difference(
    candidate: &mut dyn Candidate,
    call: &Call,
    upstream: &str,
    input: &str,
    direction: &[f64],
    h: f64,
) -> Result<Option<(f64, f64)>, Broken> {
    let dy = &call.tensors[upstream].values;
    let mut sides = [0.0, 0.0];
    let mut size = 0.0;
    for (side, sign) in sides.iter_mut().zip([1.0, -1.0]) {
        let mut moved = call.clone();
        moved.dir = Dir::Fwd;
        moved.tensors.remove(upstream);
        moved.want = crate::check::spec::truth::names(&moved);
        let values = &mut moved.tensors.get_mut(input).expect("an input").values;
        values.iter_mut().zip(direction).for_each(|(x, v)| *x += sign * h * v);
        let Some(y) = first(candidate.run(&moved)?, &moved.want) else { return Ok(None) };
        if y.len() != dy.len() {
            return Ok(None);
        }
        *side = y.iter().zip(dy).map(|(y, dy)| y * dy).sum();
        size += y.iter().zip(dy).map(|(y, dy)| (y * dy).abs()).sum::<f64>();
    }
    Ok(Some(((sides[0] - sides[1]) / (2.0 * h), size)))
}

fn first(reply: Reply, want: &[String]) -> Option<Vec<f64>> {
    let Reply::Ok(mut answer) = reply else { return None };
    let answer: &mut Tensors = &mut answer;
    answer.remove(want.first()?).map(|tensor| tensor.values)
}
