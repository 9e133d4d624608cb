//! The vocabulary of the fast paths: run-time dispatch and the loops that they share.
//!
//! The loops are plain Rust that the compiler vectorises for the instruction set chosen by
//! `dispatch!`. Sums go through a fixed number of lanes and a fixed tree, and what is fused is a
//! `mul_add` in the source, so that every instruction set and every number of threads gives the
//! same bits.

use std::cell::Cell;
use std::ops::Range;

/// Lanes of every sum: one 512-bit register of `f32`, four of them in flight.
const LANES: usize = 16;
const STREAMS: usize = 4;
const BLOCK: usize = LANES * STREAMS;

/// Runs a closure, `dispatch!(|| …)`, compiled for the best instruction set of this machine.
///
/// What it calls must be inlined into it to profit; the functions here are. The macro marks the
/// closure itself as such: called from one place per instruction set, a long one would otherwise
/// be compiled once, for the least of them. `dispatch!(|isa| …)` knows its instruction set, which
/// sums ask for; `dispatch!(|isa, cols| …)` is moreover compiled for the widths that are usual in
/// training, where rows of a known length need no loops.
macro_rules! dispatch {
    (|| $body:expr) => {
        $crate::op::simd::dispatch!(|_isa| $body)
    };
    (|$isa:ident| $body:expr) => {
        $crate::op::simd::run(
            #[inline(always)]
            |$isa| $body,
        )
    };
    (|$isa:ident, $cols:ident| $body:expr) => {
        $crate::op::simd::dispatch!(|$isa| $crate::op::simd::at_width(
            $cols,
            #[inline(always)]
            |$cols| $body,
        ))
    };
}
pub(crate) use dispatch;

/// The instruction set that the surrounding code is compiled for: a constant, once inlined.
#[derive(Debug, Clone, Copy)]
pub struct Isa(pulp::Arch);

impl Isa {
    /// That of the code where it is called, which runs on `S`.
    #[inline(always)]
    fn of<S: pulp::Simd>() -> Isa {
        // Told apart by the width of a register. A machine that runs the code has what it needs.
        #[cfg(target_arch = "x86_64")]
        match size_of::<S::f32s>() {
            64 => return Isa(pulp::Arch::V4(pulp::x86::V4::try_new().expect("AVX-512"))),
            32 => return Isa(pulp::Arch::V3(pulp::x86::V3::try_new().expect("AVX2"))),
            _ => {}
        }
        Isa(pulp::Arch::Scalar)
    }
}

/// What `dispatch!` expands to.
///
/// By `FnMut`: a closure that is called by `FnOnce` goes through a shim, which is not inlined.
#[inline(always)]
pub fn run<R>(body: impl FnMut(Isa) -> R) -> R {
    struct Body<F>(F);
    impl<R, F: FnMut(Isa) -> R> pulp::WithSimd for Body<F> {
        type Output = R;
        #[inline(always)]
        fn with_simd<S: pulp::Simd>(mut self, _: S) -> R {
            (self.0)(Isa::of::<S>())
        }
    }
    arch().dispatch(Body(body))
}

/// Calls `body` with `cols`, as a constant where it is a usual width.
#[inline(always)]
pub fn at_width<R>(cols: usize, mut body: impl FnMut(usize) -> R) -> R {
    match cols {
        32 => body(32),
        64 => body(64),
        128 => body(128),
        256 => body(256),
        _ => body(cols),
    }
}

thread_local! {
    static CHOSEN: Cell<Option<pulp::Arch>> = const { Cell::new(None) };
}

/// The instruction set of the fast paths: the best of this machine, unless [`on`] says otherwise.
#[inline]
pub fn arch() -> pulp::Arch {
    CHOSEN.get().unwrap_or_default()
}

/// The instruction sets of this machine that fast paths are compiled for, the least first.
pub fn archs() -> Vec<pulp::Arch> {
    let mut archs = vec![pulp::Arch::Scalar];
    #[cfg(target_arch = "x86_64")]
    archs.extend(pulp::x86::V3::try_new().map(pulp::Arch::V3));
    archs.push(pulp::Arch::new());
    archs
}

/// Runs `body` with the fast paths of this thread on one of [`archs`].
///
/// The results are the same bits; that they are is what this is there to test.
pub fn on<R>(arch: pulp::Arch, body: impl FnOnce() -> R) -> R {
    let before = CHOSEN.replace(Some(arch));
    let result = body();
    CHOSEN.set(before);
    result
}

/// How two lanes become one.
trait Join {
    fn lanes(a: f32, b: f32) -> f32;
    fn registers<S: pulp::Simd>(simd: S, a: S::f32s, b: S::f32s) -> S::f32s;
    /// Joins the first half of a register with the second, until one lane is left.
    fn register<S: pulp::Simd>(simd: S, a: S::f32s) -> f32;
}

