//! Planted faults: each is found, by its kind, under every schedule and approximation.

use super::common::{conditions, layer_norm, module, numbers};
use plummet::ptx::{Arg, Fault, FaultKind, Launch, Memory, Options, Schedule};

/// Runs the planted LayerNorm; its output if nothing is found.
fn norm(name: &str, options: &Options) -> Result<Vec<f32>, Fault> {
    let (rows, cols) = (3_usize, 65_usize);
    let mut memory = Memory::new();
    let x = numbers(rows * cols, 1).iter().map(|v| v + 300.0).collect::<Vec<_>>();
    let x = memory.upload_f32("x", &x);
    let w = memory.upload_f32("w", &numbers(cols, 2));
    let b = memory.upload_f32("b", &numbers(cols, 3));
    let y = memory.allocate("y", 4 * (rows * cols) as u64);
    let args =
        [&[x, w, b, y].map(Arg::Buffer)[..], &[Arg::I32(cols as i32), Arg::F32(1e-5)]].concat();
    let options = Options { limit: 2_000_000, ..*options };
    module(name).run("layer_norm", &Launch::linear(3, 64), &args, &mut memory, &options)?;
    memory.read_f32(y, rows * cols)
}

/// Kinds that a planted fault may be found as. A barrier that lacks is a race, or, where the
/// schedule runs the reader first, a read of what nobody wrote yet.
struct Kinds(Vec<FaultKind>);

impl From<FaultKind> for Kinds {
    fn from(kind: FaultKind) -> Self {
        Self(vec![kind])
    }
}

impl From<&[FaultKind]> for Kinds {
    fn from(kinds: &[FaultKind]) -> Self {
        Self(kinds.to_vec())
    }
}

#[track_caller]
fn expect<T>(what: &str, run: Result<T, Fault>, kinds: impl Into<Kinds>) {
    match run {
        Ok(_) => panic!("{what}: nothing was found"),
        Err(fault) => {
            assert!(kinds.into().0.contains(&fault.kind), "{what}: {fault}");
            assert!(!fault.to_string().contains('\n'), "one line");
        }
    }
}

#[test]
fn faults_of_a_norm_by_blocks() {
    use FaultKind::*;
    let planted: [(&str, &[FaultKind]); 19] = [
        ("mask_half", &[LaneOutsideMask]),
        ("all_lanes_write", &[Race]),
        ("one_word", &[Race, UnwrittenMemory]),
        ("no_barrier_before_read", &[Race, UnwrittenMemory]),
        ("no_barrier_after_result", &[Race, UnwrittenMemory]),
        ("no_barrier_after_read", &[Race]),
        ("barrier_in_branch", &[Barrier]),
        ("early_return_named", &[Barrier]),
        ("uninitialised_shared", &[UnwrittenMemory]),
        ("uninitialised_sum", &[UnwrittenRegister]),
        ("lanes_off", &[InactiveLane]),
        ("lanes_gone", &[WarpSync]),
        ("all_write_result", &[Race]),
        ("row_wraps", &[OutOfBounds]),
        ("tail_read", &[OutOfBounds]),
        ("tail_write", &[OutOfBounds, Race]),
        ("next_buffer", &[OutOfBounds]),
        ("endless", &[Limit]),
        ("stale", &[UnwrittenMemory]),
    ];
    for (name, kinds) in planted {
        for options in conditions() {
            let what = format!("{name} under {options:?}");
            expect(&what, norm(&format!("faults/layer_norm.fault_{name}"), &options), kinds);
        }
    }
}

#[test]
fn wrong_values_differ_from_plain_loops() {
    let (rows, cols) = (3, 65);
    let x: Vec<f32> = numbers(rows * cols, 1).iter().map(|v| v + 300.0).collect();
    let expected = layer_norm(&x, &numbers(cols, 2), &numbers(cols, 3), cols, 1e-5);
    let worst = |y: &[f32]| {
        y.iter().zip(&expected).map(|(&y, &e)| (f64::from(y) - e).abs()).fold(0.0, f64::max)
    };
    for options in conditions() {
        let right = norm("layer_norm", &options).unwrap_or_else(|fault| panic!("{fault}"));
        assert!(worst(&right) < 1e-3, "{}", worst(&right));
        for name in ["one_pass", "stride"] {
            let wrong = norm(&format!("faults/layer_norm.wrong_{name}"), &options).unwrap();
            assert!(worst(&wrong) > 2e-3, "{name}: {}", worst(&wrong));
        }
    }
}

