//! Every rule, at every edge of what it claims: how often it says what is not so, and how often what is.

use std::collections::BTreeSet;

use plummet::rng::Rng;
use plummet::setting::Setting;
use plummet::statistics::distribution::binomial;
use plummet::statistics::proportion::Share;
use plummet::statistics::rule::{
    Bound, Equivalence, Existence, Exponent, Linearity, Rate, Superiority, Trend,
};
use plummet::statistics::{Decision, Figure, Verdict, family};

/// Verdicts that say that there is an effect.
const EFFECT: &[Verdict] = &[Verdict::Supported, Verdict::Nuanced];
/// Verdicts that say that it is below the margin.
const SHORT: &[Verdict] = &[Verdict::Refuted, Verdict::Nuanced];
const SUPPORTED: &[Verdict] = &[Verdict::Supported];
const REFUTED: &[Verdict] = &[Verdict::Refuted];
const NUANCED: &[Verdict] = &[Verdict::Nuanced];

use super::{SETS, assert_on_the_page, at_least, at_most};

/// A way to draw figures, and what a rule must not or must say of them.
struct Row {
    rule: &'static str,
    /// The seeds or trials.
    n: usize,
    truth: &'static str,
    says: &'static [Verdict],
    stated: Stated,
    decide: Box<dyn Fn(&mut Rng) -> Decision>,
}

#[derive(Clone, Copy)]
enum Stated {
    /// It is not so: the rule says it at most so often.
    False(f64),
    /// It is so: the rule says it at least so often.
    Power(f64),
}
use Stated::{False, Power};

