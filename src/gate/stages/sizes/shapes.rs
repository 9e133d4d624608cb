//! The sizes that kernels are used at, and the cases of them.

use super::asked::Asked;
use crate::check::call::{Dir, Served};
use crate::check::plan;
use crate::check::scope::{self, Scope};
use crate::check::spec::case::{Case, Rows, Upstream};
use crate::check::spec::norm_of_rows;
use crate::check::spec::operator::Operator;
use crate::check::tensor::Dtype;
use crate::rng::Rng;

/// A size for every axis, in the operator's order.
type Shape = &'static [usize];
/// Shapes of one sort, of which a run takes one: a power of two, an odd neighbour, …
type Sort = &'static [Shape];

/// Rows and columns of norms.
const NORMS: &[Sort] = &[
    &[&[97, 4095], &[65, 4097], &[61, 5119], &[33, 8191], &[17, 16383], &[33, 8193]],
    &[&[129, 2112], &[97, 3136], &[65, 5184], &[33, 11_072], &[17, 12_352]],
    &[&[65_537, 17], &[70_001, 9], &[65_600, 8], &[66_000, 12]],
    &[&[129, 2048], &[65, 4096], &[33, 8192], &[17, 16_384]],
    &[&[97, 3000], &[65, 5120], &[97, 3072], &[33, 11_008], &[33, 12_288], &[65, 5000]],
    &[&[4096, 96], &[4097, 64], &[8193, 33], &[5000, 80]],
];
/// Rows and classes, below one batch where there is such an axis.
const CLASSES: &[Sort] = &[
    &[&[1, 5, 50_257], &[1, 7, 49_999], &[1, 5, 65_535]],
    &[&[1, 2, 262_144], &[1, 3, 151_936], &[1, 3, 200_003], &[1, 2, 262_143]],
    &[&[1, 65_537, 11], &[1, 70_001, 7]],
    &[&[1, 8, 32_000], &[1, 7, 32_768], &[1, 9, 30_522]],
    &[&[1, 65, 4097], &[1, 97, 3000], &[1, 257, 1031]],
];
const LOGITS: &[Sort] = &[
    &[&[9, 50_257], &[7, 49_999], &[9, 65_535]],
    &[&[5, 131_072], &[5, 151_936], &[5, 200_003], &[5, 262_144]],
    &[&[65_537, 11], &[70_001, 7]],
    &[&[16, 32_000], &[9, 32_768], &[11, 30_522]],
];
const ACTIVATION: &[Sort] = &[
    &[&[1, 65_537, 17], &[1, 70_001, 16]],
    &[&[1, 257, 4097], &[1, 513, 2047]],
    &[&[1, 1031, 1024], &[1, 3, 262_147]],
];
/// Batch, rows, inputs, outputs.
const LINEAR: &[Sort] = &[
    &[&[1, 17, 4097, 257], &[1, 33, 4095, 129], &[1, 9, 8191, 65]],
    &[&[1, 33, 257, 4097], &[1, 17, 129, 4095], &[1, 9, 65, 11_008]],
    &[&[1, 65_537, 9, 7], &[1, 70_001, 5, 9]],
    &[&[1, 65, 1024, 1024], &[1, 33, 768, 3072], &[1, 65, 4096, 512]],
    &[&[1, 2049, 64, 192], &[1, 4096, 65, 80]],
];
/// Batch, rows, width, hidden.
const FEED_FORWARD: &[Sort] = &[
    &[&[1, 17, 257, 4097], &[1, 9, 513, 2049], &[1, 33, 129, 4095]],
    &[&[1, 9, 4097, 129], &[1, 9, 2049, 257]],
    &[&[1, 17, 768, 1024], &[1, 9, 512, 2048]],
    &[&[1, 4097, 17, 33], &[1, 65_537, 3, 5]],
];
/// Batch, key heads, query heads of each, queries, keys, width.
const ATTENTION: &[Sort] = &[
    &[&[1, 2, 2, 65, 129, 128], &[1, 1, 2, 66, 127, 256], &[1, 2, 1, 65, 200, 192]],
    &[&[2, 2, 4, 1, 4095, 80], &[2, 1, 4, 1, 4096, 128], &[4, 1, 2, 1, 2049, 96]],
    &[&[1, 1, 2, 1024, 512, 64], &[1, 1, 1, 1025, 1025, 80], &[1, 1, 2, 513, 1030, 64]],
    &[&[1, 2, 1, 70, 1030, 65], &[1, 1, 2, 100, 1537, 80], &[1, 1, 3, 33, 4097, 96]],
    &[&[1, 1, 1, 130, 2048, 72], &[1, 1, 1, 129, 1500, 112]],
];
const BATCH_NORM: &[Sort] = &[
    &[&[257, 4097], &[129, 8191], &[65, 16_385]],
    &[&[65_537, 17], &[70_001, 9]],
    &[&[1025, 512], &[4096, 192], &[513, 2112]],
];
const STANDARDIZE: &[Sort] = &[
    &[&[129, 4095], &[65, 5119], &[257, 3136]],
    &[&[65_537, 17], &[70_001, 9]],
    &[&[4096, 256], &[1024, 1024], &[257, 4096]],
];
const RESIDUAL: &[Sort] = &[&[&[3, 512], &[2, 768], &[3, 576], &[2, 513]]];
/// Batch, places, key heads, query heads of each, head width, hidden.
const BLOCK: &[Sort] = &[&[&[1, 2, 8, 1, 64, 33], &[1, 2, 2, 2, 128, 65], &[1, 2, 3, 2, 80, 48]]];
/// The same, depth, vocabulary and the longest text.
const STACK: &[Sort] = &[&[
    &[1, 2, 1, 1, 8, 8, 1, 32_001, 9],
    &[1, 2, 1, 2, 4, 8, 1, 50_257, 9],
    &[1, 2, 1, 1, 5, 3, 1, 65_537, 9],
]];
/// Rows and targets of a row.
const TARGETS: &[Sort] = &[&[&[65_537, 1], &[257, 259]]];
const ADAMW: &[Sort] =
    &[&[&[65_537, 9], &[70_001, 7]], &[&[129, 4097], &[33, 16_383]], &[&[513, 1024]]];
