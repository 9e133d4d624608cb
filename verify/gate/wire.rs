//! What goes through a pipe: frames come back as they went, hostile bytes are refused with the
//! field named, and adapters that misbehave end in the right verdict and in time.

use std::time::{Duration, Instant};

use plummet::check::judge::{Judged, judge};
use plummet::check::oracle;
use plummet::check::reading::Reading;
use plummet::gate::mutants::ModelCandidate;
use plummet::gate::wire::frame::{self, Frame, Reader};
use plummet::gate::wire::{Patience, Process, message, server};
use plummet::gate::{Broken, Call, Candidate, Case, Dtype, Reply, Tensor, Tensors, selftest};
use proptest::prelude::*;
use serde_json::{Map, Value, json};

#[cfg(unix)]
use super::misbehaving;

// ---- frames ----

fn tensors() -> impl Strategy<Value = Tensors> {
    let dtypes = vec![Dtype::F64, Dtype::F32, Dtype::F16, Dtype::Bf16, Dtype::I64, Dtype::U8];
    let element = prop_oneof![
        -1e9..1e9,
        Just(0.0),
        Just(-0.0),
        Just(f64::INFINITY),
        Just(f64::NAN),
        Just(1e-310)
    ];
    let tensor = (prop::sample::select(dtypes), prop::collection::vec(1usize..5, 0..4))
        .prop_flat_map(move |(dtype, shape)| {
            let count = shape.iter().product::<usize>();
            prop::collection::vec(element.clone(), count)
                .prop_map(move |values| Tensor::new(dtype, &shape, values))
        });
    prop::collection::btree_map("[a-z.\"\\\\é]{1,8}", tensor, 0..5)
}

fn message() -> impl Strategy<Value = Map<String, Value>> {
    let value = prop_oneof![
        any::<f64>().prop_filter("JSON", |x| x.is_finite()).prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        ".{0,8}".prop_map(Value::from)
    ];
    prop::collection::btree_map(".{0,6}", value, 0..5).prop_map(|map| map.into_iter().collect())
}

/// The frames in bytes that arrive in pieces of so many.
fn read(bytes: &[u8], piece: usize) -> Result<Vec<Frame>, Broken> {
    let (mut reader, mut frames) = (Reader::default(), Vec::new());
    for piece in bytes.chunks(piece) {
        reader.push(piece);
        while let Some(frame) = reader.frame()? {
            frames.push(frame);
        }
    }
    Ok(frames)
}

fn same(a: &Tensors, b: &Tensors) -> bool {
    a.len() == b.len() && a.iter().zip(b).all(|(a, b)| a.0 == b.0 && a.1.same_bits(b.1))
}

