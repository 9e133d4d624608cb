//! Stochastic depth, wrong in the ways in which it has been.

use super::{Control, Mutant, Mutation};
use crate::check::call::Dir;
use crate::check::spec::operator::{Named, Problem};
use crate::num::Num;
use crate::rng::{Rng, mix};

const fn mutant(id: &'static str, about: &'static str) -> Mutant {
    Mutant::new("drop_path", id, "dropout", about)
}

const fn control(id: &'static str, about: &'static str) -> Control {
    Control { id, op: "drop_path", about }
}

pub const MUTANTS: &[Mutant] = &[
    mutant("droppath_noscale", "surviving samples not rescaled by 1/(1−p)"),
    mutant("droppath_element", "one decision per element"),
    mutant("droppath_token", "one decision per token"),
    mutant("droppath_channel", "one decision per channel"),
    mutant("droppath_batch", "one decision for the whole batch"),
    mutant("droppath_repeats", "the decisions repeat every 8 samples"),
    mutant("droppath_swapped", "kept with probability p"),
    mutant("droppath_eval", "samples dropped in evaluation, too"),
    mutant("droppath_eval_shrinks", "scaled by 1−p in evaluation"),
    mutant("droppath_p1", "p = 1 gives 0/0"),
    mutant("droppath_seed_ignored", "the seed ignored"),
    mutant("droppath_bwd_mask", "backward with other decisions than forward"),
    mutant("droppath_first_kept", "the first sample always kept"),
    mutant("droppath_8_bits", "a rate held in 8 bits"),
    mutant("droppath_12_bits", "a rate rounded to 12 bits"),
    mutant("droppath_seed_low", "the seed's high word ignored"),
    mutant("droppath_seed_16", "the seed modulo 2¹⁶"),
    mutant("droppath_halves", "the second half of the batch has the first half's decisions"),
    mutant("droppath_seed_shift", "the decisions of the next seed are these, 100 places on"),
    mutant("droppath_p_default", "a p of 0 taken for none given"),
];

pub const CONTROLS: &[Control] = &[
    control("droppath_mixed", "decisions by another generator"),
    control("droppath_24_bits", "decisions by a uniform number of 24 bits"),
    control("droppath_product", "a product with a mask of 0 and 1/(1−p)"),
];

pub fn answer<R: Num>(p: &Problem<R>, t: Mutation) -> Vec<Named<R>> {
    let backward = p.call.dir == Dir::Bwd;
    let (given, name) = if backward { ("dy", "dx") } else { ("x", "y") };
    let given = p.get(given);
    let (rate, cols) = (p.num("p"), given.cols());
    let each: usize = given.shape[1..].iter().product();
    if !p.flag("training") && !t.is("droppath_eval") {
        let scale = R::num(if t.is("droppath_eval_shrinks") { 1.0 - rate } else { 1.0 });
        let y = given.data.iter().map(|&x| x * scale).collect();
        return vec![Named::new(name, &given.shape, y)];
    }
    let seed = match t.id {
        "droppath_seed_ignored" | "droppath_seed_shift" => 5,
        "droppath_seed_low" => p.num("seed") as u64 & 0xffff_ffff,
        "droppath_seed_16" => p.num("seed") as u64 & 0xffff,
        "droppath_bwd_mask" if backward => p.num("seed") as u64 + 1,
        _ => p.num("seed") as u64,
    };
    let left = R::num(1.0 - rate);
    let y = given.data.iter().enumerate().map(|(i, &x)| {
        let sample = i / each;
        let place = match t.id {
            "droppath_element" => i,
            "droppath_token" => i / cols,
            "droppath_channel" => i % cols,
            "droppath_batch" => 0,
            "droppath_repeats" => sample % 8,
            "droppath_halves" if given.shape[0] > 1 => sample % (given.shape[0] / 2),
            "droppath_seed_shift" => sample + 100 * p.num("seed") as usize,
            _ => sample,
        };
        let uniform = match t.id {
            "droppath_mixed" => {
                (mix(mix(seed.rotate_left(32)) ^ place as u64) >> 11) as f64 / (1u64 << 53) as f64
            }
            "droppath_24_bits" => {
                (Rng::new(seed).at(place as u64).bits() >> 40) as f64 / (1u64 << 24) as f64
            }
            _ => Rng::new(seed).named("samples").at(place as u64).uniform(),
        };
        let kept = match t.id {
            "droppath_8_bits" => uniform >= (256.0 * rate).floor() / 256.0,
            "droppath_12_bits" => uniform >= (4096.0 * rate).round() / 4096.0,
            "droppath_swapped" => uniform < rate,
            "droppath_first_kept" => uniform >= rate || sample == 0 && rate < 1.0,
            _ => uniform >= rate,
        };
        match t.id {
            "droppath_p1" => (if kept { x } else { R::zero() }) / left,
            "droppath_noscale" if kept => x,
            "droppath_product" => x * if kept { R::one() / left } else { R::zero() },
            _ if kept => x / left,
            _ => R::zero(),
        }
    });
    vec![Named::new(name, &given.shape, y.collect())]
}
