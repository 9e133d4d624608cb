//! Weights at their start, wrong in the ways in which they have been.

use super::{Control, Mutant, Mutation};
use crate::check::spec::operator::{Named, Problem};
use crate::num::Num;
use crate::rng::Rng;

const fn mutant(id: &'static str, about: &'static str) -> Mutant {
    Mutant::new("init", id, "init", about)
}

const fn control(id: &'static str, about: &'static str) -> Control {
    Control { id, op: "init", about }
}

pub const MUTANTS: &[Mutant] = &[
    mutant("init_fan_swap", "fan_in and fan_out swapped"),
    mutant("init_fan_all", "the number of all elements for the fan"),
    mutant("init_bound_is_std", "uniform within the standard deviation: no √3"),
    mutant("init_gain_squared", "gain squared"),
    mutant("init_gain_ignored", "gain ignored"),
    mutant("init_kaiming_plain", "kaiming without its factor 2"),
    mutant("init_normal_for_uniform", "normal for uniform"),
    mutant("init_uniform_for_normal", "uniform for normal"),
    mutant("init_truncated", "normal cut at two standard deviations, not scaled up"),
    mutant("init_truncated_scaled", "normal cut at two standard deviations, scaled up"),
    mutant("init_mean", "a mean of a tenth of the standard deviation"),
    mutant("init_positive", "no negative weights"),
    mutant("init_variance", "the variance for the standard deviation"),
    mutant("init_gpt2_flat", "gpt2 without the factor of depth"),
    mutant("init_gpt2_all", "gpt2 with the factor of depth on every role"),
    mutant("init_gpt2_root_depth", "gpt2 with √depth for √(2·depth)"),
    mutant("init_gpt2_down_only", "gpt2 with the factor of depth on down only"),
    mutant("init_gpt2_gate", "gpt2 with the factor of depth on gate for down"),
    mutant("init_layer", "the factor of depth taken from the layer"),
    mutant("init_deepnorm_v", "deepnorm's factor missing on v"),
    mutant("init_deepnorm_flat", "no deepnorm factor"),
    mutant("init_deepnorm_all", "deepnorm's factor on q and k, too"),
    mutant("init_deepnorm_alpha", "deepnorm's (8·depth)^(+1/4)"),
    mutant("init_deepnorm_root", "deepnorm's (8·depth)^(−1/2)"),
    mutant("init_packed", "qkv as one matrix"),
    mutant("init_packed_v", "deepnorm's factor missing in the v of qkv"),
    mutant("init_embed_fan", "embed scaled by its fan"),
    mutant("init_embed_scheme", "embed of 0.02 everywhere"),
    mutant("init_row_constant", "one value per row"),
    mutant("init_rows_repeat", "every row the same"),
    mutant("init_pairs", "every second weight the one before it, negated"),
    mutant("init_rank_one", "signs that are products of one per row and one per column"),
    mutant("init_seed_ignored", "the seed ignored"),
    mutant("init_counter", "the number of calls beside the seed"),
    mutant("init_seed_offset", "the seed added to the place"),
    mutant("init_one_key", "the matrices of qkv from one key: equal but for their scale"),
    mutant("init_negated", "the matrices of qkv equal but for their signs"),
    mutant("init_heads", "the second half of the rows is the first again"),
    mutant("init_symmetric", "a square matrix that is its own transpose"),
    mutant("init_seed_low", "the seed's high word ignored"),
    mutant("init_seed_16", "the seed modulo 2¹⁶"),
    mutant("init_seed_single", "the seed kept as an f32"),
    mutant("init_seed_shift", "the stream of the next seed is this one, 1000 places on"),
    mutant(
        "init_log_zero",
        "Box–Muller from a number of 24 bits that may be 0: an infinite weight",
    ),
    mutant("init_nan_rate", "a NaN in 10⁷ weights"),
    mutant("init_clipped", "normal cut at 4.5 standard deviations"),
    mutant("init_twelve", "the sum of twelve uniform numbers for a normal one"),
    mutant("init_16_bits", "numbers of 16 bits"),
    mutant("init_half_percent", "a standard deviation that is half a percent too large"),
    mutant("init_mean_percent", "a mean of a fiftieth of the standard deviation"),
    mutant("init_gain_default", "a gain of 0 taken for none given"),
];

pub const CONTROLS: &[Control] = &[
    control("init_nested_roots", "deepnorm's factor as nested roots"),
    control("init_polar", "normal numbers by the polar method"),
    control("init_24_bits", "uniform numbers of 24 bits"),
    control("init_sequential", "one stream from the first weight to the last"),
    control("init_inverse", "normal numbers by the inverse of their law, from 23 bits"),
    control("init_box_muller_24", "Box–Muller from numbers of 24 bits within (0, 1], at f32"),
    control("init_sign_magnitude", "a sign and a magnitude of 23 bits"),
];

