//! Attention beyond what every operator is checked for.

use super::*;
use crate::check::bodies::{Case, Path, Results, Rows, fast_agrees, gradient};

const FULL: Attention = Attention {
    heads: 1,
    kv_heads: 1,
    causal: false,
    scale: None,
    softcap: 0.0,
    layout: Layout::TokenMajor,
};

/// One sample of one head, without mask and bias.
fn shapes(queries: usize, keys: usize, width: usize) -> [Shape; 5] {
    let [q, kv] = [queries, keys].map(|seq| Shape::new(&[1, seq, width]));
    [q, kv, kv, Shape::ABSENT, Shape::ABSENT]
}

/// Asserts that the fast path is within its budget, and returns both results.
fn both(op: &Attention, case: &Case) -> [Results; 2] {
    fast_agrees(op, case).unwrap();
    Path::ALL.map(|path| path.run(op, case))
}

#[test]
fn every_length_and_width_agrees_with_the_reference() {
    for causal in [false, true] {
        for layout in [Layout::TokenMajor, Layout::HeadMajor] {
            let op = Attention { heads: 4, kv_heads: 2, causal, layout, ..FULL };
            for n in [1, 2, 15, 16, 17, 63, 64, 65] {
                let case = Case::draw(&op, Rows::Normal, n, 12, 1);
                fast_agrees(&op, &case).unwrap();
                fast_agrees(&op, &case.without(3).without(4)).unwrap();
                fast_agrees(&op, &Case::draw(&op, Rows::Normal, 4, 4 * n, 1)).unwrap();
            }
        }
    }
}

#[test]
fn gradients_are_slopes() {
    for causal in [false, true] {
        for layout in [Layout::TokenMajor, Layout::HeadMajor] {
            let scale = Some(0.8);
            for softcap in [0.0, 1.5] {
                let op = Attention { heads: 2, kv_heads: 1, causal, scale, softcap, layout };
                let case = Case::draw(&op, Rows::Normal, 5, 6, 1);
                gradient::agrees_with_differences(&op, &case).unwrap();
            }
        }
    }
}

#[test]
fn both_layouts_agree_on_one_head() {
    let head_major = Attention { layout: Layout::HeadMajor, ..FULL };
    let case = Case::draw(&FULL, Rows::Normal, 17, 5, 1);
    let other = Case { shapes: head_major.example(17, 5), ..case.clone() };
    assert_eq!(Path::Fast.run(&FULL, &case), Path::Fast.run(&head_major, &other));
}

#[test]
fn a_query_without_keys_gives_zeros() {
    for bias in [false, true] {
        let mut case = Case::of(&FULL, &FULL.example(2, 3), Rows::Normal, 1);
        // The first query of the first sample: masked out, or −∞ by its bias (of both samples).
        let (index, hidden) = if bias { (4, f64::NEG_INFINITY) } else { (3, 0.0) };
        case.values[3].fill(1.0);
        case.values[index][..2].fill(hidden);
        for results in both(&FULL, &case) {
            assert_eq!(results.outs[0][..3], [0.0; 3]);
            assert_eq!(results.grads[0][..3], [0.0; 3]);
            assert!(results.outs[0][3..6].iter().all(|&y| y != 0.0));
        }
    }
}

#[test]
fn masked_keys_have_a_gradient_of_exactly_zero() {
    let mut case = Case::of(&FULL, &FULL.example(4, 3), Rows::Normal, 1);
    for (i, allowed) in case.values[3].iter_mut().enumerate() {
        *allowed = (i % 4 != 1) as u8 as f64;
    }
    for results in both(&FULL, &case) {
        assert_eq!([&results.grads[1][3..6], &results.grads[2][3..6]], [[0.0; 3]; 2]);
        assert!(results.grads[4].iter().skip(1).step_by(4).all(|&d| d == 0.0));
    }
}

#[test]
fn a_bias_of_minus_infinity_masks_and_one_of_the_least_number_does_not_overflow() {
    let least = f32::MIN as f64;
    for hidden in [f64::NEG_INFINITY, least] {
        let mut case = Case::of(&FULL, &FULL.example(2, 3), Rows::Normal, 1);
        case.values[3].fill(1.0);
        case.values[4] = vec![0.5, hidden, hidden, -0.5];
        for results in both(&FULL, &case) {
            assert_eq!(results.outs[0][..3], case.values[2][..3]);
        }
    }
    // Every key at the least number: the products drown in it, and all keys weigh the same.
    let mut case = Case::of(&FULL, &FULL.example(2, 3), Rows::Normal, 1);
    case.values[3].fill(1.0);
    case.values[4].fill(least);
    let mean = (case.values[2][0] + case.values[2][3]) / 2.0;
    for (path, unit) in [(Path::Reference, 2f64.powi(-53)), (Path::Fast, 2f64.powi(-24))] {
        let y = path.run(&FULL, &case).outs[0][0];
        // A rounding of the sum, one of the share, one of the product.
        assert!((y - mean).abs() <= 4.0 * unit * (case.values[2][0].abs() + mean.abs()), "{y}");
    }
}

