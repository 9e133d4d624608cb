//! Seeds that must not share their numbers: every bit of a seed counts, and neighbours are as
//! unrelated as any two.

use std::f64::consts::{FRAC_1_SQRT_2, LN_2};

use serde_json::Value;

use super::joint::fine;
use super::masks::kept;
use super::weights::negative;
use super::{GRID, LEVEL, Stage};
use crate::check::call::{Broken, Dir};
use crate::check::spec::case::Case;
use crate::check::spec::init;
use crate::check::spec::operator::{Operator, number};

/// Numbers that are compared of every seed.
const EACH: usize = 1 << 10;
/// Seeds in a row, and numbers at the start of each.
const ROW: (u64, usize) = (256, 8);

/// A seed, the same with each of its 53 bits flipped, and the neighbours of large ones, which are
/// the same number to whoever keeps a seed in 32 bits, or as a floating-point number; of these, what
/// is at most `largest`.
fn family(seed: u64, largest: u64) -> Vec<u64> {
    let mut all = vec![seed];
    all.extend((0..53).map(|bit| seed ^ (1 << bit)));
    all.extend([24, 31, 32, 52].map(|bit| seed ^ (1 << bit) ^ 1));
    all.retain(|&seed| seed <= largest);
    all
}

/// The bits of a seed that change nothing: seeds that differ from the first in that bit alone, and
/// give the same coins.
fn unread(seeds: &[u64], lists: &[Vec<bool>]) -> Vec<u32> {
    let others = seeds.iter().zip(lists).skip(1);
    let same = others.filter(|(_, coins)| **coins == lists[0]).map(|(seed, _)| seed ^ seeds[0]);
    same.filter(|bits| bits.is_power_of_two()).map(u64::trailing_zeros).collect()
}

/// The same in words, of seeds of so many bits.
fn told(unread: &[u32], bits: u32) -> String {
    let (count, first) = (unread.len() as u32, unread[0]);
    if first + count < bits {
        return format!(
            "count of a seed's {bits} bits that change nothing, bit {first} the lowest,"
        );
    }
    let hint = match first {
        31.. => " (limits.max_seed in hello declares a target that reads fewer)",
        _ => "",
    };
    format!("count of a seed's {bits} bits that change nothing, all from bit {first} on,{hint}")
}

