//! Masks of `dropout` and `drop_path`: how many are kept, where, and whether they know of each other.

use crate::check::spec::random::decided_together;
use std::f64::consts::LN_2;

use serde_json::Value;

use super::Stage;
use crate::check::call::{Broken, Dir};
use crate::check::spec::case::Case;
use crate::check::spec::operator::{Operator, number};
use crate::check::tensor::Tensor;

impl Stage<'_> {
    /// `dropout` and `drop_path`: the mask.
    pub(super) fn masks(&mut self, operator: &'static dyn Operator) -> Result<(), Broken> {
        let rates = self.values("p", &[0.1, 0.5, 0.9, 0.0, 1.0].map(Value::from));
        let training = self.values("training", &[true.into(), false.into()]);
        for (turn, dtypes) in self.served.dtypes().into_iter().enumerate() {
            for (i, rate) in rates.iter().enumerate() {
                for training in &training {
                    let mut case = self.case(operator, Dir::Fwd, dtypes);
                    case.attrs["p"] = rate.clone();
                    case.attrs["training"] = training.clone();
                    let rate = number(&case.attrs, "p");
                    let random = rate > 0.0 && rate < 1.0 && *training == Value::Bool(true);
                    // The first dtype meets every rate at length, each other dtype one of them.
                    let at_length = random && (turn == 0 || i == turn % rates.len().min(3));
                    if at_length {
                        self.shaped(&mut case);
                    } else {
                        few_decisions(&mut case);
                    }
                    let Some(y) = self.both_passes(&case)? else { continue };
                    case.dir = self.known_by();
                    if at_length {
                        self.mask(&case, &y, rate);
                        self.seeds_of_masks(&case, &y, rate)?;
                    }
                    if random && turn == 0 {
                        self.few(&case, rate)?;
                    }
                }
            }
        }
        Ok(())
    }

    /// What forward answers, after backward was seen to have the same mask.
    fn both_passes(&mut self, case: &Case) -> Result<Option<Tensor>, Broken> {
        let dirs = self.served.dirs();
        let backward = Case { dir: Dir::Bwd, ..case.clone() };
        let y = if dirs.contains(&Dir::Fwd) { self.ask(case)? } else { None };
        let dx = if dirs.contains(&Dir::Bwd) { self.ask(&backward)? } else { None };
        if let (Some(y), Some(dx)) = (&y, &dx) {
            // An element of 0 says nothing of the mask.
            let (x, dy) = (&case.call().tensors["x"], &backward.call().tensors["dy"]);
            let given = x.values.iter().zip(&dy.values);
            let left = y.values.iter().zip(&dx.values);
            let differs = given.zip(left).filter(|((x, dy), (y, dx))| {
                **x != 0.0 && **dy != 0.0 && (**y == 0.0) != (**dx == 0.0)
            });
            let what = "elements that forward keeps and backward drops, or the reverse";
            self.evidence.demand(&backward, what, differs.count());
        }
        // A target without forward is known by what it leaves of the upstream gradient.
        Ok(if dirs.contains(&Dir::Fwd) { y } else { dx })
    }

    /// The pass that tells the mask.
    pub(super) fn known_by(&self) -> Dir {
        if self.served.dirs().contains(&Dir::Fwd) { Dir::Fwd } else { Dir::Bwd }
    }

    fn shaped(&self, case: &mut Case) {
        let elements = self.effort.elements;
        if case.op == "dropout" {
            self.sized(case, [("rows", elements.div_ceil(129)), ("cols", 129)]);
        } else {
            case.sizes.insert("seq", 2);
            self.sized(case, [("batch", elements / 2), ("width", 2)]);
        }
    }

    /// One mask: how many are kept, where, and whether they know of each other.
    fn mask(&mut self, case: &Case, y: &Tensor, rate: f64) {
        let unit = decided_together(case.op, &y.shape);
        let kept = kept(y, unit);
        let n = kept.len();
        let count = |kept: &[bool]| kept.iter().filter(|kept| **kept).count();
        self.evidence.share(case, "share of what is kept", count(&kept), n, 1.0 - rate);
        for (i, part) in kept.chunks(n.div_ceil(16)).enumerate() {
            let what = format!("share of what is kept in part {i} of 16");
            self.evidence.share(case, what, count(part), part.len(), 1.0 - rate);
        }
        // Σxy/Σx² is 1 on average, and every term of it lies between 0 and x²/(1−p).
        let x = &case.call().tensors[given(case.dir)].values;
        let along: f64 = x.iter().zip(&y.values).map(|(x, y)| x * y).sum();
        let sizes = x.chunks(unit).map(|x| x.iter().map(|x| x * x).sum::<f64>());
        let (total, squares) = sizes.fold((0.0, 0.0), |(a, b), s| (a + s, b + s * s));
        // What is stored in 16 bits is rounded, by no more than this in the mean.
        let slack = 2.0 * case.dtype.unit() / (1.0 - rate);
        self.evidence.weigh(case, "mean of y over x", along / total, 1.0, |x| {
            let off = ((x - 1.0).abs() - slack).max(0.0) * total * (1.0 - rate);
            LN_2 - 2.0 * off * off / squares
        });
        let want = rate * rate + (1.0 - rate) * (1.0 - rate);
        let cols = if unit == 1 { y.shape[1] } else { 1 };
        let lags = (1..=16).chain((5..24).map(|power| 1 << power)).chain((0..4).map(|i| cols << i));
        for lag in lags.filter(|lag| 2 * lag <= n) {
            // Pairs that share no element: the first half of a block of 2·lag with the second.
            let pairs = kept.chunks_exact(2 * lag).flat_map(|block| {
                let (near, far) = block.split_at(lag);
                near.iter().zip(far)
            });
            let what = format!("share of pairs {lag} apart with one fate");
            let hits = pairs.filter(|(a, b)| a == b).count();
            self.evidence.share(case, what, hits, n / (2 * lag) * lag, want);
        }
        self.evidence.runs(case, "one mask", &kept, &kept, rate);
        if unit == 1 {
            self.by_value(case, x, &kept, rate);
        }
    }

    /// The mask knows nothing of what it is laid over.
    fn by_value(&mut self, case: &Case, x: &[f64], kept: &[bool], rate: f64) {
        let chosen = |what: &str, x: f64| match what {
            "negative" => x < 0.0,
            "small" => x.abs() < 0.5,
            _ => x.abs() > 1.5,
        };
        for what in ["negative", "small", "large"] {
            let own = || x.iter().zip(kept).filter(|(x, _)| chosen(what, **x));
            let (hits, n) = (own().filter(|(_, kept)| **kept).count(), own().count());
            if n > 0 {
                let what = format!("share of {what} elements that are kept");
                self.evidence.share(case, what, hits, n, 1.0 - rate);
            }
        }
    }

    /// The next seed gives another mask, and then the first one the same again.
    fn seeds_of_masks(&mut self, case: &Case, first: &Tensor, rate: f64) -> Result<(), Broken> {
        let next = Case { seed: case.seed + 1, ..case.clone() };
        // The values of the next case are others, too; the mask is what is compared.
        if let Some(other) = self.ask(&next)? {
            let unit = decided_together(case.op, &first.shape);
            let (a, b) = (kept(first, unit), kept(&other, unit));
            self.evidence.unrelated(case, "fates under two seeds", &a, &b, rate);
            self.evidence.runs(case, "two seeds", &a, &b, rate);
        }
        if let Some(again) = self.ask(case)? {
            let wrong = usize::from(!again.same_bits(first));
            self.evidence.demand(case, "one seed gives another mask the second time", wrong);
        }
        Ok(())
    }

    /// Seven decisions under 64 seeds: what is left over by blocks of four is decided, too.
    fn few(&mut self, case: &Case, rate: f64) -> Result<(), Broken> {
        const SEEDS: u64 = 64;
        let mut small = case.clone();
        few_decisions(&mut small);
        let mut masks = Vec::new();
        for seed in 0..SEEDS {
            let own = Case { seed: case.seed + 2 + seed, ..small.clone() };
            let Some(y) = self.ask(&own)? else { return Ok(()) };
            masks.push(kept(&y, decided_together(case.op, &y.shape)));
        }
        for place in 0..7 {
            let hits = masks.iter().filter(|mask| mask[place]).count();
            let what = format!("share of {SEEDS} seeds that keep place {place} of 7");
            self.evidence.share(&small, what, hits, masks.len(), 1.0 - rate);
        }
        let pairs = masks.chunks_exact(2).flat_map(|two| two[0].iter().zip(&two[1]));
        let want = rate * rate + (1.0 - rate) * (1.0 - rate);
        let hits = pairs.filter(|(a, b)| a == b).count();
        let what = "share of places with one fate under two seeds";
        self.evidence.share(&small, what, hits, 7 * masks.len() / 2, want);
        Ok(())
    }
}
/// The tensor that a pass thins out.
pub(super) fn given(dir: Dir) -> &'static str {
    if dir == Dir::Fwd { "x" } else { "dy" }
}

/// The sizes of seven decisions.
fn few_decisions(case: &mut Case) {
    let sizes = match case.op {
        "dropout" => vec![("rows", 1), ("cols", 7)],
        _ => vec![("batch", 7), ("seq", 1), ("width", 3)],
    };
    case.sizes = sizes.into_iter().collect();
}

/// Which decisions were to keep.
pub(super) fn kept(y: &Tensor, unit: usize) -> Vec<bool> {
    y.values.chunks_exact(unit).map(|y| y.iter().any(|&y| y != 0.0)).collect()
}
