//! Frames: the 8 bytes `PLUMMET1`, a little-endian u64 length, and one safetensors file of that
//! length, whose metadata has a JSON message under the key `plummet`.
//!
//! What comes from a pipe is never trusted: every length is checked before it is used, memory grows
//! with the bytes that arrive and not with those announced, and what does not hold is
//! [`Broken::Protocol`] with the field named.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};
use std::fmt::Display;

use half::{bf16, f16};
use safetensors::tensor as file;
use serde::Deserialize;
use serde::de::{Deserializer, Error, MapAccess, Visitor};
use serde_json::{Map, Value};

use crate::check::call::Broken;
use crate::check::tensor::{Dtype, Tensor, Tensors};

/// What every frame begins with.
pub const MAGIC: [u8; 8] = *b"PLUMMET1";
/// The longest file of a frame.
pub const LONGEST: u64 = 2 << 30;
/// The longest header of such a file: some ten thousand tensors.
const LONGEST_HEADER: usize = 8 << 20;
/// The key of the message in the file's metadata.
const KEY: &str = "plummet";

/// One message with its tensors.
#[derive(Debug, Clone, PartialEq)]
pub struct Frame {
    /// The JSON object.
    pub message: Map<String, Value>,
    /// The tensors, none for most messages.
    pub tensors: Tensors,
}

/// An answer that cannot be read: the field, and what is wrong with it.
pub(super) fn protocol(field: impl Display, wrong: impl Display) -> Broken {
    Broken::Protocol(format!("{field}: {wrong}"))
}

/// The beginning of a text from outside, fit for a terminal.
pub(super) fn shown(text: &str) -> String {
    text.chars().take(80).flat_map(char::escape_debug).collect()
}

/// The bytes of a frame; tensors are sorted by item size, the largest first.
pub fn encode(message: &Map<String, Value>, tensors: &Tensors) -> Result<Vec<u8>, Broken> {
    let text = Value::from(message.clone()).to_string();
    let views = tensors.iter().map(|(name, tensor)| (name.as_str(), View::new(tensor)));
    let metadata = HashMap::from([(KEY.to_string(), text)]);
    let file = file::serialize(views, Some(metadata)).map_err(|error| protocol("file", error))?;
    let length = file.len() as u64;
    if length > LONGEST {
        return Err(protocol("length", format!("{length} bytes, at most {LONGEST}")));
    }
    Ok([MAGIC.as_slice(), &length.to_le_bytes(), &file].concat())
}

/// A tensor as the writer of the file wants it.
struct View<'a> {
    tensor: &'a Tensor,
    bytes: Vec<u8>,
}

impl<'a> View<'a> {
    fn new(tensor: &'a Tensor) -> Self {
        View { tensor, bytes: bytes(tensor) }
    }
}

impl file::View for View<'_> {
    fn dtype(&self) -> file::Dtype {
        match self.tensor.dtype {
            Dtype::F64 => file::Dtype::F64,
            Dtype::F32 => file::Dtype::F32,
            Dtype::F16 => file::Dtype::F16,
            Dtype::Bf16 => file::Dtype::BF16,
            Dtype::I64 => file::Dtype::I64,
            Dtype::U8 => file::Dtype::U8,
        }
    }
    fn shape(&self) -> &[usize] {
        &self.tensor.shape
    }
    fn data(&self) -> Cow<'_, [u8]> {
        self.bytes.as_slice().into()
    }
    fn data_len(&self) -> usize {
        self.bytes.len()
    }
}

/// The elements as they are stored.
pub fn bytes(tensor: &Tensor) -> Vec<u8> {
    fn each<const N: usize>(values: &[f64], write: impl Fn(f64) -> [u8; N]) -> Vec<u8> {
        values.iter().map(|&v| write(v)).collect::<Vec<_>>().into_flattened()
    }
    let values = &tensor.values;
    match tensor.dtype {
        Dtype::F64 => each(values, f64::to_le_bytes),
        Dtype::F32 => each(values, |v| (v as f32).to_le_bytes()),
        Dtype::F16 => each(values, |v| f16::from_f64(v).to_le_bytes()),
        Dtype::Bf16 => each(values, |v| bf16::from_f64(v).to_le_bytes()),
        Dtype::I64 => each(values, |v| (v as i64).to_le_bytes()),
        Dtype::U8 => each(values, |v| [v as u8]),
    }
}

/// The elements that are stored so; bytes that make no whole element are left out.
pub fn values(dtype: Dtype, bytes: &[u8]) -> Vec<f64> {
    fn each<const N: usize>(bytes: &[u8], read: impl Fn([u8; N]) -> f64) -> Vec<f64> {
        bytes.as_chunks().0.iter().copied().map(read).collect()
    }
    match dtype {
        Dtype::F64 => each(bytes, f64::from_le_bytes),
        Dtype::F32 => each(bytes, |b| f64::from(f32::from_le_bytes(b))),
        Dtype::F16 => each(bytes, |b| f16::from_le_bytes(b).to_f64()),
        Dtype::Bf16 => each(bytes, |b| bf16::from_le_bytes(b).to_f64()),
        Dtype::I64 => each(bytes, |b| i64::from_le_bytes(b) as f64),
        Dtype::U8 => each(bytes, |[b]: [u8; 1]| f64::from(b)),
    }
}

/// Puts frames together from the pieces in which bytes arrive.
#[derive(Debug)]
pub struct Reader {
    bytes: Vec<u8>,
    /// The longest file that is read.
    pub longest: u64,
}