pub fn answer<R: Num>(p: &Problem<R>, t: Mutation) -> Vec<Named<R>> {
    let sizes = p.call.attrs["shape"].as_array().expect("shape is a list");
    let shape: Vec<usize> = sizes.iter().filter_map(|n| n.as_u64()).map(|n| n as usize).collect();
    let seed = match t.id {
        "init_seed_ignored" => 7,
        "init_counter" => p.num("seed") as u64 + t.calls,
        "init_seed_low" => p.num("seed") as u64 & 0xffff_ffff,
        "init_seed_16" => p.num("seed") as u64 & 0xffff,
        "init_seed_single" => p.num("seed") as f32 as u64,
        _ => p.num("seed") as u64,
    };
    let roles = match p.word("role") {
        "qkv" if t.is("init_packed") => vec!["q"],
        "qkv" => vec!["q", "k", "v"],
        role => vec![role],
    };
    let rows = shape[0] / roles.len();
    let mut values = Vec::new();
    for (i, role) in roles.iter().enumerate() {
        // Whose matrix it is decides the stream, unless all have one.
        let key = if ["init_one_key", "init_negated"].contains(&t.id) { 0 } else { i as u64 };
        let rng = Rng::new(seed).named("weights").at(key);
        let before = values.len();
        values.extend(matrix(rng, role, rows, shape[1], p, t));
        if t.is("init_negated") && i % 2 == 1 {
            values[before..].iter_mut().for_each(|value| *value = R::zero() - *value);
        }
    }
    vec![Named::new("weight", &shape, values)]
}

fn matrix<R: Num>(
    mut rng: Rng,
    role: &str,
    rows: usize,
    cols: usize,
    p: &Problem<R>,
    t: Mutation,
) -> Vec<R> {
    let mut std = std(role, rows, cols, p, t);
    let mut uniform = p.word("scheme").ends_with("uniform") && role != "embed";
    match t.id {
        "init_normal_for_uniform" => uniform = false,
        "init_uniform_for_normal" => uniform = true,
        "init_variance" => std *= std,
        "init_bound_is_std" if uniform => std /= 3f64.sqrt(),
        _ => {}
    }
    let mut values: Vec<f64> = Vec::with_capacity(rows * cols);
    for i in 0..rows * cols {
        let place = match t.id {
            "init_row_constant" => i / cols,
            "init_rows_repeat" => i % cols,
            "init_seed_offset" => i + p.num("seed") as usize % 4096,
            "init_seed_shift" => i + 1000 * p.num("seed") as usize,
            "init_heads" if rows > 1 => i % (rows / 2 * cols),
            "init_symmetric" if rows == cols => {
                let (row, col) = (i / cols, i % cols);
                row.max(col) * cols + row.min(col)
            }
            _ => i,
        };
        let mut own = match t.id {
            "init_seed_offset" | "init_seed_shift" => Rng::new(3).at(place as u64),
            _ => rng.at(place as u64),
        };
        let stream = if t.is("init_sequential") { &mut rng } else { &mut own };
        let mut value = if uniform { flat(stream, t) } else { normal(stream, t) };
        match t.id {
            "init_mean" => value += 0.1,
            "init_mean_percent" => value += 0.02,
            "init_half_percent" => value *= 1.005,
            "init_clipped" => value = value.clamp(-4.5, 4.5),
            "init_nan_rate" if own.uniform() < 1e-7 => value = f64::NAN,
            "init_positive" => value = value.abs(),
            "init_pairs" if i % 2 == 1 => value = -values[i - 1] / std,
            "init_rank_one" => {
                let (mut row, mut column) = (
                    rng.named("row").at((i / cols) as u64),
                    rng.named("column").at((i % cols) as u64),
                );
                let flip = (row.below(2) + column.below(2)) % 2 == 1;
                value = if flip { -value.abs() } else { value.abs() };
            }
            _ => {}
        }
        values.push(std * value);
    }
    values.into_iter().map(R::num).collect()
}

/// Uniform of variance 1.
fn flat(rng: &mut Rng, t: Mutation) -> f64 {
    let unit = match t.id {
        "init_24_bits" => (rng.bits() >> 40) as f64 / (1u64 << 24) as f64,
        "init_16_bits" => ((rng.bits() >> 48) as f64 + 0.5) / (1u64 << 16) as f64,
        "init_sign_magnitude" => {
            let bits = rng.bits();
            let magnitude = ((bits >> 41) as f64 + 0.5) / (1u64 << 23) as f64;
            return 3f64.sqrt() * if bits & 1 == 0 { magnitude } else { -magnitude };
        }
        _ => rng.uniform(),
    };
    3f64.sqrt() * (2.0 * unit - 1.0)
}

