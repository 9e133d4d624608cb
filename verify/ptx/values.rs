//! Values: functions against doubles, generators bit by bit, 16-bit floats, warps.

use super::common::{conditions, module, numbers};
use plummet::ptx::{Approximation, Arg, Launch, Memory, Module, Options};

/// Runs a kernel of `(x, y, n, which)` and gives back what it wrote.
fn map(
    module: &Module,
    kernel: &str,
    x: &[u8],
    bytes: usize,
    which: i32,
    options: &Options,
) -> Vec<u8> {
    let mut memory = Memory::new();
    let (gx, y) = (memory.allocate("x", x.len() as u64), memory.allocate("y", x.len() as u64));
    memory.write(gx, x).unwrap();
    let n = x.len() / bytes;
    let args = [Arg::Buffer(gx), Arg::Buffer(y), Arg::I32(n as i32), Arg::I32(which)];
    let launch = Launch::linear(n.div_ceil(64) as u32, 64);
    module
        .run(kernel, &launch, &args, &mut memory, options)
        .unwrap_or_else(|fault| panic!("{kernel} {which}: {fault}"));
    memory.read(y, x.len()).unwrap()
}

fn erf(x: f64) -> f64 {
    // The series of Kummer, all of one sign: exact to a few ulp of a double.
    let (mut term, mut sum) = (x, x);
    for n in 1..400 {
        term *= 2.0 * x * x / (2 * n + 1) as f64;
        sum += term;
    }
    sum * 2.0 / std::f64::consts::PI.sqrt() * (-x * x).exp()
}

/// A function, and how many ulp a chip's may miss it by.
type Reference = (fn(f64) -> f64, f64);

#[test]
fn functions_of_singles_are_right_to_a_few_ulp() {
    let module = module("functions");
    let references: [Reference; 18] = [
        (f64::exp, 2.0),
        (erf, 2.0),
        (f64::tanh, 2.0),
        (|v| v.abs().ln(), 2.0),
        (|v| v.abs().powf(f64::from(1.7_f32)), 4.0),
        (f64::sin, 2.0),
        (f64::cos, 2.0),
        (|v| 1.0 / v.abs().sqrt(), 2.0),
        (|v| 1.0 / v, 0.5),
        (|v| v.abs().sqrt(), 0.5),
        (|v| v / f64::from(3.7_f32), 0.5),
        (f64::exp, 20.0),
        (|v| v.abs().ln_1p(), 2.0),
        (f64::exp_m1, 2.0),
        (f64::exp2, 2.0),
        (|v| 1.0 - erf(v), 4.0),
        (f64::cbrt, 2.0),
        (f64::sinh, 3.0),
    ];
    let mut x: Vec<f32> = numbers(200, 5).iter().map(|v| v * 3.0).collect();
    x.extend([1e-3, -1e-3, 0.5, 1.0, 2.0, -2.5]);
    for (which, (reference, ulps)) in (0..).zip(references) {
        // Large arguments take the slow path of sine and cosine, through local memory.
        let mut x = x.clone();
        if which == 5 || which == 6 {
            x.extend([1e5, -3e6, 1e12, 123_456.7]);
        }
        let bytes: Vec<u8> = x.iter().flat_map(|v| v.to_le_bytes()).collect();
        for approximation in Approximation::ALL {
            let options = Options { approximation, ..Options::default() };
            let y = map(&module, "singles", &bytes, 4, which, &options);
            for (word, &x) in y.chunks_exact(4).zip(&x) {
                let found = f64::from(f32::from_le_bytes(word.try_into().unwrap()));
                let expected = reference(f64::from(x));
                // The series of the reference cancels where erfc is small.
                let floor = if which == 15 { 1e-14 } else { 0.0 };
                let size = (expected as f32).abs();
                let ulp = f64::from(size.next_up()) - f64::from(size);
                let error = ((found - expected).abs() - floor).max(0.0) / ulp;
                let what = format!("function {which} of {x} is {found}, not {expected}");
                // What the chip does is nearer than its documented error; budgets must hold for that.
                let edge = if approximation == Approximation::Exact { 0.01 } else { 8.0 };
                assert!(error <= ulps + edge, "{what}: {error} ulp, {approximation:?}");
            }
        }
    }
}

