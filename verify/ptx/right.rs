//! Right kernels: the values of plain loops, and no fault under any schedule or approximation.

use super::common::{assert_near, conditions, layer_norm, module, numbers};
use plummet::ptx::{Arg, FaultKind, Launch, Memory, Options};

#[test]
fn layer_norm_by_blocks() {
    let module = module("layer_norm");
    for options in conditions() {
        for (cols, threads) in
            [(1, 32), (31, 64), (32, 64), (33, 64), (255, 256), (257, 256), (100, 96), (64, 48)]
        {
            let rows = 3;
            let (x, w, b) = (numbers(rows * cols, 1), numbers(cols, 2), numbers(cols, 3));
            let mut memory = Memory::new();
            let [gx, gw, gb] =
                [("x", &x), ("w", &w), ("b", &b)].map(|(name, v)| memory.upload_f32(name, v));
            let y = memory.allocate("y", 4 * x.len() as u64);
            let args = [gx, gw, gb, y].map(Arg::Buffer);
            let args = [&args[..], &[Arg::I32(cols as i32), Arg::F32(1e-5)]].concat();
            let launch = Launch::linear(rows as u32, threads);
            let what = format!("{cols} columns, {threads} threads, {options:?}");
            // Blocks of no whole warps shuffle with lanes that are not there: a fault, below.
            let run = module.run("layer_norm", &launch, &args, &mut memory, &options);
            if threads % 32 != 0 {
                assert!(run.is_err(), "{what}");
                continue;
            }
            let statistics = run.unwrap_or_else(|fault| panic!("{what}: {fault}"));
            let y = memory.read_f32(y, x.len()).unwrap();
            assert_near(&y, &layer_norm(&x, &w, &b, cols, 1e-5), 2e-5, &what);
            assert_eq!(statistics.buffers["x"].loads, 3 * x.len() as u64, "{what}");
            assert_eq!(statistics.buffers["y"].stored, 4 * x.len() as u64, "{what}");
        }
    }
}

#[test]
fn layer_norm_by_warps_with_wide_loads() {
    let module = module("layer_norm");
    for options in conditions() {
        for (rows, cols) in [(1, 4), (5, 128), (8, 132), (3, 124)] {
            let (x, w, b) = (numbers(rows * cols, 4), numbers(cols, 5), numbers(cols, 6));
            let mut memory = Memory::new();
            let [gx, gw, gb] =
                [("x", &x), ("w", &w), ("b", &b)].map(|(name, v)| memory.upload_f32(name, v));
            let y = memory.allocate("y", 4 * x.len() as u64);
            let args = [gx, gw, gb, y].map(Arg::Buffer);
            let sizes = [Arg::I32(rows as i32), Arg::I32(cols as i32), Arg::F32(1e-5)];
            let args = [&args[..], &sizes].concat();
            let launch = Launch::linear(rows.div_ceil(4) as u32, 128);
            let run = module.run("layer_norm_warp", &launch, &args, &mut memory, &options);
            let what = format!("{rows} by {cols}, {options:?}");
            run.unwrap_or_else(|fault| panic!("{what}: {fault}"));
            let y = memory.read_f32(y, x.len()).unwrap();
            assert_near(&y, &layer_norm(&x, &w, &b, cols, 1e-5), 2e-5, &what);
        }
    }
}