#[test]
fn a_fault_says_who_where_and_what() {
    // The last block goes first, so that no other block is there to race with.
    let options = Options { schedule: Schedule::Descending, ..Options::default() };
    let fault = norm("faults/layer_norm.fault_tail_write", &options).unwrap_err();
    let party = fault.party.as_ref().unwrap();
    assert_eq!((party.block, party.thread), ([2, 0, 0], [1, 0, 0]), "{fault}");
    let (file, line) = party.site.source.clone().unwrap();
    assert_eq!(file, "layer_norm.cu");
    let source = include_str!("kernels/layer_norm.cu").lines().nth(line as usize - 1).unwrap();
    assert!(source.contains("y[(long long)blockIdx.x"), "{source}");
    assert!(fault.detail.contains("offset 780 of `y`, which has 780 bytes"), "{fault}");
    let fault = norm("faults/layer_norm.fault_one_word", &Options::default()).unwrap_err();
    let other = fault.other.as_ref().unwrap();
    assert_ne!(other.thread, fault.party.as_ref().unwrap().thread);
    assert!(fault.to_string().contains("the other is block"), "{fault}");
}

#[test]
fn faults_of_wide_loads_and_of_the_launch() {
    let module = module("layer_norm");
    for options in conditions() {
        let mut memory = Memory::new();
        let x = memory.upload_f32("x", &numbers(4 * 128 + 4, 1));
        let w = memory.upload_f32("w", &numbers(128, 2));
        let y = memory.allocate("y", 4 * 512);
        let [ax, aw, ay] = [x, w, y].map(Arg::Buffer);
        let sizes = |rows, cols| [Arg::I32(rows), Arg::I32(cols), Arg::F32(1e-5)];
        let mut run = |first: [Arg; 4], last: [Arg; 3], launch| {
            let args = [&first[..], &last].concat();
            module.run("layer_norm_warp", &launch, &args, &mut memory, &options)
        };
        let launch = Launch::linear(1, 128);
        let off = Arg::Within(x, 4);
        let found = run([off, aw.clone(), aw.clone(), ay.clone()], sizes(4, 128), launch);
        expect("an address beside a vector's", found, FaultKind::Misaligned);
        // Buffers in a wrong order: the weight is taken for the rows.
        let found = run([aw.clone(), ax.clone(), aw.clone(), ay.clone()], sizes(4, 128), launch);
        expect("wrong order of buffers", found, FaultKind::OutOfBounds);
        let found = run([Arg::Null, aw.clone(), aw.clone(), ay.clone()], sizes(4, 128), launch);
        expect("a null pointer", found, FaultKind::OutOfBounds);
        let last = [Arg::I32(4), Arg::I64(128), Arg::F32(1e-5)];
        let found = run([ax.clone(), aw.clone(), aw.clone(), ay.clone()], last, launch);
        expect("an argument of another size", found, FaultKind::Launch);
        let found = run([ax, aw.clone(), aw, ay], sizes(4, 128), Launch::linear(1, 2048));
        expect("too many threads", found, FaultKind::Launch);
    }
}

#[test]
fn faults_between_blocks_and_in_sums() {
    for options in conditions() {
        let (rows, cols, each) = (16, 64, 8);
        let run = |name: &str, options: &Options| {
            let mut memory = Memory::new();
            let sizes = [("x", rows * cols), ("dy", rows * cols), ("mean", rows), ("rstd", rows)];
            let all = sizes.map(|(name, n)| Arg::Buffer(memory.upload_f32(name, &numbers(n, 1))));
            let part = memory.upload_f32("part", &vec![0.0; 2 * cols]);
            let sizes = [rows, cols, each].map(|n| Arg::I32(n as i32));
            let args = [&all[..], &[Arg::Buffer(part)], &sizes].concat();
            let launch = Launch { grid: [1, 2, 1], block: [64, 1, 1], shared: 0 };
            let name = format!("faults/backward.fault_{name}");
            module(&name).run("weight_grad", &launch, &args, &mut memory, options)
        };
        expect("blocks race", run("blocks_race", &options), FaultKind::Race);
        let statistics = run("float_atomic", &options).unwrap();
        assert_eq!(statistics.float_atomics, 2 * cols as u64);
        let strict = Options { forbid_float_atomics: true, ..options };
        expect("float atomics", run("float_atomic", &strict), FaultKind::FloatAtomic);

        let sum = |name: &str, shared| {
            let mut memory = Memory::new();
            let x = memory.upload_f32("x", &numbers(256, 1));
            let y = memory.allocate("y", 4);
            let args = [Arg::Buffer(x), Arg::Buffer(y), Arg::I32(256)];
            let launch = Launch::linear(1, 128).with_shared(shared);
            module(name).run("tree_sum", &launch, &args, &mut memory, &options)
        };
        let synchronous = "faults/backward.fault_warp_synchronous";
        expect("a warp in step", sum(synchronous, 512), FaultKind::Race);
        expect("too little shared memory", sum("backward", 256), FaultKind::OutOfBounds);
        expect("no shared memory", sum("backward", 0), FaultKind::OutOfBounds);
    }
}

