//! When does it fail? The shrunken case is moved along each axis and each attribute, and the
//! simplest predicate that describes the failures is stated.

use crate::check::call::plain;
use crate::check::plan;
use crate::check::scope::Scope;
use crate::check::spec::case::Case;

/// Sizes that a scan tries: all small ones, and those at and beside powers of two.
const SIZES: [usize; 33] = [
    1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 20, 24, 31, 32, 33, 48, 63, 64, 65,
    127, 128, 129, 256, 257, 1024, 1025,
];

/// Further ones where the counterexample is larger than all of these.
const LARGE: [usize; 38] = [
    1536, 2047, 2048, 2049, 2112, 3000, 3071, 3072, 3073, 3104, 3136, 4095, 4096, 4097, 5120, 5184,
    8191, 8192, 8193, 11_008, 12_352, 16_383, 16_384, 16_385, 16_448, 32_000, 32_769, 50_257,
    65_535, 65_536, 65_537, 65_540, 65_600, 100_003, 131_071, 131_073, 151_936, 200_003,
];

/// In words, for each axis and attribute that matters.
pub fn scan(case: &Case, scope: &Scope, fails: &mut dyn FnMut(&Case) -> bool) -> Vec<String> {
    let operator = case.operator();
    let mut words = Vec::new();
    let mut fails_at = |change: &dyn Fn(&mut Case)| {
        // Stated elements belong to one shape; other values of the same kind stand in for them.
        (0..3).any(|i| {
            let mut moved = case.clone();
            moved.given.clear();
            moved.seed = case.seed + i;
            change(&mut moved);
            fails(&moved)
        })
    };
    for axis in operator.axes() {
        let least = axis.sizes.iter().copied().min().unwrap_or(1);
        let most = axis.sizes.iter().copied().max().unwrap_or(1);
        let mut tried: Vec<(usize, bool)> = Vec::new();
        let own = case.size(axis.name);
        let mut sizes: Vec<usize> =
            SIZES.into_iter().filter(|s| (least..=most.max(own)).contains(s)).collect();
        if own > SIZES[SIZES.len() - 1] {
            sizes.extend(LARGE.into_iter().chain([own - 1, own, own + 1]));
            sizes.sort();
            sizes.dedup();
        }
        for size in sizes {
            let resize = |moved: &mut Case| _ = moved.sizes.insert(axis.name, size);
            // The counterexample may be long along another axis.
            let mut moved = case.clone();
            resize(&mut moved);
            if plan::fits(&moved, &scope.served) && scope.allows(&moved) {
                tried.push((size, fails_at(&resize)));
            }
        }
        words.extend(predicate(axis.name, &tried));
    }
    for attr in operator.attrs() {
        let with = |value: &serde_json::Value| {
            let mut moved = case.clone();
            moved.attrs.insert(attr.name.to_string(), value.clone());
            moved
        };
        let values = scope.values(attr).into_iter().filter(|value| scope.allows(&with(value)));
        let tried: Vec<(String, bool)> = values
            .map(|value| {
                let fails = fails_at(&|moved| {
                    moved.attrs.insert(attr.name.to_string(), value.clone());
                });
                (plain(&value), fails)
            })
            .collect();
        let of = |wanted: bool| -> Vec<&str> {
            tried.iter().filter(|(_, f)| *f == wanted).map(|(v, _)| v.as_str()).collect()
        };
        if !of(true).is_empty() && !of(false).is_empty() {
            words.push(format!(
                "{} = {}, not {}",
                attr.name,
                of(true).join(", "),
                of(false).join(", ")
            ));
        }
    }
    for name in scope.choices(case) {
        let with = fails_at(&|moved| _ = moved.absent.remove(&name));
        let without = fails_at(&|moved| _ = moved.absent.insert(name.clone()));
        match (with, without) {
            (true, false) => words.push(format!("only with {name}")),
            (false, true) => words.push(format!("only without {name}")),
            _ => {}
        }
    }
    words
}

