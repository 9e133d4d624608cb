//! Moves labels apart so that they do not overlap.

/// Finds, for labels of the given wished centres and heights, centres that do not overlap, stay
/// between `top` and `bottom` where possible, and lie as near to the wishes as can be (in the sum
/// of squares). The order of the wishes is kept.
pub(crate) fn spread(wishes: &[(f64, f64)], top: f64, bottom: f64) -> Vec<f64> {
    let mut order: Vec<usize> = (0..wishes.len()).collect();
    order.sort_by(|&a, &b| wishes[a].0.total_cmp(&wishes[b].0));
    // With the heights above it taken off, each label wants a place and the places must not
    // decrease: isotonic regression, solved by pooling neighbours that are out of order.
    let mut above = 0.0;
    let mut pools: Vec<(f64, usize)> = Vec::new();
    let mut before = Vec::with_capacity(order.len());
    for &i in &order {
        let (wish, height) = wishes[i];
        before.push(above + height / 2.0);
        let mut pool = (wish - above - height / 2.0, 1);
        while let Some(&last) = pools.last().filter(|last| last.0 > pool.0) {
            let count = last.1 + pool.1;
            pool = ((last.0 * last.1 as f64 + pool.0 * pool.1 as f64) / count as f64, count);
            pools.pop();
        }
        pools.push(pool);
        above += height;
    }
    let (low, high) = (top, (bottom - above).max(top));
    let starts = pools
        .iter()
        .flat_map(|&(start, count)| std::iter::repeat_n(start.max(low).min(high), count));
    let mut centres = vec![0.0; wishes.len()];
    for ((&i, start), before) in order.iter().zip(starts).zip(before) {
        centres[i] = start + before;
    }
    centres
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_far_apart_stay() {
        assert_eq!(spread(&[(80.0, 10.0), (20.0, 10.0)], 0.0, 100.0), [80.0, 20.0]);
    }

    #[test]
    fn labels_at_one_place_are_stacked_around_it() {
        assert_eq!(spread(&[(50.0, 10.0); 3], 0.0, 100.0), [40.0, 50.0, 60.0]);
    }

    #[test]
    fn labels_stay_inside() {
        assert_eq!(spread(&[(-50.0, 10.0), (500.0, 20.0)], 0.0, 100.0), [5.0, 90.0]);
        assert!(spread(&[], 0.0, 1.0).is_empty());
    }
}