struct Plus;
struct Larger;

impl Join for Plus {
    #[inline(always)]
    fn lanes(a: f32, b: f32) -> f32 {
        a + b
    }
    #[inline(always)]
    fn registers<S: pulp::Simd>(simd: S, a: S::f32s, b: S::f32s) -> S::f32s {
        simd.add_f32s(a, b)
    }
    #[inline(always)]
    fn register<S: pulp::Simd>(simd: S, a: S::f32s) -> f32 {
        simd.reduce_sum_f32s(a)
    }
}

impl Join for Larger {
    #[inline(always)]
    fn lanes(a: f32, b: f32) -> f32 {
        if b > a { b } else { a }
    }
    #[inline(always)]
    fn registers<S: pulp::Simd>(simd: S, a: S::f32s, b: S::f32s) -> S::f32s {
        simd.max_f32s(a, b)
    }
    #[inline(always)]
    fn register<S: pulp::Simd>(simd: S, a: S::f32s) -> f32 {
        simd.reduce_max_f32s(a)
    }
}

/// Folds elements of `N` tensors into [`BLOCK`] lanes, each from `start` by `step`, and the lanes
/// by a tree.
///
/// The lanes are made anew for every block instead of being changed in place: so they stay in
/// registers, where a changed array would be stored and loaded again at each block.
#[inline(always)]
fn fold<J: Join, const N: usize>(
    isa: Isa,
    xs: [&[f32]; N],
    start: f32,
    step: impl Fn(f32, [f32; N]) -> f32,
) -> f32 {
    let len = xs[0].len();
    let rest = len / BLOCK * BLOCK..len;
    let mut lanes = [start; BLOCK];
    for first in (0..rest.start).step_by(BLOCK) {
        let xs = xs.map(|x| lanes_of::<BLOCK>(x, first));
        lanes = std::array::from_fn(|l| step(lanes[l], xs.map(|x| x[l])));
    }
    if !rest.is_empty() {
        // A copy, since lanes that are met one by one live in memory: the others stay in registers.
        let mut reached = lanes;
        for (lane, i) in reached.iter_mut().zip(rest) {
            *lane = step(*lane, xs.map(|x| x[i]));
        }
        lanes = reached;
    }
    match isa.0 {
        #[cfg(target_arch = "x86_64")]
        pulp::Arch::V4(simd) => tree_of_registers::<J, _>(simd, &lanes),
        #[cfg(target_arch = "x86_64")]
        pulp::Arch::V3(simd) => tree_of_registers::<J, _>(simd, &lanes),
        _ => tree::<J>(lanes),
    }
}

/// Joins the first half with the second, until one is left.
#[inline(always)]
fn tree<J: Join>(mut lanes: [f32; BLOCK]) -> f32 {
    for width in [32, 16, 8, 4, 2, 1] {
        let (low, high) = lanes.split_at_mut(width);
        for (low, high) in low.iter_mut().zip(high) {
            *low = J::lanes(*low, *high);
        }
    }
    lanes[0]
}

/// As [`tree`], and in its order, by instructions that the compiler finds only sometimes.
#[inline(always)]
fn tree_of_registers<J: Join, S: pulp::Simd>(simd: S, lanes: &[f32; BLOCK]) -> f32 {
    let registers = S::as_simd_f32s(lanes).0;
    let mut joined = [simd.splat_f32s(0.0); BLOCK / 8];
    let mut width = registers.len();
    joined[..width].copy_from_slice(registers);
    while width > 1 {
        width /= 2;
        for i in 0..width {
            joined[i] = J::registers(simd, joined[i], joined[i + width]);
        }
    }
    J::register(simd, joined[0])
}

/// The `L` elements of x from `first` on.
#[inline(always)]
fn lanes_of<const L: usize>(x: &[f32], first: usize) -> &[f32; L] {
    x[first..first + L].first_chunk().expect("L elements")
}

/// The sum that `add` makes of the elements of `N` tensors of one length.
#[inline(always)]
pub fn sum_of<const N: usize>(
    isa: Isa,
    xs: [&[f32]; N],
    add: impl Fn(f32, [f32; N]) -> f32,
) -> f32 {
    fold::<Plus, N>(isa, xs, 0.0, add)
}

/// Σ x.
#[inline(always)]
pub fn sum(isa: Isa, x: &[f32]) -> f32 {
    sum_of(isa, [x], |lane, [x]| lane + x)
}

/// Σ x·y.
#[inline(always)]
pub fn dot(isa: Isa, x: &[f32], y: &[f32]) -> f32 {
    sum_of(isa, [x, y], |lane, [x, y]| x.mul_add(y, lane))
}

