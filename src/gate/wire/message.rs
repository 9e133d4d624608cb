//! What the messages of frames say: requests of the gate and the answers of a target.

use std::collections::BTreeMap;

use serde::de::DeserializeOwned;
use serde_json::{Map, Value, json};

use super::frame::{Frame, encode, protocol, shown};
use crate::check::arithmetic::Arithmetic;
use crate::check::call::{Broken, Call, Claims, Hello, Limits, PROTOCOL, Reply, SPEC, Served};
use crate::check::tensor::{Dtype, Tensors};

/// What the gate asks.
#[derive(Debug, Clone, PartialEq)]
pub enum Request {
    /// Who are you?
    Hello,
    /// Answer this call.
    Run(u64, Call),
    /// Do the work of this call so many times, then answer.
    Time(u64, Call, usize),
    /// There is nothing more to do.
    Bye,
}

fn frame(message: Value, tensors: &Tensors) -> Result<Vec<u8>, Broken> {
    match message {
        Value::Object(message) => encode(&message, tensors),
        other => Err(protocol("message", format!("{other}, not an object"))),
    }
}

/// The frame of `hello`.
pub fn hello() -> Result<Vec<u8>, Broken> {
    frame(json!({"kind": "hello", "protocol": PROTOCOL, "spec": SPEC}), &Tensors::new())
}

/// The frame of `bye`.
pub fn bye() -> Result<Vec<u8>, Broken> {
    frame(json!({"kind": "bye"}), &Tensors::new())
}

/// What `run` says of a call, without its tensors; with `repeat` it is `time`.
pub fn question(seq: u64, call: &Call, repeat: Option<usize>) -> Value {
    let mut message = json!({
        "kind": if repeat.is_some() { "time" } else { "run" },
        "seq": seq, "id": call.id, "op": call.op, "dir": call.dir, "dtype": call.dtype,
        "params_dtype": call.params_dtype, "attrs": call.attrs, "want": call.want,
    });
    if let Some(repeat) = repeat {
        message["repeat"] = repeat.into();
    }
    message
}

/// The frame of `run`, with `repeat` that of `time`.
pub fn ask(seq: u64, call: &Call, repeat: Option<usize>) -> Result<Vec<u8>, Broken> {
    frame(question(seq, call, repeat), &call.tensors)
}

/// The frame that a target answers `hello` with.
pub fn introduce(hello: &Hello) -> Result<Vec<u8>, Broken> {
    let mut message = json!(hello);
    message["kind"] = "hello".into();
    message["protocol"] = PROTOCOL.into();
    frame(message, &Tensors::new())
}

/// The frame that a target answers a call with.
pub fn answer(seq: u64, reply: &Reply) -> Result<Vec<u8>, Broken> {
    let none = Tensors::new();
    match reply {
        Reply::Ok(tensors) => frame(json!({"kind": "ok", "seq": seq}), tensors),
        Reply::Unsupported(reason) => {
            frame(json!({"kind": "unsupported", "seq": seq, "reason": reason}), &none)
        }
        Reply::Error(message) => {
            frame(json!({"kind": "error", "seq": seq, "message": message}), &none)
        }
    }
}

/// A value of a message, as what it has to be.
fn read<T: DeserializeOwned>(message: &Map<String, Value>, key: &str) -> Result<T, Broken> {
    let value = message.get(key).ok_or_else(|| protocol(key, "is missing"))?;
    serde_json::from_value(value.clone()).map_err(|error| protocol(key, shown(&error.to_string())))
}

/// A value of a message that may be left out.
fn read_or<T: DeserializeOwned + Default>(
    message: &Map<String, Value>,
    key: &str,
) -> Result<T, Broken> {
    if message.contains_key(key) { read(message, key) } else { Ok(T::default()) }
}

