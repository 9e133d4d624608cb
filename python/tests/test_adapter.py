"""An adapter of ten lines answers the gate over standard input and output."""

import os
import pathlib
import subprocess
import sys

import pytest

from plummet import binary

ADAPTER = '''
import numpy as np, plummet
EARLY

@plummet.op("softmax", dtype=["f32", "f64"])
def softmax(x):
    print("frameworks print")
    e = np.exp(x - np.maximum(x.max(-1, keepdims=True), np.finfo(x.dtype).min))
    return e / np.maximum(e.sum(-1, keepdims=True), np.finfo(x.dtype).tiny)

@plummet.vjp("softmax")
def softmax_vjp(x, dy):
    y = softmax(x)
    return y * (dy - (dy * y).sum(-1, keepdims=True)) FAULT

@plummet.op("linear")
def linear(x, weight, bias=0):
    return x @ weight.T + bias

plummet.serve("mine", "1.2", claims=["deterministic"])
'''


def judged(file, *flags):
    root = pathlib.Path(__file__).parents[1]
    environment = os.environ | {"PYTHONPATH": str(root)}
    command = [binary.path(), "gate", "check", "--cases=10", "--stages=0,2", *flags, "--", sys.executable, str(file)]
    return subprocess.run(command, env=environment, capture_output=True, text=True)


def test_ten_lines_serve_several_operators(tmp_path):
    file = tmp_path / "adapter.py"
    file.write_text(ADAPTER.replace("FAULT", "").replace("EARLY", 'print("too early")'))
    done = judged(file)
    # What is printed before serve() is the adapter's own fault, and named.
    assert done.returncode == 6 and "too early" in done.stdout
    file.write_text(ADAPTER.replace("FAULT", "").replace("EARLY", ""))
    done = judged(file)
    assert done.returncode == 0, done.stdout
    assert "PASS mine 1.2 (python)" in done.stdout and "softmax   fwd, bwd × f32, f64" in done.stdout


def test_a_wrong_backward_is_found(tmp_path):
    file = tmp_path / "adapter.py"
    file.write_text(ADAPTER.replace("FAULT", "* 2").replace("EARLY", ""))
    done = judged(file, "--ops=softmax")
    assert done.returncode == 1 and "FAIL softmax:bwd" in done.stdout


@pytest.mark.parametrize("name, needs", [("numpy", "numpy"), ("pytorch", "torch"), ("jax", "jax")])
def test_the_adapters_are_right(name, needs):
    pytest.importorskip(needs)
    adapter = pathlib.Path(__file__).parents[2] / "adapters" / name / "adapter.py"
    done = judged(adapter, "--ops=layer_norm:fwd:f32,layer_norm:bwd:f32,softmax:bwd:f64")
    assert done.returncode == 0, done.stdout
