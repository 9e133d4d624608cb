//! Softmax, attention and the losses beyond the properties that they state.

use approx::assert_relative_eq;
use plummet::check::bodies::{Budget, Case, Path, Rows};
use plummet::op::Shape;
use plummet::op::attention::{Attention, Layout};
use plummet::op::loss::{CrossEntropy, Reduction};
use plummet::op::softmax::Softmax;

/// A few units in the last place, for a handful of operations without cancellation.
fn close(path: Path) -> f64 {
    8.0 * f64::from(f32::EPSILON) * path.unit()
}

#[test]
fn softmax_of_two_is_the_logistic_function() {
    for gap in [0.0, 0.5, 3.0, 20.0] {
        let mut case = Case::of(&Softmax, &[Shape::new(&[1, 2])], Rows::Normal, 1);
        case.values[0] = vec![100.0 + gap, 100.0];
        for path in Path::ALL {
            let y = &path.run(&Softmax, &case).outs[0];
            assert_relative_eq!(y[0], 1.0 / (1.0 + (-gap).exp()), max_relative = close(path));
            assert_relative_eq!(y[1], 1.0 / (1.0 + gap.exp()), max_relative = close(path));
        }
    }
}

#[test]
fn softmax_keeps_the_order_and_empty_rows_are_zero() {
    let mut case = Case::draw(&Softmax, Rows::Normal, 2, 17, 1);
    case.values[0][..17].sort_by(f64::total_cmp);
    case.values[0][17..].fill(f64::NEG_INFINITY);
    for path in Path::ALL {
        let results = path.run(&Softmax, &case);
        assert!(results.outs[0][..17].is_sorted(), "{path:?}");
        assert_eq!(
            (&results.outs[0][17..], &results.grads[0][17..]),
            (&[0.0; 17][..], &[0.0; 17][..])
        );
    }
}

fn attentions() -> impl Iterator<Item = Attention> {
    [Layout::TokenMajor, Layout::HeadMajor].into_iter().flat_map(|layout| {
        [false, true].map(|causal| Attention {
            kv_heads: 2,
            layout,
            causal,
            ..Attention::causal(4)
        })
    })
}

/// Where every value is 1, y is the sum of the weights of a row.
#[test]
fn attention_weights_sum_to_one() {
    for op in attentions() {
        let mut case = Case::draw(&op, Rows::Normal, 33, 8, 1).without(3);
        case.values[2].fill(1.0);
        let allowed = &Budget::measure(&op, &case).allowed.outs[0];
        for path in Path::ALL {
            let y = &path.run(&op, &case).outs[0];
            let near = |(y, allowed): (&f64, &f64)| (y - 1.0).abs() <= path.unit() * allowed;
            assert!(y.iter().zip(allowed).all(near), "{op:?}, {path:?}");
        }
    }
}

/// A masked key may hold anything finite, and a row that sees nothing is 0, forward and back.
#[test]
fn masked_keys_leak_nothing() {
    for op in attentions() {
        let (rows, width) = (5, 8);
        let mut case = Case::draw(&op, Rows::Normal, rows, width, 2);
        let (keys, batch) = (case.shapes[3].cols(), 2);
        // Key 1 is masked for all, query 2 sees nothing.
        for (i, allowed) in case.values[3].iter_mut().enumerate() {
            *allowed = f64::from(i % keys != 1 && i / keys % rows != 2);
        }
        let mut other = case.clone();
        let per_sample = case.shapes[1].len() / batch;
        let is_key = |i: usize| match op.layout {
            Layout::TokenMajor => i % per_sample / (per_sample / keys) == 1,
            Layout::HeadMajor => i / (width / op.heads) % keys == 1,
        };
        for index in [1, 2] {
            let masked = other.values[index].iter_mut().enumerate().filter(|(i, _)| is_key(*i));
            masked.for_each(|(_, v)| *v = 1e4);
        }
        for path in Path::ALL {
            let (a, b) = (path.run(&op, &case), path.run(&op, &other));
            assert_eq!(a.outs, b.outs, "{op:?}, {path:?}");
            for index in [1, 2] {
                let grads = b.grads[index].iter().enumerate().filter(|(i, _)| is_key(*i));
                assert!(
                    grads.clone().count() > 0 && grads.clone().all(|(_, d)| *d == 0.0),
                    "{op:?}"
                );
            }
            let query = |i: usize| match op.layout {
                Layout::TokenMajor => i / width % rows == 2,
                Layout::HeadMajor => i / (width / op.heads) % rows == 2,
            };
            let empty = |v: &[f64]| (0..v.len()).filter(|&i| query(i)).all(|i| v[i] == 0.0);
            assert!(empty(&b.outs[0]) && empty(&b.grads[0]), "{op:?}, {path:?}");
        }
    }
}