fn normal(rng: &mut Rng, t: Mutation) -> f64 {
    match t.id {
        "init_polar" => loop {
            let (a, b) = (2.0 * rng.uniform() - 1.0, 2.0 * rng.uniform() - 1.0);
            let square = a * a + b * b;
            if square > 0.0 && square < 1.0 {
                return a * (-2.0 * square.ln() / square).sqrt();
            }
        },
        "init_log_zero" => {
            let unit = (rng.bits() >> 40) as f64 / (1u64 << 24) as f64;
            (-2.0 * unit.ln()).sqrt() * (std::f64::consts::TAU * rng.uniform()).cos()
        }
        "init_box_muller_24" => {
            let mut unit = || ((rng.bits() >> 40) + 1) as f32 / (1u32 << 24) as f32;
            let (radius, angle) = ((-2.0 * unit().ln()).sqrt(), unit());
            f64::from(radius * (std::f32::consts::TAU * angle).cos())
        }
        "init_twelve" => (0..12).map(|_| rng.uniform()).sum::<f64>() - 6.0,
        "init_16_bits" => quantile(((rng.bits() >> 48) as f64 + 0.5) / (1u64 << 16) as f64),
        "init_inverse" => quantile(((rng.bits() >> 41) as f64 + 0.5) / (1u64 << 23) as f64),
        "init_sign_magnitude" => {
            let bits = rng.bits();
            let size = quantile(0.5 + ((bits >> 41) as f64 + 0.5) / (1u64 << 24) as f64);
            if bits & 1 == 0 { size } else { -size }
        }
        "init_truncated" | "init_truncated_scaled" => loop {
            let value = rng.normal();
            if value.abs() <= 2.0 {
                // The standard deviation of what is left is 0.8796.
                let scale =
                    if t.is("init_truncated") { 1.0 } else { 1.0 / 0.879_625_661_034_233_1 };
                return value * scale;
            }
        },
        _ => rng.normal(),
    }
}

/// The normal number below which a share lies, by Newton's method.
fn quantile(share: f64) -> f64 {
    let tail = share.min(1.0 - share);
    let below = |x: f64| 0.5 * libm::erfc(-x * std::f64::consts::FRAC_1_SQRT_2);
    // Where ½·e^(−x²/2) is the tail, x is before the root, and the first step leads a little beyond
    // it; from there on, as the law is convex, steps only come nearer.
    let mut x = -(-2.0 * (2.0 * tail).ln()).max(0.0).sqrt();
    for _ in 0..40 {
        let density = (-0.5 * x * x).exp() / std::f64::consts::TAU.sqrt();
        let step = (below(x) - tail) / density;
        x -= step;
        if step.abs() < 1e-9 {
            break;
        }
    }
    if share < 0.5 { x } else { -x }
}

fn std<R: Num>(role: &str, rows: usize, cols: usize, p: &Problem<R>, t: Mutation) -> f64 {
    let scheme = p.word("scheme");
    let depth = match t.id {
        "init_layer" => p.num("layer") + 1.0,
        _ => p.num("depth"),
    };
    let gain = match t.id {
        "init_gain_squared" => p.num("gain").powi(2),
        "init_gain_ignored" => 1.0,
        _ => p.num("gain"),
    };
    let (fan_out, fan_in) = match t.id {
        "init_fan_swap" => (cols as f64, rows as f64),
        "init_fan_all" => ((rows * cols) as f64, (rows * cols) as f64),
        _ => (rows as f64, cols as f64),
    };
    if role == "embed" {
        return match (scheme, t.id) {
            (_, "init_embed_fan") => 1.0 / fan_in.sqrt(),
            ("gpt2" | "normal_02", _) | (_, "init_embed_scheme") => 0.02,
            _ => 1.0,
        };
    }
    let xavier = gain * (2.0 / (fan_in + fan_out)).sqrt();
    match scheme.split('_').next() {
        Some("gpt2") => {
            let scaled = match t.id {
                "init_gpt2_flat" => false,
                "init_gpt2_all" => true,
                "init_gpt2_down_only" => role == "down",
                "init_gpt2_gate" => ["out", "gate"].contains(&role),
                _ => ["out", "down"].contains(&role),
            };
            let sublayers = if t.is("init_gpt2_root_depth") { depth } else { 2.0 * depth };
            if scaled { 0.02 / sublayers.sqrt() } else { 0.02 }
        }
        Some("normal") => 0.02 * gain,
        Some("xavier") => xavier,
        Some("kaiming") if t.is("init_kaiming_plain") => gain / fan_in.sqrt(),
        Some("kaiming") => gain * (2.0 / fan_in).sqrt(),
        Some("lecun") => gain / fan_in.sqrt(),
        _ => {
            let packed = p.word("role") == "qkv";
            let scaled = match t.id {
                "init_deepnorm_flat" => false,
                "init_deepnorm_all" => true,
                "init_deepnorm_v" => !["q", "k", "v"].contains(&role),
                "init_packed_v" if packed => false,
                _ => !["q", "k"].contains(&role),
            };
            let factor = match t.id {
                "init_deepnorm_alpha" => (8.0 * depth).powf(0.25),
                "init_deepnorm_root" => (8.0 * depth).powf(-0.5),
                "init_nested_roots" => 1.0 / (8.0 * depth).sqrt().sqrt(),
                _ => (8.0 * depth).powf(-0.25),
            };
            if scaled { xavier * factor } else { xavier }
        }
    }
}