proptest! {
    #[test]
    fn frames_come_back_as_they_went(
        message in message(), tensors in tensors(), piece in 1usize..300,
    ) {
        let bytes = frame::encode(&message, &tensors).unwrap();
        let frames = read(&bytes.repeat(2), piece).unwrap();
        prop_assert_eq!(frames.len(), 2);
        for frame in frames {
            prop_assert_eq!(&frame.message, &message);
            prop_assert!(same(&frame.tensors, &tensors));
        }
    }

    #[test]
    fn the_file_of_a_frame_is_a_safetensors_file(tensors in tensors()) {
        let bytes = frame::encode(&Map::new(), &tensors).unwrap();
        let file = safetensors::SafeTensors::deserialize(&bytes[16..]).unwrap();
        prop_assert_eq!(file.len(), tensors.len());
        let mut places = Vec::new();
        for (name, view) in file.tensors() {
            prop_assert_eq!(view.shape(), &tensors[&name].shape[..]);
            prop_assert_eq!(view.data(), &frame::bytes(&tensors[&name])[..]);
            places.push((view.data().as_ptr() as usize, tensors[&name].dtype.bytes()));
        }
        // Largest items first, from a multiple of eight on: a reader in C finds aligned data.
        places.sort_unstable();
        prop_assert!(places.is_sorted_by(|a, b| a.1 >= b.1));
        prop_assert!(places.iter().all(|(at, size)| (at - bytes.as_ptr() as usize).is_multiple_of(*size)));
    }

    #[test]
    fn damaged_frames_are_refused_and_nothing_worse(
        message in message(),
        tensors in tensors(),
        damage in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>(), 0u8..4), 1..6),
        piece in 1usize..300,
    ) {
        let mut bytes = frame::encode(&message, &tensors).unwrap();
        for (at, byte, how) in damage {
            let at = at.index(bytes.len());
            match how {
                0 => bytes[at] = byte,
                1 => bytes[at] ^= 1 << (byte % 8),
                2 => bytes.insert(at, byte),
                _ => { bytes.remove(at); }
            }
        }
        match read(&bytes, piece) {
            Ok(frames) => for frame in frames {
                // What can be read as a frame can be read as a message, or is refused as one.
                for result in [
                    message::request(frame.clone()).map(|_| ()),
                    message::introduction(&frame).map(|_| ()),
                    message::reply(frame.clone(), 7).map(|_| ()),
                ] {
                    prop_assert!(matches!(result, Ok(()) | Err(Broken::Protocol(_))));
                }
            },
            Err(broken) => prop_assert!(matches!(broken, Broken::Protocol(_))),
        }
    }
}

/// A frame with this header and so many bytes of data.
fn crafted(header: &str, data: usize) -> Vec<u8> {
    let mut bytes = b"PLUMMET1".to_vec();
    bytes.extend((8 + header.len() as u64 + data as u64).to_le_bytes());
    bytes.extend((header.len() as u64).to_le_bytes());
    bytes.extend(header.as_bytes());
    bytes.extend(vec![0; data]);
    bytes
}

