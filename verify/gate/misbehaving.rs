//! Adapters that misbehave on purpose.
//!
//! This test executable is started again for each, as its one ignored test: descriptor 3 is then
//! the pipe to the gate, since the harness prints to standard output.

use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::FromRawFd;
use std::path::Path;
use std::time::Duration;

use plummet::gate::mutants::ModelCandidate;
use plummet::gate::wire::frame::Reader;
use plummet::gate::wire::library::Library;
use plummet::gate::wire::message::{self, Request};
use plummet::gate::wire::server;
use plummet::gate::{Candidate, Dtype, Reply, Tensor};

const ROLE: &str = "PLUMMET_MISBEHAVING";
const LIBRARY: &str = "PLUMMET_LIBRARY";

/// The command that starts the adapter of this name.
pub fn command(name: &str) -> Vec<String> {
    let here = std::env::current_exe().unwrap().to_string_lossy().into_owned();
    let script = format!("{ROLE}={name} exec \"$0\" \"$@\" 3>&1 1>/dev/null");
    let test = ["--exact", "misbehaving::acts", "--ignored", "--nocapture"];
    ["sh", "-c", &script, &here].into_iter().chain(test).map(str::to_string).collect()
}

/// The command of a worker for a library that does so to memory.
pub fn worker(library: &Path, memory: &str) -> Vec<String> {
    let mut command = command("library");
    command[2] = format!("{LIBRARY}='{}' MEMORY={memory} {}", library.display(), command[2]);
    command
}

#[test]
#[ignore = "the body of the adapters, no test"]
fn acts() {
    let role = std::env::var(ROLE).expect("an adapter is told its role");
    // SAFETY: the command above has opened it, and nothing else here knows of it.
    let out = unsafe { File::from_raw_fd(3) };
    match std::env::var(LIBRARY) {
        Ok(path) => {
            let mut library = Library::open(Path::new(&path)).unwrap();
            server::serve(&mut library, std::io::stdin().lock(), out).unwrap();
        }
        Err(_) => act(&role, out),
    }
    std::process::exit(0);
}

fn forever() -> ! {
    loop {
        std::thread::sleep(Duration::from_secs(3600));
    }
}

