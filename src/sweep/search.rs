//! The largest learning rate that a stack bears, by bisection in place of a dense grid.
//!
//! The rates of a sweep are six to a decade. First every third of them is asked, half a decade apart,
//! by bisection; then those within the half decade at whose end runs begin to fail. Where rates are
//! borne up to an edge and not above, that is the edge to a sixth of a decade, in some five rates of the
//! twenty of a dense grid over three decades.

use std::collections::BTreeMap;

use crate::config::RunConfig;
use crate::record::Outcome;

/// Rates of a decade.
pub(super) const PER_DECADE: f64 = 6.0;
/// Rates from one half decade to the next.
const HALF: usize = 3;

/// Whether a stack bears its rate. One whose training is not finished does: smaller rates train no faster.
pub fn bears(outcome: &Outcome) -> bool {
    matches!(outcome, Outcome::Ok | Outcome::Spike { .. } | Outcome::Unfinished)
}

/// What is to be run next of some runs over rates: of every arm those seeds of one rate that have no
/// outcome yet. Nothing where the edge of every arm is known.
pub(super) fn due<'a>(
    runs: &'a [RunConfig],
    outcome: &dyn Fn(&RunConfig) -> Option<Outcome>,
) -> Vec<&'a RunConfig> {
    let mut arms: BTreeMap<String, Vec<&RunConfig>> = BTreeMap::new();
    for run in runs {
        let usual = RunConfig::default();
        let arm = RunConfig { lr: usual.lr, seed: usual.seed, ..run.clone() };
        arms.entry(arm.id()).or_default().push(run);
    }
    let next = arms.into_values().filter_map(|arm| {
        let mut rates: Vec<f64> = arm.iter().map(|run| run.lr).collect();
        rates.sort_by(f64::total_cmp);
        rates.dedup();
        let at = |rate: f64| arm.iter().copied().filter(move |run| run.lr == rate);
        let borne = |&rate: &f64| {
            let outcomes: Option<Vec<Outcome>> = at(rate).map(outcome).collect();
            outcomes.map(|outcomes| outcomes.iter().all(bears))
        };
        let known: Vec<Option<bool>> = rates.iter().map(borne).collect();
        let rate = rates[next(&known)?];
        let missing: Vec<&RunConfig> = at(rate).filter(|run| outcome(run).is_none()).collect();
        Some(missing)
    });
    next.flatten().collect()
}

/// The most rates that an arm of so many is asked for.
pub(super) fn most(rates: usize) -> usize {
    let halves = |n: usize| (n as f64 + 1.0).log2().ceil() as usize;
    halves(rates.div_ceil(HALF)) + halves(HALF - 1)
}

/// The rate to ask for next, by whether each is borne.
fn next(known: &[Option<bool>]) -> Option<usize> {
    let coarse: Vec<usize> = (0..known.len()).step_by(HALF).collect();
    let (below, above) = match bisected(&coarse, known) {
        Ok(next) => return Some(next),
        Err(edge) => edge,
    };
    // Below the smallest rate nothing was asked for.
    let fine: Vec<usize> = (below? + 1..above.unwrap_or(known.len())).collect();
    bisected(&fine, known).ok()
}

/// The middle between the largest place that holds and the smallest above it that does not; where there
/// is none between, these two.
fn bisected(
    places: &[usize],
    known: &[Option<bool>],
) -> Result<usize, (Option<usize>, Option<usize>)> {
    let holds = places.iter().rposition(|&place| known[place] == Some(true));
    let from = holds.map_or(0, |at| at + 1);
    let fails = (from..places.len()).find(|&at| known[places[at]] == Some(false));
    let to = fails.unwrap_or(places.len());
    match from < to {
        true => Ok(places[(from + to) / 2]),
        false => Err((holds.map(|at| places[at]), fails.map(|at| places[at]))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The rates asked for and the largest found, for stacks that bear the first so many.
    fn search(rates: usize, borne: usize) -> (usize, Option<usize>) {
        let mut known = vec![None; rates];
        let mut asked = 0;
        while let Some(at) = next(&known) {
            assert_eq!(known[at], None, "asked twice");
            known[at] = Some(at < borne);
            asked += 1;
        }
        (asked, known.iter().rposition(|known| *known == Some(true)))
    }

    #[test]
    fn every_edge_is_found_in_few_rates() {
        for rates in [1, 2, 3, 7, 19, 25] {
            for borne in 0..=rates {
                let (asked, found) = search(rates, borne);
                assert_eq!(found, borne.checked_sub(1), "{borne} of {rates}");
                assert!(asked <= most(rates), "{borne} of {rates}: {asked}");
            }
        }
        assert_eq!(most(19), 5);
    }

    #[test]
    fn arms_are_searched_by_themselves_and_all_seeds_count() {
        let run = |depth, lr, seed| RunConfig { depth, lr, seed, ..RunConfig::default() };
        let rates = [1e-3, 1.5e-3, 2.2e-3, 3.2e-3];
        let all = |depth| rates.iter().flat_map(move |&lr| [run(depth, lr, 1), run(depth, lr, 2)]);
        let runs: Vec<RunConfig> = all(2).chain(all(4)).collect();
        let rates_due = |outcome: &dyn Fn(&RunConfig) -> Option<Outcome>| {
            let due = due(&runs, outcome);
            due.iter().map(|run| (run.depth, run.lr, run.seed)).collect::<Vec<_>>()
        };
        let first = rates_due(&|_| None);
        assert_eq!(first.len(), 4, "one rate of both seeds for each arm: {first:?}");
        assert!(first.iter().all(|&(_, lr, _)| lr == 3.2e-3), "{first:?}");
        // One seed of the deeper arm fails there.
        let some = rates_due(&|run| match (run.depth, run.lr, run.seed) {
            (4, 3.2e-3, 2) => Some(Outcome::Stuck),
            (_, 3.2e-3, _) => Some(Outcome::Ok),
            _ => None,
        });
        assert_eq!(some, [(4, 1e-3, 1), (4, 1e-3, 2)], "the other arm bears the largest");
    }
}