/// The simplest statement that is true of every size tried.
fn predicate(axis: &str, tried: &[(usize, bool)]) -> Option<String> {
    let failing: Vec<usize> = tried.iter().filter(|(_, f)| *f).map(|(s, _)| *s).collect();
    let (first, last) = (*failing.first()?, *failing.last()?);
    let holds = |claim: &dyn Fn(usize) -> bool| tried.iter().all(|&(s, f)| f == claim(s));
    let least = tried.first()?.0;
    if holds(&|_| true) {
        return Some(format!("every {axis} ≥ {least}"));
    }
    if holds(&|s| s >= first) {
        return Some(format!("every {axis} ≥ {first}"));
    }
    if holds(&|s| s <= last) {
        return Some(format!("only {axis} ≤ {last}"));
    }
    for modulus in [2, 4, 8, 16, 32, 64, 128, 256, 3, 5, 6, 7] {
        if holds(&|s| s % modulus != 0) {
            return Some(format!("iff {axis} % {modulus} ≠ 0"));
        }
        if holds(&|s| s % modulus == 0) {
            return Some(format!("iff {axis} % {modulus} = 0"));
        }
        if holds(&|s| s % modulus != 0 && s > modulus) {
            return Some(format!("iff {axis} > {modulus} and {axis} % {modulus} ≠ 0"));
        }
    }
    if holds(&|s| !s.is_power_of_two()) {
        return Some(format!("iff {axis} is no power of two"));
    }
    // Within a range, there or there beside a modulus.
    let within = |s: usize| (first..=last).contains(&s);
    let open = tried.last().is_some_and(|(most, _)| *most == last);
    let range = match open {
        true => format!("{axis} ≥ {first}"),
        false => format!("{axis} from {first} to {last}"),
    };
    if failing.len() > 3 && holds(&|s| within(s)) {
        return Some(range);
    }
    for modulus in [2, 4, 8, 16, 32, 64, 128, 256].into_iter().filter(|_| failing.len() > 3) {
        if holds(&|s| within(s) && s % modulus != 0) {
            return Some(format!("{range} where {axis} % {modulus} ≠ 0"));
        }
        if holds(&|s| within(s) && s % modulus == 0) {
            return Some(format!("{range} where {axis} % {modulus} = 0"));
        }
    }
    // A list that nobody would call a rule says nothing.
    if failing.len() > 6 {
        return None;
    }
    let few: Vec<String> = failing.iter().map(usize::to_string).collect();
    Some(format!("{axis} = {}", few.join(", ")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(claim: impl Fn(usize) -> bool) -> String {
        let tried: Vec<(usize, bool)> = SIZES.iter().map(|&s| (s, claim(s))).collect();
        predicate("cols", &tried).unwrap_or_default()
    }

    #[test]
    fn a_range_of_large_sizes_is_named_by_its_ends() {
        let said = |claim: &dyn Fn(usize) -> bool| {
            let tried: Vec<(usize, bool)> = LARGE.iter().map(|&s| (s, claim(s))).collect();
            predicate("cols", &tried).unwrap_or_default()
        };
        let tail = |s: usize| (3073..=16_384).contains(&s) && !s.is_multiple_of(128);
        assert_eq!(said(&tail), "cols from 3073 to 16383 where cols % 128 ≠ 0");
        assert_eq!(said(&|s| s > 65_536), "every cols ≥ 65537");
        let odd = |s: usize| s > 4096 && !s.is_multiple_of(2);
        assert_eq!(said(&odd), "cols ≥ 4097 where cols % 2 ≠ 0");
        let middle = |s: usize| (4096..=8193).contains(&s);
        assert_eq!(said(&middle), "cols from 4096 to 8193");
    }

    #[test]
    fn predicates_are_the_simplest_true_ones() {
        assert_eq!(said(|_| true), "every cols ≥ 1");
        assert_eq!(said(|s| s > 31), "every cols ≥ 32");
        assert_eq!(said(|s| s % 8 != 0), "iff cols % 8 ≠ 0");
        assert_eq!(said(|s| s % 32 != 0 && s > 32), "iff cols > 32 and cols % 32 ≠ 0");
        assert_eq!(said(|s| !s.is_power_of_two()), "iff cols is no power of two");
        assert_eq!(said(|s| s == 17), "cols = 17");
        assert_eq!(said(|_| false), "");
    }
}
