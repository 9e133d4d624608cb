//! The places of a long axis, each of which is equal to one of a few.

use std::collections::BTreeSet;

use crate::rng::Rng;

/// Which of a few places each place of a long axis repeats.
///
/// The few come in an order that is drawn, so that a kernel that takes one row or one key for
/// another is seen but for one time in as many as there are. Places where kernels go wrong (the last
/// one, the first of the last tile, those beside the ranges of indices) are equal to no other.
#[derive(Debug, Clone)]
pub struct Places {
    /// For every place, the one of the few that it repeats.
    pub of: Vec<usize>,
    /// How many places repeat each of the few.
    pub times: Vec<usize>,
    /// Those of the few that one place alone has because it lies at an edge.
    pub lone: Vec<usize>,
}

impl Places {
    /// `len` places of at most `few` kinds and those at edges.
    pub fn draw(len: usize, few: usize, rng: &mut Rng) -> Places {
        let edges = if len > few { edges(len, rng) } else { BTreeSet::new() };
        let few = few.min(len - edges.len()).max(1);
        let (mut of, mut common) = (Vec::with_capacity(len), 0);
        let mut next_lone = few;
        let mut lone = Vec::new();
        for place in 0..len {
            if edges.contains(&place) {
                lone.push(next_lone);
                of.push(next_lone);
                next_lone += 1;
            } else {
                // Each of the few is met once before any is met again.
                of.push(if common < few { common } else { rng.below(few) });
                common += 1;
            }
        }
        let mut times = vec![0; next_lone];
        of.iter().for_each(|&kind| times[kind] += 1);
        Places { of, times, lone }
    }
}

/// The last place, the first of the last tile of usual widths, those at which indices of 16 bits
/// and usual caps end, and two more.
pub fn edges(len: usize, rng: &mut Rng) -> BTreeSet<usize> {
    let mut edges = BTreeSet::from([len - 1]);
    edges.extend([32, 128, 1024].map(|tile| (len - 1) / tile * tile));
    edges.extend([1024, 4096, 65_535, 65_536].into_iter().filter(|&edge| edge < len));
    edges.extend([rng.below(len), rng.below(len)]);
    // The first place is common: it is what is read where nothing else is.
    edges.remove(&0);
    edges
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_place_repeats_one_of_few_and_the_last_stands_alone() {
        for len in [1, 2, 7, 8, 9, 33, 4097, 70_001] {
            let places = Places::draw(len, 8, &mut Rng::new(len as u64));
            assert_eq!(places.of.len(), len);
            assert_eq!(places.times.iter().sum::<usize>(), len);
            assert!(places.times.iter().all(|&times| times > 0), "{len}");
            assert!(places.times.len() <= 8 + 12);
            if len > 8 {
                assert_eq!(places.times[places.of[len - 1]], 1, "{len}");
            }
        }
    }
}