impl Stage<'_> {
    /// The numbers of many seeds against each other.
    pub(super) fn seeds(&mut self, operator: &'static dyn Operator) -> Result<(), Broken> {
        let Some((mut case, rate)) = self.drawn(operator) else { return Ok(()) };
        self.drawn_sizes(&mut case, EACH);
        let seeds = family(self.seed, self.served.limits.largest_seed());
        let mut lists = Vec::new();
        let mut all = Vec::new();
        for &seed in &seeds {
            let own = Case { seed, ..case.clone() };
            let Some((coins, values)) = self.drawn_by(&own)? else { return Ok(()) };
            lists.push(coins);
            all.extend(values);
        }
        let want = rate * rate + (1.0 - rate) * (1.0 - rate);
        let by_chance = lists[0].len() as f64 * want.ln();
        let unread = unread(&seeds, &lists);
        if !unread.is_empty() && by_chance < LEVEL.ln() {
            let what = told(&unread, 64 - self.served.limits.largest_seed().leading_zeros());
            self.evidence.accuse(&case, what, unread.len() as f64, 0.0, 0.0);
            return Ok(());
        }
        for (i, a) in lists.iter().enumerate() {
            for (j, b) in lists.iter().enumerate().take(i) {
                let hits = a.iter().zip(b).filter(|(a, b)| a == b).count();
                let own = Case { seed: seeds[j], ..case.clone() };
                let what = format!(
                    "share of places with one fate under seeds {} and {}",
                    seeds[j], seeds[i]
                );
                self.evidence.share(&own, what, hits, a.len(), want);
            }
        }
        if case.op == "init" && fine(case.dtype) {
            self.evidence.repeats(&case, &format!("{} seeds", seeds.len()), &all);
        }
        self.first_numbers(&case, rate)
    }

    /// The first numbers of seeds in a row are independent as well, and of the distribution.
    fn first_numbers(&mut self, case: &Case, rate: f64) -> Result<(), Broken> {
        let mut case = case.clone();
        self.drawn_sizes(&mut case, ROW.1);
        let mut lists = Vec::new();
        let mut numbers = Vec::new();
        for i in 0..ROW.0 {
            let own = Case { seed: self.seed + 1000 + i, ..case.clone() };
            let Some((coins, values)) = self.drawn_by(&own)? else { return Ok(()) };
            lists.push(coins);
            numbers.push(values);
        }
        let places = lists.iter().map(Vec::len).min().unwrap_or(0);
        let want = rate * rate + (1.0 - rate) * (1.0 - rate);
        let what = if case.op == "init" { "negative" } else { "dropped" };
        for place in 0..places {
            let hits = lists.iter().filter(|coins| coins[place]).count();
            let what = format!("share of seeds in a row that are {what} at place {place}");
            self.evidence.share(&case, what, hits, lists.len(), rate);
            for lag in [1, 2, 4] {
                // Pairs that share no seed, as the coins of a mask are not fair.
                let blocks = lists.chunks_exact(2 * lag);
                let n = blocks.len() * lag;
                let pairs = blocks.flat_map(|block| (0..lag).map(|i| (&block[i], &block[i + lag])));
                let hits = pairs.filter(|(a, b)| a[place] == b[place]).count();
                let what = format!("share of seeds {lag} apart with one fate at place {place}");
                self.evidence.share(&case, what, hits, n, want);
            }
        }
        if case.op == "init" {
            let uniform = distribution_of(&case).uniform;
            for place in 0..places {
                let mut own: Vec<f64> = numbers.iter().map(|values| values[place]).collect();
                own.sort_by(f64::total_cmp);
                let n = own.len() as f64;
                let below = |x: f64| match uniform {
                    true => (0.5 + 0.5 * x / 3f64.sqrt()).clamp(0.0, 1.0),
                    false => 0.5 * libm::erfc(-x * FRAC_1_SQRT_2),
                };
                let gaps = own.iter().enumerate().map(|(i, &w)| {
                    (below(w) - i as f64 / n).abs().max((below(w) - (i + 1) as f64 / n).abs())
                });
                let what =
                    format!("distance of weight {place} of seeds in a row from its distribution");
                let ln_p = |d: f64| LN_2 - 2.0 * n * (d - GRID).max(0.0).powi(2);
                self.evidence.weigh(&case, what, gaps.fold(0.0, f64::max), 0.0, ln_p);
            }
        }
        Ok(())
    }

    /// A case whose answer is random in every element, and the probability of a coin of it.
    pub(super) fn drawn(&self, operator: &'static dyn Operator) -> Option<(Case, f64)> {
        let mut case = self.case(operator, self.known_by(), self.finest());
        if case.op == "init" {
            case.dir = Dir::Fwd;
            // A matrix that is not packed has one distribution.
            let roles = self.values("role", &[]);
            let single = |role: &&Value| role.as_str() != Some("qkv");
            match roles.iter().find(single) {
                Some(role) => case.attrs["role"] = role.clone(),
                None if roles.is_empty() => {}
                None => return None,
            }
            return (distribution_of(&case).std > 0.0).then_some((case, 0.5));
        }
        let rates = self.values("p", &[Value::from(0.5)]);
        let within = |rate: &&Value| rate.as_f64().is_some_and(|rate| rate > 0.0 && rate < 1.0);
        let central = |rate: &&Value| (rate.as_f64().unwrap_or(0.0) - 0.5).abs();
        let rate = rates.iter().filter(within).min_by(|a, b| central(a).total_cmp(&central(b)))?;
        if !self.values("training", &[true.into()]).contains(&true.into()) {
            return None;
        }
        case.attrs["p"] = rate.clone();
        case.attrs["training"] = true.into();
        let rate = number(&case.attrs, "p");
        Some((case, rate))
    }

    /// So many numbers in about a square, or so many samples of one element.
    pub(super) fn drawn_sizes(&self, case: &mut Case, count: usize) {
        let width = count.isqrt().next_power_of_two();
        match case.op {
            "init" => self.sized(case, [("out", count / width), ("in", width)]),
            "dropout" => self.sized(case, [("rows", count / width), ("cols", width)]),
            _ => {
                case.sizes.insert("seq", 1);
                self.sized(case, [("batch", count), ("width", 1)]);
            }
        }
    }

    /// The coins of an answer, dropped or negative, and its numbers at variance 1.
    fn drawn_by(&mut self, case: &Case) -> Result<Option<Drawn>, Broken> {
        let Some(answer) = self.ask(case)? else { return Ok(None) };
        Ok(Some(if case.op == "init" {
            let std = distribution_of(case).std;
            let scaled: Vec<f64> = answer.values.iter().map(|w| w / std).collect();
            (negative(&scaled), scaled)
        } else {
            (kept(&answer, 1).into_iter().map(|kept| !kept).collect(), Vec::new())
        }))
    }
}

/// The coins of an answer and its numbers.
type Drawn = (Vec<bool>, Vec<f64>);

/// The distribution of a matrix that is not packed.
pub(super) fn distribution_of(case: &Case) -> init::Distribution {
    let attrs = case.operator().attributes(case);
    let role = attrs["role"].as_str().unwrap_or_default().to_string();
    init::distribution(&attrs, &role, case.size("out"), case.size("in"))
}