/// The request in a frame.
pub fn request(frame: Frame) -> Result<Request, Broken> {
    let Frame { message, tensors } = frame;
    let call = |tensors| -> Result<Call, Broken> {
        Ok(Call {
            id: read_or(&message, "id")?,
            op: read(&message, "op")?,
            dir: read(&message, "dir")?,
            dtype: read(&message, "dtype")?,
            params_dtype: read(&message, "params_dtype")?,
            attrs: read(&message, "attrs")?,
            want: read(&message, "want")?,
            tensors,
        })
    };
    let kind: String = read(&message, "kind")?;
    match kind.as_str() {
        "hello" => Ok(Request::Hello),
        "run" => Ok(Request::Run(read(&message, "seq")?, call(tensors)?)),
        "time" => {
            Ok(Request::Time(read(&message, "seq")?, call(tensors)?, read(&message, "repeat")?))
        }
        "bye" => Ok(Request::Bye),
        other => Err(protocol("kind", format!("{}, not hello, run, time or bye", shown(other)))),
    }
}

/// What a target says of itself.
pub fn introduction(frame: &Frame) -> Result<Hello, Broken> {
    let message = &frame.message;
    let kind: String = read(message, "kind")?;
    if kind != "hello" {
        return Err(protocol("kind", format!("{}, not hello", shown(&kind))));
    }
    let version: u64 = read(message, "protocol")?;
    if version != PROTOCOL {
        return Err(protocol("protocol", format!("{version}, not {PROTOCOL}")));
    }
    let hello = declared(message)?;
    match ["ops", "impl"].into_iter().find(|key| !message.contains_key(*key)) {
        Some(key) => Err(protocol(key, "is missing")),
        None => Ok(hello),
    }
}

/// What `hello` declares, with every slip of the pen named: what nobody reads is never tested.
pub fn declared(message: &Map<String, Value>) -> Result<Hello, Broken> {
    // Further keys are free, but not one that is meant to be another.
    const KEYS: [&str; 3] = ["impl", "ops", "claims"];
    for (key, _) in message.iter().filter(|(_, value)| value.is_object()) {
        let slip = |known: &&str| *known != key && distance(key, known) <= known.len() / 3;
        if let Some(meant) = KEYS.into_iter().find(slip).filter(|_| !KEYS.contains(&key.as_str())) {
            return Err(protocol(shown(key), format!("not a key; {meant} is meant?")));
        }
    }
    let ops: BTreeMap<String, Map<String, Value>> = read_or(message, "ops")?;
    let ops = ops.into_iter().map(|(op, served)| {
        let field = format!("ops.{}", shown(&op));
        dtypes(&field, &served)?;
        if let Some(Value::Object(limits)) = served.get("limits") {
            parts::<Limits>(&format!("{field}.limits"), limits.clone(), &[])?;
        }
        if let Some(Value::Object(own)) = served.get("arithmetic") {
            parts::<Arithmetic>(&format!("{field}.arithmetic"), own.clone(), &[])?;
        }
        // An arithmetic that is strict is not written, but may be.
        Ok((op, parts::<Served>(&field, served, &["arithmetic"])?))
    });
    let claims = parts::<Claims>("claims", read_or(message, "claims")?, &[])?;
    Ok(Hello { identity: read_or(message, "impl")?, ops: ops.collect::<Result<_, _>>()?, claims })
}

/// Names a dtype that is not one, where it stands, and what is allowed.
fn dtypes(field: &str, served: &Map<String, Value>) -> Result<(), Broken> {
    let named = |place: String, value: &Value| {
        let known = |name: &str| Dtype::REAL.iter().any(|dtype| dtype.name() == name);
        match value.as_str() {
            Some(name) if known(name) || ["i64", "u8"].contains(&name) => Ok(()),
            _ => {
                let given = shown(value.as_str().unwrap_or(&value.to_string()));
                let meant = value.as_str().and_then(usual);
                let meant = meant.map_or(String::new(), |meant| format!("; {meant} is meant?"));
                Err(protocol(place, format!("{given}: allowed f64, f32, f16, bf16{meant}")))
            }
        }
    };
    for list in ["dtype", "params_dtype"] {
        let values = served.get(list).and_then(Value::as_array).into_iter().flatten();
        for (i, value) in values.enumerate() {
            named(format!("{field}.{list}[{i}]"), value)?;
        }
        // One word is no list of one; what else it is says serde.
        if let Some(Value::String(word)) = served.get(list) {
            let why = format!("{} is no list: [\"{}\"] is meant?", shown(word), shown(word));
            return Err(protocol(format!("{field}.{list}"), why));
        }
    }
    for (key, value) in served.get("accumulate").and_then(Value::as_object).into_iter().flatten() {
        let place = format!("{field}.accumulate");
        named(place.clone(), &Value::from(key.as_str()))?;
        named(format!("{place}.{key}"), value)?;
    }
    Ok(())
}

