//! Single matrices of `init`: the distribution of their elements, and whether they know of each other.

use std::f64::consts::{FRAC_1_SQRT_2, LN_2};

use serde_json::Value;

use super::bounds::divergence;
use super::joint::{fine, related};
use super::{GRID, Stage};
use crate::check::call::{Broken, Dir};
use crate::check::scope::Scope;
use crate::check::spec::case::Case;
use crate::check::spec::init;
use crate::check::spec::operator::{Operator, Setting};
use crate::check::tensor::Tensor;

impl Stage<'_> {
    /// `init`: every scheme of every role.
    pub(super) fn weights(&mut self, operator: &'static dyn Operator) -> Result<(), Broken> {
        let words = |settings: &[Setting]| -> Vec<Value> {
            settings.iter().map(|word| word.json()).collect()
        };
        let dtypes = self.served.dtypes();
        let (schemes, roles) = (
            self.values("scheme", &words(init::SCHEMES)),
            self.values("role", &words(init::ROLES)),
        );
        let depths = self.values("depth", &[12.into(), 1.into(), 3.into()]);
        let scope = Scope::new(operator, self.served);
        let known = operator.attrs().iter().find(|attr| attr.name == "depth");
        let deep = known.map_or(Vec::new(), |depth| scope.values(depth));
        let layers = self.values("layer", &[0.into(), 2.into()]);
        let gains = self.values("gain", &[1.0.into(), 0.5.into(), 2.0.into()]);
        // Far from square, so that fans that are swapped differ.
        let long = (2.6 * self.effort.elements as f64).sqrt() as usize;
        let short = self.effort.elements / long;
        let side = self.effort.elements.isqrt();
        for (s, scheme) in schemes.iter().enumerate() {
            for (r, role) in roles.iter().enumerate() {
                let turn = s * roles.len() + r;
                let mut case = self.case(operator, Dir::Fwd, dtypes[turn % dtypes.len()]);
                case.seed = self.seed + 2 * turn as u64;
                let (out, input) = if turn % 2 == 0 { (long, short) } else { (short, long) };
                self.sized(&mut case, [("out", out), ("in", input)]);
                let cycled = [
                    ("scheme", scheme),
                    ("role", role),
                    ("layer", &layers[turn % layers.len()]),
                    ("gain", &gains[(s + r) % gains.len()]),
                ];
                for (name, value) in cycled {
                    case.attrs[name] = value.clone();
                }
                // A stack of few blocks has no late layer to declare.
                let in_turn = depths.iter().cycle().skip((s + r + r / 3) % depths.len());
                let allowed = in_turn.take(depths.len()).chain(&deep).any(|depth| {
                    case.attrs["depth"] = depth.clone();
                    scope.allows(&case)
                });
                if !allowed {
                    continue;
                }
                let Some(weight) = self.ask(&case)? else { continue };
                if weight.values.iter().all(|&weight| weight == 0.0) && case.num("gain") == 0.0 {
                    continue;
                }
                self.slices(&case, &weight);
                // One role per scheme is enough to see what a seed does, and a transposed copy.
                if r == s % roles.len() {
                    self.seeds_of_weights(&case, &weight)?;
                    self.sized(&mut case, [("out", side), ("in", side)]);
                    if let Some(weight) = self.ask(&case)? {
                        self.slices(&case, &weight);
                    }
                }
            }
        }
        self.roles_and_layers(operator, &roles, &layers)
    }

    /// Whether two roles, or two layers, have the same numbers under one seed: the specification
    /// does not say that they must not, and whoever gives a whole stack one seed should know.
    fn roles_and_layers(
        &mut self,
        operator: &'static dyn Operator,
        roles: &[Value],
        layers: &[Value],
    ) -> Result<(), Broken> {
        let mut case = self.case(operator, Dir::Fwd, self.finest());
        let side = self.effort.elements.isqrt();
        self.sized(&mut case, [("out", side), ("in", side)]);
        let plain = |role: &&Value| !["qkv", "embed"].contains(&role.as_str().unwrap_or_default());
        let roles: Vec<Value> = roles.iter().filter(plain).take(2).cloned().collect();
        for (attr, values) in [("role", roles.as_slice()), ("layer", layers)] {
            let [one, other, ..] = values else { continue };
            let mut coins = Vec::new();
            for value in [one, other] {
                let mut own = case.clone();
                own.attrs[attr] = value.clone();
                if operator.attributes(&own)[attr] != *value {
                    continue;
                }
                let weight = self.ask(&own)?;
                coins.extend(weight.map(|weight| negative(&weight.values)));
            }
            if let [a, b] = coins.as_slice()
                && case.num("gain") != 0.0
                && related(a, b)
            {
                self.evidence.notes.push(format!(
                    "one seed gives {attr} {one} and {attr} {other} the same numbers: a stack needs \
                     a seed for each"
                ));
            }
        }
        Ok(())
    }

    fn slices(&mut self, case: &Case, weight: &Tensor) {
        let attrs = case.operator().attributes(case);
        let (out, input) = (case.size("out"), case.size("in"));
        let roles = init::slices(attrs["role"].as_str().unwrap_or_default());
        let mut slices: Vec<(&str, Vec<f64>, Vec<bool>)> = Vec::new();
        for (role, slice) in roles.into_iter().zip(weight.values.chunks_exact(out * input)) {
            let known = init::distribution(&attrs, role, out, input);
            let scaled: Vec<f64> = slice.iter().map(|w| w / known.std).collect();
            self.marginal(case, role, &scaled, known.uniform);
            self.independence(case, role, &scaled, input, known.uniform);
            if fine(weight.dtype) {
                self.evidence.repeats(case, role, &scaled);
            }
            let signs = negative(&scaled);
            for (other, values, coins) in &slices {
                if fine(weight.dtype) {
                    self.evidence.shared(case, &format!("{other} and {role}"), values, &scaled);
                }
                let what = format!("signs of {other} and {role}");
                self.evidence.unrelated(case, &what, coins, &signs, 0.5);
            }
            slices.push((role, scaled, signs));
        }
    }

    /// The distribution of single weights, which have variance 1 here.
    fn marginal(&mut self, case: &Case, role: &str, weights: &[f64], uniform: bool) {
        let count = weights.len();
        let n = count as f64;
        let mean = |power: i32| weights.iter().map(|w| w.powi(power)).sum::<f64>() / n;
        let edge = 3f64.sqrt();
        let evidence = &mut self.evidence;
        let of = |what: &str| format!("{what} of {role}, in standard deviations");
        evidence.weigh(case, of("mean"), mean(1), 0.0, |x| LN_2 - n * x * x / 2.0);
        if uniform {
            for (what, power, want) in [("mean square", 2, 1.0), ("fourth moment", 4, 1.8)] {
                let most = edge.powi(power);
                evidence.weigh(case, of(what), mean(power), want, |x| {
                    LN_2 - n * divergence(x / most, want / most)
                });
            }
            let largest = weights.iter().fold(0.0f64, |most, w| most.max(w.abs()));
            evidence.weigh(case, of("largest magnitude"), largest, edge, |m| {
                n * (m / edge).ln().min(0.0)
            });
        } else {
            evidence.weigh(case, of("mean square"), mean(2), 1.0, |r| {
                LN_2 - n * (r - 1.0 - r.ln()) / 2.0
            });
        }
        let below = |x: f64| match uniform {
            true => (0.5 + 0.5 * x / edge).clamp(0.0, 1.0),
            false => 0.5 * libm::erfc(-x * FRAC_1_SQRT_2),
        };
        for deviations in [1.0, 1.5, 2.0, 3.0] {
            let want = 2.0 * below(-deviations);
            if want > 0.0 {
                let beyond = weights.iter().filter(|w| w.abs() > deviations).count();
                let what = format!("share of {role} beyond {deviations} standard deviations");
                evidence.share(case, what, beyond, count, want);
            }
        }
        let mut sorted = weights.to_vec();
        sorted.sort_by(f64::total_cmp);
        let gaps = sorted.iter().enumerate().map(|(i, &w)| {
            let known = below(w);
            (known - i as f64 / n).abs().max((known - (i + 1) as f64 / n).abs())
        });
        let distance = gaps.fold(0.0, f64::max);
        let what = format!("distance of the distribution of {role} from the right one");
        evidence.weigh(case, what, distance, 0.0, |d| LN_2 - 2.0 * n * (d - GRID).max(0.0).powi(2));
    }

    /// Fair coins of the weights, compared with those of neighbours in the row and in the column.
    fn independence(
        &mut self,
        case: &Case,
        role: &str,
        weights: &[f64],
        cols: usize,
        uniform: bool,
    ) {
        let median = if uniform { 0.75f64.sqrt() } else { 0.674_489_750_196_081_7 };
        let coins: [(&str, Vec<bool>); 2] = [
            ("signs", weights.iter().map(|&w| w < 0.0).collect()),
            ("magnitudes", weights.iter().map(|w| w.abs() > median).collect()),
        ];
        let rows = weights.len() / cols;
        for (what, coins) in &coins {
            // Near neighbours, and the places of a head where there are two, three, four or eight.
            let parts = [2, 3, 4, 8].into_iter().flat_map(|heads| [rows / heads, cols / heads]);
            let mut lags: Vec<usize> =
                [1, 2, 3, 4, 8, 16, 32, 64].into_iter().chain(parts).collect();
            lags.sort_unstable();
            lags.dedup();
            for lag in lags.into_iter().filter(|&lag| lag > 0) {
                let agree = |i: &usize| coins[*i] == coins[i + lag];
                if lag < cols {
                    let places = (0..weights.len()).filter(|i| i % cols + lag < cols);
                    let what = format!("share of equal {what} of {role} {lag} apart in a row");
                    let hits = places.filter(agree).count();
                    self.evidence.share(case, what, hits, rows * (cols - lag), 0.5);
                }
                if lag < rows {
                    let n = (rows - lag) * cols;
                    let hits = (0..n).filter(|&i| coins[i] == coins[i + lag * cols]).count();
                    let what = format!("share of equal {what} of {role} {lag} apart in a column");
                    self.evidence.share(case, what, hits, n, 0.5);
                }
            }
            // A product of a number per row and one per column shows in squares of four only.
            let corners =
                (0..rows / 2).flat_map(|r| (0..cols / 2).map(move |c| 2 * (r * cols + c)));
            let odd = |i: &usize| coins[*i] ^ coins[i + 1] ^ coins[i + cols] ^ coins[i + cols + 1];
            let n = (rows / 2) * (cols / 2);
            if n > 0 {
                let what = format!("share of odd squares of {what} of {role}");
                self.evidence.share(case, what, corners.filter(odd).count(), n, 0.5);
            }
            if rows == cols && rows > 1 {
                let pairs =
                    (1..rows).flat_map(|r| (0..r).map(move |c| (r * cols + c, c * cols + r)));
                let hits = pairs.filter(|&(a, b)| coins[a] == coins[b]).count();
                let what = format!("share of equal {what} of {role} and its transpose");
                self.evidence.share(case, what, hits, rows * (rows - 1) / 2, 0.5);
            }
        }
    }

    /// The next seed gives other weights, and then the first one the same again.
    fn seeds_of_weights(&mut self, case: &Case, first: &Tensor) -> Result<(), Broken> {
        let next = Case { seed: case.seed + 1, ..case.clone() };
        if let Some(other) = self.ask(&next)? {
            let (a, b) = (negative(&first.values), negative(&other.values));
            self.evidence.unrelated(case, "signs of two seeds", &a, &b, 0.5);
            if fine(first.dtype) {
                let attrs = case.operator().attributes(case);
                let role = init::slices(attrs["role"].as_str().unwrap_or_default())[0];
                let known = init::distribution(&attrs, role, case.size("out"), case.size("in"));
                let scaled =
                    |w: &Tensor| -> Vec<f64> { w.values.iter().map(|w| w / known.std).collect() };
                self.evidence.shared(case, "two seeds", &scaled(first), &scaled(&other));
            }
        }
        if let Some(again) = self.ask(case)? {
            let wrong = usize::from(!again.same_bits(first));
            self.evidence.demand(case, "one seed gives other weights the second time", wrong);
        }
        Ok(())
    }
}

/// Fair coins: which weights are negative.
pub(super) fn negative(weights: &[f64]) -> Vec<bool> {
    weights.iter().map(|&weight| weight < 0.0).collect()
}
