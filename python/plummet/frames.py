"""The gate's messages: eight bytes, a length, and one complete safetensors file.

The JSON message is the string under the key ``plummet`` of the file's metadata."""

from __future__ import annotations

import json
import struct
from typing import Any, Callable, NamedTuple

START = b"PLUMMET1"


class Tensor(NamedTuple):
    """What travels: a dtype as the gate names it, a shape, and the elements, row-major."""

    dtype: str
    shape: tuple[int, ...]
    data: bytes | bytearray


class Frame(NamedTuple):
    """A message and its tensors by name."""

    message: dict[str, Any]
    tensors: dict[str, Tensor]


def encode(message: dict[str, Any], tensors: dict[str, Tensor] | None = None) -> bytes:
    """A frame as bytes; the largest items come first, so that every tensor is aligned."""
    entries: dict[str, Any] = {"__metadata__": {"plummet": json.dumps(message)}}
    parts, length = [], 0
    width = {"f64": 8, "i64": 8, "f32": 4, "f16": 2, "bf16": 2, "u8": 1}
    for name, tensor in sorted((tensors or {}).items(), key=lambda item: -width[item[1].dtype]):
        end = length + len(tensor.data)
        offsets = [length, end]
        entries[name] = {
            "dtype": tensor.dtype.upper(),
            "shape": list(tensor.shape),
            "data_offsets": offsets,
        }
        parts.append(tensor.data)
        length = end
    header = json.dumps(entries).encode()
    header += b" " * (-len(header) % 8)
    start = struct.pack("<8sQQ", START, 8 + len(header) + length, len(header))
    return b"".join([start, header, *parts])


def decode(read: Callable[[int], bytes | bytearray]) -> Frame | None:
    """The next frame of what ``read(size)`` reads; None where there is no further one."""
    start = read(16)
    if len(start) < 16:
        return None
    magic, length = struct.unpack("<8sQ", start)
    if magic != START:
        raise ValueError(f"frame = {bytes(magic)!r}: allowed is {START!r}, of the gate")
    file = memoryview(read(length))
    if len(file) < length:
        return None
    size = 8 + struct.unpack("<Q", file[:8])[0]
    entries = json.loads(bytes(file[8:size]))
    message = json.loads(entries.pop("__metadata__")["plummet"])
    tensors = {}
    for name, entry in entries.items():
        begin, end = (size + offset for offset in entry["data_offsets"])
        # A copy of its own, which a function may write to.
        data = bytearray(file[begin:end])
        tensors[name] = Tensor(entry["dtype"].lower(), tuple(entry["shape"]), data)
    return Frame(message, tensors)