/// The dtype that a name of frameworks stands for.
fn usual(name: &str) -> Option<&'static str> {
    let name = name.to_ascii_lowercase();
    let name = name.rsplit('.').next().unwrap_or_default();
    match name {
        "float64" | "double" | "fp64" | "f64" => Some("f64"),
        "float32" | "float" | "single" | "fp32" | "f32" => Some("f32"),
        "float16" | "half" | "fp16" | "f16" => Some("f16"),
        "bfloat16" | "bfloat" | "bf16" => Some("bf16"),
        _ => None,
    }
}

/// The known key that another is meant to be: one or two letters off, or longer or shorter.
fn meant<'a>(key: &str, known: &[&'a str]) -> Option<&'a str> {
    let near = |known: &&&str| {
        distance(key, known) <= known.len().div_ceil(3)
            || key.starts_with(**known)
            || known.starts_with(key)
    };
    known.iter().filter(near).min_by_key(|known| distance(key, known)).copied()
}

/// Letters to change, add or leave out between two words.
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.chars().enumerate() {
        let mut corner = std::mem::replace(&mut row[0], i + 1);
        for (j, y) in b.iter().enumerate() {
            let least = (row[j] + 1).min(row[j + 1] + 1).min(corner + usize::from(x != *y));
            corner = std::mem::replace(&mut row[j + 1], least);
        }
    }
    row[b.len()]
}

/// An object whose keys may all be left out. A key that is not known is refused: what a slip of
/// the pen declares would otherwise never be tested.
fn parts<T>(field: &str, given: Map<String, Value>, more: &[&str]) -> Result<T, Broken>
where
    T: DeserializeOwned + serde::Serialize + Default,
{
    let known = json!(T::default());
    for (key, value) in &given {
        let field = format!("{field}.{}", shown(key));
        if known.get(key).is_none() && !more.contains(&&**key) {
            let keys = known.as_object().into_iter().flat_map(Map::keys).map(String::as_str);
            let keys: Vec<&str> = keys.chain(more.iter().copied()).collect();
            let meant = meant(key, &keys).map_or(String::new(), |key| format!("; {key} is meant?"));
            return Err(protocol(field, format!("not a key: allowed {}{meant}", keys.join(", "))));
        }
        let alone = json!({ key: value });
        serde_json::from_value::<T>(alone)
            .map_err(|error| protocol(field, shown(&error.to_string())))?;
    }
    serde_json::from_value(given.into()).map_err(|error| protocol(field, error))
}

/// The answer to the request of this number.
pub fn reply(frame: Frame, seq: u64) -> Result<Reply, Broken> {
    let Frame { message, tensors } = frame;
    let kind: String = read(&message, "kind")?;
    let given: u64 = read(&message, "seq")?;
    if given != seq {
        return Err(protocol("seq", format!("{given}, not {seq}")));
    }
    match kind.as_str() {
        "ok" => Ok(Reply::Ok(tensors)),
        "unsupported" => Ok(Reply::Unsupported(read_or(&message, "reason")?)),
        "error" => Ok(Reply::Error(read_or(&message, "message")?)),
        other => Err(protocol("kind", format!("{}, not ok, unsupported or error", shown(other)))),
    }
}
