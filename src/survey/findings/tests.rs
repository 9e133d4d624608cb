//! Made-up runs go into every title maker: no title says what they do not show.

use super::{map, rates, warmups, wirings};
use crate::experiment::Run;
use crate::experiment::arm::{Arm, arms};
use crate::record::Outcome;
use crate::survey::made_up::run;

const ENDINGS: [Outcome; 4] =
    [Outcome::Ok, Outcome::Unfinished, Outcome::Collapsed, Outcome::Diverged { step: 3 }];

fn seeds(fields: &str, outcomes: &[Outcome]) -> Vec<Run> {
    let of = |(i, outcome): (usize, &Outcome)| {
        run(&format!("{fields} seed={}", i + 1), outcome.clone(), 2.5)
    };
    outcomes.iter().enumerate().map(of).collect()
}

/// The arms of the first picture: three seeds of each, all ended as given.
fn first_picture(pre: Outcome, post: Outcome, small: Outcome) -> Vec<Run> {
    let arm = |fields: &str, outcome: Outcome| {
        seeds(&format!("{fields} steps=200"), &[outcome.clone(), outcome.clone(), outcome])
    };
    [
        arm("wiring=pre_ln init=xavier_normal", pre),
        arm("wiring=post_ln init=xavier_normal", post),
        arm("wiring=post_ln init=normal_02", small),
    ]
    .concat()
}

#[test]
fn whatever_each_wiring_does_the_first_title_says_that_and_its_conditions() {
    let verbs = ["train", "unfinished", "plateau", "diverge"];
    for (i, pre) in ENDINGS.iter().enumerate() {
        for (j, post) in ENDINGS.iter().enumerate() {
            for (k, small) in ENDINGS.iter().enumerate() {
                let runs = first_picture(pre.clone(), post.clone(), small.clone());
                let title = wirings::title(&arms(&runs));
                assert!(title.starts_with("At lr 0.001, 200 steps, 3 seeds: "), "{title}");
                let parts: Vec<&str> = title.split_once(": ").unwrap().1.split("; ").collect();
                for (name, ending) in
                    [("pre_ln", i), ("post_ln (xavier_normal)", j), ("post_ln (normal_02)", k)]
                {
                    let own: Vec<_> = parts.iter().filter(|part| part.contains(name)).collect();
                    assert_eq!(own.len(), 1, "{name} once in {title}");
                    assert!(own[0].contains(verbs[ending]), "{name} {ending}: {title}");
                    let others = verbs.iter().enumerate().filter(|(v, _)| *v != ending);
                    assert!(others.into_iter().all(|(_, v)| !own[0].contains(v)), "{title}");
                }
            }
        }
    }
}

#[test]
fn what_one_seed_does_is_not_said_of_all() {
    let mixed = seeds(
        "wiring=post_ln init=xavier_normal steps=200",
        &[Outcome::Ok, Outcome::Collapsed, Outcome::Unfinished],
    );
    let title = wirings::title(&arms(&mixed));
    assert!(title.ends_with("post_ln: 1 of 3 trained, 1 of 3 unfinished, 1 of 3 on a plateau"));
}

#[test]
fn with_several_rates_a_wiring_is_judged_at_its_best() {
    let slow = "wiring=post_ln init=xavier_normal steps=1200 lr=3e-4";
    let fast = "wiring=post_ln init=xavier_normal steps=600 lr=1e-3";
    let both = |at_slow: Outcome, at_fast: Outcome| {
        let runs = [seeds(fast, &[at_fast]), seeds(slow, &[at_slow])].concat();
        wirings::title(&arms(&runs))
    };
    let start = "Each at its best of lr 0.0003 to 0.001, 600 to 1200 steps, 1 seed: ";
    assert_eq!(both(Outcome::Ok, Outcome::Collapsed), format!("{start}post_ln trains"));
    assert_eq!(both(Outcome::Collapsed, Outcome::Ok), format!("{start}post_ln trains"));
    let none = both(Outcome::Stuck, Outcome::Stuck);
    assert_eq!(none, format!("{start}post_ln ends on a plateau"));
}

