"""Messages as bytes and back."""

import io
import struct

import pytest

from plummet import frames
from plummet.frames import Tensor

TENSORS = {
    "mask": Tensor("u8", (3,), b"\x01\x00\x01"),
    "x": Tensor("f64", (1, 1), struct.pack("<d", 1.5)),
    "loss": Tensor("bf16", (), b"\x80\x3f"),
}


def test_a_frame_comes_back_as_it_was():
    stream = io.BytesIO(frames.encode({"kind": "ok", "seq": 3}, TENSORS) + frames.encode({"kind": "bye"}))
    frame = frames.decode(stream.read)
    assert frame.message == {"kind": "ok", "seq": 3}
    assert frame.tensors == TENSORS
    assert frames.decode(stream.read).message == {"kind": "bye"}
    assert frames.decode(stream.read) is None


def test_the_largest_items_come_first_and_lie_where_they_can_be_read():
    encoded = frames.encode({"kind": "ok"}, TENSORS)
    assert list(frames.decode(io.BytesIO(encoded).read).tensors) == ["x", "loss", "mask"]
    assert (len(encoded) - 8 - 2 - 3) % 8 == 0


def test_what_is_no_frame_is_refused():
    with pytest.raises(ValueError, match="frame = b'GET / HT': allowed is b'PLUMMET1'"):
        frames.decode(io.BytesIO(b"GET / HTTP/1.1\r\n\r\n").read)
    cut = frames.encode({"kind": "bye"})[:-1]
    assert frames.decode(io.BytesIO(cut).read) is None