#[test]
fn causal_is_aligned_at_the_last_query_and_the_last_key() {
    let op = Attention { causal: true, ..FULL };
    for (queries, keys) in [(3, 5), (5, 3), (20, 37), (37, 20)] {
        let mut case = Case::of(&op, &shapes(queries, keys, 2), Rows::Normal, 1);
        // Equal logits, and values that tell how many keys were seen.
        case.values[0].fill(0.0);
        case.values[2] = (0..keys).flat_map(|j| [j as f64, 1.0]).collect();
        let [exact, _] = both(&op, &case);
        for (i, y) in exact.outs[0].chunks(2).enumerate() {
            let seen = (i + 1 + keys).saturating_sub(queries);
            let mean = seen.saturating_sub(1) as f64 / 2.0;
            // Up to 37 probabilities, each with a rounding or two at f64.
            let whole = (seen > 0) as u8 as f64;
            assert!((y[0] - mean).abs() < 1e-12 && (y[1] - whole).abs() < 1e-14, "{i}: {y:?}");
        }
    }
}

#[test]
fn capped_scores_stay_below_the_cap() {
    let op = Attention { scale: Some(1.0), softcap: 2.0, ..FULL };
    for n in [1, 15, 16, 17, 65] {
        let mut case = Case::draw(&op, Rows::Normal, n, 4, 1);
        fast_agrees(&op, &case).unwrap();
        case.values[0].iter_mut().for_each(|q| *q *= 16.0);
        fast_agrees(&op, &case.clone().without(3).without(4)).unwrap();
    }
    // Scores of ±2¹³ weigh as ±2, and pass nothing back.
    let mut case = Case::of(&op, &shapes(1, 2, 1), Rows::Normal, 1);
    case.values = vec![vec![8192.0], vec![1.0, -1.0], vec![1.0, 0.0], vec![], vec![]];
    case.dy = vec![1.0];
    for results in both(&op, &case) {
        let share = 1.0 / (1.0 + (-4f64).exp());
        assert!((results.outs[0][0] - share).abs() < 1e-6, "{}", results.outs[0][0]);
        assert_eq!((&results.grads[0][..], &results.grads[1][..]), (&[0.0][..], &[0.0, 0.0][..]));
        assert!(results.grads[2][0] > 0.9);
    }
}

#[test]
fn a_cap_far_above_the_scores_is_none() {
    let (plain, capped) = (FULL, Attention { softcap: 2f64.powi(40), ..FULL });
    let case = Case::draw(&plain, Rows::Normal, 17, 5, 1);
    let [plain, capped] = [plain, capped].map(|op| Path::Reference.run(&op, &case));
    for ((name, a), (_, b)) in plain.named().zip(capped.named()) {
        let largest = a.iter().fold(0.0f64, |m, v| m.max(v.abs()));
        // c·tanh(u/c) is u but for the roundings of two operations.
        assert!(a.iter().zip(b).all(|(a, b)| (a - b).abs() < 1e-14 * largest), "{name}");
    }
}

#[test]
fn query_heads_in_a_row_share_a_key_head() {
    let op = Attention { heads: 4, kv_heads: 2, ..FULL };
    let (q, kv) = (Shape::new(&[1, 1, 4]), Shape::new(&[1, 1, 2]));
    let mut case = Case::of(&op, &[q, kv, kv, Shape::ABSENT, Shape::ABSENT], Rows::Normal, 1);
    case.values[2] = vec![7.0, 9.0];
    case.dy = vec![1.0, 10.0, 100.0, 1000.0];
    for results in Path::ALL.map(|path| path.run(&op, &case)) {
        assert_eq!(results.outs[0], [7.0, 7.0, 9.0, 9.0]);
        assert_eq!(results.grads[2], [11.0, 1100.0]);
    }
}

#[test]
fn large_logits_neither_overflow_nor_lose_digits() {
    let op = Attention { scale: Some(1.0), ..FULL };
    let mut case = Case::of(&op, &shapes(17, 33, 1), Rows::Normal, 1);
    // Exact products near ±2¹³: the shift by the largest is exact as well, while e^(s − lse)
    // would carry the rounding of lse, 2⁻¹¹.
    case.values[0] = (0..17).map(|i| if i % 2 == 0 { 8192.0 } else { -8192.0 }).collect();
    case.values[1] = (0..33).map(|j| 1.0 - (j % 5) as f64 / 8192.0).collect();
    let [exact, fast] = Path::ALL.map(|path| path.run(&op, &case).outs.remove(0));
    for (exact, fast) in exact.iter().zip(&fast) {
        assert!((exact - fast).abs() < 2e-6, "{fast} for {exact}");
    }
}

#[test]
fn probabilities_are_those_of_the_forward_pass() {
    let op = Attention { heads: 2, kv_heads: 1, causal: true, ..FULL };
    let mut case = Case::of(&op, &op.example(5, 4), Rows::Normal, 1);
    case.values[3].fill(1.0);
    let exact = Path::Reference.run(&op, &case);
    let call = case.call(&op, &case.values, |_, _, value| value as f32);
    let args: Vec<View<f32>> =
        call.shapes.iter().zip(&call.args).map(|(&s, data)| View::new(s, data)).collect();
    let mut count = 0;
    op.each_row(&args, |logits, p| {
        let (sample, head, i) = (count / 10, count / 5 % 2, count % 5);
        assert!(logits[i + 1..].iter().all(|&s| s == f32::NEG_INFINITY));
        assert!((p.iter().sum::<f32>() - 1.0).abs() < 1e-6);
        // 5 queries and 5 keys a sample, heads of 2 channels that share their keys.
        let y: f32 = (0..5).map(|j| p[j] * args[2].data[(5 * sample + j) * 2]).sum();
        assert!((y as f64 - exact.outs[0][(5 * sample + i) * 4 + 2 * head]).abs() < 1e-5);
        count += 1;
    });
    assert_eq!(count, 20);
}