/// Answers the first call rightly and then as the role has it.
fn act(role: &str, mut out: File) {
    let mut model = ModelCandidate::new("layer_norm", "");
    let (mut reader, mut bytes) = (Reader::default(), vec![0; 1 << 16]);
    let mut first = None;
    let mut compiled = std::collections::BTreeSet::new();
    loop {
        let count = std::io::stdin().read(&mut bytes).unwrap();
        if count == 0 {
            return;
        }
        reader.push(&bytes[..count]);
        while let Some(frame) = reader.frame().unwrap() {
            if role == "mute" {
                forever();
            }
            let (seq, call, repeat) = match message::request(frame).unwrap() {
                Request::Hello => {
                    out.write_all(&message::introduce(&model.hello().unwrap()).unwrap()).unwrap();
                    continue;
                }
                Request::Bye => return,
                Request::Run(seq, call) => (seq, call, 1),
                Request::Time(seq, call, repeat) => (seq, call, repeat),
            };
            if role == "compiles" || role == "compiles_and_hangs" {
                let shapes = call.tensors.values().map(|tensor| tensor.shape.clone());
                if compiled.insert((call.dir, shapes.collect::<Vec<_>>())) {
                    std::thread::sleep(Duration::from_millis(400));
                }
            }
            let reply = model.time(&call, repeat).unwrap();
            let Reply::Ok(mut tensors) = reply.clone() else { panic!("{reply:?}") };
            let right = message::answer(seq, &reply).unwrap();
            if role == "always_errors" {
                let error = Reply::Error("ImportError: libkernel.so".into());
                out.write_all(&message::answer(seq, &error).unwrap()).unwrap();
                continue;
            }
            let Some((first_seq, first_tensors)) = &first else {
                if role == "answers_twice" {
                    out.write_all(&right).unwrap();
                }
                out.write_all(&right).unwrap();
                first = Some((seq, tensors));
                if role == "stops_reading" {
                    forever();
                }
                continue;
            };
            let y = tensors.values().next().expect("a call wants something").clone();
            let answer = match role {
                "right" | "compiles" => right,
                "doubles" => {
                    let values = y.values.iter().map(|value| 2.0 * value + 1.0).collect();
                    tensors.insert("y".into(), Tensor::new(y.dtype, &y.shape, values));
                    message::answer(seq, &Reply::Ok(tensors)).unwrap()
                }
                "ends_with_a_trace" => {
                    for line in 0..2000 {
                        eprintln!("  File \"kernel.py\", line {line}");
                    }
                    eprintln!("ValueError: the cause");
                    std::process::exit(1);
                }
                "stops_in_a_frame" => {
                    eprintln!("MemoryError: no room for y");
                    out.write_all(&right[..100]).unwrap();
                    return;
                }
                "one_byte_writes" => {
                    for byte in right {
                        out.write_all(&[byte]).unwrap();
                    }
                    continue;
                }
                "floods_stderr" => {
                    for _ in 0..64 {
                        std::io::stderr().write_all(&[b'!'; 1 << 16]).unwrap();
                    }
                    right
                }
                "prints" => [b"epoch 1, loss 0.5\n", &right[..]].concat(),
                "wrong_seq" => message::answer(*first_seq, &reply).unwrap(),
                "huge_length" => [&right[..8], &(1u64 << 60).to_le_bytes()].concat(),
                "long_answer" => [&right[..8], &(100u64 << 20).to_le_bytes()].concat(),
                "partial_frame" => {
                    out.write_all(&right[..100]).unwrap();
                    return;
                }
                "closes_stdout" => {
                    drop(out);
                    forever();
                }
                "no_seq" => {
                    let message = serde_json::json!({"kind": "ok"});
                    let message = message.as_object().unwrap();
                    plummet::gate::wire::frame::encode(message, &tensors).unwrap()
                }
                "exits" => {
                    eprintln!("out of luck");
                    std::process::exit(3);
                }
                "aborts" => std::process::abort(),
                "segfaults" => {
                    // The first is caught by the runtime, which then restores the default.
                    for _ in 0..2 {
                        // SAFETY: a signal to this thread, whose death is what is wanted.
                        unsafe { libc::raise(libc::SIGSEGV) };
                    }
                    forever();
                }
                "leaves_a_child" => {
                    #[expect(clippy::zombie_processes, reason = "to end it is the gate's part")]
                    let _child = std::process::Command::new("sleep").arg("3600").spawn().unwrap();
                    return;
                }
                "hangs" | "stops_reading" | "compiles_and_hangs" => forever(),
                "trickles" => {
                    for byte in right {
                        out.write_all(&[byte]).unwrap();
                        std::thread::sleep(Duration::from_millis(20));
                    }
                    continue;
                }
                "stale_buffers" => message::answer(seq, &Reply::Ok(first_tensors.clone())).unwrap(),
                "wrong_shape" => {
                    let wrong = Tensor::new(y.dtype, &[7, 3], y.values);
                    tensors.insert("y".into(), wrong);
                    message::answer(seq, &Reply::Ok(tensors)).unwrap()
                }
                "wrong_dtype" => {
                    tensors.insert("y".into(), Tensor::new(Dtype::F64, &y.shape, y.values));
                    message::answer(seq, &Reply::Ok(tensors)).unwrap()
                }
                "wrong_name" => {
                    message::answer(seq, &Reply::Ok([("out".to_string(), y)].into())).unwrap()
                }
                "fills_with_nan" => {
                    let values = vec![f64::NAN; y.values.len()];
                    tensors.insert("y".into(), Tensor::new(y.dtype, &y.shape, values));
                    message::answer(seq, &Reply::Ok(tensors)).unwrap()
                }
                other => panic!("no adapter is called {other}"),
            };
            out.write_all(&answer).unwrap();
        }
    }
}