const CLIP: &[Sort] = &[&[&[65_537, 9, 3], &[70_001, 7, 2]], &[&[129, 4097, 3], &[5, 131_075, 2]]];
const STEPS: &[Sort] = &[&[&[65_537], &[100_003]]];
const DROPOUT: &[Sort] = &[&[&[65_537, 9], &[70_001, 16]], &[&[129, 4097], &[257, 3000]]];
/// Outputs and inputs of a weight.
const INIT: &[Sort] = &[&[&[513, 1031], &[2049, 300]]];
const DROP_PATH: &[Sort] = &[&[&[65_537, 1, 3], &[257, 16, 128], &[4097, 5, 8]]];

/// An axis that problems are long along while the others are short: its place, the shape with 0
/// there, and from where to where.
type Stretch = (usize, Shape, usize, usize);

/// Each costs so little that every octave is tried.
fn stretches(op: &str) -> &'static [Stretch] {
    match op {
        norm if norm_of_rows(norm) => &[(1, &[3, 0], 1024, 16_384)],
        "batch_norm" | "weight_standardize" => {
            &[(1, &[3, 0], 1024, 16_384), (0, &[0, 3], 1024, 16_384)]
        }
        "softmax" => &[(2, &[1, 2, 0], 1024, 262_144)],
        "cross_entropy" => &[(1, &[2, 0], 1024, 262_144)],
        "activation" => &[(2, &[1, 2, 0], 1024, 65_536)],
        "linear" => &[(2, &[1, 3, 0, 5], 256, 16_384), (3, &[1, 3, 5, 0], 256, 16_384)],
        "feed_forward" => &[(2, &[1, 2, 0, 5], 128, 8192), (3, &[1, 2, 5, 0], 128, 16_384)],
        "attention" => &[
            (5, &[1, 1, 2, 3, 9, 0], 64, 256),
            (4, &[1, 2, 1, 3, 0, 8], 256, 8192),
            (3, &[1, 1, 1, 0, 9, 8], 256, 4096),
        ],
        "residual" => &[(1, &[2, 0], 64, 512)],
        "adamw" | "dropout" => &[(1, &[2, 0], 1024, 65_536)],
        "clip_grad_norm" => &[(1, &[2, 0, 2], 1024, 65_536)],
        "drop_path" => &[(2, &[3, 2, 0], 1024, 16_384)],
        _ => &[],
    }
}

