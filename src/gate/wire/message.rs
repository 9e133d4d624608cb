//! What the messages of frames say: requests of the gate and the answers of a target.

use std::collections::BTreeMap;

use serde::de::DeserializeOwned;
use serde_json::{Map, Value, json};

use super::frame::{Frame, encode, protocol, shown};
use crate::gate::call::{Broken, Call, Claims, Hello, PROTOCOL, Reply, SPEC, Served};
use crate::gate::tensor::Tensors;

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
    let ops: BTreeMap<String, Map<String, Value>> = read(message, "ops")?;
    let ops = ops.into_iter().map(|(op, served)| {
        let served = parts::<Served>(&format!("ops.{}", shown(&op)), served)?;
        Ok((op, served))
    });
    let claims = parts::<Claims>("claims", read_or(message, "claims")?)?;
    Ok(Hello { identity: read(message, "impl")?, ops: ops.collect::<Result<_, _>>()?, claims })
}

/// An object whose keys may all be left out. A key that is not known is refused: what a slip of
/// the pen declares would otherwise never be tested.
fn parts<T>(field: &str, given: Map<String, Value>) -> Result<T, Broken>
where
    T: DeserializeOwned + serde::Serialize + Default,
{
    let known = json!(T::default());
    for (key, value) in &given {
        let field = format!("{field}.{}", shown(key));
        if known.get(key).is_none() {
            let keys: Vec<&String> = known.as_object().into_iter().flat_map(Map::keys).collect();
            return Err(protocol(field, format!("not a key: {keys:?}")));
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