/// Σ (x − center)².
#[inline(always)]
pub fn sum_of_squares_around(isa: Isa, x: &[f32], center: f32) -> f32 {
    sum_of(isa, [x], |lane, [x]| (x - center).mul_add(x - center, lane))
}

/// The largest x, −∞ where there is none; a NaN is passed over.
#[inline(always)]
pub fn max(isa: Isa, x: &[f32]) -> f32 {
    fold::<Larger, 1>(isa, [x], f32::NEG_INFINITY, |lane, [x]| Larger::lanes(lane, x))
}

/// How many rows of a width are worked on at once, for two or three tensors of so many rows to fit
/// into the first cache.
#[inline(always)]
pub fn rows_at_once(cols: usize) -> usize {
    (2048 / cols).max(1)
}

/// All rows, by blocks of [`rows_at_once`].
#[inline(always)]
pub fn row_blocks(rows: usize, cols: usize) -> impl Iterator<Item = Range<usize>> {
    let block = rows_at_once(cols);
    (0..rows).step_by(block).map(move |first| first..rows.min(first + block))
}

/// Adds to every element of `d` the sum that `add` makes of the column below it, over some rows of
/// `N` tensors: of the sum so far, the row, the elements there, and those of `C` vectors that every
/// row meets. An empty d is wanted by nobody.
#[inline(always)]
pub fn add_columns<const N: usize, const C: usize>(
    d: &mut [f32],
    rows: Range<usize>,
    xs: [&[f32]; N],
    cs: [&[f32]; C],
    add: impl Fn(f32, usize, [f32; N], [f32; C]) -> f32,
) {
    let cols = d.len();
    if rows.len() < 8 {
        // Too few for sums of their own.
        for i in rows {
            let (xs, cs) = (xs.map(|x| &x[i * cols..][..cols]), cs.map(|c| &c[..cols]));
            for j in 0..cols {
                d[j] = add(d[j], i, xs.map(|x| x[j]), cs.map(|c| c[j]));
            }
        }
        return;
    }
    let (wide, narrow) = (cols / BLOCK * BLOCK, cols / 8 * 8);
    for j in (0..wide).step_by(BLOCK) {
        add_lanes::<BLOCK, N, C>(d, j, rows.clone(), xs, cs, &add);
    }
    for j in (wide..narrow).step_by(8) {
        add_lanes::<8, N, C>(d, j, rows.clone(), xs, cs, &add);
    }
    for j in narrow..cols {
        add_lanes::<1, N, C>(d, j, rows.clone(), xs, cs, &add);
    }
}

/// As [`add_columns`], for the `L` columns from `j` on, whose sums stay in registers.
#[inline(always)]
fn add_lanes<const L: usize, const N: usize, const C: usize>(
    d: &mut [f32],
    j: usize,
    rows: Range<usize>,
    xs: [&[f32]; N],
    cs: [&[f32]; C],
    add: &impl Fn(f32, usize, [f32; N], [f32; C]) -> f32,
) {
    let cols = d.len();
    let cs = cs.map(|c| lanes_of::<L>(c, j));
    let mut sums = [0.0; L];
    for i in rows {
        let xs = xs.map(|x| lanes_of::<L>(x, i * cols + j));
        sums = std::array::from_fn(|l| add(sums[l], i, xs.map(|x| x[l]), cs.map(|c| c[l])));
    }
    self::add(&mut d[j..j + L], &sums);
}

/// y += x; an empty y is wanted by nobody.
#[inline(always)]
pub fn add(y: &mut [f32], x: &[f32]) {
    for (y, x) in y.iter_mut().zip(x) {
        *y += x;
    }
}

/// A tensor, or where it is absent as many elements of the value that changes nothing.
#[inline(always)]
pub fn or_neutral<'a>(tensor: &'a [f32], spare: &'a mut [f32], neutral: f32) -> &'a [f32] {
    if tensor.is_empty() {
        spare.fill(neutral);
        spare
    } else {
        tensor
    }
}

/// x rounded to bfloat16, to nearest and ties to even; a NaN stays one.
#[inline(always)]
pub fn bf16(x: f32) -> f32 {
    let bits = x.to_bits();
    let half = 0x7fff + (bits >> 16 & 1);
    let rounded = f32::from_bits(bits.wrapping_add(half) & 0xffff_0000);
    if x.is_nan() { x } else { rounded }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sums_reach_every_element_at_block_edges() {
        for n in [0, 1, 15, 16, 17, 63, 64, 65, 127, 128, 129, 1000] {
            let x: Vec<f32> = (0..n).map(|i| i as f32).collect();
            let exact = (0..n).sum::<usize>() as f32;
            assert_eq!(run(|isa| sum(isa, &x)), exact);
            assert_eq!(run(|isa| dot(isa, &x, &vec![1.0; n])), exact);
        }
    }
}