/// Two sizes of every octave of a stretch: any odd one, and a multiple of some tile. One of them
/// where it is not for `f32`.
fn along(&(_, _, from, to): &Stretch, dtype: Dtype, rng: &mut Rng) -> Vec<usize> {
    let mut sizes = Vec::new();
    let mut low = from;
    while low < to {
        let odd = low + 1 + rng.below(low) / 2 * 2;
        let tile = 1 << (3 + rng.below(5));
        let even = (low + rng.below(low)) / tile * tile + tile;
        let single = dtype == Dtype::F32;
        match rng.below(3) {
            _ if single => sizes.extend([odd, even.min(2 * low)]),
            0 => sizes.push(even.min(2 * low)),
            _ => sizes.push(odd),
        }
        low *= 2;
    }
    // What a bound costs at double-double is better spent on more of the smaller ones.
    sizes.retain(|&size| dtype == Dtype::F32 || size <= 16_384);
    sizes
}

fn sorts(op: &str) -> &'static [Sort] {
    match op {
        norm if norm_of_rows(norm) => NORMS,
        "batch_norm" => BATCH_NORM,
        "weight_standardize" => STANDARDIZE,
        "softmax" => CLASSES,
        "cross_entropy" => LOGITS,
        "binary_cross_entropy" | "mean_squared_error" | "gaussian_nll" | "student_nll" => TARGETS,
        "activation" => ACTIVATION,
        "linear" => LINEAR,
        "feed_forward" => FEED_FORWARD,
        "attention" => ATTENTION,
        "residual" => RESIDUAL,
        "transformer_block" => BLOCK,
        "transformer_stack" => STACK,
        "adamw" => ADAMW,
        "clip_grad_norm" => CLIP,
        "lr_schedule" => STEPS,
        "init" => INIT,
        "dropout" => DROPOUT,
        "drop_path" => DROP_PATH,
        _ => &[],
    }
}

/// How much of the stage a pair of dtypes gets: f32 all sorts, the others fewer.
fn taken(dtype: Dtype, sorts: usize) -> usize {
    match dtype {
        Dtype::F32 => sorts,
        Dtype::F64 => sorts.min(1),
        _ => sorts.min(2),
    }
}

