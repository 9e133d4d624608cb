//! Several claims decided at once: the chance that any of them is decided wrongly stays at the level of
//! one (Holm 1979).

use super::decision::{Decision, Verdict};

/// The decisions that stand beside each other; a verdict that does not becomes inconclusive.
///
/// Each is weighed by how far its p is below its own level: of m, the clearest must be m times below, the
/// next m − 1 times, and so on until the first that is not. All of the family count, decided or not.
pub fn holm(mut decisions: Vec<Decision>) -> Vec<Decision> {
    let decides = |decision: &Decision| {
        matches!(decision.verdict, Verdict::Supported | Verdict::Refuted | Verdict::Nuanced)
    };
    let mut order: Vec<usize> = (0..decisions.len()).filter(|&i| decides(&decisions[i])).collect();
    let ratio = |decision: &Decision| decision.p / decision.level;
    order.sort_by(|&i, &j| ratio(&decisions[i]).total_cmp(&ratio(&decisions[j])));
    let (all, mut stands) = (decisions.len(), true);
    for (before, index) in order.into_iter().enumerate() {
        let beside = all - before;
        let decision = &mut decisions[index];
        // A counterexample has p = 0: it stands beside any number of claims.
        stands &= ratio(decision) * beside as f64 <= 1.0;
        if !stands {
            decision.why =
                format!("{}, which does not stand beside {} other claims", decision.why, all - 1);
            decision.would_change =
                format!("p of {:.2e}, from more seeds", decision.level / beside as f64);
            decision.verdict = Verdict::Inconclusive;
        }
    }
    decisions
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_is_held_to_what_is_left() {
        let one = |verdict, p| Decision { verdict, p, level: 0.05, ..Decision::not_assessed() };
        let s = |p| one(Verdict::Supported, p);
        let verdicts = |decisions| -> Vec<Verdict> {
            holm(decisions).into_iter().map(|decision| decision.verdict).collect()
        };
        use Verdict::{Inconclusive, Refuted, Supported};
        // 0.05/4, 0.05/3, 0.05/2: the third is above, and so are those behind it.
        let four = vec![s(0.026), s(0.012), one(Refuted, 0.016), one(Inconclusive, 0.001)];
        assert_eq!(verdicts(four), [Inconclusive, Supported, Refuted, Inconclusive]);
        assert_eq!(verdicts(vec![s(0.03), s(0.03)]), [Inconclusive, Inconclusive]);
        assert_eq!(verdicts(vec![s(0.02), s(0.03)]), [Supported, Supported]);
        assert_eq!(verdicts(vec![s(0.05)]), [Supported]);
    }
}