#[test]
fn faults_of_tiles_and_of_attention() {
    for options in conditions() {
        let product = |name: &str, k: usize| {
            let mut memory = Memory::new();
            let [a, b] =
                [("a", 20 * k), ("b", k * 20)].map(|(n, s)| memory.upload_f32(n, &numbers(s, 1)));
            let c = memory.allocate("c", 4 * 400);
            let sizes = [20, 20, k as i32].map(Arg::I32);
            let args = [&[a, b, c].map(Arg::Buffer)[..], &sizes].concat();
            let launch = Launch { grid: [2, 2, 1], block: [16, 16, 1], shared: 0 };
            let name = format!("faults/matmul.fault_{name}");
            module(&name).run("matmul", &launch, &args, &mut memory, &options)
        };
        expect("no guard", product("no_guard", 33), FaultKind::OutOfBounds);
        expect("tile in part", product("partial_tile", 15), FaultKind::UnwrittenMemory);
        expect("no barrier in the loop", product("no_barrier_in_loop", 33), FaultKind::Race);

        let attention = |name: &str, scale: f32| {
            let (n, d) = (4, 33);
            let mut memory = Memory::new();
            let all = ["q", "k", "v"];
            let all = all.map(|name| Arg::Buffer(memory.upload_f32(name, &numbers(n * d, 1))));
            let out = memory.allocate("out", (4 * n * d) as u64);
            let sizes = [Arg::I32(n as i32), Arg::I32(d as i32), Arg::F32(scale), Arg::I32(1)];
            let args = [&all[..], &[Arg::Buffer(out)], &sizes].concat();
            let launch = Launch::linear(2, 64);
            module(name).run("attention", &launch, &args, &mut memory, &options)?;
            memory.read_f32(out, n * d)
        };
        let tail = attention("faults/attention.fault_shuffle_in_tail", 0.2);
        expect("a shuffle in the tail", tail, FaultKind::WarpSync);
        let off = attention("faults/attention.fault_shuffle_from_off", 0.2);
        expect("a shuffle from a lane off", off, FaultKind::InactiveLane);
        // A maximum that begins at zero is wrong where all scores lie far below.
        let finite = |y: Vec<f32>| y.iter().all(|v| v.is_finite());
        assert!(finite(attention("attention", -50.0).unwrap()));
        assert!(!finite(attention("faults/attention.wrong_mask_value", -50.0).unwrap()));
    }
}

#[test]
fn faults_of_barriers_atomics_and_local_memory() {
    for options in conditions() {
        let halves = |name: &str| {
            let mut memory = Memory::new();
            let y = memory.allocate("y", 1024);
            let module = module(&format!("faults/warps.fault_{name}"));
            module.run("halves", &Launch::linear(1, 256), &[Arg::Buffer(y)], &mut memory, &options)
        };
        expect(
            "another half's barrier",
            halves("wrong_named"),
            &[FaultKind::Race, FaultKind::UnwrittenMemory][..],
        );
        expect("a count that is never reached", halves("named_count"), FaultKind::Barrier);

        let mut memory = Memory::new();
        let x = memory.allocate("x", 800);
        memory.write(x, &[1; 800]).unwrap();
        let y = memory.allocate("y", 64);
        memory.write(y, &[0; 64]).unwrap();
        let args = [Arg::Buffer(x), Arg::Buffer(y), Arg::I32(200)];
        let module_ = module("faults/warps.fault_no_barrier_after_atomics");
        let found = module_.run("histogram", &Launch::linear(1, 64), &args, &mut memory, &options);
        expect("no barrier after atomics", found, FaultKind::Race);

        let out = memory.allocate("out", 128);
        let args = [Arg::Buffer(out), Arg::I32(1)];
        let module_ = module("faults/warps.fault_uninitialised_local");
        let found = module_.run("variables", &Launch::linear(1, 32), &args, &mut memory, &options);
        expect("local memory", found, FaultKind::UnwrittenMemory);

        let found = module("warps").run(
            "stop",
            &Launch::linear(1, 32),
            &[Arg::Buffer(x)],
            &mut memory,
            &options,
        );
        expect("a trap", found, FaultKind::Trap);
        let found = module("warps").run("none", &Launch::linear(1, 32), &[], &mut memory, &options);
        expect("no such kernel", found, FaultKind::Launch);
    }
}