/// The large cases of an operator, pass and pair of dtypes: those asked for, those that are long along
/// one axis, then one of every sort.
pub fn cases(
    operator: &'static dyn Operator,
    served: &Served,
    dir: Dir,
    dtypes: (Dtype, Dtype),
    seed: u64,
    asked: &[Asked],
) -> Vec<Case> {
    let mut rng = Rng::new(seed).named("sizes").named(operator.name()).named(&format!("{dir}"));
    let sorts = sorts(operator.name());
    let mut cases = Vec::new();
    let mut next = |shape: &[usize], asked: Option<&Asked>, plain: bool, rng: &mut Rng| {
        let mut case = drawn(operator, served, dir, dtypes, rng);
        if plain {
            usual(&mut case, served);
        }
        for (i, axis) in operator.axes().iter().enumerate() {
            let own = shape.get(i).copied().unwrap_or(case.sizes[axis.name]);
            let size = asked.and_then(|asked| asked.size(axis.name)).unwrap_or(own);
            case.sizes.insert(axis.name, size);
        }
        cases.push(case);
    };
    for asked in asked.iter().filter(|asked| asked.takes(operator.name())) {
        next(&[], Some(asked), true, &mut rng);
    }
    for stretch in stretches(operator.name()) {
        for size in along(stretch, dtypes.0, &mut rng) {
            let mut shape = stretch.1.to_vec();
            shape[stretch.0] = size;
            next(&shape, None, false, &mut rng);
        }
    }
    // The seed says with which sort a dtype that gets fewer begins.
    let first = if dtypes.0 == Dtype::F32 { 0 } else { rng.below(sorts.len().max(1)) };
    for i in 0..taken(dtypes.0, sorts.len()) {
        let sort = sorts[(first + i) % sorts.len()];
        next(sort[rng.below(sort.len())], None, false, &mut rng);
    }
    if let [sort] = sorts {
        // Attributes that are drawn may leave no difference between places (a rate of 0, say).
        next(sort[rng.below(sort.len())], None, true, &mut rng);
    }
    for case in &mut cases {
        for _ in 0..8 {
            if !affordable(case) || !crate::check::spec::repeated::mute(case) {
                break;
            }
            case.seed = served.limits.seed(rng.bits() >> 32);
        }
    }
    cases
}

/// A case with attributes and optional tensors that the target serves, its sizes still small.
fn drawn(
    operator: &'static dyn Operator,
    served: &Served,
    dir: Dir,
    dtypes: (Dtype, Dtype),
    rng: &mut Rng,
) -> Case {
    let scope = Scope::new(operator, served);
    let mut case = Case::simplest(operator, dir, dtypes.0, dtypes.1);
    (case.kind, case.seed) = (Rows::Repeated, served.limits.seed(rng.bits() >> 32));
    if dir == Dir::Bwd {
        case.upstream = Upstream::Normal;
    }
    for attr in operator.attrs() {
        let values = scope.values(attr);
        // The default in half of the cases, since that is what is used.
        let default = attr.values[0].json();
        let usual = rng.below(2) == 0 && scope::holds(&values, &default);
        let value = match values.len() {
            0 => default,
            _ if usual => default,
            n => values[rng.below(n)].clone(),
        };
        case.attrs.insert(attr.name.to_string(), value);
    }
    for slot in operator.slots(&case).into_iter().filter(|slot| slot.optional) {
        let gone = rng.below(3) == 0 && !scope.requires(&slot.name);
        if gone || !scope.understands(&slot.name) {
            case.absent.insert(slot.name);
        }
    }
    if !operator.defined(&case) {
        // An eps of 0 over a constant row, say: the usual values have no such trouble.
        usual_attrs(&mut case, &scope);
    }
    case
}

/// The usual attributes, and every optional tensor that the target understands: what a size that is
/// asked for is tried with.
fn usual(case: &mut Case, served: &Served) {
    let scope = Scope::new(case.operator(), served);
    usual_attrs(case, &scope);
    case.absent.retain(|name| !scope.understands(name));
}

fn usual_attrs(case: &mut Case, scope: &Scope) {
    for attr in scope.operator.attrs() {
        if let Some(usual) = scope.values(attr).into_iter().next() {
            case.attrs.insert(attr.name.to_string(), usual);
        }
    }
}

/// True where the gate can hold a problem of this size and knows its truth in seconds.
pub fn affordable(case: &Case) -> bool {
    let size = |axis: &str| case.sizes.get(axis).copied().unwrap_or(1);
    // A sublayer multiplies each row by all of its matrices, and each row is another one.
    let each = match case.op {
        "residual" => size("rows"),
        "transformer_block" | "transformer_stack" => size("batch") * size("seq"),
        _ => 1,
    };
    let most =
        if crate::check::spec::repeated::repeated(case.op).is_empty() { 1 << 24 } else { 1 << 26 };
    plan::elements(case).saturating_mul(each) <= most
}

/// True where a target takes a problem of this size.
pub fn within(case: &Case, served: &Served) -> bool {
    Scope::new(case.operator(), served).allows(case)
}
