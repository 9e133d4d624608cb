//! Crowds of millions: faults that are small, and those that are rare.
//!
//! A crowd is drawn by a few large calls, whose elements are counted and not kept. A rate that is
//! held in few bits is far from what it should be where it is next to 0 or to 1: thirds of powers of
//! two are halfway between the numbers of any grid, or a third of the way.

use std::f64::consts::{FRAC_1_SQRT_2, LN_2};
use std::time::Instant;

use serde_json::Value;

use super::bounds::{divergence, ln_share};
use super::masks::given;
use super::power::{self};
use super::seeds::distribution_of;
use super::{Effort, GRID, Stage, WEAK};
use crate::check::call::{Broken, Call, Dir};
use crate::check::spec::case::Case;
use crate::check::spec::init;
use crate::check::spec::operator::Operator;
use crate::check::tensor::Tensor;
use crate::gate::report::{Reach, TOGETHER};
use crate::rng::Rng;

/// Elements of one call, and how many samples of `drop_path`.
const CALL: (usize, usize) = (1 << 20, 1 << 18);
/// The most calls of one crowd, where a target takes small ones only.
const CALLS: usize = 256;
/// Where tails are counted, in standard deviations.
const TAILS: [f64; 7] = [1.0, 1.5, 2.0, 3.0, 4.0, 4.5, 5.0];
/// The rates that are tried unless others are declared: those in use, and such as few bits miss.
const RATES: [f64; 6] = [0.1, 0.5, 0.9, 1.0 / 768.0, 1.0 - 1.0 / 768.0, 1.0 / (3u64 << 16) as f64];

/// What was counted of many weights of variance 1.
#[derive(Debug, Clone, Default)]
struct Crowd {
    n: usize,
    zeros: usize,
    sum: f64,
    squares: f64,
    largest: f64,
    beyond: [usize; TAILS.len()],
}

impl Crowd {
    /// Counts weights; answers the first that is no finite number.
    fn take(&mut self, weights: &[f64], std: f64) -> Option<f64> {
        let scale = 1.0 / std;
        for &weight in weights {
            let weight = weight * scale;
            if !weight.is_finite() {
                return Some(weight);
            }
            let size = weight.abs();
            self.zeros += usize::from(size == 0.0);
            self.sum += weight;
            self.squares += weight * weight;
            self.largest = self.largest.max(size);
            for (count, tail) in self.beyond.iter_mut().zip(TAILS) {
                *count += usize::from(size > tail);
            }
        }
        self.n += weights.len();
        None
    }

    fn with(&self, other: &Crowd) -> Crowd {
        let mut both = self.clone();
        both.n += other.n;
        both.zeros += other.zeros;
        both.sum += other.sum;
        both.squares += other.squares;
        both.largest = both.largest.max(other.largest);
        both.beyond.iter_mut().zip(other.beyond).for_each(|(a, b)| *a += b);
        both
    }
}

/// What is left to do, and how long it may take.
struct Clock {
    end: Instant,
    longest: f64,
    before: Instant,
}

impl Clock {
    /// True where another call like the longest before it fits in.
    fn allows(&mut self) -> bool {
        let now = Instant::now();
        self.longest = self.longest.max((now - self.before).as_secs_f64());
        self.before = now;
        self.end.saturating_duration_since(now).as_secs_f64() > self.longest
    }
}