#[test]
fn gradient_of_the_weight_in_parts() {
    let module = module("backward");
    for options in conditions() {
        let (rows, cols, each) = (19_usize, 70_usize, 8_usize);
        let parts = rows.div_ceil(each);
        let (x, dy) = (numbers(rows * cols, 1), numbers(rows * cols, 2));
        let (mean, rstd) = (numbers(rows, 3), numbers(rows, 4));
        let mut memory = Memory::new();
        let all = [("x", &x), ("dy", &dy), ("mean", &mean), ("rstd", &rstd)];
        let all = all.map(|(name, v)| Arg::Buffer(memory.upload_f32(name, v)));
        let part = memory.allocate("part", (4 * parts * cols) as u64);
        let dw = memory.allocate("dw", 4 * cols as u64);
        let sizes = [rows, cols, each].map(|n| Arg::I32(n as i32));
        let args = [&all[..], &[Arg::Buffer(part)], &sizes].concat();
        let launch = Launch { grid: [2, parts as u32, 1], block: [64, 1, 1], shared: 0 };
        module.run("weight_grad", &launch, &args, &mut memory, &options).unwrap();
        let args =
            [Arg::Buffer(part), Arg::Buffer(dw), Arg::I32(parts as i32), Arg::I32(cols as i32)];
        module.run("sum_parts", &Launch::linear(1, 96), &args, &mut memory, &options).unwrap();
        let expected: Vec<f64> = (0..cols)
            .map(|c| {
                let term = |r: usize| {
                    f64::from(dy[r * cols + c])
                        * f64::from(x[r * cols + c] - mean[r])
                        * f64::from(rstd[r])
                };
                (0..rows).map(term).sum()
            })
            .collect();
        assert_near(&memory.read_f32(dw, cols).unwrap(), &expected, 1e-5, &format!("{options:?}"));
    }
}

#[test]
fn a_tree_of_sums_that_ends_within_a_warp() {
    let module = module("backward");
    for options in conditions() {
        for n in [1, 100, 256, 1000] {
            let x = numbers(n, 9);
            let mut memory = Memory::new();
            let gx = memory.upload_f32("x", &x);
            let y = memory.allocate("y", 4);
            let args = [Arg::Buffer(gx), Arg::Buffer(y), Arg::I32(n as i32)];
            let launch = Launch::linear(1, 128).with_shared(512);
            module
                .run("tree_sum", &launch, &args, &mut memory, &options)
                .unwrap_or_else(|fault| panic!("{options:?}: {fault}"));
            let expected = x.iter().map(|&v| f64::from(v)).sum();
            assert_near(&memory.read_f32(y, 1).unwrap(), &[expected], 1e-5, "sum");
        }
    }
}

#[test]
fn attention_with_an_online_maximum() {
    let module = module("attention");
    for options in conditions() {
        for (n, d, causal) in [(5, 32, false), (7, 33, true), (4, 65, true)] {
            let [q, k, v] = [1, 2, 3].map(|seed| numbers(n * d, seed));
            let mut memory = Memory::new();
            let all = [("q", &q), ("k", &k), ("v", &v)];
            let all = all.map(|(name, v)| Arg::Buffer(memory.upload_f32(name, v)));
            let out = memory.allocate("out", (4 * n * d) as u64);
            let scale = 1.0 / (d as f32).sqrt();
            let sizes =
                [Arg::I32(n as i32), Arg::I32(d as i32), Arg::F32(scale), Arg::I32(causal.into())];
            let args = [&all[..], &[Arg::Buffer(out)], &sizes].concat();
            let launch = Launch::linear(n.div_ceil(2) as u32, 64);
            module
                .run("attention", &launch, &args, &mut memory, &options)
                .unwrap_or_else(|fault| panic!("{options:?}: {fault}"));
            let found = memory.read_f32(out, n * d).unwrap();
            let dot = |a: &[f32], b: &[f32]| -> f64 {
                a.iter().zip(b).map(|(&a, &b)| f64::from(a) * f64::from(b)).sum()
            };
            let mut expected = Vec::new();
            for i in 0..n {
                let last = if causal { i + 1 } else { n };
                let row = |m: &'_ [f32], i: usize| m[i * d..(i + 1) * d].to_vec();
                let p: Vec<f64> = (0..last)
                    .map(|j| (dot(&row(&q, i), &row(&k, j)) * f64::from(scale)).exp())
                    .collect();
                let sum: f64 = p.iter().sum();
                for c in 0..d {
                    let mixed: f64 = (0..last).map(|j| p[j] * f64::from(v[j * d + c])).sum();
                    expected.push(mixed / sum);
                }
            }
            assert_near(&found, &expected, 1e-5, &format!("{n} by {d}, {options:?}"));
        }
    }
}

