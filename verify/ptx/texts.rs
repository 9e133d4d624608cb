//! Broken texts: an error that names a line, and never a panic.

use plummet::ptx::{Arg, Launch, Memory, Module, Options};

const HEAD: &str = ".version 8.0\n.target sm_80\n.address_size 64\n.visible .entry k(.param .u64 p)\n{\n.reg .b32 %r<4>;\n.reg .f32 %f<4>;\n.reg .b64 %rd<3>;\n.reg .pred %p<2>;\n";

fn error(body: &str) -> (usize, String) {
    let error = Module::parse(&format!("{HEAD}{body}\nret;\n}}\n")).map(|_| ()).unwrap_err();
    (error.line, error.what)
}

#[test]
fn errors_name_the_line_and_what_is_wrong() {
    for (body, what) in [
        ("frobnicate.f32 %f1, %f2;", "opcode `frobnicate` is not known"),
        ("add.f32 %f1, %f2, %f9;", "unknown register or variable `%f9`"),
        ("add.f32 %f1, %f2;", "3 operands expected, found 2"),
        ("add.rn.f32 %f1, %f2, %f3, %f3;", "3 operands expected, found 4"),
        ("add.wild.f32 %f1, %f2, %f3;", "`.wild` of `add.wild.f32` is not known"),
        ("bra $nowhere;", "no label `$nowhere`"),
        ("ld.global.v2.f32 %f1, [%rd1];", "2 elements expected, found 1"),
        ("mov.b32 {%r1, %r2, %r3}, %r0;", "a vector of another size than the type's"),
        ("shfl.bfly.b32 %r1, %r2, 1, 31;", "`shfl` without `.sync` is not known"),
        ("add.f32 %f1, %f2, 1;", "a number of another type than the instruction's"),
        ("call nobody;", "no function `nobody` is defined"),
        ("setp.odd.s32 %p1, %r1, %r2;", "a relation expected among the qualifiers"),
        ("add.s32 %r1 %r2;", "`;` expected, found `%r2`"),
        ("@%p9 bra $a;", "unknown register `%p9`"),
    ] {
        assert_eq!(error(body), (10, what.to_string()));
    }
    let error = Module::parse(HEAD).map(|_| ()).unwrap_err();
    assert!(error.what.contains("never ends"), "{error}");
}

#[test]
fn a_text_cut_anywhere_is_an_error_or_a_module() {
    let path = format!("{}/verify/ptx/kernels/layer_norm.ptx", env!("CARGO_MANIFEST_DIR"));
    let text = std::fs::read_to_string(path).unwrap();
    for end in (0..text.len()).step_by(37) {
        if let Err(error) = Module::parse(&text[..end]) {
            assert!(error.line >= 1 && error.line <= text.lines().count() + 1);
        }
    }
}

#[test]
fn mutated_texts_never_panic() {
    let mut state = 7_u64;
    let mut next = move |end: usize| {
        state =
            state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) as usize % end
    };
    for name in ["layer_norm", "warps", "halves", "generator", "backward"] {
        let path = format!("{}/verify/ptx/kernels/{name}.ptx", env!("CARGO_MANIFEST_DIR"));
        let text = std::fs::read_to_string(path).unwrap();
        let lines: Vec<&str> = text.lines().collect();
        for _ in 0..150 {
            let mut lines: Vec<String> = lines.iter().map(|line| line.to_string()).collect();
            for _ in 0..=next(3) {
                let (at, other) = (next(lines.len()), next(lines.len()));
                match next(4) {
                    0 => lines.swap(at, other),
                    1 => lines[at] = lines[other].clone(),
                    2 => lines[at].clear(),
                    _ => {
                        let mut bytes = lines[at].clone().into_bytes();
                        if !bytes.is_empty() {
                            let place = next(bytes.len());
                            bytes[place] = b"%.,;0123456789rfd[]{}-+us"[next(25)];
                        }
                        lines[at] = String::from_utf8_lossy(&bytes).into_owned();
                    }
                }
            }
            let Ok(module) = Module::parse(&lines.join("\n")) else { continue };
            let kernels: Vec<String> = module.kernels().map(str::to_string).collect();
            for kernel in kernels {
                let mut memory = Memory::new();
                let all: Vec<Arg> = (0..4)
                    .map(|i| Arg::Buffer(memory.upload_f32(&format!("b{i}"), &[1.0; 256])))
                    .collect();
                // Some of the kernels take these; the others are refused.
                for args in [
                    [&all[..4], &[Arg::I32(64), Arg::F32(1e-5)][..]].concat(),
                    [&all[..1], &[Arg::I32(64)][..]].concat(),
                    [&all[..2], &[Arg::I32(64)][..]].concat(),
                    [&all[..2], &[Arg::I32(64), Arg::F32(1e-5)][..]].concat(),
                    all[..1].to_vec(),
                ] {
                    let options = Options { limit: 30_000, ..Options::default() };
                    let launch = Launch::linear(2, 64).with_shared(256);
                    let _ = module.run(&kernel, &launch, &args, &mut memory, &options);
                }
            }
        }
    }
}

#[test]
fn a_thread_that_wants_too_much_is_an_error() {
    for body in [".local .b8 big[1000000];", ".reg .b32 %big<99999>;", ".param .b8 big[99999];"] {
        assert!(error(body).1.contains("more than"), "{body}");
    }
}