impl Stage<'_> {
    fn clock(&self) -> Clock {
        let now = Instant::now();
        let end = now + self.effort.patience;
        let end = self.effort.until.map_or(end, |until| end.min(until));
        Clock { end, longest: 0.0, before: now }
    }

    /// Any seed that is served, so that runs whose seeds are neighbours draw other crowds.
    fn seed_of_call(&self, call: usize) -> u64 {
        let bits = Rng::new(self.seed).named("crowds").at(call as u64).bits() >> 11;
        self.served.limits.seed(bits)
    }

    /// `init`: every scheme in turn, then the normal ones until there are enough of them together.
    pub(super) fn crowds_of_weights(
        &mut self,
        operator: &'static dyn Operator,
    ) -> Result<(), Broken> {
        let mut clock = self.clock();
        let cases = self.cases_of_crowds(operator);
        if cases.is_empty() {
            let note = "no matrix of one distribution is declared: no crowd was drawn";
            self.evidence.notes.push(note.to_string());
        }
        let mut crowds = vec![Crowd::default(); cases.len()];
        let distributions: Vec<init::Distribution> = cases.iter().map(distribution_of).collect();
        let Effort { crowd: each, rare: all, .. } = self.effort;
        let mut calls = 0;
        let mut late = false;
        // What is far off shows in a few, and costs no more.
        for (each, all) in [(each / 16, 0), (each, 0), (each, all)] {
            while !late && calls < CALLS {
                let normal: usize = crowds
                    .iter()
                    .zip(&distributions)
                    .map(|(c, l)| if l.uniform { 0 } else { c.n })
                    .sum();
                let missing: Vec<usize> = (0..cases.len())
                    .filter(|&i| crowds[i].n < each || !distributions[i].uniform && normal < all)
                    .collect();
                if missing.is_empty() {
                    break;
                }
                for i in missing {
                    late = calls > 0 && !clock.allows();
                    if late {
                        break;
                    }
                    let mut case = cases[i].clone();
                    case.seed = self.seed_of_call(calls);
                    calls += 1;
                    if !self.more(&case, &mut crowds[i], distributions[i].std)? {
                        return Ok(());
                    }
                }
            }
            self.evidence.reach.clear();
            let mut normal = Crowd::default();
            for ((case, known), crowd) in cases.iter().zip(&distributions).zip(&crowds) {
                let scheme = case.attrs["scheme"].as_str().unwrap_or_default();
                self.crowd(case, scheme, crowd, known.uniform);
                if !known.uniform {
                    normal = normal.with(crowd);
                }
            }
            if let Some((case, _)) =
                cases.iter().zip(&distributions).find(|(_, known)| !known.uniform)
            {
                let case = Case { seed: self.seed_of_call(0), ..case.clone() };
                self.crowd(&case, TOGETHER, &normal, false);
            }
            if late || !self.evidence.findings.is_empty() {
                break;
            }
        }
        Ok(())
    }

    /// One more call of a crowd; false where its answer is wrong as it stands.
    fn more(&mut self, case: &Case, crowd: &mut Crowd, std: f64) -> Result<bool, Broken> {
        let call = case.call();
        let Some(weight) = self.ask_plainly(case, &call)? else { return Ok(false) };
        let Some(wrong) = crowd.take(&weight.values, std) else { return Ok(true) };
        let at = weight.values.iter().position(|weight| !weight.is_finite()).unwrap_or(0);
        self.evidence.accuse(case, format!("weight[{at}]"), wrong, 0.0, f64::MAX);
        Ok(false)
    }

    /// One case for every scheme, each of another role, at variance 1 of a distribution of its own.
    fn cases_of_crowds(&self, operator: &'static dyn Operator) -> Vec<Case> {
        let settings = |all: &[crate::check::spec::operator::Setting]| -> Vec<Value> {
            all.iter().map(|word| word.json()).collect()
        };
        let schemes = self.values("scheme", &settings(init::SCHEMES));
        let roles = self.values("role", &settings(init::ROLES));
        // What is packed has several distributions, and an embedding has one of its own.
        let single = |role: &&Value| !["qkv", "embed"].contains(&role.as_str().unwrap_or_default());
        let roles: Vec<&Value> = roles.iter().filter(single).collect();
        let cases = schemes.iter().enumerate().filter_map(|(s, scheme)| {
            let mut case = self.case(operator, Dir::Fwd, self.finest());
            case.attrs["scheme"] = scheme.clone();
            case.attrs["role"] = (*roles.get(s % roles.len().max(1))?).clone();
            let side = CALL.0.min(self.effort.crowd).isqrt();
            self.sized(&mut case, [("out", side), ("in", side)]);
            (distribution_of(&case).std > 0.0).then_some(case)
        });
        cases.collect()
    }

    /// The distribution of many weights.
    fn crowd(&mut self, case: &Case, of: &str, crowd: &Crowd, uniform: bool) {
        let (n, count) = (crowd.n as f64, crowd.n);
        if count == 0 {
            let (op, of) = (case.op.to_string(), of.to_string());
            let [bias, scale, rare] = [f64::INFINITY; 3];
            self.evidence.reach.push(Reach { op, of, numbers: 0, bias, scale, rare });
            return;
        }
        // What is stored in 16 bits is rounded; a grid is off by half a step.
        let rounded = if case.dtype.bytes() < 4 { 2.0 * case.dtype.unit() } else { 0.0 };
        let slack = GRID + rounded;
        let evidence = &mut self.evidence;
        let what = |what: &str| format!("{what} of {count} weights, {of}, in standard deviations");
        let mean = crowd.sum / n;
        evidence.weigh(case, what("mean"), mean, 0.0, |x| {
            LN_2 - n * (x.abs() - slack).max(0.0).powi(2) / 2.0
        });
        let square = crowd.squares / n;
        let edge = 3f64.sqrt();
        let scale = if uniform {
            evidence.weigh(case, what("mean square"), square, 1.0, |x| {
                let off = ((x - 1.0).abs() - 3.0 * slack).max(0.0).copysign(x - 1.0);
                LN_2 - n * divergence((1.0 + off) / 3.0, 1.0 / 3.0)
            });
            let slack = 4.0 * slack;
            evidence.weigh(case, what("largest magnitude"), crowd.largest, edge, |m| {
                n * (m * (1.0 + slack) / edge).ln().min(0.0)
            });
            power::smallest_edge(n, slack)
        } else {
            evidence.weigh(case, what("mean square"), square, 1.0, |r| {
                let off = ((r - 1.0).abs() - 3.0 * slack).max(0.0).copysign(r - 1.0);
                let r = (1.0 + off).max(0.0);
                LN_2 - n * (r - 1.0 - r.ln()) / 2.0
            });
            power::smallest_scale(n) + 2.0 * slack
        };
        for (tail, &hits) in TAILS.iter().zip(&crowd.beyond) {
            let want = match uniform {
                true => (1.0 - tail / edge).max(0.0),
                false => libm::erfc(tail * FRAC_1_SQRT_2),
            };
            if want > 0.0 && rounded == 0.0 {
                let range = [(want - GRID).max(0.0), want + GRID];
                let what = format!("share of {count} weights, {of}, beyond {tail} deviations");
                evidence.share_within(case, what, (hits, count), range);
            }
        }
        if rounded == 0.0 {
            let what = format!("share of {count} weights, {of}, that are 0");
            evidence.share_within(case, what, (crowd.zeros, count), [0.0, 2.0 * GRID]);
        }
        evidence.reach.push(Reach {
            op: case.op.to_string(),
            of: of.to_string(),
            numbers: count as u64,
            bias: power::smallest_mean(n) + slack,
            scale,
            rare: power::rarest(count as u64),
        });
    }

    /// `dropout` and `drop_path`: what is kept at every rate.
    pub(super) fn crowds_of_masks(
        &mut self,
        operator: &'static dyn Operator,
    ) -> Result<(), Broken> {
        let Some((plain, _)) = self.drawn(operator) else { return Ok(()) };
        let rates: Vec<Value> = match self.served.attrs.get("p") {
            Some(served) if !served.is_empty() => served.clone(),
            _ => RATES.map(Value::from).to_vec(),
        };
        let mut rates: Vec<f64> = rates.iter().filter_map(Value::as_f64).collect();
        rates.retain(|rate| *rate > 0.0 && *rate < 1.0);
        let mut masks: Vec<Mask> = rates.into_iter().map(Mask::new).collect();
        // Once for all rates; then those that look suspicious again, three times as much.
        for look in 0..2 {
            let mut clock = self.clock();
            let mut calls = 0;
            let mut late = false;
            let goal = self.effort.crowd * if look == 0 { 1 } else { 3 };
            for round in 0..CALLS {
                let open = |mask: &Mask| mask.n < goal && (look == 0 || mask.suspicious);
                if late || !masks.iter().any(open) {
                    break;
                }
                let most = if plain.op == "dropout" { CALL.0 } else { CALL.1 };
                let mut case = plain.clone();
                case.seed = self.seed_of_call(look * CALLS + round);
                self.drawn_sizes(&mut case, most.min(self.effort.crowd));
                // The values do not depend on the rate.
                let call = case.call();
                for mask in masks.iter_mut().filter(|mask| open(mask)) {
                    late = calls > 0 && !clock.allows();
                    if late {
                        break;
                    }
                    calls += 1;
                    self.rate(&case, &call, mask)?;
                }
                if !self.evidence.findings.is_empty() {
                    return Ok(());
                }
            }
            for mask in &mut masks {
                self.decide(&plain, mask, look);
            }
        }
        Ok(())
    }

    /// One more call for a rate.
    fn rate(&mut self, case: &Case, call: &Call, mask: &mut Mask) -> Result<(), Broken> {
        let mut case = case.clone();
        case.attrs["p"] = mask.rate.into();
        let mut call = call.clone();
        call.attrs["p"] = mask.rate.into();
        call.id = case.to_string();
        let Some(y) = self.ask_plainly(&case, &call)? else { return Ok(()) };
        let x = &call.tensors[given(case.dir)];
        let answer = [(call.want[0].clone(), y)].into();
        if let Some(why) = case.operator().beyond(&call, &answer).into_iter().next() {
            self.evidence.accuse(&case, why, 0.0, 0.0, 0.0);
            return Ok(());
        }
        mask.count(x, &answer[&call.want[0]]);
        mask.case.get_or_insert(case);
        Ok(())
    }

    /// Whether a rate is what it should be: the first look may only be suspicious.
    fn decide(&mut self, plain: &Case, mask: &mut Mask, look: usize) {
        if mask.n == 0 {
            if look == 1 && mask.suspicious {
                let note = format!("p={} looks off, and there was no time for more", mask.rate);
                self.evidence.notes.push(note);
            }
            return;
        }
        let want = 1.0 - mask.rate;
        let range = [(want - GRID).max(0.0), (want + GRID).min(1.0)];
        let case = mask.case.clone().unwrap_or_else(|| plain.clone());
        let (hits, n) = (mask.kept, mask.n);
        let what = format!("share of {n} decisions at p={} to keep", mask.rate);
        self.evidence.share_within(&case, what, (hits, n), range);
        if look == 0 {
            mask.suspicious = ln_share(hits as f64 / n as f64, n, range) < WEAK.ln();
            (mask.n, mask.kept) = (0, 0);
            let unit = case.dtype.accumulator().unit() + case.dtype.unit();
            self.evidence.reach.push(Reach {
                op: case.op.to_string(),
                of: format!("p={}", crate::num::show::digits(mask.rate, 6)),
                numbers: n as u64,
                bias: power::smallest_rate(n, range) / want,
                // What is kept is right within its rounding, each single one.
                scale: 4.0 * unit,
                rare: power::rarest(n as u64),
            });
        }
    }
}

/// The decisions at one rate.
struct Mask {
    rate: f64,
    n: usize,
    kept: usize,
    suspicious: bool,
    case: Option<Case>,
}

impl Mask {
    fn new(rate: f64) -> Mask {
        Mask { rate, n: 0, kept: 0, suspicious: false, case: None }
    }

    /// Counts decisions; what may have been flushed to 0 tells none.
    fn count(&mut self, x: &Tensor, y: &Tensor) {
        let least = x.dtype.smallest_normal();
        let told = x.values.iter().zip(&y.values).filter(|(x, _)| x.abs() > least);
        for (_, y) in told {
            self.n += 1;
            self.kept += usize::from(*y != 0.0);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_third_of_a_power_of_two_is_on_no_grid() {
        for bits in 9..=16 {
            let steps = RATES[3] * f64::from(1 << bits);
            assert!((steps - steps.round()).abs() > 0.3, "{bits} bits");
        }
    }
}