#[test]
fn functions_of_doubles_are_right_to_a_few_ulp() {
    let module = module("functions");
    let references: [Reference; 10] = [
        (f64::exp, 2.0),
        (|v| v.abs().ln(), 2.0),
        (f64::tanh, 3.0),
        (|v| v.abs().powf(1.7), 3.0),
        (f64::sin, 3.0),
        (f64::cos, 3.0),
        (|v| v.abs().sqrt(), 0.5),
        (|v| 1.0 / v, 0.5),
        (|v| 1.0 / v.abs().sqrt(), 2.0),
        (|v| v / 3.7, 0.5),
    ];
    let mut x: Vec<f64> = numbers(60, 8).iter().map(|&v| f64::from(v) * 3.1).collect();
    x.extend([1e9, -7e14, 33.0]);
    for (which, (reference, ulps)) in (0..).zip(references) {
        let x: Vec<f64> =
            x.iter().copied().filter(|v| v.abs() < 100.0 || which == 4 || which == 5).collect();
        let bytes: Vec<u8> = x.iter().flat_map(|v| v.to_le_bytes()).collect();
        for approximation in Approximation::ALL {
            let options = Options { approximation, ..Options::default() };
            let y = map(&module, "doubles", &bytes, 8, which, &options);
            for (word, &x) in y.chunks_exact(8).zip(&x) {
                let found = f64::from_le_bytes(word.try_into().unwrap());
                let expected = reference(x);
                let ulp = expected.abs().next_up() - expected.abs();
                let error = (found - expected).abs() / ulp;
                // The reference itself is rounded.
                assert!(error <= ulps + 0.5, "function {which} of {x} is {found}, not {expected}");
            }
        }
    }
}

#[test]
fn generators_agree_bit_by_bit() {
    let module = module("generator");
    for options in conditions() {
        let mut memory = Memory::new();
        let y = memory.allocate("y", 16 * 100);
        let args = [Arg::Buffer(y), Arg::U64(0x1234_5678_9abc_def0), Arg::I32(100)];
        module.run("splitmix", &Launch::linear(2, 64), &args, &mut memory, &options).unwrap();
        let found = memory.read(y, 800).unwrap();
        for (i, word) in (1_u64..).zip(found.chunks_exact(8)) {
            let mut z =
                0x1234_5678_9abc_def0_u64.wrapping_add(i.wrapping_mul(0x9e37_79b9_7f4a_7c15));
            z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
            assert_eq!(u64::from_le_bytes(word.try_into().unwrap()), z ^ (z >> 31));
        }
        let args = [Arg::Buffer(y), Arg::U32(0xdead_beef), Arg::U32(77), Arg::I32(100)];
        module.run("philox", &Launch::linear(2, 64), &args, &mut memory, &options).unwrap();
        let found = memory.read(y, 1600).unwrap();
        for (i, words) in (0_u32..).zip(found.chunks_exact(16)) {
            let expected: Vec<u8> = philox([i, 0, 7, 0], [0xdead_beef, 77])
                .iter()
                .flat_map(|w| w.to_le_bytes())
                .collect();
            assert_eq!(words, expected);
        }
    }
}

fn philox(mut c: [u32; 4], mut k: [u32; 2]) -> [u32; 4] {
    for _ in 0..10 {
        let (p, q) = (0xD251_1F53 * u64::from(c[0]), 0xCD9E_8D57 * u64::from(c[2]));
        c = [(q >> 32) as u32 ^ c[1] ^ k[0], q as u32, (p >> 32) as u32 ^ c[3] ^ k[1], p as u32];
        k = [k[0].wrapping_add(0x9E37_79B9), k[1].wrapping_add(0xBB67_AE85)];
    }
    c
}

#[test]
fn products_of_128_bits_and_quotients() {
    let module = module("generator");
    let x: Vec<u64> =
        numbers(64, 3).iter().map(|v| u64::from(v.to_bits()) << 32 | 0x89ab_cdef).collect();
    let bytes: Vec<u8> = x.iter().flat_map(|v| v.to_le_bytes()).collect();
    let mut memory = Memory::new();
    let (gx, y) = (memory.allocate("x", 512), memory.allocate("y", 1024));
    memory.write(gx, &bytes).unwrap();
    let args = [Arg::Buffer(gx), Arg::Buffer(y), Arg::I32(32)];
    module.run("wide", &Launch::linear(1, 32), &args, &mut memory, &Options::default()).unwrap();
    let y = memory.read(y, 1024).unwrap();
    for (pair, words) in x.chunks_exact(2).zip(y.chunks_exact(32)) {
        let (a, b) = (pair[0], pair[1]);
        let product = u128::from(a) * u128::from(b);
        let product = product.wrapping_add(u128::from(b) << 64 | u128::from(a));
        let expected = [product as u64, (product >> 64) as u64, a / (b | 1), a % (b | 1)];
        let expected: Vec<u8> = expected.iter().flat_map(|w| w.to_le_bytes()).collect();
        assert_eq!(words, expected);
    }
}