#[test]
fn product_of_matrices_by_tiles() {
    let module = module("matmul");
    for options in conditions() {
        for (m, n, k) in [(16, 16, 16), (17, 15, 33), (1, 1, 1)] {
            let (a, b) = (numbers(m * k, 1), numbers(k * n, 2));
            let mut memory = Memory::new();
            let (ga, gb) = (memory.upload_f32("a", &a), memory.upload_f32("b", &b));
            let c = memory.allocate("c", (4 * m * n) as u64);
            let sizes = [m, n, k].map(|n| Arg::I32(n as i32));
            let args = [&[ga, gb, c].map(Arg::Buffer)[..], &sizes].concat();
            let grid = [n.div_ceil(16) as u32, m.div_ceil(16) as u32, 1];
            let launch = Launch { grid, block: [16, 16, 1], shared: 0 };
            let statistics = module
                .run("matmul", &launch, &args, &mut memory, &options)
                .unwrap_or_else(|fault| panic!("{options:?}: {fault}"));
            let expected: Vec<f64> = (0..m * n)
                .map(|i| {
                    let term = |t| f64::from(a[i / n * k + t]) * f64::from(b[t * n + i % n]);
                    (0..k).map(term).sum()
                })
                .collect();
            assert_near(&memory.read_f32(c, m * n).unwrap(), &expected, 1e-5, "product");
            assert_eq!(statistics.buffers["c"].stores, (m * n) as u64);
        }
    }
}

#[test]
fn dynamic_shared_memory_and_two_barriers() {
    let module = module("warps");
    for options in conditions() {
        let x = numbers(300, 1);
        let mut memory = Memory::new();
        let (gx, y) = (memory.upload_f32("x", &x), memory.allocate("y", 1200));
        let args = [Arg::Buffer(gx), Arg::Buffer(y), Arg::I32(300)];
        let launch = Launch::linear(1, 64).with_shared(1200);
        module.run("dynamic", &launch, &args, &mut memory, &options).unwrap();
        let reversed: Vec<f32> = x.iter().rev().copied().collect();
        assert_eq!(memory.read_f32(y, 300).unwrap(), reversed);

        let args = [Arg::Buffer(y)];
        module.run("halves", &Launch::linear(1, 256), &args, &mut memory, &options).unwrap();
        let y = memory.read_f32(y, 256).unwrap();
        assert_eq!((y[0], y[127], y[128], y[255]), (127.0, 0.0, 255.0, 128.0));
    }
}

#[test]
fn atomics_of_integers_and_variables_of_the_module() {
    let module = module("warps");
    for options in conditions() {
        let x: Vec<u8> = (0..500_u32).flat_map(|i| (i * i).to_le_bytes()).collect();
        let mut memory = Memory::new();
        let (gx, y) = (memory.allocate("x", 2000), memory.allocate("y", 64));
        memory.write(gx, &x).unwrap();
        memory.write(y, &[0; 64]).unwrap();
        let args = [Arg::Buffer(gx), Arg::Buffer(y), Arg::I32(500)];
        let statistics =
            module.run("histogram", &Launch::linear(3, 64), &args, &mut memory, &options).unwrap();
        assert_eq!((statistics.atomics, statistics.float_atomics), (500 + 48, 0));
        let mut bins = [0_u32; 16];
        (0..500_usize).for_each(|i| bins[(i * i) & 15] += 1);
        let bytes: Vec<u8> = bins.iter().flat_map(|n| n.to_le_bytes()).collect();
        assert_eq!(memory.read(y, 64).unwrap(), bytes);

        let out = memory.allocate("out", 128);
        let args = [Arg::Buffer(out), Arg::I32(3)];
        module.run("variables", &Launch::linear(1, 32), &args, &mut memory, &options).unwrap();
        let out = memory.read_f32(out, 32).unwrap();
        assert_eq!(out[5], ((15 & 7) * 3) as f32 + 2.0);
    }
}

