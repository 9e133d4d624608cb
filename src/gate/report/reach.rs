//! How small a fault may be that the statistics find, for a reader.

use serde::{Deserialize, Serialize};

use crate::num::show::short;
use crate::num::spelled::every_number;

/// The group of all normal weights.
pub const TOGETHER: &str = "normal schemes together";

/// What one group of tests finds with a probability of 99 %.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Reach {
    /// The operator.
    pub op: String,
    /// What of it: `p=0.1`, `xavier_normal`, `normal weights`.
    pub of: String,
    /// How many random numbers were looked at; none where there was no time.
    pub numbers: u64,
    /// The smallest bias: of the mean of y in parts of x, or of a weight in standard deviations.
    #[serde(with = "every_number")]
    pub bias: f64,
    /// The smallest relative error of the scale.
    #[serde(with = "every_number")]
    pub scale: f64,
    /// The smallest rate of values that are not finite, or that nothing allows.
    #[serde(with = "every_number")]
    pub rare: f64,
}

/// A line for people on the groups of one operator.
pub fn told(op: &str, groups: &[&Reach]) -> String {
    let percent = |value: f64| format!("{} %", short(100.0 * value));
    let one_in = |rare: f64| format!("one bad value in {}", short((1.0 / rare).floor()));
    let most = |figure: fn(&Reach) -> f64, of: &[&Reach]| {
        of.iter().map(|reach| figure(reach)).fold(0.0, f64::max)
    };
    let (none, groups): (Vec<&Reach>, Vec<&Reach>) =
        groups.iter().copied().partition(|reach| reach.numbers == 0);
    let groups = groups.as_slice();
    let found = if groups.is_empty() {
        "none".to_string()
    } else if op == "init" {
        // The last group is that of all normal schemes together, where there is one.
        let (together, schemes): (Vec<&Reach>, Vec<&Reach>) =
            groups.iter().copied().partition(|reach| reach.of == TOGETHER);
        let (bias, scale, rare) = (
            most(|reach| reach.bias, &schemes),
            most(|reach| reach.scale, &schemes),
            most(|reach| reach.rare, &schemes),
        );
        let each = format!(
            "a mean of {} of a standard deviation, a scale error of {} and {} of each scheme",
            percent(bias),
            percent(scale),
            one_in(rare)
        );
        let all = together.iter().map(|all| format!(", {} of the {TOGETHER}", one_in(all.rare)));
        each + &all.collect::<String>()
    } else {
        let bias = |reach: &&Reach| match reach.bias.is_finite() {
            true => format!("{} at {}", percent(reach.bias), reach.of),
            false => format!("none at {}", reach.of),
        };
        let biases: Vec<String> = groups.iter().map(bias).collect();
        let (scale, rare) = (most(|reach| reach.scale, groups), most(|reach| reach.rare, groups));
        let bad = one_in(rare);
        let biases = biases.join(", ");
        format!("a bias of y of {biases}; a scale error of {}; {bad} at each rate", percent(scale))
    };
    let none: Vec<&str> = none.iter().map(|reach| reach.of.as_str()).collect();
    let late = match none.join(", ") {
        none if none.is_empty() => none,
        none => format!(" (no time for {none})"),
    };
    format!("{op}: found with 99 % probability are {found}{late}")
}