#[test]
fn a_refusal_names_the_field() {
    const META: &str = r#""__metadata__":{"plummet":"{}"}"#;
    let entry = |dtype: &str, shape: &str, from: usize, to: usize| {
        format!(r#"{{"dtype":"{dtype}","shape":{shape},"data_offsets":[{from},{to}]}}"#)
    };
    let four = entry("F32", "[1]", 0, 4);
    let huge = "18446744073709551615";
    let wrong = [
        (format!("{{{META},\"y\":{four}}}"), 8, "data: 8 bytes"),
        (format!("{{{META},\"y\":{four}}}"), 0, "data_offsets of y"),
        (format!("{{{META},\"y\":{four},\"y\":{four}}}"), 4, "y comes twice"),
        (format!("{{{META},{META}}}"), 0, "__metadata__ comes twice"),
        (format!("{{{META},\"y\":{four},\"z\":{four}}}"), 4, "data_offsets of z"),
        (format!("{{{META},\"y\":{}}}", entry("F32", "[1]", 4, 8)), 8, "data_offsets of y"),
        (format!("{{{META},\"y\":{}}}", entry("F32", "[1]", 4, 0)), 4, "data_offsets of y"),
        (format!("{{{META},\"y\":{}}}", entry("F31", "[1]", 0, 4)), 4, "dtype of y"),
        (format!("{{{META},\"y\":{}}}", entry("F32", "[2]", 0, 4)), 4, "data_offsets of y"),
        (format!("{{{META},\"y\":{}}}", entry("F32", "[-1]", 0, 4)), 4, "y: "),
        (
            format!("{{{META},\"y\":{}}}", entry("F32", &format!("[{huge},2]"), 0, 4)),
            4,
            "data_offsets of y",
        ),
        (format!("{{\"y\":{four}}}"), 4, "__metadata__"),
        (r#"{"__metadata__":{"plummet":"{"}}"#.into(), 0, "plummet: "),
        (r#"{"__metadata__":{"plummet":"[1]"}}"#.into(), 0, "plummet: "),
        (r#"{"__metadata__":{"plummet":1}}"#.into(), 0, "__metadata__"),
        ("[]".into(), 0, "header: "),
        ("\u{0}".into(), 0, "header: "),
    ];
    for (header, data, field) in wrong {
        match read(&crafted(&header, data), 1 << 20) {
            Err(Broken::Protocol(said)) => assert!(said.contains(field), "{header}: {said}"),
            other => panic!("{header}: {other:?}"),
        }
    }
    let long = [b"PLUMMET1".as_slice(), &(1u64 << 60).to_le_bytes()].concat();
    assert!(read(&long, 1).unwrap_err().to_string().contains("length: 1152921504606846976"));
    let printed = read(b"Loading weights\n", 3).unwrap_err().to_string();
    assert!(printed.contains("the adapter wrote to standard output"), "{printed}");
    let nested = format!(r#"{{"__metadata__":{{"plummet":"{}"}}}}"#, "[".repeat(1 << 20));
    assert!(read(&crafted(&nested, 0), 1 << 20).is_err());
}

#[test]
fn a_message_names_the_field() {
    let said = |message: Value| {
        let Value::Object(message) = message else { panic!("{message}") };
        let frame = Frame { message, tensors: Tensors::new() };
        match message::introduction(&frame) {
            Err(Broken::Protocol(said)) => said,
            other => panic!("{other:?}"),
        }
    };
    let hello =
        |ops: Value| json!({"kind": "hello", "protocol": 1, "impl": {"name": "a"}, "ops": ops});
    assert!(said(json!({})).contains("kind"));
    assert!(said(json!({"kind": "hello", "protocol": 2})).contains("protocol: 2"));
    assert!(said(json!({"kind": "hello", "protocol": 1})).contains("ops"));
    let dtype = said(hello(json!({"layer_norm": {"dtype": ["f31"]}})));
    assert!(dtype.contains("ops.layer_norm.dtype") && dtype.contains("f31"), "{dtype}");
    let key = said(hello(json!({"layer_norm": {"dtypes": ["f32"]}})));
    assert!(key.contains("ops.layer_norm.dtypes"), "{key}");
    for (served, told) in [
        (
            json!({"dtype": ["f32", "float32"]}),
            "ops.layer_norm.dtype[1]: float32: allowed f64, f32, f16, bf16; f32 is meant?",
        ),
        (json!({"dtype": ["bfloat16"]}), "bf16 is meant?"),
        (json!({"dtype": ["torch.float16"]}), "f16 is meant?"),
        (json!({"dtype": ["fp32"]}), "f32 is meant?"),
        (json!({"dtype": "f32"}), "ops.layer_norm.dtype: f32 is no list: [\"f32\"] is meant?"),
        (json!({"params_dtype": ["double"]}), "ops.layer_norm.params_dtype[0]: double"),
        (json!({"accumulate": {"bfloat16": "f32"}}), "ops.layer_norm.accumulate: bfloat16"),
        (json!({"accumulate": {"bf16": "float"}}), "ops.layer_norm.accumulate.bf16: float"),
        (json!({"dtypes": ["f32"]}), "dtype is meant?"),
        (json!({"direction": ["fwd"]}), "ops.layer_norm.direction: not a key"),
        (json!({"attr": {}}), "attrs is meant?"),
        (json!({"optionals": []}), "optional is meant?"),
        (json!({"limits": {"max_column": 7}}), "ops.layer_norm.limits.max_column: not a key"),
        (json!({"dir": ["forward"]}), "ops.layer_norm.dir"),
    ] {
        let said = said(hello(json!({"layer_norm": served})));
        assert!(said.contains(told), "{said}");
    }
    let with = |key: &str, value: Value| {
        let mut message = hello(json!({"layer_norm": {}}));
        message[key] = value;
        message
    };
    assert!(said(with("claim", json!({}))).contains("claims is meant?"));
    assert!(
        said(with("claims", json!({"determinstic": true}))).contains("deterministic is meant?")
    );
    // A key of its own is nobody's slip.
    let Value::Object(free) = with("build", json!({"flags": "-O2"})) else { panic!() };
    assert!(message::introduction(&Frame { message: free, tensors: Tensors::new() }).is_ok());
    let reply = |message: Value| {
        let Value::Object(message) = message else { panic!("{message}") };
        message::reply(Frame { message, tensors: Tensors::new() }, 7).unwrap_err().to_string()
    };
    assert!(reply(json!({"kind": "ok"})).contains("seq: is missing"));
    assert!(reply(json!({"kind": "ok", "seq": 6})).contains("seq: 6, not 7"));
    assert!(reply(json!({"kind": "ok", "seq": -7})).contains("seq"));
    assert!(reply(json!({"kind": "ok", "seq": "7"})).contains("seq"));
    assert!(reply(json!({"kind": "fine", "seq": 7})).contains("kind: fine"));
}

#[test]
fn calls_and_answers_come_back_as_they_went() {
    let case = "layer_norm:bwd:bf16+f32:rows=3,cols=7,x=normal,dy=normal,seed=5";
    let call = case.parse::<Case>().unwrap().call();
    let frame = |bytes: Vec<u8>| read(&bytes, 100).unwrap().remove(0);
    let run = message::request(frame(message::ask(3, &call, None).unwrap())).unwrap();
    assert_eq!(run, message::Request::Run(3, call.clone()));
    let time = message::request(frame(message::ask(4, &call, Some(9)).unwrap())).unwrap();
    assert_eq!(time, message::Request::Time(4, call.clone(), 9));
    let mut model = ModelCandidate::new("layer_norm", "");
    let hello = model.hello().unwrap();
    let again = message::introduction(&frame(message::introduce(&hello).unwrap())).unwrap();
    assert_eq!(again, hello);
    for reply in
        [model.run(&call).unwrap(), Reply::Unsupported("a".into()), Reply::Error("b".into())]
    {
        let again = message::reply(frame(message::answer(3, &reply).unwrap()), 3).unwrap();
        assert_eq!(again, reply);
    }
}

#[test]
fn a_served_candidate_answers_as_it_does_itself() {
    let case = "layer_norm:fwd:f32:rows=3,cols=7,x=normal,seed=5";
    let call = case.parse::<Case>().unwrap().call();
    let mut model = ModelCandidate::new("layer_norm", "");
    let requests = [
        message::hello().unwrap(),
        message::ask(1, &call, None).unwrap(),
        message::ask(2, &call, Some(3)).unwrap(),
        message::bye().unwrap(),
    ];
    let mut answers = Vec::new();
    server::serve(&mut model, &requests.concat()[..], &mut answers).unwrap();
    let mut frames = read(&answers, 1000).unwrap().into_iter();
    assert_eq!(message::introduction(&frames.next().unwrap()), model.hello());
    assert_eq!(message::reply(frames.next().unwrap(), 1), model.run(&call));
    assert_eq!(message::reply(frames.next().unwrap(), 2), model.run(&call));
    assert!(frames.next().is_none());
}

// ---- processes ----

/// An adapter that acts as `name` says.
#[cfg(unix)]
fn adapter(name: &str) -> Process {
    Process::new(misbehaving::command(name))
}

#[cfg(unix)]
fn call(seed: u64) -> Call {
    let case = format!("layer_norm:fwd:f32:rows=3,cols=7,x=normal,seed={seed}");
    case.parse::<Case>().unwrap().call()
}

/// How the second of two calls ends; the first shows that the adapter can.
#[cfg(unix)]
fn ends(name: &str, mut adapter: Process) -> (Broken, Duration) {
    adapter.hello().unwrap();
    assert!(matches!(adapter.run(&call(1)), Ok(Reply::Ok(_))), "{name}");
    let start = Instant::now();
    let broken = adapter.run(&call(2)).unwrap_err();
    let took = start.elapsed();
    // It is started anew, and answers its first call again.
    assert!(matches!(adapter.run(&call(3)), Ok(Reply::Ok(_))), "{name}");
    (broken, took)
}

#[cfg(unix)]
#[test]
fn a_right_adapter_passes_through_a_pipe() {
    for name in ["right", "one_byte_writes", "floods_stderr"] {
        let mut adapter = adapter(name);
        let killed = selftest::first_kill(&mut adapter, "layer_norm", 1, 12);
        assert!(killed.is_none(), "{name}: {killed:?}");
        let reply = adapter.time(&call(1), 5).unwrap();
        assert_eq!(reply, adapter.run(&call(1)).unwrap());
        adapter.restart().unwrap();
        assert_eq!(reply, adapter.run(&call(1)).unwrap());
    }
}

#[cfg(unix)]
#[test]
fn what_cannot_be_read_is_a_protocol_error() {
    for (name, field) in [
        ("prints", "the adapter wrote to standard output: \"epoch 1"),
        ("wrong_seq", "seq: 1, not 2"),
        ("answers_twice", "seq: 1, not 2"),
        ("huge_length", "length: 1152921504606846976"),
        ("long_answer", "length: "),
        ("partial_frame", "frame: ended after 100 bytes"),
        ("closes_stdout", "standard output: was closed"),
        ("no_seq", "seq: is missing"),
    ] {
        let (broken, took) = ends(name, adapter(name));
        let Broken::Protocol(said) = &broken else { panic!("{name}: {broken:?}") };
        assert!(said.contains(field), "{name}: {said}");
        assert!(took < Duration::from_secs(5), "{name}: {took:?}");
    }
}

#[cfg(unix)]
#[test]
fn a_death_is_told_with_its_cause() {
    for (name, how) in [
        ("exits", "exited with code 3; standard error ends:\nout of luck"),
        ("aborts", "killed by SIGABRT"),
        ("segfaults", "killed by SIGSEGV"),
        ("leaves_a_child", "exited with code 0"),
    ] {
        let (broken, took) = ends(name, adapter(name));
        let Broken::Crash(said) = &broken else { panic!("{name}: {broken:?}") };
        assert!(said.contains(how), "{name}: {said}");
        assert!(took < Duration::from_secs(5), "{name}: {took:?}");
    }
}

#[cfg(unix)]
#[test]
fn waiting_has_an_end() {
    for name in ["hangs", "trickles", "stops_reading"] {
        let patience =
            Patience { least: Duration::from_secs(1), factor: 2.0, ..Patience::default() };
        let (broken, took) = ends(name, adapter(name).patience(patience));
        assert!(matches!(broken, Broken::Timeout(_)), "{name}: {broken:?}");
        assert!(took < Duration::from_secs(5), "{name}: {took:?}");
    }
    let start = Instant::now();
    let patience = Patience { hello: Duration::from_millis(200), ..Patience::default() };
    let mut mute = Process::new(misbehaving::command("mute")).patience(patience);
    assert_eq!(mute.hello(), Err(Broken::Timeout(0.2)));
    assert!(start.elapsed() < Duration::from_secs(5));
}

#[cfg(unix)]
fn of_shape(rows: usize, seed: u64) -> Call {
    let case = format!("layer_norm:fwd:f32:rows={rows},cols=7,x=normal,seed={seed}");
    case.parse::<Case>().unwrap().call()
}

/// Further calls have 0.2 s, first calls as long as is said.
#[cfg(unix)]
fn patient(first: &str) -> Patience {
    let patience: Patience = format!("{first},call=200ms").parse().unwrap();
    Patience { factor: 2.0, ..patience }
}

#[cfg(unix)]
#[test]
fn what_compiles_at_its_first_call_of_a_shape_is_waited_for() {
    let mut adapter = adapter("compiles").patience(patient("first=20s,shape=20s"));
    for (rows, seed) in [(3, 1), (3, 2), (5, 1), (3, 3), (5, 2)] {
        let reply = adapter.run(&of_shape(rows, seed));
        assert!(matches!(reply, Ok(Reply::Ok(_))), "{rows}: {reply:?}");
    }
    // A fresh process compiles again.
    adapter.restart().unwrap();
    assert!(matches!(adapter.run(&of_shape(3, 1)), Ok(Reply::Ok(_))));
    let mut hasty = self::adapter("compiles").patience(patient("first=100ms"));
    assert_eq!(hasty.run(&of_shape(3, 1)), Err(Broken::Timeout(0.2)), "never less than a call");
}

#[cfg(unix)]
#[test]
fn what_hangs_at_a_shape_that_it_has_answered_is_found_soon() {
    let mut adapter = adapter("compiles_and_hangs").patience(patient("first=60s,shape=60s"));
    assert!(matches!(adapter.run(&of_shape(3, 1)), Ok(Reply::Ok(_))));
    let start = Instant::now();
    assert!(matches!(adapter.run(&of_shape(3, 2)), Err(Broken::Timeout(_))));
    assert!(start.elapsed() < Duration::from_secs(4), "{:?}", start.elapsed());
}

#[cfg(unix)]
#[test]
fn a_call_that_takes_long_is_told_and_so_is_its_end() {
    use plummet::gate::wire::patience::{Waiting, Watch};
    let heard = std::sync::Arc::new(std::sync::Mutex::new(Vec::new()));
    let kept = std::sync::Arc::clone(&heard);
    let watch = Watch(std::sync::Arc::new(move |waiting: Option<&Waiting>| {
        kept.lock().unwrap().push(waiting.map(ToString::to_string));
    }));
    let patience = Patience { least: Duration::from_millis(2600), ..Patience::default() };
    let mut adapter = adapter("hangs").patience(patience).watched(watch);
    assert!(matches!(adapter.run(&call(1)), Ok(Reply::Ok(_))));
    assert!(heard.lock().unwrap().is_empty(), "what is answered at once is not told");
    assert!(adapter.run(&call(2)).is_err());
    let heard = heard.lock().unwrap().clone();
    assert_eq!(heard, [Some("waiting for layer_norm:fwd:f32 (2 s)".to_string()), None]);
}

#[cfg(unix)]
#[test]
fn a_trace_is_shown_by_its_end() {
    let (broken, _) = ends("ends_with_a_trace", adapter("ends_with_a_trace"));
    let said = broken.to_string();
    assert!(said.ends_with("ValueError: the cause"), "{said}");
    let first = said.lines().next().unwrap();
    assert!(first.contains("exited with code 1; standard error ends, after "), "{first}");
    let lines = said.lines().count() - 1;
    let before: usize =
        first.split(' ').filter_map(|word| word.parse().ok()).next_back().expect("a count");
    assert_eq!(before + lines, 2001, "{first}");
    let (broken, _) = ends("stops_in_a_frame", adapter("stops_in_a_frame"));
    assert!(broken.to_string().ends_with("MemoryError: no room for y"), "{broken}");
}

#[cfg(unix)]
#[test]
fn a_wrong_answer_is_read_and_judged() {
    for name in ["stale_buffers", "wrong_shape", "wrong_dtype", "wrong_name", "fills_with_nan"] {
        let mut adapter = adapter(name);
        let first = call(1);
        assert!(matches!(adapter.run(&first), Ok(Reply::Ok(_))), "{name}");
        let call = call(2);
        let reply = adapter.run(&call).unwrap();
        let expected = oracle::expect(&call, &Reading::strict(Dtype::F32, &Default::default()));
        let judged = judge(&call, &expected, &reply);
        assert_eq!(judged.grade(), plummet::check::judge::Grade::Fail, "{name}: {judged:?}");
        let words = ["wrong_shape", "wrong_dtype", "wrong_name"].contains(&name);
        assert_eq!(matches!(judged, Judged::Wrong(_)), words, "{name}: {judged:?}");
    }
}

#[test]
fn a_command_that_is_not_there_is_said_to_be_so() {
    let broken = Process::new(["/not/there"]).hello().unwrap_err().to_string();
    assert!(broken.contains("/not/there cannot be started"), "{broken}");
    assert!(Process::new([""; 0]).hello().unwrap_err().to_string().contains("is empty"));
}

// ---- libraries ----

/// A library of one file in C.
#[cfg(unix)]
fn compiled(source: &str) -> (tempfile::TempDir, std::path::PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let (root, library) = (env!("CARGO_MANIFEST_DIR"), dir.path().join("lib.so"));
    let status = std::process::Command::new("cc")
        .args(["-Wall", "-Werror", "-O2", "-shared", "-fPIC", "-I"])
        .arg(format!("{root}/adapters/c"))
        .arg(format!("{root}/{source}"))
        .arg("-o")
        .arg(&library)
        .arg("-lm")
        .status();
    assert!(status.unwrap().success(), "{source}");
    (dir, library)
}

#[cfg(unix)]
#[test]
fn the_c_adapter_passes() {
    let (_dir, library) = compiled("adapters/c/adapter.c");
    let mut adapter = Process::new(misbehaving::worker(&library, ""));
    let killed = selftest::first_kill(&mut adapter, "layer_norm", 3, 40);
    assert!(killed.is_none(), "{killed:?}");
    let (once, often) = (adapter.run(&call(1)), adapter.time(&call(1), 9));
    assert!(once.is_ok() && once == often, "{once:?} {often:?}");
}

#[cfg(unix)]
#[test]
fn memory_that_is_not_its_own_ends_a_library() {
    let (_dir, library) = compiled("verify/gate/misbehaving/memory.c");
    for (memory, named) in [
        ("writes_input", "the read-only input x was touched"),
        ("reads_past", "memory past the end of x was touched"),
        ("writes_past", "memory past the end of y was touched"),
        ("reads_before", "memory before the start of x was touched"),
        ("writes_before", "memory before the start of y was touched"),
        ("reads_null", "memory that belongs to no tensor was touched"),
    ] {
        for seed in 1..3 {
            let mut adapter = Process::new(misbehaving::worker(&library, memory));
            let broken = adapter.run(&call(seed)).unwrap_err();
            let Broken::Crash(said) = &broken else { panic!("{memory}: {broken:?}") };
            assert!(said.contains("SIGSEGV") && said.contains(named), "{memory}: {said}");
        }
    }
    let reply = |memory| Process::new(misbehaving::worker(&library, memory)).run(&call(1));
    assert!(matches!(reply("nothing"), Ok(Reply::Ok(_))));
    assert_eq!(reply("refuses"), Ok(Reply::Error("!".repeat(1024))));
    let Ok(Reply::Error(said)) = reply("returns_seven") else {
        panic!("{:?}", reply("returns_seven"))
    };
    assert!(said.contains("plummet_run: returned 7"), "{said}");
}

// ---- adapters to begin with ----

#[test]
fn init_writes_short_adapters_and_overwrites_nothing() {
    for (language, files) in plummet::gate::init::LANGUAGES {
        let dir = tempfile::tempdir().unwrap();
        let place = dir.path().join("new");
        let written = plummet::gate::init::write(language, &place).unwrap();
        assert_eq!(written.len(), files.len());
        for (path, (name, text)) in written.iter().zip(*files) {
            assert_eq!(std::fs::read_to_string(path).unwrap(), *text);
            let lines = text.lines().count();
            assert!(lines < 60 || name.ends_with(".h"), "{language}: {name} has {lines} lines");
        }
        // All or nothing: the file that is there is left, and those that are not are not written.
        std::fs::write(&written[0], "mine").unwrap();
        std::fs::remove_file(&written[1]).unwrap();
        let refused = plummet::gate::init::write(language, &place).unwrap_err().to_string();
        assert!(refused.contains("nothing is overwritten"), "{refused}");
        assert_eq!(std::fs::read_to_string(&written[0]).unwrap(), "mine");
        assert!(!written[1].exists());
    }
    let refused = plummet::gate::init::write("cobol", std::path::Path::new("")).unwrap_err();
    assert_eq!(refused.to_string(), "language = cobol: allowed is python, c, rust");
}
