//! The largest rate that does something, and how it changes from one condition to another.

use super::words::list;

/// The largest of the rates tried that does what is asked.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Largest {
    /// None of those tried.
    None,
    /// This one; a larger one was tried and does not.
    At(f64),
    /// The largest that was tried.
    AtLeast(f64),
    /// A larger one ended too early to tell, or nothing was tried.
    Unknown,
}

/// The rates that were tried, and whether each does what is asked; `None` where the runs do not say.
pub(crate) type Ladder = Vec<(f64, Option<bool>)>;

impl Largest {
    /// The largest of a ladder.
    pub fn of(ladder: &Ladder) -> Largest {
        let mut ladder = ladder.clone();
        ladder.sort_by(|a, b| b.0.total_cmp(&a.0));
        for (place, &(rate, does)) in ladder.iter().enumerate() {
            match does {
                None => return Largest::Unknown,
                Some(true) if place == 0 => return Largest::AtLeast(rate),
                Some(true) => return Largest::At(rate),
                Some(false) => {}
            }
        }
        if ladder.is_empty() { Largest::Unknown } else { Largest::None }
    }

    /// In a table.
    pub fn show(self) -> String {
        match self {
            Largest::None => "none".to_string(),
            Largest::At(rate) => rate.to_string(),
            Largest::AtLeast(rate) => format!("≥ {rate}"),
            Largest::Unknown => "not known".to_string(),
        }
    }
}

/// How the largest rate changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Shift {
    Rises,
    Falls,
    Stays,
    /// Every rate tried does it, before and after.
    All,
    /// No rate tried does it, before or after.
    None,
    Unknown,
}

impl Shift {
    /// From one ladder to another, over the rates that both have.
    pub fn between(from: &Ladder, to: &Ladder) -> Shift {
        use Largest::{At, AtLeast, None, Unknown};
        let shared = |a: &Ladder, b: &Ladder| -> Ladder {
            a.iter().filter(|(rate, _)| b.iter().any(|(other, _)| other == rate)).copied().collect()
        };
        match (Largest::of(&shared(from, to)), Largest::of(&shared(to, from))) {
            (Unknown, _) | (_, Unknown) => Shift::Unknown,
            (None, None) => Shift::None,
            (AtLeast(_), AtLeast(_)) => Shift::All,
            (None, _) | (At(_), AtLeast(_)) => Shift::Rises,
            (_, None) | (AtLeast(_), At(_)) => Shift::Falls,
            (At(a), At(b)) if a < b => Shift::Rises,
            (At(a), At(b)) if a > b => Shift::Falls,
            (At(_), At(_)) => Shift::Stays,
        }
    }

    /// In a table.
    pub fn show(self) -> &'static str {
        match self {
            Shift::Rises => "rises",
            Shift::Falls => "falls",
            Shift::Stays => "stays",
            Shift::All => "every rate tried, both ways",
            Shift::None => "no rate tried, either way",
            Shift::Unknown => "not known",
        }
    }
}

/// "the largest rate that learns stably falls for pre_ln and peri_ln, stays for rezero" for whatever there is.
pub(crate) fn shifts(shifts: &[(String, Shift)], does: &str) -> String {
    let of = |shift: Shift| -> Vec<String> {
        shifts.iter().filter(|(_, s)| *s == shift).map(|(name, _)| name.clone()).collect()
    };
    let moves = [
        (Shift::Rises, "rises for"),
        (Shift::Falls, "falls for"),
        (Shift::Stays, "stays for"),
        (Shift::Unknown, "is not known for"),
    ];
    let moves = moves.map(|(shift, verb)| (of(shift), verb));
    let moved: Vec<String> = (moves.iter())
        .filter(|(names, _)| !names.is_empty())
        .map(|(names, verb)| format!("{verb} {}", list(names)))
        .collect();
    let mut parts = Vec::new();
    if !moved.is_empty() {
        parts.push(format!("the largest rate that {does} {}", moved.join(", ")));
    }
    let (all, none) = (of(Shift::All), of(Shift::None));
    if !all.is_empty() {
        parts.push(format!("every rate tried {does} for {}", list(&all)));
    }
    if !none.is_empty() {
        parts.push(format!("none tried {does} for {}", list(&none)));
    }
    parts.join("; ")
}
