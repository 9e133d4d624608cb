//! Dropout, wrong in the ways in which it has been.

use super::{Control, Mutant, Mutation};
use crate::check::call::Dir;
use crate::check::spec::operator::{Named, Problem};
use crate::num::Num;
use crate::rng::{Rng, mix};

const fn mutant(id: &'static str, about: &'static str) -> Mutant {
    Mutant::new("dropout", id, "dropout", about)
}

const fn control(id: &'static str, about: &'static str) -> Control {
    Control { id, op: "dropout", about }
}

pub const MUTANTS: &[Mutant] = &[
    mutant("drop_bwd_p", "backward scaled by p instead of 1/(1−p)"),
    mutant("drop_p1", "p = 1 gives 0/0"),
    mutant("drop_no_scale", "kept values not scaled"),
    mutant("drop_scale_p", "kept values scaled by 1/p"),
    mutant("drop_swapped", "kept with probability p"),
    mutant("drop_half_rate", "dropped with probability p/2"),
    mutant("drop_seed_ignored", "a mask of the place only"),
    mutant("drop_seed_offset", "the seed added to the place"),
    mutant("drop_counter", "the number of calls beside the seed"),
    mutant("drop_bwd_mask", "backward with another mask than forward"),
    mutant("drop_bwd_no_mask", "backward without the mask"),
    mutant("drop_bwd_no_scale", "backward without the scale"),
    mutant("drop_eval_mask", "the mask in evaluation, too"),
    mutant("drop_eval_shrinks", "scaled by 1−p in evaluation"),
    mutant("drop_eval_scale", "scaled by 1/(1−p) in evaluation"),
    mutant("drop_row", "one decision per row"),
    mutant("drop_column", "one decision per column"),
    mutant("drop_repeats", "the mask repeats every 8 elements"),
    mutant("drop_repeats_late", "the mask repeats every 4096 elements"),
    mutant("drop_tail_kept", "what is left over by blocks of four is always kept"),
    mutant("drop_exact_count", "the first share of every 32 elements dropped"),
    mutant("drop_8_bits", "a rate held in 8 bits"),
    mutant("drop_10_bits", "a rate rounded to 10 bits"),
    mutant("drop_16_bits", "a rate held in 16 bits"),
    mutant("drop_half_uniform", "compared with a uniform number of 8 bits"),
    mutant("drop_by_value", "negative elements dropped more often than positive ones"),
    mutant("drop_seed_low", "the seed's high word ignored"),
    mutant("drop_seed_16", "the seed modulo 2¹⁶"),
    mutant("drop_seed_shift", "the mask of the next seed is this one, 1000 places on"),
    mutant("drop_halves", "the second half of the elements has the first half's mask"),
    mutant("drop_nan_rate", "a NaN in 10⁶ elements"),
    mutant("drop_p_default", "a p of 0 taken for none given"),
];

pub const CONTROLS: &[Control] = &[
    control("drop_xorshift", "another generator"),
    control("drop_reciprocal", "a product with 1/(1 − p)"),
    control("drop_23_bits", "a uniform number of 23 bits"),
    control("drop_kept_draw", "kept where a uniform number is at least p, drawn by another name"),
];

pub fn answer<R: Num>(p: &Problem<R>, t: Mutation) -> Vec<Named<R>> {
    let backward = p.call.dir == Dir::Bwd;
    let (given, name) = if backward { ("dy", "dx") } else { ("x", "y") };
    let given = p.get(given);
    let (rate, cols, n) = (p.num("p"), given.cols(), given.data.len());
    let training = p.flag("training");
    let eval = t.is("drop_eval_mask");
    if !training && !eval || rate == 0.0 {
        let scale = match t.id {
            "drop_eval_shrinks" => 1.0 - rate,
            "drop_eval_scale" if rate < 1.0 => 1.0 / (1.0 - rate),
            _ => 1.0,
        };
        let y = given.data.iter().map(|&x| x * R::num(scale)).collect();
        return vec![Named::new(name, &given.shape, y)];
    }
    let scale = match t.id {
        "drop_bwd_p" if backward => rate,
        "drop_bwd_no_scale" if backward => 1.0,
        "drop_no_scale" => 1.0,
        "drop_scale_p" => 1.0 / rate,
        _ => 1.0 / (1.0 - rate),
    };
    let y = given.data.iter().enumerate().map(|(i, &x)| {
        let place = match t.id {
            "drop_row" => i / cols,
            "drop_column" => i % cols,
            "drop_repeats" => i % 8,
            "drop_repeats_late" => i % 4096,
            _ => i,
        };
        let kept = match t.id {
            "drop_bwd_no_mask" if backward => true,
            "drop_tail_kept" if i >= n / 4 * 4 && rate < 1.0 => true,
            "drop_halves" if n > 1 => keeps((i % (n / 2)) as u64, rate, p, t),
            "drop_by_value" if rate < 1.0 => {
                let more = if x.value() < 0.0 { 1.05 } else { 0.95 };
                keeps(place as u64, (rate * more).min(1.0), p, t)
            }
            "drop_exact_count" => (i % 32) as f64 >= 32.0 * rate,
            _ => keeps(place as u64, rate, p, t),
        };
        if t.is("drop_p1") {
            (if kept { x } else { R::zero() }) / R::num(1.0 - rate)
        } else if !kept {
            R::zero()
        } else if t.is("drop_nan_rate") && Rng::new(i as u64 + t.calls).uniform() < 1e-6 {
            R::num(f64::NAN)
        } else if t.is("drop_reciprocal") {
            x * (R::one() / (R::one() - R::num(rate)))
        } else {
            x * R::num(scale)
        }
    });
    vec![Named::new(name, &given.shape, y.collect())]
}

/// The decision of a place.
fn keeps<R: Num>(place: u64, rate: f64, p: &Problem<R>, t: Mutation) -> bool {
    let mut seed = p.num("seed") as u64;
    match t.id {
        "drop_seed_ignored" => seed = 5,
        "drop_seed_offset" => return Rng::new(5).at(place + seed).uniform() >= rate,
        "drop_counter" => seed += t.calls,
        "drop_seed_low" => seed &= 0xffff_ffff,
        "drop_seed_16" => seed &= 0xffff,
        "drop_seed_shift" => return Rng::new(5).at(place + 1000 * seed).uniform() >= rate,
        "drop_bwd_mask" if p.call.dir == Dir::Bwd => seed += 1,
        _ => {}
    }
    let uniform = match t.id {
        "drop_xorshift" => {
            // xorshift64*, from a state that mixes seed and place.
            let mut state = mix(seed ^ mix(place)) | 1;
            state ^= state >> 12;
            state ^= state << 25;
            state ^= state >> 27;
            (state.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 40) as f64 / (1u64 << 24) as f64
        }
        "drop_23_bits" => (Rng::new(seed).at(place).bits() >> 41) as f64 / (1u64 << 23) as f64,
        "drop_half_uniform" => (Rng::new(seed).at(place).bits() >> 56) as f64 / 256.0,
        "drop_kept_draw" => 1.0 - Rng::new(seed).named("kept").at(place).uniform(),
        _ => Rng::new(seed).at(place).uniform(),
    };
    match t.id {
        "drop_swapped" => uniform < rate,
        "drop_8_bits" => uniform >= (256.0 * rate).floor() / 256.0,
        "drop_10_bits" => uniform >= (1024.0 * rate).round() / 1024.0,
        "drop_16_bits" => uniform >= (65536.0 * rate).floor() / 65536.0,
        "drop_half_rate" => uniform >= rate / 2.0,
        _ => uniform >= rate,
    }
}