/// Post-LN at three rates and two warm-ups, two seeds a cell; `trains` says which cells do.
fn cells(ending: impl Fn(f64, usize, u64) -> Outcome) -> Vec<Run> {
    let mut runs = Vec::new();
    for lr in [1e-3, 3e-3, 1e-2] {
        for warmup in [0, 150] {
            for seed in [1, 2] {
                let fields =
                    format!("wiring=post_ln steps=300 lr={lr} warmup={warmup} seed={seed}");
                runs.push(run(&fields, ending(lr, warmup, seed), 2.5));
            }
        }
    }
    runs
}

fn trained_if(trains: bool) -> Outcome {
    if trains { Outcome::Ok } else { Outcome::Collapsed }
}

#[test]
fn warm_up_saves_or_does_not_or_harms_as_the_runs_say() {
    let title = |ending: &dyn Fn(f64, usize, u64) -> Outcome| warmups::title(&arms(&cells(ending)));
    let start = "In 300 steps, from 0 % to 50 % of warm-up, ";
    let says = |title: String, what: &str| assert_eq!(title, format!("{start}{what}"));
    let largest = "the largest rate that trains on every seed";
    says(title(&|lr, _, _| trained_if(lr < 2e-3)), &format!("{largest} stays for post_ln"));
    says(
        title(&|lr, warmup, _| trained_if(lr < 2e-3 || (warmup > 0 && lr < 5e-3))),
        &format!("{largest} rises for post_ln"),
    );
    says(
        title(&|lr, warmup, _| trained_if(lr < 2e-3 && warmup == 0)),
        &format!("{largest} falls for post_ln"),
    );
    says(title(&|_, _, _| Outcome::Ok), "every rate tried trains on every seed for post_ln");
    says(title(&|_, _, _| Outcome::Stuck), "none tried trains on every seed for post_ln");
    says(title(&|_, _, _| Outcome::Unfinished), &format!("{largest} is not known for post_ln"));
    // One seed of two is luck: the largest rate that trains on every seed stays.
    says(
        title(&|lr, warmup, seed| trained_if(lr < 2e-3 || (warmup > 0 && seed == 1))),
        &format!("{largest} stays for post_ln"),
    );
    // A larger rate that ended too early might be the largest that trains.
    says(
        title(&|lr, warmup, _| match lr {
            lr if lr > 5e-3 && warmup == 0 => Outcome::Unfinished,
            lr => trained_if(lr < 2e-3),
        }),
        &format!("{largest} is not known for post_ln"),
    );
}

#[test]
fn what_decides_is_counted_and_unfinished_pairs_are_left_out() {
    let counts = |ending: &dyn Fn(f64, usize, u64) -> Outcome| {
        let runs = cells(ending);
        let arms = arms(&runs);
        let of = |axis| warmups::changes(&arms, axis);
        let (rate, warm) = (of(warmups::Axis::Rate), of(warmups::Axis::Warmup));
        [(rate.changed, rate.compared), (warm.changed, warm.compared)]
    };
    assert_eq!(counts(&|lr, _, _| trained_if(lr < 2e-3)), [(2, 4), (0, 3)]);
    assert_eq!(counts(&|_, warmup, _| trained_if(warmup > 0)), [(0, 4), (3, 3)]);
    assert_eq!(counts(&|_, warmup, seed| trained_if(warmup > 0 && seed == 1)), [(0, 4), (3, 3)]);
    let open = |lr: f64, _, _| if lr > 5e-3 { Outcome::Unfinished } else { Outcome::Ok };
    assert_eq!(counts(&open), [(0, 2), (0, 2)]);
}

/// One wiring at two depths and three rates; `ending` says how each ends.
fn depths(ending: impl Fn(usize, f64) -> Outcome) -> Vec<Run> {
    let mut runs = Vec::new();
    for depth in [4, 16] {
        for lr in [1e-3, 1e-2, 1e-1] {
            let fields = format!("wiring=post_ln depth={depth} lr={lr} steps=120");
            runs.push(run(&fields, ending(depth, lr), 2.9));
        }
    }
    runs
}