fn row(
    rule: &'static str,
    n: usize,
    truth: &'static str,
    (says, stated): (&'static [Verdict], Stated),
    decide: impl Fn(&mut Rng) -> Decision + 'static,
) -> Row {
    Row { rule, n, truth, says, stated, decide: Box::new(decide) }
}

/// How runs of one arm scatter.
#[derive(Clone, Copy)]
enum Noise {
    Normal,
    /// Student's with three degrees of freedom.
    Heavy,
    /// Exponential: the difference of two such arms is symmetric all the same.
    Skewed,
    /// Normal, and one run in five diverges.
    Diverging,
}

fn noise(kind: Noise, rng: &mut Rng) -> f64 {
    match kind {
        Noise::Normal => rng.normal(),
        Noise::Heavy => {
            let squares: f64 = (0..3).map(|_| rng.normal().powi(2)).sum();
            rng.normal() / (squares / 3.0).sqrt()
        }
        Noise::Skewed => -(1.0 - rng.uniform()).ln(),
        Noise::Diverging if rng.uniform() < 0.2 => f64::NAN,
        Noise::Diverging => rng.normal(),
    }
}

/// Two arms that share what comes of a seed; the second is `effect` above, in units of a run's scatter. At
/// several places a seed adds something to an arm at all of them.
fn arms(n: usize, places: usize, effect: f64, kind: Noise, rng: &mut Rng) -> [Vec<Figure>; 2] {
    let (mut a, mut b) = (Vec::new(), Vec::new());
    for seed in 0..n as u64 {
        let shared = 3.0 * rng.normal();
        let own = if places > 1 { [rng.normal(), rng.normal()] } else { [0.0; 2] };
        for at in 0..places {
            let figure = |value| Figure { seed, at: at as f64, value };
            a.push(figure(shared + own[0] + noise(kind, rng)));
            b.push(figure(shared + own[1] + noise(kind, rng) + effect));
        }
    }
    [a, b]
}

/// A law over places, whose seeds differ in size and slope, with scatter at every place; `scale` multiplies all
/// of that.
fn over(at: &[f64], n: usize, scale: f64, law: impl Fn(f64) -> f64, rng: &mut Rng) -> Vec<Figure> {
    let mut figures = Vec::new();
    for seed in 0..n as u64 {
        let (size, slope) = (0.2 * scale * rng.normal(), 0.03 * scale * rng.normal());
        for &at in at {
            let off = size + slope * (at / 32.0).ln() + 0.05 * scale * rng.normal();
            figures.push(Figure { seed, at, value: law(at) * off.exp() });
        }
    }
    figures
}

const DEPTHS: [f64; 5] = [8.0, 16.0, 32.0, 64.0, 128.0];

fn superiority(rows: &mut Vec<Row>) {
    let rule = Superiority { margin: 1.0 };
    let mut add = |n, truth, says, places, effect, kind| {
        rows.push(row("superiority", n, truth, says, move |rng| {
            let [a, b] = arms(n, places, effect, kind, rng);
            rule.decide(&a, &b).unwrap()
        }));
    };
    for (n, power) in [(7, 0.80), (10, 0.95), (20, 0.95)] {
        add(n, "no effect", (EFFECT, False(0.01)), 1, 0.0, Noise::Normal);
        add(n, "the margin", (SHORT, False(0.025)), 1, 1.0, Noise::Normal);
        add(n, "3 margins", (SUPPORTED, Power(power)), 1, 3.0, Noise::Normal);
    }
    add(20, "worse by a margin", (REFUTED, Power(0.95)), 1, -1.0, Noise::Normal);
    add(10, "no effect, heavy tails", (EFFECT, False(0.01)), 1, 0.0, Noise::Heavy);
    add(10, "the margin, heavy tails", (SHORT, False(0.025)), 1, 1.0, Noise::Heavy);
    add(10, "no effect, skewed", (EFFECT, False(0.01)), 1, 0.0, Noise::Skewed);
    add(10, "no effect, 1 in 5 diverges", (EFFECT, False(0.01)), 1, 0.0, Noise::Diverging);
    add(10, "no effect, 3 places a seed", (EFFECT, False(0.01)), 3, 0.0, Noise::Normal);
    add(10, "3 margins, 1 in 5 diverges", (SUPPORTED, Power(0.15)), 1, 3.0, Noise::Diverging);
}

fn equivalence(rows: &mut Vec<Row>) {
    let rule = Equivalence { margin: 3.0 };
    let mut add = |n, truth, says, effect, kind| {
        rows.push(row("equivalence", n, truth, says, move |rng| {
            let [a, b] = arms(n, 1, effect, kind, rng);
            rule.decide(&a, &b).unwrap()
        }));
    };
    for (n, power) in [(5, 0.80), (10, 0.95)] {
        add(n, "the margin", (EFFECT, False(0.05)), 3.0, Noise::Normal);
        add(n, "the margin", (SHORT, False(0.025)), 3.0, Noise::Normal);
        add(n, "equal", (SUPPORTED, Power(power)), 0.0, Noise::Normal);
    }
    add(10, "the margin, heavy tails", (EFFECT, False(0.05)), -3.0, Noise::Heavy);
    add(10, "the margin, 1 in 5 diverges", (EFFECT, False(0.05)), 3.0, Noise::Diverging);
    add(20, "two margins", (REFUTED, Power(0.95)), 6.0, Noise::Normal);
}

fn exponent(rows: &mut Vec<Row>) {
    let rule = Exponent { exponent: -0.5, within: 0.1, beyond: 0.15 };
    let mut add = |n, truth, says, slope: f64, bend: f64| {
        rows.push(row("exponent", n, truth, says, move |rng| {
            let law = |x: f64| (bend * (x / 32.0).ln().powi(2)).exp() * x.powf(slope);
            rule.decide(&over(&DEPTHS, n, 1.0, law, rng)).unwrap()
        }));
    };
    for (n, power) in [(5, 0.95), (10, 0.95)] {
        add(n, "off by 0.10", (SUPPORTED, False(0.05)), -0.4, 0.0);
        add(n, "off by 0.15", (REFUTED, False(0.025)), -0.65, 0.0);
        add(n, "a power", (NUANCED, False(0.01)), -0.5, 0.0);
        add(n, "as claimed", (SUPPORTED, Power(power)), -0.5, 0.0);
    }
    add(5, "off by 0.25", (REFUTED, Power(0.80)), -0.25, 0.0);
    add(5, "-0.14 to -0.86 by place", (NUANCED, Power(0.95)), -0.5, -0.13);
    add(5, "-0.14 to -0.86 by place", (SUPPORTED, False(0.05)), -0.5, -0.13);
}

fn linearity(rows: &mut Vec<Row>) {
    let rule = Linearity { within: 0.02, beyond: 0.1 };
    // Over five places that are equally far apart, x² departs most at both ends, by 2 steps².
    let at = [16.0, 32.0, 48.0, 64.0, 80.0];
    let mut add = |n, truth, says, share: f64| {
        rows.push(row("linearity", n, truth, says, move |rng| {
            // The line is 90 at the last place, where it is departed from by that share.
            let bend = share * 90.0 / 2.0;
            let law = |x: f64| {
                let u = (x - 48.0) / 16.0;
                10.0 + x + bend * (u * u - 2.0)
            };
            rule.decide(&over(&at, n, 0.1, law, rng)).unwrap()
        }));
    };
    for (n, power) in [(5, 0.95), (10, 0.95)] {
        add(n, "departs by 0.02", (SUPPORTED, False(0.05)), 0.02);
        add(n, "departs by 0.10", (REFUTED, False(0.025)), 0.1);
        add(n, "a line", (SUPPORTED, Power(power)), 0.0);
    }
    add(5, "departs by 0.15", (REFUTED, Power(0.95)), 0.15);
}

fn rate(rows: &mut Vec<Row>) {
    let rule = Rate { supported: 0.5, refuted: 0.25 };
    let mut add = |n: usize, truth, says, first: f64, second: f64| {
        rows.push(row("rate", n, truth, says, move |rng| {
            let mut count =
                |rate: f64| Share { hits: (0..n).filter(|_| rng.uniform() < rate).count(), of: n };
            let (a, b) = (count(first), count(second));
            rule.decide(a, b).unwrap()
        }));
    };
    for (n, power) in [(5, 0.25), (20, 0.95)] {
        add(n, "both 0.5", (EFFECT, False(0.01)), 0.5, 0.5);
        add(n, "0.5 and 0.25", (SHORT, False(0.025)), 0.5, 0.25);
        add(n, "0.25 and 0", (SHORT, False(0.025)), 0.25, 0.0);
        add(n, "0.9 and 0.1", (SUPPORTED, Power(power)), 0.9, 0.1);
    }
    add(20, "both 0.1", (REFUTED, Power(0.5)), 0.1, 0.1);
}

fn bound(rows: &mut Vec<Row>) {
    let rule = Bound { limit: 1.0, slack: 0.0, rate: 0.01 };
    let mut add = |n: usize, truth, says, rate: f64| {
        rows.push(row("bound", n, truth, says, move |rng| {
            let value = |_| if rng.uniform() < rate { 2.0 } else { 1.0 };
            rule.decide(&(0..n).map(value).collect::<Vec<_>>()).unwrap()
        }));
    };
    add(299, "fails in 0.01", (SUPPORTED, False(0.05)), 0.01);
    add(299, "always holds", (REFUTED, False(0.0)), 0.0);
    add(299, "always holds", (SUPPORTED, Power(1.0)), 0.0);
    add(299, "fails in 0.01", (REFUTED, Power(0.95)), 0.01);
}

fn existence(rows: &mut Vec<Row>) {
    let rule = Existence { limit: 1.0 };
    let mut add = |n, truth, says, elsewhere: f64, best: f64| {
        rows.push(row("existence", n, truth, says, move |rng| {
            let places = (0..n as u64).flat_map(|seed| (0..5).map(move |at| (seed, at)));
            let mut value = |at| {
                let able = rng.uniform() < if at == 2 { best } else { elsewhere };
                if able { 1.0 } else { f64::NAN }
            };
            let figures: Vec<Figure> = places
                .map(|(seed, at)| Figure { seed, at: f64::from(at), value: value(at) })
                .collect();
            rule.decide(&figures).unwrap()
        }));
    };
    for (n, power) in [(5, 0.75), (10, 0.95)] {
        add(n, "0.3 at 5 places", (SUPPORTED, False(0.05)), 0.3, 0.3);
        add(n, "0.5 at one of 5", (REFUTED, False(0.05)), 0.0, 0.5);
        add(n, "0.95 at one of 5", (SUPPORTED, Power(power)), 0.0, 0.95);
        add(n, "none at 5 places", (REFUTED, Power(1.0)), 0.0, 0.0);
    }
}

fn trend(rows: &mut Vec<Row>) {
    let rule = Trend { rising: true };
    let at = [1.0, 2.0, 3.0, 4.0];
    let mut add = |n: usize, truth, says, law: fn(f64) -> f64| {
        rows.push(row("trend", n, truth, says, move |rng| {
            let mut figures = Vec::new();
            for seed in 0..n as u64 {
                let shared = 3.0 * rng.normal();
                let place = |&at| Figure { seed, at, value: shared + law(at) + rng.normal() };
                figures.extend(at.iter().map(place));
            }
            rule.decide(&figures).unwrap()
        }));
    };
    for (n, power) in [(3, 0.4), (5, 0.8)] {
        add(n, "none", (SUPPORTED, False(0.01)), |_| 0.0);
        add(n, "none", (REFUTED, False(0.025)), |_| 0.0);
        add(n, "1 scatter a place", (SUPPORTED, Power(power)), |x| x);
    }
    add(5, "1 scatter a place down", (REFUTED, Power(0.95)), |x| -x);
    add(20, "flat at the end", (NUANCED, False(0.01)), |x| 2.0 * x.min(3.0));
    add(20, "turns at the end", (NUANCED, Power(0.75)), |x| 2.0 * x - 3.5 * (x - 3.0).max(0.0));
}

/// Ten claims without an effect at once; such a row is of the first of them that claims an effect.
fn families(rows: &mut Vec<Row>) {
    let rule = Superiority { margin: 1.0 };
    let claims = move |first: f64, rng: &mut Rng| {
        let one = |effect, rng: &mut Rng| {
            let [a, b] = arms(10, 1, effect, Noise::Normal, rng);
            rule.decide(&a, &b).unwrap()
        };
        let decided = (0..10).map(|i| one(if i == 0 { first } else { 0.0 }, rng)).collect();
        family::holm(decided)
    };
    let any = |decisions: Vec<Decision>| {
        let supported = decisions.iter().position(|one| EFFECT.contains(&one.verdict));
        decisions[supported.unwrap_or(0)].clone()
    };
    let none = "ten claims, no effects";
    let says = (EFFECT, False(0.01));
    rows.push(row("holm", 10, none, says, move |rng| any(claims(0.0, rng))));
    let one = "ten claims, one of 4 margins";
    let says = (SUPPORTED, Power(0.9));
    rows.push(row("holm", 10, one, says, move |rng| claims(4.0, rng).swap_remove(0)));
}

fn rows() -> Vec<Row> {
    let mut rows = Vec::new();
    for add in
        [superiority, equivalence, exponent, linearity, rate, bound, existence, trend, families]
    {
        add(&mut rows);
    }
    rows
}

#[test]
fn rules_keep_their_stated_rates() {
    let rows = rows();
    let mut table = vec![
        "| rule | n | the truth | says | stated | measured |".to_string(),
        "|---|---|---|---|---|---|".to_string(),
    ];
    let mut failed = Vec::new();
    for (index, row) in rows.iter().enumerate() {
        let Row { rule, n, truth, says, stated, decide } = row;
        let mut rng = Rng::new(2024).named("rules").at(index as u64);
        let mut said = |_: &usize| {
            let Decision { verdict, p, level, .. } = decide(&mut rng);
            let decided = ![Verdict::Inconclusive, Verdict::NotAssessed].contains(&verdict);
            assert!(!decided || p <= level, "{rule} says {verdict:?} with p = {p} at {level}");
            says.contains(&verdict)
        };
        let count = (0..SETS).filter(&mut said).count();
        let (kept, stated) = match *stated {
            False(rate) => (at_most(count, rate), format!("≤ {rate}")),
            Power(rate) => (at_least(count, rate), format!("≥ {rate}")),
        };
        let says = says.iter().map(Verdict::show).collect::<Vec<_>>().join(" or ");
        let measured = count as f64 / SETS as f64;
        table.push(format!("| {rule} | {n} | {truth} | {says} | {stated} | {measured:.4} |"));
        if !kept {
            failed.push(table[table.len() - 1].clone());
        }
    }
    assert!(failed.is_empty(), "{}\n\nof\n\n{}", failed.join("\n"), table.join("\n"));
    assert_on_the_page(&table);
}

/// Of every pair of shares that lie so far apart, how often the rule says less, summed up over all counts.
#[test]
fn a_difference_of_shares_is_refuted_at_most_as_often_as_stated() {
    let chances =
        |n: usize, share: f64| -> Vec<f64> { (0..=n).map(|k| binomial(k, n, share)).collect() };
    let mut worst = 0.0f64;
    for (n, m, apart) in [
        (5, 5, 0.25),
        (7, 7, 0.25),
        (10, 10, 0.25),
        (20, 20, 0.25),
        (5, 20, 0.25),
        (20, 5, 0.25),
        (20, 20, 0.1),
        (20, 20, 0.4),
    ] {
        let rule = Rate { supported: 0.5, refuted: apart };
        let less = |k: usize, l: usize| {
            let decision = rule.decide(Share { hits: k, of: n }, Share { hits: l, of: m });
            SHORT.contains(&decision.unwrap().verdict)
        };
        let counts = (0..=n).flat_map(|k| (0..=m).map(move |l| (k, l)));
        let less: Vec<(usize, usize)> = counts.filter(|&(k, l)| less(k, l)).collect();
        for step in 0..=333 {
            let second = f64::from(step) / 333.0 * (1.0 - apart);
            let (a, b) = (chances(n, second + apart), chances(m, second));
            worst = worst.max(less.iter().map(|&(k, l)| a[k] * b[l]).sum());
        }
    }
    // The rule looks at shares a hundredth apart at most. Between two of them the sum, a polynomial of degree 40 at
    // most, rises above the larger by less than a fiftieth where it is as smooth as a binomial of 40.
    assert!(worst <= 1.02 * Rate::REFUTED, "{worst}");
    // And it is no bound that nothing comes near.
    assert!(worst > 0.5 * Rate::REFUTED, "{worst}");
}

#[test]
fn every_rule_is_measured() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/src/statistics/rule");
    let files = std::fs::read_dir(folder).expect("the rules");
    let stem = |file: std::io::Result<std::fs::DirEntry>| {
        let path = file.expect("a file").path();
        path.file_stem().unwrap().to_string_lossy().into_owned()
    };
    let mut files: BTreeSet<String> = files.map(stem).collect();
    assert!(["mod", "testing"].iter().all(|besides| files.remove(*besides)));
    let mut measured: BTreeSet<String> = rows().iter().map(|row| row.rule.to_string()).collect();
    assert!(measured.remove("holm"));
    assert_eq!(files, measured);
}