/// A single as bfloat16, to nearest, ties to even.
fn bf16(v: f32) -> u16 {
    let bits = v.to_bits();
    ((bits + 0x7fff + (bits >> 16 & 1)) >> 16) as u16
}

#[test]
fn norms_of_16_bit_floats_and_packed_pairs() {
    let module = module("halves");
    for options in conditions() {
        for cols in [1, 31, 33, 64] {
            let x: Vec<u16> = numbers(2 * cols, 7).iter().map(|&v| bf16(v)).collect();
            let bytes: Vec<u8> = x.iter().flat_map(|v| v.to_le_bytes()).collect();
            let mut memory = Memory::new();
            let size = bytes.len() as u64;
            let (gx, y) = (memory.allocate("x", size), memory.allocate("y", size));
            memory.write(gx, &bytes).unwrap();
            let args = [Arg::Buffer(gx), Arg::Buffer(y), Arg::I32(cols as i32), Arg::F32(1e-5)];
            module.run("rms_bf16", &Launch::linear(2, 32), &args, &mut memory, &options).unwrap();
            let found = memory.read(y, bytes.len()).unwrap();
            let value = |h: u16| f64::from(f32::from_bits(u32::from(h) << 16));
            for (row, words) in x.chunks_exact(cols).zip(found.chunks_exact(2 * cols)) {
                let square: f64 = row.iter().map(|&h| value(h).powi(2)).sum::<f64>() / cols as f64;
                for (&h, word) in row.iter().zip(words.chunks_exact(2)) {
                    let found = value(u16::from_le_bytes(word.try_into().unwrap()));
                    let expected = value(h) / (square + 1e-5).sqrt();
                    assert!(
                        (found - expected).abs() <= expected.abs() / 255.0,
                        "{found} {expected}"
                    );
                }
            }
            module.run("rms_f16", &Launch::linear(2, 32), &args, &mut memory, &options).unwrap();
        }
    }
    // 1.5 and -2.0 as binary16; 1.00390625 lies between two bfloat16.
    let mut memory = Memory::new();
    let (x, y) = (memory.allocate("x", 4), memory.allocate("y", 12));
    memory.write(x, &0xc000_3e00_u32.to_le_bytes()).unwrap();
    let f = memory.upload_f32("f", &[1.0 + 1.0 / 256.0, -3.0]);
    let args = [x, y, f].map(Arg::Buffer);
    let args = [&args[..], &[Arg::I32(1)]].concat();
    module.run("pairs", &Launch::linear(1, 32), &args, &mut memory, &Options::default()).unwrap();
    let y = memory.read(y, 12).unwrap();
    let words: Vec<u32> =
        y.chunks_exact(4).map(|w| u32::from_le_bytes(w.try_into().unwrap())).collect();
    assert_eq!(words, [0xc400_4200, 0x4000_4380, 0xc040_3f80]);
}

#[test]
fn lanes_work_together_as_the_manual_says() {
    let module = module("warps");
    for options in conditions() {
        let mut memory = Memory::new();
        let y = memory.allocate("y", 64 * 64);
        let args = [Arg::Buffer(y), Arg::I32(6)];
        module
            .run("together", &Launch::linear(1, 64), &args, &mut memory, &options)
            .unwrap_or_else(|fault| panic!("{fault}"));
        let y = memory.read(y, 64 * 64).unwrap();
        let words: Vec<u32> =
            y.chunks_exact(4).map(|w| u32::from_le_bytes(w.try_into().unwrap())).collect();
        for (i, out) in (0_u32..).zip(words.chunks_exact(16)) {
            let l = i & 31;
            let up = if l & 15 >= 2 { l - 2 } else { l };
            // All lanes hold one value: their mask, plus one for the predicate.
            let same = u32::MAX.wrapping_add(1);
            let expected = [
                0xaaaa_aaaa,
                3,
                0xf << (l & !3),
                same,
                496,
                0,
                32,
                3,
                (l + 1).min(31),
                up,
                (l & !7) + 3,
                l ^ 1,
                if l < 12 { 0xfff } else { 0xffff_f000 },
                (0xaabb_0000 | (l * 0x0101)) ^ (6 << 5) ^ l.reverse_bits(),
                l.leading_zeros()
                    + 100 * l.count_ones()
                    + 10000 * if l == 0 { 0 } else { l.trailing_zeros() + 1 },
                (((u64::from(l.wrapping_mul(0x1234_5678)) * 0x9abc_def0) >> 32) as u32)
                    .wrapping_add(l / 7)
                    .wrapping_add_signed(-7 / (l as i32 + 1)),
            ];
            for (k, (found, expected)) in out.iter().zip(expected).enumerate() {
                assert_eq!(*found, expected, "lane {l}, word {k}");
            }
        }
    }
}