/// Both layouts are one function: what is causal in one is in the other.
#[test]
fn causal_attention_of_either_layout_hides_the_future() {
    for op in attentions().filter(|op| op.causal) {
        let case = Case::draw(&op, Rows::Normal, 35, 8, 3).without(3).without(4);
        let seq = 35;
        // With two keys more than queries, key t + 2 is the last that query t sees.
        let keys = case.shapes[1].len() / (2 * 2 * 2);
        let (changed, mut future) = (20, case.clone());
        let place = |i: usize, seq: usize, heads: usize| match op.layout {
            Layout::TokenMajor => i / (heads * 2) % seq,
            Layout::HeadMajor => i / 2 % seq,
        };
        for index in [1, 2] {
            for (i, v) in future.values[index].iter_mut().enumerate() {
                *v = if place(i, keys, 2) >= changed + keys - seq { -*v - 1.0 } else { *v };
            }
        }
        for path in Path::ALL {
            let (y, z) = (path.run(&op, &case).outs, path.run(&op, &future).outs);
            let early = |i: usize| place(i, seq, 4) < changed;
            let same = |i: usize| y[0][i].to_bits() == z[0][i].to_bits();
            assert!((0..y[0].len()).filter(|&i| early(i)).all(same), "{op:?}, {path:?}");
            assert!((0..y[0].len()).any(|i| !same(i)), "{op:?}, {path:?}");
        }
    }
}

fn two_classes(smoothing: f64) -> (CrossEntropy, Case) {
    let op = CrossEntropy { label_smoothing: smoothing, ..CrossEntropy::default() };
    let mut case = Case::draw(&op, Rows::Normal, 1, 2, 1);
    case.values = vec![vec![1.5, 0.25], vec![0.0]];
    (op, case)
}

/// With two classes, −log p of the target is ln(1 + e^(−gap)), of the other ln(1 + e^gap).
#[test]
fn cross_entropy_of_two_classes_is_logistic() {
    for smoothing in [0.0, 0.1, 1.0] {
        let (op, case) = two_classes(smoothing);
        let (near, far) = ((-1.25f64).exp().ln_1p(), 1.25f64.exp().ln_1p());
        let want = (1.0 - smoothing) * near + smoothing * (near + far) / 2.0;
        for path in Path::ALL {
            let loss = path.run(&op, &case).outs[0][0];
            assert_relative_eq!(loss, want, max_relative = close(path));
        }
    }
}

/// Smoothing mixes in the mean over all classes: the loss is linear in it.
#[test]
fn label_smoothing_interpolates() {
    let op = |s| CrossEntropy {
        label_smoothing: s,
        reduction: Reduction::None,
        ..CrossEntropy::default()
    };
    let case = Case::draw(&op(0.0), Rows::Normal, 5, 17, 1);
    let losses = |s: f64, path: Path| path.run(&op(s), &case).outs[0].clone();
    let allowed = |s: f64, i: usize| Budget::measure(&op(s), &case).allowed.outs[0][i];
    for path in Path::ALL {
        let [none, some, all] = [0.0, 0.25, 1.0].map(|s| losses(s, path));
        for i in 0..5 {
            let bound = allowed(0.25, i) + 0.75 * allowed(0.0, i) + 0.25 * allowed(1.0, i);
            let error = some[i] - (0.75 * none[i] + 0.25 * all[i]);
            assert!(error.abs() <= path.unit() * bound, "{path:?}, row {i}: {error}");
        }
    }
}

#[test]
fn ignored_rows_may_hold_anything() {
    for (reduction, label_smoothing) in [(Reduction::Mean, 0.1), (Reduction::Sum, 0.0)] {
        let op = CrossEntropy { reduction, label_smoothing, ..CrossEntropy::default() };
        let mut case = Case::draw(&op, Rows::Normal, 4, 17, 1);
        case.values[1][2] = -100.0;
        let mut other = case.clone();
        other.values[0][2 * 17..3 * 17].fill(f64::NAN);
        for path in Path::ALL {
            assert_eq!(path.run(&op, &case), path.run(&op, &other), "{op:?}, {path:?}");
        }
    }
}
