"""A composition that rounds every step is right where it declares so, and told how where it does not."""

import numpy as np
import pytest

import plummet

ml_dtypes = pytest.importorskip("ml_dtypes")
bf16 = ml_dtypes.bfloat16


def rms_norm(x, weight=None, *, eps, offset):
    square = (x * x).astype(bf16).mean(-1, keepdims=True, dtype=np.float32).astype(bf16)
    rate = (1 / np.sqrt((square + bf16(eps)).astype(np.float32))).astype(bf16)
    y = (x * rate).astype(bf16)
    return y if weight is None else (y * (weight + bf16(offset)).astype(bf16)).astype(bf16)


ASKED = {"dtype": "bf16", "attrs": {"cast": "before_weight", "eps": [1e-5, 1e-3]}, "cases": 12, "stages": [0, 2]}


def test_a_composition_is_right_where_it_says_so():
    plummet.check("rms_norm", rms_norm, arithmetic={"intermediates": "storage"}, **ASKED)
    with pytest.raises(AssertionError, match="declare arithmetic = .*intermediates.*storage"):
        plummet.check("rms_norm", rms_norm, **ASKED)


def test_an_arithmetic_that_there_is_not_is_refused():
    with pytest.raises(AssertionError, match="arithmetic.exps"):
        plummet.check("rms_norm", rms_norm, arithmetic={"exps": 1e-6}, **ASKED)
