"""NumPy's arrays as they travel."""

from __future__ import annotations

from typing import Any

import numpy as np

from .frames import Tensor

DTYPES: dict[str, np.dtype[Any]] = {
    "f64": np.dtype("<f8"),
    "f32": np.dtype("<f4"),
    "f16": np.dtype("<f2"),
    "i64": np.dtype("<i8"),
    "u8": np.dtype("u1"),
}


def dtype(name: str) -> np.dtype:
    """NumPy's dtype of that name; bf16 is not NumPy's own."""
    if name != "bf16":
        return DTYPES[name]
    try:
        import ml_dtypes
    except ImportError:
        raise ValueError("dtype = bf16: NumPy has it by ml_dtypes, which is not installed") from None
    return np.dtype(ml_dtypes.bfloat16)


def named(given: np.dtype) -> str:
    """The gate's name of a dtype."""
    short = {"float64": "f64", "float32": "f32", "float16": "f16", "bfloat16": "bf16"}
    short |= {"int64": "i64", "uint8": "u8"}
    if given.name not in short:
        raise TypeError(f"dtype = {given.name}: allowed is {', '.join(short)}")
    return short[given.name]


class NumPy:
    """Functions of NumPy's arrays. It differentiates nothing: a backward is a function given."""

    name = "numpy"
    version = np.__version__
    differentiates = False

    def accept(self, name: str) -> None:
        """Refuses a dtype that cannot be had."""
        dtype(name)

    def read(self, tensor: Tensor) -> np.ndarray:
        """The array of a tensor."""
        return np.frombuffer(tensor.data, dtype(tensor.dtype)).reshape(tensor.shape)

    def write(self, array: Any) -> Tensor:
        """The tensor of an array or a number."""
        array = np.asarray(array)
        return Tensor(named(array.dtype), array.shape, array.tobytes())