#[test]
fn lanes_that_exited_may_stand_in_a_mask_unless_masks_are_strict() {
    // 48 threads: the second warp has 16 lanes, and all masks name 32.
    let module = module("warps");
    let x = numbers(48, 1);
    let launch = Launch::linear(1, 48).with_shared(192);
    let mut memory = Memory::new();
    let (gx, y) = (memory.upload_f32("x", &x), memory.allocate("y", 192));
    let args = [Arg::Buffer(gx), Arg::Buffer(y), Arg::I32(48)];
    module.run("dynamic", &launch, &args, &mut memory, &Options::default()).unwrap();

    let module = super::common::module("layer_norm");
    let w = memory.upload_f32("w", &numbers(48, 2));
    let args = [&[gx, w, w, y].map(Arg::Buffer)[..], &[Arg::I32(48), Arg::F32(1e-5)]].concat();
    let mut run = |strict_masks| {
        let options = Options { strict_masks, ..Options::default() };
        module.run("layer_norm", &Launch::linear(1, 48), &args, &mut memory, &options)
    };
    assert_eq!(run(true).unwrap_err().kind, FaultKind::ExitedLane);
    // What is read from absent lanes is found where it is used.
    assert_eq!(run(false).unwrap_err().kind, FaultKind::InactiveLane);
}

#[test]
fn statistics_count_sectors_and_conflicts_of_banks() {
    let module = module("layer_norm");
    let mut memory = Memory::new();
    let [x, w, b] = ["x", "w", "b"].map(|name| memory.upload_f32(name, &numbers(128, 1)));
    let y = memory.allocate("y", 512);
    let sizes = [Arg::I32(1), Arg::I32(128), Arg::F32(1e-5)];
    let args = [&[x, w, b, y].map(Arg::Buffer)[..], &sizes].concat();
    let options = Options::default();
    let launch = Launch::linear(1, 32);
    let found = module.run("layer_norm_warp", &launch, &args, &mut memory, &options).unwrap();
    // Each of x (three times), w, b and y: 32 loads of 16 bytes, 16 sectors of 32.
    assert_eq!((found.global.loads, found.global.stores), (5 * 32, 32));
    assert_eq!((found.global.loaded, found.sectors), (5 * 512, 6 * 16));
    assert_eq!(found.starting("rsqrt.approx"), 32);
    assert_eq!(found.instructions["shfl.sync.bfly.b32"], 2 * 5 * 32);
    assert!(found.total() > 1000 && found.barriers == 0 && found.bank_conflicts == 0);
}

#[test]
fn the_last_block_sums_up_after_a_fence() {
    let name = |fault: bool| if fault { "faults/backward.fault_no_fence" } else { "backward" };
    for options in conditions() {
        let x = numbers(300, 1);
        let run = |fault: bool| {
            let mut memory = Memory::new();
            let (gx, parts) = (memory.upload_f32("x", &x), memory.allocate("parts", 20));
            let y = memory.allocate("y", 4);
            let counter = memory.upload_f32("counter", &[0.0]);
            let args = [&[gx, parts, y, counter].map(Arg::Buffer)[..], &[Arg::I32(300)]].concat();
            let launch = Launch::linear(5, 64);
            module(name(fault)).run("last_block_sum", &launch, &args, &mut memory, &options)?;
            memory.read_f32(y, 1)
        };
        let expected = x.iter().map(|&v| f64::from(v)).sum();
        assert_near(&run(false).unwrap(), &[expected], 1e-5, "sum");
        assert_eq!(run(true).unwrap_err().kind, FaultKind::Race);
    }
}