impl Default for Reader {
    fn default() -> Self {
        Reader { bytes: Vec::new(), longest: LONGEST }
    }
}

impl Reader {
    /// Takes what has arrived.
    pub fn push(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
    }

    /// What has arrived of a frame that is not whole: nothing between frames.
    pub fn rest(&self) -> &[u8] {
        &self.bytes
    }

    /// The next frame, once it is whole.
    pub fn frame(&mut self) -> Result<Option<Frame>, Broken> {
        if self.bytes.iter().zip(&MAGIC).any(|(byte, magic)| byte != magic) {
            let begin = self.bytes[..self.bytes.len().min(64)].escape_ascii();
            return Err(protocol("the adapter wrote to standard output", format!("\"{begin}\"")));
        }
        let Some((head, rest)) = self.bytes.split_at_checked(16) else { return Ok(None) };
        let length = u64::from_le_bytes(head[8..].as_chunks().0[0]);
        if length > self.longest {
            return Err(protocol("length", format!("{length} bytes, at most {}", self.longest)));
        }
        let length = length as usize;
        let Some(file) = rest.get(..length) else { return Ok(None) };
        let frame = decode(file)?;
        self.bytes.drain(..16 + length);
        // One long frame shall not keep its memory for all short ones.
        self.bytes.shrink_to(1 << 20);
        Ok(Some(frame))
    }
}

/// What the header of a file says of one tensor.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    dtype: String,
    shape: Vec<usize>,
    data_offsets: (usize, usize),
}

/// The header of a file; unlike a map it knows of names that come twice.
#[derive(Default)]
struct Header {
    metadata: Option<BTreeMap<String, String>>,
    entries: BTreeMap<String, Entry>,
}

impl<'de> Deserialize<'de> for Header {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Names;
        impl<'de> Visitor<'de> for Names {
            type Value = Header;
            fn expecting(&self, f: &mut std::fmt::Formatter) -> std::fmt::Result {
                f.write_str("an object of tensors")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Header, A::Error> {
                let mut header = Header::default();
                while let Some(name) = map.next_key::<String>()? {
                    let wrong =
                        |error: A::Error| A::Error::custom(format!("{}: {error}", shown(&name)));
                    let twice = if name == "__metadata__" {
                        header.metadata.replace(map.next_value().map_err(wrong)?).is_some()
                    } else {
                        let entry = map.next_value().map_err(wrong)?;
                        header.entries.insert(name.clone(), entry).is_some()
                    };
                    if twice {
                        return Err(A::Error::custom(format!("{} comes twice", shown(&name))));
                    }
                }
                Ok(header)
            }
        }
        deserializer.deserialize_map(Names)
    }
}

/// Reads the file of a frame.
pub fn decode(file: &[u8]) -> Result<Frame, Broken> {
    let short = || protocol("file", format!("{} bytes hold no header", file.len()));
    let (length, rest) = file.split_first_chunk().ok_or_else(short)?;
    let length = u64::from_le_bytes(*length);
    if length > LONGEST_HEADER.min(rest.len()) as u64 {
        let most = format!("at most {LONGEST_HEADER} and those of the file, {}", rest.len());
        return Err(protocol("header", format!("{length} bytes, {most}")));
    }
    let (header, data) = rest.split_at(length as usize);
    let header: Header =
        serde_json::from_slice(header).map_err(|error| protocol("header", error))?;
    let metadata = header.metadata.unwrap_or_default();
    let message = metadata.get(KEY).ok_or_else(|| protocol("__metadata__", "has no plummet"))?;
    let message = serde_json::from_str(message).map_err(|error| protocol(KEY, error))?;
    let mut places: Vec<(usize, usize, &str)> = Vec::new();
    let mut tensors = Tensors::new();
    for (name, entry) in &header.entries {
        let field = |part: &str| format!("{part} of {}", shown(name));
        let dtype = dtype(&entry.dtype).ok_or_else(|| {
            let given = shown(&entry.dtype);
            protocol(field("dtype"), format!("{given}, not F64, F32, F16, BF16, I64 or U8"))
        })?;
        let size = entry.shape.iter().try_fold(dtype.bytes(), |size, &n| size.checked_mul(n));
        let (begin, end) = entry.data_offsets;
        let bytes = data.get(begin..end).filter(|bytes| Some(bytes.len()) == size);
        let bytes = bytes.ok_or_else(|| {
            let wanted =
                size.map_or("more bytes than can be".into(), |size| format!("{size} bytes"));
            let there = format!("the {wanted} of its shape, within {}", data.len());
            protocol(field("data_offsets"), format!("{begin} to {end} are not {there}"))
        })?;
        places.push((begin, end, name));
        let values = values(dtype, bytes);
        tensors.insert(name.clone(), Tensor { dtype, shape: entry.shape.clone(), values });
    }
    places.sort_unstable();
    let mut next = 0;
    for (begin, end, name) in places {
        if begin != next {
            let wrong = format!("begins at {begin}, the tensor before it ends at {next}");
            return Err(protocol(format!("data_offsets of {}", shown(name)), wrong));
        }
        next = end;
    }
    if next != data.len() {
        let wrong = format!("{} bytes, of which tensors hold {next}", data.len());
        return Err(protocol("data", wrong));
    }
    Ok(Frame { message, tensors })
}

fn dtype(name: &str) -> Option<Dtype> {
    let known = [Dtype::F64, Dtype::F32, Dtype::F16, Dtype::Bf16, Dtype::I64, Dtype::U8];
    known.into_iter().find(|dtype| dtype.name().to_uppercase() == name)
}