#[test]
fn a_slow_rate_is_not_an_unstable_one() {
    let title = |ending: &dyn Fn(usize, f64) -> Outcome| rates::title(&arms(&depths(ending)));
    let start = "In 120 steps, from depth 4 to 16, ";
    let says = |title: String, what: &str| assert_eq!(title, format!("{start}{what}"));
    let largest = "the largest rate that learns stably";
    says(title(&|_, _| Outcome::Unfinished), "none tried learns stably for post_ln");
    says(title(&|_, _| Outcome::Ok), "every rate tried learns stably for post_ln");
    let unstable = |ending: Outcome| {
        let runs = depths(|_, lr| if lr > 5e-3 { ending.clone() } else { Outcome::Ok });
        rates::rows(&arms(&runs))[0].depths[0].unstable.clone()
    };
    assert!(unstable(Outcome::Unfinished).is_empty());
    let broken = [
        Outcome::Collapsed,
        Outcome::Diverged { step: 9 },
        Outcome::Spike { step: 9 },
        Outcome::NonFinite { step: 9, value: "x".to_string() },
    ];
    for broken in broken {
        says(title(&|_, _| broken.clone()), "none tried learns stably for post_ln");
        assert_eq!(unstable(broken.clone()), [1e-2, 1e-1]);
        let deep = |depth: usize, lr: f64| match depth {
            16 if lr > 5e-3 => broken.clone(),
            _ => Outcome::Ok,
        };
        says(title(&deep), &format!("{largest} falls for post_ln"));
        let shallow = |depth: usize, lr: f64| deep(20 - depth, lr);
        says(title(&shallow), &format!("{largest} rises for post_ln"));
        let wide = |_, lr: f64| deep(16, lr);
        says(title(&wide), &format!("{largest} stays for post_ln"));
    }
}

#[test]
fn a_plateau_with_tokens_apart_is_slow_and_one_with_tokens_alike_is_unstable() {
    let mut stuck = run("wiring=post_ln", Outcome::Stuck, 2.9);
    assert_eq!(rates::bearing(&stuck), rates::Bearing::Slow);
    stuck.summary.token_cosine = 0.999;
    assert_eq!(rates::bearing(&stuck), rates::Bearing::Unstable);
}

#[test]
fn the_table_of_outcomes_counts_unfinished_runs_apart() {
    let runs: Vec<Run> = (ENDINGS.iter().zip(["pre_ln", "post_ln", "peri_ln", "rezero"]))
        .map(|(outcome, wiring)| run(&format!("wiring={wiring}"), outcome.clone(), 2.9))
        .collect();
    let title = map::title(&arms(&runs), "init");
    assert!(title.starts_with("1 of 4 pairs of wiring and init train ("), "{title}");
    assert!(title.ends_with("; 1 unfinished, 1 on a plateau and 1 diverged"), "{title}");
    let open = map::unfinished(&arms(&runs)).unwrap();
    assert!(open.contains("1 pair (xavier_normal under post_ln)"), "{open}");
}

#[test]
fn nothing_and_one_run_and_no_number_make_titles_that_claim_nothing() {
    let none: Vec<Arm> = Vec::new();
    for title in [
        wirings::title(&none),
        warmups::title(&none),
        rates::title(&none),
        map::title(&none, "norm"),
    ] {
        assert!(title.ends_with('?'), "{title}");
    }
    assert_eq!(wirings::sentence(&none), None);
    assert_eq!(warmups::sentence(&none), None);

    let one = [run("wiring=post_ln", Outcome::Ok, 2.4)];
    assert!(warmups::title(&arms(&one)).contains('?'));
    assert!(rates::title(&arms(&one)).contains('?'));
    assert!(wirings::title(&arms(&one)).contains("1 seed: post_ln trains"));

    let broken = Outcome::NonFinite { step: 2, value: "loss".to_string() };
    let nan: Vec<Run> = cells(|_, _, _| broken.clone())
        .into_iter()
        .map(|mut run| {
            run.summary.val_loss = f64::NAN;
            run.summary.passes = f64::NAN;
            run
        })
        .collect();
    let text = wirings::sentence(&arms(&nan)).unwrap() + &warmups::title(&arms(&nan));
    assert!(!text.contains("NaN") && !text.contains("trains;"), "{text}");
    assert!(text.contains("diverges") && text.contains("none tried trains"), "{text}");
}
